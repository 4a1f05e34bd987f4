"""What a layout change must ask first: leases and pages. What ``xfs_break_layouts`` does [2.5].

A policy decides (:meth:`longpin.actors.policies.base.Policy.change_gate`); here its decisions are carried out, each
followed by the question again, because everything may have changed while the locks were dropped.
"""

from collections.abc import Callable
from functools import partial

from longpin.actors.conversation import Call, Conversation, KernelError, outcome, single
from longpin.actors.fs.extents import END, ExtentMap
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.fs.mappings import Mappings
from longpin.actors.kernel.file_system import LayoutOperation
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Hold
from longpin.actors.policies.base import (
    BreakLeases,
    Change,
    Decision,
    Fail,
    Layout,
    LeaseView,
    Proceed,
    ScanPages,
    WaitForPages,
)
from longpin.messages.envelope import Address
from longpin.messages.mm.pmem import AwaitIdle, Busy, Pin, ScanBusy


class LayoutGuard:
    """Stands before the layout of one inode, and looks at its leases, its mappings and its pages.

    The inode's locks are its callers': they pass the holds that are to be dropped while a wait goes on.
    """

    __slots__ = ("extents", "file_system", "kernel", "leases", "mappings", "pmem")

    def __init__(
        self, kernel: Kernel, pmem: Address, leases: LeaseList, extents: ExtentMap, mappings: Mappings
    ) -> None:
        self.kernel = kernel
        self.pmem = pmem
        self.file_system = kernel.file_system(pmem)
        self.leases = leases
        self.extents = extents
        self.mappings = mappings

    def change(self, operation: LayoutOperation, first: int, last: int, tgid: int) -> Change:
        """Return a change of pages ``first`` to ``last`` that a process wants to make."""
        return Change(operation, self.file_system.asks[operation], first, last, tgid)

    def break_layouts(self, change: Change, io: Hold, mm: Hold | None) -> Conversation[None]:
        """Get the policy's leave for a layout change, with ``io`` and perhaps ``mm`` held before and after.

        While a wait has the locks dropped, faults may allocate and pin pages, also beyond the last one there was.

        Raises:
            KernelError: the policy's errno, or EINTR if a signal ends a wait; nothing is changed then.

        """
        yield from self._consult(lambda layout: self.kernel.policy.change_gate(change, layout), change, io, mm)

    def ask_unlock(self, lease: LeaseView) -> Conversation[None]:
        """Ask the policy about F_UNLCK."""
        yield from self._consult(lambda layout: self.kernel.policy.unlck_gate(lease, layout), None, None, None)

    def ask_last_close(self, *, exiting: bool) -> Conversation[None]:
        """Ask the policy about the release of an open file description."""
        policy = self.kernel.policy
        gate = partial(policy.last_close_gate, exiting=exiting)
        yield from self._consult(gate, None, None, None, interruptible=False)

    def _consult(
        self,
        decide: Callable[[Layout], Decision],
        change: Change | None,
        io: Hold | None,
        mm: Hold | None,
        *,
        interruptible: bool = True,
    ) -> Conversation[None]:
        pins: tuple[Pin, ...] | None = None
        while True:
            decision = decide(Layout(self.leases.views(), bool(self.mappings), pins))
            pins = None
            match decision:
                case Proceed():
                    return
                case Fail(errno=number):
                    raise KernelError(number)
                case BreakLeases():
                    yield from self._break_leases([hold for hold in (io, mm) if hold])
                case ScanPages(only_range=only_range):
                    whole_file = self.kernel.generation.whole_file_scan and not only_range
                    pins = yield from self._find_busy(None if whole_file else change, zap=mm is not None)
                case WaitForPages(pins=busy):
                    yield from self._wait_for_page(busy[0], mm, interruptible=interruptible)

    def _break_leases(self, held: list[Hold]) -> Conversation[None]:
        """Try under the locks; if that would block, wait without them, so that others get in [2.5]."""
        error = yield from outcome(self.leases.break_conflicting(write=True, layout=True, nonblock=True))
        if error is None:
            return
        for hold in reversed(held):
            hold.drop()
        error = yield from outcome(self.leases.break_conflicting(write=True, layout=True, nonblock=False))
        for hold in held:
            yield hold.retake()
        if error is not None:
            raise error

    def _find_busy(self, change: Change | None, *, zap: bool) -> Conversation[tuple[Pin, ...]]:
        """dax_layout_busy_page: zap the page tables so that new pins must fault, then look at the counts [2.5]."""
        if self.kernel.generation.busy_scan_skips_unmapped and not self.mappings:
            return ()
        if zap:
            yield from self.mappings.zap(0)
        first, last = (0, END) if change is None else (change.first, change.last)
        busy: Busy = yield Call(self.pmem, ScanBusy(self.extents.blocks_in(first, last)))
        return busy.pins

    def _wait_for_page(self, pin: Pin, mm: Hold | None, *, interruptible: bool) -> Conversation[None]:
        """Sleep for one page with only the mmap lock dropped: reads and writes queue behind the iolock [2.5 step 4]."""
        if mm is not None:
            mm.drop()
        idle = single(Call(self.pmem, AwaitIdle(pin.block, killable=True, interruptible=interruptible)))
        error = yield from outcome(idle)
        if mm is not None:
            yield mm.retake()
        if error is not None:
            raise error
