"""A truncate that waits for a pin holds the lock of its inode, and who waits for that holds the folder [2.5].

Which calls wait, and in which state, was measured on Linux 6.18 with a write that never ends: it holds the same lock.
"""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner.exploration import explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

HEAD = '[[file]]\npath = "/f"\nsize = "PAGE"\n[[file]]\npath = "/g"\nsize = "PAGE"\n[[file]]\npath = "/d/x"\n'

HOLDER = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
label("pinned")
sleep(9)
ibv_dereg_mr(mr)
"""
TRUNCATER = 'wait_for("pinned")\ntruncate("/f", 0)  # -> blocks, 0\n'

WAIT = {
    'chmod("/f", 0o600)': "0",
    'chmod("/proc/self/fd/3", 0o600)': "0",
    'chown("/f", 5)': "0",
    'chown("/f", -1)': "0",
    'utimes("/f")': "0",
    'setxattr("/f")': "0",
    'truncate("/f", PAGE)': "0",
    "ftruncate(fd, 1)": "0",
    'open("/f", O_RDWR | O_TRUNC)': "4",
    "fallocate(fd, 0, 0, PAGE)": "0",
    "read(fd, 1)": "ok",
    'write(fd, "x")': "1",
    'unlink("/f")': "0",
    'link("/f", "/n")': "0",
    'rename("/f", "/n")': "0",
    'rename("/f", "/g")': "0",
    'rename("/g", "/f")': "0",
    'rename("/f", "/d/n")': "0",
    'link("/f", "/d/n")': "0",
}

GO_ON = {
    'stat("/f")': "4096",
    'access("/f", R_OK)': "0",
    'open("/f", O_RDWR)': "4",
    'open("/f", O_RDWR | O_CREAT)': "4",
    'open("/f", O_RDWR | O_CREAT | O_EXCL)': "EEXIST",
    'open("/f", O_PATH)': "4",
    'link("/f", "/g")': "EEXIST",
    'rename("/f", "/f")': "0",
    'execve("/f")': "EACCES",
    "fsync(fd)": "0",
    "flock(fd, LOCK_EX)": "0",
    "lseek(fd, 5)": "5",
    'write(fd, "")': "0",
    "read(fd, 0)": 'b""',
    'mkdir("/n")': "0",
    'chmod("/g", 0)': "0",
    'unlink("/g")': "0",
    "fcntl(fd, F_GETLEASE)": "F_UNLCK",
    'open("/new", O_RDWR | O_CREAT)': "4",
    "close(fd)": "0",
    "load(buf, 1)": "ok",
}


def other(*calls: str) -> str:
    start = 'wait_for("pinned")\nfd = open("/f", O_RDWR)\nbuf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)\nsleep(2)\n'
    return start + "\n".join(calls)


@pytest.mark.parametrize("call", WAIT)
def test_what_changes_a_file_waits_for_the_truncate(play: Play, call: str) -> None:
    run = play("P1", head=HEAD, a=HOLDER, truncater=TRUNCATER, b=other(f"{call}  # -> blocks, {WAIT[call]}"))
    assert run.returned("b") == 9


def test_what_only_looks_at_it_or_changes_others_does_not(play: Play) -> None:
    for call, answer in GO_ON.items():
        run = play("P1", head=HEAD, seeds=range(2), a=HOLDER, truncater=TRUNCATER, b=other(f"{call}  # -> {answer}"))
        assert run.returned("b") == 2, call


def test_a_wait_for_a_lease_holds_no_lock(play: Play) -> None:
    """Ordinary leases are broken before the lock is taken; it is dropped while layout leases are."""
    holder = """
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, {lease})     # -> 0
label("pinned")
sleep(9)
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
"""
    for policy, lease in (("P1", "F_WRLCK"), ("P5", "F_LAYOUT")):
        run = play(
            policy,
            head=HEAD,
            details={"a": "on_signal.SIGIO = '''\nsleep(9)\n'''"},
            a=holder.format(lease=lease),
            truncater=TRUNCATER,
            b='wait_for("pinned")\nsleep(2)\nchmod("/f", 0o600)  # -> 0\nlink("/f", "/n")  # -> 0\n',
        )
        assert run.returned("b") == 2


def test_a_signal_does_not_end_the_wait(play: Play) -> None:
    run = play(
        "P1",
        head=HEAD,
        details={"b": "on_signal.SIGUSR1 = 'getpid()'"},
        a=HOLDER,
        truncater=TRUNCATER,
        b=other('chmod("/f", 0o600)  # -> blocks, 0'),
        killer='wait_for("pinned")\nsleep(4)\nkill("b", SIGUSR1)  # -> 0\n',
    )
    assert run.returned("b") == 9
    assert run.taken("b") == ["SIGUSR1: its handler runs"]


def test_a_stuck_link_holds_its_folder_and_no_other(play: Play) -> None:
    wait = {
        'open("/n", O_RDWR | O_CREAT)': "3",
        'open("/g", O_RDWR | O_CREAT | O_EXCL)': "EEXIST",
        'mkdir("/n")': "0",
        'mkdir("/d")': "EEXIST",
        'link("/g", "/n")': "0",
        'link("/g", "/f")': "EEXIST",
        'link("/d/x", "/n")': "0",
        'unlink("/g")': "0",
        'unlink("/none")': "ENOENT",
        'rename("/g", "/n")': "0",
        'rename("/g", "/d/n")': "0",
        'rename("/d/x", "/n")': "0",
        'rename("/d", "/n")': "0",
        'chmod("/", 0o777)': "0",
        'utimes("/")': "0",
        'setxattr("/")': "0",
    }
    go_on = {
        'open("/g", O_RDWR | O_CREAT)': "3",
        'open("/g", O_RDWR | O_TRUNC)': "3",
        'stat("/g")': "4096",
        'stat("/none")': "ENOENT",
        'link("/g", "/d/n")': "0",
        'rename("/d/x", "/d/n")': "0",
        'rename("/d/x", "/e/n")': "0",
        'open("/d/n", O_RDWR | O_CREAT)': "3",
        'unlink("/d/x")': "0",
        'chmod("/g", 0)': "0",
        'stat("/")': "4096",
        'open("/", O_RDONLY)': "3",
        'open("/", O_TMPFILE | O_RDWR)': "3",
        'truncate("/g", 0)': "0",
    }
    for call, answer in wait.items():
        run = stuck(play, f"{call}  # -> blocks, {answer}")
        assert run.returned("b") == 9, call
    for call, answer in go_on.items():
        run = stuck(play, f"{call}  # -> {answer}")
        assert run.returned("b") == 2, call


def stuck(play: Play, *calls: str, stuck_in: str = 'link("/f", "/stuck")') -> Any:
    return play(
        "P1",
        head=HEAD,
        seeds=range(2),
        a=HOLDER,
        truncater=TRUNCATER,
        linker=f'wait_for("pinned")\nsleep(1)\n{stuck_in}  # -> blocks, 0\n',
        b='wait_for("pinned")\nsleep(2)\n' + "\n".join(calls),
    )


def test_a_stuck_rename_to_another_folder_holds_both_and_all_such_renames(play: Play) -> None:
    """Renames from folder to folder have a lock of their own [s_vfs_rename_mutex]."""
    for call, blocks in {
        'open("/n", O_RDWR | O_CREAT)': True,
        'open("/e/n", O_RDWR | O_CREAT)': True,
        'open("/d/n", O_RDWR | O_CREAT)': False,
        'rename("/d/x", "/d/n")': False,
        'rename("/d/x", "/h/n")': True,
        'unlink("/d/x")': False,
    }.items():
        line = f"{call}  # -> {'blocks, ' if blocks else ''}ok"
        run = stuck(play, line, stuck_in='rename("/f", "/e/stuck")')
        assert run.returned("b") == (9 if blocks else 2), call


def test_a_rename_onto_a_file_locks_both_in_one_order(play: Play) -> None:
    """Linux takes the two locks in the order of the inodes in memory; here it is that of their addresses."""
    for source, call, blocks in (
        ("/d/x", 'chmod("/d/x", 0)', True),
        ("/g", 'chmod("/g", 0)', False),
        ("/d/x", 'chmod("/g", 0)', False),
        ("/d/x", 'stat("/d/x")', False),
    ):
        line = f"{call}  # -> {'blocks, ' if blocks else ''}ok"
        run = stuck(play, line, stuck_in=f'rename("{source}", "/f")')
        assert run.returned("b") == (9 if blocks else 2), (source, call)


def test_what_was_unlinked_meanwhile_gets_no_name(play: Play) -> None:
    play(
        "P1",
        head=HEAD,
        a=HOLDER,
        truncater=TRUNCATER,
        unlinker=other('unlink("/f")  # -> blocks, 0'),
        linker='wait_for("pinned")\nsleep(3)\nlink("/f", "/d/n")  # -> blocks, ENOENT\n',
    )


def test_the_chain_is_named(play: Play) -> None:
    run = play(
        "P1",
        head=HEAD,
        violates=["O3"],
        a=HOLDER.replace("sleep(9)\nibv_dereg_mr(mr)", "pause()"),
        truncater='wait_for("pinned")\nfd = open("/f", O_RDWR)\nftruncate(fd, 0)\n',
        linker='wait_for("pinned")\nsleep(1)\nlink("/f", "/n")\n',
        maker='wait_for("pinned")\nsleep(2)\nopen("/new", O_RDWR | O_CREAT)\n',
    )
    [detail] = [v.detail for v in run.result.violations if "maker in line" in v.detail]
    chain = [
        "waits for the lock of the folder /, held by the call of linker",
        "which waits for the iolock of inode:/f, held by the call of truncater",
        "which waits for page 0 of inode:/f (block 0), pinned by mr:100.1",
        "whose descriptor is held by a",
    ]
    places = [detail.index(part) for part in chain]
    assert places == sorted(places)


def test_the_last_name_goes_before_the_wait_for_the_pin_and_outside_of_the_folders_lock(play: Play) -> None:
    """unlink lets go of the file after the folder; rename does it with the locks of both folders held."""
    holder = HOLDER.replace('label("pinned")', 'munmap(buf, PAGE)\nclose(fd)\nlabel("pinned")')
    for change, blocks in (('unlink("/f")', False), ('rename("/g", "/f")', True)):
        run = play(
            "P1",
            head=HEAD,
            a=holder,
            changer=f'wait_for("pinned")\n{change}  # -> blocks, 0\n',
            b=f'wait_for("pinned")\nsleep(2)\nopen("/new", O_RDWR | O_CREAT)  # -> {"blocks, " if blocks else ""}3\n',
        )
        assert run.returned("b") == (9 if blocks else 2), change


def test_a_folder_is_renamed_when_nobody_changes_names_in_it(play: Play) -> None:
    """Linux would not wait here; who waited looks again where its path leads."""
    play(
        "P1",
        head=HEAD,
        a=HOLDER,
        truncater=TRUNCATER,
        linker='wait_for("pinned")\nsleep(1)\nlink("/f", "/d/stuck")  # -> blocks, 0\n',
        mover='wait_for("pinned")\nsleep(2)\nrename("/d", "/e")  # -> blocks, 0\n',
        late='wait_for("pinned")\nsleep(3)\nunlink("/d/x")  # -> blocks, ENOENT\nunlink("/e/x")  # -> 0\n',
    )


def test_renames_in_opposite_directions_and_names_of_two_files_do_not_deadlock() -> None:
    text = 'name = "opposite"\npolicy = "P1"\n' + "".join(f'[[file]]\npath = "/{x}"\n' for x in ("a/x", "b/y"))
    for name, program in {
        "one": 'rename("/a/x", "/b/y")',
        "two": 'rename("/b/y", "/a/x")',
        "three": 'link("/a/x", "/b/z")\nunlink("/a/x")',
    }.items():
        text += f"[[process]]\nname = '{name}'\nprogram = '''\n{program}\n'''\n"
    scenario = parse_scenario(text, "x.toml")
    subject = Subject(scenario, Settings.of(scenario))
    found = explore(subject.build, always=subject.always, check=subject.check)
    assert found.complete
    assert not found.failures


@pytest.mark.parametrize(("kernel", "dies"), [("6.1", False), ("6.12", False), ("6.18", True), ("7.2", True)])
@pytest.mark.parametrize("call", ['chmod("/f", 0o600)', 'chown("/f", 5)', "ftruncate(own, 0)", 'truncate("/f", 0)'])
def test_a_deadly_signal_ends_a_wait_for_the_iolock_from_6_18_on(
    play: Play, call: str, kernel: str, dies: bool
) -> None:
    run = play(
        f"P1,kernel={kernel}",
        head=HEAD,
        seeds=range(2),
        a=HOLDER,
        truncater=TRUNCATER,
        b=f'wait_for("pinned")\nown = open("/f", O_RDWR)\nsleep(1)\nlabel("waits")\n{call}  # -> optional\n',
        killer='wait_for("waits")\nsleep(1)\nkill("b", SIGKILL)\n',
    )
    assert run.ended("b") == (2 if dies else 9)


@pytest.mark.parametrize("call", ['utimes("/f")', 'link("/f", "/l")', 'pwrite(own, "x", 0)', "pread(own, 1, 0)"])
def test_it_ends_no_other_wait_for_it(play: Play, call: str) -> None:
    run = play(
        "P1,kernel=7.2",
        head=HEAD,
        seeds=range(2),
        a=HOLDER,
        truncater=TRUNCATER,
        b=f'wait_for("pinned")\nown = open("/f", O_RDWR)\nsleep(1)\nlabel("waits")\n{call}  # -> optional\n',
        killer='wait_for("waits")\nsleep(1)\nkill("b", SIGKILL)\n',
    )
    assert run.ended("b") == 9
