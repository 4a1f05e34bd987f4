"""mremap(2): a mapping, or a part of one, becomes longer or shorter or lies elsewhere [1.8]."""

import errno
from dataclasses import replace
from functools import partial

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE
from longpin.actors.conversation import Conversation, KernelError, outcome
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.mm.address_space import TASK_SIZE, VM_LOCKED, AddressSpace, Mapping
from longpin.actors.mm.areas import Areas
from longpin.actors.mm.faults import Faults
from longpin.actors.mm.huge_mappings import HugeMappings
from longpin.actors.mm.notifiers import Notifiers, at_once
from longpin.messages.envelope import Address
from longpin.messages.mm.ranges import Mapped, Mremap
from longpin.messages.process.process import File


class Remap(ActorPart):
    """The call that moves mappings with their pages."""

    def __init__(
        self,
        kernel: Kernel,
        space: AddressSpace,
        mmap_lock: Lock,
        huge: HugeMappings,
        faults: Faults,
        areas: Areas,
        notifiers: Notifiers,
    ) -> None:
        self.kernel = kernel
        self.space = space
        self.mmap_lock = mmap_lock
        self.huge = huge
        self.faults = faults
        self.areas = areas
        self.notifiers = notifiers

    @handles(Mremap)
    def mremap(self, request: Mremap, _src: Address) -> Conversation[Mapped]:
        """mremap(2): what can be done in place is done there, pages go with the addresses."""
        releases = list[File]()
        with (yield self.mmap_lock.exclusive()):
            r = self._in_huge_pages(request)
            if r.flags & MREMAP_FIXED and r.length == r.old_length and self.kernel.generation.mremap_moves_several:
                yield from self._move_several(r, releases)
                return Mapped(r.to, tuple(releases))
            mapping = self._found(r)
            locked = mapping.has(VM_LOCKED)
            if r.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
                if r.flags & MREMAP_FIXED:
                    yield from self.areas.unmap_range(r.to, r.to + r.length, releases)
                if r.length < r.old_length:
                    yield from self.areas.unmap_range(r.old + r.length, r.old + r.old_length, releases)
                address = yield from self._move(r, min(r.old_length, r.length), releases)
            elif r.length <= r.old_length:
                yield from self.areas.unmap_range(r.old + r.length, r.old + r.old_length, releases)
                address = r.old
            elif self._has_room(r, mapping):
                self.space.replace(mapping, mapping._replace(length=r.old + r.length - mapping.start))
                address = r.old
            elif r.flags & MREMAP_MAYMOVE:
                address = yield from self._move(r, r.old_length, releases)
            else:
                raise KernelError(errno.ENOMEM)
            yield from self.areas.join(address, address + r.length)
        if locked and r.length > r.old_length:
            with (yield self.mmap_lock.shared()):
                # What can be had is there then: mremap has succeeded.
                yield from outcome(self.faults.populate(address + r.old_length, address + r.length))
        return Mapped(address, tuple(releases))

    def _in_huge_pages(self, r: Mremap) -> Mremap:
        """Return a request about huge pages in whole ones; others are as they are [check_prep_vma].

        Raises:
            KernelError: EINVAL, an address is in the middle of one, or it is to become longer, or to be left behind.

        """
        mapping = self.space.find(r.old)
        if mapping is None or not mapping.huge:
            return r
        lengths = self.huge.round_up(r.old_length), self.huge.round_up(r.length)
        moves = r.to % self.huge.size if r.flags & MREMAP_FIXED else 0
        if r.old % self.huge.size or moves or lengths[1] > lengths[0] or r.flags & MREMAP_DONTUNMAP:
            raise KernelError(errno.EINVAL)
        return replace(r, old_length=lengths[0], length=lengths[1])

    def _found(self, r: Mremap) -> Mapping:
        """Return the mapping that is meant.

        Raises:
            KernelError: EFAULT, there is none, or it ends too early; EINVAL, it cannot be doubled; EAGAIN, what it
                grows by may not be locked.

        """
        mapping = self.space.find(r.old)
        if mapping is None:
            raise KernelError(errno.EFAULT)
        stays = not r.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)
        if r.length <= r.old_length and stays:
            return mapping
        if not r.old_length and mapping.private:
            raise KernelError(errno.EINVAL)
        if min(r.old_length, r.length) > mapping.end - r.old:
            raise KernelError(errno.EFAULT)
        if r.length > r.old_length and mapping.has(VM_LOCKED):
            self.areas.check_locked(r.length - r.old_length, r.memlock, errno.EAGAIN)
        return mapping

    def _move_several(self, r: Mremap, releases: list[File]) -> Conversation[None]:
        """Move whatever is mapped in a range, with the room between, but for that before the first [remap_move].

        Raises:
            KernelError: EFAULT, nothing is mapped where it begins.

        """
        if self.space.find(r.old) is None:
            raise KernelError(errno.EFAULT)
        for mapping, start, end in list(self.space.pieces(r.old, r.old + r.old_length)):
            if mapping is not None:
                to = r.to + start - r.old
                yield from self.areas.unmap_range(to, to + end - start, releases)
                part = replace(r, old=start, old_length=end - start, length=end - start, to=to)
                yield from self._move(part, end - start, releases)
        yield from self.areas.join(r.to, r.to + r.length)

    def _has_room(self, r: Mremap, mapping: Mapping) -> bool:
        """Return whether a mapping can grow where it is: nothing is behind it [vma_expandable]."""
        end = r.old + r.length
        ends_there = r.old_length > 0 and r.old + r.old_length == mapping.end
        return ends_there and end <= TASK_SIZE and not self.space.overlapping(mapping.end, end)

    def _move(self, r: Mremap, length: int, releases: list[File]) -> Conversation[int]:
        """Move what lies at the old address, with its pages, and return where it is [move_vma].

        With an old length of 0, or MREMAP_DONTUNMAP, it stays where it is too, in the latter case without its pages.
        """
        mapping = self.space.find(r.old)
        assert mapping is not None
        to = r.to if r.flags & MREMAP_FIXED else self.space.top
        if to + r.length > TASK_SIZE:
            raise KernelError(errno.ENOMEM)
        if not length or r.flags & MREMAP_DONTUNMAP:
            number = self.space.next_number()
            yield from self.areas.tell_of_copy(mapping, number)
            first_page = self.space.page_of(mapping, r.old)
            moved = mapping._replace(number=number, start=to, length=r.length, first_page=first_page)
        else:
            own = yield from self.areas.isolate(mapping, r.old, r.old + length)
            self.space.replace(own)
            moved = own._replace(start=to, length=r.length)
        if moved.anonymous and not any(pte.anonymous for _, pte in self.space.entries(r.old, r.old + length)):
            moved = moved._replace(first_page=to // self.kernel.page_size)  # nothing ties it to where it was
        move = at_once(partial(self.space.move, r.old, r.old + length, to))
        yield from self.notifiers.around([(r.old, r.old + length)], move)
        self.space.insert(moved)
        if moved.huge:
            self.huge.move(r.old, r.old + length, to)
        return to
