"""A pipe [pipe(7)]: bytes between two open file descriptions."""

import errno

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Conversation, KernelError, WaitQueue, WaitsFor
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.file import Data
from longpin.messages.inode import CloseFile
from longpin.messages.pipe import PipeRead, PipeWrite

CAPACITY = 65536
"""Bytes a pipe holds before a writer must wait."""


class Pipe(Actor):
    """One pipe."""

    def __init__(self, engine: Engine, address: Address, reader: Address, writer: Address) -> None:
        super().__init__(engine, address)
        self.ends = {reader, writer}
        """Open file descriptions not yet released."""
        self.reader = reader
        self.writer = writer
        self.data = b""
        self.changed = WaitQueue()

    @handles(PipeRead)
    def read(self, request: PipeRead, _src: Address) -> Conversation[Data]:
        """Take what is there; wait while nothing is and somebody may still write."""
        while not self.data and self.writer in self.ends:
            yield self.changed.sleep(WaitsFor("descriptor", self.address, "something to be written to the pipe"))
        taken, self.data = self.data[: request.count], self.data[request.count :]
        self.changed.wake_all(self)
        return Data(taken)

    @handles(PipeWrite)
    def write(self, request: PipeWrite, _src: Address) -> Conversation[Done]:
        """Add bytes as there is room."""
        left = request.data
        while left:
            if self.reader not in self.ends:
                raise KernelError(errno.EPIPE)
            room = CAPACITY - len(self.data)
            self.data, left = self.data + left[:room], left[room:]
            self.changed.wake_all(self)
            if left:
                yield self.changed.sleep(WaitsFor("descriptor", self.address, "the pipe to be read"))
        return Done(len(request.data))

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Done:
        """One end is released."""
        self.ends.remove(request.ofd)
        self.changed.wake_all(self)
        return DONE
