"""The access of a device to memory: keys become physical pages, and pages are accessed one at a time [1.10]."""

from longpin.actors.constants import (
    IBV_ACCESS_REMOTE_ATOMIC,
    IBV_WR_ATOMIC_CMP_AND_SWP,
)
from longpin.actors.conversation import Call, Conversation
from longpin.actors.kernel.machine import Kernel
from longpin.actors.mm.gup import dma
from longpin.actors.rdma.connection import Connection
from longpin.messages.mm.memory import AtomicDma
from longpin.messages.rdma.verbs import MapDma, Segments, UnmapDma
from longpin.messages.rdma.work import RemoteAccess

ATOMIC_BYTES = 8
"""An atomic works on a number of so many bytes, which lies at a multiple of it."""


class ProtectionError(Exception):
    """A key does not allow the access."""


class MisalignedError(Exception):
    """An atomic is not to a multiple of eight."""


class DmaEngine:
    """What a queue pair does to memory."""

    def __init__(self, kernel: Kernel, connection: Connection) -> None:
        self.kernel = kernel
        self.connection = connection

    def local(self, handle: int) -> str:
        """Return the key of a region of one's own context."""
        return f"{self.connection.context}/{handle}"

    def move(
        self,
        key: str,
        access: int,
        offset: int,
        length: int,
        data: bytes | None,
        *,
        pd: int = 0,
        window: bool = False,
    ) -> Conversation[bytes]:
        """Write data to physical pages, or read them; the region cannot go away meanwhile, but the file's map can.

        Raises:
            ProtectionError: the key does not allow it.

        """
        mapped = yield from self._map(key, access, offset, length, pd, writes=data is not None, window=window)
        result, done = b"", 0
        for page, inside, part in mapped.segments:
            piece = None if data is None else data[done : done + part]
            done += part
            result += yield from dma(self.kernel, page, inside, part, piece, mapped.region)
        self.connection.actor.send(self.connection.context, UnmapDma(mapped.handle))
        return result

    def atomic(self, request: RemoteAccess) -> Conversation[bytes]:
        """Compare and swap, or fetch and add; return what was there.

        Raises:
            ProtectionError: the key does not allow it.
            MisalignedError: no number lies there.

        """
        r = request
        mapped = yield from self._map(
            r.key, IBV_ACCESS_REMOTE_ATOMIC, r.offset, ATOMIC_BYTES, 0, writes=True, window=r.window
        )
        page, inside, part = mapped.segments[0]
        old = b""
        if aligned := not inside % ATOMIC_BYTES:
            swaps = r.opcode == IBV_WR_ATOMIC_CMP_AND_SWP
            data = (r.swap if swaps else r.operand).to_bytes(ATOMIC_BYTES, "little")
            compare = r.operand.to_bytes(ATOMIC_BYTES, "little") if swaps else None
            what = page.frame.number, page.generation, page.inode, page.page, inside, part, data, mapped.region
            old = (yield Call(page.frame.memory, AtomicDma(*what, compare))).data
        self.connection.actor.send(self.connection.context, UnmapDma(mapped.handle))
        if not aligned:
            raise MisalignedError
        return old

    def _map(
        self, key: str, access: int, offset: int, length: int, pd: int, *, writes: bool, window: bool
    ) -> Conversation[Segments]:
        connection = self.connection
        qp = connection.actor.address if window else ""
        request = MapDma(key, pd or connection.pd, access, offset, length, writes, qp, window)
        mapped: Segments = yield Call(connection.context, request)
        if not mapped.segments:
            raise ProtectionError
        return mapped
