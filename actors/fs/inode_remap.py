"""An inode that gives blocks to another one, or takes some: FICLONE, FIDEDUPERANGE, copy_file_range(2) [2.5].

Both are locked as XFS locks them (xfs_ilock2_io_mmap), the one with the lower address first. Layout leases are broken
before the first lock; if one was taken in the gap everything begins anew. A page that is pinned is waited for without
the mmap locks, and with both iolocks: XFS tries again and again there.
"""

import errno
from functools import partial
from typing import Any

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.extents import State
from longpin.actors.fs.file_data import FileData
from longpin.actors.fs.layout_change import Wanted
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.remap import Sizes, bytes_to_remap, whole_blocks
from longpin.actors.kernel.file_system import Asked, LayoutOperation
from longpin.actors.kernel.machine import MOST_BYTES, Kernel
from longpin.actors.locks import Hold, Lock
from longpin.actors.policies.decisions import BreakLeases, Decision, Fail, WaitFor
from longpin.actors.policies.views import LayoutView
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.remap import (
    AskStorage,
    BreakForRemap,
    ExtentList,
    MapExtents,
    ReadLocked,
    RemapFiles,
    RemapLast,
    RemapLocked,
    RemapMapped,
    Remapped,
    RemapPlan,
    SharedOut,
    ShareOut,
    Storage,
    TakeShared,
    ZeroTail,
)
from longpin.messages.mm.memory import AwaitIdle


class _AgainError(Exception):
    """Something has come in between."""


class _PinnedError(Exception):
    """A page is pinned."""

    def __init__(self, block: int) -> None:
        super().__init__(block)
        self.block = block


class InodeRemap(ActorPart):
    """The calls in which a file shares blocks with another, or looks up which it shares."""

    def __init__(
        self,
        inode: Address,
        pmem: Address,
        kernel: Kernel,
        iolock: Lock,
        mmaplock: Lock,
        attributes: Attributes,
        data: FileData,
        guard: LayoutGuard,
    ) -> None:
        self.inode = inode
        """The file itself, which may be the first or the second of a plan, or both."""
        self.pmem = pmem
        self.kernel = kernel
        self.iolock = iolock
        self.mmaplock = mmaplock
        self.attributes = attributes
        self.data = data
        self.guard = guard

    @handles(AskStorage)
    def storage(self, _request: AskStorage, _src: Address) -> Storage:
        """Say where it lies."""
        return Storage(self.pmem, self.guard.file_system.reflink, self.attributes.size)

    @handles(MapExtents)
    def map_extents(self, _request: MapExtents, _src: Address) -> Conversation[ExtentList]:
        """FS_IOC_FIEMAP: what is shared is looked up now [code: xfs_vn_fiemap, which shares the iolock]."""
        with (yield self.iolock.shared()):
            yield from self.data.look_up_shared(0)
            found = self.data.extents.extents
        extents = tuple((e.page, e.block, e.length, e.state is State.UNWRITTEN, e.shared) for e in found)
        return ExtentList(extents, self.data.delayed)

    # The locks of both.

    @handles(RemapFiles)
    def remap(self, request: RemapFiles, _src: Address) -> Conversation[Remapped]:
        """Begin with the first inode [code: xfs_iolock_two_inodes_and_break_layout]."""
        plan = request.plan
        while True:
            yield from self._break(plan)
            if plan.second:
                yield Call(plan.second, BreakForRemap(plan))
            with (yield self.iolock.exclusive()):
                answer = yield from self._with_iolock(plan)
            if not answer.again:
                return answer

    def _with_iolock(self, plan: RemapPlan) -> Conversation[Remapped]:
        if not self._leases_allow(plan):
            return Remapped(again=True)
        if not plan.second:
            return (yield from self._with_iolocks(plan))
        answer: Remapped = yield Call(plan.second, RemapLocked(plan))
        return answer

    @handles(BreakForRemap)
    def break_for_remap(self, request: BreakForRemap, _src: Address) -> Conversation[Done]:
        """Break the layout leases of the second."""
        yield from self._break(request.plan)
        return DONE

    @handles(RemapLocked)
    def remap_locked(self, request: RemapLocked, _src: Address) -> Conversation[Remapped]:
        """Take the iolock of the second."""
        plan = request.plan
        with (yield self.iolock.exclusive()):
            if not self._leases_allow(plan):
                return Remapped(again=True)
            answer: Remapped = yield Call(plan.first, RemapMapped(plan))
        return answer

    @handles(RemapMapped)
    def remap_mapped(self, request: RemapMapped, _src: Address) -> Conversation[Remapped]:
        """Go on at the first, with both iolocks."""
        return (yield from self._with_iolocks(request.plan))

    def _with_iolocks(self, plan: RemapPlan) -> Conversation[Remapped]:
        """Take both mmap locks [code: xfs_mmaplock_two_inodes_and_break_dax_layout]."""
        if not self.kernel.generation.reflink_with_dax:
            raise KernelError(errno.EINVAL)
        while True:
            with (yield self.mmaplock.exclusive()) as mm:
                answer = yield from self._look_at_pages(plan, mm)
                if answer is None and plan.second:
                    answer = yield Call(plan.second, RemapLast(plan, self.attributes.size))
                elif answer is None:
                    answer = yield from self._do(plan, self.attributes.size)
            if answer.busy < 0:
                return answer
            sleeps = not plan.spins
            yield Call(self.pmem, AwaitIdle(answer.busy, killable=sleeps, interruptible=sleeps, spins=plan.spins))

    @handles(RemapLast)
    def remap_last(self, request: RemapLast, _src: Address) -> Conversation[Remapped]:
        """Take the last lock, that of the second."""
        with (yield self.mmaplock.exclusive()) as mm:
            answer = yield from self._look_at_pages(request.plan, mm)
            if answer is None:
                answer = yield from self._do(request.plan, request.size)
        return answer

    # What the policy is asked.

    def _wanted(self, plan: RemapPlan) -> list[Wanted]:
        """Return what would be done to this file, which can be both."""
        wanted = []
        if plan.source == self.inode:
            end = plan.source_offset + (plan.length or max(self.attributes.size - plan.source_offset, 1))
            wanted.append(Wanted(LayoutOperation.CLONE_FROM, plan.source_offset, end, plan.caller, keep_size=True))
        if plan.target == self.inode:
            end = plan.target_offset + (plan.length or 1)
            wanted.append(Wanted(LayoutOperation.CLONE_TO, plan.target_offset, end, plan.caller, plan.dedupe))
        return wanted

    def _ask(self, wanted: Wanted, asked: Asked, view: LayoutView) -> Decision:
        """Ask about leases, or about pages, if the file system and the kernel ask there."""
        change = self.guard.change(wanted)
        asks = asked in change.asks and (asked is Asked.LEASES or self.kernel.generation.clone_waits)
        return self.kernel.policy.change_gate(change._replace(asks=(asked,) if asks else ()), view)

    def _break(self, plan: RemapPlan) -> Conversation[None]:
        for wanted in self._wanted(plan):
            yield from self.guard.consult(partial(self._ask, wanted, Asked.LEASES), wanted)

    def _leases_allow(self, plan: RemapPlan) -> bool:
        """Return whether no lease is in the way now, with the iolock held; of pages more is asked later."""
        decisions = [self._ask(wanted, Asked.LEASES, self.guard.view()) for wanted in self._wanted(plan)]
        for decision in decisions:
            if isinstance(decision, Fail):
                raise KernelError(decision.errno)
        return not any(isinstance(decision, BreakLeases) for decision in decisions)

    def _look_at_pages(self, plan: RemapPlan, mm: Hold) -> Conversation[Remapped | None]:
        """Zap the mappings and look for pins; None: nothing is in the way."""
        try:
            for wanted in self._wanted(plan):
                yield from self.guard.consult(partial(self._ask_pages, wanted), wanted, None, mm)
        except _PinnedError as error:
            return Remapped(busy=error.block)
        except _AgainError:
            return Remapped(again=True)
        return None

    def _ask_pages(self, wanted: Wanted, view: LayoutView) -> Decision:
        decision = self._ask(wanted, Asked.PAGES, view)
        if isinstance(decision, WaitFor):
            raise _PinnedError(decision.pins[0].block)
        if isinstance(decision, BreakLeases) and decision.wait:
            raise _AgainError
        return decision

    # What is done under all locks.

    def _do(self, plan: RemapPlan, size: int) -> Conversation[Remapped]:
        """Share the blocks; this is the second inode or the only one, ``size`` that of the first."""
        sizes = Sizes(size, self.attributes.size) if plan.target == self.inode else Sizes(self.attributes.size, size)
        page_size = self.kernel.page_size
        count = bytes_to_remap(plan, sizes, page_size)
        if count and plan.dedupe and not (yield from self._same(plan, count)):
            raise KernelError(errno.EBADE)
        count = whole_blocks(plan, count, sizes.target, page_size)
        if not count:
            return Remapped(0)
        first, target = plan.source_offset // page_size, plan.target_offset // page_size
        pages = self.kernel.pages(count)
        yield from self._at(plan.target, ZeroTail(target))  # before what it writes to could be shared
        shared = yield from self._at(plan.source, ShareOut(first, first + pages - 1))
        runs = tuple(run._replace(page=run.page - first + target) for run in shared.runs)
        end = plan.target_offset + count
        moved = target - first
        unwritten = tuple((begin + moved, last + moved) for begin, last in shared.unwritten)
        yield from self._at(plan.target, TakeShared(plan.source, target, target + pages - 1, runs, unwritten, end))
        return Remapped(count)

    def _at(self, inode: Address, request: ZeroTail | ShareOut | TakeShared | ReadLocked) -> Conversation[Any]:
        """Have one of the two do something: this one at once."""
        if inode != self.inode:
            return (yield Call(inode, request))
        return (yield from self.handlers[type(request)](self, request, self.inode))

    def _same(self, plan: RemapPlan, count: int) -> Conversation[bool]:
        """Compare the data [code: vfs_dedupe_file_range_compare]."""
        for done in range(0, count, MOST_BYTES):
            part = min(MOST_BYTES, count - done)
            one = yield from self._at(plan.source, ReadLocked(plan.source_offset + done, part))
            other = yield from self._at(plan.target, ReadLocked(plan.target_offset + done, part))
            if one.data != other.data:
                return False
        return True

    @handles(ReadLocked)
    def read_locked(self, request: ReadLocked, _src: Address) -> Conversation[Data]:
        """Read bytes: who asks has the locks."""
        return Data((yield from self.data.read(request.offset, request.count)))

    @handles(ZeroTail)
    def zero_tail(self, request: ZeroTail, _src: Address) -> Conversation[Done]:
        """Be a target that grows."""
        yield from self.data.zero_tail(request.first)
        return DONE

    @handles(ShareOut)
    def share_out(self, request: ShareOut, _src: Address) -> Conversation[SharedOut]:
        """Be the source."""
        return (yield from self.data.share_out(request.first, request.last))

    @handles(TakeShared)
    def take_shared(self, request: TakeShared, _src: Address) -> Conversation[Done]:
        """Be the target."""
        yield from self.data.take_shared(request)
        return DONE
