"""P3 MD6: MAP_DIRECT seals the inode; while a mapping with it is there, nobody changes the block map.

Version 6 of MAP_DIRECT [docs/policies.md, P3; S1, MD6]. The seal is a flag of the inode and a count of mappings,
``S_IOMAP_SEALED`` and ``i_mapdcount``. It knows of no pin, lease or description, so it goes with the last mapping, and
what a device has pinned is unprotected from then on [H1].
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from longpin.actors.constants import MAP_PRIVATE, MAP_TYPE, PROT_WRITE
from longpin.actors.kernel.file_system import Asked, ChangeKind, LayoutOperation
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Allow, Answer, Decision, Fail, Listed, ListedBy, Proceed, Update
from longpin.actors.policies.layout_calls import layout_errnos
from longpin.actors.policies.views import (
    MAP_DIRECT,
    Change,
    FaultRequest,
    LayoutView,
    MapRequest,
    MmapCall,
    PolicyState,
)
from longpin.messages.fs.mapping import MappingView, Memory, PinRequest

FILE_SYSTEMS = ("xfs",)
"""Those whose mmap knows the flag [S1: mmap_supported_mask]."""


class UnsealedWait(StrEnum):
    """Which pins hold up a change of a file that is not sealed."""

    NOTHING = "nothing"
    """The kernels of 2017: they look at no page."""
    SHORT_PINS = "short_pins"
    """Those that end by themselves; that long ones are safe is the seal's business, and it is gone."""
    ALL_PINS = "all_pins"
    """Long ones too, perhaps for ever."""


@dataclass(frozen=True, slots=True)
class Seal(PolicyState):
    """The seal of a file."""

    mapdcount: int = 0
    """How many MAP_DIRECT mappings there are; it is sealed while there is one."""


def _seal(view: LayoutView) -> Seal:
    assert isinstance(view.state, Seal)
    return view.state


@dataclass(frozen=True, slots=True)
class SealedInode(Policy):
    """Whatever would change blocks or size of a file fails while a MAP_DIRECT mapping of it exists."""

    name: ClassVar[str] = "P3"
    alias: ClassVar[str] = "seal"
    summary: ClassVar[str] = "a MAP_DIRECT mapping seals the file: who would change its blocks gets ETXTBSY"
    source: ClassVar[str] = "Williams, MAP_DIRECT v6, 2017-08-23 [S1, MD6]"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "as_posted": {"v6_pin_requires_mapdirect": False, "unsealed_waits_for": "nothing"},
        "intended": {},
    }
    state: ClassVar[PolicyState] = Seal()
    errnos: ClassVar[dict[str, frozenset[str]]] = layout_errnos("ETXTBSY") | {"mmap": frozenset({"EOPNOTSUPP"})}
    constants: ClassVar[Mapping[str, Mapping[str, int]]] = {"mmap.flags": {"MAP_DIRECT": MAP_DIRECT}}

    v6_pin_requires_mapdirect: bool = True
    """A long-term pin needs a MAP_DIRECT mapping; False: get_user_pages of 2017 did not look."""
    unwritten_is_layout: bool = True
    """That a block is preallocated only belongs to the block map: to write there changes it [MD6: xfs_bmapi_write]."""
    unsealed_waits_for: UnsealedWait = UnsealedWait.SHORT_PINS
    """What changes of a file without a seal wait for: since Linux 4.17 for pins, and the proposal is older."""

    # The seal.

    def mmap_call_gate(self, call: MmapCall) -> Answer:
        """Refuse MAP_DIRECT that could not be a seal, and who may not make a file immutable [S1: do_mmap]."""
        if not call.flags & MAP_DIRECT:
            return Proceed()
        if not call.kind or call.flags & MAP_TYPE == MAP_PRIVATE:
            return Fail(errno.EINVAL)
        if not call.prot & PROT_WRITE or "CAP_LINUX_IMMUTABLE" not in call.caller.capabilities:
            return Fail(errno.EACCES)
        return Fail(errno.EOPNOTSUPP) if call.kind == "dax" else Proceed()

    def mmap_gate(self, request: MapRequest, view: LayoutView) -> Allow | Fail:
        """Seal the file, while no change of it and no fault is under way [S1: xfs_file_mmap]."""
        if not request.mapping.flags & MAP_DIRECT:
            return Allow()
        if view.file.file_system not in FILE_SYSTEMS:
            return Fail(errno.EOPNOTSUPP)
        return Allow(state=Seal(_seal(view).mapdcount + 1), alone=True)

    def on_vma_open(self, mapping: MappingView, copy: MappingView, view: LayoutView) -> Update:
        """Count a copy [S1: xfs_filemap_direct_open]."""
        return Update(Seal(_seal(view).mapdcount + 1)) if copy.flags & MAP_DIRECT else Update()

    def on_vma_close(self, mapping: MappingView, view: LayoutView) -> Update:
        """Count one less; the last one breaks the seal, pinned or not [S1: xfs_filemap_direct_close]."""
        if not mapping.flags & MAP_DIRECT:
            return Update()
        left = _seal(view).mapdcount - 1
        return Update(Seal(left), alone=left == 0)

    # What it keeps from happening.

    def fault_gate(self, fault: FaultRequest, view: LayoutView) -> Decision:
        """Refuse faults that would write the block map, and every one of a MAP_DIRECT mapping that is no direct one."""
        if fault.mapping.flags & MAP_DIRECT and (view.file.shared or view.file.memory is not Memory.FS_DAX):
            return Fail(errno.EFAULT)
        return Fail(errno.EFAULT) if _seal(view).mapdcount and self._of_layout(fault.kinds) else Proceed()

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        """Refuse every change, to who has sealed the file too; a write is none where blocks are written already [MD6].

        Nobody looks at what a write does not change, and everything else is refused whatever it would do: fallocate and
        clones by their name, truncate even to the size there is (inode_newsize_ok).
        """
        if _seal(view).mapdcount and (change.operation is not LayoutOperation.WRITE or self._of_layout(change.kinds)):
            return Fail(errno.ETXTBSY)
        if self.unsealed_waits_for is UnsealedWait.NOTHING:
            change = change._replace(asks=tuple(asked for asked in change.asks if asked is not Asked.PAGES))
        if view.pins and self.unsealed_waits_for is UnsealedWait.SHORT_PINS:
            view = view._replace(pins=tuple(pin for pin in view.pins if not pin.longterm))
        return Policy.change_gate(self, change, view)

    def _of_layout(self, kinds: ChangeKind) -> ChangeKind:
        return kinds if self.unwritten_is_layout else kinds & ~ChangeKind.CONVERTING

    # Pins, of which the seal knows nothing.

    def longterm_gate(self, request: PinRequest) -> Answer:
        """Refuse pins through other mappings."""
        allowed = request.mapping.flags & MAP_DIRECT or not self.v6_pin_requires_mapdirect
        return Proceed() if allowed or request.memory is not Memory.FS_DAX else Fail(errno.EOPNOTSUPP)

    def admin_list(self, view: LayoutView) -> tuple[Listed, ...]:
        """List who maps the file: that a mapping is a seal is not told."""
        mapped = dict.fromkeys(mapping.mm for mapping in view.mappings or ())
        maps = (Listed(ListedBy.MEMORY, mm, f"mapped in {mm} (/proc/PID/maps)") for mm in mapped)
        return (*Policy.admin_list(self, view), *maps)
