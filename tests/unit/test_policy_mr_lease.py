"""P9, registration with a lease, each sentence of semantics 4.10 as a small scenario."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from unit.programs import DEVICE, LOOPBACK, leases, pinned

from longpin.actors.policies.decisions import ListedBy
from longpin.actors.policies.mr_lease import MrLease
from longpin.actors.policies.views import FileFacts, LayoutView, LeaseKind, LeaseView
from longpin.config.loader import load_scenario
from longpin.messages.fs.mapping import Memory
from longpin.runner.exploration import explore
from longpin.runner.result import Verdict
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

ACCESS = "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE"
LEASED = f"mr = ibv_reg_mr_lease(pd, buf, PAGE, {ACCESS})   # -> ok\n"
PINNED = DEVICE + LOOPBACK + LEASED
SEND = (
    'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "DMA", mr, 0)               # -> 0\nibv_get_cq_event(cq)\nibv_poll_cq(cq)\n'
)
TRUNCATE = 'wait_for("pinned")\ntruncate("/f", 0)                    # -> blocks, 0\nlabel("truncated")\n'
ANSWER = """
ev = ibv_get_async_event(ctx)                                   # -> ok
ibv_event_type()                                                # -> IBV_EVENT_LEASE_BREAK
ibv_ack_async_event(ev)                                         # -> 0
ibv_dereg_mr(event_mr)                                          # -> 0
"""


def test_who_answers_in_time_is_waited_for_no_longer(play: Play) -> None:
    run = play(
        "P9",
        a=PINNED + 'label("pinned")\n' + ANSWER.replace("ibv_dereg", "sleep(3)\nibv_dereg"),
        b=TRUNCATE,
    )
    assert run.returned("b") == 3.0
    assert (leases(run), pinned(run)) == ((), 0)


@pytest.mark.parametrize("latency", [0, 1, 7])
def test_when_the_time_is_over_the_region_is_revoked(play: Play, latency: int) -> None:
    """Its key is void, its pages and its lease are gone; the handle stays until it is deregistered, with its charge."""
    run = play(
        f"P9:intended,revoke_latency={latency}",
        a=PINNED
        + """
label("pinned")
wait_for("truncated")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)            # -> 0
ibv_get_cq_event(cq)                                            # -> 0
ibv_poll_cq(cq)                                                 # -> 1
ibv_wc_status()                                                 # -> IBV_WC_REM_ACCESS_ERR
ibv_modify_qp(qp, IBV_QPS_RTS)                                  # -> EINVAL (it is in ERR)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)            # -> 0
ibv_get_cq_event(cq)                                            # -> 0
ibv_poll_cq(cq)                                                 # -> 1
ibv_wc_status()                                                 # -> IBV_WC_WR_FLUSH_ERR
ibv_dereg_mr(mr)                                                # -> 0
ibv_dereg_mr(mr)                                                # -> EINVAL
""",
        b=TRUNCATE,
    )
    assert run.returned("b") == 45.0 + latency
    assert (leases(run), pinned(run)) == ((), 0)


def test_until_the_device_has_answered_a_key_is_good(play: Play) -> None:
    """The change waits for that too: what is written goes to the file's own block [O1]."""
    run = play(
        "P9:intended,revoke_latency=10",
        a=PINNED
        + 'label("pinned")\nsleep(50)\n'
        + SEND
        + "ibv_wc_status()                                                 # -> IBV_WC_SUCCESS\nsleep(50)\n",
        b=TRUNCATE,
    )
    assert run.returned("b") == 55.0


def test_plain_registrations_devices_that_cannot_revoke_and_other_kernels(play: Play) -> None:
    plain = "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EOPNOTSUPP\n"
    leased = "ibv_reg_mr_lease(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)         # -> EOPNOTSUPP\n"
    own = "own = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)\n"
    anonymous = own + "ibv_reg_mr(pd, own, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok\n"
    head = '[[device]]\nname = "rxe0"\nrevocable = false\n[[file]]\npath = "/f"\nsize = "4 * PAGE"'
    for kernel in ("ideal", "5.4", "6.18"):
        play(f"P9:intended,kernel={kernel}", seeds=(), a=DEVICE + plain + anonymous)
        play(f"P9:intended,kernel={kernel}", seeds=(), head=head, a=DEVICE + plain + leased + anonymous)
    for policy in ("P0", "P1", "P4", "P5", "P6", "P8"):
        play(policy, seeds=(), a=DEVICE + leased)


def test_who_may_have_leases_on_the_file_may_register_it(play: Play) -> None:
    """As for F_SETLEASE: its owner, or who has CAP_LEASE."""
    play(
        "P9",
        seeds=(0, 1),
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\nuid = 7',
        details={"owner": "uid = 7", "other": "uid = 9", "able": 'uid = 9\ncapabilities = ["CAP_LEASE"]'},
        owner=DEVICE + LEASED,
        other=DEVICE + LEASED.replace("-> ok", "-> EACCES"),
        able=DEVICE + LEASED,
    )


def test_every_process_with_the_device_open_gets_the_event_and_any_may_answer(play: Play) -> None:
    """Also one that registered nothing, through a descriptor it got; the region goes with the first that answers."""
    run = play(
        "P9",
        details={"child": 'start = "fork"'},
        a=PINNED
        + """
fork("child")
send_fd("friend", ctx)
label("pinned")
ibv_get_async_event(ctx)                                        # -> ok
ibv_event_type()                                                # -> IBV_EVENT_LEASE_BREAK
label("a told")
""",
        child="""
ibv_get_async_event(ctx)                                        # -> ok
ibv_event_type()                                                # -> IBV_EVENT_LEASE_BREAK
label("child told")
""",
        friend="""
ctx = recv_fd()
ev = ibv_get_async_event(ctx)                                   # -> ok
wait_for("a told")
wait_for("child told")
ibv_ack_async_event(ev)                                         # -> 0
ibv_dereg_mr(event_mr)                                          # -> 0
""",
        b=TRUNCATE,
    )
    assert run.returned("b") == 0.0


def test_an_event_is_waited_for_or_not(play: Play) -> None:
    """O_NONBLOCK on the context; a signal ends the wait; each event once; a region that is gone has none."""
    play(
        "P9",
        details={"a": "on_signal.SIGUSR1 = 'getpid()'"},
        a=PINNED
        + """
fcntl(ctx, F_SETFL, O_NONBLOCK)                                 # -> 0
ibv_get_async_event(ctx)                                        # -> EAGAIN
fcntl(ctx, F_SETFL, 0)                                          # -> 0
sigprocmask(SIG_BLOCK, SIGUSR1)
kill("a", SIGUSR1)
sigprocmask(SIG_UNBLOCK, SIGUSR1)
label("pinned")
ev = ibv_get_async_event(ctx)                                   # -> ok
fcntl(ctx, F_SETFL, O_NONBLOCK)
ibv_get_async_event(ctx)                                        # -> EAGAIN (that was all)
ibv_ack_async_event(ev)                                         # -> 0
ibv_ack_async_event(ev)                                         # -> EINVAL
ibv_ack_async_event(mr)                                         # -> EINVAL
ibv_get_async_event(fd)                                         # -> EINVAL (no device)
ibv_get_async_event(99)                                         # -> EBADF
ibv_dereg_mr(mr)                                                # -> 0
""",
        b=TRUNCATE,
    )


def test_deregistration_waits_for_acknowledgements_after_the_region_is_gone(play: Play) -> None:
    """So it holds up who calls it, and nobody who changes the file [ibv_get_async_event(3)]."""
    run = play(
        "P9",
        details={"acker": 'start = "thread"'},
        a=PINNED
        + """
label("pinned")
ev = ibv_get_async_event(ctx)                                   # -> ok
label("told", ev)
clone("acker")
ibv_dereg_mr(mr)                                                # -> blocks, 0
""",
        acker='ev = wait_for("told")\nsleep(8)\nibv_ack_async_event(ev)     # -> 0\n',
        b=TRUNCATE,
    )
    assert (run.returned("b"), run.returned("a")) == (0.0, 8.0)


@pytest.mark.parametrize("named", [True, False])
def test_sigio_for_who_registers_if_a_signal_was_named(play: Play, named: bool) -> None:
    """By the description that the lease holds; without F_SETSIG only the event tells."""
    run = play(
        "P9",
        details={"a": "on_signal.SIGUSR1 = 'ibv_dereg_mr(mr)'"},
        a=DEVICE
        + ("fcntl(fd, F_SETSIG, SIGUSR1)                                    # -> 0\n" if named else "")
        + f"mr = ibv_reg_mr_lease(pd, buf, PAGE, {ACCESS}, fd)              # -> ok\n"
        + "sigprocmask(SIG_BLOCK, SIGUSR1)\nlabel('pinned')\n"
        + ("sigsuspend()  # -> EINTR\n" if named else "sleep(1000)\n"),
        b=TRUNCATE,
    )
    assert run.taken("a") == (["SIGUSR1 (si_fd 4): its handler runs"] if named else [])
    assert run.returned("b") == (0.0 if named else 46.0)


def test_a_lease_is_that_of_its_region_alone(play: Play) -> None:
    """F_UNLCK and F_GETLEASE do not reach it; close, munmap and unlink leave it; each region has one."""
    run = play(
        "P9",
        a=DEVICE
        + LEASED
        + LEASED.replace("mr =", "more =")
        + """
fcntl(fd, F_GETLEASE)                                           # -> F_UNLCK
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EAGAIN
fcntl(fd, F_SETLEASE, 16)                                       # -> EINVAL (no F_LAYOUT here)
munmap(buf, 4 * PAGE)                                           # -> 0
close(fd)                                                       # -> 0
ibv_dereg_mr(mr)                                                # -> 0
label("pinned")
wait_for("looked")
ibv_dereg_mr(more)                                              # -> 0
""",
        b="""
wait_for("pinned")
fd = open("/f", O_RDWR | O_NONBLOCK)
label("looked")
truncate("/f", 0)
""",
    )
    assert leases(run) == ()


def test_a_registration_while_a_lease_is_being_broken_is_eagain(play: Play) -> None:
    """And can be had when the change is through [H5]."""
    play(
        "P9",
        a=PINNED + 'label("pinned")\nibv_get_async_event(ctx)\nlabel("breaking")\nwait_for("refused")\nexit(0)\n',
        other=DEVICE
        + f"""
wait_for("breaking")
ibv_reg_mr_lease(pd, buf, PAGE, {ACCESS})                       # -> EAGAIN
label("refused")
wait_for("changed")
ibv_reg_mr_lease(pd, buf, PAGE, {ACCESS})                       # -> ok
""",
        b='wait_for("pinned")\ntruncate("/f", 2 * PAGE)                # -> blocks, 0\nlabel("changed")\n',
    )


def test_the_description_that_is_named_is_of_the_file(play: Play) -> None:
    """A lease holds it, whatever is mapped; anonymous memory needs no lease and has none."""
    run = play(
        "P9",
        a=DEVICE
        + f"""
again = open("/f", O_RDONLY)
other = open("/g", O_RDWR | O_CREAT)
own = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
ibv_reg_mr_lease(pd, buf, PAGE, {ACCESS}, other)                # -> EINVAL
ibv_reg_mr_lease(pd, buf, PAGE, {ACCESS}, ctx)                  # -> EINVAL
ibv_reg_mr_lease(pd, buf, PAGE, {ACCESS}, 99)                   # -> EBADF
ibv_reg_mr_lease(pd, own, PAGE, {ACCESS}, fd)                   # -> EINVAL
ibv_reg_mr_lease(pd, buf, PAGE, {ACCESS} | IBV_ACCESS_ON_DEMAND)  # -> EINVAL
ibv_reg_mr_lease(pd, own, PAGE, {ACCESS})                       # -> ok
ibv_reg_mr_lease(pd, buf, PAGE, {ACCESS}, again)                # -> ok
label("pinned")
pause()                                                         # -> hangs
""",
    )
    assert [lease.ofd for lease in leases(run)] == ["file:100.3"]
    assert pinned(run) == 1


def test_the_whole_context_can_go_with_a_region(play: Play) -> None:
    """As if the device were gone: regions on other files too, and nothing new can be made [K1, G1]."""
    run = play(
        "P9:intended,revoke_scope=context",
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "4 * PAGE"',
        a=PINNED
        + f"""
g = open("/g", O_RDWR)
m = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g, 0)
mg = ibv_reg_mr_lease(pd, m, PAGE, {ACCESS})                    # -> ok
label("pinned")
first = ibv_get_async_event(ctx)
ibv_event_type()                                                # -> IBV_EVENT_LEASE_BREAK
second = ibv_get_async_event(ctx)                               # -> blocks, ok
ibv_event_type()                                                # -> IBV_EVENT_DEVICE_FATAL
ibv_ack_async_event(first)                                      # -> 0
ibv_ack_async_event(second)                                     # -> 0
ibv_get_async_event(ctx)                                        # -> EIO
wait_for("truncated")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mg, 0)            # -> EIO
ibv_alloc_pd(ctx)                                               # -> EIO
ibv_create_cq(ctx)                                              # -> EIO
ibv_reg_mr_lease(pd, m, PAGE, {ACCESS})                         # -> EIO
ibv_dereg_mr(mr)                                                # -> 0
ibv_dereg_mr(mg)                                                # -> 0
ibv_dealloc_pd(pd)                                              # -> EBUSY (the queue pair)
""",
        b=TRUNCATE + 'truncate("/g", 0)                                               # -> 0 (at once)\n',
    )
    assert run.returned("b") == 46.0
    assert pinned(run) == 0


def test_the_death_of_the_setter_leaves_the_region_where_its_device_is_shared(play: Play) -> None:
    """The event reaches who has the device; when nobody has it any more, region and lease are gone [H11]."""
    run = play(
        "P9",
        details={"child": 'start = "fork"'},
        a=PINNED + 'fork("child")\nlabel("pinned")\npause()                     # -> hangs\n',
        child="close(fd)\nmunmap(buf, 4 * PAGE)\nibv_get_async_event(ctx)                     # -> ok\nexit(0)\n",
        b='wait_for("pinned")\nkill("a", SIGKILL)\nsleep(1)\ntruncate("/f", 0)            # -> blocks, 0\n',
    )
    assert run.returned("b") == 1.0
    assert (leases(run), pinned(run)) == ((), 0)


def test_several_regions_are_revoked_at_the_same_time(play: Play) -> None:
    """So a change waits for the break time and one latency, however many there are; faults go on meanwhile [O3]."""
    run = play(
        "P9:intended,revoke_latency=5",
        a=PINNED
        + LEASED.replace("mr =", "more =")
        + "ctx = ibv_open_device('rxe0')\npd = ibv_alloc_pd(ctx)\n"
        + LEASED.replace("mr =", "last =")
        + 'label("pinned")\npause()                                         # -> hangs\n',
        c="""
wait_for("pinned")
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
sleep(47)
load(buf, 1)                                                    # -> b'\\x00'
""",
        b=TRUNCATE,
    )
    assert (run.returned("b"), run.returned("c")) == (50.0, 47.0)


def test_two_regions_of_one_context_of_which_either_takes_all(play: Play) -> None:
    """Both deadlines pass at once, and each has the whole context revoked: what is gone is not let go of twice."""
    run = play(
        "P9:intended,revoke_scope=context",
        a=PINNED + LEASED.replace("mr =", "more =") + 'label("pinned")\nwait_for("truncated")\n'
        "ibv_dereg_mr(mr)                                                # -> 0\n"
        "ibv_dereg_mr(more)                                              # -> 0\n",
        b=TRUNCATE,
    )
    assert run.returned("b") == 46.0
    assert (leases(run), pinned(run)) == ((), 0)


def test_a_region_that_is_deregistered_while_the_device_gives_its_key_back(play: Play) -> None:
    run = play(
        "P9:intended,revoke_latency=5",
        a=PINNED + 'label("pinned")\nsleep(47)\nibv_dereg_mr(mr)                    # -> 0\n',
        b=TRUNCATE,
    )
    assert run.returned("b") == 47.0
    assert (leases(run), pinned(run)) == ((), 0)


# What nobody has said: each is a parameter.


def test_a_plain_registration_may_pin_and_then_a_change_waits_for_it(play: Play) -> None:
    """Which is why it is refused: nothing ends it. Other rules of leases are not asked then."""
    plain = "mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)          # -> ok\n"
    for end, violates in (("sleep(100)\nibv_dereg_mr(mr)\n", []), ("pause()                # -> hangs\n", ["O3"])):
        run = play(
            "P9,plain_registration=pin",
            seeds=range(2),
            violates=violates,
            head='[[device]]\nname = "rxe0"\nrevocable = false\n[[file]]\npath = "/f"\nsize = "4 * PAGE"\nuid = 7',
            details={"a": "uid = 9"},
            a=DEVICE + plain + 'label("pinned")\n' + end,
            b="wait_for('pinned')\ntruncate('/f', 0)                  # -> "
            + ("hangs\n" if violates else "blocks, 0\n"),
        )
    assert not leases(run)


@pytest.mark.parametrize(("signal", "taken"), [("always", "SIGIO"), ("never", ""), ("if_set", "")])
def test_who_registered_is_signalled_or_not(play: Play, signal: str, taken: str) -> None:
    """Beside the event, which all get; F_SETSIG has named nothing here."""
    run = play(
        f"P9,signal_registrant={signal}",
        seeds=range(2),
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a=DEVICE
        + LEASED
        + 'sigprocmask(SIG_BLOCK, SIGIO)\nlabel("pinned")\n'
        + ANSWER
        + "sigprocmask(SIG_UNBLOCK, SIGIO)\n",
        b=TRUNCATE,
    )
    assert [text.split(":")[0] for text in run.taken("a")] == [taken] * bool(taken)


def test_a_signal_that_was_named_is_sent_or_never(play: Play) -> None:
    for signal, count in (("always", 1), ("never", 0)):
        run = play(
            f"P9,signal_registrant={signal}",
            seeds=(),
            details={"a": "on_signal.SIGUSR1 = 'getpid()'"},
            a=DEVICE + "fcntl(fd, F_SETSIG, SIGUSR1)\n" + LEASED + "label('pinned')\nsleep(10)\nibv_dereg_mr(mr)\n",
            b=TRUNCATE,
        )
        assert len(run.taken("a")) == count


@pytest.mark.parametrize("goes", [True, False])
def test_a_registration_while_a_lease_is_being_broken_may_be_had(play: Play, goes: bool) -> None:
    """H5, and why it is refused: its own lease is not being broken, but whoever breaks the other waits for it too."""
    run = play(
        "P9,while_breaking=ok",
        seeds=range(2),
        violates=[] if goes else ["O3"],
        a=PINNED + 'label("pinned")\nibv_get_async_event(ctx)\nlabel("breaking")\npause()                 # -> hangs\n',
        other=DEVICE
        + f"""
wait_for("breaking")
mr = ibv_reg_mr_lease(pd, buf, PAGE, {ACCESS})                  # -> ok
sleep(200)
{"ibv_dereg_mr(mr)" if goes else "pause()                # -> hangs"}
""",
        b=TRUNCATE if goes else TRUNCATE.replace("blocks, 0", "hangs"),
    )
    assert not goes or run.returned("b") == 200.0


@pytest.mark.parametrize(("needed", "outcome"), [("true", "EACCES"), ("false", "ok")])
def test_who_can_map_a_file_may_register_it_or_not(play: Play, needed: str, outcome: str) -> None:
    play(
        f"P9,needs_lease_right={needed}",
        seeds=(),
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\nuid = 7',
        details={"a": "uid = 9"},
        a=DEVICE + LEASED.replace("-> ok", f"-> {outcome}"),
    )


def test_a_region_outlives_dup_exec_and_the_close_of_every_descriptor_of_its_file(play: Play) -> None:
    """As long as somebody has its device: here the next program, or who got the device through a socket."""
    run = play(
        "P9",
        seeds=range(2),
        details={"next": 'start = "fork"'},
        a=PINNED + 'again = dup(fd)\nclose(fd)\nclose(again)\nsend_fd("b", ctx)\nexec("next")\n',
        next="label('pinned')\nibv_get_async_event(ctx)                                # -> ok\n",
        b="ctx = recv_fd()\nwait_for('pinned')\ntruncate('/f', 0)              # -> blocks, 0\n",
    )
    assert run.returned("b") == 46.0
    assert (leases(run), pinned(run)) == ((), 0)


def test_an_administrator_sees_the_device_that_owns_a_region() -> None:
    """Whoever has it open can end the lease; an ordinary lease is listed as ever."""
    ordinary = LeaseView(
        "lease:2", ("file:2",), "file:2", "process:2", 2, 0, LeaseKind.LEASE, "", False, False, False, False, False, 0
    )
    of_region = ordinary._replace(
        address="lease:1", key=("registration", "mr:1.1", "uverbs:1.1"), holder="process:1", kind=LeaseKind.LAYOUT
    )
    view = LayoutView(FileFacts(0, 0, Memory.FS_DAX), (of_region, ordinary), (), None, MrLease.state)
    assert [(entry.by, entry.address) for entry in MrLease().admin_list(view)] == [
        (ListedBy.DEVICE, "uverbs:1.1"),
        (ListedBy.DESCRIPTION, "process:2"),
    ]


@pytest.mark.parametrize(
    "name", ["registration-lease-answered", pytest.param("registration-revoked", marks=pytest.mark.heavy)]
)
def test_every_rule_holds_in_every_schedule(name: str) -> None:
    """The price is that an access may fail at any time [F19]; nothing else can."""
    scenario = load_scenario(name)
    scenario = replace(scenario, holds=("O1", "O1'", "O2", "O3", "O4", "O5", "O6", "O7", "O8"))
    subject = Subject(scenario, Settings.of(scenario, policy="P9", preset="intended", parameters={}))
    result = explore(subject.build, check=subject.check, always=subject.always, method="states")
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures
