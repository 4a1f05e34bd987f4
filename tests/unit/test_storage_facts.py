"""What four kernels did with pinned and shared pages of files on DAX: the emulated ones do the same.

The table is ``tests/data/kernel_storage.jsonl``: a page of a file of 4 MiB is held by vmsplice(2) in a pipe, and
another process makes a call. Recorded were whether it returned, the state of its process, and what a signal did.
``pytest -m heavy tests/unit/test_storage_facts.py`` asks the kernels in between, too.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from longpin.actors.conversation import Sleeping, Wait
from longpin.actors.fs.inode import Inode
from longpin.actors.mm.pmem import Pmem

Play = Callable[..., Any]
HEAVY = pytest.mark.heavy

HEAD = """
[[pmem]]
name = "p"
blocks = 8192
file_system = "{fs}"
[[file]]
path = "/f"
size = "1024 * PAGE"
[[file]]
path = "/other"
size = "1024 * PAGE"
"""
HOLDER = """
fd = open("/f", O_RDWR)
buf = mmap(1024 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf + PAGE, "Z")
p = pipe()
vmsplice(pipe_w, buf + PAGE, PAGE)                    # -> ok
"""
READY = 'label("pinned")\npause()\n'
PAIR = 'wait_for("pinned")\nfd = open("/f", O_RDWR)\no = open("/other", O_RDWR)\nlabel("go")\n'
_2_MIB = "512 * PAGE"

CALLS = {
    "FICLONE from the pinned file": "ioctl(o, FICLONE, fd)",
    "FICLONE onto the pinned file": "ioctl(fd, FICLONE, o)",
    "PUNCH_HOLE of a page in the next 2 MiB, file mapped whole (PMD if possible), one 4 KiB page pinned": (
        f"fallocate(fd, 3, {_2_MIB}, PAGE)"
    ),
    "PUNCH_HOLE of another 4 KiB page of the same 2 MiB, file mapped whole (PMD if possible), one 4 KiB page pinned": (
        "fallocate(fd, 3, 9 * PAGE, PAGE)"
    ),
    "chmod": 'chmod("/f", 0o600)',
    "create another file meanwhile": 'open("/new", O_RDWR | O_CREAT)',
    "fallocate (allocate)": "fallocate(fd, 0, 0, 1025 * PAGE)",
    "fallocate COLLAPSE_RANGE after the pin (at 2 MiB)": f"fallocate(fd, 8, {_2_MIB}, PAGE)",
    "fallocate COLLAPSE_RANGE before the pin": "fallocate(fd, 8, 0, PAGE)",
    "fallocate COLLAPSE_RANGE over the pin": "fallocate(fd, 8, PAGE, PAGE)",
    "fallocate INSERT_RANGE after the pin (at 2 MiB)": f"fallocate(fd, 32, {_2_MIB}, PAGE)",
    "fallocate INSERT_RANGE before the pin": "fallocate(fd, 32, 0, PAGE)",
    "fallocate PUNCH_HOLE of other pages (at 2 MiB)": f"fallocate(fd, 3, {_2_MIB}, 4 * PAGE)",
    "fallocate PUNCH_HOLE of the next page": "fallocate(fd, 3, 2 * PAGE, PAGE)",
    "fallocate PUNCH_HOLE over the pin": "fallocate(fd, 3, PAGE, PAGE)",
    "fallocate PUNCH_HOLE part of the pinned page": "fallocate(fd, 3, PAGE + 1024, 1024)",
    "fallocate UNSHARE_RANGE over the pin": "fallocate(fd, 64, PAGE, PAGE)",
    "fallocate ZERO_RANGE over the pin": "fallocate(fd, 16, PAGE, PAGE)",
    "fsync": "fsync(fd)",
    "ftruncate to 2 MiB (pin at 4 KiB stays inside)": f"ftruncate(fd, {_2_MIB})",
    "ftruncate to 4096 (pinned page is the first beyond)": "ftruncate(fd, PAGE)",
    "ftruncate to 6144 (middle of pinned page)": "ftruncate(fd, 6144)",
    "ftruncate(0)": "ftruncate(fd, 0)",
    "ftruncate(0) after 60 s of waiting for a pin": "ftruncate(fd, 0)",
    "ftruncate(grow)": "ftruncate(fd, 2048 * PAGE)",
    "open(O_TRUNC)": 'open("/f", O_RDWR | O_TRUNC)',
    "read(2) of the pinned page": "pread(fd, PAGE, PAGE)",
    "rename": 'rename("/f", "/g")',
    "rename another file over it": 'rename("/other", "/f")',
    "truncate(2) to 0": 'truncate("/f", 0)',
    "unlink (pin holder keeps fd and mapping)": 'unlink("/f")',
    "write(2) over the pin": 'pwrite(fd, "W", PAGE)',
}
"""What the other process calls."""

MEANWHILE = " while another process is blocked in ftruncate(0)"
COLLATERAL = {
    "F_SETLEASE F_RDLCK on it": ("", "fcntl(fd, F_SETLEASE, F_RDLCK)"),
    "chmod": ("", 'chmod("/f", 0o600)'),
    "create a file in the same folder": ("", 'open("/new", O_RDWR | O_CREAT)'),
    "create a file in the same folder (after that link(2))": (
        'link("/f", "/l")\n',
        'open("/new", O_RDWR | O_CREAT)',
    ),
    "fsync": ("", "fsync(fd)"),
    "link(2) of it": ("", 'link("/f", "/l")'),
    "open(O_RDONLY)": ("", 'open("/f", O_RDONLY)'),
    "page fault far from the pin": ("", "load(buf + 900 * PAGE, 1)"),
    "page fault on the pinned page": ("", "load(buf + PAGE, 1)"),
    "read(2) far from the pin": ("", "pread(fd, 1, 900 * PAGE)"),
    "second ftruncate(8M)": ("", "ftruncate(fd, 2048 * PAGE)"),
    "stat": ("", 'stat("/f")'),
    "write(2) far from the pin": ("", 'pwrite(fd, "W", 900 * PAGE)'),
}
"""What a third process calls, and what a fourth has called before it."""

SHARED = {
    "FICLONE, nothing mapped": "ioctl(o, FICLONE, fd)",
    "FIDEDUPERANGE of 1 MiB same data": "fideduperange(fd, 0, 256 * PAGE, o, 0)",
    "write(2) of 4 KiB to the clone": 'ioctl(o, FICLONE, fd)\npwrite(o, "W", 0)',
    "write(2) of 4 KiB to the source": 'ioctl(o, FICLONE, fd)\npwrite(fd, "W", 0)',
}
"""What is done to two files, of which nobody has a page."""

UNMAPPED = "ftruncate(0), holder has unmapped and closed the file, only the pipe has the page"
LAST_CLOSE = "munmap and close of an unlinked file by the process that itself holds the pin (its pipe)"
STORE = "store through the mapping to a shared extent whose page is pinned"


@cache
def facts() -> list[tuple[dict[str, Any], str]]:
    path = Path(__file__).parents[1] / "data" / "kernel_storage.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row, kernel) for row in rows for kernel in row["kernels"]]


def expected(fact: dict[str, Any]) -> str:
    outcome: str = fact["outcome"]
    return {"blocks": "hangs", "returns": "ok"}.get(outcome, outcome)


def state_of(run: Any, call: str) -> str:
    """Return in which state ps(1) would show the process that hangs in a call."""
    [site] = [v.site for v in run.result.violations if v.rule == "O3" and v.site.startswith(call)]
    if "spins" in site:
        return "R"
    if "lock" in site:
        return "D"
    pmem = run.engine.actors["pmem:p"]
    sleeps = [task.waits_for for task in pmem.tasks.values() if isinstance(task.waits_for, Sleeping)]
    return "S" if [sleep.wait for sleep in sleeps] == [Wait.INTERRUPTIBLE] else "D"


def look(play: Play, fact: dict[str, Any], kernel: str, **programs: str) -> Any:
    """Play programs, in which one call is the one of the fact; return the run."""
    violates = ["O3"] if fact["outcome"] == "blocks" or MEANWHILE in fact["op"] else []
    return play(f"P0,kernel={kernel}", head=HEAD.format(fs=fact["fs"]), violates=violates, seeds=(), **programs)


def of_a_pin(play: Play, fact: dict[str, Any], kernel: str) -> None:
    call = CALLS[fact["op"]]
    run = look(play, fact, kernel, a=HOLDER + READY, b=f"{PAIR}{call}  # -> {expected(fact)}")
    if fact["outcome"] == "blocks":
        assert state_of(run, call.partition("(")[0]) == fact["state"]
    if "signal" not in fact:
        return
    ends = "EINTR" if fact["signal"] == "EINTR" else "hangs"
    play(
        f"P0,kernel={kernel}",
        head=HEAD.format(fs=fact["fs"]),
        violates=[] if ends == "EINTR" else ["O3"],
        seeds=(),
        a=HOLDER + READY,
        b=f"{PAIR}{call}  # -> {ends}",
        c='wait_for("go")\nsleep(1)\nkill("b", SIGUSR1)\nsleep(1)'
        + ('\nkill("b", SIGKILL)' if ends == "hangs" else ""),
        details={"b": "on_signal.SIGUSR1 = 'getpid()'"},
    )


def of_others(play: Play, fact: dict[str, Any], kernel: str) -> None:
    before, call = COLLATERAL[fact["op"].removesuffix(MEANWHILE)]
    opened = 'fd = open("/f", O_RDWR)\nbuf = mmap(1024 * PAGE, PROT_READ, MAP_SHARED, fd, 0)\n'
    programs = {
        "a": HOLDER + READY,
        "b": PAIR + "ftruncate(fd, 0)  # -> hangs",
        "d": f'wait_for("go")\n{opened}sleep(2)\n{call}  # -> {expected(fact)}\n',
    }
    if before:
        programs["c"] = f'wait_for("go")\nsleep(1)\n{before}'
    run = look(play, fact, kernel, **programs)
    if fact["outcome"] == "blocks":
        waits = [v.site for v in run.result.violations if v.site.startswith(call.partition("(")[0]) and " d " in v.site]
        assert waits == [f"{call.partition('(')[0]} of d waits for a lock"]


def of_shared_blocks(play: Play, fact: dict[str, Any], kernel: str) -> None:
    call = SHARED[fact["op"]]
    program = 'fd = open("/f", O_RDWR)\no = open("/other", O_RDWR)\n' + call
    run = look(play, fact, kernel, a=f"{program}  # -> {expected(fact)}")
    for moved, path in ((fact.get("source_moved"), "/f"), (fact.get("clone_moved"), "/other")):
        if moved is not None:
            inode = run.engine.actors[f"inode:{path}"]
            assert isinstance(inode, Inode)
            assert (inode.view().pages[0] != 0) is moved


def of_a_store(play: Play, fact: dict[str, Any], kernel: str) -> None:
    program = """
fd = open("/f", O_RDWR)
pwrite(fd, "old", 0)
o = open("/other", O_RDWR)
ioctl(o, FICLONE, fd)                                 # -> 0
ro = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
p = pipe()
vmsplice(pipe_w, ro, PAGE)                            # -> ok
rw = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(rw, "new")                                      # -> 0
"""
    run = look(play, fact, kernel, a=program)
    inode, pmem = run.engine.actors["inode:/f"], run.engine.actors["pmem:p"]
    assert isinstance(inode, Inode)
    assert isinstance(pmem, Pmem)
    assert (inode.view().pages[0] != 0) is fact["moved"]
    assert fact["pinned_page_has"] == "old data"
    assert pmem.contents[0][:3] == b"old"


def of_nobody_s_mapping(play: Play, fact: dict[str, Any], kernel: str) -> None:
    unmapped = "munmap(buf, 1024 * PAGE)\nclose(fd)\n"
    look(play, fact, kernel, a=HOLDER + unmapped + READY, b=f"{PAIR}ftruncate(fd, 0)  # -> {expected(fact)}")


def of_the_last_close(play: Play, fact: dict[str, Any], kernel: str) -> None:
    last = f'unlink("/f")\nmunmap(buf, 1024 * PAGE)\nlabel("go")\nclose(fd)  # -> {expected(fact)}\n'
    run = look(play, fact, kernel, a=HOLDER + last)
    if fact["outcome"] == "blocks":
        assert state_of(run, "close") == fact["state"]


OFTEN = {"6.1", "6.18"}
"""Two kernels that differ most."""


@pytest.mark.parametrize(
    ("fact", "kernel"),
    [
        pytest.param(row, kernel, id=f"{kernel}-{row['fs']}-{row['op']}", marks=[] if kernel in OFTEN else [HEAVY])
        for row, kernel in facts()
    ],
)
def test_a_kernel_did_this(play: Play, fact: dict[str, Any], kernel: str) -> None:
    if fact["op"].endswith(MEANWHILE):
        of_others(play, fact, kernel)
    elif fact["op"] in SHARED:
        of_shared_blocks(play, fact, kernel)
    else:
        special = {UNMAPPED: of_nobody_s_mapping, LAST_CLOSE: of_the_last_close, STORE: of_a_store}
        special.get(fact["op"], of_a_pin)(play, fact, kernel)
