"""The mappings of a memory map: how they are split, joined and taken away, in whole or in part [1.8]."""

from functools import partial

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.locks import Lock
from longpin.actors.mm.address_space import VM_LOCKED, AddressSpace, Mapping
from longpin.actors.mm.anonymous import AnonymousMemory
from longpin.actors.mm.huge_mappings import HugeMappings
from longpin.actors.mm.notifiers import Notifiers, at_once
from longpin.messages.envelope import Address
from longpin.messages.fs.file import Put, Ref
from longpin.messages.fs.inode import ProtectMapping, RemoveMapping, SplitMapping
from longpin.messages.mm.mm import ExitMmap, Munmap, Unmapped
from longpin.messages.process.process import File


class Areas(ActorPart):
    """The changes of mappings, of which files are told. Who calls a method holds the mmap lock, exclusively."""

    def __init__(
        self,
        mm: Address,
        space: AddressSpace,
        mmap_lock: Lock,
        anonymous: AnonymousMemory,
        huge: HugeMappings,
        notifiers: Notifiers,
    ) -> None:
        self.mm = mm
        """The memory map itself, as inodes know it."""
        self.space = space
        self.mmap_lock = mmap_lock
        self.anonymous = anonymous
        self.huge = huge
        self.notifiers = notifiers
        self.locked_for_devices = 0
        """Pages that are pinned and counted as locked, each as often as it is pinned [VFIO]."""

    @property
    def locked_vm(self) -> int:
        """How many pages are locked, by mlock(2) and for devices."""
        locked = sum(mapping.length for mapping in self.space.mappings if mapping.has(VM_LOCKED))
        return locked // self.space.page_size + self.locked_for_devices

    def check_locked(self, more: int, memlock: int, number: int) -> None:
        """Fail with an errno where so many bytes more would be locked than RLIMIT_MEMLOCK allows [mlock_future_ok]."""
        if 0 <= memlock < self.locked_vm * self.space.page_size + more:
            raise KernelError(number)

    @handles(Munmap)
    def munmap(self, request: Munmap, _src: Address) -> Conversation[Unmapped]:
        """munmap(2). What is pinned stays pinned [1.9]."""
        releases: list[File] = []
        with (yield self.mmap_lock.exclusive()):
            yield from self.unmap_range(request.start, request.end, releases)
        return Unmapped(tuple(releases))

    @handles(ExitMmap)
    def exit_mmap(self, _request: ExitMmap, _src: Address) -> Conversation[Unmapped]:
        """Drop every mapping: the process has gone, or goes on with another program [1.1]."""
        releases: list[File] = []
        self.notifiers.gone = True
        with (yield self.mmap_lock.exclusive()):
            for mapping in list(self.space.mappings):
                yield from self._unmap(mapping, releases)
        return Unmapped(tuple(releases))

    def unmap_range(self, start: int, end: int, releases: list[File]) -> Conversation[None]:
        """Take a range of addresses away; files whose last reference that was are to be released.

        Raises:
            KernelError: EINVAL, an end is in the middle of a huge page.

        """
        self.huge.check_ends(self.space.overlapping(start, end), start, end)
        for mapping in self.space.overlapping(start, end):
            if mapping.start >= start and mapping.end <= end:
                yield from self._unmap(mapping, releases)
                continue
            number = 0
            if mapping.start < start and end < mapping.end:  # two are left, and each holds the file
                number = self.space.next_number()
                yield from self.tell_of_copy(mapping, number)
            begin, stop = max(start, mapping.start), min(end, mapping.end)
            cut = partial(self.space.cut, mapping, begin, stop, number)
            yield from self.anonymous.drop((yield from self.notifiers.around([(begin, stop)], at_once(cut))))
            if mapping.huge:
                yield from self.huge.forget(begin, stop)

    def _unmap(self, mapping: Mapping, releases: list[File]) -> Conversation[None]:
        """Remove a mapping; if its reference was the file's last, that is to be released."""
        remove = at_once(partial(self.space.remove, mapping))
        gone = yield from self.notifiers.around([(mapping.start, mapping.end)], remove)
        yield from self.anonymous.drop(gone)
        if mapping.huge:
            yield from self.huge.forget(mapping.start, mapping.end)
        if mapping.anonymous:
            return
        yield Call(mapping.inode, RemoveMapping(self.mm, mapping.number))
        if (yield Call(mapping.file.ofd, Put())).last:
            releases.append(mapping.file)

    def tell_of_copy(self, mapping: Mapping, number: int) -> Conversation[None]:
        """Have the file know of a second mapping like this one, with a number of its own."""
        if not mapping.anonymous:
            yield Call(mapping.file.ofd, Ref())
            yield Call(mapping.inode, SplitMapping(self.mm, mapping.number, number))

    def isolate(self, mapping: Mapping, start: int, end: int) -> Conversation[Mapping]:
        """Make what lies between two addresses a mapping of its own, where it is not, and return it [split_vma].

        Raises:
            KernelError: EINVAL, an end is in the middle of a huge page.

        """
        self.huge.check_ends([mapping], start, end)
        if mapping.start < start:
            _, mapping = yield from self._split(mapping, start)
        if end < mapping.end:
            mapping, _ = yield from self._split(mapping, end)
        return mapping

    def _split(self, mapping: Mapping, address: int) -> Conversation[tuple[Mapping, Mapping]]:
        number = self.space.next_number()
        yield from self.tell_of_copy(mapping, number)
        return self.space.split(mapping, address, number)

    def change(self, mapping: Mapping, start: int, end: int, *, prot: int, vm_flags: int) -> Conversation[None]:
        """Give what lies between two addresses another protection or other flags, split off as it must be."""
        if (prot, vm_flags) == (mapping.prot, mapping.vm_flags):
            return
        own = yield from self.isolate(mapping, start, end)
        self.space.replace(own, own._replace(prot=prot, vm_flags=vm_flags))
        if prot != mapping.prot and not own.anonymous:
            yield Call(own.inode, ProtectMapping(self.mm, own.number, prot))

    def join(self, start: int, end: int) -> Conversation[None]:
        """Make one of neighbours that differ in nothing, between addresses and at both of them [vma_merge]."""
        for address in [mapping.start for mapping in self.space.mappings if start <= mapping.start <= end]:
            after, before = self.space.find(address), self.space.find(address - 1)
            if after is None or before is None or not after.follows(before, self.space.page_size):
                continue
            self.space.replace(after)
            self.space.replace(before, before._replace(length=before.length + after.length))
            if not after.anonymous:
                yield Call(after.inode, RemoveMapping(self.mm, after.number))
                yield Call(after.file.ofd, Put())  # the other one holds it too
