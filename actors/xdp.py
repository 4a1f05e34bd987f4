"""AF_XDP: a socket with memory of a process, the umem, into which a network device writes packets [1.10.6].

The umem is pinned when it is registered and stays so until the socket goes. It belongs to the socket, and is counted
for the user who registered it, together with what io_uring has pinned for that user. A socket is no file of a device:
nothing in ``/proc`` says of which one the pins are (H23).
"""

import errno
from dataclasses import dataclass

from longpin.actors.base import Engine, handles
from longpin.actors.conversation import Conversation, KernelError
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import OneFile
from longpin.actors.fs.flocks import Flocks
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.mm.gup import Buffer, dma, let_go, pin_user_pages, unpin_user_pages
from longpin.actors.process.users import charge_user, uncharge_user
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import CloseFile
from longpin.messages.mm.mm import PinLookup, Registration
from longpin.messages.rdma.revocation import RevokeRegion
from longpin.messages.xdp import ReceivePacket, RegisterUmem

LEAST_CHUNK = 2048
"""Bytes of the smallest chunk [XDP_UMEM_MIN_CHUNK_SIZE]."""
END = 1 << 64
"""Where addresses end, as numbers of 64 bits; what is mapped ends earlier."""
MOST_PAGES = (1 << 32) - 1
"""Pages of the largest umem [xdp_umem_reg]."""


@dataclass(slots=True)
class Umem:
    """The memory of a socket."""

    length: int
    chunk_size: int
    registration: Registration
    user: int
    """The uid it is counted for."""
    charged: int
    """How many pages are counted for that user; 0: who registered it may lock as many as it likes."""
    revoked: bool = False
    """The kernel has taken the pages from the device."""


class XdpSocket(OneFile):
    """One socket, bound to a queue of a network device."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel) -> None:
        super().__init__(engine, address, kernel)
        self.umem: Umem | None = None
        self.tried = 0
        """How many registrations it has begun, for their names."""
        self.early: set[Address] = set()
        """Registrations that were revoked while they were made."""
        self.lock = Lock(self, f"the options of {address}")
        """Held while the umem is registered [struct xdp_sock: mutex]."""
        self.attributes = Attributes(0, 0o777)
        self.flocks = Flocks(address)

    @handles(RegisterUmem)
    def register(self, request: RegisterUmem, _src: Address) -> Conversation[Done]:
        """XDP_UMEM_REG: one umem, charged, then pinned as a whole [xsk_setsockopt, xdp_umem_reg].

        Raises:
            KernelError: EBUSY, there is one; EINVAL; ENOBUFS, the user would have more than RLIMIT_MEMLOCK; ENOMEM,
                only some of it can be pinned; or why nothing can: EFAULT, or the policy's errno.

        """
        r = request
        with (yield self.lock.exclusive()):
            if self.umem is not None:
                raise KernelError(errno.EBUSY)
            self._check(r)
            pages = self.kernel.pages(r.length)
            charged = 0 if r.memlock < 0 else pages
            try:
                yield from charge_user(r.caller.uid, charged, r.memlock // self.kernel.page_size)
            except KernelError:
                raise KernelError(errno.ENOBUFS) from None
            try:
                made = yield from self._pin(Buffer(r.mm, r.addr, pages, r.caller, -1))
            except KernelError:
                yield from uncharge_user(r.caller.uid, charged)
                raise
            self.umem = Umem(r.length, r.chunk_size, made, r.caller.uid, charged)
        return DONE

    def _check(self, r: RegisterUmem) -> None:
        """Check sizes and the address, in the kernel's order; all of it is EINVAL."""
        page_size, chunk = self.kernel.page_size, r.chunk_size
        if not LEAST_CHUNK <= chunk <= page_size or chunk & (chunk - 1) or r.addr % page_size:
            raise KernelError(errno.EINVAL)
        if r.addr + r.length >= END or self.kernel.pages(r.length) > MOST_PAGES or not r.length or r.length % chunk:
            raise KernelError(errno.EINVAL)

    def _pin(self, buffer: Buffer) -> Conversation[Registration]:
        """Pin for writing, by one call without a fast walk, which does not say why it pinned some pages only."""
        self.tried += 1
        owner = f"umem:{self.address.partition(':')[2]}.{self.tried}"
        made = yield from pin_user_pages(
            self.kernel,
            buffer,
            owner,
            self.address,
            write=True,
            charged=False,
            lookup=PinLookup.SLOW,
            whole=errno.ENOMEM,
        )
        if owner in self.early:
            yield from unpin_user_pages(self.kernel, made)
            raise KernelError(errno.ENXIO)
        return made

    # The device.

    @handles(ReceivePacket)
    def receive(self, request: ReceivePacket, _src: Address) -> Conversation[Done]:
        """Write a packet to a chunk; one that finds no memory or does not fit is dropped [xp_check_aligned]."""
        umem, offset, data = self.umem, request.offset, request.data
        if umem is None or umem.revoked or offset >= umem.length or offset + len(data) > umem.length:
            return Done(0)
        if offset % umem.chunk_size + len(data) > umem.chunk_size:
            return Done(0)
        page, inside = divmod(offset, self.kernel.page_size)
        made = umem.registration
        yield from dma(self.kernel, made.page(page), inside, len(data), data, made.owner)
        return Done(len(data))

    # The end.

    @handles(RevokeRegion)
    def revoke(self, request: RevokeRegion, _src: Address) -> Conversation[Done]:
        """Take the umem from the device, which drops packets from now on; unpin the pages, or let them."""
        umem = self.umem
        if umem is None or umem.registration.owner != request.region:
            self.early.add(request.region)
            return Done(0)
        umem.revoked = True
        if request.unpin:
            made = umem.registration
            umem.registration = made._replace(holds=(), attached=())
            yield from let_go(self.kernel, made)
        return Done(1)

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Let go of the umem: the last reference to the socket is gone [xsk_release, xdp_umem_release]."""
        self.flocks.drop(self, request.ofd)
        with (yield self.lock.exclusive()):
            umem, self.umem = self.umem, None
            if umem is not None:
                yield from unpin_user_pages(self.kernel, umem.registration)
                yield from uncharge_user(umem.user, umem.charged)
        return DONE
