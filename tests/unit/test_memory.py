"""Mappings: mmap, faults, zapped page tables, SIGBUS and SIGSEGV, RLIMIT_MEMLOCK [1.8, 1.9, 2.6]."""

from collections.abc import Callable
from typing import Any

Play = Callable[..., Any]


def test_checks_of_mmap_and_their_order(play: Play) -> None:
    play(
        "P1",
        a="""
r = open("/f", O_RDONLY)
w = open("/f", O_WRONLY)
rw = open("/f", O_RDWR)
dev = ibv_open_device("rxe0")
mmap(0, PROT_READ, MAP_SHARED, 99, 7)                     # -> EINVAL (the offset first)
mmap(0, PROT_READ, MAP_SHARED, 99, 0)                     # -> EBADF
mmap(0, PROT_READ, MAP_SHARED, r, 0)                      # -> EINVAL
mmap(PAGE, PROT_READ, MAP_SHARED, w, 0)                   # -> EACCES
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0)      # -> EACCES
mmap(PAGE, PROT_READ, MAP_SHARED, r, 0)                   # -> ok
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0)     # -> ok
mmap(PAGE, PROT_READ, MAP_SHARED, dev, 0)                 # -> ENODEV
munmap(1, PAGE)                                           # -> EINVAL
munmap(0, 0)                                              # -> EINVAL
munmap(0, PAGE)                                           # -> 0 (nothing is there)
""",
    )


def test_memory_is_the_file(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE)
store(buf + PAGE - 2, "wxyz")      # -> 0 (over the edge of a page)
lseek(fd, 2 * PAGE - 2)
read(fd, 4)                        # -> b'wxyz'
lseek(fd, PAGE)
write(fd, "abc")                   # -> 3
load(buf, 3)                       # -> b'abc'
""",
    )


def test_a_hole_reads_as_zeroes_and_is_filled_by_a_store(play: Play) -> None:
    """Who mapped the zero page sees the block once another has filled the hole."""
    play(
        "P1",
        head='[[file]]\npath = "/f"',
        a="""
fd = open("/f", O_RDWR)
ftruncate(fd, PAGE)
one = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
two = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
load(two, 2)                       # -> b'\\x00\\x00'
store(one, "hi")                   # -> 0
load(two, 2)                       # -> b'hi'
""".replace("b'\\x00\\x00'", "ok"),
    )


def test_beyond_the_end_of_the_file_is_sigbus(play: Play) -> None:
    run = play(
        "P1",
        details={"a": "on_signal.SIGBUS = 'getpid()'"},
        head='[[file]]\npath = "/f"\nsize = 10',
        a="""
fd = open("/f", O_RDWR)
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
load(buf + 100, 1)                 # -> ok (the rest of the last page)
load(buf + PAGE, 1)                # -> EFAULT
store(buf + PAGE, "x")             # -> EFAULT
""",
    )
    assert run.taken("a") == ["SIGBUS: its handler runs"] * 2


def test_truncate_takes_mapped_pages_away(play: Play) -> None:
    play(
        "P1",
        details={"a": "on_signal.SIGBUS = 'getpid()'"},
        a="""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf + 3 * PAGE, "x")         # -> 0
label("mapped")
wait_for("truncated")
store(buf + 3 * PAGE, "x")         # -> EFAULT
store(buf, "x")                    # -> 0
ftruncate(fd, 4 * PAGE)            # -> 0
load(buf + 3 * PAGE, 1)            # -> ok
""",
        b="""
wait_for("mapped")
truncate("/f", PAGE)               # -> 0
label("truncated")
""",
    )


def test_truncate_takes_mapped_holes_away(play: Play) -> None:
    play(
        "P1",
        details={"a": "on_signal.SIGBUS = 'getpid()'"},
        head='[[file]]\npath = "/f"',
        a="""
fd = open("/f", O_RDWR)
ftruncate(fd, 4 * PAGE)
buf = mmap(4 * PAGE, PROT_READ, MAP_SHARED, fd, 0)
load(buf + 3 * PAGE, 1)            # -> ok
ftruncate(fd, 0)                   # -> 0
load(buf + 3 * PAGE, 1)            # -> EFAULT
""",
    )


def test_outside_of_mappings_is_sigsegv(play: Play) -> None:
    run = play(
        "P1",
        details={"a": "on_signal.SIGSEGV = 'getpid()'"},
        a="""
fd = open("/f", O_RDWR)
ro = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
store(ro, "x")                     # -> EFAULT
none = mmap(PAGE, PROT_NONE, MAP_SHARED, fd, 0)
load(none, 1)                      # -> EFAULT
munmap(ro, PAGE)
load(ro, 1)                        # -> EFAULT
load(ro, 0)                        # -> b'' (nothing is touched)
""",
    )
    assert run.taken("a") == ["SIGSEGV: its handler runs"] * 3


def test_a_fault_cannot_be_ignored(play: Play) -> None:
    run = play(
        "P1",
        a="""
sigaction(SIGSEGV, SIG_IGN)        # -> 0
load(0, 1)                         # -> EFAULT
getpid()
""",
    )
    assert run.taken("a") == ["SIGSEGV: it kills"]
    assert [call.call for call in run.result.calls] == ["sigaction", "load"]


def test_a_fault_in_its_own_handler_kills(play: Play) -> None:
    handler = "on_signal.SIGSEGV = '''\nload(1, 1)\ngetpid()\n'''"
    run = play("P1", details={"a": handler}, a="load(0, 1)")
    assert run.taken("a") == ["SIGSEGV: its handler runs", "SIGSEGV: it kills"]
    assert [call.call for call in run.result.calls] == ["load", "load"], "the handler does not go on"


def test_no_block_for_a_store_is_sigbus_and_for_a_write_enospc(play: Play) -> None:
    head = '[[pmem]]\nname = "p"\nblocks = 1\n[[file]]\npath = "/full"\nsize = "PAGE"\n[[file]]\npath = "/f"'
    run = play(
        "P1",
        details={"a": "on_signal.SIGBUS = 'getpid()'"},
        head=head,
        a="""
fd = open("/f", O_RDWR)
write(fd, "x")                     # -> ENOSPC
ftruncate(fd, PAGE)                # -> 0
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
load(buf, 1)                       # -> ok
store(buf, "x")                    # -> EFAULT
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)         # -> EFAULT
""",
    )
    assert run.taken("a") == ["SIGBUS: its handler runs"]


def test_a_child_has_the_mappings_but_not_the_entries(play: Play) -> None:
    play(
        "P1",
        details={"child": "start = 'fork'"},
        a="""
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "parent")
fork("child")
wait_for("stored")
load(buf, 6)                       # -> b'child!'
""",
        child="""
load(buf, 6)                       # -> b'parent'
store(buf, "child!")
munmap(buf, PAGE)                  # -> 0
label("stored")
""",
    )


def test_truncate_during_fork_finds_a_child_that_can_answer(play: Play) -> None:
    """The inode knows a child's mapping before the child runs: a zap must not meet nobody."""
    play(
        "P1",
        details={"child": "start = 'fork'"},
        seeds=range(60),
        a="""
fd = open("/f", O_RDWR)
one = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
two = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
label("mapped")
fork("child")
""",
        child="getpid()",
        b="""
wait_for("mapped")
truncate("/f", 0)                  # -> 0
""",
    )
