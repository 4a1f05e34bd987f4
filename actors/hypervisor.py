"""A hypervisor and its table of the frames a guest has: learned from FIEMAP, and pinned by nobody [1.10.2].

The kernel does not know of it: it holds no reference, takes no lease and is told of nothing, so what it once learned it
takes for true. It is what a proposal cannot reach, unless it keeps the file from changing at all.
"""

import errno
from typing import NamedTuple

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.hypervisor import AccessFrames, EnterFrames, ForgetFrames, LearnedFrame
from longpin.messages.mm.memory import Dma, FindFrames


class GuestFrame(NamedTuple):
    """One frame of a guest."""

    learned: LearnedFrame
    generation: int
    """The frame's generation when it was entered, for those who judge."""
    first: int
    """The guest's frame with which what was entered together begins."""


class Hypervisor(Actor):
    """The frames of one guest."""

    def __init__(self, engine: Engine, address: Address, page_size: int) -> None:
        super().__init__(engine, address)
        self.page_size = page_size
        self.table: dict[int, GuestFrame] = {}
        """By the number that the guest has for it."""
        self.entered = 0
        """How many frames it ever entered."""

    @handles(EnterFrames)
    def enter(self, request: EnterFrames, _src: Address) -> Conversation[Done]:
        """Fill the table with what a program has found out, as true as it was when it did."""
        first = self.entered + 1
        self.entered += len(request.frames)
        for number, learned in enumerate(request.frames, first):
            frame = learned.frame
            generation = (yield Call(frame.memory, FindFrames((frame.number,)))).generations[0]
            self.table[number] = GuestFrame(learned, generation, first)
        return Done(first)

    @handles(ForgetFrames)
    def forget(self, request: ForgetFrames, _src: Address) -> Done:
        """Let the guest have them no more."""
        gone = [number for number, entry in self.table.items() if entry.first == request.first]
        if not gone:
            raise KernelError(errno.EINVAL)
        for number in gone:
            del self.table[number]
        return DONE

    @handles(AccessFrames)
    def access(self, request: AccessFrames, _src: Address) -> Conversation[Data]:
        """Access frames by their physical addresses, one at a time; whose they are by now nobody asks."""
        number, inside = divmod(request.frame * self.page_size + request.offset, self.page_size)
        done, result = 0, b""
        while done < request.length:
            if (entry := self.table.get(number)) is None:
                raise KernelError(errno.EFAULT)
            part = min(request.length - done, self.page_size - inside)
            piece = None if request.data is None else request.data[done : done + part]
            frame, inode, page = entry.learned
            region = f"m2p:{entry.first}"
            access = Dma(frame.number, entry.generation, inode, page, inside, part, piece, region)
            result += (yield Call(frame.memory, access)).data
            done, number, inside = done + part, number + 1, 0
        return Data(result)
