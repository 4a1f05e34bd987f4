"""The anonymous memory of a memory map: where its frames come from, and where they go [1.8]."""

from collections.abc import Iterable

from longpin.actors.base import Actor
from longpin.actors.conversation import Call, Conversation
from longpin.actors.mm.address_space import Pte
from longpin.actors.mm.ram import Ram
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import ZERO_PAGE, Load, PageFrame, UnmapFrames
from longpin.messages.mm.ram import AllocatedFrames, AllocateFrames, DropFrames


class AnonymousMemory:
    """The pages of a memory map that are no file's: a :class:`~longpin.actors.mm.ram.Ram` counts them.

    Entries of them are the caller's to change.
    """

    def __init__(self, actor: Actor, page_size: int) -> None:
        self.actor = actor
        self.page_size = page_size
        self.ram: Address = ""
        """The memory its frames are of; empty: there was none yet."""

    def allocate(self, count: int, data: bytes = b"") -> Conversation[list[PageFrame]]:
        """Return new frames, of zeros or one with a copy."""
        if not self.ram:
            self.ram = f"ram:{self.actor.address.partition(':')[2]}"
            self.actor.spawn(Ram, self.ram)
        frames: AllocatedFrames = yield Call(self.ram, AllocateFrames(count, data))
        return [PageFrame(self.ram, number) for number in frames.numbers]

    def copy(self, frame: PageFrame, *, writable: bool, inode: Address = "") -> Conversation[Pte]:
        """Return an entry of a page of one's own, with what another holds, which may be one of a file."""
        data = b""
        if frame != ZERO_PAGE:
            data = (yield Call(frame.memory, Load(frame.number, 0, self.page_size, inode))).data
        [own] = yield from self.allocate(1, data)
        return Pte(own, writable, anonymous=True, exclusive=True)

    def drop(self, entries: Iterable[Pte]) -> Conversation[None]:
        """Tell memories that page table entries which they counted are gone: of anonymous pages, or of files."""
        gone: dict[tuple[Address, bool], list[int]] = {}
        for frame, _, anonymous, *_ in entries:
            gone.setdefault((frame.memory, anonymous), []).append(frame.number)
        for (memory, anonymous), numbers in gone.items():
            yield Call(memory, (DropFrames if anonymous else UnmapFrames)(tuple(numbers)))
