"""A pipe [pipe(7)]: bytes between open file descriptions, and pages that vmsplice(2) put there in place of bytes."""

import errno
from collections import deque
from typing import NamedTuple

from longpin.actors.base import Engine, handles
from longpin.actors.constants import O_ACCMODE, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY
from longpin.actors.conversation import Conversation, KernelError, WaitQueue, WaitsFor
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import OneFile
from longpin.actors.fs.flocks import Flocks
from longpin.actors.fs.permissions import check
from longpin.actors.kernel.machine import Kernel
from longpin.actors.mm.gup import Buffer, pin_user_pages, read_pinned, unpin_user_pages
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import CloseFile, Open
from longpin.messages.fs.pipe import PipeRead, PipeSplice, PipeWrite
from longpin.messages.mm.mm import Registration

CAPACITY = 65536
"""Bytes a pipe holds before a writer must wait."""
PIPE_BUF = 4096
"""Bytes that are written at once or not at all [pipe(7)]."""


class Spliced(NamedTuple):
    """A page in a pipe: what a reader gets is what it holds then."""

    registration: Registration
    offset: int
    """Of the first byte in the page."""
    length: int


class Pipe(OneFile):
    """One pipe."""

    def __init__(
        self, engine: Engine, address: Address, kernel: Kernel, uid: int, reader: Address, writer: Address
    ) -> None:
        super().__init__(engine, address, kernel)
        self.attributes = Attributes(uid, 0o600)
        self.flocks = Flocks(address)
        self.ends: dict[Address, int] = {reader: O_RDONLY, writer: O_WRONLY}
        """Access modes of the open file descriptions not yet released."""
        self.buffers: deque[bytes | Spliced] = deque()
        """What is in it, oldest first."""
        self.spliced = 0
        """How many pages it ever took."""
        self.changed = WaitQueue()

    def _is_open(self, mode: int) -> bool:
        """Return whether somebody has it open for ``mode``."""
        return any(access in (mode, O_RDWR) for access in self.ends.values())

    @handles(Open)
    def open(self, request: Open, _src: Address) -> Done:
        """Open an end again through /proc/self/fd: unlike a FIFO, it does not wait for the other end [fifo_open]."""
        access = request.flags & O_ACCMODE
        truncates = bool(request.flags & O_TRUNC)
        check(self.attributes, request.caller.fsuid, 4 * (access != O_WRONLY) | 2 * (access != O_RDONLY or truncates))
        if access == O_ACCMODE:
            raise KernelError(errno.EINVAL)
        self.ends[request.ofd] = access
        self.changed.wake_all(self)
        return DONE

    @handles(PipeRead)
    def read(self, request: PipeRead, _src: Address) -> Conversation[Data]:
        """Take what is there; wait while nothing is and somebody may still write. Who asks for nothing gets it."""
        while request.count and not self.buffers and self._is_open(O_WRONLY):
            if request.nonblock:
                raise KernelError(errno.EAGAIN)
            yield self.changed.sleep(WaitsFor("descriptor", self.address, "something to be written to the pipe"))
        data = b""
        while self.buffers and len(data) < request.count:
            data += yield from self._take(request.count - len(data))
        self.changed.wake_all(self)
        return Data(data)

    def _take(self, most: int) -> Conversation[bytes]:
        """Take bytes of the oldest buffer; of a page, what it holds now. A page that has nothing left is let go of."""
        match self.buffers.popleft():
            case bytes() as data:
                if data[most:]:
                    self.buffers.appendleft(data[most:])
                return data[:most]
            case Spliced(registration=registration, offset=offset, length=length) as page:
                part = min(most, length)
                if part < length:
                    self.buffers.appendleft(page._replace(offset=offset + part, length=length - part))
                data = yield from read_pinned(self.kernel, registration.page(0), offset, part)
                if part == length:
                    yield from unpin_user_pages(self.kernel, registration)
                return data
        raise AssertionError

    @handles(PipeWrite)
    def write(self, request: PipeWrite, _src: Address) -> Conversation[Done]:
        """Add bytes as there is room; what has been written when it cannot go on is its result, if that is anything."""
        left = request.data
        try:
            while left:
                left = self._add(left, whole=len(request.data) <= PIPE_BUF)
                if left and request.nonblock:
                    raise KernelError(errno.EAGAIN)
                if left:
                    yield self.changed.sleep(WaitsFor("descriptor", self.address, "the pipe to be read"))
        except KernelError:
            if len(left) == len(request.data):
                raise
        return Done(len(request.data) - len(left))

    def _add(self, data: bytes, *, whole: bool) -> bytes:
        """Add what there is room for, or nothing if all of it must go in at once; return what is left.

        Raises:
            KernelError: EPIPE, nobody has it open for reading.

        """
        if not self._is_open(O_RDONLY):
            raise KernelError(errno.EPIPE)
        room = self._room()
        if not room or (whole and room < len(data)):
            return data
        if self.buffers and isinstance(last := self.buffers[-1], bytes):
            self.buffers[-1] = last + data[:room]
        else:
            self.buffers.append(data[:room])
        self.changed.wake_all(self)
        return data[room:]

    def _room(self) -> int:
        """Return how many bytes can be added: a page takes the room of a page, however few bytes of it are wanted."""
        return CAPACITY - sum(len(held) if isinstance(held, bytes) else PIPE_BUF for held in self.buffers)

    @handles(PipeSplice)
    def splice(self, request: PipeSplice, _src: Address) -> Conversation[Done]:
        """Take references on pages as long as there is room; the result is how many bytes that are.

        It waits for room once, and not again when that is used up [code: vmsplice_to_pipe].
        """
        while self._is_open(O_RDONLY) and self._room() < PIPE_BUF:
            if request.nonblock:
                raise KernelError(errno.EAGAIN)
            yield self.changed.sleep(WaitsFor("descriptor", self.address, "the pipe to be read"))
        if not self._is_open(O_RDONLY):
            raise KernelError(errno.EPIPE)
        done = 0
        try:
            while done < request.length and self._room() >= PIPE_BUF:
                done += yield from self._splice_page(request, done)
        except KernelError:
            if not done:
                raise
        return Done(done)

    def _splice_page(self, request: PipeSplice, done: int) -> Conversation[int]:
        page_size = self.kernel.page_size
        start, inside = divmod(request.address + done, page_size)
        length = min(page_size - inside, request.length - done)
        self.spliced += 1
        owner = f"vmsplice:{self.address.partition(':')[2]}.{self.spliced}"
        buffer = Buffer(request.mm, start * page_size, 1, request.caller, -1)
        pinned = yield from pin_user_pages(
            self.kernel, buffer, owner, self.address, write=False, longterm=False, get=True
        )
        self.buffers.append(Spliced(pinned, inside, length))
        self.changed.wake_all(self)
        return length

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """One end is released; with the last one goes what nobody has read."""
        self.flocks.drop(self, request.ofd)
        del self.ends[request.ofd]
        self.changed.wake_all(self)
        while not self.ends and self.buffers:
            held = self.buffers.popleft()
            if isinstance(held, Spliced):
                yield from unpin_user_pages(self.kernel, held.registration)
        return DONE
