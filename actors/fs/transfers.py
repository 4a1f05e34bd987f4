"""Transfers between a file and a buffer of a process [1.9, H15].

The kernel copies, page by page, and a page of the buffer that is not there is faulted in. With O_DIRECT on a file that
is not on DAX it is the device that moves the bytes: the buffer is pinned (FOLL_PIN, not for long) until that is done,
and others get in meanwhile. To the file whose mapping the buffer is this looks like any pin. A file on DAX is copied
from and to, O_DIRECT or not [code: dax_iomap_rw].
"""

import errno
from collections.abc import Iterator
from typing import NamedTuple

from longpin.actors.base import Actor
from longpin.actors.conversation import Call, Conversation, KernelError, Step
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.file_data import FileData
from longpin.actors.kernel.machine import Kernel
from longpin.actors.mm.address_space import LONGEST_RANGE, TASK_SIZE
from longpin.actors.mm.gup import Buffer, pin_user_pages, unpin_user_pages
from longpin.messages.fs.file import Data
from longpin.messages.fs.transfer import TransferAt
from longpin.messages.mm.memory import ZERO_PAGE, Dma
from longpin.messages.mm.mm import Faulted, LoadBytes, Registration, StoreBytes

SECTOR = 512
"""Bytes: offset, length and address of a direct transfer are multiples of it [open(2), O_DIRECT in NOTES]."""


def check_buffer(address: int, length: int) -> None:
    """Fail as the kernel does before it touches a buffer, even if nothing is to be moved [code: import_ubuf].

    Raises:
        KernelError: EINVAL, the length is none; EFAULT, no process has memory there.

    """
    if length > LONGEST_RANGE:
        raise KernelError(errno.EINVAL)
    if address + length > TASK_SIZE:
        raise KernelError(errno.EFAULT)


class _Piece(NamedTuple):
    """What lies in one page of the file and in one of the buffer."""

    done: int
    """The bytes before it."""
    length: int


class Transfers:
    """The transfers of one inode; callers hold its iolock and have the layout guard's leave."""

    __slots__ = ("actor", "attributes", "count", "data", "kernel")

    def __init__(self, actor: Actor, kernel: Kernel, attributes: Attributes, data: FileData) -> None:
        self.actor = actor
        self.kernel = kernel
        self.attributes = attributes
        self.data = data
        self.count = 0
        """How many pages were ever pinned."""

    def read(self, request: TransferAt) -> Conversation[int]:
        """Fill the buffer up to the end of the file; return how many bytes.

        Raises:
            KernelError: EFAULT, there is no buffer; EINVAL, it or the offset is not whole sectors.

        """
        length = max(0, min(request.length, self.attributes.size - request.offset))
        if request.direct and self.data.has_device:
            self._check_sectors(request)
            yield from self.data.sync()
            return (yield from self._direct(request, length, request.offset))
        done = 0
        for piece in self._pieces(request, length, request.offset):
            data = yield from self.data.read(request.offset + piece.done, piece.length)
            stored = yield Call(request.mm, StoreBytes(request.address + piece.done, data))
            if isinstance(stored, Faulted):
                break
            done += piece.length
        return _at_least_some(done, length)

    def write(self, request: TransferAt, offset: int, length: int) -> Conversation[int]:
        """Write the buffer; return how many bytes.

        Raises:
            KernelError: EFAULT, EINVAL as for a read; ENOSPC.

        """
        if request.direct and self.data.has_device:
            self._check_sectors(request)
            yield from self.data.invalidate(offset, length)
            done = yield from self._direct(request, length, offset)
            self.attributes.size = max(self.attributes.size, offset + done)
            return done
        done = 0
        for piece in self._pieces(request, length, offset):
            loaded: Data | Faulted = yield Call(request.mm, LoadBytes(request.address + piece.done, piece.length))
            if isinstance(loaded, Faulted):
                break
            try:
                written = yield from self.data.write(offset + piece.done, loaded.data)
            except KernelError:
                if not done:
                    raise
                return done
            done += written
            if written < piece.length:
                return done
        return _at_least_some(done, length)

    @staticmethod
    def _check_sectors(request: TransferAt) -> None:
        if request.address % SECTOR or request.length % SECTOR or (request.offset > 0 and request.offset % SECTOR):
            raise KernelError(errno.EINVAL)

    def _pieces(self, request: TransferAt, length: int, offset: int) -> Iterator[_Piece]:
        page_size, done = self.kernel.page_size, 0
        while done < length:
            room = min(page_size - (offset + done) % page_size, page_size - (request.address + done) % page_size)
            part = min(room, length - done)
            yield _Piece(done, part)
            done += part

    # The device.

    def _direct(self, request: TransferAt, length: int, offset: int) -> Conversation[int]:
        """Pin the buffer, have the device move the bytes, and let go of it."""
        pinned = yield from self._pin(request, length)
        there = min(length, len(pinned) * self.kernel.page_size - request.address % self.kernel.page_size)
        if pinned:
            yield Step()  # the device has the request
        done = 0
        try:
            for piece in self._pieces(request, there, offset):
                yield from self._move(request, pinned, piece, offset)
                done += piece.length
        except KernelError:
            if not done:
                yield from self._unpin(pinned)
                raise
        yield from self._unpin(pinned)
        if done < length:  # unlike a copy it fails, though the device has moved what it could [code: iomap_dio_rw]
            raise KernelError(errno.EFAULT)
        return done

    def _pin(self, request: TransferAt, length: int) -> Conversation[list[Registration]]:
        """Pin the pages of the buffer, up to the first that cannot be."""
        page_size = self.kernel.page_size
        first, end = request.address // page_size, self.kernel.pages(request.address + length)
        pinned: list[Registration] = []
        try:
            for page in range(first, end):
                self.count += 1
                owner = f"dio:{self.actor.address.partition(':')[2]}.{self.count}"
                buffer = Buffer(request.mm, page * page_size, 1, request.caller, -1)
                pinned.append(
                    (
                        yield from pin_user_pages(
                            self.kernel, buffer, owner, self.actor.address, write=not request.write, longterm=False
                        )
                    )
                )
        except KernelError as error:
            if error.errno != errno.EFAULT:
                yield from self._unpin(pinned)
                raise
        return pinned

    def _unpin(self, pinned: list[Registration]) -> Conversation[None]:
        for registration in pinned:
            yield from unpin_user_pages(self.kernel, registration)

    def _move(self, request: TransferAt, pinned: list[Registration], piece: _Piece, offset: int) -> Conversation[None]:
        """Move bytes of one page: from the buffer to a block, or from what the blocks hold to the buffer."""
        page_size = self.kernel.page_size
        index, inside = divmod(request.address % page_size + piece.done, page_size)
        registration = pinned[index]
        page = registration.page(0)
        file_page, in_file = divmod(offset + piece.done, page_size)
        access = (page.frame.number, page.generation, page.inode, page.page, inside, piece.length)
        if request.write:
            data = bytes(piece.length)
            if page.frame != ZERO_PAGE or self.kernel.zero_page_is_written:
                data = (yield Call(page.frame.memory, Dma(*access, None, registration.owner))).data
            yield from self.data.write_block(file_page, in_file, data)
        else:
            data = yield from self.data.read_block(file_page, in_file, piece.length)
            yield Call(page.frame.memory, Dma(*access, data, registration.owner))


def _at_least_some(done: int, wanted: int) -> int:
    if wanted and not done:
        raise KernelError(errno.EFAULT)
    return done
