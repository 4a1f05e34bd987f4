"""fork(2): a memory map has a child's made, with its mappings and its anonymous pages [1.8]."""

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.conversation import Call, Conversation
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.mm.address_space import VM_DONTCOPY, VM_LOCKED, VM_WIPEONFORK, AddressSpace, Mapping
from longpin.actors.mm.faults import MOST_AT_ONCE
from longpin.actors.mm.huge_mappings import HugeMappings
from longpin.actors.mm.notifiers import Notifiers
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Ref
from longpin.messages.fs.inode import AddMapping
from longpin.messages.mm.memory import PageFrame
from longpin.messages.mm.mm import DupMmap
from longpin.messages.mm.ram import ShareFrames
from longpin.messages.mm.ranges import InheritPtes


class Fork(ActorPart):
    """The call that copies a memory map."""

    def __init__(
        self,
        actor: Actor,
        kernel: Kernel,
        space: AddressSpace,
        mmap_lock: Lock,
        page_table_lock: Lock,
        huge: HugeMappings,
        notifiers: Notifiers,
    ) -> None:
        self.actor = actor
        self.kernel = kernel
        self.space = space
        self.mmap_lock = mmap_lock
        self.page_table_lock = page_table_lock
        self.huge = huge
        self.notifiers = notifiers

    @handles(DupMmap)
    def dup_mmap(self, request: DupMmap, _src: Address) -> Conversation[Done]:
        """fork(2): make the child's memory map, before any mapping of it is known and may be zapped."""
        with (yield self.mmap_lock.exclusive()):
            copied = [mapping for mapping in self.space.mappings if not mapping.has(VM_DONTCOPY)]
            mappings = tuple(mapping._replace(vm_flags=mapping.vm_flags & ~VM_LOCKED) for mapping in copied)
            own = self._anonymous_entries(copied) or self._huge_pages(copied)
            self.actor.spawn(type(self.actor), request.child, self.kernel, mappings, bool(own))
            for mapping in mappings:
                if not mapping.anonymous:
                    yield Call(mapping.file.ofd, Ref())
                    yield Call(mapping.inode, self._copied(mapping, request))
            if own:
                ranges = [(mapping.start, mapping.end) for mapping in copied if mapping.private]
                yield from self.notifiers.around(ranges, self._share_pages(copied, request.child))
        return DONE

    def _copied(self, mapping: Mapping, request: DupMmap) -> AddMapping:
        m = mapping
        return AddMapping(
            request.child, m.number, m.prot, m.flags, m.file.ofd, request.caller, parent=self.actor.address
        )

    def _anonymous_entries(self, mappings: list[Mapping]) -> list[tuple[int, PageFrame]]:
        """Return the anonymous pages of mappings that a child gets, with their virtual page numbers."""
        return [
            (vpn, pte.frame)
            for mapping in mappings
            if mapping.private and not mapping.huge and not mapping.has(VM_WIPEONFORK)
            for vpn, pte in self.space.entries(mapping.start, mapping.end)
            if pte.anonymous
        ]

    def _share_pages(self, mappings: list[Mapping], child: Address) -> Conversation[None]:
        """Have the child's page table have anonymous pages too, which the next store copies [copy_page_range].

        A page that is pinned stays the parent's alone, or the device would go on with what the first to store leaves
        behind: the child gets a copy at once.
        """
        table = self.space.page_table
        with (yield self.page_table_lock.exclusive()):
            yield from self._share_huge_pages(mappings, child)
            own = self._anonymous_entries(mappings)  # a file system may have zapped some
            for start in range(0, max(len(own), 1), MOST_AT_ONCE):
                batch = own[start : start + MOST_AT_ONCE]
                pinned: set[PageFrame] = set()
                for memory in dict.fromkeys(frame.memory for _, frame in batch):
                    numbers = tuple(frame.number for _, frame in batch if frame.memory == memory)
                    even_pinned = not self.kernel.generation.copies_see_pins
                    found = yield Call(memory, ShareFrames(numbers, even_pinned))
                    pinned |= {PageFrame(memory, number) for number in found.pinned}
                for vpn, frame in batch:
                    if frame not in pinned:
                        table[vpn] = table[vpn]._replace(writable=False, exclusive=False)
                shared = tuple(entry for entry in batch if entry[1] not in pinned)
                copied = tuple(entry for entry in batch if entry[1] in pinned)
                yield Call(child, InheritPtes(shared, copied, last=start + MOST_AT_ONCE >= len(own)))

    def _huge_pages(self, mappings: list[Mapping]) -> list[tuple[int, PageFrame]]:
        """Return the anonymous huge pages of mappings, each with its first virtual page number and its first frame."""
        return [
            (vpn, pte.frame)
            for mapping in mappings
            if mapping.private and mapping.huge
            for vpn, pte in self.space.entries(mapping.start, mapping.end)
            if pte.anonymous and not vpn % self.huge.frames
        ]

    def _share_huge_pages(self, mappings: list[Mapping], child: Address) -> Conversation[None]:
        """Do the same with huge pages, each as a whole [copy_hugetlb_page_range].

        The copy of one that is pinned is made here; if none is left for it, the child has no page there.
        """
        table = self.space.page_table
        for head, frame in self._huge_pages(mappings):
            first: int | None = frame.number
            numbers = tuple(range(frame.number, frame.number + self.huge.frames))
            found = yield Call(frame.memory, ShareFrames(numbers, not self.kernel.generation.copies_see_pins))
            if found.pinned:
                first = yield from self.huge.copy(frame.number)
            else:
                for vpn in range(head, head + self.huge.frames):
                    table[vpn] = table[vpn]._replace(writable=False, exclusive=False)
            if first is not None:
                entries = enumerate(range(first, first + self.huge.frames), head)
                shared = tuple((vpn, PageFrame(frame.memory, number)) for vpn, number in entries)
                yield Call(child, InheritPtes(shared, (), last=False))
