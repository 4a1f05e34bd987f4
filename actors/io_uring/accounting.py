"""What pages of a ring and of its buffers count against RLIMIT_MEMLOCK: of a user, and for show of a process [2.6]."""

from collections.abc import Iterable
from dataclasses import dataclass

from longpin.actors.conversation import Call, Conversation
from longpin.actors.kernel.generation import Generation
from longpin.actors.process.users import charge_user, uncharge_user
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import PageFrame
from longpin.messages.mm.mm import ChargePinned, Registration, Uncharge

MOST_ENTRIES = 32768
"""Entries of the largest ring [IORING_MAX_ENTRIES]."""
_RINGS, _CQE, _SQE, _INDEX, _LINE = 64, 16, 64, 4, 64
"""Bytes: struct io_rings, an entry of each queue, an index of the submission queue, a cache line."""

HeadPage = PageFrame
"""The first frame of a compound page."""


def ring_pages(entries: int, page_size: int) -> int:
    """Return the pages of a ring's two queues, of which completions have twice the room [rings_size]."""
    submissions = 1 << (entries - 1).bit_length()
    completions = _RINGS + 2 * submissions * _CQE
    rings = -(-completions // _LINE) * _LINE + submissions * _INDEX
    return -(-rings // page_size) + -(-submissions * _SQE // page_size)


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a ring counts for: noted when it is made, whoever uses it then [io_uring_create]."""

    uid: int
    """The user whose pages they are; -1: nobody's, who made the ring had CAP_IPC_LOCK."""
    mm: Address
    """The memory map that shows them as pinned, which may be that of no process any more."""

    def charge(self, pages: int, limit: int, generation: Generation) -> Conversation[None]:
        """Count pages of a buffer [io_account_mem].

        Raises:
            KernelError: ENOMEM, the user would have more than the limit, in pages.

        """
        if self.uid >= 0:
            yield from charge_user(self.uid, pages, limit)
        if pages and self._shown(generation):
            yield Call(self.mm, ChargePinned(pages))

    def uncharge(self, pages: int, generation: Generation) -> Conversation[None]:
        """Count them no more [io_unaccount_mem]."""
        if self.uid >= 0:
            yield from uncharge_user(self.uid, pages)
        if pages and self._shown(generation):
            yield Call(self.mm, Uncharge(pages))

    def _shown(self, generation: Generation) -> bool:
        return self.uid >= 0 or generation.io_uring_shows_unlimited


def pages_to_charge(made: Registration, others: Iterable[Registration]) -> int:
    """Return how many pages a buffer counts: of a compound page all, once for all buffers of a table.

    [code: io_buffer_account_pin, headpage_already_acct]
    """
    plain, heads = _count(made)
    known = {head for other in others for head in _count(other)[1]}
    return plain + sum(size for head, size in heads.items() if head not in known)


def _count(made: Registration) -> tuple[int, dict[HeadPage, int]]:
    """Return how many pages are no part of a compound page, and the compound pages, each with its size."""
    plain = 0
    heads: dict[HeadPage, int] = {}
    compounds = dict(made.compounds)
    for first, length in made.runs:
        memory, number = first.frame
        size = compounds.get(memory, 1)
        if size == 1:
            plain += length
            continue
        for head in range(number // size, (number + length - 1) // size + 1):
            heads[HeadPage(memory, head * size)] = size
    return plain, heads
