"""fallocate(2): every mode, its errnos, and what it asks before it moves a block."""

from collections.abc import Callable
from typing import Any

from longpin.actors.fs.inode import Inode
from longpin.actors.mm.pmem import Pmem
from longpin.runner.exploration.canonical import canonical

Play = Callable[..., Any]

FILLED = """
fd = open("/f", O_RDWR)
write(fd, b"aaaa")
lseek(fd, PAGE)
write(fd, b"bbbb")
lseek(fd, 2 * PAGE)
write(fd, b"cccc")
"""


def test_errnos(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
fallocate(fd, 0, 0, 0)             # -> EINVAL
fallocate(fd, 0, 0 - 1, PAGE)      # -> EINVAL
fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE)  # -> EOPNOTSUPP (only with KEEP_SIZE)
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 1, PAGE)  # -> EINVAL
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4 * PAGE)  # -> EINVAL (nothing would be left)
fallocate(fd, FALLOC_FL_INSERT_RANGE, 4 * PAGE, PAGE)  # -> EINVAL (at the end)
r = open("/f", O_RDONLY)
fallocate(r, 0, 0, PAGE)           # -> EBADF
p = pipe()
fallocate(pipe_w, 0, 0, PAGE)      # -> ESPIPE
fallocate(99, 0, 0, PAGE)          # -> EBADF
fallocate(fd, 0x80, 0, PAGE)       # -> EOPNOTSUPP (known to the kernel, not to the file system)
fallocate(r, 0x40, 0, PAGE)        # -> EBADF
fallocate(r, 0x81, 0, PAGE)        # -> EOPNOTSUPP (not even to the kernel)
fallocate(pipe_w, 0x80, 0, PAGE)   # -> ESPIPE
""",
    )


def test_space_is_allocated_with_and_without_a_new_size(play: Play) -> None:
    play(
        "P1",
        head='[[pmem]]\nname = "p"\nblocks = 8\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        a="""
fd = open("/f", O_RDWR)
fallocate(fd, FALLOC_FL_KEEP_SIZE, 4 * PAGE, 2 * PAGE)  # -> 0
stat("/f")                         # -> 16384
fallocate(fd, 0, 0, 6 * PAGE)      # -> 0
stat("/f")                         # -> 24576
fallocate(fd, 0, 0, 9 * PAGE)      # -> ENOSPC
""",
    )


def test_a_punched_hole_reads_as_zeroes_and_frees_whole_pages(play: Play) -> None:
    play(
        "P1",
        head='[[pmem]]\nname = "p"\nblocks = 4\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        a=f"""{FILLED}
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 2 * PAGE)  # -> 0
lseek(fd, 0)
read(fd, 4)                        # -> b"aa\\x00\\x00"
lseek(fd, PAGE)
read(fd, 4)                        # -> b"\\x00\\x00\\x00\\x00"
lseek(fd, 2 * PAGE)
read(fd, 4)                        # -> b"\\x00\\x00cc"
g = open("/g", O_CREAT | O_RDWR)
write(g, b"x")                     # -> 1 (one block was free)
lseek(g, PAGE)
write(g, b"x")                     # -> ENOSPC
""",
    )


def test_zero_range_keeps_the_blocks(play: Play) -> None:
    play(
        "P1",
        a=f"""{FILLED}
fallocate(fd, FALLOC_FL_ZERO_RANGE, PAGE, 2 * PAGE)  # -> 0
lseek(fd, PAGE)
read(fd, 2)                        # -> b"\\x00\\x00"
lseek(fd, 0)
read(fd, 2)                        # -> b"aa"
fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 4 * PAGE, PAGE)  # -> 0
stat("/f")                         # -> 16384
fallocate(fd, FALLOC_FL_ZERO_RANGE, 4 * PAGE, PAGE)  # -> 0
stat("/f")                         # -> 20480
""",
    )


def test_a_range_is_taken_out_and_put_in(play: Play) -> None:
    play(
        "P1",
        a=f"""{FILLED}
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, PAGE, PAGE)  # -> 0
stat("/f")                         # -> 12288
lseek(fd, PAGE)
read(fd, 4)                        # -> b"cccc"
fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PAGE)  # -> 0
stat("/f")                         # -> 16384
lseek(fd, 0)
read(fd, 2)                        # -> b"\\x00\\x00"
lseek(fd, PAGE)
read(fd, 4)                        # -> b"aaaa"
lseek(fd, 2 * PAGE)
read(fd, 4)                        # -> b"cccc"
""",
    )


def test_a_mapping_sees_what_moved(play: Play) -> None:
    play(
        "P1",
        a=f"""{FILLED}
m = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
load(m + PAGE, 2)                  # -> b"bb"
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, PAGE, PAGE)  # -> 0
load(m + PAGE, 2)                  # -> b"cc"
store(m + PAGE, b"dd")
lseek(fd, PAGE)
read(fd, 4)                        # -> b"ddcc"
""",
    )


def test_no_lease_is_broken_but_pins_are_waited_for(play: Play) -> None:
    pinned = """
fd = open("/f", O_RDWR)
m = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
mr = ibv_reg_mr(pd, m, PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> ok
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)  # -> hangs
"""
    play("P1", a=pinned, details={"a": 'capabilities = ["CAP_IPC_LOCK"]'}, violates=["O3"])
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)  # -> 0
fcntl(fd, F_GETLEASE)              # -> F_WRLCK
""",
    )


def extents_after(play: Play, program: str) -> list[tuple[int, int, int, str]]:
    """Return the page, block, length and state of each extent of /f, one page at the start, after a program."""
    run = play("P1", head='[[pmem]]\nname = "p"\nblocks = 32\n[[file]]\npath = "/f"\nsize = "PAGE"', a=program)
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    return [(e.page, e.block, e.length, e.state.value) for e in inode.view().extents]


def test_preallocated_pages_read_as_zeros_until_they_are_written(play: Play) -> None:
    """A load maps the page of zeros there; a store and a write make the one page written, and zero the rest of it."""
    assert extents_after(
        play,
        """
g = open("/g", O_CREAT | O_RDWR)
write(g, b"secret")
ftruncate(g, 0)                    # (block 1 is free, and its bytes are still there)
fd = open("/f", O_RDWR)
fallocate(fd, 0, PAGE, 8 * PAGE)   # -> 0
m = mmap(9 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
load(m + PAGE, 6)                  # -> b"\\x00\\x00\\x00\\x00\\x00\\x00"
pread(fd, 6, PAGE)                 # -> b"\\x00\\x00\\x00\\x00\\x00\\x00"
pwrite(fd, b"x", PAGE + 3)         # -> 1
load(m + PAGE, 6)                  # -> b"\\x00\\x00\\x00x\\x00\\x00"
store(m + 5 * PAGE, b"y")
pread(fd, 2, 5 * PAGE)             # -> b"y\\x00"
""",
    ) == [(0, 0, 2, "written"), (2, 2, 3, "unwritten"), (5, 5, 1, "written"), (6, 6, 3, "unwritten")]


def test_extents_beyond_the_end(play: Play) -> None:
    """They count when the file grows into them; a truncate to where it ends already frees them [meas 6.18, XFS]."""
    program = """
fd = open("/f", O_RDWR)
fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE)  # -> 0
stat("/f")                         # -> 4096
"""
    kept = [(0, 0, 1, "written"), (1, 1, 3, "unwritten")]
    assert extents_after(play, program) == kept
    assert extents_after(play, f"{program}\nftruncate(fd, 2 * PAGE)  # -> 0\n") == kept
    assert extents_after(play, f"{program}\nftruncate(fd, PAGE)  # -> 0\n") == kept[:1]
    assert extents_after(play, f"{program}\nftruncate(fd, 0)  # -> 0\n") == []


def test_a_zeroed_range_is_preallocated(play: Play) -> None:
    program = """
fd = open("/f", O_RDWR)
pwrite(fd, b"abc", PAGE - 1)       # -> 3
pwrite(fd, b"d", 2 * PAGE)         # -> 1
m = mmap(3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
load(m + PAGE, 2)                  # -> b"bc"
fallocate(fd, FALLOC_FL_ZERO_RANGE, PAGE - 1, PAGE + 2)  # -> 0
load(m + PAGE, 2)                  # -> b"\\x00\\x00"
pread(fd, 3, PAGE - 2)             # -> b"\\x00\\x00\\x00"
pread(fd, 1, 2 * PAGE)             # -> b"\\x00"
"""
    zeroed = [(0, 0, 1, "written"), (1, 1, 1, "unwritten"), (2, 2, 1, "written")]
    assert extents_after(play, program) == zeroed
    write = """
pwrite(fd, b"e", PAGE + 1)         # -> 1
pread(fd, 3, PAGE)                 # -> b"\\x00e\\x00"
"""
    assert extents_after(play, program + write) == [(0, 0, 3, "written")]


def test_a_large_file_costs_its_extents(play: Play) -> None:
    """100,000 pages are allocated, punched and freed in a few messages and a few records."""
    run = play(
        "P1",
        head='[[pmem]]\nname = "p"\nblocks = 200_000\n[[file]]\npath = "/f"\nsize = "PAGE"',
        a="""
fd = open("/f", O_RDWR)
fallocate(fd, 0, 0, 100_000 * PAGE)  # -> 0
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 500 * PAGE, 50_000 * PAGE)  # -> 0
""",
    )
    assert run.engine.arrivals < 70
    pmem, inode = run.engine.actors["pmem:p"], run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    assert isinstance(pmem, Pmem)
    assert (len(inode.view().extents), len(pmem.owners.runs), len(pmem.generations.runs)) == (3, 2, 1)
    assert len(repr(canonical(pmem))) < 3000
