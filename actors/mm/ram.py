"""Anonymous memory: page frames that belong to nobody but those who map or pin them [1.8].

A memory map has one, made at its first anonymous page. fork(2) lets the child's page table have frames of it too, so it
outlives its map where a child or a pin needs it. A frame is free when its last page table entry and its last reference
have gone, and can then be anybody's page again.
"""

import errno
from collections.abc import Iterable

from longpin.actors.base import Engine, handles
from longpin.actors.conversation import KernelError
from longpin.actors.mm.free_space import FreeSpace
from longpin.actors.mm.memory import FrameMemory
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.memory import Dma, Unpin
from longpin.messages.mm.ram import (
    AllocatedFrames,
    AllocateFrames,
    DropFrames,
    ReuseFrame,
    SharedFrames,
    ShareFrames,
    UnpinFrames,
)

MOST_FRAMES = 1 << 18
"""Frames of one memory: what a run takes of real memory must have a bound."""


class Ram(FrameMemory):
    """The anonymous pages that were made through one memory map."""

    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.maps: dict[int, int] = {}
        """How many page table entries have each frame; a frame that is free is not here."""
        self.free = FreeSpace(MOST_FRAMES)
        """Invariant: free and maps together are all frames, each once."""

    def owner_of(self, number: int) -> str:
        """Return what a frame is."""
        return "anonymous memory" if number in self.maps else "free"

    def is_still(self, access: Dma) -> bool:
        """Return whether a frame has not been free since it was pinned."""
        return self.generation(access.number) == access.generation

    @handles(AllocateFrames)
    def allocate(self, request: AllocateFrames, _src: Address) -> AllocatedFrames:
        """Give out the lowest free frames."""
        return AllocatedFrames(tuple(self.take(request.count, request.data)))

    def take(self, count: int, data: bytes = b"") -> list[int]:
        """Take the lowest free frames, each for one entry.

        Raises:
            KernelError: ENOMEM, there are not so many.

        """
        if len(self.maps) + count > MOST_FRAMES:
            raise KernelError(errno.ENOMEM)
        numbers: list[int] = []
        while len(numbers) < count:
            found = self.free.take_lowest(count - len(numbers))
            assert found is not None
            numbers += range(found[0], sum(found))
        self.maps |= dict.fromkeys(numbers, 1)
        if data.strip(b"\0"):
            self.contents[numbers[0]] = data
        return numbers

    @handles(ShareFrames)
    def share(self, request: ShareFrames, _src: Address) -> SharedFrames:
        """Count one more entry of each frame that no pin is on [folio_try_dup_anon_rmap_pte]."""
        pinned = () if request.even_pinned else tuple(number for number in request.numbers if self._is_pinned(number))
        for number in request.numbers:
            if number not in pinned:
                self.maps[number] += 1
        return SharedFrames(pinned)

    def _is_pinned(self, number: int) -> bool:
        """Return whether a frame has more than plain references [folio_maybe_dma_pinned]."""
        return any(not pin.get for pin in self.pins.get(number, ()))

    @handles(ReuseFrame)
    def reuse(self, request: ReuseFrame, _src: Address) -> Done:
        """Say whether who asks is alone with a frame."""
        alone = self.maps[request.number] == 1 and (request.despite_pins or request.number not in self.pins)
        return Done(int(alone))

    @handles(DropFrames)
    def drop(self, request: DropFrames, _src: Address) -> Done:
        """Count one entry less of each."""
        self.drop_all(request.numbers)
        return DONE

    def drop_all(self, numbers: Iterable[int]) -> None:
        """Count one entry less of each frame."""
        for number in numbers:
            self.maps[number] -= 1
            self._free_if_unused(number)

    @handles(UnpinFrames)
    def unpin_frames(self, request: UnpinFrames, src: Address) -> Done:
        """Drop a registration's references, and with them frames that nobody maps any more."""
        pinned = sorted(self.pins)
        done = self.unpin(Unpin(request.owner), src)
        for number in pinned:
            self._free_if_unused(number)
        return done

    def _free_if_unused(self, number: int) -> None:
        if not self.maps[number] and number not in self.pins:
            del self.maps[number]
            self.contents.pop(number, None)
            self.generations.add(number, number)
            self.free.add(number)
