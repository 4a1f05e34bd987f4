"""Pages are pinned in batches. Whether a batch is one page, as a kernel goes through it, or 512, nobody can tell.

All schedules of small scenarios are explored with both, and what the processes have seen and what is left must be the
same sets.
"""

from typing import Any, ClassVar

import pytest

from longpin.actors.fs.inode import Inode
from longpin.actors.mm import gup
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.pmem import Pmem
from longpin.actors.policies.proposal import Proposal, read_proposal
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.process import Process
from longpin.actors.process.process_state import Value
from longpin.actors.process.thread import Thread
from longpin.config.loader import parse_scenario
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.exploration import explore


class WitnessThread(Thread):
    """A thread that remembers what its calls returned."""

    process: "Witness"

    def end_call(self, record: CallRecord, value: Value) -> None:
        super().end_call(record, value)
        self.process.seen.append((record.op.text, record.ret, record.errno))


class Witness(Process):
    """A process of one."""

    thread_type: ClassVar[type[Thread]] = WitnessThread

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seen: list[tuple[str, int | str | None, int]] = []


class Witnessed(Blueprint):
    """A world of such processes."""

    process: ClassVar[type[Process]] = Witness


OPEN = """
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/f", O_RDWR)
{lease}
buf = mmap({pages} * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""
REGISTER = "mr = ibv_reg_mr(pd, buf, {pages} * PAGE, IBV_ACCESS_LOCAL_WRITE)\n"


def text(program: str, other: str, *, pages: int, size: int, lease: bool, handler: str = "") -> str:
    """Return a scenario in which a process registers its pages while another does something about them."""
    setup = OPEN.format(pages=pages, lease="fcntl(fd, F_SETLEASE, F_LAYOUT)" if lease else "")
    return f"""
name = "batches"
[[pmem]]
name = "pmem0"
blocks = 3
[[file]]
path = "/f"
size = "{size} * PAGE"
[[process]]
name = "app"
program = '''{setup}fork("other")
{program.format(pages=pages)}pause()
'''
on_signal.SIGIO = '''{handler}
'''
[[process]]
name = "other"
start = "fork"
program = '''
{other}
'''
"""


CASES = {
    "truncate to nothing": (REGISTER, 'truncate("/f", 0)', 2, 2, False),
    "truncate to a page": (REGISTER, 'truncate("/f", PAGE)', 2, 2, False),
    "punch the first page": (
        REGISTER,
        "fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)",
        2,
        2,
        False,
    ),
    "punch the last page": (
        REGISTER,
        "fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE)",
        2,
        2,
        False,
    ),
    "collapse": (REGISTER, "fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)", 2, 3, False),
    "holes and the last block": (REGISTER, 'lseek(fd, 2 * PAGE)\nwrite(fd, "x")', 2, 0, False),
    "a hole that a write fills": (REGISTER, 'lseek(fd, PAGE)\nwrite(fd, "x")', 2, 1, False),
    "beyond the end, while the file grows": (REGISTER, "ftruncate(fd, 2 * PAGE)", 2, 1, False),
    "another registration": (
        REGISTER,
        "other = ibv_reg_mr(pd, buf + PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)\nibv_dereg_mr(other)",
        2,
        2,
        False,
    ),
    "a lease that is given up": (REGISTER, "fcntl(fd, F_SETLEASE, F_UNLCK)", 2, 2, True),
    "a lease that is broken": (REGISTER, 'truncate("/f", PAGE)', 2, 2, True),
    "three pages and a truncate in the middle": (REGISTER, 'truncate("/f", PAGE)', 3, 3, False),
}

ALL_ALIKE = {"another registration", "a lease that is given up"}
"""What there is no race about where pins need no lease."""

POLICIES = [
    "P1:intended",
    "P5:intended",
    "P1:as_posted",
    "P5:as_posted",
]


def outcomes(scenario: str, policy: str) -> set[object]:
    """Return what the schedules come to: what each call returned, and what is charged, pinned and allocated at rest.

    Which page table entries are left is none of it: where one is missing the next access faults.
    """
    kind, preset, parameters = read_proposal(policy)
    blueprint = Witnessed(parse_scenario(scenario, "batches.toml"), Proposal.make(kind.name, preset, parameters))
    found = set[object]()

    def look(world: SteppedEngine) -> None:
        left: list[object] = []
        for address in sorted(world.actors):
            match world.actors[address]:
                case Witness() as process:
                    left.append((address, tuple(process.seen), tuple(call.op.text for call in process.calls())))
                case Mm() as mm:
                    left.append((address, mm.pinned_vm))
                case Pmem() as pmem:
                    pins = sorted((block, pin.page, pin.owner) for block, held in pmem.pins.items() for pin in held)
                    left.append((address, pmem.owners.runs, tuple(pins)))
                case Inode() as inode:
                    left.append((address, inode.attributes.size, inode.view().extents))
        found.add(tuple(left))

    assert explore(blueprint.build, check=look, method="states").complete
    return found


@pytest.mark.parametrize(
    ("case", "policy"),
    [
        pytest.param(case, policy, marks=[] if turn == number % 2 else pytest.mark.heavy)
        for number, case in enumerate(CASES)
        for turn, policy in enumerate(POLICIES)
    ],
)
def test_batches_have_the_outcomes_of_pages(case: str, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, other, pages, size, lease = CASES[case]
    handler = "fcntl(fd, F_SETLEASE, F_UNLCK)" if lease else ""
    scenario = text(program, other, pages=pages, size=size, lease=lease, handler=handler)
    of_batches = outcomes(scenario, policy)
    monkeypatch.setattr(gup, "BATCH", 1)
    of_pages = outcomes(scenario, policy)
    assert of_batches == of_pages
    assert len(of_pages) > 1 or case in ALL_ALIKE or policy.startswith("P5")
