"""Who maps a file: ``i_mmap``, by which page table entries are found and removed [1.8]."""

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import Call, Conversation, Covers
from longpin.actors.fs.extents import END
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import ProtectMapping, RemoveMapping, SplitMapping
from longpin.messages.fs.inode_pieces import Zapping
from longpin.messages.fs.mapping import MappingView
from longpin.messages.mm.mm import Zap


class Mappings(ActorPart):
    """The mappings of one inode, in the order in which they were made, which is the order in which they are zapped.

    Of an actor that asks nobody about them it also answers what memory maps tell of them.
    """

    def __init__(self, inode: Address) -> None:
        self.inode = inode
        self.views: dict[tuple[Address, int], MappingView] = {}
        """Each mapping, by memory map and its number for it."""

    def __bool__(self) -> bool:
        return bool(self.views)

    def add(self, mapping: MappingView) -> None:
        """Add a mapping."""
        self.views[mapping.mm, mapping.number] = mapping

    def split(self, mm: Address, vma: int, new: int) -> MappingView:
        """Add what is left behind the middle that was taken out of a mapping, and return it."""
        self.views[mm, new] = rest = self.views[mm, vma]._replace(number=new)
        return rest

    def remove(self, mm: Address, vma: int) -> MappingView:
        """Remove a mapping, and return it."""
        return self.views.pop((mm, vma))

    def find(self, mm: Address, vma: int) -> MappingView:
        """Return a mapping; one that is gone already has neither flags nor a description."""
        return self.views.get((mm, vma)) or MappingView(mm, vma, 0, 0, "")

    def protect(self, mm: Address, vma: int, prot: int) -> None:
        """Note what may be done through a mapping from now on."""
        self.views[mm, vma] = self.views[mm, vma]._replace(prot=prot)

    def zap(
        self, first: int, last: int = END, *, even_cows: bool = False, asks_next: bool = False
    ) -> Conversation[None]:
        """Remove page table entries wherever the file is mapped: of pages ``first`` to ``last`` or to the end.

        With ``even_cows``, private copies of them go too. ``asks_next`` says that the caller does nothing then but to
        ask somebody else something.
        """
        *others, last_one = [*dict.fromkeys(mm for mm, _ in self.views)] or [""]
        if not last_one:
            return
        declared = yield Covers(Zapping())
        for mm in others:
            yield Call(mm, Zap(self.inode, first, last, even_cows))
        if not asks_next:
            yield Covers(declared)
        yield Call(last_one, Zap(self.inode, first, last, even_cows))
        yield Covers(declared)

    @handles(SplitMapping)
    def split_told(self, request: SplitMapping, _src: Address) -> Done:
        """A mapping became two."""
        self.split(request.mm, request.vma, request.new)
        return DONE

    @handles(ProtectMapping)
    def protect_told(self, request: ProtectMapping, _src: Address) -> Done:
        """mprotect(2)."""
        self.protect(request.mm, request.vma, request.prot)
        return DONE

    @handles(RemoveMapping)
    def remove_told(self, request: RemoveMapping, _src: Address) -> Done:
        """munmap(2), exit."""
        self.remove(request.mm, request.vma)
        return DONE
