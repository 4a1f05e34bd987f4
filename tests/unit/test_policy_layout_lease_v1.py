"""P5, F_LAYOUT as posted: the sentences of docs/policies.md, P5, that ``test_policies.py`` has not [4.5, 2.1, 2.4].

Its relatives, the ancestor and the amendments, are in ``test_policy_layout_lease.py``.
"""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import DEVICE, REGISTER, leases, pinned

from longpin.actors.policies.views import LeaseKind

Play = Callable[..., Any]

TAKE = "fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0\n"
PINNED = DEVICE + TAKE + REGISTER


@pytest.mark.parametrize("flags", ["O_RDONLY", "O_WRONLY", "O_RDWR"])
def test_any_open_mode_will_do_and_the_owner_of_the_file_or_cap_lease(play: Play, flags: str) -> None:
    """F_LAYOUT is 16, of type read, asked for as any lease is: who writes is no obstacle, another owner is [V1-1]."""
    run = play(
        "P5",
        seeds=(0,),
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\nuid = 7\nmode = 0o666',
        details={
            "other": "uid = 9\ncapabilities = []",
            "able": "uid = 9\ncapabilities = ['CAP_LEASE']",
            "a": "uid = 7\ncapabilities = []",
        },
        writer='open("/f", O_RDWR)\nlabel("open")\npause()  # -> hangs\n',
        a=f'wait_for("open")\nfd = open("/f", {flags})\nfcntl(fd, F_SETLEASE, 17)                      # -> EINVAL\n'
        "fcntl(fd, F_SETLEASE, 48)                                       # -> EINVAL (no F_EXCLUSIVE here)\n"
        "fcntl(fd, F_SETLEASE, 16)                                       # -> 0\npause()  # -> hangs\n",
        other=f'fd = open("/f", {flags})\nfcntl(fd, F_SETLEASE, F_LAYOUT)                  # -> EACCES\n'
        "d = open('/', O_RDONLY)\nfcntl(d, F_SETLEASE, F_LAYOUT)                  # -> EACCES (root has it)\n",
        able=f'fd = open("/f", {flags})\nfcntl(fd, F_SETLEASE, F_LAYOUT)                   # -> 0\n'
        "d = open('/', O_RDONLY)\nfcntl(d, F_SETLEASE, F_LAYOUT)                  # -> EINVAL (no file)\n",
    )
    assert [(lease.kind, lease.type) for lease in leases(run)] == [(LeaseKind.LAYOUT, 0)]


def test_a_layout_lease_keeps_others_from_write_leases_though_neither_breaks_the_other(play: Play) -> None:
    """C-c: the list is not looked at by kind."""
    run = play(
        "P5",
        seeds=(0,),
        a='fd = open("/f", O_RDONLY)\n'
        + TAKE
        + """
other = open("/f", O_RDONLY)
fcntl(other, F_SETLEASE, F_RDLCK)                               # -> 0
fcntl(other, F_SETLEASE, F_UNLCK)                               # -> 0
fcntl(other, F_SETLEASE, F_WRLCK)                               # -> EAGAIN
close(other)
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0
fcntl(fd, F_SETLEASE, F_WRLCK)                                  # -> 0
""",
        b='sleep(1)\nfd = open("/f", O_RDONLY)\n',
    )
    assert run.taken("a") == []


@pytest.mark.parametrize(("check", "child"), [("any_lease", "ok"), ("own_tgid", "EPERM"), ("active_only", "ok")])
def test_a_child_pins_under_the_lease_it_shares_where_any_lease_counts(play: Play, check: str, child: str) -> None:
    """It may give the lease up, too, as every holder of the description may [2.4, H4]."""
    play(
        f"P5,lease_check={check}",
        seeds=(0, 1),
        details={"child": 'start = "fork"'},
        a=DEVICE
        + TAKE
        + REGISTER
        + 'fork("child")\nwait_for("given up")\nibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)        # -> EPERM\n',
        child=f"ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)                                 # -> {child}\n"
        'fcntl(fd, F_SETLEASE, F_UNLCK)                                # -> 0\nlabel("given up")\n',
    )


@pytest.mark.parametrize("kernel", ["ideal", "6.18"])
@pytest.mark.parametrize("ends", ["close(fd)\nmunmap(buf, 4 * PAGE)", "fcntl(fd, F_SETLEASE, F_UNLCK)"])
def test_a_lease_goes_before_its_pins_and_nobody_is_listed(play: Play, ends: str, kernel: str) -> None:
    """By F_UNLCK or with the description: pins stay and fail changes of their pages; no list leads to them [K1].

    Of their pages alone, on a kernel too that looks at the whole file where nobody names a range.
    """
    run = play(
        f"P5,kernel={kernel}",
        seeds=(0, 1),
        a=PINNED
        + ends
        + '          # -> 0\nlabel("gone")\npause()                                        # -> hangs\n',
        b="""
wait_for("gone")
list_holders("/f")                                              # -> 0
truncate("/f", 0)                                               # -> ETXTBSY (at once)
fd = open("/f", O_RDWR)
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE, PAGE)       # -> 0
write(fd, "x")                                                  # -> 1
""",
    )
    assert (leases(run), pinned(run), run.returned("b")) == ((), 1, 0.0)


@pytest.mark.parametrize(("known", "outcome"), [("true", "blocks, 0"), ("false", "ETXTBSY")])
def test_a_short_pin_is_waited_for_where_kinds_are_known(play: Play, known: str, outcome: str) -> None:
    """Else what is in a pipe is taken for a registration, which is wrong, the author agrees [K1b]."""
    play(
        f"P5,pin_kind_known={known}",
        seeds=(0, 1),
        a='fd = open("/f", O_RDWR)\nbuf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\nr = pipe()\n'
        "vmsplice(pipe_w, buf, 100)                                      # -> 100\n"
        "label('piped')\nsleep(2)\nread(r, 100)\n",
        b=f"wait_for('piped')\ntruncate('/f', 0)                          # -> {outcome}\n",
    )
