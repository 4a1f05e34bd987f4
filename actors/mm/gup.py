"""Pinning of user memory for a device: what every driver does that takes a buffer for longer than a call [1.9, 1.12].

A pinner is an actor behind a descriptor, such as a uverbs context. On behalf of a process it calls
:func:`pin_user_pages`, keeps the :class:`~longpin.messages.mm.mm.Registration` it gets, and gives it to
:func:`unpin_user_pages` when the buffer is given up or the last descriptor has gone. A process may also pin, and pass
the registration on. Whichever it is, both functions are conversations of that actor.
"""

from typing import NamedTuple

from longpin.actors.conversation import Call, Conversation, KernelError, Uninterruptible
from longpin.actors.kernel.machine import Kernel
from longpin.messages.envelope import Address
from longpin.messages.fs.file import Put, Release
from longpin.messages.mm.mm import GetUserPages, Registration, Uncharge
from longpin.messages.mm.pmem import PinnedRun, Unpin, memories_of

BATCH = 512
"""Pages pinned in one hold of the mmap lock: as many as a page has room for pointers [2.6 step 3, ib_umem_get]."""


class Buffer(NamedTuple):
    """Memory that somebody wants a device to have, and whose it is."""

    mm: Address
    address: int
    """Where it begins: the first byte of a page."""
    pages: int
    tgid: int
    """The process that asks."""
    memlock: int
    """Its RLIMIT_MEMLOCK in bytes; -1: none, it has CAP_IPC_LOCK."""


def pin_user_pages(
    kernel: Kernel, buffer: Buffer, owner: Address, context: Address, *, write: bool, longterm: bool = True
) -> Conversation[Registration]:
    """Charge a buffer and pin all of it, or nothing [2.6 steps 1 to 4].

    Raises:
        KernelError: EPERM or ENOMEM for RLIMIT_MEMLOCK, EFAULT where nothing can be accessed, or the policy's errno.

    """
    runs: list[PinnedRun] = []
    holds: list[Address] = []
    done = 0
    try:
        while done < buffer.pages:
            address = buffer.address + done * kernel.page_size
            pages = min(BATCH, buffer.pages - done)
            charge = 0 if runs else buffer.pages
            request = GetUserPages(
                address, pages, charge, buffer.memlock, write, longterm, owner, context, buffer.tgid, tuple(holds)
            )
            got = yield Uninterruptible(buffer.mm, request)
            runs += got.runs
            holds += got.holds
            done += sum(run.length for run in got.runs)
            # A late check is of the pages that are pinned, even if a later page fails.
            late = longterm and kernel.generation.late_longterm_check
            if late and (number := kernel.policy.longterm_gate()):
                raise KernelError(number)
    except KernelError:
        if runs:  # else the first request failed, which left nothing behind
            failed = Registration(owner, context, buffer.mm, buffer.pages, tuple(runs), tuple(holds))
            yield from _let_go(failed, failed.holds)
        raise
    return Registration(owner, context, buffer.mm, buffer.pages, tuple(runs), tuple(holds))


def unpin_user_pages(kernel: Kernel, registration: Registration) -> Conversation[None]:
    """Drop the references, the charge, and what a policy made the pins hold [2.6]."""
    yield from _let_go(registration, kernel.policy.on_unpin(registration.holds))


def _let_go(registration: Registration, holds: tuple[Address, ...]) -> Conversation[None]:
    for memory in memories_of(registration.runs):
        yield Call(memory, Unpin(registration.owner))
    yield Call(registration.mm, Uncharge(registration.pages))
    for ofd in holds:
        if (yield Call(ofd, Put())).last:
            yield Call(ofd, Release(exiting=False))
