"""What the memory of anonymous pages is asked beside what every memory is: frames for page tables, and their counts.

A frame's ``maps`` is how many page table entries have it; ``free`` is which frames nobody has.
"""

from longpin.messages.envelope import Address, Footprint, Message, message


@message
class AllocateFrames(Message):
    """Allocate frames for as many page table entries: of zeros, or one with a copy."""

    count: int
    data: bytes = b""
    """What the first one holds, which is a copy then."""

    def footprint(self) -> Footprint:
        """Which frames they will be is not known here."""
        return Footprint.of(writes=[("free",), ("maps",), ("content",)])


@message
class AllocatedFrames(Message):
    """The frames."""

    numbers: tuple[int, ...]


@message
class ShareFrames(Message):
    """fork(2) lets the child's page table have frames too, but for those that are pinned: these it must copy."""

    numbers: tuple[int, ...]
    even_pinned: bool
    """Share those as well, as kernels did that do not look at pins."""

    def footprint(self) -> Footprint:
        """The counts; pins are looked at."""
        return Footprint.of(
            reads=[("pins", number) for number in self.numbers], writes=[("maps", number) for number in self.numbers]
        )


@message
class SharedFrames(Message):
    """The frames have one more entry each."""

    pinned: tuple[int, ...]
    """Those that have not, because they are pinned."""


@message
class ReuseFrame(Message):
    """A store to a frame that was shared: the reply is 1 if nobody else has it any more [wp_can_reuse_anon_folio]."""

    number: int
    despite_pins: bool
    """Count entries only, as kernels did that do not look at pins."""

    def footprint(self) -> Footprint:
        """The count, and the pins."""
        return Footprint.of(reads=[("maps", self.number), ("pins", self.number)])


@message
class DropFrames(Message):
    """Page table entries of frames are gone; a frame without entries and pins is free."""

    numbers: tuple[int, ...]

    def footprint(self) -> Footprint:
        """The frames, and which are free."""
        parts = [(part, number) for number in self.numbers for part in ("maps", "generation", "content")]
        return Footprint.of(reads=[("pins", number) for number in self.numbers], writes=[("free",), *parts])


@message
class UnpinFrames(Message):
    """Drop every reference of a registration; a frame without entries and pins is free."""

    owner: Address
