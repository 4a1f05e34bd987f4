"""An io_uring: a table of registered buffers, whose pages stay pinned until they are unregistered [1.10.4].

It belongs to the open file description that io_uring_setup(2) returns, not to a process: all who hold a descriptor can
use it, register memory of their own with it, and close it. Unlike verbs it takes itself down after the last close has
returned.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from longpin.actors.base import Engine, handles
from longpin.actors.conversation import Conversation, Effect, KernelError, Wait, WaitQueue, WaitsFor, outcome
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import OneFile
from longpin.actors.fs.flocks import Flocks
from longpin.actors.io_uring.accounting import Account, pages_to_charge
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Hold, Lock
from longpin.actors.mm.gup import Buffer, let_go, pin_user_pages, unpin_user_pages
from longpin.actors.process.users import uncharge_user
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import CloseFile, Open
from longpin.messages.io_uring import (
    BeginFixed,
    EndFixed,
    FixedBuffer,
    MakeSparseTable,
    RegisterBuffer,
    RingExit,
    UnregisterBuffers,
    UpdateBuffer,
)
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.mm.mm import PinLookup, Registration
from longpin.messages.rdma.revocation import RevokeRegion

MOST_BUFFERS = 1 << 14
"""Places of the largest table [IORING_MAX_REG_BUFFERS]."""
LONGEST_BUFFER = 1 << 30
"""Bytes [io_validate_user_buf_range]."""
ULONG_MAX = (1 << 64) - 1


@dataclass(slots=True)
class RegisteredBuffer:
    """One buffer."""

    address: int
    length: int
    registration: Registration
    charged: int
    """The pages it counts for."""
    users: int = 0
    """Requests under way."""
    gone: bool = False
    """It is in no table any more: the last request lets go of the pages."""
    revoked: bool = False
    """The kernel has taken the pages from the ring: requests fail."""


class Ring(OneFile):
    """One io_uring, with the mode and the flock(2) locks of its file."""

    def __init__(
        self, engine: Engine, address: Address, kernel: Kernel, account: Account, pages: int, uid: int
    ) -> None:
        super().__init__(engine, address, kernel)
        self.account = account
        self.pages = pages
        """How many of its own are charged to the user."""
        self.table: list[RegisteredBuffer | None] | None = None
        """The buffers by their indices; None where nothing is registered. There may be no table."""
        self.quiescing = False
        """Somebody waits for requests to end, to let go of the table: for others it has no places."""
        self.requests: dict[int, RegisteredBuffer] = {}
        """Fixed reads and writes under way."""
        self.begun = 0
        """How many there ever were."""
        self.made = 0
        """How many registrations there ever were, for their names."""
        self.early: set[Address] = set()
        """Registrations that were revoked while they were made."""
        self.uring_lock = Lock(self, f"the lock of {address}")
        """Held while the table is looked at and changed, and while pages are pinned for it."""
        self.ended = WaitQueue()
        """Who waits for requests to be complete."""
        self.attributes = Attributes(uid, 0o600)
        self.flocks = Flocks(address)

    @handles(Open)
    def open(self, _request: Open, _src: Address) -> Done:
        """Open it again through /proc/self/fd: there is no way to [no_open]."""
        raise KernelError(errno.ENXIO)

    # The table.

    @handles(RegisterBuffer)
    def register(self, request: RegisterBuffer, _src: Address) -> Conversation[Done]:
        """Make a table of one buffer [io_sqe_buffers_register].

        Raises:
            KernelError: EBUSY, there is a table; else why the buffer cannot be registered.

        """
        with (yield self.uring_lock.exclusive()):
            self._check_no_table()
            self.table = [(yield from self._register(request))]
        return DONE

    @handles(MakeSparseTable)
    def make_sparse(self, request: MakeSparseTable, _src: Address) -> Conversation[Done]:
        """Make a table of places only; that there are any is looked at before the table [io_register_rsrc]."""
        with (yield self.uring_lock.exclusive()):
            if not request.places:
                raise KernelError(errno.EINVAL)
            self._check_no_table()
            if request.places > MOST_BUFFERS:
                raise KernelError(errno.EINVAL)
            self.table = [None] * request.places
        return DONE

    def _check_no_table(self) -> None:
        if self.table is not None:
            raise KernelError(errno.EBUSY)

    @handles(UpdateBuffer)
    def update(self, request: UpdateBuffer, _src: Address) -> Conversation[Done]:
        """Register a buffer for a place, and only then let go of what was there [__io_sqe_buffers_update].

        Raises:
            KernelError: ENXIO, there is no table; EINVAL, it has no such place; else why the buffer cannot be
                registered, and the place keeps what it had.

        """
        with (yield self.uring_lock.exclusive()):
            if self.table is None:
                raise KernelError(errno.ENXIO)
            if self.quiescing or request.index >= len(self.table):
                raise KernelError(errno.EINVAL)
            made = yield from self._register(request)
            old, self.table[request.index] = self.table[request.index], made
            yield from self._drop(old)
        return Done(1)

    @handles(UnregisterBuffers)
    def unregister(self, _request: UnregisterBuffers, _src: Address) -> Conversation[Done]:
        """Let go of the table; a kernel may wait for requests to be complete [io_sqe_buffers_unregister].

        Raises:
            KernelError: ENXIO, there is no table; EINTR, of such a wait.

        """
        with (yield self.uring_lock.exclusive()) as lock:
            if self.table is None or self.quiescing:
                raise KernelError(errno.ENXIO)
            if self.kernel.generation.io_uring_unregister_waits and self.requests:
                yield from self._quiesce(lock)
            yield from self._drop_table()
        return DONE

    def _quiesce(self, lock: Hold) -> Conversation[None]:
        """Wait, without the lock, until no request uses a buffer; meanwhile none can begin [io_rsrc_ref_quiesce]."""
        self.quiescing = True
        lock.drop()
        error = yield from outcome(self._await_requests())
        yield lock.retake()
        self.quiescing = False
        if error is not None:
            raise error

    def _drop_table(self) -> Conversation[None]:
        table, self.table = self.table or [], None
        for buffer in reversed(table):
            yield from self._drop(buffer)

    def _drop(self, buffer: RegisteredBuffer | None) -> Conversation[None]:
        """Let go of a buffer that has left the table, unless requests still use it."""
        if buffer is not None:
            buffer.gone = True
            if not buffer.users:
                yield from self._release(buffer)

    def _release(self, buffer: RegisteredBuffer) -> Conversation[None]:
        """Unpin and uncharge [io_buffer_unmap]."""
        yield from unpin_user_pages(self.kernel, buffer.registration)
        yield from self.account.uncharge(buffer.charged, self.kernel.generation)

    # One buffer.

    def _register(self, request: RegisterBuffer | UpdateBuffer) -> Conversation[RegisteredBuffer | None]:
        """Pin a buffer, then count its pages: too many are let go of again [io_sqe_buffer_register].

        Raises:
            KernelError: EFAULT, EOVERFLOW, it is no range; EFAULT, EINVAL, EOPNOTSUPP or the policy's errno, it cannot
                be pinned; ENOMEM, it is more than may be locked.

        """
        r = request
        _check_range(r.address, r.length, self.kernel.page_size)
        if not r.address:
            return None
        page_size, generation = self.kernel.page_size, self.kernel.generation
        first = r.address - r.address % page_size
        pages = self.kernel.pages(r.address + r.length - first)
        self.made += 1
        owner = f"buffer:{self.address.partition(':')[2]}.{self.made}"
        lookup = PinLookup.FILES if generation.io_uring_looks_at_files else PinLookup.FAST
        wanted = Buffer(r.mm, first, pages, r.caller, -1)
        made = yield from pin_user_pages(
            self.kernel, wanted, owner, self.address, write=True, charged=False, whole=errno.EFAULT, lookup=lookup
        )
        others = [buffer.registration for buffer in self.table or () if buffer is not None]
        charged = pages_to_charge(made, others)
        error = yield from outcome(self.account.charge(charged, r.limit, generation))
        buffer = RegisteredBuffer(r.address, r.length, made, 0 if error else charged)
        if error is None and owner in self.early:
            error = KernelError(errno.ENXIO)
        if error is not None:
            yield from self._release(buffer)
            raise error
        return buffer

    # Requests.

    @handles(BeginFixed)
    def begin(self, request: BeginFixed, _src: Address) -> Conversation[FixedBuffer]:
        """Begin a request [io_import_reg_buf].

        Raises:
            KernelError: EFAULT, no buffer has that index, it is another range, or its pages were taken back.

        """
        with (yield self.uring_lock.exclusive()):
            table = [] if self.table is None or self.quiescing else self.table
            buffer = table[request.index] if request.index < len(table) else None
            if buffer is None or buffer.revoked:
                raise KernelError(errno.EFAULT)
            offset = request.address - buffer.address
            if offset < 0 or offset + request.length > buffer.length:
                raise KernelError(errno.EFAULT)
            self.begun += 1
            self.requests[self.begun] = buffer
            buffer.users += 1
        segments = tuple(self._segments(buffer, request))
        files = dict.fromkeys(first.inode for first, _ in buffer.registration.runs if first.inode)
        return FixedBuffer(self.begun, buffer.registration.owner, segments, tuple(files))

    def _segments(self, buffer: RegisteredBuffer, request: BeginFixed) -> Iterator[tuple[PinnedPage, int, int]]:
        page_size = self.kernel.page_size
        offset, left = buffer.address % page_size + request.address - buffer.address, request.length
        while left:
            index, inside = divmod(offset, page_size)
            part = min(left, page_size - inside)
            yield buffer.registration.page(index), inside, part
            offset, left = offset + part, left - part

    @handles(EndFixed)
    def end(self, request: EndFixed, _src: Address) -> Conversation[Done]:
        """Complete a request: the last one of a buffer that is in no table lets go of it [io_put_rsrc_node]."""
        buffer = self.requests.pop(request.number)
        buffer.users -= 1
        self.ended.wake_all(self)
        if buffer.gone and not buffer.users:
            yield from self._release(buffer)
        return DONE

    def _await_requests(self) -> Conversation[None]:
        while self.requests:
            yield self._sleep(Wait.INTERRUPTIBLE)

    def _await_users(self, buffer: RegisteredBuffer) -> Conversation[None]:
        while buffer.users:
            yield self._sleep(Wait.UNINTERRUPTIBLE)

    def _sleep(self, wait: Wait) -> Effect:
        return self.ended.sleep(WaitsFor("completion", self.address, "fixed reads and writes to be complete"), wait)

    # The end.

    @handles(RevokeRegion)
    def revoke(self, request: RevokeRegion, _src: Address) -> Conversation[Done]:
        """Take a buffer's pages from the ring for good, when no request uses them; unpin them, or let them be.

        The buffer keeps its place and its charge until it is unregistered.
        """
        in_table = (buffer for buffer in self.table or () if buffer is not None)
        for buffer in (*in_table, *self.requests.values()):
            made = buffer.registration
            if made.owner == request.region:
                buffer.revoked = True
                yield from self._await_users(buffer)
                if request.unpin and not buffer.gone:
                    buffer.registration = made._replace(holds=(), attached=())
                    yield from let_go(self.kernel, made)
                return Done(1)
        self.early.add(request.region)
        return Done(0)

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Done:
        """Have the ring taken down by a worker: close(2) does not wait for that [io_ring_ctx_wait_and_kill]."""
        self.flocks.drop(self, request.ofd)
        self.send(self.address, RingExit())
        return DONE

    @handles(RingExit)
    def exit(self, _request: RingExit, _src: Address) -> Conversation[None]:
        """Let go of everything [io_ring_exit_work, io_ring_ctx_free]."""
        with (yield self.uring_lock.exclusive()):
            yield from self._drop_table()
        if self.pages:
            yield from uncharge_user(self.account.uid, self.pages)


def _check_range(address: int, length: int, page_size: int) -> None:
    """Fail for what is no buffer; none at all is one that stays empty [io_buffer_validate]."""
    if not address:
        if length:
            raise KernelError(errno.EFAULT)
        return
    if not 0 < length <= LONGEST_BUFFER:
        raise KernelError(errno.EFAULT)
    if address + -(-length // page_size) * page_size > ULONG_MAX:
        raise KernelError(errno.EOVERFLOW)
