"""Facts about memory, recorded on four kernels: the emulated kernel of the same version is asked for each.

What cannot be asked is listed with the reason: io_uring, AF_XDP, VFIO and on-demand paging are not modelled.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from unit.conftest import Played, play_once
from unit.programs import CONTEXT, LOOPBACK

from longpin.actors.mm.mm import Mm
from longpin.runner.oracles.fifo import Fifo


class Fact(NamedTuple):
    """What kernels did."""

    case: str
    fs: str
    op: str
    observed: Any
    errno: str | None
    kernels: list[str]

    @property
    def outcome(self) -> str:
        """How the call came out, as an expectation has it."""
        return self.errno or "ok"


FACTS = [
    Fact(**json.loads(line))
    for line in (Path(__file__).parents[1] / "data" / "kernel_memory_facts.jsonl").read_text().splitlines()
]

NOT_MODELLED = {
    "io_uring": "io_uring",
    "uring": "io_uring",
    "XDP_UMEM": "AF_XDP",
    "VFIO": "VFIO",
}
"""Words of an op that no call of the emulator can make, and what is missing."""


def missing(fact: Fact) -> str:
    """Return what would have to be modelled to ask for a fact; empty: it can be asked for."""
    for word, what in NOT_MODELLED.items():
        if word in fact.op:
            return what
    return ""


HEADS = {
    "xfs-dax": "",
    "ext4-dax": '[[pmem]]\nname = "pmem0"\nfile_system = "ext4"\n',
    "xfs": '[[pmem]]\nname = "pmem0"\ndax = false\n',
    "ext4": '[[pmem]]\nname = "pmem0"\nfile_system = "ext4"\ndax = false\n',
    "tmpfs": '[[tmpfs]]\nmount = "/dev/shm"\n',
    "devdax": '[[dax]]\nname = "dax0.0"\nsize = "1024 * PAGE"\n',
}
HANDLED = "on_signal.SIGBUS = 'getpid()'"
USER = "uid = 65534\nmemlock = 65536"
FILE_PAGES = 16


def ask(kernel: str, fs: str, *, details: str = HANDLED, **programs: str) -> Played:
    """Run programs on a kernel; what their lines expect must come."""
    played = play_once(
        f"P0:intended,kernel={kernel}",
        programs,
        dict.fromkeys(programs, details),
        HEADS.get(fs, ""),
        Fifo(),
        racy=False,
    )
    assert not played.rules, played.details()
    return played


def opened(fs: str, name: str = "fd", flags: str = "O_RDWR") -> str:
    """Return the lines that make a file of 16 pages, each of which begins with a byte 01, and open it."""
    if fs == "devdax":
        return f'{name} = open("/dev/dax0.0", {flags})\n'
    path = "/dev/shm/f" if fs == "tmpfs" else "/t"
    return (
        f'made = open("{path}", O_RDWR | O_CREAT, 0o666)\nftruncate(made, {FILE_PAGES} * PAGE)\n'
        f'for i in range({FILE_PAGES}):\n    pwrite(made, b"\\x01", i * PAGE)\n'
        f'{name} = open("{path}", {flags})\n'
    )


# mmap.


def mmap(fact: Fact, kernel: str) -> None:
    """Ask for a fact about mmap(2) itself, or about what is behind the end of a file."""
    op = re.sub(r" \(.*\)", "", fact.op)
    size = "2097152" if fact.fs == "devdax" else f"{FILE_PAGES} * PAGE"
    if found := re.fullmatch(r"(load|store) at (\d+) after ftruncate to 4196.*", fact.op):
        _beyond_the_end(fact, kernel, found[1], int(found[2]))
    elif op.startswith(("mmap wholly beyond", "load there")):
        lines = opened(fact.fs) + "buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 64 * PAGE)   # -> ok\n"
        played = ask(kernel, fact.fs, a=lines + "load(buf, 1)   # -> EFAULT\n")
        assert played.taken("a") == ["SIGBUS: its handler runs"]
    elif op == "ibv_reg_mr of a mapped page beyond EOF":
        lines = CONTEXT + opened(fact.fs) + "buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 64 * PAGE)\n"
        ask(kernel, fact.fs, a=lines + f"ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> {fact.outcome}\n")
    elif found := re.fullmatch(r"MAP_SHARED (4 KiB|2 MiB at offset 4096)", op):
        length, offset = ("PAGE", "0") if found[1] == "4 KiB" else (size, "4096")
        mapping = f"mmap({length}, PROT_READ | PROT_WRITE, MAP_SHARED, fd, {offset})   # -> {fact.outcome}\n"
        ask(kernel, fact.fs, a=opened(fact.fs) + mapping)
    else:
        flags, _, rest = op.partition(" ")
        mode = "O_RDONLY" if "O_RDONLY" in rest else "O_RDWR"
        prot = {"PROT_READ": "PROT_READ", "PROT_WRITE": "PROT_WRITE"}.get(rest.split(" ")[0], "PROT_READ | PROT_WRITE")
        numbers = flags.replace("0x200000", str(0x200000)).replace("0x8000000", str(0x8000000)).replace("|", " | ")
        where = ", 17592186044416" if "MAP_FIXED" in flags else ""
        ask(
            kernel,
            fact.fs,
            a=opened(fact.fs, flags=mode) + f"mmap({size}, {prot}, {numbers}, fd, 0{where})   # -> {fact.outcome}\n",
        )


def _beyond_the_end(fact: Fact, kernel: str, access: str, offset: int) -> None:
    touched = f"""
buf = mmap({FILE_PAGES} * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
for i in range({FILE_PAGES}):
    store(buf + i * PAGE, b"\\x01\\x01")
store(buf + 4200, b"\\x01")
ftruncate(fd, 4196)   # -> 0
"""
    if isinstance(fact.observed, dict):
        assert fact.observed == {"signal": "SIGBUS"}
        access_line = f"load(buf + {offset}, 1)" if access == "load" else f'store(buf + {offset}, b"\\x01")'
        played = ask(kernel, fact.fs, a=f"{opened(fact.fs)}{touched}{access_line}   # -> EFAULT\n")
        assert played.taken("a") == ["SIGBUS: its handler runs"]
        return
    lines = f'store(buf + {offset}, b"\\x01")\n' if access == "store" else ""
    ask(kernel, fact.fs, a=f'{opened(fact.fs)}{touched}{lines}load(buf + {offset}, 1)   # -> b"\\x{fact.observed}"\n')


# Long-term pins of private and anonymous memory.


def pinned(fact: Fact, kernel: str) -> None:
    """Ask for a fact about ibv_reg_mr(3) of 16 pages."""
    found = re.fullmatch(r"ibv_reg_mr\((.*?)(?: only)?\) (\S+) (.*)", fact.op)
    assert found, fact.op
    access = " | ".join(f"IBV_ACCESS_{bit}" for bit in found[1].split("|"))
    state = found[3]
    if fact.fs == "anon":
        kind = "MAP_PRIVATE" if "private" in state else "MAP_SHARED"
        mapping = f"buf = mmap({FILE_PAGES} * PAGE, PROT_READ | PROT_WRITE, {kind} | MAP_ANONYMOUS, -1, 0)\n"
    else:
        mapping = opened(fact.fs) + f"buf = mmap({FILE_PAGES} * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)\n"
    written = {"untouched": 0, "first of 16 pages written": 1, "all pages written: anon copies": FILE_PAGES}
    count = next((pages for words, pages in written.items() if words in state), 0)
    stores = f"for i in range({count}):\n    store(buf + i * PAGE, 'x')\n" if count else ""
    ask(
        kernel,
        fact.fs,
        a=f"{CONTEXT}{mapping}{stores}ibv_reg_mr(pd, buf, {FILE_PAGES} * PAGE, {access})   # -> {fact.outcome}\n",
    )


# RLIMIT_MEMLOCK.

WRITE = "IBV_ACCESS_LOCAL_WRITE"
BUFFER = "buf = mmap(64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)\n"


def pinned_kib(played: Played, process: int = 100) -> str:
    """Return VmPin of a process that is still there."""
    maps = [actor for address, actor in played.engine.actors.items() if address.startswith(f"mm:{process}.")]
    assert isinstance(maps[-1], Mm)
    return str(maps[-1].pinned_vm * 4)


def reg(length: int, expected: str, name: str = "mr", address: str = "buf") -> str:
    """Return a registration with what is expected of it."""
    return f"{name} = ibv_reg_mr(pd, {address}, {length}, {WRITE})   # -> {expected}\n"


def memlock(fact: Fact, kernel: str) -> None:
    """Ask for a fact about RLIMIT_MEMLOCK: 64 KiB, without CAP_IPC_LOCK."""
    begin, seen = CONTEXT + BUFFER, fact.observed
    match fact.op:
        case "ibv_reg_mr 60K of limit 64K, then 4K, then 4K" | "ibv_reg_mr 64K / 68K of limit 64K":
            for series in seen if isinstance(seen[0][0], list) else [seen]:
                for count in range(1, len(series) + 1):
                    lines = "".join(reg(length, errno) for length, errno, _ in series[:count])
                    played = ask(kernel, fact.fs, details=USER, a=begin + lines + "pause()\n")
                    assert pinned_kib(played) == series[count - 1][2]
        case "ibv_reg_mr of the same 40K twice, limit 64K":
            lines = "".join(reg(40 << 10, errno) for errno in (seen[0][0], seen[1][0]))
            assert pinned_kib(ask(kernel, fact.fs, details=USER, a=begin + lines + "pause()\n")) == seen[1][1]
        case "reg 60K, dereg, reg 60K again, limit 64K":
            assert [seen[0], seen[3]] == ["ok", "ok"]
            first = ask(kernel, fact.fs, details=USER, a=begin + reg(60 << 10, seen[0]) + "pause()\n")
            again = f"{reg(60 << 10, seen[0])}ibv_dereg_mr(mr)   # -> 0\n{reg(60 << 10, seen[3])}"
            last = ask(kernel, fact.fs, details=USER, a=f"{begin}{again}pause()\n")
            assert [pinned_kib(first), pinned_kib(last)] == ["60", "60"]
        case "reg 60K, munmap without dereg, reg another 60K, limit 64K":
            lines = f"{reg(60 << 10, 'ok')}munmap(buf, 16 * PAGE)\n"
            played = ask(kernel, fact.fs, details=USER, a=f"{begin}{lines}pause()\n")
            assert pinned_kib(played) == seen["VmPin_after_munmap"]
            ask(
                kernel,
                fact.fs,
                details=USER,
                a=begin + lines + reg(60 << 10, seen["second reg"], "mr2", "buf + 32 * PAGE"),
            )
        case "two processes of one uid, ibv_reg_mr 48K each, limit 64K":
            one, other = (f"{begin}{reg(48 << 10, errno)}pause()\n" for errno in seen)
            ask(kernel, fact.fs, details=USER, a=one, b=other)
        case "fork after ibv_reg_mr 60K, child registers 60K, limit 64K":
            _registered_by_a_child(fact, kernel, begin)
        case "ibv_reg_mr of an FS-DAX mapping over and under the limit":
            lines = CONTEXT + opened(fact.fs) + "buf = mmap(256 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n"
            lines += reg(1 << 20, seen["1 MiB (over the limit)"]) + reg(32 << 10, seen["32K (under)"])
            assert pinned_kib(ask(kernel, fact.fs, details=USER, a=lines + "pause()\n")) == seen["VmPin"]
        case _:
            raise AssertionError(fact.op)


def _registered_by_a_child(fact: Fact, kernel: str, begin: str) -> None:
    seen = fact.observed
    parent = begin + reg(60 << 10, seen["parent"]) + 'child = fork("child")\npause()\n'
    own = {"a": USER, "child": f"start = 'fork'\n{USER}"}
    for lines, pinned in (
        ("pause()\n", "0"),
        (reg(60 << 10, seen["child reg 60K on the inherited context"], "own") + "pause()\n", "60"),
    ):
        played = play_once(f"P0:intended,kernel={kernel}", {"a": parent, "child": lines}, own, "", Fifo(), racy=False)
        assert not played.rules, played.details()
        assert pinned_kib(played) == seen["parent VmPin after"]
        children = [actor for address, actor in played.engine.actors.items() if address == "mm:10001.1"]
        assert isinstance(children[0], Mm)
        assert str(children[0].pinned_vm * 4) == pinned


# fork, and what a device sees.


def forked(fact: Fact, kernel: str) -> None:
    """Ask which frames parent and child have."""
    pin = {"none": "", "vmsplice": "r = pipe()\nvmsplice(pipe_w, buf, PAGE)\n"}
    how = re.fullmatch(r"fork with the page pinned by (\w+), then the parent stores", fact.op)
    assert how, fact.op
    start = f"{BUFFER}store(buf, 'before')\n{pin[how[1]]}"
    alone = _frame(ask(kernel, "xfs-dax", a=f"{start}pause()\n"), "mm:100.1")
    at_fork = _forked(kernel, f'{start}fork("child")\npause()\n', "pause()\n")
    stored = _forked(kernel, f'{start}fork("child")\nstore(buf, "PARENT")\npause()\n', "pause()\n")
    seen = {
        "reg": "ok",
        "parent_page_kept_after_its_store": _frame(stored, "mm:100.1") == alone,
        "child_has_own_copy_right_after_fork": _frame(at_fork, "mm:10001.1") != _frame(at_fork, "mm:100.1"),
        "child_sees_parents_later_store": False,
        "parent_sees_childs_store": False,
    }
    assert seen == fact.observed
    _forked(
        kernel,
        f'{start}fork("child")\nstore(buf, "PARENT")\nlabel("stored")\n'
        'wait_for("child")\nload(buf, 6)   # -> b"PARENT"\n',
        'wait_for("stored")\nload(buf, 6)   # -> b"before"\nstore(buf, "CHILD!")\nlabel("child")\n',
    )


def _forked(kernel: str, parent: str, child: str) -> Played:
    details = {"child": "start = 'fork'"}
    played = play_once(f"P0:intended,kernel={kernel}", {"a": parent, "child": child}, details, "", Fifo(), racy=False)
    assert not played.rules, played.details()
    return played


def _frame(played: Played, mm: str) -> Any:
    actor = played.engine.actors[mm]
    assert isinstance(actor, Mm)
    return next(iter(actor.space.page_table.values())).frame


REGION = "mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)\n"


def _transfer(opcode: str, local: str, expected: str, length: str = "") -> str:
    return (
        f"ibv_post_send(qp, {opcode}, {local}, mr, 0{length})\nibv_get_cq_event(cq)\nibv_poll_cq(cq)   # -> 1\n"
        f"ibv_wc_status()   # -> IBV_WC_{expected}\n"
    )


def _write(value: str, expected: str) -> str:
    return _transfer("IBV_WR_RDMA_WRITE", f'b"\\x{value}"', expected)


def device(fact: Fact, kernel: str) -> None:
    """Ask what a device and the CPU see of each other's stores to anonymous memory."""
    begin, seen = CONTEXT + LOOPBACK + BUFFER + REGION, fact.observed
    if "MADV_DONTNEED" in fact.op:
        lines = f"""
store(buf, b"\\x33")
madvise(buf, PAGE, MADV_DONTNEED)   # -> 0
load(buf, 1)   # -> b"\\x{seen["cpu sees after MADV_DONTNEED"]}"
{_write("77", seen["RDMA WRITE 77"])}load(buf, 1)   # -> b"\\x{seen["cpu sees"]}"
"""
        ask(kernel, "xfs-dax", a=begin + lines)
        return
    status, value = seen["after fork, parent stores 44, RDMA READ gives"]
    lines = f"""
to = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
local = ibv_reg_mr(pd, to, PAGE, IBV_ACCESS_LOCAL_WRITE)
{_write("33", seen["write"])}load(buf, 1)   # -> b"\\x{seen["cpu sees"]}"
fork("child")
store(buf, b"\\x44")
{_transfer("IBV_WR_RDMA_READ", "local", status, ", 1")}load(to, 1)   # -> b"\\x{value}"
{_write("55", seen["RDMA WRITE 55"])}load(buf, 1)   # -> b"\\x{seen["parent cpu sees"]}"
munmap(buf, PAGE)
{_write("66", seen["after munmap RDMA WRITE"])}"""
    _forked(kernel, begin + lines, "pause()\n")


ASKS: dict[str, Callable[[Fact, str], None]] = {
    "mmap": mmap,
    "longterm-pin": pinned,
    "memlock": memlock,
    "fork": forked,
    "rdma-io": device,
}
"""How each case is asked for."""


def every() -> Iterator[tuple[Fact, str]]:
    """Yield each fact with each kernel it was recorded on."""
    for fact in FACTS:
        yield from ((fact, kernel) for kernel in fact.kernels)


CAN_BE_ASKED = [(fact, kernel) for fact, kernel in every() if not missing(fact)]


@pytest.mark.parametrize("case", ASKS)
@pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.18", "7.2"])
def test_the_emulated_kernel_does_what_its_version_did(case: str, kernel: str) -> None:
    asked = [fact for fact, its in CAN_BE_ASKED if (fact.case, its) == (case, kernel)]
    assert asked
    wrong = {}
    for fact in asked:
        try:
            ASKS[case](fact, kernel)
        except AssertionError as error:
            wrong[f"{fact.fs}: {fact.op}"] = str(error).splitlines()[0]
    assert wrong == {}


def test_what_cannot_be_asked_for_is_little_and_named() -> None:
    unasked = Counter(missing(fact) for fact, kernel in every() if missing(fact))
    assert set(unasked) == set(NOT_MODELLED.values())
    assert len(CAN_BE_ASKED) > 450
    assert {fact.case for fact, _ in CAN_BE_ASKED} == set(ASKS)
