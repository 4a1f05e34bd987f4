"""Files that share blocks: FICLONE and its kin, copy on write, what they wait for, and who is told what [1.6, 2.5]."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.actors.fs.inode import Inode
from longpin.actors.kernel.generation import Version
from longpin.actors.mm.pmem import Pmem

Play = Callable[..., Any]

TWO = '[[pmem]]\nname = "p"\nblocks = 16\n[[file]]\npath = "/f"\nsize = "2 * PAGE"\n'
CLONE = """
fd = open("/f", O_RDWR)
pwrite(fd, "one", 0)
pwrite(fd, "two", PAGE)
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)                          # -> 0
"""
PINNED = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
"""
DAX_REFLINK = ("6.1", "6.12", "6.18", "7.2")


def owners(run: Any) -> dict[int, list[str]]:
    """Return the owners of each block that has one, and see that the inodes say the same."""
    pmem = run.engine.actors["pmem:p"]
    assert isinstance(pmem, Pmem)
    told = {block: sorted(str(owner) for owner in pmem.owners.of(block)) for block in pmem.owners}
    seen: dict[int, list[str]] = {}
    for inode in run.engine.actors.values():
        for page, block in inode.view().pages.items() if isinstance(inode, Inode) else ():
            seen.setdefault(block, []).append(f"page {page} of {inode.address}")
    assert {block: sorted(pages) for block, pages in seen.items()} == told
    return told


def test_a_clone_has_the_same_blocks_until_one_of_them_is_written(play: Play) -> None:
    """Whoever writes moves, the other one stays: measured from 6.1 on."""
    for writer, moved in (("c", "/c"), ("fd", "/f")):
        stays = "/f" if moved == "/c" else "/c"
        run = play(
            "P1",
            head=TWO,
            a=CLONE
            + f"""
fiemap(fd)                                     # -> b"0:0:8192 SHARED LAST"
fiemap(c)                                      # -> b"0:0:8192 SHARED LAST"
pwrite({writer}, "new", PAGE)                  # -> 3
pread(fd, 3, PAGE)                             # -> {"b'new'" if moved == "/f" else "b'two'"}
pread(c, 3, PAGE)                              # -> {"b'new'" if moved == "/c" else "b'two'"}
pread(c, 3, 0)                                 # -> b"one"
fiemap({writer})                               # -> b"0:0:4096 SHARED, 4096:8192:4096 LAST"
""",
        )
        assert owners(run) == {
            0: ["page 0 of inode:/c", "page 0 of inode:/f"],
            1: [f"page 1 of inode:{stays}"],
            2: [f"page 1 of inode:{moved}"],
        }


def test_a_policy_is_told_that_a_file_shares_blocks_until_somebody_looks(play: Play) -> None:
    """Like XFS's reflink flag: that the other file is gone is found out by a look at the blocks."""
    end = "unlink('/c')\nclose(c)\n"
    for after, told in (("", True), (end, True), (end + "fiemap(fd)\n", False)):
        run = play("P1", head=TWO, a=CLONE + after)
        inode = run.engine.actors["inode:/f"]
        assert isinstance(inode, Inode)
        file = inode.layout_view(()).file
        assert (file.shared, file.file_system) == (told, "xfs")


def test_a_store_copies_and_a_load_does_not(play: Play) -> None:
    """A mapping that could write before the clone must fault again."""
    run = play(
        "P1",
        head=TWO,
        a="""
fd = open("/f", O_RDWR)
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "abc")
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)                          # -> 0
load(buf, 3)                                   # -> b"abc"
fiemap(fd)                                     # -> b"0:0:8192 SHARED LAST"
store(buf + 1, "X")
load(buf, 3)                                   # -> b"aXc"
pread(fd, 3, 0)                                # -> b"aXc"
pread(c, 3, 0)                                 # -> b"abc"
""",
    )
    assert owners(run)[2] == ["page 0 of inode:/f"]


def test_a_block_is_free_when_the_last_file_lets_go(play: Play) -> None:
    """Also of an unlinked file that is still open, and mapped."""
    run = play(
        "P1",
        head=TWO,
        a=CLONE
        + """
unlink("/f")
pread(fd, 3, 0)                                # -> b"one"
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
close(fd)
load(buf, 3)                                   # -> b"one"
fiemap(c)                                      # -> b"0:0:8192 SHARED LAST"
munmap(buf, PAGE)
fiemap(c)                                      # -> b"0:0:8192 LAST"
pwrite(c, "won", 0)                            # -> 3 (in place: nobody shares it any more)
fiemap(c)                                      # -> b"0:0:8192 LAST"
ftruncate(c, PAGE)
""",
    )
    assert owners(run) == {0: ["page 0 of inode:/c"]}
    assert [run.engine.actors["pmem:p"].generation(block) for block in (0, 1, 2)] == [0, 1, 0]


def test_every_change_of_a_shared_block_copies(play: Play) -> None:
    run = play(
        "P1",
        head=TWO,
        a=CLONE
        + """
ftruncate(c, PAGE + 1)                         # -> 0 (the rest of the page is zeroed in a copy)
pread(fd, 3, PAGE)                             # -> b"two"
ftruncate(c, 2 * PAGE)
pread(c, 3, PAGE)                              # -> b"t\\x00\\x00"
fallocate(c, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 1)  # -> 0
pread(c, 3, 0)                                 # -> b"o\\x00e"
pread(fd, 3, 0)                                # -> b"one"
d = open("/d", O_RDWR | O_CREAT)
ioctl(d, FICLONE, fd)                          # -> 0
fallocate(d, FALLOC_FL_ZERO_RANGE, 0, PAGE)    # -> 0
fallocate(d, FALLOC_FL_UNSHARE_RANGE, 0, 2 * PAGE)  # -> 0
fiemap(d)                                      # -> b"0:16384:4096 UNWRITTEN, 4096:20480:4096 LAST"
pread(d, 3, PAGE)                              # -> b"two"
fiemap(fd)                                     # -> b"0:0:8192 LAST"
""",
    )
    assert owners(run)[0] == ["page 0 of inode:/f"]


def test_a_full_device_has_no_room_for_a_copy(play: Play) -> None:
    play(
        "P1",
        head=TWO.replace("16", "3"),
        a=CLONE
        + """
pwrite(c, "x", 0)                              # -> 1
pwrite(c, "x", PAGE)                           # -> ENOSPC
pread(c, 3, PAGE)                              # -> b"two"
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "x")                                # (the only owner now)
store(buf + PAGE, "x")
""",
        details={"a": "on_signal.SIGBUS = 'exit(0)'"},
    )


def test_the_last_page_of_a_file_is_cloned_behind_its_end(play: Play) -> None:
    """What is zeroed there is not shared yet; a later write copies."""
    run = play(
        "P1",
        head=TWO,
        a="""
fd = open("/f", O_RDWR)
pwrite(fd, "abc", PAGE)
ftruncate(fd, PAGE + 3)
ficlonerange(fd, fd, PAGE, 0, 3 * PAGE)        # -> 0
pwrite(fd, "xyz", PAGE)
pread(fd, 3, 3 * PAGE)                         # -> b"abc"
pread(fd, 3, PAGE)                             # -> b"xyz"
fiemap(fd)                                     # -> b"0:0:4096, 4096:8192:4096, 12288:4096:4096 LAST"
""",
    )
    owners(run)


def test_a_file_that_grows_copies_its_last_block(play: Play) -> None:
    """The rest of the block is zeroed, so nobody may share it [H22]; whole blocks stay as they are."""
    for grow in ("ftruncate(c, 2 * PAGE)", 'pwrite(c, "x", 3 * PAGE)', "fallocate(c, 0, 3 * PAGE, PAGE)"):
        run = play(
            "P1",
            head=TWO.replace("2 * PAGE", "PAGE + 10"),
            a=f"""
fd = open("/f", O_RDWR)
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)                          # -> 0
{grow}
fiemap(fd)                                     # -> b"0:0:4096 SHARED, 4096:4096:4096 LAST"
""",
        )
        owners(run)


def test_ranges(play: Play) -> None:
    run = play(
        "P1",
        head=TWO,
        a=CLONE
        + """
ficlonerange(fd, fd, 0, PAGE, 4 * PAGE)        # -> 0 (within one file)
stat("/f")                                     # -> 20480
pread(fd, 3, 4 * PAGE)                         # -> b"one"
pread(fd, 1, 3 * PAGE)                         # -> b"\\x00"
ficlonerange(fd, fd, 0, 2 * PAGE, PAGE)        # -> EINVAL (overlapping)
ficlonerange(c, fd, 1, PAGE, 0)                # -> EINVAL (no block begins there)
ficlonerange(c, fd, 0, 100, 0)                 # -> EINVAL (neither whole blocks nor the end)
ficlonerange(c, fd, 0, 6 * PAGE, 0)            # -> EINVAL (more than there is)
ficlonerange(c, fd, 5 * PAGE, 0, 0)            # -> 0 (nothing)
ficlonerange(c, fd, 6 * PAGE, 0, 0)            # -> EINVAL
ficlonerange(c, fd, 0 - PAGE, PAGE, 0)         # -> EINVAL
ftruncate(fd, 4 * PAGE + 3)
ficlonerange(c, fd, 4 * PAGE, 0, 0)            # -> EINVAL (the last block would have a part of two files)
ficlonerange(c, fd, 4 * PAGE, 0, PAGE)         # -> EINVAL (also in the last block: it would end before the file)
ftruncate(c, PAGE + 3)
ficlonerange(c, fd, 4 * PAGE, 3, PAGE)         # -> 0
pread(c, 4, PAGE)                              # -> b"one"
ficlonerange(c, fd, 4 * PAGE, 0, 7 * PAGE)     # -> 0
stat("/c")                                     # -> 28675
fallocate(fd, 0, 8 * PAGE, PAGE)
ficlonerange(c, fd, 8 * PAGE, PAGE, 0)         # -> 0 (what is not written is a hole in the clone)
pread(c, 3, 0)                                 # -> b"\\x00\\x00\\x00"
fiemap(c)                                      # -> b"4096:12288:4096, 28672:8192:4096 LAST"
""",
    )
    owners(run)


def test_who_may_clone_what(play: Play) -> None:
    play(
        "P1",
        head='[[pmem]]\nname = "p"\n[[pmem]]\nname = "q"\n[[pmem]]\nname = "e"\nfile_system = "ext4"\n'
        '[[file]]\npath = "/f"\nsize = "PAGE"\n[[file]]\npath = "/q/f"\npmem = "q"\nsize = "PAGE"\n'
        '[[file]]\npath = "/e/1"\npmem = "e"\nsize = "PAGE"\n[[file]]\npath = "/e/2"\npmem = "e"\nsize = "PAGE"',
        a="""
fd = open("/f", O_RDWR)
c = open("/c", O_RDWR | O_CREAT)
r = open("/c", O_RDONLY)
w = open("/f", O_WRONLY)
append = open("/c", O_RDWR | O_APPEND)
path = open("/c", O_PATH)
folder = open("/", O_RDONLY)
q = open("/q/f", O_RDWR)
e = open("/e/1", O_RDWR)
e2 = open("/e/2", O_RDWR)
p = pipe()
ctx = ibv_open_device("rxe0")
ioctl(99, FICLONE, fd)                         # -> EBADF
ioctl(c, FICLONE, 99)                          # -> EBADF
ioctl(path, FICLONE, fd)                       # -> EBADF
ioctl(c, FICLONE, path)                        # -> EBADF
ioctl(r, FICLONE, fd)                          # -> EBADF
ioctl(append, FICLONE, fd)                     # -> EBADF
ioctl(c, FICLONE, w)                           # -> EBADF
ioctl(q, FICLONE, fd)                          # -> EXDEV
ioctl(folder, FICLONE, fd)                     # -> EISDIR
ioctl(c, FICLONE, folder)                      # -> EISDIR
ioctl(p, FICLONE, fd)                          # -> EXDEV
ioctl(p, FICLONE, pipe_w)                      # -> EINVAL
ioctl(c, FICLONE, ctx)                         # -> EXDEV
ioctl(e, FICLONE, e2)                          # -> EOPNOTSUPP
ficlonerange(e, e2, 0 - 1, 0, 0)               # -> EOPNOTSUPP
fideduperange(e, 0, PAGE, e2, 0)               # -> EOPNOTSUPP
fideduperange(w, 0, PAGE, c, 0)                # -> EINVAL
fideduperange(folder, 0, PAGE, c, 0)           # -> EISDIR
fideduperange(fd, 0, PAGE, folder, 0)          # -> EISDIR
fideduperange(fd, 0, PAGE, q, 0)               # -> EXDEV
fideduperange(fd, 0, 2 * PAGE, c, 0)           # -> EINVAL
fideduperange(fd, 0, 0, c, 0)                  # -> 0
fallocate(e, FALLOC_FL_UNSHARE_RANGE, 0, PAGE)  # -> EOPNOTSUPP
fiemap(p)                                      # -> EOPNOTSUPP
copy_file_range(e, 0, e2, 0, PAGE)             # -> 4096 (read and written)
copy_file_range(fd, 0, q, 0, PAGE)             # -> EXDEV
copy_file_range(fd, 0, append, 0, PAGE)        # -> EBADF
copy_file_range(fd, 0, c, 0, PAGE, 1)          # -> EINVAL
copy_file_range(fd, 0, folder, 0, PAGE)        # -> EISDIR
copy_file_range(p, None, c, 0, PAGE)           # -> EINVAL
""",
    )


def test_deduplication_compares(play: Play) -> None:
    run = play(
        "P1",
        head=TWO,
        a="""
fd = open("/f", O_RDWR)
pwrite(fd, "same", 0)
c = open("/c", O_RDWR | O_CREAT)
pwrite(c, "same", 0)
ftruncate(c, PAGE + 5)
fideduperange(fd, 0, PAGE, c, PAGE)            # -> EINVAL (beyond the end)
fideduperange(fd, 0, 5, c, 0)                  # -> 5 (less than a block is nothing, and is told as done)
fideduperange(fd, PAGE, PAGE, c, 0)            # -> 0 (they differ)
fideduperange(fd, 0, PAGE, c, 0)               # -> 4096
fiemap(c)                                      # -> b"0:0:4096 SHARED LAST"
r = open("/c", O_RDONLY)
fideduperange(fd, 0, PAGE, r, 0)               # -> 4096 (of root's no right to write is asked)
""",
    )
    assert owners(run)[0] == ["page 0 of inode:/c", "page 0 of inode:/f"]


def test_copy_file_range_shares_whole_blocks_and_copies_the_rest(play: Play) -> None:
    run = play(
        "P1",
        head=TWO,
        a="""
fd = open("/f", O_RDWR)
pwrite(fd, "one", 0)
pwrite(fd, "two", PAGE)
c = open("/c", O_RDWR | O_CREAT)
lseek(fd, PAGE)
copy_file_range(fd, None, c, None, 2 * PAGE)   # -> 4096
read(fd, 1)                                    # -> b""
fiemap(c)                                      # -> b"0:4096:4096 SHARED LAST"
copy_file_range(fd, 0, c, None, 3)             # -> 3
pread(c, 3, PAGE)                              # -> b"one"
fiemap(c)                                      # -> b"0:4096:4096 SHARED, 4096:8192:4096 LAST"
copy_file_range(fd, 2 * PAGE, c, 0, 3)         # -> 0
copy_file_range(fd, 0, fd, 1, 2)               # -> EINVAL (overlapping)
""",
    )
    owners(run)


@pytest.mark.parametrize("kernel", [str(version) for version in Version])
def test_a_pin_makes_a_clone_spin(play: Play, kernel: str) -> None:
    """From 6.1 on, whichever of the two is pinned; up to then there is no reflink on DAX."""
    for call in ("ioctl(c, FICLONE, fd)", "ioctl(fd, FICLONE, c)", "fideduperange(c, 0, PAGE, fd, 0)"):
        spins = kernel in DAX_REFLINK
        dedupe = "dedupe" in call
        ends = "hangs" if spins else "EINVAL" if kernel == "5.4" else "4096" if dedupe else "0"
        run = play(
            f"P1,kernel={kernel}",
            head=TWO,
            violates=["O3"] if spins else [],
            a=PINNED
            + f"""
c = open("/c", O_RDWR | O_CREAT)
ftruncate(c, 2 * PAGE)
{call}                                         # -> {ends}
""",
        )
        if spins:
            [found] = run.result.violations
            assert (
                "it spins, in state R, which not even SIGKILL ends, until nothing pins page 0 of inode:/f"
                in found.detail
            )
            assert "for ever: a in" in found.detail


def test_nothing_ends_a_spin_but_the_end_of_the_pin(play: Play) -> None:
    """SIGKILL waits with it; when the region goes, the clone is made, and then the process dies."""
    run = play(
        "P1,kernel=6.18",
        head=TWO,
        a=PINNED + 'label("pinned")\nwait_for("killed")\nsleep(5)\nibv_dereg_mr(mr)',
        b="""
wait_for("pinned")
c = open("/c", O_RDWR | O_CREAT)
fd = open("/f", O_RDWR)
label("spinning")
ioctl(c, FICLONE, fd)
""",
        c="""
wait_for("spinning")
sleep(1)
kill("b", SIGKILL)
label("killed")
sleep(1)
stat("/c")                                     # -> 0
""",
    )
    assert run.ended("b") >= 5
    assert owners(run)[0] == ["page 0 of inode:/c", "page 0 of inode:/f"]


def test_a_spinning_clone_holds_up_reads_but_no_faults(play: Play) -> None:
    play(
        "P1,kernel=6.18",
        head=TWO,
        violates=["O3"],
        a=PINNED + 'label("pinned")\nwait_for("spinning")\nsleep(1)\nload(buf, 1)\nread(fd, 1)  # -> hangs',
        b='wait_for("pinned")\nc = open("/c", O_RDWR | O_CREAT)\nfd = open("/f", O_RDWR)\nlabel("spinning")\n'
        "ioctl(c, FICLONE, fd)  # -> hangs",
    )


def test_copy_file_range_sleeps_and_a_signal_makes_it_copy(play: Play) -> None:
    """remap_file_range fails with EINTR, and then the data are read and written [code: vfs_copy_file_range]."""
    run = play(
        "P1,kernel=6.18",
        head=TWO,
        a=PINNED + 'store(buf, "abc")\nlabel("pinned")\npause()',
        b="""
wait_for("pinned")
c = open("/c", O_RDWR | O_CREAT)
fd = open("/f", O_RDWR)
label("sleeping")
copy_file_range(fd, 0, c, 0, PAGE)             # -> blocks, 4096
pread(c, 3, 0)                                 # -> b"abc"
""",
        c='wait_for("sleeping")\nsleep(1)\nkill("b", SIGUSR1)',
        details={"b": "on_signal.SIGUSR1 = 'getpid()'"},
    )
    assert owners(run)[2] == ["page 0 of inode:/c"]


def test_a_clone_breaks_the_layout_leases_of_both(play: Play) -> None:
    """P5 waits for the holder's answer, and then clones."""
    for leased, other in (("/f", "/c"), ("/c", "/f")):
        play(
            "P5:intended",
            head=TWO + '[[file]]\npath = "/c"\nsize = "PAGE"\n',
            a=f"""
fd = open("{leased}", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)                # -> 0
label("leased")
pause()
""",
            b=f"""
wait_for("leased")
c = open("/c", O_RDWR)
fd = open("/f", O_RDWR)
ioctl(c, FICLONE, fd)                          # -> blocks, 0
# the other file is {other}
""",
            details={"a": "on_signal.SIGIO = 'fcntl(fd, F_SETLEASE, F_UNLCK)'"},
        )


def test_two_clones_in_opposite_directions_do_not_wait_for_each_other(play: Play) -> None:
    clone = 'wait_for("go")\nf = open("/f", O_RDWR)\nc = open("/c", O_RDWR)\nioctl({}, FICLONE, {})  # -> 0\n'
    head = TWO + '[[file]]\npath = "/c"\nsize = "2 * PAGE"\n'
    run = play("P1", head=head, a='label("go")', b=clone.format("f", "c"), c=clone.format("c", "f"), seeds=range(40))
    for one in run.schedules:
        assert len(owners(one)) == 2


def test_what_is_asked_of_a_policy_is_that_blocks_are_lost_and_shared(play: Play) -> None:
    """A write to a shared extent is subtractive, and so is what a clone puts in the place of others' blocks [1.6]."""
    run = play("P1", head=TWO, a=CLONE)
    inode = run.engine.actors["inode:/c"]
    assert isinstance(inode, Inode)
    from longpin.actors.kernel.file_system import ChangeKind, LayoutOperation

    classify = inode.data.extents.classify
    assert classify(LayoutOperation.WRITE, 0, 0) == ChangeKind.SUBTRACTIVE | ChangeKind.ADDITIVE
    assert ChangeKind.SHARING in classify(LayoutOperation.CLONE_FROM, 0, 1)
    assert ChangeKind.SUBTRACTIVE in classify(LayoutOperation.CLONE_TO, 0, 1)
