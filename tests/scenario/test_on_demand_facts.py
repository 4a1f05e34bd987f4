"""What four kernels did with regions that are paged on demand, over rxe: the emulated kernel of each is asked for all.

Registration, transfers to a file that is cut, grown, punched, cloned and unmapped, and to a hole that has been read.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from unit.conftest import play_once
from unit.programs import CONTEXT, LOOPBACK

from longpin.runner.oracles.fifo import Fifo


class Fact(NamedTuple):
    """What kernels did."""

    case: str
    fs: str
    op: str
    observed: dict[str, Any]
    kernels: list[str]

    @property
    def refused(self) -> str:
        """The errno of the registration; empty: it succeeds."""
        reg = self.observed.get("reg", "ok")
        found = re.search(r"Errno: (\d+)", self.observed.get("exc", ""))
        return {"22": "EINVAL", "95": "EOPNOTSUPP"}[found[1]] if found else "" if reg == "ok" else reg


FACTS = [
    Fact(**json.loads(line))
    for line in (Path(__file__).parents[1] / "data" / "kernel_on_demand_facts.jsonl").read_text().splitlines()
]
HEADS = {
    "xfs-dax": "",
    "ext4-dax": '[[pmem]]\nname = "pmem0"\nfile_system = "ext4"\n',
    "xfs": '[[pmem]]\nname = "pmem0"\ndax = false\n',
    "ext4": '[[pmem]]\nname = "pmem0"\nfile_system = "ext4"\ndax = false\n',
    "tmpfs": '[[tmpfs]]\nmount = "/dev/shm"\n',
    "devdax": '[[dax]]\nname = "dax0.0"\nsize = "512 * PAGE"\n',
}
FLAGS = "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ"


def ask(kernel: str, fs: str, program: str, violates: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Play a program on an emulated kernel; what it answers stands at its lines."""
    played = play_once(f"P0:intended,kernel={kernel}", {"a": program}, {}, HEADS[fs], Fifo(), racy=False)
    assert played.rules == violates, played.details()


def transfer(opcode: str, local: str, offset: int, status: str, length: str = "") -> str:
    return (
        f"ibv_post_send(qp, {opcode}, {local}, mr, {offset}{length})  # -> 0\nibv_get_cq_event(cq)\n"
        f"ibv_poll_cq(cq)  # -> 1\nibv_wc_status()  # -> IBV_WC_{status}\n"
    )


def write(value: str, offset: int, status: str) -> str:
    """RDMA WRITE; the connection is made anew where it has ended."""
    again = "ibv_modify_qp(qp, IBV_QPS_RESET)\nibv_modify_qp(qp, IBV_QPS_INIT)\nibv_modify_qp(qp, IBV_QPS_RTR, qp)\n"
    text = transfer("IBV_WR_RDMA_WRITE", f'b"\\x{value}"', offset, status)
    return text if status == "SUCCESS" else text + again + "ibv_modify_qp(qp, IBV_QPS_RTS)\n"


def mapped(fact: Fact, size: str) -> str:
    path = {"tmpfs": "/dev/shm/f"}.get(fact.fs, "/file")
    return (
        CONTEXT
        + LOOPBACK
        + f"""
fd = open("{path}", O_RDWR | O_CREAT)
{size}buf = mmap(65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, 65536, {FLAGS} | IBV_ACCESS_ON_DEMAND)  # -> {fact.refused or "ok"}
"""
    )


FULL = 'fallocate(fd, 0, 0, 65536)\npwrite(fd, "x", 0)\n'


def truncated(fact: Fact, kernel: str) -> None:
    ask(kernel, fact.fs, mapped(fact, FULL) + ("" if fact.refused else "ftruncate(fd, 0)  # -> 0\n"))


def changed(fact: Fact, kernel: str) -> None:
    """Write, truncate, regrow, punch, clone where that can be, munmap."""
    program, seen = mapped(fact, FULL), fact.observed
    if not fact.refused:
        program += (
            write("33", 0, seen["write 33"])
            + f'pread(fd, 1, 0)  # -> b"\\x{seen["read(2) sees"]}"\nftruncate(fd, 4096)\n'
            + write("34", 0, seen["after ftruncate(4096): write at 0"])
            + write("35", 8192, seen["write at 8192 (beyond EOF)"])
            + "ftruncate(fd, 65536)\n"
            + write("36", 8192, seen["regrown: write 36 at 8192"])
            + f'pread(fd, 1, 8192)  # -> b"\\x{seen["read(2) at 8192"]}"\nfallocate(fd, 3, 0, 4096)\n'
            + write("37", 0, seen["after PUNCH_HOLE: write 37 at 0"])
            + f'pread(fd, 1, 0)  # -> b"\\x{seen["read(2) at 0"]}"\n'
        )
        if "file / clone at 0" in seen:
            file, clone = seen["file / clone at 0"]
            program += (
                'c = open("/clone", O_RDWR | O_CREAT)\nioctl(c, FICLONE, fd)  # -> 0\n'
                + write("38", 0, seen["after FICLONE: write 38 at 0"])
                + f'pread(fd, 1, 0)  # -> b"\\x{file}"\npread(c, 1, 0)  # -> b"\\x{clone}"\n'
            )
        program += "munmap(buf, 65536)\n" + write("39", 0, seen["after munmap: write"])
    ask(kernel, fact.fs, program)


def hole(fact: Fact, kernel: str) -> None:
    """Read a hole, then write to it; where that goes to the page of zeros, it is O1, and who reads it finds O2."""
    program, seen = mapped(fact, "ftruncate(fd, 65536)\n"), fact.observed
    damaged = False
    if not fact.refused:
        damaged = seen["read(2) of the file"] == "00"
        status, value = seen["RDMA READ of the hole"]
        program += (
            "own = mmap(8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)\n"
            "to = mmap(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)\n"
            "loc = ibv_reg_mr(pd, to, 4096, IBV_ACCESS_LOCAL_WRITE)\n"
            f'load(own, 1)  # -> b"\\x{seen["fresh anonymous page before"]}"\n'
            + transfer("IBV_WR_RDMA_READ", "loc", 0, status, ", 1")
            + f'load(to, 1)  # -> b"\\x{value}"\n'
            + write("37", 0, seen["then RDMA WRITE 37"])
            + f'pread(fd, 1, 0)  # -> b"\\x{seen["read(2) of the file"]}"\n'
            + f'load(buf, 1)  # -> b"\\x{seen["load through the mapping"]}"\n'
            + f'load(own + 4096, 1)  # -> b"\\x{seen["fresh anonymous page (read fault only)"]}"\n'
        )
    ask(kernel, fact.fs, program, {"O1", "O2"} if damaged else set())


def device_dax(fact: Fact, kernel: str) -> None:
    seen = fact.observed
    status, value = seen["read"]
    program = (
        CONTEXT
        + LOOPBACK
        + f"""
fd = open("/dev/dax0.0", O_RDWR)
buf = mmap(2097152, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, 65536, {FLAGS})
to = mmap(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
loc = ibv_reg_mr(pd, to, 4096, IBV_ACCESS_LOCAL_WRITE)
"""
        + write("33", 0, seen["write"])
        + f'load(buf, 1)  # -> b"\\x{seen["cpu sees"]}"\n'
        + transfer("IBV_WR_RDMA_READ", "loc", 0, status, ", 1")
        + f'load(to, 1)  # -> b"\\x{value}"\n'
    )
    ask(kernel, fact.fs, program)


ASKS = {
    "then ftruncate": truncated,
    "write, truncate": changed,
    "over a hole": hole,
    "pinned MR: write, read": device_dax,
}


@pytest.mark.parametrize(
    ("fact", "kernel"),
    [pytest.param(fact, kernel, id=f"{fact.fs} {fact.op[:30]} {kernel}") for fact in FACTS for kernel in fact.kernels],
)
def test_the_emulated_kernel_does_the_same(fact: Fact, kernel: str) -> None:
    next(ask for words, ask in ASKS.items() if words in fact.op)(fact, kernel)


def test_every_kernel_was_asked() -> None:
    assert {kernel for fact in FACTS for kernel in fact.kernels} == {"6.1", "6.12", "6.18", "7.2"}
    assert sum(len(fact.kernels) for fact in FACTS) == 40
