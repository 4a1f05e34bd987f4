"""P2 EBUSY: a change of pages that are pinned for long fails [docs/policies.md, P2; S3].

Ledford asked in the thread that Chinner answers: truncate could return EBUSY, for a file with pinned pages that
cannot be freed; why revoke anything? Nobody posted code, and copies on write were not thought of, so each thing that
the question leaves open is a parameter.
"""

import errno
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from longpin.actors.kernel.file_system import Asked, ChangeKind, LayoutOperation
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import BreakLeases, Decision, Fail, Proceed, Scan, WaitFor
from longpin.actors.policies.layout_calls import layout_errnos
from longpin.actors.policies.views import WHOLE_FILE, Change, FaultRequest, LayoutView, Range
from longpin.messages.fs.mapping import Memory
from longpin.messages.mm.memory import Pin

CLONES = (LayoutOperation.CLONE_FROM, LayoutOperation.CLONE_TO)


class CopyAction(StrEnum):
    """What becomes of a write, or a store, that has to copy a shared block which is pinned."""

    EBUSY = "ebusy"
    """It fails: write(2) with EBUSY, a store with SIGBUS, as there is no errno for one."""
    MOVE = "move"
    """The page gets another block, and the device goes on with the old one: the rules of truncate alone [H8]."""


@dataclass(frozen=True, slots=True)
class FailIfPinned(Policy):
    """Who maps may pin, and so can veto every change of the pages for as long as it likes."""

    name: ClassVar[str] = "P2"
    alias: ClassVar[str] = "ebusy"
    summary: ClassVar[str] = "anybody with a mapping may pin; truncate of pages pinned for long fails with EBUSY"
    source: ClassVar[str] = "Ledford, 2019-02-06, quoted by Chinner [S3]"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "as_posted": {"range_exact": False, "pin_kind_known": False, "cow_action": "move"},
        "intended": {},
    }
    errnos: ClassVar[dict[str, frozenset[str]]] = layout_errnos("EBUSY")

    range_exact: bool = True
    """Only pins of pages that would change count; False: a file with pinned pages, as the question has it."""
    pin_kind_known: bool = True
    """Long-term pins can be told from short ones; False is a test by references, which cannot [K1b, H15]."""
    cow_action: CopyAction = CopyAction.EBUSY
    """What becomes of copies on write."""

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        """Fail if a page is pinned for long; wait for short pins, and only where the file system does."""
        for asked in self._asked(change, view):
            if asked is Asked.LEASES:
                if view.layout_leases:
                    return BreakLeases()
            elif view.pins is None:
                return Scan(change.range if self.range_exact else WHOLE_FILE)
            elif any(self._lasting(pin) for pin in view.pins):
                return Fail(errno.EBUSY)
            elif view.pins and asked in change.asks:
                return WaitFor(view.pins)
        return Proceed()

    def fault_gate(self, fault: FaultRequest, view: LayoutView) -> Decision:
        """Fail the store that would copy a page which is pinned for long."""
        if self.cow_action is CopyAction.MOVE or not _copies(fault.kinds, view):
            return Proceed()
        if view.pins is None:
            return Scan(Range(fault.page, fault.page))
        return Fail(errno.EFAULT) if any(self._lasting(pin) for pin in view.pins) else Proceed()

    def _asked(self, change: Change, view: LayoutView) -> tuple[Asked, ...]:
        """Return who is asked: pages also of a write that copies, and of a clone where the kernel does not look.

        A clone is asked about twice, for leases and then for pages.
        """
        if change.operation is LayoutOperation.WRITE:
            looks = self.cow_action is CopyAction.EBUSY and _copies(change.kinds, view)
        else:
            looks = change.operation in CLONES and not change.asks and view.file.memory is Memory.FS_DAX
        return (Asked.PAGES, *change.asks) if looks else change.asks

    def _lasting(self, pin: Pin) -> bool:
        return pin.longterm or not self.pin_kind_known


def _copies(kinds: ChangeKind, view: LayoutView) -> bool:
    """Return whether a write takes a block away, that is, copies one which belongs to another file too."""
    return bool(kinds & ChangeKind.SUBTRACTIVE) and view.file.memory is Memory.FS_DAX
