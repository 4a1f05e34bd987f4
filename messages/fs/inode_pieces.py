"""What the pieces of an inode's conversations touch, in the parts that :mod:`longpin.messages.fs.inode` names.

Some are schedule points before a piece, the others only declare it (:class:`~longpin.actors.conversation.Covers`).
"""

from longpin.messages.envelope import Footprint, Message, message


@message
class Changing(Message):
    """A schedule point of the inode before something that touches more than what was asked for declares."""


LOOKS = (("names",), ("attributes", "owner"), ("leases",))
"""What nearly every request looks at: there is nothing to break, to evict or to refuse."""


@message
class Locking(Message):
    """A schedule point before the iolock is taken for another size: that is done, and no lease is in the way."""

    def footprint(self) -> Footprint:
        """The lock; if it fails, the writer is gone."""
        return Footprint.of(reads=LOOKS, writes=[("iolock",)], adds=[("writers",)])


@message
class Resizing(Message):
    """A schedule point before the mmap lock is taken for another size, the iolock held, to change it to the end."""

    def footprint(self) -> Footprint:
        """Both locks, the size, and where the file is mapped; the writer is gone at the end."""
        reads = [*LOOKS, ("mapping",), ("order of mappings",)]
        writes = [("iolock",), ("mmap lock",), ("attributes", "size")]
        return Footprint.of(reads=reads, writes=writes, adds=[("writers",)])


@message
class Zapping(Message):
    """Page table entries go, one memory map after the other, and something else is asked next."""

    def footprint(self) -> Footprint:
        """Nothing."""
        return Footprint.of(reads=[("conversation",)])


@message
class Freeing(Message):
    """What is left of a change of the size when the blocks are free: the locks are dropped."""

    def footprint(self) -> Footprint:
        """Both locks; the writer is gone, and if nobody uses the file it is evicted next."""
        reads, writes = [("names",)], [("iolock",), ("mmap lock",)]
        return Footprint.of(reads=reads, writes=writes, adds=[("writers",)])


@message
class Queued(Message):
    """A page fault waits for the mmap lock, and drops it when it has looked."""

    def footprint(self) -> Footprint:
        """The lock."""
        return Footprint.of(writes=[("mmap lock",)])
