"""What several rules look at: the pins of a file in a quiet world, and what /proc shows of every process."""

from longpin.actors.fs.inode import Inode
from longpin.actors.mm.memory import FrameMemory
from longpin.actors.process.holders import Shown
from longpin.actors.process.process import Process
from longpin.messages.mm.memory import Pin
from longpin.runner.judging.invariants.base import Actors


def pins_of(inode: Inode, actors: Actors) -> tuple[Pin, ...]:
    """Return the references on the pages of a file that lie in persistent memory."""
    memory = actors.get(inode.pmem)
    if not isinstance(memory, FrameMemory):
        return ()
    runs = [range(extent.block, extent.block + extent.length) for extent in inode.view().extents]
    return tuple(pin for run in runs for block in sorted(memory.pins) if block in run for pin in memory.pins[block])


def shown_of(actors: Actors) -> Shown:
    """Return what /proc/PID shows of each process, to who may look at all of them."""
    return {actor.address: actor.descriptors() for actor in actors.values() if isinstance(actor, Process)}
