"""P7, layouts with commands of their own, each sentence of docs/policies.md about it as a small scenario."""

import errno
from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, DEVICE, OPEN, REGISTER, leases, pinned

from longpin.actors.constants import F_RDLCK, F_UNLCK, F_WRLCK
from longpin.actors.kernel.file_system import Asked, ChangeKind, LayoutOperation
from longpin.actors.policies import POLICIES
from longpin.actors.policies.decisions import Allow, Fail, ListedBy, Proceed, Scan, WaitFor
from longpin.actors.policies.set_layout import WHOLE_FILE, SetLayout, UnbreakConflict
from longpin.actors.policies.views import (
    F_UNBREAK,
    Change,
    FileFacts,
    LayoutView,
    LeaseKind,
    LeaseRequest,
    LeaseView,
    Range,
)
from longpin.messages.fs.mapping import MappingView, Memory, PinRequest
from longpin.messages.mm.memory import Pin
from longpin.messages.process.caller import Caller

Play = Callable[..., Any]

READ = "fcntl(fd, F_SETLAYOUT, F_RDLCK)                                 # -> 0\n"
WRITE = "fcntl(fd, F_SETLAYOUT, F_WRLCK)                                 # -> 0\n"
UNBREAK = "fcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)                     # -> 0\n"
WRITE_UNBREAK = "fcntl(fd, F_SETLAYOUT, F_WRLCK | F_UNBREAK)                     # -> 0\n"
PINNED = DEVICE + UNBREAK + REGISTER
HANDLED = "on_signal.SIGIO = 'getpid()'"
ANSWERS = "on_signal.SIGIO = 'fcntl(fd, F_SETLAYOUT, F_UNLCK)'"
FORKED = 'start = "fork"'
REFLINK = '[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "0"\n'


# The commands.


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "P7"])
def test_elsewhere_the_commands_are_unknown(play: Play, policy: str) -> None:
    play(
        policy,
        seeds=(),
        a="""
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLAYOUT, F_RDLCK)                                 # -> EINVAL
fcntl(fd, F_GETLAYOUT)                                          # -> EINVAL
fcntl(-1, F_SETLAYOUT, F_RDLCK)                                 # -> EBADF
""",
    )


def test_type_flags_and_range(play: Play) -> None:
    play(
        "P7",
        seeds=(),
        a="""
fd = open("/f", O_RDWR)
fcntl(fd, F_GETLAYOUT)                                          # -> F_UNLCK
fcntl(fd, F_SETLAYOUT, F_UNLCK)                                 # -> EAGAIN (there is none)
fcntl(fd, F_SETLAYOUT, 3)                                       # -> EINVAL
fcntl(fd, F_SETLAYOUT, 64)                                      # -> EINVAL
fcntl(fd, F_SETLAYOUT, F_UNLCK | F_UNBREAK)                     # -> EINVAL
fcntl(fd, F_SETLAYOUT, F_RDLCK, 0, PAGE)                        # -> EINVAL (only the whole file for now)
fcntl(fd, F_SETLAYOUT, F_RDLCK, PAGE, 9223372036854775807)      # -> EINVAL
fcntl(fd, F_SETLAYOUT, F_RDLCK, 0, 9223372036854775807)         # -> 0
fcntl(fd, F_GETLAYOUT)                                          # -> F_RDLCK
fcntl(fd, F_SETLAYOUT, F_WRLCK | F_UNBREAK)                     # -> 0
fcntl(fd, F_GETLAYOUT)                                          # -> F_WRLCK | F_UNBREAK
fcntl(fd, F_SETLAYOUT, F_UNLCK)                                 # -> 0
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> EINVAL (that was another proposal)
folder = open("/", O_RDONLY | O_DIRECTORY)
fcntl(folder, F_SETLAYOUT, F_RDLCK)                             # -> EINVAL
fcntl(folder, F_GETLAYOUT)                                      # -> F_UNLCK
path = open("/f", O_PATH)
fcntl(path, F_SETLAYOUT, F_RDLCK)                               # -> EBADF
device = ibv_open_device("rxe0")
fcntl(device, F_SETLAYOUT, F_RDLCK)                             # -> EINVAL
""",
    )


def test_others_than_the_owner_need_a_capability(play: Play) -> None:
    play(
        "P7",
        details={"a": "uid = 7", "b": "uid = 7\ncapabilities = ['CAP_LEASE']"},
        a='fd = open("/f", O_RDWR)\nfcntl(fd, F_SETLAYOUT, F_RDLCK)                   # -> EACCES\n',
        b='fd = open("/f", O_RDWR)\nfcntl(fd, F_SETLAYOUT, F_RDLCK)                   # -> 0\n',
    )


def test_a_lease_and_a_layout_are_two_things(play: Play) -> None:
    """S4: nothing would prevent you from setting both. Neither command sees the other's (C-b, C-c mended)."""
    run = play(
        "P7",
        details={"a": "on_signal.SIGUSR1 = 'getpid()'"},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETSIG, SIGUSR1)
fcntl(fd, F_SETLEASE, F_RDLCK)                                  # -> 0
fcntl(fd, F_GETLAYOUT)                                          # -> F_UNLCK
fcntl(fd, F_SETLAYOUT, F_RDLCK)                                 # -> 0
fcntl(fd, F_GETLEASE)                                           # -> F_RDLCK
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0
fcntl(fd, F_GETLEASE)                                           # -> F_UNLCK
fcntl(fd, F_GETLAYOUT)                                          # -> F_RDLCK
fcntl(fd, F_GETSIG)                                             # -> SIGUSR1 (the layout still needs it)
fcntl(fd, F_SETLEASE, F_WRLCK)                                  # -> 0 (no layout is in its way)
label("both")
sleep(1000)                                                     # -> EINTR
fcntl(fd, F_GETLEASE)                                           # -> F_UNLCK (to be given up)
fcntl(fd, F_GETLAYOUT)                                          # -> F_RDLCK (nobody breaks it)
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0
fcntl(fd, F_SETLAYOUT, F_UNLCK)                                 # -> 0
fcntl(fd, F_GETSIG)                                             # -> 0
""",
        b="""
wait_for("both")
fd = open("/f", O_RDWR)                                         # -> blocks, ok (it breaks the lease alone)
""",
    )
    assert leases(run) == ()


@pytest.mark.parametrize(("meet", "write", "layout"), [("false", "0", "0"), ("true", "EAGAIN", "EAGAIN")])
def test_others_leases_and_layouts_meet_or_not(play: Play, meet: str, write: str, layout: str) -> None:
    """C-c: F_SETLEASE looks at every kind, so a layout of another keeps a write lease away; here none does."""
    play(
        f"P7,kinds_meet={meet}",
        seeds=range(2),
        a="fd = open('/f', O_RDONLY)\n" + READ + "label('layout')\nwait_for('tried')\nfcntl(fd, F_SETLAYOUT, F_UNLCK)\n"
        "fcntl(fd, F_SETLEASE, F_RDLCK)                                  # -> 0\nlabel('lease')\nwait_for('done')\n",
        b=f"""
wait_for("layout")
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)                                  # -> 0
label("tried")
wait_for("lease")
fcntl(fd, F_SETLAYOUT, F_WRLCK)                                 # -> {layout}
label("done")
""",
    )
    asked = SetLayout(kinds_meet=meet == "true").conflict_gate(LeaseRequest(F_WRLCK), layout_view())
    assert asked == (Fail(errno.EAGAIN) if write == "EAGAIN" else Proceed())


# Layouts that can be broken.


def test_read_layouts_are_shared_and_any_change_breaks_them(play: Play) -> None:
    """Whoever has the file open for writing is no obstacle; a write that changes nothing breaks them too."""
    run = play(
        "P7",
        details={"a": ANSWERS, "c": HANDLED},
        a='fd = open("/f", O_RDWR)\n' + READ + "label('one')\nwait_for('both')\nsleep(1000)  # -> EINTR\n",
        c="wait_for('one')\nfd = open('/f', O_RDONLY)\n" + READ + "label('both')\nsleep(1000)\nsleep(1000)\n",
        b="""
wait_for("both")
fd = open("/f", O_RDWR)
write(fd, "x")                                                  # -> blocks, 1
""",
    )
    assert run.returned("b") == 45.0
    assert "SIGIO" in "".join(run.taken("a") + run.taken("c"))


@pytest.mark.parametrize(("exempt", "until"), [("false", 45.0), ("true", 0.0)])
def test_a_read_layout_of_the_holder_itself(play: Play, exempt: str, until: float) -> None:
    """H14: whoever changes a file on which it has a read layout waits for itself, unless it is exempt."""
    run = play(
        f"P7,holder_exempt={exempt}",
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a="sigprocmask(SIG_BLOCK, SIGIO)\nfd = open('/f', O_RDWR)\n"
        + READ
        + f"write(fd, 'x')                             # -> {'blocks, 1' if until else '1'}\n",
    )
    assert run.returned("a") == until


def test_a_change_by_an_exempt_holder_breaks_the_layouts_of_others(play: Play) -> None:
    run = play(
        "P7,holder_exempt=true",
        details={"c": HANDLED},
        a="fd = open('/f', O_RDWR)\n"
        + READ
        + "wait_for('other')\nwrite(fd, 'x')              # -> blocks, 1\nfcntl(fd, F_GETLAYOUT)   # -> F_RDLCK\n",
        c="fd = open('/f', O_RDONLY)\n" + READ + "label('other')\nsleep(1000)\nsleep(1000)\n",
    )
    assert run.returned("a") == 45.0


def test_a_write_layout_breaks_read_layouts_and_lets_its_holder_change(play: Play) -> None:
    run = play(
        "P7",
        details={"a": ANSWERS, "b": HANDLED},
        a="fd = open('/f', O_RDONLY)\n" + READ + "label('read')\nsleep(1000)                 # -> EINTR\n"
        "wait_for('written')\nfcntl(fd, F_SETLAYOUT, F_RDLCK)                    # -> EAGAIN (beside a write layout)\n"
        "fcntl(fd, F_SETLAYOUT, F_WRLCK)                     # -> EAGAIN\nlabel('refused')\n",
        b="wait_for('read')\nfd = open('/f', O_RDWR)\nfcntl(fd, F_SETLAYOUT, F_WRLCK)                 # -> blocks, 0\n"
        "write(fd, 'x')                          # -> 1\nftruncate(fd, 8 * PAGE)                    # -> 0\n"
        "fallocate(fd, 0, 0, 9 * PAGE)                  # -> 0\nlabel('written')\nwait_for('refused')\n"
        "label('again')\nsleep(1000)                       # -> EINTR (others' changes break it)\n"
        "fcntl(fd, F_SETLAYOUT, F_UNLCK)                   # -> 0\n",
        c="wait_for('again')\ntruncate('/f', 0)                    # -> blocks, 0\n",
    )
    assert run.returned("c") == 0.0
    assert len(run.taken("b")) == 1


@pytest.mark.parametrize(("second", "outcome"), [("EAGAIN", "EAGAIN"), ("break", "blocks, 0")])
def test_of_two_write_layouts_the_second_fails_or_breaks_the_first(play: Play, second: str, outcome: str) -> None:
    run = play(
        f"P7,second_write={second}",
        details={"a": ANSWERS},
        a="fd = open('/f', O_RDWR)\n" + WRITE + "label('first')\nwait_for('second')\n",
        b=f"wait_for('first')\nfd = open('/f', O_RDWR)\nfcntl(fd, F_SETLAYOUT, F_WRLCK)      # -> {outcome}\n"
        "label('second')\n",
    )
    assert len(run.taken("a")) == (second == "break")


def test_a_read_layout_may_be_given_beside_a_write_layout(play: Play) -> None:
    play(
        "P7,read_beside_write=true",
        a="fd = open('/f', O_RDWR)\n" + WRITE + "label('first')\nwait_for('second')\n",
        b="wait_for('first')\nfd = open('/f', O_RDWR)\n" + READ + "label('second')\n",
    )


# Unbreakable layouts.


def test_unbreakable_read_layouts_are_shared_and_exclude_write_layouts(play: Play) -> None:
    run = play(
        "P7",
        details={"a": HANDLED, "c": HANDLED},
        a="fd = open('/f', O_RDWR)\n" + UNBREAK + "label('one')\nwait_for('done')\n",
        c="wait_for('one')\nfd = open('/f', O_RDWR)\n"
        + UNBREAK
        + "fcntl(fd, F_SETLAYOUT, F_UNLCK)                 # -> 0\n"
        + "fcntl(fd, F_SETLAYOUT, F_WRLCK | F_UNBREAK)                 # -> EAGAIN\n"
        + "fcntl(fd, F_SETLAYOUT, F_WRLCK)                             # -> EAGAIN\n"
        + READ
        + "label('tried')\nwait_for('done')\n",
        b="""
wait_for("tried")
truncate("/f", 0)                                               # -> ETXTBSY (before anything has begun)
fd = open("/f", O_RDWR)
write(fd, "x")                                                  # -> ETXTBSY
open("/f", O_RDWR | O_TRUNC)                                    # -> ETXTBSY
fallocate(fd, FALLOC_FL_KEEP_SIZE, 8 * PAGE, PAGE)              # -> ETXTBSY
label("done")
""",
    )
    assert (run.taken("a"), run.taken("c"), run.returned("b")) == ([], [], 0.0)


@pytest.mark.parametrize("number", ["EAGAIN", "EBUSY", "ETXTBSY"])
def test_the_errno_of_a_write_layout_beside_an_unbreakable_one(play: Play, number: str) -> None:
    """Nobody has said which."""
    play(
        f"P7,unbreak_conflict={number}",
        seeds=(),
        a="fd = open('/f', O_RDWR)\n" + UNBREAK + "label('one')\nwait_for('done')\n",
        b=f"""
wait_for("one")
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLAYOUT, F_WRLCK)                                 # -> {number}
fcntl(fd, F_SETLAYOUT, F_WRLCK | F_UNBREAK)                     # -> {number}
label("done")
""",
    )
    wanted = LeaseRequest(F_WRLCK, LeaseKind.LAYOUT, "layout")
    refused = SetLayout(unbreak_conflict=UnbreakConflict(number)).conflict_gate(wanted, layout_view(unbreakable=True))
    assert refused == Fail(getattr(errno, number)), "taken by another in between"


def test_an_unbreakable_layout_never_times_out(play: Play) -> None:
    play(
        "P7",
        a="fd = open('/f', O_RDWR)\n" + UNBREAK + "label('one')\nwait_for('done')\n",
        b="wait_for('one')\ntruncate('/f', 0)                # -> ETXTBSY\nsleep(1000)\n"
        "truncate('/f', 0)                        # -> ETXTBSY\nlabel('done')\n",
    )


def test_a_file_that_is_preallocated_under_a_write_layout_becomes_unbreakable_in_one_step(play: Play) -> None:
    """The recipe of M1: take a write layout, allocate, convert. Nobody gets a change in between."""
    run = play(
        "P7",
        details={"a": HANDLED},
        a=DEVICE
        + WRITE
        + "label('writes')\nfallocate(fd, 0, 0, 8 * PAGE)            # -> 0\n"
        + UNBREAK
        + REGISTER
        + "label('unbreakable')\nwait_for('done')\n",
        b="wait_for('unbreakable')\ntruncate('/f', 0)            # -> ETXTBSY\nlabel('done')\n",
    )
    assert run.taken("a") == []


def test_a_layout_that_is_being_broken_is_not_converted(play: Play) -> None:
    run = play(
        "P7",
        details={"a": HANDLED},
        a="fd = open('/f', O_RDWR)\n"
        + WRITE
        + "label('writes')\nsleep(1000)                          # -> EINTR\n"
        + "fcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)               # -> EAGAIN (somebody is breaking it)\n"
        + "fcntl(fd, F_SETLAYOUT, F_WRLCK)               # -> EAGAIN (H20: nor is it taken again)\n"
        + "fcntl(fd, F_GETLAYOUT)                      # -> F_UNLCK\n"
        + "fcntl(fd, F_SETLAYOUT, F_UNLCK)               # -> 0\n",
        b="wait_for('writes')\ntruncate('/f', 0)                        # -> blocks, 0\n",
    )
    assert run.returned("b") == 0.0


@pytest.mark.parametrize("right", ["owner", "writer"])
def test_who_may_make_a_layout_unbreakable(play: Play, right: str) -> None:
    """Disputed: who owns the file, or who has it open for writing [M2]."""
    owner = right == "owner"
    play(
        f"P7,unbreak_right={right}",
        details={"other": "uid = 7", "able": "uid = 7\ncapabilities = ['CAP_LEASE']"},
        owns="fd = open('/f', O_RDONLY)\nfcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)             # -> EACCES\n"
        "fcntl(fd, F_SETLAYOUT, F_RDLCK)                       # -> 0\n"
        "fd = open('/f', O_WRONLY)\n" + UNBREAK,
        other="fd = open('/f', O_RDWR)\n"
        f"fcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)             # -> {'EACCES' if owner else '0'}\n"
        f"fcntl(fd, F_SETLAYOUT, F_UNLCK)             # -> {'EACCES' if owner else '0'}\n",
        able="fd = open('/f', O_RDWR)\n" + UNBREAK,
    )


ADDITIVE = """
wait_for("pinned")
fd = open("/f", O_RDWR)
write(fd, "x")                                                  # -> {in_place}
lseek(fd, 4 * PAGE)
write(fd, "x")                                                  # -> {in_place}
truncate("/f", 0)                                               # -> ETXTBSY
fallocate(fd, FALLOC_FL_KEEP_SIZE, 8 * PAGE, PAGE)              # -> ETXTBSY (XFS unmaps for every mode)
label("done")
"""


@pytest.mark.parametrize(("scope", "outcome"), [("all", "ETXTBSY"), ("unmap", "1")])
def test_what_an_unbreakable_layout_resists(play: Play, scope: str, outcome: str) -> None:
    """M2: it need only resist what unmaps, not what writes."""
    play(
        f"P7,unbreak_scope={scope}",
        a=PINNED + "label('pinned')\nwait_for('done')\n",
        b=ADDITIVE.format(in_place=outcome),
    )


@pytest.mark.parametrize("scope", ["all", "unmap"])
def test_a_write_that_would_copy_is_refused_under_either_scope(play: Play, scope: str) -> None:
    """H8: a page that is shared would move away under the pin."""
    play(
        f"P7,unbreak_scope={scope}",
        head=REFLINK,
        a="""
fd = open("/f", O_RDWR)
to = open("/g", O_RDWR)
ioctl(to, FICLONE, fd)                                          # -> 0
"""
        + UNBREAK
        + "label('pinned')\nwait_for('done')\n",
        b="""
wait_for("pinned")
fd = open("/f", O_RDWR)
write(fd, "x")                                                  # -> ETXTBSY
to = open("/g", O_RDWR)
ioctl(to, FICLONE, fd)                                          # -> ETXTBSY (sharing again)
label("done")
""",
    )


# Pins.


def test_a_pin_needs_an_unbreakable_layout_of_the_process_itself(play: Play) -> None:
    """H4: a child shares the layout of the description, and needs one of its own."""
    play(
        "P7",
        details={"child": FORKED},
        a=DEVICE
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)             # -> EPERM\n"
        + READ
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)             # -> EPERM (it can be broken)\n"
        + UNBREAK
        + REGISTER
        + 'fork("child")\nwait_for("done")\n',
        child="""
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
fcntl(fd, F_GETLAYOUT)                                          # -> F_RDLCK | F_UNBREAK
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM
fcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)                     # -> 0 (the one there is, which stays the parent's)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM
own = open("/f", O_RDWR)
fcntl(own, F_SETLAYOUT, F_RDLCK | F_UNBREAK)                    # -> 0
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
label("done")
""",
    )


@pytest.mark.parametrize(("how", "outcome"), [("EBUSY", "EBUSY"), ("block", "blocks, 0"), ("ok", "0")])
def test_a_layout_is_kept_while_pages_are_pinned_under_it(play: Play, how: str, outcome: str) -> None:
    run = play(
        f"P7,unlck_with_pins={how}",
        details={"child": FORKED},
        a=PINNED
        + f'fork("child")\nfcntl(fd, F_SETLAYOUT, F_UNLCK)                       # -> {outcome}\nlabel("asked")\n',
        child=("sleep(3)\n" if how == "block" else "wait_for('asked')\n") + "ibv_dereg_mr(mr)\n",
    )
    assert run.returned("a") == (3.0 if how == "block" else 0.0)


def test_a_layout_is_kept_also_where_the_kernel_does_not_look_for_pins(play: Play) -> None:
    """H6: 5.4 looks for no pins of a file that nobody maps; who keeps a layout counts its own."""
    play(
        "P7:intended,kernel=5.4",
        seeds=(),
        a=PINNED + "munmap(buf, 4 * PAGE)\nfcntl(fd, F_SETLAYOUT, F_UNLCK)             # -> EBUSY\n"
        "fcntl(fd, F_SETLAYOUT, F_RDLCK)             # -> EBUSY\n",
    )


def test_conversion_to_a_layout_that_can_be_broken_is_a_release_too(play: Play) -> None:
    """Else a holder would get rid of F_UNBREAK with pages pinned under it."""
    play(
        "P7",
        a=PINNED
        + """
fcntl(fd, F_SETLAYOUT, F_RDLCK)                                 # -> EBUSY
fcntl(fd, F_SETLAYOUT, F_WRLCK | F_UNBREAK)                     # -> 0
ibv_dereg_mr(mr)
fcntl(fd, F_SETLAYOUT, F_RDLCK)                                 # -> 0
""",
    )


def test_close_leaves_a_zombie_that_blocks_changes_and_lets_nobody_pin(play: Play) -> None:
    run = play(
        "P7",
        a=PINNED
        + """
munmap(buf, 4 * PAGE)
close(fd)                                                       # -> 0
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM
fcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)                     # -> 0 (H2: shared with a zombie)
fcntl(fd, F_SETLAYOUT, F_WRLCK | F_UNBREAK)                     # -> EAGAIN (H2: not exclusive beside one)
fcntl(fd, F_SETLAYOUT, F_UNLCK)                                 # -> 0
label("zombie")
wait_for("refused")
ibv_dereg_mr(mr)                                                # -> 0
truncate("/f", 0)                                               # -> 0
""",
        b="wait_for('zombie')\ntruncate('/f', 0)                  # -> ETXTBSY\nlabel('refused')\n",
    )
    assert leases(run) == ()


def test_an_exit_never_waits_whatever_goes_first(play: Play) -> None:
    """H12: neither close waits for the other; when all is gone, so is the layout (O6)."""
    run = play(
        "P7",
        a=PINNED + "exit(0)\n",
    )
    assert (leases(run), pinned(run), run.ended("a")) == ((), 0, 0.0)


def test_a_release_that_is_late_keeps_the_layout_until_the_pins_are_gone(play: Play) -> None:
    """H13: a truncate in the window fails, and later succeeds."""
    play(
        "P7",
        head="[machine]\nuverbs_async_delay = true",
        a=PINNED + "munmap(buf, 4 * PAGE)\nclose(fd)\nclose(ctx)                           # -> 0\nlabel('closed')\n",
        b="wait_for('closed')\nsleep(1)\ntruncate('/f', 0)                        # -> 0\n",
    )


def test_who_is_passed_the_device_keeps_the_layout_when_the_setter_is_killed(play: Play) -> None:
    """H11: killing one of several holders of the device is not enough; killing all is."""
    run = play(
        "P7",
        details={"child": FORKED},
        a=CONTEXT + 'fork("child")\n' + OPEN + UNBREAK + REGISTER + "label('pinned')\npause()          # -> hangs\n",
        child="pause()          # -> hangs\n",
        b="""
wait_for("pinned")
kill("a", SIGKILL)
sleep(1)
truncate("/f", 0)                                               # -> ETXTBSY
kill("child", SIGKILL)
sleep(1)
truncate("/f", 0)                                               # -> 0
""",
    )
    assert leases(run) == ()


# Its own changes.


@pytest.mark.parametrize("layout", [UNBREAK, WRITE_UNBREAK])
def test_a_holder_of_pins_does_not_free_them(play: Play, layout: str) -> None:
    """An unbreakable read layout stands in its holder's way; a write layout does not, but its pins do [W1]."""
    free = "0" if layout is WRITE_UNBREAK else "ETXTBSY"
    play(
        "P7",
        a=DEVICE
        + layout
        + REGISTER
        + f"""
truncate("/f", 2 * PAGE)                                        # -> {free} (no pinned page)
truncate("/f", 0)                                               # -> ETXTBSY
ibv_dereg_mr(mr)
truncate("/f", 0)                                               # -> {free}
""",
    )


def test_a_write_holder_does_not_copy_a_page_away_from_its_pin(play: Play) -> None:
    """H8, by the holder: a snapshot it makes itself is refused while its pages are pinned."""
    play(
        "P7",
        head=REFLINK,
        a=DEVICE
        + WRITE_UNBREAK
        + REGISTER
        + "to = open('/g', O_RDWR)\nioctl(to, FICLONE, fd)               # -> ETXTBSY\nibv_dereg_mr(mr)\n"
        + "ioctl(to, FICLONE, fd)                         # -> 0\n",
    )


# The administrator.


def test_file_pins_shows_layouts_and_pins_and_who_is_killed_lets_go(play: Play) -> None:
    """H10: a squatter needs no pins to be in the way; listing and killing ends it (O4, O8)."""
    play(
        "P7",
        squats="fd = open('/f', O_RDWR)\n" + UNBREAK + "label('squats')\npause()          # -> hangs\n",
        b="""
wait_for("squats")
file_pins("squats")                                             # -> b"3: layout\\n   /f\\n"
truncate("/f", 0)                                               # -> ETXTBSY
list_holders("/f")                                              # -> 1
kill_holders("/f", SIGKILL)                                     # -> 1
sleep(1)
truncate("/f", 0)                                               # -> 0
""",
    )


# Hooks.

FACTS = FileFacts(0, 16384, Memory.FS_DAX)


def layout_view(kind: int = F_RDLCK, *, unbreakable: bool = False) -> LeaseView:
    return LeaseView(
        "lease:1",
        ("file:1",),
        "file:1",
        "process:1",
        100,
        kind,
        LeaseKind.LAYOUT,
        "layout",
        False,
        unbreakable,
        False,
        False,
        False,
        kind,
    )


def test_a_process_that_has_the_number_of_a_dead_one_has_none_of_its_layouts() -> None:
    """H17: holders are told by what they are, not by a number that is given again."""
    view = LayoutView(FACTS, (layout_view(unbreakable=True),), None, None, SetLayout.state)
    request = PinRequest(
        Caller("process:2", 100, 0, 0), MappingView("mm:2", 1, 3, 1, "file:2"), True, True, "mr:2.1", "uverbs:2.1"
    )
    assert SetLayout().pin_gate(request, view) == Fail(errno.EPERM)
    assert SetLayout().pin_gate(request._replace(caller=Caller("process:1", 100, 0, 0)), view) == Allow(hold="file:1")


@pytest.mark.parametrize("kind", [F_RDLCK, F_WRLCK, F_UNLCK])
def test_leases_and_layouts_do_not_meet_on_the_list(kind: int) -> None:
    lease = LeaseRequest(kind)
    assert SetLayout().conflict_gate(lease, layout_view(F_WRLCK, unbreakable=True)) == Proceed()
    ordinary = layout_view()._replace(kind=LeaseKind.LEASE, slot="")
    assert SetLayout().conflict_gate(LeaseRequest(kind, LeaseKind.LAYOUT, "layout"), ordinary) == Proceed()
    assert SetLayout().conflict_gate(LeaseRequest(F_WRLCK), ordinary) == Fail(errno.EAGAIN)


def test_ranges_are_read_and_only_the_whole_file_is_taken() -> None:
    assert SetLayout().read_layout(F_RDLCK | F_UNBREAK, WHOLE_FILE) is not None
    assert SetLayout().read_layout(F_RDLCK, Range(0, 4095)) is None


def test_an_administrator_sees_unbreakable_layouts_without_pins() -> None:
    """M2: they should be listed as well. One that can be broken is in /proc/locks, as every lease."""
    view = LayoutView(FACTS, (layout_view(unbreakable=True),), None, (), SetLayout.state)
    files = [entry for entry in SetLayout().admin_list(view) if "file_pins" in entry.text]
    assert [(entry.by, entry.address) for entry in files] == [(ListedBy.DESCRIPTION, "file:1")]
    assert len(SetLayout().admin_list(view._replace(leases=(layout_view(),)))) == 1


def test_an_administrator_sees_pins_by_the_device_that_owns_them() -> None:
    view = LayoutView(FACTS, (layout_view(unbreakable=True),), None, (PIN,), SetLayout.state)
    seen = [(entry.by, entry.address) for entry in SetLayout().admin_list(view)]
    assert seen[1:] == [(ListedBy.DESCRIPTION, "file:1"), (ListedBy.DEVICE, "uverbs:1.1")]


PIN = Pin(7, 0, 0, longterm=True, owner="mr:1.1", context="uverbs:1.1", process="process:1", hold="file:1")
CHANGE = Change(
    LayoutOperation.TRUNCATE,
    ChangeKind.SUBTRACTIVE | ChangeKind.SHRINKING,
    Range(1, 3),
    Caller("process:2", 2, 0, 0),
    (Asked.LEASES, Asked.PAGES),
)


def test_pins_that_no_layout_stands_for_are_waited_for() -> None:
    """Short ones, and those whose layout was given up before them; in the range, when leases are gone [2.5]."""
    view = LayoutView(FACTS, (), (), None, SetLayout.state)
    assert SetLayout().change_gate(CHANGE, view) == Scan(Range(1, 3))
    assert SetLayout().change_gate(CHANGE, view._replace(pins=(PIN,))) == WaitFor((PIN,))
    assert SetLayout().change_gate(CHANGE, view._replace(pins=())) == Proceed()
    assert SetLayout().change_gate(CHANGE._replace(asks=(Asked.LEASES,)), view._replace(pins=(PIN,))) == Proceed()
