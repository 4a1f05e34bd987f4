"""A large file costs its extents, in memory and in arrivals, and not its pages."""

import tracemalloc

import pytest

from longpin.actors.fs.inode import Inode
from longpin.actors.mm.pmem import Pmem
from longpin.config.loader import parse_scenario
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

TEXT = """
name = "large"
policy = "P1:intended"
[[pmem]]
name = "pmem0"
blocks = 300000
[[file]]
path = "/a"
size = "{pages} * PAGE"
[[process]]
name = "p"
program = '''
a = open("/a", O_RDWR)
b = open("/b", O_RDWR | O_CREAT, 0o600)
fallocate(b, 0, 0, {pages} * PAGE)                                       # -> 0
ioctl(b, FICLONE, a)                                                     # -> 0
pwrite(b, "x", {half} * PAGE)                                            # -> 1
fallocate(a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 2 * PAGE) # -> 0
'''
"""


def played(pages: int) -> tuple[SteppedEngine, int]:
    """Return a world in which a file of so many pages was cloned and changed, and how many bytes it takes."""
    scenario = parse_scenario(TEXT.format(pages=pages, half=pages // 2), "large.toml")
    subject = Subject(scenario, Settings.of(scenario))
    tracemalloc.start()
    try:
        engine = SteppedEngine(Fifo())
        subject.build(engine)
        engine.run()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return engine, held


@pytest.mark.parametrize("pages", [100_000])
def test_a_file_costs_its_extents(pages: int) -> None:
    played(10)  # what is made once in a process
    small, few = played(10)
    large, many = played(pages)
    assert large.arrivals == small.arrivals
    assert many < few + 16_384  # a byte for each page would be 200,000
    extents = sum(len(actor.data.extents.extents) for actor in large.actors.values() if isinstance(actor, Inode))
    (pmem,) = (actor for actor in large.actors.values() if isinstance(actor, Pmem))
    assert extents == 5  # two of what is left of the one, three of its clone
    assert len(pmem.owners.runs) <= 8
