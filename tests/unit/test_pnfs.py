"""knfsd gives clients layouts, and manages their leases itself [semantics 1.4.1]."""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import DEVICE, OPEN, REGISTER, leases, pinned

from longpin.actors.policies import POLICIES

Play = Callable[..., Any]

GET = "fd = open('/f', O_RDWR)\nlo = layoutget(fd)                  # -> ok\nlabel('layout')\n"
RETURNS = (
    GET
    + "cb_layoutrecall(lo)                  # -> blocks, 0\nsleep({after})\nlayoutreturn(lo)                  # -> 0\n"
)
NEVER = GET + "cb_layoutrecall(lo)                  # -> blocks, 0\nwait_for('truncated')\n"
TRUNCATE = "wait_for('layout')\ntruncate('/f', 0)                  # -> blocks, 0\nlabel('truncated')\n"


@pytest.mark.parametrize("policy", [name for name in POLICIES if name not in ("P2", "P3")])
def test_a_change_recalls_the_layout_and_waits_until_it_is_returned(play: Play, policy: str) -> None:
    """Every kernel has it, beside whatever lets user space take leases."""
    run = play(policy, seeds=range(3), client=RETURNS.format(after=3), b=TRUNCATE)
    assert run.returned("b") == 3.0
    assert leases(run) == ()


@pytest.mark.parametrize(("period", "until"), [("", 180.0), (", 20", 40.0)])
def test_a_client_that_does_not_return_it_is_fenced_after_two_periods_of_its_lease(
    play: Play, period: str, until: float
) -> None:
    """The break time of leases, 45 seconds here, is not asked."""
    run = play(
        "P1",
        client=NEVER.replace("layoutget(fd)", f"layoutget(fd{period})")
        + "layout_write(lo, 'stray', 0)                  # -> EIO\nlayoutreturn(lo)                  # -> EINVAL\n",
        b=TRUNCATE,
    )
    assert run.returned("b") == until
    assert leases(run) == ()


TWO_FILES = """
[[pmem]]
name = "pmem0"
[[pmem]]
name = "pmem1"
[[file]]
path = "/pmem0/f"
size = "PAGE"
[[file]]
path = "/pmem0/g"
size = "PAGE"
[[file]]
path = "/pmem1/h"
size = "PAGE"
"""


def test_a_fence_cuts_the_client_off_from_the_device(play: Play) -> None:
    """Its layouts of other files there are no use either, and stay until they are returned; other clients' are."""
    run = play(
        "P1",
        head=TWO_FILES,
        seeds=range(4),
        client="""
f = open("/pmem0/f", O_RDWR)
g = open("/pmem0/g", O_RDWR)
h = open("/pmem1/h", O_RDWR)
lo = layoutget(f, 10)
also = layoutget(g, 10)
elsewhere = layoutget(h, 10)
layout_write(also, "a", 0)                                      # -> 1
label("layout")
wait_for("truncated")
layout_write(lo, "b", 0)                                        # -> EIO
layout_write(also, "b", 0)                                      # -> EIO
layout_read(also, 1, 0)                                         # -> EIO
layout_write(elsewhere, "b", 0)                                 # -> 1 (another device)
layoutreturn(lo)                                                # -> EINVAL (taken for returned)
layoutreturn(also)                                              # -> 0
new = layoutget(g)                                              # -> ok
layout_write(new, "c", 0)                                       # -> 1 (registered anew)
""",
        other="""
g = open("/pmem0/g", O_RDWR)
lo = layoutget(g)
wait_for("truncated")
layout_write(lo, "d", 0)                                        # -> 1
""",
        b="""
wait_for("layout")
truncate("/pmem0/f", 0)                                         # -> blocks, 0
label("truncated")
""",
    )
    assert run.returned("b") == 20.0


def test_a_layout_that_was_cut_off_is_fenced_in_its_turn(play: Play) -> None:
    """It is recalled like any other, and whoever breaks it waits its time."""
    run = play(
        "P1",
        head=TWO_FILES,
        seeds=range(2),
        client="""
f = open("/pmem0/f", O_RDWR)
g = open("/pmem0/g", O_RDWR)
lo = layoutget(f, 10)
also = layoutget(g, 10)
label("layout")
cb_layoutrecall(also)                                           # -> blocks, 0
wait_for("truncated")
layoutreturn(also)                                              # -> EINVAL
""",
        b="""
wait_for("layout")
truncate("/pmem0/f", 0)                                         # -> blocks, 0
truncate("/pmem0/g", 0)                                         # -> blocks, 0
label("truncated")
""",
    )
    assert run.returned("b") == 40.0


def test_a_client_accesses_blocks_where_it_was_told_they_are(play: Play) -> None:
    play(
        "P1",
        client=GET
        + """
layout_write(lo, "from afar", 0)                                # -> 9
layout_read(lo, 4, 5)                                           # -> b"afar"
layout_read(lo, 4, 100 * PAGE)                                  # -> b""
read(fd, 9)                                                     # -> b"from afar"
layout_write(lo, "", 0)                                         # -> EINVAL
layout_write(lo, "x", 0 - 1)                                    # -> EINVAL
layoutreturn(lo)                                                # -> 0
layout_read(lo, 4, 0)                                           # -> EINVAL
layoutreturn(lo)                                                # -> EINVAL
cb_layoutrecall(lo)                                             # -> EINVAL
""",
    )


def test_what_a_client_adds_breaks_no_lease(play: Play) -> None:
    """Neither its own nor another client's; the file grows, and holes and preallocated pages get blocks."""
    run = play(
        "P1",
        other=GET + "wait_for('written')\nlayout_read(lo, 5, 5 * PAGE)                 # -> b'later'\n",
        client="wait_for('layout')\n"
        + GET.replace("'layout'", "'mine'")
        + """
layout_write(lo, "later", 5 * PAGE)                             # -> 5
stat("/f")                                                      # -> 20485
label("written")
""",
    )
    assert run.returned("other") == 0.0


def test_a_write_of_the_client_into_a_recalled_layout(play: Play) -> None:
    """What it knows it may write until it has returned it; more it is not told."""
    play(
        "P1",
        client="""
fd = open("/f", O_RDWR)
lo = layoutget(fd)                                              # -> ok
layout_write(lo, "a", 0)                                        # -> 1
label("layout")
cb_layoutrecall(lo)                                             # -> 0
layout_write(lo, "b", 0)                                        # -> 1
layout_write(lo, "c", PAGE)                                     # -> EAGAIN
layoutreturn(lo)                                                # -> 0
""",
        b="wait_for('layout')\ntruncate('/f', 0)                  # -> 0\n",
    )


@pytest.mark.parametrize("seconds", [0, 30])
def test_a_client_never_writes_into_a_block_that_was_freed(play: Play, seconds: int) -> None:
    """O1: the fence comes before the blocks go, also when an access is under way."""
    play(
        "P1",
        seeds=range(25),
        racy=True,
        client=GET.replace("layoutget(fd)", "layoutget(fd, 1)")
        + f"layout_write(lo, 'a', 0)\ncb_layoutrecall(lo)\nsleep({seconds})\n"
        + "layout_write(lo, 'b', 0)\nlayout_write(lo, 'c', 0)\n",
        b="wait_for('layout')\ntruncate('/f', 0)\n",
    )


def test_a_file_that_shares_blocks_has_no_layout(play: Play) -> None:
    """A client would write where others read; and a clone recalls what there is."""
    play(
        "P1",
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "0"\n',
        client="fd = open('/f', O_RDWR)\nto = open('/g', O_RDWR)\nlo = layoutget(fd)\nfork('answers')\n"
        "ioctl(to, FICLONE, fd)                      # -> blocks, 0\n"
        "layoutget(fd)                      # -> ENXIO\nlayoutget(to)                      # -> ENXIO\n",
        details={"answers": 'start = "fork"'},
        answers="cb_layoutrecall(lo)\nlayoutreturn(lo)                  # -> 0\n",
    )


def test_other_file_systems_export_no_layouts(play: Play) -> None:
    play(
        "P1",
        head='[[pmem]]\nname = "pmem0"\nfile_system = "ext4"\n',
        client="fd = open('/f', O_RDWR)\nlayoutget(fd)                 # -> EOPNOTSUPP\n"
        "layoutget(fd, 0)                 # -> EINVAL\nend = pipe()\nlayoutget(end)                 # -> EINVAL\n"
        "layoutget(-1)                 # -> EBADF\n",
    )


def test_a_layout_ends_with_the_description_of_its_client(play: Play) -> None:
    run = play(
        "P1", client=GET + "exit(0)", b="wait_for('layout')\nsleep(1)\ntruncate('/f', 0)                # -> 0\n"
    )
    assert leases(run) == ()


# Beside leases of user space.

SHARED = "fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0\n"
ANSWERS = "on_signal.SIGIO = '''\nibv_dereg_mr(mr)\nfcntl(fd, F_SETLEASE, F_UNLCK)\n'''"


def test_a_change_waits_for_the_user_and_then_longer_for_the_client(play: Play) -> None:
    """H26: both are told together. The lease of the user is over at its time, the layout of the client at its own."""
    run = play(
        "P5",
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        client=NEVER,
        a="wait_for('layout')\n" + OPEN + SHARED + "label('both')\nsleep(1000)             # -> EINTR\nsleep(60)\n"
        "fcntl(fd, F_GETLEASE)                                # -> F_UNLCK\n",
        b="wait_for('both')\ntruncate('/f', 0)                     # -> blocks, 0\nlabel('truncated')\n",
    )
    assert run.returned("b") == 180.0


@pytest.mark.parametrize(("check", "outcome"), [("any_lease", "ok"), ("own_tgid", "EPERM"), ("active_only", "ok")])
def test_a_layout_of_a_client_lets_anybody_pin_where_any_lease_counts(play: Play, check: str, outcome: str) -> None:
    """H26 under P5 as posted: knfsd's lease on the list is one like any other."""
    play(
        f"P5,lease_check={check}",
        client=GET + "wait_for('tried')\n",
        a="wait_for('layout')\n"
        + DEVICE
        + f"ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)                # -> {outcome}\nlabel('tried')\n",
    )


@pytest.mark.parametrize("policy", ["P6", "P8"])
def test_elsewhere_it_lets_nobody_pin(play: Play, policy: str) -> None:
    play(
        policy,
        client=GET + "wait_for('tried')\n",
        a="wait_for('layout')\n"
        + DEVICE
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)                # -> EPERM\nlabel('tried')\n",
    )


def test_a_change_that_fails_has_recalled_the_clients_layout_under_p6(play: Play) -> None:
    """H16: the client loses its layout for a truncate that does not happen."""
    play(
        "P6",
        client=GET + "cb_layoutrecall(lo)                # -> blocks, 0\nlayoutreturn(lo)\nlabel('returned')\n",
        a="wait_for('layout')\n"
        + OPEN
        + "fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)              # -> 0\nlabel('both')\nwait_for('returned')\n",
        b="wait_for('both')\ntruncate('/f', 0)                     # -> ETXTBSY\n",
    )


def test_under_p7_it_fails_before_the_client_hears_of_it(play: Play) -> None:
    """And knfsd's layout is no obstacle for leases: they are things apart."""
    run = play(
        "P7",
        client="fd = open('/f', O_RDONLY)\nlo = layoutget(fd)\nlabel('layout')\nwait_for('tried')\n",
        a="wait_for('layout')\nfd = open('/f', O_RDWR)\n"
        "fcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)              # -> 0\nlabel('both')\nwait_for('tried')\n",
        b="wait_for('both')\ntruncate('/f', 0)                     # -> ETXTBSY\nlabel('tried')\n",
    )
    assert run.returned("b") == 0.0


def test_a_write_layout_of_p7_recalls_the_clients(play: Play) -> None:
    run = play(
        "P7",
        client=RETURNS.format(after=3),
        a="wait_for('layout')\nfd = open('/f', O_RDWR)\nfcntl(fd, F_SETLAYOUT, F_WRLCK)           # -> blocks, 0\n",
    )
    assert run.returned("a") == 3.0


def test_under_p8_the_user_is_killed_at_its_time_and_the_client_is_not(play: Play) -> None:
    run = play(
        "P8",
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        client=RETURNS.format(after=100),
        a="wait_for('layout')\n" + DEVICE + SHARED + REGISTER + "label('both')\nsleep(1000)\nsleep(1000)\n",
        b="wait_for('both')\ntruncate('/f', 0)                     # -> blocks, 0\n",
    )
    assert run.ended("a") == 45.0
    assert run.returned("b") == 100.0
    assert (pinned(run), leases(run)) == (0, ())


def test_an_administrator_sees_it_in_proc_locks(play: Play) -> None:
    play(
        "P1",
        client=GET + "wait_for('seen')\n",
        b="wait_for('layout')\n"
        "proc_locks()               # -> b'1: LEASE  ACTIVE    READ 0 /f 0 EOF\\n'\nlabel('seen')\n",
    )
