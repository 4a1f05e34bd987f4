"""What happens while a page is pinned, under P7 and P8: a column each of semantics 5, a row a scenario."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from unit.programs import CONTEXT, OPEN, leases, pinned

Play = Callable[..., Any]

FILES = '[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "0"\n'
CLONED = "fd = open('/f', O_RDWR)\nto = open('/g', O_RDWR)\nioctl(to, FICLONE, fd)                # -> 0\nclose(fd)\n"
REGISTER = "mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)          # -> ok\n"


class Column(NamedTuple):
    """A policy, and how a process protects what it pins under it."""

    policy: str
    protect: str
    give_up: str = "fcntl(fd, F_SETLEASE, F_UNLCK)"
    waits: bool = False
    """Others' changes wait for the break time, and the holder is killed then."""

    def outcome(self, result: str) -> str:
        """Return what a change by others comes to."""
        return f"blocks, {result}" if self.waits else "ETXTBSY"


COLUMNS = {
    "P7": Column("P7", "fcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)", "fcntl(fd, F_SETLAYOUT, F_UNLCK)"),
    "P7 unmap": Column(
        "P7,unbreak_scope=unmap", "fcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)", "fcntl(fd, F_SETLAYOUT, F_UNLCK)"
    ),
    "P7 write": Column("P7", "fcntl(fd, F_SETLAYOUT, F_WRLCK | F_UNBREAK)", "fcntl(fd, F_SETLAYOUT, F_UNLCK)"),
    "P8 shared": Column("P8", "fcntl(fd, F_SETLEASE, F_LAYOUT)", waits=True),
    "P8 exclusive": Column("P8", "fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)"),
}
OTHERS = {
    "truncate": ("truncate('/f', 0)", "0"),
    "punch": ("fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)", "0"),
    "truncate of an unpinned range": ("truncate('/f', 2 * PAGE)", "0"),
    "growth": ("truncate('/f', 9 * PAGE)", "0"),
    "write that copies": ("pwrite(fd, 'x', PAGE)", "1"),
    "clone": ("ioctl(to, FICLONE, fd)", "0"),
}
"""Changes by another process, and what they return when they are made."""


@pytest.fixture(params=COLUMNS)
def column(request: pytest.FixtureRequest) -> Column:
    return COLUMNS[request.param]


def holder(column: Column, then: str = "") -> str:
    """Return the program of a process that protects and pins page 0 of a file of which page 1 is shared."""
    return (
        CLONED + CONTEXT + OPEN + f"{column.protect}         # -> 0\n" + REGISTER + then + "label('pinned')\n"
        "sleep(1000)\nwait_for('done')\n"
    )


def other(call: str, outcome: str) -> str:
    return f"""
wait_for("pinned")
fd = open("/f", O_RDWR)
to = open("/g", O_RDWR)
{call}                                                          # -> {outcome}
label("done")
"""


def events(play: Play, column: Column, call: str, outcome: str, then: str = "") -> Any:
    return play(
        column.policy,
        seeds=range(3),
        head=FILES,
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a=holder(column, then),
        b=other(call, outcome),
    )


@pytest.mark.parametrize("row", OTHERS)
@pytest.mark.parametrize("mapped", [True, False])
def test_a_change_by_another_process(play: Play, column: Column, row: str, mapped: bool) -> None:
    """Rows 1, 3, 5, 6 and 7: what is unmapped is as protected as what is mapped."""
    call, result = OTHERS[row]
    then = "" if mapped else "munmap(buf, 4 * PAGE)\n"
    run = events(play, column, call, column.outcome(result), then)
    assert run.returned("b") == (45.0 if column.waits else 0.0)
    assert (run.ended("a") == 45.0) == column.waits


def test_a_write_that_changes_nothing_by_another_process(play: Play, column: Column) -> None:
    """Row 4: what resists only unmapping lets it through."""
    outcome = "1" if "unmap" in column.policy else column.outcome("1")
    events(play, column, "pwrite(fd, 'x', 0)", outcome)


@pytest.mark.parametrize(
    "call", ["truncate('/f', 0)", "fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)"]
)
def test_a_change_of_the_pinned_range_by_the_holder(play: Play, column: Column, call: str) -> None:
    """Row 2: by its lease, or if that is no obstacle for its holder, by the check of pages."""
    play(
        column.policy,
        seeds=range(3),
        head=FILES,
        a=CLONED + CONTEXT + OPEN + f"{column.protect}\n" + REGISTER + f"{call}                   # -> ETXTBSY\n",
    )


def test_a_write_in_place_by_the_holder(play: Play, column: Column) -> None:
    """Row 4: under P8 and with a write layout the holder is exempt, with a read layout under P7 it is not."""
    exempt = "RDLCK" not in column.protect or "unmap" in column.policy
    play(
        column.policy,
        seeds=range(3),
        a=CONTEXT
        + OPEN
        + f"{column.protect}\n"
        + REGISTER
        + f"write(fd, 'x')         # -> {1 if exempt else 'ETXTBSY'}\n",
    )


def test_an_unlink_and_the_last_close(play: Play, column: Column) -> None:
    """Row 8: under P7 a zombie keeps the blocks; under P8 the close blocks until another has deregistered."""
    strict = column.policy == "P8"
    run = play(
        column.policy,
        seeds=range(3),
        details={"child": 'start = "fork"'},
        a=CONTEXT
        + OPEN
        + f"{column.protect}\n"
        + REGISTER
        + "munmap(buf, 4 * PAGE)\nunlink('/f')\nfork('child')\n"
        + f"close(fd)                      # -> {'blocks, 0' if strict else '0'}\n",
        child="munmap(buf, 4 * PAGE)\nclose(fd)\nsleep(6)\nibv_dereg_mr(mr)                 # -> 0\n",
    )
    assert run.returned("a") == (6.0 if strict else 0.0)
    assert (leases(run), pinned(run)) == ((), 0)


def test_to_give_up_with_pins(play: Play, column: Column) -> None:
    """Row 9: refused."""
    play(
        column.policy,
        seeds=range(3),
        a=CONTEXT + OPEN + f"{column.protect}\n" + REGISTER + f"{column.give_up}               # -> EBUSY\n",
    )


def test_the_setter_is_killed_and_the_device_is_shared(play: Play, column: Column) -> None:
    """Row 10: under P7 a zombie, under P8 orphans, which are taken from the device."""
    strict = column.policy == "P8"
    run = play(
        column.policy,
        seeds=range(3),
        details={"child": 'start = "fork"'},
        a=CONTEXT + "fork('child')\n" + OPEN + f"{column.protect}\n" + REGISTER + "label('pinned')\nsleep(1000)\n",
        child="wait_for('tried')\n",
        b=f"""
wait_for("pinned")
kill("a", SIGKILL)
sleep(1)
truncate("/f", 0)                                               # -> {"0" if strict else "ETXTBSY"}
label("tried")
sleep(1)
truncate("/f", PAGE)                                            # -> 0
""",
    )
    assert (leases(run), pinned(run)) == ((), 0)
