"""Names and attributes of files: link, rename, chmod, chown and their like; O_PATH, O_TMPFILE, /proc/self/fd."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

HANDLER = "on_signal.SIGIO = 'label(\"told\")'"


def test_a_file_lives_as_long_as_it_has_a_name_or_a_user(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
link("/f", "/g")                   # -> 0
link("/f", "/g")                   # -> EEXIST
link("/none", "/h")                # -> ENOENT
unlink("/f")                       # -> 0
open("/f", O_RDONLY)               # -> ENOENT
stat("/g")                         # -> 16384
unlink("/g")                       # -> 0
unlink("/g")                       # -> ENOENT
write(fd, b"still")                # -> 5
lseek(fd, 0)
read(fd, 5)                        # -> b"still"
""",
    )


def test_rename_replaces_and_two_names_of_one_file_stay(play: Play) -> None:
    play(
        "P1",
        head='[[file]]\npath = "/f"\nsize = "PAGE"\n[[file]]\npath = "/g"\n',
        a="""
stat("/g")                         # -> 0
rename("/f", "/g")                 # -> 0
stat("/g")                         # -> 4096
stat("/f")                         # -> ENOENT
rename("/f", "/g")                 # -> ENOENT
link("/g", "/h")                   # -> 0
rename("/g", "/h")                 # -> 0
stat("/g")                         # -> 4096
""",
    )


def test_a_directory_is_no_file(play: Play) -> None:
    play(
        "P1",
        a="""
mkdir("/d")                        # -> 0
mkdir("/d")                        # -> EEXIST
mkdir("/f")                        # -> EEXIST
open("/d", O_RDWR)                 # -> EISDIR
d = open("/d", O_RDONLY | O_DIRECTORY)  # -> 3
read(d, 1)                         # -> EISDIR
fcntl(d, F_SETLEASE, F_RDLCK)      # -> EINVAL
open("/f", O_RDONLY | O_DIRECTORY) # -> ENOTDIR
unlink("/d")                       # -> EISDIR
link("/d", "/e")                   # -> EPERM
truncate("/d", 0)                  # -> EISDIR
rename("/f", "/d")                 # -> EISDIR
rename("/d", "/f")                 # -> ENOTDIR
rename("/d", "/e")                 # -> 0
stat("/d")                         # -> ENOENT
""",
    )


@pytest.mark.parametrize(
    "change",
    [
        'link("/f", "/g")',
        'rename("/f", "/g")',
        'unlink("/f")',
        'chmod("/f", 0)',
        'chown("/f", 5)',
        'utimes("/f")',
        'setxattr("/f")',
        'stat("/f")',
        'access("/f", W_OK)',
    ],
)
def test_no_change_of_a_name_or_an_attribute_breaks_a_lease(play: Play, change: str) -> None:
    run = play(
        "P1",
        details={"a": HANDLER},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
wait_for("done")
fcntl(fd, F_GETLEASE)              # -> F_RDLCK
""",
        b=f"""
wait_for("leased")
{change}                           # -> ok
label("done")
""",
    )
    assert run.taken("a") == []


def test_an_overdue_lease_is_noticed_when_a_name_changes(play: Play) -> None:
    play(
        "P1",
        head="[machine]\nlease_break_time = 1",
        a="""
sigaction(SIGIO, SIG_IGN)
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
open("/f", O_WRONLY | O_NONBLOCK)  # -> EAGAIN
sleep(2)
chmod("/f", 0o600)                 # -> 0
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> EAGAIN (nothing is left to give up)
""",
    )


def test_who_may_change_what(play: Play) -> None:
    play(
        "P1",
        head='[[file]]\npath = "/own"\nuid = 1000\nmode = 0o600\n[[file]]\npath = "/other"\nmode = 0o644\n',
        details={"a": "uid = 1000"},
        a="""
chmod("/own", 0o400)               # -> 0
open("/own", O_WRONLY)             # -> EACCES
access("/own", R_OK)               # -> 0
access("/own", R_OK | W_OK)        # -> EACCES
chown("/own", 1000)                # -> 0
chown("/own", 0)                   # -> EPERM
chmod("/other", 0o666)             # -> EPERM
utimes("/other")                   # -> EACCES
setxattr("/other")                 # -> EACCES
link("/other", "/mine")            # -> EPERM (it may not be written)
access("/other", R_OK)             # -> 0
""",
    )


def test_a_lease_stays_with_its_taker_when_the_file_changes_hands(play: Play) -> None:
    play(
        "P1",
        head='[[file]]\npath = "/f"\nuid = 1000\n',
        details={"a": "uid = 1000"},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
wait_for("given")
fcntl(fd, F_GETLEASE)              # -> F_RDLCK
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> EACCES
""",
        root="""
wait_for("leased")
chown("/f", 0)                     # -> 0
label("given")
""",
    )


def test_a_descriptor_of_a_path_only_opens_nothing(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
path = open("/f", O_PATH)          # -> 4 (nothing is broken)
fcntl(fd, F_GETLEASE)              # -> F_WRLCK
read(path, 1)                      # -> EBADF
fcntl(path, F_GETLEASE)            # -> EBADF
flock(path, LOCK_SH)               # -> EBADF
copy = dup(path)                   # -> 5
read(copy, 1)                      # -> EBADF
close(path)                        # -> 0
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
open("/proc/self/fd/5", O_RDONLY)  # -> 4
""",
    )


def test_access_mode_three_is_for_neither_reading_nor_writing(play: Play) -> None:
    """It asks for both rights and breaks leases as a writer, and then counts as nothing [meas 6.18]."""
    run = play(
        "P1",
        details={"a": "on_signal.SIGIO = 'fcntl(fd, F_SETLEASE, F_UNLCK)'"},
        a="""
none = open("/f", O_ACCMODE)       # -> 3
read(none, 1)                      # -> EBADF
write(none, "x")                   # -> EBADF
ftruncate(none, 0)                 # -> EINVAL
fallocate(none, 0, 0, PAGE)        # -> EBADF
mmap(PAGE, PROT_NONE, MAP_SHARED, none, 0)  # -> EACCES
lseek(none, 5)                     # -> 5
fsync(none)                        # -> 0
fcntl(none, F_SETLEASE, F_WRLCK)   # -> 0 (nobody else has it open)
fcntl(none, F_SETLEASE, F_UNLCK)   # -> 0
fd = open("/f", O_RDONLY)
fcntl(none, F_SETLEASE, F_WRLCK)   # -> EAGAIN
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0 (the other one does not count)
label("leased")
pause()                            # -> EINTR
""",
        b='wait_for("leased")\nsleep(1)\nopen("/f", O_ACCMODE)  # -> blocks, 3\n',
    )
    assert run.taken("a") == ["SIGIO: its handler runs"]
    play("P1", head='[[file]]\npath = "/f"\nmode = 0o444', a='setuid(1000)\nopen("/f", O_ACCMODE)  # -> EACCES\n')


def test_a_file_without_a_name(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/", O_TMPFILE | O_RDWR) # -> 3
write(fd, b"abc")                  # -> 3
again = open("/proc/self/fd/3", O_RDONLY)  # -> 4
read(again, 3)                     # -> b"abc"
fcntl(again, F_SETLEASE, F_RDLCK)  # -> EAGAIN (it is open for writing)
close(fd)                          # -> 0
fcntl(again, F_SETLEASE, F_RDLCK)  # -> 0
open("/", O_TMPFILE)               # -> EINVAL
open("/f", O_TMPFILE | O_RDWR)     # -> ENOTDIR
open("/none", O_TMPFILE | O_RDWR)  # -> ENOENT
""",
    )


def test_opening_a_descriptor_again_makes_another_description(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
write(fd, b"abc")                  # -> 3
again = open("/proc/self/fd/3", O_RDONLY)  # -> 4
read(again, 3)                     # -> b"abc" (a position of its own)
close(again)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
open("/proc/self/fd/3", O_RDONLY | O_NONBLOCK)  # -> EAGAIN (its own lease is broken)
open("/proc/self/fd/9", O_RDONLY)  # -> ENOENT
""",
        details={"a": HANDLER},
    )


@pytest.mark.parametrize(("mode", "errno"), [("0o755", "ENOEXEC"), ("0o644", "EACCES")])
def test_what_is_executed_is_data_and_must_be_executable(play: Play, mode: str, errno: str) -> None:
    play("P1", a=f'chmod("/f", {mode})\nexecve("/f")  # -> {errno}\nexecve("/none")  # -> ENOENT\n')


def test_a_file_open_for_writing_is_not_executed_and_a_write_lease_is_broken(play: Play) -> None:
    run = play(
        "P1",
        details={"a": "on_signal.SIGIO = '''\nfcntl(fd, F_SETLEASE, F_UNLCK)\nclose(fd)\n'''"},
        a="""
chmod("/f", 0o755)
fd = open("/f", O_RDWR)
execve("/f")                       # -> ETXTBSY
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
label("leased")
pause()                            # -> EINTR
""",
        b='wait_for("leased")\nsleep(1)\nexecve("/f")  # -> blocks\n',
    )
    assert run.taken("a") == ["SIGIO: its handler runs"]
