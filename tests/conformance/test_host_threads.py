"""Threads on the host engine: the same scenario in the emulator and in real processes, and what is refused."""

import pytest

from longpin.config.loader import parse_scenario
from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.runner.host.run import run_on_host
from longpin.runner.result import Verdict
from longpin.runner.run import Settings, run


def scenario(**programs: str) -> Scenario:
    text = 'name = "x"\npolicy = "P0"\nholds = ["O7"]\n[[file]]\npath = "/f"\nsize = "PAGE"\n'
    for name, program in programs.items():
        start = 'start = "thread"\n' if name.startswith("t") else ""
        text += f"[[process]]\nname = \"{name}\"\n{start}program = '''{program}'''\n"
    return parse_scenario(text, "x.toml")


SHARING = scenario(
    a="""
fd = open("/f", O_RDWR)
sigprocmask(SIG_BLOCK, SIGUSR1)
t = clone("t")                       # -> 10001
pthread_join(100)                    # -> EDEADLK
pthread_join(12345)                  # -> ESRCH
tgkill(100, t, SIGUSR1)              # -> 0
sigtimedwait()                       # -> EAGAIN
tgkill(100, t, 70)                   # -> EINVAL
tgkill(t, t, 0)                      # -> ESRCH
kill(t, 0)                           # -> 0
label("sent")
pthread_join(t)                      # -> 0
pthread_join(t)                      # -> ESRCH
read(4, 3)                           # -> b"new"
gettid()                             # -> 100
""",
    t="""
gettid()                             # -> 10001
getpid()                             # -> 100
wait_for("sent")
sigtimedwait()                       # -> SIGUSR1
write(fd, "new")                     # -> 3
open("/f", O_RDONLY)                 # -> 4
""",
)

BREAK = scenario(
    a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETSIG, SIGURG)
t = clone("t")
wait_for("blocked")
fcntl(fd, F_SETOWN_EX, F_OWNER_TID, t)  # -> 0
fcntl(fd, F_GETOWN)                  # -> 10001
fcntl(fd, F_SETLEASE, F_RDLCK)       # -> 0
label("leased")
pthread_join(t)                      # -> 0
""",
    t="""
sigprocmask(SIG_BLOCK, SIGURG)
label("blocked")
sigwaitinfo()                        # -> SIGURG
fcntl(si_fd, F_SETLEASE, F_UNLCK)    # -> 0
""",
    b='wait_for("leased")\nopen("/f", O_WRONLY)   # -> ok\n',
)


@pytest.mark.parametrize("loaded", [SHARING, BREAK], ids=["what they share", "a break told to one"])
def test_the_kernel_does_what_the_emulator_does(loaded: Scenario) -> None:
    for result in (run(loaded, Settings.of(loaded)), run_on_host(loaded, "x.toml")):
        assert result.verdict is Verdict.HOLDS, (result.policy, result.violations, result.reason)


@pytest.mark.parametrize(
    ("program", "thread", "message"),
    [
        ('clone("t")\npthread_exit()', "getpid()", "a: expected pthread_exit of a thread that clone made"),
        ('clone("t")', "sigaction(SIGIO, SIG_IGN)", "process.t.program: expected no sigaction beside threads"),
    ],
)
def test_what_several_threads_may_not_do_there(program: str, thread: str, message: str) -> None:
    with pytest.raises(ScenarioError) as told:
        run_on_host(scenario(a=program, t=thread), "x.toml")
    assert message.removeprefix("a: ") in str(told.value)
