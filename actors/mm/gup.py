"""Pinning of user memory for a device: what every driver does that takes a buffer for longer than a call [1.9, 2.6].

A pinner is an actor behind a descriptor, such as a uverbs context. On behalf of a process it calls
:func:`pin_user_pages`, keeps the :class:`~longpin.messages.mm.mm.Registration` it gets, and gives it to
:func:`unpin_user_pages` when the buffer is given up or the last descriptor has gone. A process may also pin, and pass
the registration on. Whichever it is, both functions are conversations of that actor.
"""

from collections.abc import Callable
from typing import NamedTuple

from longpin.actors.conversation import Call, Conversation, KernelError, Uninterruptible
from longpin.actors.kernel.machine import Kernel
from longpin.actors.mm.zero_page import load_zeros
from longpin.messages.envelope import Address
from longpin.messages.fs.file import Put, Release
from longpin.messages.fs.inode import Deregistered
from longpin.messages.fs.mapping import NO_TERMS, PinTerms
from longpin.messages.mm.memory import ZERO_PAGE, Dma, Load, PinnedPage, PinnedRun, Store, Unpin, memories_of
from longpin.messages.mm.mm import GetUserPages, GetVaddrFrames, PinLookup, Registration, Uncharge
from longpin.messages.mm.ram import UnpinFrames
from longpin.messages.process.caller import Caller

BATCH = 512
"""Pages pinned in one hold of the mmap lock: as many as a page has room for pointers [2.6 step 5, ib_umem_get]."""


class Buffer(NamedTuple):
    """Memory that somebody wants a device to have, and whose it is."""

    mm: Address
    address: int
    """Where it begins: the first byte of a page."""
    pages: int
    caller: Caller
    """The process that asks."""
    memlock: int
    """Its RLIMIT_MEMLOCK in bytes; -1: none, it has CAP_IPC_LOCK."""


def pin_user_pages(
    kernel: Kernel,
    buffer: Buffer,
    owner: Address,
    context: Address,
    *,
    write: bool,
    force: bool = False,
    longterm: bool = True,
    get: bool = False,
    charged: bool = True,
    frame_vector: bool = False,
    lookup: PinLookup = PinLookup.FAST,
    locked: bool = False,
    whole: int = 0,
    terms: PinTerms = NO_TERMS,
) -> Conversation[Registration]:
    """Charge a buffer and pin all of it, or nothing [2.6 steps 3 to 6].

    ``force`` is FOLL_FORCE: private memory that may not be written to is pinned for writing all the same. What is not
    ``longterm`` is not charged, nor what is said not to be ``charged``; with ``get`` it is plain references (FOLL_GET)
    that are taken. ``frame_vector`` is get_vaddr_frames: a kernel that looks at mappings late looks at the first one
    before it pins, and at no other. ``locked`` pages are counted with those of mlock(2), each when it is pinned, and
    not as pinned before. ``whole`` is the errno of a driver that asks for the buffer in one call, and is not told why
    it got some of the pages and not all; 0: it asks again for the rest, and is told.

    Raises:
        KernelError: EPERM or ENOMEM for RLIMIT_MEMLOCK, EFAULT where nothing can be accessed, or the policy's errno.

    """
    runs: list[PinnedRun] = []
    holds: list[Address] = []
    attached: list[Address] = []
    compounds: dict[Address, int] = {}
    done = 0
    charge = buffer.pages if longterm and charged and not locked else 0
    counted = 0
    try:
        while done < buffer.pages:
            address = buffer.address + done * kernel.page_size
            pages = buffer.pages - done if whole else min(BATCH, buffer.pages - done)
            how = (write, force, longterm)
            wanted = address, pages, 0 if runs else charge, buffer.memlock, *how, owner, context, buffer.caller
            more = tuple(holds), get, terms, lookup, locked
            request = GetVaddrFrames(*wanted, *more, not runs) if frame_vector else GetUserPages(*wanted, *more)
            got = yield Uninterruptible(buffer.mm, request)
            runs += got.runs
            holds += got.holds
            attached += [inode for inode in got.attached if inode not in attached]
            compounds |= got.compounds
            done += sum(run.length for run in got.runs)
            counted += got.locked
            if got.refused:  # a late check is of the pages that are pinned, even if a later page fails
                raise KernelError(got.refused)
            if whole and done < buffer.pages:
                raise KernelError(whole)
    except KernelError:
        if runs:  # else the first request failed, which left nothing behind
            failed = tuple(runs), tuple(holds), tuple(attached), (), counted
            yield from unpin_user_pages(kernel, Registration(owner, context, buffer.mm, charge, *failed))
        raise
    pinned = tuple(runs), tuple(holds), tuple(attached), tuple(compounds.items()), counted
    return Registration(owner, context, buffer.mm, charge, *pinned)


Holds = Callable[[tuple[Address, ...]], tuple[Address, ...]]
"""Says which holds go with a registration that has these: a pinner that has others asks the policy itself."""


def unpin_user_pages(kernel: Kernel, registration: Registration, holds: Holds | None = None) -> Conversation[None]:
    """Drop the references, the charge, and what a policy made the pins hold [2.6]."""
    yield from _drop_pages(registration)
    if registration.pages or registration.locked:
        yield Call(registration.mm, Uncharge(registration.pages, registration.locked))
    yield from _drop_holds(registration, holds or kernel.policy.on_unpin)


def let_go(kernel: Kernel, registration: Registration, holds: Holds | None = None) -> Conversation[None]:
    """Drop the references and what a policy made the pins hold; the charge stays until the buffer is given up."""
    yield from _drop_pages(registration)
    yield from _drop_holds(registration, holds or kernel.policy.on_unpin)


def _drop_pages(registration: Registration) -> Conversation[None]:
    anonymous = set(memories_of(run for run in registration.runs if not run.first.inode))
    for memory in memories_of(registration.runs):
        yield Call(memory, (UnpinFrames if memory in anonymous else Unpin)(registration.owner))


def _drop_holds(registration: Registration, holds: Holds) -> Conversation[None]:
    """After the pages: leases must not go before the pins they stand for."""
    for inode in registration.attached:
        yield Call(inode, Deregistered(registration.owner, registration.context))
    for ofd in holds(registration.holds):
        if (yield Call(ofd, Put(pin=True))).last:
            yield Call(ofd, Release(exiting=False))


def dma(
    kernel: Kernel, page: PinnedPage, offset: int, length: int, data: bytes | None, region: Address
) -> Conversation[bytes]:
    """Have a device access bytes of a page that is pinned as ``region``; without ``data`` it reads."""
    frame = page.frame
    if frame == ZERO_PAGE and not kernel.zero_page_is_written:  # only ever read
        return bytes(length)
    access = Dma(frame.number, page.generation, page.inode, page.page, offset, length, data, region)
    found: bytes = (yield Call(frame.memory, access)).data
    return found


def read_pinned(kernel: Kernel, page: PinnedPage, offset: int, length: int) -> Conversation[bytes]:
    """Return bytes of a page that is pinned, as the kernel reads them through its own mapping of all memory."""
    if page.frame == ZERO_PAGE:
        return (yield from load_zeros(kernel, offset, length, page.inode))
    data: bytes = (yield Call(page.frame.memory, Load(page.frame.number, offset, length, page.inode))).data
    return data


def write_pinned(page: PinnedPage, offset: int, data: bytes) -> Conversation[None]:
    """Write bytes of a page that was pinned for writing."""
    yield Call(page.frame.memory, Store(page.frame.number, offset, data, page.inode))
