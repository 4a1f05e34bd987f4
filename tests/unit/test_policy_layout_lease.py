"""P5's relatives: its ancestor LT0, the amendments of June 2019, and ext4 as posted, sentence by sentence [4.5, 4.6].

What P5 itself says is in ``test_policies.py``, ``test_policy_layout_lease_v1.py`` and the shipped scenarios.
"""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import DEVICE, REGISTER, leases, pinned

from longpin.actors.constants import SIGBUS, SIGKILL
from longpin.actors.fs.inode import Inode
from longpin.actors.policies.decisions import OnDeadline, RemoveLease, SendSignal
from longpin.actors.policies.layout_lease_v1 import LateHolder, LayoutLeaseV1
from longpin.actors.policies.views import FileFacts, LayoutView, LeaseKind, LeaseView
from longpin.messages.fs.mapping import Memory

Play = Callable[..., Any]

TAKE = "fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0\n"
PINNED = DEVICE + TAKE + REGISTER
TRUNCATES = 'wait_for("pinned")\ntruncate("/f", 0)                            # -> blocks, 0\n'
EXT4 = '[[pmem]]\nname = "pmem0"\nfile_system = "ext4"'

# LT0: the F_LONGTERM lease of April 2019.


def test_who_keeps_a_longterm_lease_too_long_gets_sigbus(play: Play) -> None:
    """Told by SIGIO first; SIGBUS kills it at the deadline, its pins go with it, and the truncate goes on [LT0]."""
    run = play(
        "P5:lt0",
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a=DEVICE
        + "fcntl(fd, F_SETLEASE, F_LONGTERM)                               # -> 0\n"
        + REGISTER
        + 'label("pinned")\nsleep(1000)\nsleep(1000)\n',
        b=TRUNCATES,
    )
    assert run.taken("a") == ["SIGIO: its handler runs", "SIGBUS: it kills"]
    assert run.returned("b") == 45.0


def test_who_answers_in_time_is_left_alone(play: Play) -> None:
    run = play(
        "P5:lt0",
        details={"a": "on_signal.SIGIO = '''sleep(7)\nibv_dereg_mr(mr)\nfcntl(fd, F_SETLEASE, F_UNLCK)   # -> 0\n'''"},
        a=PINNED + 'label("pinned")\nsleep(1000)                                    # -> EINTR\nsleep(100)\n',
        b=TRUNCATES,
    )
    assert run.taken("a") == ["SIGIO: its handler runs"]
    assert run.returned("b") == 7.0


CATCHES = "on_signal.SIGIO = 'getpid()'\non_signal.SIGBUS = 'getpid()'"
STAYS = PINNED + 'label("pinned")\nsleep(1000)\nsleep(1000)\nsleep(1000)\nsleep(1000)\n'


def test_a_handler_of_sigbus_keeps_the_pages(play: Play) -> None:
    """The author is not sure that SIGBUS is enough, for it can be caught: the truncate waits as long as it likes."""
    run = play("P5:lt0", details={"a": CATCHES}, a=STAYS, b=TRUNCATES)
    assert run.taken("a")[:2] == ["SIGIO: its handler runs", "SIGBUS: its handler runs"]
    assert run.returned("b") > 1000.0


def test_a_second_term_ends_in_sigkill(play: Play) -> None:
    """So SIGKILL after the same time again is considered; the lease is there until then."""
    run = play("P5:lt0,late_holder=SIGBUS_SIGKILL", details={"a": CATCHES}, a=STAYS, b=TRUNCATES)
    assert run.taken("a") == ["SIGIO: its handler runs", "SIGBUS: its handler runs", "SIGKILL: it kills"]
    assert run.returned("b") == 90.0


def test_a_lease_given_up_in_its_second_term_is_gone(play: Play) -> None:
    run = play(
        "P5:lt0,late_holder=SIGBUS_SIGKILL",
        details={
            "a": "on_signal.SIGIO = 'getpid()'\n"
            "on_signal.SIGBUS = '''ibv_dereg_mr(mr)\nfcntl(fd, F_SETLEASE, F_UNLCK)    # -> 0\n'''"
        },
        a=STAYS,
        b=TRUNCATES,
    )
    assert run.taken("a") == ["SIGIO: its handler runs", "SIGBUS: its handler runs"]
    assert run.returned("b") == 45.0


def test_a_pin_without_a_lease_gets_sigbus_at_truncate(play: Play) -> None:
    run = play("P5:lt0", a=DEVICE + REGISTER + 'label("pinned")\nsleep(1000)                # -> hangs\n', b=TRUNCATES)
    assert run.taken("a") == ["SIGBUS: it kills"]


def test_it_gets_one_sigbus_a_truncate_however_many_pages_it_has(play: Play) -> None:
    run = play(
        "P5:lt0",
        details={"a": "on_signal.SIGBUS = '''ibv_dereg_mr(one)\nsleep(5)\nibv_dereg_mr(two)\n'''"},
        a=DEVICE
        + """
one = ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)
two = ibv_reg_mr(pd, buf + 2 * PAGE, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)
label("pinned")
sleep(1000)                                                     # -> EINTR
""",
        b=TRUNCATES,
    )
    assert run.taken("a") == ["SIGBUS: its handler runs"]
    assert run.returned("b") == 5.0


def test_or_it_cannot_pin_in_the_first_place(play: Play) -> None:
    play(
        "P5:lt0,unleased_pin=EPERM",
        a=DEVICE + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM\n",
    )


def test_who_is_signalled_may_have_passed_everything_on(play: Play) -> None:
    """H3: SIGBUS goes to who took the lease, dead or alive; a worker that has the device goes on with the pages."""
    play(
        "P5:lt0",
        violates=["O3"],
        details={"child": "start = \"fork\"\non_signal.SIGBUS = 'getpid()'"},
        a=PINNED + 'fork("child")\nlabel("pinned")\n',
        child="sleep(1000)\npause()                                            # -> hangs\n",
        b='wait_for("pinned")\nsleep(1)\ntruncate("/f", 0)                            # -> hangs\n',
    )


def held(**changes: Any) -> LeaseView:
    usual = LeaseView(
        "lease:1", ("file:1",), "file:1", "process:1", 1, 0, LeaseKind.LAYOUT, "", False, False, True, True, False, 2
    )
    return usual._replace(**changes)


def test_what_a_deadline_does() -> None:
    view = LayoutView(FileFacts(0, 0, Memory.FS_DAX), (held(),), (), None, LayoutLeaseV1.state)
    bus, kill = SendSignal("process:1", SIGBUS), SendSignal("process:1", SIGKILL)
    once, twice = (LayoutLeaseV1(late_holder=late) for late in (LateHolder.SIGBUS, LateHolder.SIGBUS_SIGKILL))
    assert once.on_deadline(held(terms=1), view) == OnDeadline((bus, RemoveLease()))
    assert twice.on_deadline(held(terms=1), view) == OnDeadline((bus,), again=True)
    assert twice.on_deadline(held(terms=2), view) == OnDeadline((kill, RemoveLease()))
    assert LayoutLeaseV1().on_deadline(held(terms=1), view) == OnDeadline()


# The amendments: a lease is held until the pins are gone.


@pytest.mark.parametrize("preset", ["k1_kill", "k1_invalidate"])
def test_f_unlck_waits_for_the_pins_of_the_holder(play: Play, preset: str) -> None:
    run = play(
        f"P5:{preset}",
        details={"child": 'start = "fork"'},
        a=PINNED + 'fork("child")\nfcntl(fd, F_SETLEASE, F_UNLCK)                    # -> blocks, 0\n',
        child="sleep(7)\nibv_dereg_mr(mr)                                               # -> 0\n",
    )
    assert run.returned("a") == 7.0
    assert leases(run) == ()


def test_a_signal_ends_the_wait_of_f_unlck(play: Play) -> None:
    """The amendment makes it wait, not hang: the lease is still there then [K1]."""
    run = play(
        "P5:k1_kill",
        seeds=(0, 1),
        details={"a": "on_signal.SIGUSR1 = 'getpid()'"},
        a=PINNED + "label('pinned')\nfcntl(fd, F_SETLEASE, F_UNLCK)                    # -> blocks, EINTR\n"
        "fcntl(fd, F_GETLEASE)                                           # -> F_LAYOUT\nsleep(1)\nibv_dereg_mr(mr)\n",
        b="wait_for('pinned')\nsleep(1)\nkill('a', SIGUSR1)\n",
    )
    assert run.taken("a") == ["SIGUSR1: its handler runs"]


def test_or_f_unlck_fails_while_there_are_pins(play: Play) -> None:
    play(
        "P5,unlck_with_pins=EBUSY",
        seeds=range(2),
        a=PINNED
        + "fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EBUSY\nibv_dereg_mr(mr)\n"
        + "fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0\n",
    )


def test_without_the_amendment_the_lease_goes_and_the_pins_stay(play: Play) -> None:
    """Option 4 of the cover: a lease may be given up while pages are pinned; then a change fails [V1-0]."""
    play(
        "P5",
        a=PINNED
        + "fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0\n"
        + 'truncate("/f", 0)                                               # -> ETXTBSY\n'
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM\n",
    )


CLOSES = PINNED + "munmap(buf, 4 * PAGE)\nclose(fd)\n"


def test_who_closes_with_pins_is_killed(play: Play) -> None:
    run = play("P5:k1_kill", a=CLOSES + "pause()                                         # -> hangs\n")
    assert run.taken("a") == ["SIGKILL: it kills"]
    assert (leases(run), pinned(run)) == ((), 0)


def test_who_has_released_its_pins_may_close(play: Play) -> None:
    run = play("P5:k1_kill", a=CLOSES.replace("munmap", "ibv_dereg_mr(mr)\nmunmap") + "getpid()\n")
    assert run.taken("a") == []


def test_a_descriptor_or_a_mapping_that_is_left_is_no_close(play: Play) -> None:
    run = play(
        "P5:k1_kill",
        a=PINNED + "again = dup(fd)\nclose(fd)\nclose(again)                              # -> 0 (it is mapped)\n"
        "ibv_dereg_mr(mr)\nmunmap(buf, 4 * PAGE)\n",
    )
    assert run.taken("a") == []


def test_a_shared_device_keeps_the_pins_of_who_was_killed(play: Play) -> None:
    """Why the kill was given up: the context is another process's too, and its pins stay without a lease [K1]."""
    programs = {
        "a": "ctx = ibv_open_device('rxe0')\npd = ibv_alloc_pd(ctx)\nfork('child')\n"
        + CLOSES.replace(DEVICE, DEVICE[DEVICE.index("fd = ") :])
        + "pause()\n",
        "child": "sleep(10)\n",
        "b": "sleep(5)\ntruncate('/f', 0)                                # -> {0}\n",
    }
    for preset, outcome in (("k1_kill", "ETXTBSY"), ("k1_invalidate", "0")):
        shown = {name: text.format(outcome) for name, text in programs.items()}
        shown["a"] = shown["a"].replace("pause()", "sleep(1)")
        play(f"P5:{preset}", details={"child": 'start = "fork"'}, seeds=range(4), **shown)


def test_who_closes_with_pins_loses_its_registrations(play: Play) -> None:
    run = play(
        "P5:k1_invalidate",
        a=CLOSES
        + 'truncate("/f", 0)                                               # -> 0\n'
        + "ibv_dereg_mr(mr)                                                # -> 0\n"
        + "ibv_alloc_pd(ctx)                                               # -> EIO\n",
    )
    assert run.taken("a") == []
    assert pinned(run) == 0


def test_pins_of_others_are_not_in_the_way_of_a_close(play: Play) -> None:
    run = play(
        "P5:k1_kill",
        a=PINNED + "label('pinned')\nwait_for('done')\n",
        b="wait_for('pinned')\nfd = open('/f', O_RDWR)\n" + TAKE + "close(fd)   # -> 0\nlabel('done')\n",
    )
    assert (run.taken("a"), run.taken("b")) == ([], [])


def test_a_kill_that_the_holder_has_to_agree_to(play: Play) -> None:
    """F_SETSIG SIGKILL is the condition of a lease, and what its break sends: nobody waits for a handler [D1]."""
    run = play(
        "P5:d1",
        a=DEVICE
        + "fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> EINVAL\n"
        + "fcntl(fd, F_SETSIG, SIGUSR1)                                    # -> 0\n"
        + "fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> EINVAL (it can be caught)\n"
        + "fcntl(fd, F_SETSIG, SIGKILL)                                    # -> 0\n"
        + TAKE
        + "fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0\n"
        + "fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> EINVAL (F_UNLCK has reset it)\n"
        + "fcntl(fd, F_SETSIG, SIGKILL)                                    # -> 0\n"
        + TAKE
        + REGISTER
        + 'label("pinned")\npause()                                        # -> hangs\n',
        b=TRUNCATES,
    )
    assert run.taken("a") == ["SIGKILL: it kills"]
    assert run.returned("b") == 0.0


def test_a_lease_has_the_signal_of_its_description(play: Play) -> None:
    run = play(
        "P5",
        a=DEVICE + "fcntl(fd, F_SETSIG, SIGURG)\n" + TAKE + "fcntl(fd, F_SETSIG, SIGUSR1)\n" + TAKE + "sleep(1)\n",
        b="sleep(0.5)\nkill('a', SIGSTOP)\n",
        seeds=(),
    )
    assert [lease.signo for lease in leases(run)] == [10]


# ext4 as posted.


def test_ext4_as_posted_waits_with_its_locks_held(play: Play) -> None:
    """A holder that must fault before it can answer cannot: the truncate that waits for it has the mmap lock [V1-5]."""
    holder = """
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("pinned")
sleep(1000)                                                     # -> EINTR
"""
    answers = "on_signal.SIGIO = '''store(buf, \"x\")\nfcntl(fd, F_SETLEASE, F_UNLCK)    # -> {0}\n'''"
    for ignores, outcome, time in (("true", "EAGAIN", 45.0), ("false", "0", 0.0)):
        run = play(
            f"P5,ext4_ignores_break={ignores}",
            head=EXT4,
            details={"a": answers.format(outcome)},
            a=holder,
            b='wait_for("pinned")\ntruncate("/f", PAGE)                     # -> blocks, 0\n',
        )
        assert run.returned("b") == time


def test_ext4_as_posted_goes_on_when_its_wait_is_interrupted(play: Play) -> None:
    """The result is not looked at: a truncate that a signal interrupts fails elsewhere, and frees the blocks here."""
    for ignores, outcome in (("true", "0"), ("false", "EINTR")):
        play(
            f"P5,ext4_ignores_break={ignores}",
            head=EXT4,
            details={"a": "on_signal.SIGIO = 'getpid()'", "b": "on_signal.SIGUSR1 = 'getpid()'"},
            a='fd = open("/f", O_RDWR)\nmmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)\n'
            + TAKE
            + 'label("leased")\nsleep(1000)\nsleep(3)\n',
            b=f'wait_for("leased")\ntruncate("/f", 0)                        # -> blocks, {outcome}\n',
            c='wait_for("leased")\nsleep(1)\nkill("b", SIGUSR1)\n',
        )


def test_ext4_as_posted_looks_at_no_lease_of_a_file_that_is_not_mapped(play: Play) -> None:
    for preset, blocks in (("as_posted", ""), ("intended", "blocks, ")):
        run = play(
            f"P5:{preset}",
            head=EXT4,
            details={"a": "on_signal.SIGIO = 'getpid()'"},
            a='fd = open("/f", O_RDWR)\n' + TAKE + 'label("leased")\nsleep(60)\nsleep(60)\n',
            b=f'wait_for("leased")\ntruncate("/f", 0)                        # -> {blocks}0\n',
        )
        assert run.returned("b") == (45.0 if blocks else 0.0)
        inode = run.engine.actors["inode:/f"]
        assert isinstance(inode, Inode)
        assert inode.view().size == 0
