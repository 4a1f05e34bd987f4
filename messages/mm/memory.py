"""What a memory is asked, whatever it consists of: references on its frames, and bytes.

The parts of a frame are its ``owner`` (what it is a page of), its ``generation``, its ``pins`` with who waits for them
to go, its ``maps`` (how many page table entries have a reference), and its ``content``.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message


class PageFrame(NamedTuple):
    """A page frame: physical memory, wherever it is mapped."""

    memory: Address
    """The actor that has it, a pmem block set for example."""
    number: int
    """Its number there."""

    @property
    def reserved(self) -> bool:
        """Whether it is no part of ordinary memory: persistent memory, and the page of zeros [PG_reserved]."""
        return self.memory.partition(":")[0] in _RESERVED


_RESERVED = ("pmem", "dax_memory", "zero_page")

ZERO_PAGE = PageFrame("zero_page", 0)
"""What is mapped where a hole is read: the kernel's page of zeros, which nobody counts or waits for. Only on a machine
with a device that may write to it does an actor have it (:mod:`longpin.actors.mm.zero_page`)."""


class PinnedPage(NamedTuple):
    """A page that get_user_pages has pinned, as a device sees it."""

    frame: PageFrame
    generation: int
    inode: Address
    """The file it is a page of; empty: anonymous memory."""
    page: int
    """The page of the file; of anonymous memory, the page of the address."""

    def after(self, distance: int) -> "PinnedPage":
        """Return the page so far behind this one in a run."""
        number = self.frame.number + (0 if self.frame == ZERO_PAGE else distance)
        return self._replace(frame=self.frame._replace(number=number), page=self.page + distance)


class PinnedRun(NamedTuple):
    """Pinned pages of a file that follow each other in memory too: an entry of a scatter list."""

    first: PinnedPage
    length: int
    """Pages."""


def runs_of(pages: Iterable[PinnedPage]) -> Iterator[PinnedRun]:
    """Put pages together, as ib_umem_get does, so that a region of a large file is a few entries."""
    first: PinnedPage | None = None
    length = 0
    for page in pages:
        if first is not None and page == first.after(length):
            length += 1
            continue
        if first is not None:
            yield PinnedRun(first, length)
        first, length = page, 1
    if first is not None:
        yield PinnedRun(first, length)


def memories_of(runs: Iterable[PinnedRun]) -> tuple[Address, ...]:
    """Return the memories in which pages are pinned, each once, in the order of the pages."""
    return tuple(dict.fromkeys(run.first.frame.memory for run in runs if run.first.frame != ZERO_PAGE))


class FrameRun(NamedTuple):
    """Frames that follow each other in a memory."""

    first: int
    length: int

    @property
    def numbers(self) -> range:
        """All of them."""
        return range(self.first, self.first + self.length)


MOST_FRAMES = 4096
"""Frames that one :class:`ScanBusy` names at the most: what is answered has an entry for each reference on each, and a
trace is read with bounds (:data:`longpin.messages.codec.MAX_ITEMS`)."""


def portions(runs: Iterable[FrameRun], most: int = MOST_FRAMES) -> Iterator[tuple[FrameRun, ...]]:
    """Yield the runs in order, cut where more than ``most`` frames would come together; once, if there are none."""
    portion: list[FrameRun] = []
    left, cut = most, False
    for run in runs:
        first, length = run
        while length:
            part = min(length, left)
            portion.append(FrameRun(first, part))
            first, length, left = first + part, length - part, left - part
            if not left:
                yield tuple(portion)
                portion, left, cut = [], most, True
    if portion or not cut:
        yield tuple(portion)


@message
class PinFrames(Message):
    """get_user_pages takes references on pages of a file that follow each other, under the page table lock [1.9]."""

    numbers: tuple[int, ...]
    """Of the frames in this memory."""
    inode: Address
    page: int
    """The page of the file that the first one is."""
    longterm: bool
    owner: Address
    """The memory region, ``mr:100.1``, also before it is published."""
    context: Address
    process: Address = ""
    """Who registers it."""
    hold: Address = ""
    """The open file description the registration holds for it; empty: none."""
    get: bool = False
    """FOLL_GET: plain references, which nobody takes for pins."""

    def footprint(self) -> Footprint:
        """The references on the frames."""
        generations = [("generation", number) for number in self.numbers]
        return Footprint.of(reads=generations, writes=[("pins", number) for number in self.numbers])


@message
class FindFrames(Message):
    """Look at frames without a reference: those of a page table, or those somebody has learned of [hmm_range_fault].

    The reply is a :class:`Pinned`: who judges must know what they were then.
    """

    numbers: tuple[int, ...]

    def footprint(self) -> Footprint:
        """How often they were freed."""
        return Footprint.of(reads=[("generation", number) for number in self.numbers])


@message
class Pinned(Message):
    """The frames, with references if some were asked for."""

    generations: tuple[int, ...]
    """Of each frame."""
    compound: int = 1
    """How many frames of this memory are one page to who counts pages; numbers of head pages are multiples of it."""


@message
class Unpin(Message):
    """Drop every reference of a registration and wake the calls that wait for its blocks."""

    owner: Address

    def footprint(self) -> Footprint:
        """All references: which blocks the registration has is not known here."""
        return Footprint.of(reads=[("maps",)], writes=[("pins",)])


@message
class MapFrames(Message):
    """Page table entries take a reference each on pages of a file, where entries have some [2.5, H27]."""

    numbers: tuple[int, ...]

    def footprint(self) -> Footprint:
        """The counts."""
        return Footprint.of(adds=[("maps", number) for number in self.numbers])


@message
class UnmapFrames(Message):
    """Page table entries that had a reference are gone: who waits is woken where it was the last."""

    numbers: tuple[int, ...]

    def footprint(self) -> Footprint:
        """The counts; whether they were the last references."""
        return Footprint.of(
            reads=[("pins", number) for number in self.numbers], writes=[("maps", number) for number in self.numbers]
        )


@message
class ScanBusy(Message):
    """Find the references on blocks [2.5 step 3]."""

    runs: tuple[FrameRun, ...]

    def footprint(self) -> Footprint:
        """The references."""
        return Footprint.of(reads=[("pins", block) for run in self.runs for block in run.numbers])


class Pin(NamedTuple):
    """A reference on a block taken by get_user_pages [1.9]."""

    block: int
    page: int
    """The page of the file it was taken through."""
    generation: int
    """The block's generation at that time."""
    longterm: bool
    owner: Address
    """What it belongs to, the memory region ``mr:100.1`` for example, also while it is not published yet."""
    context: Address
    """The actor behind the descriptor that keeps the owner: a uverbs context, for example."""
    process: Address = ""
    """The process that pinned it."""
    hold: Address = ""
    """An open file description that its owner holds because of it; empty: none."""
    get: bool = False
    """FOLL_GET: a plain reference. It keeps a page busy, but a copy at fork does not mind it."""

    @property
    def has_owner_file(self) -> bool:
        """Whether who pinned told the kernel which open file owns the pin: RDMA does, others do not [V2-12, H23]."""
        return self.context.startswith("uverbs:")


@message
class Busy(Message):
    """The references that were found."""

    pins: tuple[Pin, ...]


@message
class IsIdle(Message):
    """Ask whether a block has no reference, of a pin or of a page table entry: the reply is 1 [dax_page_is_idle]."""

    block: int

    def footprint(self) -> Footprint:
        """The references."""
        return Footprint.of(reads=[("pins", self.block), ("maps", self.block)])


@message
class AwaitIdle(Message):
    """Sleep until a block, and those behind it, have no reference [2.5 step 4]."""

    block: int
    killable: bool
    """False: not even a fatal signal ends the sleep."""
    interruptible: bool
    length: int = 1
    """Blocks."""
    spins: bool = False
    """It does not sleep, but scans for pins again and again, in state R: whatever is sent to it, it does not end [2.5].
    """

    def footprint(self) -> Footprint:
        """The blocks' references and who waits for them to go; an owner is named to who asks why it waits."""
        blocks = range(self.block, self.block + self.length)
        reads = [(part, block) for block in blocks for part in ("owner", "maps")]
        return Footprint.of(reads=reads, writes=[("pins", block) for block in blocks])


@message
class Load(Message):
    """Read bytes of a frame: the CPU through a mapping, or read(2)."""

    number: int
    """Of the frame in this memory."""
    offset: int
    length: int
    inode: Address = ""
    """The file of which it is a page for who reads; empty: that is the sender."""

    def footprint(self) -> Footprint:
        """The bytes; the owner is what rule O2 looks at when the access arrives."""
        return Footprint.of(reads=[("content", self.number), ("owner", self.number)])


@message
class Store(Message):
    """Write bytes of a frame: the CPU through a mapping, or write(2)."""

    number: int
    """Of the frame in this memory."""
    offset: int
    data: bytes
    inode: Address = ""
    """The file of which it is a page for who writes; empty: that is the sender."""

    def footprint(self) -> Footprint:
        """The bytes; they are stamped with the owner."""
        return Footprint.of(reads=[("owner", self.number)], writes=[("content", self.number)])


@message
class Dma(Message):
    """A device reads or writes a frame by its physical address, whatever the file map says [1.10]."""

    number: int
    """Of the frame in this memory."""
    generation: int
    """The frame's generation when it was pinned."""
    inode: Address
    page: int
    """The page of the file it was pinned as."""
    offset: int
    length: int
    data: bytes | None
    """What is written; None: a read."""
    region: Address

    def footprint(self) -> Footprint:
        """The bytes; owner and generation are what rule O1 looks at when the access arrives."""
        number = self.number
        reads = [("owner", number), ("generation", number)]
        if self.data is None:
            return Footprint.of(reads=[*reads, ("content", number)])
        return Footprint.of(reads=reads, writes=[("content", number)])


@message
class AtomicDma(Dma):
    """A device reads a number and may write it in one step; the reply is what was there [ibv_post_send(3)].

    ``data`` is the number to write if the old one is ``compare``, or the number to add.
    """

    compare: bytes | None = None
    """None: it adds."""
