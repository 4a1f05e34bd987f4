"""A memory: page frames that are referenced, waited for, and hold bytes, whatever they are made of [1.7, 1.9].

Who the frames belong to, and when they are free, is for the kind of memory to know.
"""

from abc import abstractmethod

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Conversation, Wait, WaitQueue, WaitsFor
from longpin.actors.runs import Counts
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.mm.memory import (
    AtomicDma,
    AwaitIdle,
    Busy,
    Dma,
    FindFrames,
    FrameRun,
    IsIdle,
    Load,
    Pin,
    PinFrames,
    Pinned,
    ScanBusy,
    Store,
    Unpin,
)


class FrameMemory(Actor):
    """Page frames by their numbers."""

    compound = 1
    """How many frames are one compound page."""

    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.generations = Counts()
        """How often each frame was freed; 0 where nothing stands."""
        self.pins: dict[int, list[Pin]] = {}
        self.contents: dict[int, bytes] = {}
        """What was written; zeroes where nothing stands. Freed frames keep it until they are allocated again."""
        self.idle_waiters: dict[int, WaitQueue] = {}
        """Who sleeps until nothing references a frame."""
        self.scanners: dict[int, WaitQueue] = {}
        """Who looks again and again whether a frame is pinned."""

    @abstractmethod
    def owner_of(self, number: int) -> str:
        """Return what a frame is, for a reader: ``page 3 of inode:/data``."""

    @abstractmethod
    def is_still(self, access: Dma) -> bool:
        """Return whether the frame of an access is still what it was pinned as [O1]."""

    def generation(self, block: int) -> int:
        """Return how often ``block`` was freed."""
        return self.generations.get(block) or 0

    @handles(PinFrames)
    def pin(self, request: PinFrames, _src: Address) -> Pinned:
        """Take references."""
        r = request
        generations = tuple(self.generation(block) for block in r.numbers)
        for index, (block, generation) in enumerate(zip(request.numbers, generations, strict=True)):
            pin = Pin(block, r.page + index, generation, r.longterm, r.owner, r.context, r.process, r.hold, r.get)
            self.pins.setdefault(block, []).append(pin)
        return Pinned(generations, self.compound)

    @handles(FindFrames)
    def find(self, request: FindFrames, _src: Address) -> Pinned:
        """Say which frames they are, without a reference on them."""
        return Pinned(tuple(self.generation(number) for number in request.numbers))

    @handles(Unpin)
    def unpin(self, request: Unpin, _src: Address) -> Done:
        """Drop a registration's references, block by block."""
        for block in sorted(self.pins):
            kept = [pin for pin in self.pins[block] if pin.owner != request.owner]
            if len(kept) == len(self.pins[block]):
                continue
            self.pins[block] = kept
            if not kept:
                del self.pins[block]
                if block in self.scanners:
                    self.scanners.pop(block).wake_all(self)
                self._wake_if_idle(block)
        return DONE

    def _wake_if_idle(self, block: int) -> None:
        """Wake who sleeps for a frame, if nothing references it any more [wake_up_var(&folio->page)]."""
        if block in self.idle_waiters and not self._referenced(FrameRun(block, 1)):
            self.idle_waiters.pop(block).wake_all(self)

    @handles(ScanBusy)
    def scan(self, request: ScanBusy, _src: Address) -> Busy:
        """List the references on blocks."""
        return Busy(tuple(pin for run in request.runs for block in self._busy(run) for pin in self.pins[block]))

    def _busy(self, run: FrameRun) -> list[int]:
        """Return the frames of a run that are referenced, in order."""
        if run.length < len(self.pins):
            return [number for number in run.numbers if number in self.pins]
        return sorted(number for number in self.pins if number in run.numbers)

    def _referenced(self, run: FrameRun) -> list[int]:
        """Return the frames of a run for which a sleeper waits; a memory may count more than pins."""
        return self._busy(run)

    def why_busy(self, number: int) -> str:
        """Return which page a frame is, and what references it, for a reader."""
        return f"{self.owner_of(number)} (block {number}), pinned by {self.pins[number][0].owner}"

    @handles(IsIdle)
    def is_idle(self, request: IsIdle, _src: Address) -> Done:
        """Say whether nothing references a block."""
        return Done(int(not self._referenced(FrameRun(request.block, 1))))

    @handles(AwaitIdle)
    def await_idle(self, request: AwaitIdle, _src: Address) -> Conversation[Done]:
        """Sleep while a block is referenced, then while one behind it is; who spins looks for pins [2.5 step 4]."""
        wait = (
            Wait.INTERRUPTIBLE if request.interruptible else Wait.KILLABLE if request.killable else Wait.UNINTERRUPTIBLE
        )
        kind, look, queues = "pin", self._referenced, self.idle_waiters
        if request.spins:
            kind, look, queues = "spin", self._busy, self.scanners
        while busy := look(FrameRun(request.block, request.length)):
            block = busy[0]
            queue = queues.setdefault(block, WaitQueue())
            yield queue.sleep(WaitsFor(kind, self.address, self.why_busy(block), block), wait)
        return DONE

    @handles(Load)
    def load(self, request: Load, _src: Address) -> Data:
        """Read bytes of a block."""
        return Data(self._read(request.number, request.offset, request.length))

    @handles(Store)
    def store(self, request: Store, _src: Address) -> Done:
        """Write bytes of a block."""
        self._write(request.number, request.offset, request.data)
        return DONE

    @handles(Dma)
    def dma(self, request: Dma, _src: Address) -> Data:
        """Read or write a physical page for a device, also if it is no longer the page that was pinned."""
        if request.data is None:
            return Data(self._read(request.number, request.offset, request.length))
        self._write(request.number, request.offset, request.data)
        return Data(b"")

    @handles(AtomicDma)
    def atomic(self, request: AtomicDma, src: Address) -> Data:
        """Compare and swap, or fetch and add: nobody gets in between."""
        r = request
        assert r.data is not None
        old = self._read(r.number, r.offset, r.length)
        new = r.data
        if r.compare is None:
            total = int.from_bytes(old, "little") + int.from_bytes(r.data, "little")
            new = (total % (1 << 8 * r.length)).to_bytes(r.length, "little")
        if r.compare is None or r.compare == old:
            self.dma(Dma(r.number, r.generation, r.inode, r.page, r.offset, r.length, new, r.region), src)
        return Data(old)

    def _read(self, block: int, offset: int, length: int) -> bytes:
        return self.contents.get(block, b"")[offset : offset + length].ljust(length, b"\0")

    def _write(self, block: int, offset: int, data: bytes) -> None:
        old = self.contents.get(block, b"").ljust(offset, b"\0")
        self.contents[block] = old[:offset] + data + old[offset + len(data) :]
