"""Delegations of files and folders: who may have one, and which calls break it [2.8]."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

HEAD = """
[[file]]
path = "/d/f"
size = "2 * PAGE"

[[file]]
path = "/e/g"
size = "PAGE"
"""

ON_A_FILE = 'fd = open("/d/f", O_RDONLY)'
ON_A_FOLDER = 'fd = open("/d", O_RDONLY | O_DIRECTORY)'

CALLS = {
    'unlink("/d/f")': (True, True),
    'rename("/d/f", "/e/h")': (True, True),
    'rename("/e/g", "/d/f")': (True, True),
    'link("/d/f", "/e/h")': (True, False),
    'link("/e/g", "/d/h")': (False, True),
    'open("/d/new", O_CREAT | O_RDWR)': (False, True),
    'mkdir("/d/new")': (False, True),
    'open("/d/f", O_CREAT | O_RDONLY)': (False, False),
    'open("/d/f", O_RDONLY)': (False, False),
    'open("/d/f", O_WRONLY)': (True, False),
    'truncate("/d/f", 0)': (True, False),
    'chmod("/d/f", 0o600)': (True, False),
    'chown("/d/f", 1)': (True, False),
    'utimes("/d/f")': (True, False),
    'setxattr("/d/f")': (True, False),
    'chmod("/d", 0o700)': (False, True),
    'utimes("/d")': (False, True),
    'stat("/d/f")': (False, False),
    'access("/d/f", R_OK)': (False, False),
}
"""Each call, and whether it waits for a read delegation on the file ``/d/f`` and on the folder ``/d``."""


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("folder", [False, True])
def test_a_call_waits_for_a_delegation_or_does_not(play: Play, call: str, folder: bool) -> None:
    """As measured on Linux 7.2 where oracle facts name the call, the others by the code of the same function."""
    waits = CALLS[call][folder]
    play(
        "P0,kernel=7.2",
        head=HEAD,
        details={"a": "on_signal.SIGIO = 'fcntl(fd, F_SETDELEG, F_UNLCK)    # -> 0'"},
        a=f"""
{ON_A_FOLDER if folder else ON_A_FILE}
sigprocmask(SIG_BLOCK, SIGIO)                         # -> 0
fcntl(fd, F_SETDELEG, F_RDLCK)                        # -> 0
fcntl(fd, F_GETDELEG)                                 # -> F_RDLCK
fcntl(fd, F_GETLEASE)                                 # -> F_UNLCK
label("there")
{"sigsuspend()                                        # -> EINTR" if waits else 'wait_for("done")'}
fcntl(fd, F_GETDELEG)                                 # -> {"F_UNLCK" if waits else "F_RDLCK"}
""",
        b=f"""
wait_for("there")
{call}                                                # -> ok
label("done")
""",
    )


@pytest.mark.parametrize("kernel", ["5.4", "6.1", "6.12", "6.18"])
@pytest.mark.parametrize("opened", [ON_A_FILE, ON_A_FOLDER])
def test_kernels_before_6_19_have_none(play: Play, kernel: str, opened: str) -> None:
    play(
        f"P0,kernel={kernel}",
        head=HEAD,
        a=f"""
{opened}
fcntl(fd, F_SETDELEG, F_RDLCK)                        # -> EINVAL
fcntl(fd, F_GETDELEG)                                 # -> EINVAL
""",
    )


def test_a_folder_has_read_leases_only_where_the_kernel_says_so(play: Play) -> None:
    """By default F_SETLEASE refuses folders; whose kernel takes them refuses a write lease [2.1 step 4]."""
    for kernel, expected in (("7.2", "EINVAL"), ("7.2,folder_leases=true", "0")):
        play(
            f"P0,kernel={kernel}",
            head=HEAD,
            a=f"""
{ON_A_FOLDER}
fcntl(fd, F_SETLEASE, F_RDLCK)                        # -> {expected}
fcntl(fd, F_SETLEASE, F_WRLCK)                        # -> EINVAL
fcntl(fd, F_SETDELEG, F_WRLCK)                        # -> EINVAL
unlink("/d/f")                                        # -> 0
""",
        )


def test_a_delegation_that_nobody_gives_up_ends_at_its_break_time(play: Play) -> None:
    play(
        "P0,kernel=7.2",
        head=HEAD,
        a=f"""
{ON_A_FOLDER}
sigaction(SIGIO, SIG_IGN)                             # -> 0
fcntl(fd, F_SETDELEG, F_RDLCK)                        # -> 0
label("there")
wait_for("done")
fcntl(fd, F_GETDELEG)                                 # -> F_UNLCK
fcntl(fd, F_SETDELEG, F_UNLCK)                        # -> EAGAIN
""",
        b="""
wait_for("there")
unlink("/d/f")                                        # -> 0
label("done")
""",
    )


def test_a_wait_for_a_delegation_holds_no_lock_and_ends_with_a_signal(play: Play) -> None:
    """Who waits to remove a name does not keep others from the folder [code: do_unlinkat drops its lock first]."""
    play(
        "P0,kernel=7.2",
        head=HEAD + "\n[machine]\nlease_break_time = 0\n",
        details={"b": "on_signal.SIGUSR1 = 'getpid()'"},
        a=f"""
{ON_A_FILE}
sigaction(SIGIO, SIG_IGN)                             # -> 0
fcntl(fd, F_SETDELEG, F_RDLCK)                        # -> 0
label("there")
wait_for("tried")
""",
        b="""
wait_for("there")
sigaction(SIGUSR1, SIG_HANDLER, 0)                    # -> 0
unlink("/d/f")                                        # -> EINTR
label("tried")
""",
        c="""
wait_for("there")
sleep(1)                                              # -> 0
open("/d/new", O_CREAT | O_RDWR)                      # -> ok
kill("b", SIGUSR1)                                    # -> 0
""",
    )


def test_a_lease_and_a_delegation_of_one_description_are_one_record(play: Play) -> None:
    """The second one changes the type alone, and an F_UNLCK of either kind removes it [code: generic_add_lease]."""
    play(
        "P0,kernel=7.2",
        head=HEAD,
        a=f"""
{ON_A_FILE}
fcntl(fd, F_SETLEASE, F_RDLCK)                        # -> 0
fcntl(fd, F_SETDELEG, F_WRLCK)                        # -> 0
fcntl(fd, F_GETLEASE)                                 # -> F_WRLCK
fcntl(fd, F_GETDELEG)                                 # -> F_UNLCK
fcntl(fd, F_SETDELEG, F_UNLCK)                        # -> 0
fcntl(fd, F_GETLEASE)                                 # -> F_UNLCK
""",
    )


def test_ftruncate_under_a_delegation_of_its_own_is_refused(play: Play) -> None:
    """It does not wait for delegations, which truncate(2) has broken before [code: do_truncate]."""
    play(
        "P0,kernel=7.2",
        head=HEAD,
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a="""
fd = open("/d/f", O_RDWR)
fcntl(fd, F_SETDELEG, F_WRLCK)                        # -> 0
ftruncate(fd, 0)                                      # -> EAGAIN
write(fd, "x")                                        # -> 1
""",
    )


def test_who_waits_where_there_are_no_blocks_is_told(play: Play) -> None:
    """A file on tmpfs has no pins to be looked for, and of a folder nothing is listed."""
    run = play(
        "P0,kernel=7.2",
        head='[machine]\nlease_break_time = 0\n[[tmpfs]]\nmount = "/t"\n[[file]]\npath = "/t/f"\nsize = "PAGE"\n',
        violates={"O3"},
        a="""
sigprocmask(SIG_BLOCK, SIGIO)
fd = open("/t/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)                        # -> 0
folder = open("/t", O_RDONLY | O_DIRECTORY)
fcntl(folder, F_SETDELEG, F_RDLCK)                    # -> 0
label("leased")
pause()
""",
        b='wait_for("leased")\ntruncate("/t/f", 0)                              # -> hangs\n',
        c='wait_for("leased")\nopen("/t/g", O_RDWR | O_CREAT)                   # -> hangs\n',
    )
    file, folder = run.result.waiting[1:]
    assert file.endswith("(a has it as fd 3); an administrator sees lease set by process 100 (/proc/locks)"), file
    assert folder.endswith("(a has it as fd 4)"), folder
