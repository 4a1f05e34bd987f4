"""fcntl leases: every errno of F_SETLEASE in the order of its checks, breaks, expiry, signals [2.1 to 2.3]."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

HANDLER = "on_signal.SIGIO = 'getpid()'"


@pytest.mark.parametrize(
    ("flags", "arg", "outcome"),
    [
        ("O_RDONLY", "F_RDLCK", "0"),
        ("O_RDWR", "F_RDLCK", "EAGAIN"),
        ("O_WRONLY", "F_RDLCK", "EAGAIN"),
        ("O_RDONLY", "F_WRLCK", "0"),
        ("O_WRONLY", "F_WRLCK", "0"),
        ("O_RDWR", "F_WRLCK", "0"),
        ("O_RDWR", "F_UNLCK", "EAGAIN"),
        ("O_RDWR", "4", "EINVAL"),
        ("O_RDWR", "F_LAYOUT", "EINVAL"),
        ("O_RDWR", "32", "EINVAL"),
    ],
)
def test_a_lone_description_gets_what_its_access_allows(play: Play, flags: str, arg: str, outcome: str) -> None:
    play(
        "P1",
        a=f"""
fd = open("/f", {flags})
fcntl(fd, F_SETLEASE, {arg})     # -> {outcome}
""",
    )


def test_bad_descriptor_comes_first_then_the_argument_then_the_owner(play: Play) -> None:
    play(
        "P1",
        details={"a": "uid = 1000"},
        a="""
fcntl(77, F_SETLEASE, 4)           # -> EBADF
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, 4)           # -> EINVAL
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> EACCES (not EAGAIN, which would come next)
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> EACCES
""",
    )


def test_cap_lease_stands_for_ownership(play: Play) -> None:
    play(
        "P1",
        details={"a": "uid = 1000\ncapabilities = ['CAP_LEASE']"},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
""",
    )


def test_the_owner_needs_no_capability(play: Play) -> None:
    head = '[[file]]\npath = "/f"\nsize = "PAGE"\nuid = 1000'
    details = {"a": "uid = 1000", "b": "uid = 0\ncapabilities = []"}
    play(
        "P1",
        head=head,
        details=details,
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
label("done")
""",
        b="""
wait_for("done")
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> EACCES
""",
    )


def test_a_device_is_no_regular_file(play: Play) -> None:
    play(
        "P1",
        details={"b": "uid = 1000"},
        a="""
fd = ibv_open_device("rxe0")
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> EINVAL
""",
        b="""
fd = ibv_open_device("rxe0")
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> EACCES
""",
    )


def test_other_openers_stand_in_the_way(play: Play) -> None:
    play(
        "P1",
        a="""
r = open("/f", O_RDONLY)
w = open("/f", O_RDWR)
fcntl(r, F_SETLEASE, F_RDLCK)      # -> EAGAIN
fcntl(w, F_SETLEASE, F_WRLCK)      # -> EAGAIN
fcntl(r, F_SETLEASE, F_WRLCK)      # -> EAGAIN
close(w)
r2 = open("/f", O_RDONLY)
fcntl(r, F_SETLEASE, F_WRLCK)      # -> EAGAIN
fcntl(r, F_SETLEASE, F_RDLCK)      # -> 0
fcntl(r2, F_SETLEASE, F_RDLCK)     # -> 0
""",
    )


def test_a_dup_is_no_other_opener(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
dup(fd)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
""",
    )


def test_a_writable_mapping_keeps_its_description_open_for_writing(play: Play) -> None:
    play(
        "P1",
        a="""
w = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w, 0)
close(w)
r = open("/f", O_RDONLY)
fcntl(r, F_SETLEASE, F_RDLCK)      # -> EAGAIN
munmap(buf, PAGE)
fcntl(r, F_SETLEASE, F_RDLCK)      # -> 0
""",
    )


TRUNCATING = {"truncate": 'truncate("/f", 0)', "O_TRUNC": 'open("/f", O_RDONLY | O_TRUNC)'}


@pytest.mark.parametrize("truncation", TRUNCATING.values(), ids=TRUNCATING)
def test_a_truncation_under_way_counts_as_a_writer(play: Play, truncation: str) -> None:
    """It sleeps on a pin, so that it is under way for sure [2.1 step 6]."""
    play(
        "P1",
        details={"b": "on_signal.SIGUSR1 = 'getpid()'"},
        a="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
w = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
munmap(buf, PAGE)
close(w)
label("pinned")
sleep(1)
r = open("/f", O_RDONLY)
fcntl(r, F_SETLEASE, F_RDLCK)      # -> EAGAIN
ibv_dereg_mr(mr)
sleep(1)
fcntl(r, F_SETLEASE, F_RDLCK)      # -> 0
""",
        b=f"""
wait_for("pinned")
{truncation}                       # -> blocks, ok
""",
    )


def test_changing_an_own_lease(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
fcntl(fd, F_GETLEASE)              # -> F_WRLCK
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fcntl(fd, F_GETLEASE)              # -> F_RDLCK
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> EAGAIN
""",
    )


@pytest.mark.parametrize(
    ("lease", "opening", "sleeps"),
    [
        ("F_RDLCK", "O_RDONLY", False),
        ("F_RDLCK", "O_WRONLY", True),
        ("F_RDLCK", "O_RDWR", True),
        ("F_WRLCK", "O_RDONLY", True),
        ("F_WRLCK", "O_WRONLY", True),
    ],
)
def test_who_breaks_what(play: Play, lease: str, opening: str, sleeps: bool) -> None:
    run = play(
        "P1",
        details={"holder": HANDLER},
        holder=f"""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, {lease})     # -> 0
label("leased")
sleep(1)
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
""",
        opener=f"""
wait_for("leased")
open("/f", {opening})              # -> {"blocks, ok" if sleeps else "ok"}
""",
    )
    opened = next(call for call in run.result.calls if call.process == "opener" and call.call == "open")
    assert opened.blocked == sleeps
    assert bool(run.taken("holder")) == sleeps


def test_a_reader_breaks_a_write_lease_only_to_a_read_lease(play: Play) -> None:
    play(
        "P1",
        details={"holder": HANDLER},
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
label("leased")
pause()
fcntl(fd, F_GETLEASE)              # -> F_RDLCK (where it is going)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fcntl(fd, F_GETLEASE)              # -> F_RDLCK
label("downgraded")
""",
        reader="""
wait_for("leased")
open("/f", O_RDONLY)               # -> blocks, ok
""",
    )


def test_downgrading_does_not_satisfy_a_writer(play: Play) -> None:
    play(
        "P1",
        details={"holder": HANDLER},
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
label("leased")
pause()
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> EAGAIN (the writer is waiting, and counts)
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
""",
        writer="""
wait_for("leased")
open("/f", O_WRONLY)               # -> blocks, ok
""",
    )


def test_what_goes_through_a_descriptor_or_a_name_breaks_nothing(play: Play) -> None:
    run = play(
        "P1",
        holder="""
w = open("/f", O_RDWR)
fcntl(w, F_SETLEASE, F_WRLCK)      # -> 0
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w, 0)
write(w, "abc")                    # -> 3
store(buf, "abc")                  # -> 0
ftruncate(w, PAGE)                 # -> 0
unlink("/f")                       # -> 0
fcntl(w, F_GETLEASE)               # -> F_WRLCK
""",
    )
    assert not any(call.blocked for call in run.result.calls)
    assert run.taken("holder") == []


def test_open_for_reading_with_o_trunc_truncates_under_a_read_lease(play: Play) -> None:
    run = play(
        "P1",
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
wait_for("truncated")
read(fd, 10)                       # -> b''
fcntl(fd, F_GETLEASE)              # -> F_RDLCK
""",
        other="""
wait_for("leased")
open("/f", O_RDONLY | O_TRUNC)     # -> ok
label("truncated")
""",
    )
    assert run.taken("holder") == []


@pytest.mark.parametrize("length", ["0", "4 * PAGE", "9 * PAGE"])
def test_truncate_by_name_breaks_whatever_the_length(play: Play, length: str) -> None:
    play(
        "P1",
        details={"holder": "on_signal.SIGIO = 'close(fd)'"},
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()
""",
        other=f"""
wait_for("leased")
truncate("/f", {length})           # -> blocks, 0
""",
    )


def test_o_nonblock_fails_but_the_break_stays(play: Play) -> None:
    run = play(
        "P1",
        details={"holder": HANDLER},
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()
wait_for("tried")
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
sleep(44)
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0 (not overdue yet)
""",
        other="""
wait_for("leased")
open("/f", O_RDWR | O_NONBLOCK)    # -> EAGAIN
open("/f", O_RDWR | O_NONBLOCK)    # -> EAGAIN
label("tried")
""",
    )
    assert len(run.taken("holder")) == 1, "the second attempt finds the break pending"


def test_the_break_ends_after_lease_break_time(play: Play) -> None:
    run = play(
        "P1",
        head="[machine]\nlease_break_time = 7",
        details={"holder": HANDLER},
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()
wait_for("opened")
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> EAGAIN (it is gone)
""",
        other="""
wait_for("leased")
open("/f", O_WRONLY)               # -> blocks, ok
label("opened")
""",
    )
    assert run.returned("other") == 7.0


def test_lease_break_time_0_is_for_ever(play: Play) -> None:
    play(
        "P1",
        head="[machine]\nlease_break_time = 0",
        details={"holder": HANDLER},
        violates=["O3"],
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
sleep(1000000)
wait_for("never")                  # -> hangs
label("never2")
""",
        other="""
wait_for("leased")
open("/f", O_WRONLY)               # -> hangs
label("never")
""",
    )


def test_expiry_is_lazy(play: Play) -> None:
    """The break time passes unnoticed, so F_UNLCK still finds the lease [2.3.4]; F_GETLEASE and a break notice it."""
    program = """
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()
wait_for("tried")
sleep(100)
"""
    tried = """
wait_for("leased")
open("/f", O_RDWR | O_NONBLOCK)    # -> EAGAIN
label("tried")
"""
    play(
        "P1",
        details={"holder": HANDLER},
        other=tried,
        holder=program
        + """
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
""",
    )
    play(
        "P1",
        details={"holder": HANDLER},
        other=tried,
        holder=program
        + """
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> EAGAIN
""",
    )
    play(
        "P1",
        details={"holder": HANDLER},
        other=tried,
        holder=program
        + """
open("/f", O_RDWR | O_NONBLOCK)    # -> ok
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> EAGAIN
""",
    )


def test_a_lease_whose_break_is_pending_lets_no_other_be_taken(play: Play) -> None:
    play(
        "P1",
        details={"holder": HANDLER},
        holder="""
r1 = open("/f", O_RDONLY)
r2 = open("/f", O_RDONLY)
fcntl(r1, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()
wait_for("tried")
fcntl(r2, F_SETLEASE, F_RDLCK)     # -> EAGAIN (another's, breaking)
fcntl(r1, F_SETLEASE, F_RDLCK)     # -> 0 (C-a: one's own, and the break goes on)
fcntl(r1, F_GETLEASE)              # -> F_UNLCK
sleep(50)
fcntl(r1, F_SETLEASE, F_RDLCK)     # -> 0 (expired, taken anew)
fcntl(r1, F_GETLEASE)              # -> F_RDLCK
""",
        other="""
wait_for("leased")
open("/f", O_RDWR | O_NONBLOCK)    # -> EAGAIN
label("tried")
""",
    )


def test_an_own_open_breaks_an_own_lease(play: Play) -> None:
    play(
        "P1",
        details={"a": "on_signal.SIGIO = 'fcntl(fd, F_SETLEASE, F_UNLCK)  # -> 0'"},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
open("/f", O_WRONLY)               # -> EINTR (its own signal is there before it could sleep)
open("/f", O_WRONLY)               # -> ok
""",
    )


def test_eintr_leaves_the_break_pending(play: Play) -> None:
    details = {"holder": HANDLER, "other": "on_signal.SIGUSR1 = 'getpid()'"}
    play(
        "P1",
        details=details,
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()
kill("other", SIGUSR1)
wait_for("interrupted")
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
""",
        other="""
wait_for("leased")
open("/f", O_WRONLY)               # -> blocks, EINTR
label("interrupted")
""",
    )


def test_sa_restart_makes_the_open_again(play: Play) -> None:
    details = {"holder": HANDLER, "other": "on_signal.SIGUSR1 = 'getpid()'"}
    play(
        "P1",
        details=details,
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()
kill("other", SIGUSR1)
sleep(1)
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
""",
        other="""
sigaction(SIGUSR1, SIG_HANDLER, SA_RESTART)
wait_for("leased")
open("/f", O_WRONLY)               # -> blocks, ok
""",
    )


def test_one_signal_a_level(play: Play) -> None:
    """A reader's break of a write lease and a writer's of the same one are told apart [2.3.3]."""
    run = play(
        "P1",
        details={"holder": HANDLER},
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
label("leased")
pause()
label("first")
pause()
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
""",
        reader="""
wait_for("leased")
open("/f", O_RDONLY | O_NONBLOCK)  # -> EAGAIN
open("/f", O_RDONLY | O_NONBLOCK)  # -> EAGAIN
label("read")
""",
        writer="""
wait_for("first")
wait_for("read")
open("/f", O_WRONLY)               # -> blocks, ok
""",
    )
    assert len(run.taken("holder")) == 2


def test_a_writer_keeps_a_reader_past_its_own_deadline(play: Play) -> None:
    """The reader's downgrade is due at 45 s; the writer's break at 20 s moves the wait to 65 s [measured]."""
    run = play(
        "P1",
        details={"holder": HANDLER},
        seeds=(),
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
label("leased")
"""
        'pause()\npause()\nwait_for("written")\n',
        reader="""
wait_for("leased")
open("/f", O_RDONLY)               # -> blocks, ok
""",
        writer="""
wait_for("leased")
sleep(20)
open("/f", O_WRONLY)               # -> blocks, ok
label("written")
""",
    )
    assert run.returned("reader") == 65.0


def test_whoever_notices_an_overdue_downgrade_wakes_the_reader(play: Play) -> None:
    """As above, but F_GETLEASE at 50 s carries the downgrade out, so the reader need not wait for the writer's time."""
    run = play(
        "P1",
        details={"holder": HANDLER},
        seeds=(),
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
label("leased")
pause()
pause()
sleep(30)
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
wait_for("written")
""",
        reader="""
wait_for("leased")
open("/f", O_RDONLY)               # -> blocks, ok
""",
        writer="""
wait_for("leased")
sleep(20)
open("/f", O_WRONLY)               # -> blocks, ok
label("written")
""",
    )
    assert run.returned("reader") == 50.0


def test_an_open_does_not_break_a_layout_lease(play: Play) -> None:
    run = play(
        "P5",
        details={"holder": "on_signal.SIGIO = 'fcntl(r, F_SETLEASE, F_UNLCK)  # -> 0'"},
        holder="""
r = open("/f", O_RDONLY)
fcntl(r, F_SETLEASE, F_LAYOUT)     # -> 0
w = open("/f", O_RDWR)             # -> 0x4
truncate("/f", PAGE)               # -> EINTR
""",
    )
    assert len(run.taken("holder")) == 1, "truncate breaks it as a layout change, open did not"


def test_one_slot_for_both_kinds(play: Play) -> None:
    """C-b: taking the other kind through one description returns 0 and changes nothing but the type."""
    play(
        "P5",
        a="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
r = open("/f", O_RDONLY)
fcntl(r, F_SETLEASE, F_RDLCK)      # -> 0
fcntl(r, F_SETLEASE, F_LAYOUT)     # -> 0
fcntl(r, F_GETLEASE)               # -> F_RDLCK
fcntl(r, F_SETLEASE, F_UNLCK)      # -> 0
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> EPERM
""",
    )


def test_layout_leases_skip_the_test_for_openers(play: Play) -> None:
    play(
        "P5",
        a="""
w = open("/f", O_RDWR)
r = open("/f", O_RDONLY)
fcntl(w, F_SETLEASE, F_LAYOUT)     # -> 0
fcntl(r, F_SETLEASE, F_LAYOUT)     # -> 0
fcntl(w, F_GETLEASE)               # -> F_LAYOUT
fcntl(w, F_SETLEASE, F_RDLCK)      # -> EAGAIN (an ordinary one is asked for)
""",
    )


def test_a_plain_sigio_tells_of_no_descriptor(play: Play) -> None:
    play(
        "P1",
        details={"a": HANDLER},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)                 # -> 0
label("taken")
sleep(1)                                       # -> EINTR
close(si_fd)                                   # -> EBADF
""",
        b="""
wait_for("taken")
sleep(0.1)
open("/f", O_WRONLY | O_NONBLOCK)              # -> EAGAIN
""",
    )
