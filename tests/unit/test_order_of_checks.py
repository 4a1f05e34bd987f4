"""Small answers of the kernel that are easy to get wrong; each line of a program says what it is."""

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner.result import Verdict
from longpin.runner.run import Settings, run

PROGRAMS = {
    "the owner of a file is gone": """
        fd = open("/f", O_RDONLY)
        child = fork("child")
        fcntl(fd, F_SETOWN, child)         # -> 0
        label("owned")
        sleep(1)
        waitpid(child)
        fcntl(fd, F_GETOWN)                # -> 0
    """,
    "fallocate looks at signs and mode before the descriptor, and at the size after it": """
        fd = open("/f", O_RDONLY)
        fallocate(fd, 0, 0, 0)             # -> EINVAL
        fallocate(fd, 999, 0, PAGE)        # -> EOPNOTSUPP
        fallocate(fd, 0, 9223372036854775807, 1)  # -> EBADF
        fallocate(fd, 0, 0, PAGE)          # -> EBADF
        child = fork("child")
        label("owned")
    """,
    "a mode the file system does not know breaks no lease": """
        fd = open("/f", O_RDWR)
        fcntl(fd, F_SETLEASE, F_LAYOUT)    # -> 0
        fallocate(fd, 999, 0, PAGE)        # -> EOPNOTSUPP
        fcntl(fd, F_GETLEASE)              # -> F_LAYOUT
        child = fork("child")
        label("owned")
    """,
    "the length before the descriptor, and descriptors end at RLIMIT_NOFILE": """
        ftruncate(99, -1)                  # -> EINVAL
        ftruncate(99, 0)                   # -> EBADF
        fd = open("/f", O_RDWR)
        dup2(fd, 1023)                     # -> 1023
        dup2(fd, 1024)                     # -> EBADF
        child = fork("child")
        label("owned")
    """,
    "the mode of a new file binds the next open": """
        setuid(1000)
        fd = open("/new", O_RDWR | O_CREAT, 0)   # -> ok
        open("/new", O_RDONLY)             # -> EACCES
        child = fork("child")
        label("owned")
    """,
    "a write that fills the device is short, and none is too far": """
        fd = open("/f", O_RDWR)
        lseek(fd, 2 * PAGE - 2)
        write(fd, "abcd")                  # -> 2
        write(fd, "e")                     # -> ENOSPC
        lseek(fd, 9223372036854775807)
        write(fd, "abc")                   # -> EINVAL
        read(fd, 1)                        # -> EINVAL
        child = fork("child")
        label("owned")
    """,
    "kill with 0 means the own group, and the child is in it": """
        child = fork("child")
        sigaction(SIGUSR1, SIG_IGN)
        kill(0, SIGUSR1)                   # -> 0
        sleep(1)
        kill(child, SIGUSR1)               # -> 0 (a zombie)
        waitpid(0)
        kill(child, SIGUSR1)               # -> ESRCH
        kill(-12345, SIGUSR1)              # -> ESRCH
        label("owned")
    """,
    "the root has its name for good": """
        rename("/", "/x")                  # -> EBUSY
        mkdir("/")                         # -> EEXIST
        child = fork("child")
        label("owned")
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_line_is_met(name: str) -> None:
    text = f"""
name = "checks"
policy = "P5:intended"
[[pmem]]
name = "pmem0"
blocks = 2
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "a"
program = '''{PROGRAMS[name].replace(chr(10) + "        ", chr(10))}'''
[[process]]
name = "child"
start = "fork"
program = '''
wait_for("owned")
'''
"""
    scenario = parse_scenario(text, "checks")
    result = run(scenario, Settings.of(scenario))
    assert result.verdict is Verdict.HOLDS, (result.reason, result.violations)
