"""A pipe [pipe(7)]: bytes between open file descriptions."""

import errno
from typing import Self

from longpin.actors.base import Engine, handles
from longpin.actors.constants import O_ACCMODE, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY
from longpin.actors.conversation import Conversation, KernelError, WaitQueue, WaitsFor
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import Backing, Common
from longpin.actors.fs.flocks import Flocks
from longpin.actors.fs.permissions import check
from longpin.actors.kernel.machine import Kernel
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import CloseFile, Open
from longpin.messages.fs.pipe import PipeRead, PipeWrite

CAPACITY = 65536
"""Bytes a pipe holds before a writer must wait."""
PIPE_BUF = 4096
"""Bytes that are written at once or not at all [pipe(7)]."""


class Pipe(Backing):
    """One pipe."""

    def __init__(
        self, engine: Engine, address: Address, kernel: Kernel, uid: int, reader: Address, writer: Address
    ) -> None:
        super().__init__(engine, address, kernel)
        self.attributes = Attributes(uid, 0o600)
        self.flocks = Flocks(address)
        self.ends: dict[Address, int] = {reader: O_RDONLY, writer: O_WRONLY}
        """Access modes of the open file descriptions not yet released."""
        self.data = b""
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

    def node(self, _request: Common) -> Self:
        """Return what has the attributes."""
        return self

    @handles(PipeRead)
    def read(self, request: PipeRead, _src: Address) -> Conversation[Data]:
        """Take what is there; wait while nothing is and somebody may still write. Who asks for nothing gets it."""
        while request.count and not self.data and self._is_open(O_WRONLY):
            if request.nonblock:
                raise KernelError(errno.EAGAIN)
            yield self.changed.sleep(WaitsFor("descriptor", self.address, "something to be written to the pipe"))
        taken, self.data = self.data[: request.count], self.data[request.count :]
        self.changed.wake_all(self)
        return Data(taken)

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
        room = CAPACITY - len(self.data)
        if not room or (whole and room < len(data)):
            return data
        self.data += data[:room]
        self.changed.wake_all(self)
        return data[room:]

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Done:
        """One end is released."""
        self.flocks.drop(self, request.ofd)
        del self.ends[request.ofd]
        self.changed.wake_all(self)
        return DONE
