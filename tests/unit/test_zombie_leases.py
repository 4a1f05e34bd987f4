"""Each sentence of the mail about zombie leases [S5], Weiny's and Chinner's that it answers, as a small scenario.

A test's docstring says the sentence in our words. ``zombie-lease``, ``zombie-kill-order`` and ``number-used-again`` are
the shipped scenarios; here they are explored.
"""

from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from unit.programs import CONTEXT, DEVICE, LOOPBACK, OPEN, REGISTER, REGISTER_REMOTE, leases, pinned

from longpin.actors.fs.inode import Inode
from longpin.config.loader import parse_scenario
from longpin.runner.exploration import Exploration, explore
from longpin.runner.result import Verdict
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

TAKE = "fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> 0\n"
PINNED = DEVICE + TAKE + REGISTER
CHILD = {"child": 'start = "fork"'}
WANTS_MORE = "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM\n"


def test_a_lease_is_of_the_open_file_description(play: Play) -> None:
    """Copies of a descriptor, by dup or by fork, refer to one lease, and each may change it or give it up."""
    play(
        "P6",
        details=CHILD,
        seeds=range(3),
        a='fd = open("/f", O_RDWR)\nagain = dup(fd)\n'
        + TAKE
        + "close(fd)\nfcntl(again, F_GETLEASE)                                    # -> F_LAYOUT\n"
        + 'fork("child")\nwait_for("gone")\nfcntl(again, F_GETLEASE)                  # -> F_UNLCK\n',
        child='fcntl(again, F_SETLEASE, F_UNLCK)                               # -> 0\nlabel("gone")\n',
    )


def test_it_ends_when_all_of_them_are_closed(play: Play) -> None:
    run = play(
        "P6",
        details=CHILD,
        seeds=range(3),
        a='fd = open("/f", O_RDWR)\n' + TAKE + 'fork("child")\nclose(fd)\nlabel("closed")\nwait_for("looked")\n',
        child='wait_for("closed")\nfcntl(fd, F_GETLEASE)                                # -> F_LAYOUT\nclose(fd)\n'
        'truncate("/f", 0)                                               # -> 0\nlabel("looked")\n',
    )
    assert leases(run) == ()


def test_nothing_of_the_lease_changes_when_the_file_is_passed_on(play: Play) -> None:
    """Another reference, or another process with one, updates neither the lease nor whose it is."""
    run = play(
        "P6",
        seeds=range(3),
        a='fd = open("/f", O_RDWR)\n' + TAKE + 'send_fd("b", fd)\n',
        b="got = recv_fd()\nsleep(1)\nfcntl(got, F_GETLEASE)                                         # -> F_LAYOUT\n"
        "fcntl(got, F_GETOWN)                                            # -> 0 (who took it has exited)\n"
        "kill('b', SIGSTOP)\n",
    )
    (lease,) = leases(run)
    assert (lease.holder, lease.tgid) == ("process:100", 100)


def test_only_the_process_that_took_it_pins(play: Play) -> None:
    """Who has its descriptor, by fork or SCM_RIGHTS, cannot pin more with it, and takes a lease of its own for that."""
    own = 'fd = open("/f", O_RDWR)\n' + TAKE + REGISTER
    play(
        "P6",
        details=CHILD,
        seeds=range(3),
        a=PINNED + 'fork("child")\nsend_fd("b", fd)\nsend_fd("b", ctx)\nlabel("pd", pd)\nwait_for("done")\n',
        child=OPEN.replace('fd = open("/f", O_RDWR)\n', "") + WANTS_MORE + own,
        b='fd = recv_fd()\nctx = recv_fd()\npd = wait_for("pd")\n'
        + OPEN.replace('fd = open("/f", O_RDWR)\n', "")
        + WANTS_MORE
        + own
        + 'label("done")\n',
    )


def test_after_exec_it_is_the_same_process(play: Play) -> None:
    play(
        "P6",
        details=CHILD,
        seeds=range(3),
        a=CONTEXT + 'fd = open("/f", O_RDWR)\n' + TAKE + 'exec("child")\n',
        child="buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n" + REGISTER,
    )


def test_passed_pins_can_be_used(play: Play) -> None:
    """Pinned memory can be passed to another process: it drives the device, with a mapping or a lease or without."""
    run = play(
        "P6",
        details=CHILD,
        seeds=range(3),
        a=DEVICE + LOOPBACK + TAKE + REGISTER_REMOTE + 'munmap(buf, 4 * PAGE)\nfork("child")\nclose(fd)\n',
        child='close(fd)\nibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)      # -> 0\n'
        "ibv_get_cq_event(cq)\nibv_poll_cq(cq)                                     # -> 1\n"
        'fd = open("/f", O_RDONLY)\nread(fd, 12)                                # -> b"from the NIC"\n',
    )
    assert (leases(run), pinned(run)) == ((), 0)


def test_closing_makes_a_zombie_and_the_lease_is_there_until_the_pins_go(play: Play) -> None:
    """The pins are not zombies, the lease is: lease and description still exist, and cannot be dropped."""
    run = play(
        "P6",
        seeds=range(3),
        a=PINNED + "munmap(buf, 4 * PAGE)\nclose(fd)                            # -> 0\nlabel('zombie')\nsleep(10)\n",
        b="wait_for('zombie')\nsleep(1)\nkill('a', SIGSTOP)\n",
    )
    (lease,) = leases(run)
    assert lease.zombie
    assert pinned(run) == 1
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    assert lease.ofd in inode.view().openers


def test_a_zombie_pins_nothing_more(play: Play) -> None:
    """It is not sufficient to pin more pages, for the process that took it neither."""
    play("P6", seeds=range(3), a=PINNED + "munmap(buf, 4 * PAGE)\nclose(fd)\n" + OPEN + WANTS_MORE)


def test_the_lease_cannot_be_released_while_pages_are_pinned(play: Play) -> None:
    play(
        "P6",
        details=CHILD,
        seeds=range(3),
        a=PINNED
        + "fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EBUSY\n"
        + 'fork("child")\nwait_for("refused")\nibv_dereg_mr(mr)\n'
        + "fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0\n",
        child='fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EBUSY\nlabel("refused")\n',
    )


def test_another_exclusive_lease_beside_a_zombie(play: Play) -> None:
    """The holder of a new one is not alone, because of the pins that are left: it pins, and changes nothing [H2].

    As its own lease is looked at, too, what it is told is EDEADLK; ETXTBSY is the zombie's word if that is allowed.
    """
    programs = {
        "a": CONTEXT + 'fork("child")\n' + OPEN + TAKE + REGISTER + 'label("pinned")\n',
        "child": 'wait_for("done")\n',
        "b": 'wait_for("pinned")\nsleep(1)\n'
        + DEVICE
        + "fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> {taken}\n"
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> {pins}\n"
        + 'ftruncate(fd, 0)                                                # -> {change}\nlabel("done")\n',
    }
    for policy, words in (
        ("P6", {"taken": "0", "pins": "ok", "change": "EDEADLK"}),
        ("P6,exclusive_mutual=true", {"taken": "EAGAIN", "pins": "EPERM", "change": "ETXTBSY"}),
        ("P6,self_change=allow", {"taken": "0", "pins": "ok", "change": "ETXTBSY"}),
    ):
        shown = {**programs, "b": programs["b"].format(**words)}
        play(policy, details=CHILD, seeds=range(2), **shown)


def test_the_first_owner_is_signalled_without_a_descriptor(play: Play) -> None:
    """A shared layout lease outlives the close of its taker, who gets SIGIO all the same, and si_fd names nothing."""
    run = play(
        "P6",
        details={**CHILD, "a": "on_signal.SIGIO = 'fcntl(si_fd, F_GETLEASE)                     # -> EBADF'"},
        seeds=range(3),
        a='fd = open("/f", O_RDONLY)\nfcntl(fd, F_SETSIG, SIGIO)\nfcntl(fd, F_SETLEASE, F_LAYOUT)        # -> 0\n'
        'fork("child")\nclose(fd)\nlabel("closed")\nsleep(100)                              # -> EINTR\n',
        child="sleep(1000)\n",
        b='wait_for("closed")\ntruncate("/f", 0)                                # -> blocks, 0\n',
    )
    assert run.taken("a") == ["SIGIO (si_fd 3): its handler runs"]
    assert run.returned("b") == 45.0


def test_nobody_is_signalled_for_an_exclusive_lease(play: Play) -> None:
    """Nothing is sent, so there is nothing to answer, with the descriptor open or closed; the change fails at once."""
    for closes in ("", "munmap(buf, 4 * PAGE)\nclose(fd)\n"):
        run = play(
            "P6",
            seeds=range(2),
            a=PINNED + closes + 'label("pinned")\nwait_for("refused")\n',
            b='wait_for("pinned")\ntruncate("/f", 0)                               # -> ETXTBSY\nlabel("refused")\n',
        )
        assert run.taken("a") == []
        assert run.returned("b") == 0.0


def test_the_administrator_kills_the_application(play: Play) -> None:
    """An application that does not do the right thing: who is listed is killed, and the layout can be changed."""
    run = play(
        "P6",
        details=CHILD,
        a=CONTEXT
        + 'fork("child")\n'
        + OPEN
        + TAKE
        + REGISTER
        + "munmap(buf, 4 * PAGE)\nclose(fd)\nlabel('zombie')\npause()                  # -> hangs\n",
        child="pause()                                                         # -> hangs\n",
        b="""
wait_for("zombie")
kill("a", SIGKILL)
sleep(1)
truncate("/f", 0)                                               # -> ETXTBSY (killing one of two is not enough)
list_holders("/f")                                              # -> 1
kill_holders("/f", SIGKILL)                                     # -> 1
sleep(1)
list_holders("/f")                                              # -> 0
truncate("/f", 0)                                               # -> 0
""",
    )
    assert (leases(run), pinned(run)) == ((), 0)


LIFE = """
name = "zombie-life"
policy = "P6:intended"
holds = ["O1", "O1'", "O2", "O3", "O4", "O5", "O6", "O7", "O8"]

[[file]]
path = "/f"
size = "2 * PAGE"

[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fork("worker")
fd  = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)               # -> 0
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)       # -> ok
munmap(buf, 2 * PAGE)
close(fd)                                                   # -> 0
label("closed")
pause()
'''

[[process]]
name = "worker"
start = "fork"
program = '''
pause()
'''

[[process]]
name = "admin"
program = '''
wait_for("closed")
truncate("/f", 0)                                           # -> ETXTBSY
kill("app", SIGKILL)
sleep(1)
truncate("/f", 0)                                           # -> ETXTBSY
kill_holders("/f", SIGKILL)                                 # -> 1
sleep(1)
truncate("/f", 0)                                           # -> 0
list_holders("/f")                                          # -> 0
'''
"""


def explored(text: str, policy: str, **parameters: Any) -> Exploration:
    scenario = parse_scenario(text, "zombie.toml")
    name, _, preset = policy.partition(":")
    subject = Subject(scenario, Settings.of(scenario, policy=name, preset=preset, parameters=parameters))
    return explore(subject.build, check=subject.check, always=subject.always, method="states")


def shipped(name: str) -> str:
    return (resources.files("longpin.config") / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")


def test_the_life_of_a_zombie_from_end_to_end() -> None:
    """Lease, pins, close, refusal, kill of the taker, list and kill of the rest: in every schedule nothing is left."""
    result = explored(LIFE, "P6:intended")
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


@pytest.mark.parametrize("preset", ["as_posted", "intended"])
@pytest.mark.parametrize("name", ["zombie-lease", "number-used-again"])
def test_the_shipped_stories_in_every_schedule(name: str, preset: str) -> None:
    result = explored(shipped(name), f"P6:{preset}")
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


@pytest.mark.parametrize("preset", ["as_posted", "intended"])
@pytest.mark.parametrize("delay", [False, True])
def test_a_kill_lets_go_of_leases_and_pins_in_whichever_order_it_closes(preset: str, delay: bool) -> None:
    """H12; and H13: the pins may be gone only after the release of the device, and the lease with them."""
    text = shipped("zombie-kill-order")
    if delay:
        text = text.replace('policy = "P6:intended"', 'policy = "P6:intended"\n\n[machine]\nuverbs_async_delay = true')
    result = explored(text, f"P6:{preset}")
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


def test_a_number_that_is_used_again_pins_as_posted_only_because_of_two_mistakes() -> None:
    """H17: it takes the comparison of numbers, and a zombie that pins; without either the heir is refused."""
    refused = shipped("number-used-again").replace("P6:intended -> EPERM; P6:as_posted -> ok", "P6 -> EPERM")
    refused = refused.replace("P6:intended -> ETXTBSY; P6:as_posted -> EDEADLK (taken for the holder)", "")
    for parameter in ("holder_by_number", "zombie_can_pin"):
        assert explored(refused, "P6:as_posted", **{parameter: False}).verdict is Verdict.HOLDS
    (failure,) = explored(refused, "P6:as_posted").failures
    assert (failure.broken.rule, failure.broken.site) == ("O7", "ibv_reg_mr of heir: success")


GAP = """
name = "gap"
policy = "P6:intended"

[[file]]
path = "/f"
size = "PAGE"

[[process]]
name = "shares"
program = '''
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_LAYOUT)
label("shared")
sleep(1)
'''
on_signal.SIGIO = '''
fcntl(fd, F_SETLEASE, F_UNLCK)
label("gone")
'''

[[process]]
name = "taker"
program = '''
fd = open("/f", O_RDWR)
wait_for("gone")
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)               # -> 0
sleep(1)
'''

[[process]]
name = "truncater"
program = '''
wait_for("shared")
truncate("/f", 0)                                           # -> blocks, {0}
'''
"""


def test_an_exclusive_lease_taken_in_the_gap_fails_who_has_waited_for_a_shared_one() -> None:
    """H5: a truncate waits without its locks, and what is there when it looks again is what counts."""
    for outcome, other in (("0", "ETXTBSY"), ("ETXTBSY", "success")):
        (failure,) = explored(GAP.replace("{0}", outcome), "P6:intended").failures
        assert (failure.broken.rule, failure.broken.site) == ("O7", f"truncate of truncater: {other}")
