"""/proc/self/fd: what a descriptor refers to, in every call that takes a path; measured on Linux 6.18."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

OPENED = """
fd = open("/f", O_RDWR)                          # -> 3
gone = open("/gone", O_RDWR | O_CREAT)           # -> 4
unlink("/gone")
r = pipe()                                       # -> 5
mkdir("/d")
dir = open("/d", O_RDONLY)                       # -> 7
path = open("/f", O_PATH)                        # -> 8
dirpath = open("/d", O_PATH)                     # -> 9
"""

ANSWERS: dict[str, dict[str, str]] = {
    'stat("{}")': {"3": "16384", "4": "0", "5": "0", "6": "0", "7": "4096", "8": "16384", "9": "4096", "99": "ENOENT"},
    'access("{}", R_OK)': {"3": "0", "4": "0", "5": "0", "7": "0", "8": "0", "99": "ENOENT", "03": "ENOENT"},
    'access("{}", X_OK)': {"3": "EACCES", "5": "EACCES", "7": "0", "8": "EACCES"},
    'chmod("{}", 0o600)': {"3": "0", "4": "0", "5": "0", "7": "0", "8": "0", "9": "0", "99": "ENOENT", "x": "ENOENT"},
    'chown("{}", 0)': {"3": "0", "4": "0", "5": "0", "7": "0", "8": "0", "99": "ENOENT"},
    'utimes("{}")': {"3": "0", "4": "0", "5": "0", "7": "0", "8": "0", "99": "ENOENT"},
    'setxattr("{}")': {"3": "0", "4": "0", "5": "EPERM", "6": "EPERM", "7": "0", "8": "0", "99": "ENOENT"},
    'truncate("{}", 10)': {"3": "0", "4": "0", "5": "EINVAL", "7": "EISDIR", "8": "0", "9": "EISDIR", "99": "ENOENT"},
    'execve("{}")': {"3": "EACCES", "5": "EACCES", "7": "EACCES", "99": "ENOENT"},
    'unlink("{}")': {"3": "EPERM", "5": "EPERM", "7": "EPERM", "99": "ENOENT", "3/": "ENOTDIR", "7/": "ENOTDIR"},
    'link("{}", "/new")': {"3": "EXDEV", "4": "EXDEV", "5": "EXDEV", "7": "EXDEV", "99": "ENOENT", "3/": "ENOTDIR"},
    'link("{}", "/f")': {"3": "EEXIST", "99": "ENOENT", "7/": "EEXIST"},
    'link("{}", "/none/x")': {"3": "ENOENT"},
    'link("{}", "/new/")': {"7/": "ENOENT", "3": "ENOENT"},
    'link("/f", "{}")': {"3": "EEXIST", "7": "EEXIST", "99": "ENOENT", "3/": "EEXIST", "3/x": "ENOTDIR"},
    'link("/nobody", "{}")': {"3": "ENOENT", "3/x": "ENOENT"},
    'rename("{}", "/new")': {"3": "EXDEV", "7": "EXDEV", "99": "EXDEV", "3/": "EXDEV", "3/x": "ENOTDIR"},
    'rename("{}", "/")': {"3": "EXDEV"},
    'rename("/f", "{}")': {"3": "EXDEV", "99": "EXDEV"},
    'rename("/nobody", "{}")': {"3": "EXDEV"},
    'rename("/f/x", "{}")': {"3": "ENOTDIR"},
    'rename("{}", "/proc/self/fd/4")': {"3": "EPERM", "4": "0", "99": "ENOENT", "4/": "ENOTDIR"},
    'rename("{}", "/proc/self/fd/99")': {"3": "ENOENT"},
    'mkdir("{}")': {"3": "EEXIST", "7": "EEXIST", "99": "ENOENT", "3/": "EEXIST", "3/x": "ENOTDIR"},
    'open("{}", O_RDONLY)': {"3": "10", "4": "11", "5": "12", "7": "13", "8": "14", "9": "15", "99": "ENOENT"},
    'open("{}", O_WRONLY)': {"3": "10", "7": "EISDIR", "8": "11", "9": "EISDIR"},
    'open("{}", O_PATH)': {"3": "10", "5": "11", "7": "12", "8": "13", "99": "ENOENT"},
    'open("{}", O_DIRECTORY)': {"3": "ENOTDIR", "5": "ENOTDIR", "7": "10", "8": "ENOTDIR"},
    'open("{}", O_RDWR | O_CREAT)': {"3": "10", "5": "11", "7": "EISDIR", "99": "ENOENT", "3/": "EISDIR"},
    'open("{}", O_RDWR | O_CREAT | O_EXCL)': {"3": "EEXIST", "5": "EEXIST", "7": "EEXIST", "99": "ENOENT"},
    'open("{}", O_RDONLY | O_TRUNC)': {"3": "10", "4": "11", "5": "12", "7": "EISDIR"},
    'open("{}", O_RDWR | O_TMPFILE)': {"3": "ENOTDIR", "5": "ENOTDIR", "7": "10", "9": "11"},
    'open("{}", O_CREAT | O_DIRECTORY)': {"3": "EINVAL", "99": "EINVAL"},
    'open("{}", O_ACCMODE)': {"3": "10", "5": "EINVAL", "7": "EISDIR"},
    'open("{}", O_RDWR | O_CREAT | O_NONBLOCK)': {"7/x": "10", "9/y": "11", "3/x": "ENOTDIR", "99/x": "ENOENT"},
}  # fmt: skip


@pytest.mark.parametrize("call", ANSWERS)
def test_what_each_call_does_with_each_kind_of_descriptor(play: Play, call: str) -> None:
    lines = [f"{call.format(f'/proc/self/fd/{name}')}  # -> {answer}" for name, answer in ANSWERS[call].items()]
    play("P1", seeds=range(2), a=OPENED + "\n".join(lines) + '\nmkdir("/none")  # not there before\n')


def test_what_is_below_a_folder_is_where_the_folder_is_now(play: Play) -> None:
    play(
        "P1",
        a="""
mkdir("/d")
dir = open("/d", O_RDONLY)                       # -> 3
open("/proc/self/fd/3/x", O_RDWR | O_CREAT)      # -> 4
stat("/d/x")                                     # -> 0
rename("/d", "/e")                               # -> 0
link("/proc/self/fd/3/x", "/proc/self/fd/3/y")   # -> 0
stat("/e/y")                                     # -> 0
rename("/proc/self/fd/3/y", "/z")                # -> 0
unlink("proc/self/fd/3/x")                       # -> 0
mkdir("/proc/self/fd/3/in")                      # -> 0
stat("/e/in")                                    # -> 4096
stat("/proc/self/fd/3/../z")                     # -> 0
mkdir("/empty")
rename("/e", "/empty")                           # -> 0
stat("/proc/self/fd/3/in")                       # -> 4096
mkdir("/other")
gone = open("/other", O_RDONLY)                  # -> 5
rename("/empty", "/other")                       # -> 0
stat("/proc/self/fd/5")                          # -> 4096
open("/proc/self/fd/5/x", O_RDWR | O_CREAT)      # -> ENOENT (no name is made in a folder that is gone)
open("/proc/self/fd/5", O_RDWR | O_TMPFILE)        # -> 6
mkdir("/proc/self/fd/5/x")                       # -> ENOENT
rename("/z", "/proc/self/fd/5/x")                # -> ENOENT
""",
    )


def test_rights_are_asked_of_what_the_descriptor_refers_to(play: Play) -> None:
    play(
        "P1",
        head='[[file]]\npath = "/f"\nmode = 0o600\n',
        a="""
fd = open("/f", O_RDWR)                          # -> 3
r = pipe()                                       # -> 4
setuid(1000)
open("/proc/self/fd/3", O_RDONLY)                # -> EACCES
truncate("/proc/self/fd/3", 0)                   # -> EACCES
ftruncate(fd, 0)                                 # -> 0
stat("/proc/self/fd/3")                          # -> 0
chmod("/proc/self/fd/3", 0)                      # -> EPERM
open("/proc/self/fd/4", O_RDONLY)                # -> EACCES (a pipe is its maker's)
access("/proc/self/fd/4", R_OK)                  # -> EACCES
utimes("/proc/self/fd/4")                        # -> EACCES
chown("/proc/self/fd/4", 1000)                   # -> EPERM
truncate("/proc/self/fd/4", 0)                   # -> EINVAL
""",
    )


def test_a_device_opened_again_is_another_context(play: Play) -> None:
    play(
        "P1",
        a="""
ctx = ibv_open_device("rxe0")                    # -> 3
pd = ibv_alloc_pd(ctx)
again = open("/proc/self/fd/3", O_RDWR)          # -> 4
path = open("/proc/self/fd/3", O_PATH)           # -> 5
stat("/proc/self/fd/3")                          # -> 0
access("/proc/self/fd/3", R_OK | W_OK)           # -> 0
setxattr("/proc/self/fd/3")                      # -> EPERM
other = ibv_alloc_pd(again)                      # -> ok
close(again)                                     # -> 0
ibv_dealloc_pd(other)                            # -> EBADF
close(path)                                      # -> 0 (it had opened nothing)
ibv_dealloc_pd(pd)                               # -> 0
path = open("/proc/self/fd/3", O_PATH)           # -> 4
pd = ibv_alloc_pd(ctx)
close(ctx)
ibv_dealloc_pd(pd)                               # -> EBADF (only a path of it is left)
""",
    )


def test_a_lease_is_broken_through_a_descriptor_as_by_a_name(play: Play) -> None:
    run = play(
        "P1",
        details={"a": "on_signal.SIGIO = 'fcntl(fd, F_SETLEASE, F_UNLCK)'"},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)                   # -> 0
label("leased")
pause()                                          # -> EINTR
""",
        b="""
wait_for("leased")
path = open("/f", O_PATH)                        # -> 3
sleep(1)
truncate("/proc/self/fd/3", 0)                   # -> blocks, 0
""",
    )
    assert run.taken("a") == ["SIGIO: its handler runs"]
