"""Where an inode asks the policy, and where what the policy answers is carried out [2.5, 4].

For a layout change that is what ``xfs_break_layouts`` does: leases and pages are asked first. A policy decides
(:class:`longpin.actors.policies.base.Policy`); each decision that is not final is followed by the question again,
because everything may have changed while locks were dropped.
"""

import errno
from collections.abc import Callable
from functools import partial

from longpin.actors.conversation import Call, Conversation, KernelError, Step, Widen, outcome, single
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.device_holders import kill_all_who_have
from longpin.actors.fs.extents import END, ExtentMap
from longpin.actors.fs.layout_change import Wanted, change_of
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.fs.lease_record import LeaseRecord
from longpin.actors.fs.mappings import Mappings
from longpin.actors.kernel.file_system import Asked
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.locks import Hold, Lock, take_all
from longpin.actors.policies.decisions import (
    Allow,
    BreakLeases,
    Decision,
    DropLease,
    Fail,
    KillHolders,
    OnDeadline,
    Proceed,
    RemoveLease,
    Revoke,
    Scan,
    SendSignal,
    SendSignals,
    Update,
    WaitFor,
    ZapMappings,
)
from longpin.actors.policies.views import (
    UNKNOWN,
    Change,
    CloseRequest,
    FileFacts,
    LayoutView,
    LeaseKind,
    PolicyState,
    Range,
)
from longpin.messages.envelope import Address, Done
from longpin.messages.fs.inode import Granting
from longpin.messages.fs.inode_pieces import Changing
from longpin.messages.fs.mapping import MappingView, Memory
from longpin.messages.mm.memory import AwaitIdle, Busy, FrameRun, IsIdle, Pin, ScanBusy, portions
from longpin.messages.process.caller import Caller
from longpin.messages.process.process import Signal
from longpin.messages.rdma.revocation import RevokeRegion

Decide = Callable[[LayoutView], Decision]


class LayoutGuard:
    """Stands before the layout of one inode, and looks at its leases, its mappings and its pages.

    The inode's locks are its callers': they pass the holds that are to be dropped while a wait goes on.
    """

    __slots__ = ("attributes", "extents", "file_system", "kernel", "leases", "mappings", "memory", "pmem", "state")

    def __init__(
        self,
        kernel: Kernel,
        mount: Mount,
        attributes: Attributes,
        leases: LeaseList,
        extents: ExtentMap,
        mappings: Mappings,
    ) -> None:
        self.kernel = kernel
        self.pmem = mount.device
        self.file_system = mount.file_system
        self.attributes = attributes
        self.leases = leases
        self.extents = extents
        self.memory = mount.memory
        self.mappings = mappings
        self.state: PolicyState = kernel.policy.state
        """What the policy remembers of the inode; replaced, never changed."""

    # What the policy is shown.

    def view(self, pins: tuple[Pin, ...] | None = None) -> LayoutView:
        """Return the inode as it is now, with the pins that a scan has found."""
        return self._facts(tuple(self.mappings.views.values()), pins, self.attributes.size)

    def _facts(
        self,
        mappings: tuple[MappingView, ...] | None = None,
        pins: tuple[Pin, ...] | None = None,
        size: int = UNKNOWN,
    ) -> LayoutView:
        """Return, unless told more, what no request changes that declares to touch less than everything."""
        file = FileFacts(self.attributes.uid, size, self.memory, self.extents.any_shared, self.file_system.name)
        return LayoutView(file, self.leases.views(), mappings, pins, self.state)

    @property
    def undisturbed(self) -> bool:
        """Whether a change of the layout meets no lease, and no block of another file."""
        return not self.leases.records and not self.leases.flc_lock.holds and not self.extents.any_shared

    def change(self, wanted: Wanted) -> Change:
        """Return what a call would do to the file as it is now."""
        change = change_of(wanted, self.extents, self.attributes.size, self.kernel.page_size, self.file_system)
        if self.memory is Memory.FS_DAX:
            return change
        # Pins are of copies: nobody waits for them [code: xfs_break_dax_layouts, IS_DAX].
        return change._replace(asks=tuple(asked for asked in change.asks if asked is not Asked.PAGES))

    # Gates that may wait.

    def break_layouts(self, wanted: Wanted, io: Hold, mm: Hold | None) -> Conversation[None]:
        """Get the policy's leave for a layout change, with ``io`` and perhaps ``mm`` held before and after.

        While a wait has the locks dropped, faults may allocate and pin pages, also beyond the last one there was.

        Raises:
            KernelError: the policy's errno, or EINTR if a signal ends a wait; nothing is changed then.

        """
        policy = self.kernel.policy
        yield from self.consult(lambda view: policy.change_gate(self.change(wanted), view), wanted, io, mm)

    def ask_flush(self, close: CloseRequest) -> Conversation[None]:
        """Ask the policy about the close of a descriptor, and again as of a dying process if a signal ends the wait."""
        error = yield from outcome(self.consult(partial(self.kernel.policy.flush_gate, close)))
        if error is not None and error.errno == errno.EINTR and not close.exiting:
            yield from self.consult(partial(self.kernel.policy.flush_gate, close._replace(exiting=True)))
        if error is not None:
            raise error

    def ask_last_close(self, ofd: Address, *, exiting: bool) -> Conversation[None]:
        """Ask the policy about the release of an open file description."""
        yield from self.consult(lambda view: self._ask_last_close(ofd, view, exiting=exiting))

    def lets_close(self, ofd: Address, *, exiting: bool) -> bool:
        """Return whether the policy has nothing to say of that."""
        return isinstance(self._ask_last_close(ofd, self._facts(), exiting=exiting), Proceed)

    def _ask_last_close(self, ofd: Address, view: LayoutView, *, exiting: bool) -> Decision:
        return self.kernel.policy.last_close_gate(ofd, self._facts(pins=view.pins), exiting=exiting)

    def ask_only_pinned(self, ofd: Address) -> Conversation[None]:
        """Ask the policy about a description that nothing but pins holds any more."""
        yield from self.consult(partial(self.kernel.policy.only_pinned_gate, ofd))

    def consult(
        self, decide: Decide, wanted: Wanted | None = None, io: Hold | None = None, mm: Hold | None = None
    ) -> Conversation[None]:
        """Ask until the answer is final; ``io`` and ``mm`` are the locks that the caller holds, now and afterwards.

        What a look at the pages finds is worth something while nobody can pin: then ``mm`` is held exclusively on
        return, though it was held shared or had not been taken.

        Raises:
            KernelError: the policy's errno, or EINTR if a signal ends a wait.

        """
        pins: tuple[Pin, ...] | None = None
        sent: list[SendSignal] = []
        while True:
            decision = decide(self.view(pins))
            if _changes_leases(decision) and (yield Widen(Changing())):
                continue
            seen, pins = pins or (), None
            if isinstance(decision, SendSignals):
                yield from self._signal(decision.signals, sent)
                decision = decision.then
            if isinstance(decision, BreakLeases) and not decision.wait:
                yield from outcome(self._break(decision.leases, nonblock=True))
                decision = decision.then
            match decision:
                case Proceed():
                    return
                case Fail(errno=number):
                    raise KernelError(number)
                case BreakLeases(leases=leases, locked=locked, anyway=anyway):
                    self._check_there(leases)
                    dropped = [] if locked else [hold for hold in (io, mm) if hold and hold.held]
                    error = yield from outcome(self._break_and_wait(leases, dropped))
                    if anyway is not None:
                        if mm is not None and not mm.exclusive:
                            yield mm.upgrade()
                        pins = yield from self._scan(anyway, wanted, mm)
                    elif error is not None:
                        raise error
                case Scan() if mm is not None and not mm.exclusive:
                    yield mm.upgrade()
                case Scan():
                    pins = yield from self._scan(decision, wanted, mm)
                case WaitFor(pins=busy, killable=killable):
                    yield from self._wait_for_page(busy[0], mm, killable=killable)
                case Revoke():
                    unfinished = yield from self._revoke(decision)
                    for pin in seen if decision.unpin else ():
                        if pin.owner in unfinished:  # who registers it finds out, and lets go itself
                            yield from self._wait_for_page(pin, mm, killable=False)
                            break
                case KillHolders(pins=busy):
                    yield from kill_all_who_have({pin.context for pin in busy})
                    yield from self._wait_for_page(busy[0], mm, killable=False)
                case DropLease(leases=gone):
                    self._check_there(gone)
                    yield from self.leases.drop(gone)

    # Gates that give something, and what follows from events.

    def permit(
        self,
        decide: Callable[[LayoutView], Allow | Fail],
        caller: Caller,
        *,
        fd: int = -1,
        locks: tuple[Lock, ...] = (),
    ) -> Conversation[Allow]:
        """Ask whether something may be done, and give what comes with it: a lease, a new state.

        What a request declares to touch does not cover that, so there is a schedule point before it, and the policy is
        asked again. ``locks`` are those that are taken for an answer that wants to be alone.

        Raises:
            KernelError: the policy's errno, or that of a lease which is in the way.

        """
        allowed = _allowed(decide(self._facts()))
        if allowed.grant is None and not self._is_new(allowed.state):
            return allowed
        yield Step(Granting())
        with (yield from take_all(self._wanted_locks(allowed, locks))), (yield self.leases.flc_lock.exclusive()):
            return (yield from self._give(decide, caller, fd))

    def _give(self, decide: Callable[[LayoutView], Allow | Fail], caller: Caller, fd: int) -> Conversation[Allow]:
        allowed = _allowed(decide(self._facts()))
        if allowed.grant is not None:
            yield from self.leases.grant(allowed.grant, caller, fd)
        self.remember(allowed.state)
        return allowed

    def follow(self, decide: Callable[[LayoutView], Update], locks: tuple[Lock, ...] = ()) -> Conversation[None]:
        """Do what the policy says follows from something that has happened; nothing, or after a schedule point."""
        update = decide(self._facts())
        if not self._is_new(update.state) and not update.drop:
            return
        yield Step(Granting())
        with (yield from take_all(self._wanted_locks(decide(self._facts()), locks))):
            update = decide(self._facts())
            self.remember(update.state)
            if update.drop:
                yield from self.leases.drop(update.drop)

    def at_deadline(self, record: LeaseRecord) -> OnDeadline:
        """Return what the policy wants done at the deadline of a lease."""
        return self.kernel.policy.on_deadline(record.view(), self.view())

    def act_on_overdue(self, record: LeaseRecord) -> Conversation[None]:
        """Do it; no fault is under way if the policy wants that."""
        answer = self.at_deadline(record)
        self.remember(answer.state)
        for action in answer.actions:
            match action:
                case RemoveLease():
                    yield from self.leases.expire(record)
                case ZapMappings():
                    yield from self.mappings.zap(0)
                case Revoke():
                    yield from self._revoke(action)
                case SendSignal(process=process, signo=signo):
                    yield Call(process, Signal(signo))
        if answer.again:
            yield from self.leases.extend(record)

    def _wanted_locks(self, answer: Allow | Update, locks: tuple[Lock, ...]) -> tuple[Lock, ...]:
        if answer.alone and not locks:
            raise ValueError(f"{type(self.kernel.policy).__name__} wants to be alone where no lock can be taken")
        return locks if answer.alone else ()

    def remember(self, state: PolicyState | None) -> None:
        """Keep a new state, if there is one."""
        if state is not None:
            self.state = state

    def _is_new(self, state: PolicyState | None) -> bool:
        return state is not None and state != self.state

    # How decisions are carried out.

    def _check_there(self, leases: tuple[Address, ...] | None) -> None:
        """Fail for a decision that would change nothing, because the same question would be answered for ever."""
        there = {lease.address for lease in self.leases.views() if leases is not None or lease.layout}
        if there.isdisjoint(there if leases is None else leases):
            raise ValueError(f"{type(self.kernel.policy).__name__} decides about leases that are not there: {leases}")

    def _break(self, leases: tuple[Address, ...] | None, *, nonblock: bool) -> Conversation[None]:
        yield from self.leases.break_conflicting(LeaseKind.LAYOUT, write=True, nonblock=nonblock, only=leases)

    def _break_and_wait(self, leases: tuple[Address, ...] | None, held: list[Hold]) -> Conversation[None]:
        """Try under the locks; if that would block, wait without them, so that others get in [2.5]."""
        error = yield from outcome(self._break(leases, nonblock=True))
        if error is None:
            return
        for hold in reversed(held):
            hold.drop()
        error = yield from outcome(self._break(leases, nonblock=False))
        for hold in held:
            yield hold.retake()
        if error is not None:
            raise error

    def _signal(self, signals: tuple[SendSignal, ...], sent: list[SendSignal]) -> Conversation[None]:
        """Send signals that were not sent yet; a process that has ended hears nothing."""
        for signal in signals:
            if signal.process and signal not in sent:
                sent.append(signal)
                yield from outcome(single(Call(signal.process, Signal(signal.signo))))

    def _scan(self, scan: Scan, wanted: Wanted | None, mm: Hold | None) -> Conversation[tuple[Pin, ...]]:
        if not scan.unmapped and not self.mappings and self.kernel.generation.busy_scan_skips_unmapped:
            return ()
        return (yield from self._find_busy(scan.range or self._where_the_kernel_looks(wanted), zap=mm is not None))

    def _where_the_kernel_looks(self, wanted: Wanted | None) -> Range:
        """Return the pages that are scanned where the policy names none."""
        if wanted is None or self.kernel.generation.whole_file_scan:
            return Range(0, END)
        return self.change(wanted).range

    def _find_busy(self, pages: Range, *, zap: bool) -> Conversation[tuple[Pin, ...]]:
        """dax_layout_busy_page: zap the page tables so that new pins must fault, then look at the counts [2.5]."""
        there = self.extents.extents_in(*pages)
        if zap:
            yield from self.mappings.zap(0, asks_next=bool(there))
        pins: list[Pin] = []
        for runs in portions(FrameRun(extent.block, extent.length) for extent in there):
            busy: Busy = yield Call(self.pmem, ScanBusy(runs))
            pins += busy.pins
        return tuple(pins)

    def _wait_for_page(self, pin: Pin, mm: Hold | None, *, killable: bool) -> Conversation[None]:
        """Sleep for one page with only the mmap lock dropped: reads and writes queue behind the iolock [2.5 step 4].

        Who was woken looks whether the page is idle with the lock, which matters where a fault makes it busy [H27].
        """
        while True:
            if mm is not None:
                mm.drop()
            idle = single(Call(self.pmem, AwaitIdle(pin.block, killable=True, interruptible=not killable)))
            error = yield from outcome(idle)
            if mm is not None:
                yield mm.retake()
            if error is not None:
                raise error
            if mm is None or not self.kernel.generation.idle_needs_unmapped:
                return
            if (yield Call(self.pmem, IsIdle(pin.block))).value:
                return

    def _revoke(self, decision: Revoke) -> Conversation[list[Address]]:
        """Take registrations from their devices, one after the other; return those that were not finished yet."""
        unfinished = []
        d = decision
        for registration in d.registrations:
            order = RevokeRegion(registration.address, d.unpin, d.reuse, d.after, d.whole_context)
            revoked: Done = yield Call(registration.context, order)
            if not revoked.value:
                unfinished.append(registration.address)
        return unfinished


def _changes_leases(decision: Decision | None) -> bool:
    while isinstance(decision, SendSignals):
        decision = decision.then
    return isinstance(decision, BreakLeases | DropLease)


def _allowed(answer: Allow | Fail) -> Allow:
    if isinstance(answer, Fail):
        raise KernelError(answer.errno)
    return answer
