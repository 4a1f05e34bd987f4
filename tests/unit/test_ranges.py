"""What processes say of ranges of their memory, where no kernel can be asked by conform: limits, policies, pins."""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT

from longpin.actors.fs.inode import Inode
from longpin.actors.mm.mm import Mm

Play = Callable[..., Any]

USER = "uid = 1000\nmemlock = '4 * PAGE'"
ANON = "buf = mmap(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)\n"


def locked(run: Any) -> int:
    """Return VmLck of the first process in pages."""
    actor = run.engine.actors["mm:100.1"]
    assert isinstance(actor, Mm)
    return actor.areas.locked_vm


def test_mlock_counts_against_its_limit_and_apart_from_pins(play: Play) -> None:
    run = play(
        "P0",
        details={"a": USER},
        a=CONTEXT
        + ANON
        + """
mlock(buf, 5 * PAGE)                # -> ENOMEM
mlock(buf, 3 * PAGE)                # -> 0
mlock(buf, 4 * PAGE)                # -> 0 (three of them are locked already)
mlock(buf + 4 * PAGE, 1)            # -> ENOMEM
ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok (pins have a count of their own)
mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0)   # -> EAGAIN
mremap(buf + 3 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE)  # -> EAGAIN
munlock(buf, 2 * PAGE)              # -> 0
mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0)   # -> ok
munmap(buf, 3 * PAGE)               # -> 0
pause()
""",
    )
    assert locked(run) == 2


def test_without_a_limit_and_with_none(play: Play) -> None:
    play("P0", a=ANON + "mlock(buf, 8 * PAGE)   # -> 0\n")
    play(
        "P0",
        details={"a": "uid = 1000\nmemlock = 0"},
        a=ANON
        + """
mlock(buf, 0)                       # -> EPERM
munlock(buf, PAGE)                  # -> 0
mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0)   # -> EPERM
""",
    )


@pytest.mark.parametrize("flags", ["MAP_SHARED", "MAP_PRIVATE"])
def test_pages_of_dax_are_not_locked(play: Play, flags: str) -> None:
    run = play(
        "P0",
        details={"a": USER},
        a=f"""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, {flags}, fd, 0)
mlock(buf, 4 * PAGE)                # -> 0
madvise(buf, PAGE, MADV_DONTNEED)   # -> 0
pause()
""",
    )
    assert locked(run) == 0


def test_a_child_has_no_locked_pages(play: Play) -> None:
    run = play(
        "P0",
        details={"child": "start = 'fork'"},
        a=ANON + "mlock(buf, PAGE)\nfork('child')\npause()\n",
        child="madvise(buf, PAGE, MADV_DONTNEED)   # -> 0\npause()\n",
    )
    assert locked(run) == 1


def test_a_file_knows_the_protection_of_each_piece(play: Play) -> None:
    run = play(
        "P0",
        a="""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mprotect(buf + PAGE, PAGE, PROT_READ)        # -> 0
pause()
""",
    )
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    assert sorted(view.prot for view in inode.view().mappings) == [1, 3, 3]
    run = play(
        "P0",
        a="""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mprotect(buf + PAGE, PAGE, PROT_READ)
mprotect(buf + PAGE, PAGE, PROT_READ | PROT_WRITE)
close(fd)
pause()
""",
    )
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    assert [view.prot for view in inode.view().mappings] == [3], "the pieces are one mapping again"


def test_a_signal_ends_the_wait_of_madv_remove(play: Play) -> None:
    run = play(
        "P1",
        details={"b": "on_signal.SIGUSR1 = 'getpid()'"},
        a=CONTEXT
        + """
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok
label("pinned")
sleep(1)
kill("b", SIGUSR1)
sleep(1)
ibv_dereg_mr(mr)                    # -> 0
""",
        b="""
wait_for("pinned")
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
madvise(buf, PAGE, MADV_REMOVE)     # -> blocks, EINTR
load(buf, 1)                        # -> ok (its map can be used again)
madvise(buf, PAGE, MADV_REMOVE)     # -> blocks, 0
""",
    )
    assert run.returned("b") == 2


def test_other_mappings_can_be_made_while_madv_remove_waits(play: Play) -> None:
    """The mmap lock is dropped: else nobody could fault in that process, a thread or a device for example."""
    play(
        "P1",
        details={"worker": "start = 'thread'"},
        a=CONTEXT
        + """
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok
clone("worker")
madvise(buf, PAGE, MADV_REMOVE)     # -> blocks, 0
""",
        worker="""
sleep(1)
mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)   # -> ok
load(buf, 1)                        # -> ok
ibv_dereg_mr(mr)                    # -> 0
""",
    )


ZEROS = "\\x00" * 5


@pytest.mark.parametrize(
    ("kernel", "outcome", "there"),
    [("6.1", "EFAULT", ZEROS), ("6.12", "EFAULT", ZEROS), ("6.18", "ok", "first"), ("7.2", "ok", "first")],
)
def test_a_range_of_several_mappings_is_moved_from_6_17_on(play: Play, kernel: str, outcome: str, there: str) -> None:
    play(
        f"P0:intended,kernel={kernel}",
        a=ANON
        + f"""
store(buf, "first")
store(buf + 3 * PAGE, "last")
munmap(buf + PAGE, PAGE)
mprotect(buf + 3 * PAGE, PAGE, PROT_READ)
to = mmap(16 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
mremap(buf, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to)   # -> {outcome}
load(to, 5)                         # -> b"{there}"
""",
    )


@pytest.mark.heavy
def test_what_is_huge_costs_what_is_touched(play: Play) -> None:
    """Memory of a run has a bound: who wants more finds that there is none left."""
    play(
        "P0",
        details={"a": "on_signal.SIGBUS = 'getpid()'"},
        a="""
a = mmap(274877906944, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)                # -> ok
mlock(a, 274877906944)             # -> 0
munlock(a, 274877906944)           # -> 0
mprotect(a, 274877906944, PROT_READ | PROT_WRITE)   # -> 0
store(a + 137438953472, "middle")   # -> 0
a = mremap(a, 274877906944, 549755813888, MREMAP_MAYMOVE)
load(a + 137438953472, 6)           # -> b"middle"
madvise(a, 549755813888, MADV_DONTNEED)             # -> 0
munmap(a, 549755813888)            # -> 0
b = mmap(274877906944, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)   # -> ok
store(b + 137438953472, "x")        # -> EFAULT
munmap(b, 274877906944)            # -> 0
b = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
store(b, "x")                       # -> 0
""",
        seeds=(),
    )
