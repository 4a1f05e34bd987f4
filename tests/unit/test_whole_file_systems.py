"""umount, remount, fsfreeze, sync, drop_caches, and what a process reads of its memory in /proc [2.9, 2.10]."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

HEAD = """
[[pmem]]
name = "root"
[[pmem]]
name = "p"
mount = "/mnt"
{more}
[[file]]
path = "/mnt/f"
size = "4 * PAGE"
"""
DAX = HEAD.format(more="")
CACHED = HEAD.format(more="dax = false")
PINNED = """
fd = open("/mnt/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "old")
p = pipe()
vmsplice(pipe_w, buf, PAGE)
munmap(buf, PAGE)
close(fd)
"""


def test_what_is_used_is_not_unmounted(play: Play) -> None:
    play(
        "P0",
        head=DAX,
        a="""
umount("/")                                # -> EBUSY
umount("/mnt/f")                           # -> EINVAL
umount("/nowhere")                         # -> ENOENT
fd = open("/mnt/f", O_RDONLY)
umount("/mnt")                             # -> EBUSY
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
close(fd)
umount("/mnt")                             # -> EBUSY
munmap(buf, PAGE)
umount("/mnt")                             # -> 0
umount("/mnt")                             # -> EINVAL
""",
        b="""
setuid(1)
umount("/mnt")                             # -> EPERM
remount_read_only("/mnt")                  # -> EPERM
drop_caches()                              # -> EACCES
""",
    )


def test_the_folder_below_is_another_file_system_afterwards(play: Play) -> None:
    play(
        "P0",
        head=DAX,
        a="""
umount("/mnt")                             # -> 0
open("/mnt/f", O_RDONLY)                   # -> ENOENT
fd = open("/mnt/f", O_RDWR | O_CREAT)      # -> ok
link("/mnt/f", "/g")                       # -> 0
stat("/g")                                 # -> 0
""",
    )


@pytest.mark.parametrize(("kernel", "outcome"), [("6.1", "0"), ("6.12", "0"), ("6.18", "hangs"), ("7.2", "hangs")])
def test_the_last_to_have_a_page_of_it_is_waited_for(play: Play, kernel: str, outcome: str) -> None:
    run = play(
        f"P0,kernel={kernel}",
        head=DAX,
        violates={"O3"} if outcome == "hangs" else (),
        a=f'{PINNED}label("pinned")\npause()\n',
        b=f'wait_for("pinned")\numount("/mnt")   # -> {outcome}\n',
    )
    if outcome == "hangs":
        assert [violation.site for violation in run.result.violations] == ["umount of b waits for a pin"]


def test_it_goes_on_when_the_page_is_read_out_of_the_pipe(play: Play) -> None:
    play(
        "P0,kernel=6.18",
        head=DAX,
        a=f'{PINNED}label("pinned")\nsleep(1)\nread(p, PAGE)\n',
        b='wait_for("pinned")\numount("/mnt")   # -> blocks, 0\n',
    )


def test_a_file_system_that_somebody_writes_does_not_become_read_only(play: Play) -> None:
    play(
        "P0",
        head=DAX,
        a="""
fd = open("/mnt/f", O_RDWR)
remount_read_only("/mnt")                  # -> EBUSY
close(fd)
reader = open("/mnt/f", O_RDONLY)
unlink("/mnt/f")
remount_read_only("/mnt")                  # -> EBUSY
close(reader)
remount_read_only("/mnt")                  # -> 0
""",
    )


def test_what_would_change_it_then_fails(play: Play) -> None:
    play(
        "P0",
        head=DAX,
        a="""
remount_read_only("/mnt")                  # -> 0
open("/mnt/f", O_RDWR)                     # -> EROFS
open("/mnt/f", O_RDONLY | O_TRUNC)         # -> EROFS
open("/mnt/g", O_RDWR | O_CREAT)           # -> EROFS
open("/mnt", O_RDWR | O_TMPFILE)           # -> EROFS
truncate("/mnt/f", 0)                      # -> EROFS
chmod("/mnt/f", 0o600)                     # -> EROFS
utimes("/mnt/f")                           # -> EROFS
setxattr("/mnt/f")                         # -> EROFS
unlink("/mnt/f")                           # -> EROFS
rename("/mnt/f", "/mnt/g")                 # -> EROFS
link("/mnt/f", "/mnt/g")                   # -> EROFS
mkdir("/mnt/d")                            # -> EROFS
access("/mnt/f", W_OK)                     # -> EROFS
access("/mnt/f", R_OK)                     # -> 0
fd = open("/mnt/f", O_RDONLY)              # -> ok
pread(fd, 1, 0)                            # -> b"\\x00"
open("/f", O_RDWR | O_CREAT)               # -> ok
""",
    )


def test_a_freeze_waits_for_who_changes_a_file(play: Play) -> None:
    play(
        "P0",
        head=DAX,
        a=f'{PINNED}label("pinned")\nwait_for("frozen")\nsleep(1)\nread(p, PAGE)\n',
        b='wait_for("pinned")\nfsfreeze("/mnt")   # -> 0\nlabel("frozen")\ntruncate("/mnt/f", 0)   # -> blocks, 0\n',
    )
    play(
        "P0",
        head=DAX,
        seeds=(),
        a=f'{PINNED}label("pinned")\nsleep(2)\nread(p, PAGE)\n',
        b='wait_for("pinned")\ntruncate("/mnt/f", 0)   # -> blocks, 0\n',
        c='wait_for("pinned")\nsleep(1)\nfsfreeze("/mnt")   # -> blocks, 0\n',
    )


@pytest.mark.parametrize("call", ["sync()", 'fsfreeze("/mnt")', "fsync(fd)"])
def test_what_is_in_memory_is_written_back(play: Play, call: str) -> None:
    play(
        "P0",
        head=CACHED,
        a=f"""
fd = open("/mnt/g", O_RDWR | O_CREAT)
pwrite(fd, "new", 0)
fiemap(fd)                                 # -> b"0:0:4096 UNKNOWN DELALLOC LAST"
{call}                                     # -> 0
fiemap(fd)                                 # -> b"0:16384:4096 LAST"
""",
    )


def test_pages_that_are_written_back_and_unused_are_dropped(play: Play) -> None:
    played = play(
        "P0",
        head=CACHED,
        a="""
fd = open("/mnt/f", O_RDWR)
pread(fd, 4, 0)
pwrite(fd, "new", PAGE)
drop_caches()                              # -> 0
pread(fd, 3, PAGE)                         # -> b"new"
label("dropped")
pause()
""",
    )
    for run in played.schedules:
        assert set(run.engine.actors["inode:/mnt/f"].data.pages) == {1}, "what is not written back stays"


def test_a_process_reads_what_is_charged_and_where_its_pages_are(play: Play) -> None:
    play(
        "P0",
        head=DAX,
        a="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
pagemap(buf)                               # -> b""
mr = ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)
mlock(buf, 3 * PAGE)
proc_status("VmPin")                       # -> 8
proc_status("VmLck")                       # -> 12
proc_status("VmRSS")                       # -> EINVAL
pagemap(buf + PAGE + 5)                    # -> b"ram:100.1 1"
fd = open("/mnt/f", O_RDWR)
file = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE)
load(file, 1)
pagemap(file)                              # -> b"pmem:p 2"
setuid(1)
pagemap(file)                              # -> b""
""",
    )
