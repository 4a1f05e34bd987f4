"""A process with a number that another had: who asks by number finds it, what belongs to the dead does not [H17]."""

from collections.abc import Callable
from typing import Any

Play = Callable[..., Any]

FORKED = 'start = "fork"'


def test_a_number_that_was_reaped_can_be_had_again(play: Play) -> None:
    run = play(
        "P0",
        details={"first": FORKED, "second": FORKED, "late": FORKED},
        a="""
pid = fork("first")
clone3("second", pid)                           # -> EEXIST (a zombie still has it)
waitpid(pid)
clone3("second", 7)                             # -> EINVAL (nobody had it)
clone3("second", 0)                             # -> EINVAL
again = clone3("second", pid)                   # -> ok
clone3("late", pid)                             # -> EEXIST
kill(pid, 0)                                    # -> 0
waitpid(again)                                  # -> ok
kill(pid, 0)                                    # -> ESRCH
setuid(7)
clone3("late", pid)                             # -> EPERM
""",
        first="exit(1)\n",
        second='fd = open("/f", O_RDWR)                         # -> 3\nfork("late")\n',
        late="getpid()\n",
    )
    made = [call.ret for call in run.result.calls if call.call in ("fork", "clone3") and call.ret != -1]
    assert made[0] == made[1]
    assert made[2] not in made[:2], "the second one's children do not have the numbers of the first one's"


def test_a_group_keeps_its_number(play: Play) -> None:
    """A child is in its parent's group, which has the number of the first process, dead or not [alloc_pid]."""
    play(
        "P0",
        details={"member": FORKED},
        a='label("pid", 100)\nfork("member")\n',
        member='label("here")\nsleep(1)\n',
        b="""
wait_for("here")
pid = wait_for("pid")
sleep(0.5)
kill(pid, 0)                                    # -> ESRCH
clone3("member", pid)                           # -> EEXIST (its group has it)
sleep(1)
clone3("member", pid)                           # -> ok
""",
    )


def test_signals_of_a_lease_do_not_go_to_who_has_the_number_now(play: Play) -> None:
    """The owner of a description is a process, not a number: F_GETOWN says that it is gone [2.3.5]."""
    run = play(
        "P0",
        details={"taker": FORKED, "heir": FORKED + "\non_signal.SIGIO = 'getpid()'"},
        a="""
fd = open("/f", O_RDONLY)
pid = fork("taker")
waitpid(pid)
clone3("heir", pid)
fcntl(fd, F_GETOWN)                             # -> 0
open("/f", O_RDWR)                              # -> blocks, ok (nobody was told: the break time passes)
""",
        taker="fcntl(fd, F_SETLEASE, F_RDLCK)                  # -> 0\n",
        heir="sleep(100)                                      # -> 0\n",
    )
    assert run.taken("heir") == []


def test_who_asks_by_number_finds_the_new_one(play: Play) -> None:
    run = play(
        "P0",
        details={"first": FORKED, "heir": FORKED},
        a="""
pid = fork("first")
waitpid(pid)
clone3("heir", pid)
kill(pid, SIGTERM)                              # -> 0
waitpid(pid)                                    # -> ok
""",
        first="getpid()\n",
        heir="pause()                                         # -> hangs\n",
    )
    assert run.taken("heir") == ["SIGTERM: it kills"]
