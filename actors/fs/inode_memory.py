"""An inode as memory: mappings of it, faults in them, and pins of its pages [1.8, 1.9]."""

import errno
from functools import partial

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import MAP_SHARED_VALIDATE, MAP_SYNC, MAP_TYPE
from longpin.actors.conversation import Conversation, Covers, KernelError, Step, Widen
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.file_data import FileData
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.fs.mappings import Mappings
from longpin.actors.kernel.file_system import NO_CHANGE, ChangeKind
from longpin.actors.kernel.machine import Kernel, require
from longpin.actors.locks import Hold, Lock
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Decision
from longpin.actors.policies.views import FaultRequest, LayoutView, MapRequest, RegistrationView
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import (
    AddMapping,
    AskPin,
    AskUse,
    Deregistered,
    Fault,
    MappedAs,
    PinAllowed,
    ProtectMapping,
    RemoveMapping,
    SplitMapping,
)
from longpin.messages.fs.inode_pieces import Changing, Queued
from longpin.messages.fs.mapping import MappingView, Memory
from longpin.messages.mm.memory import PageFrame
from longpin.messages.mm.mm import InstallPtes


class InodeMemory(ActorPart):
    """The mappings, faults and pins: each asks the guard, and finds the pages in the file's data."""

    def __init__(
        self,
        kernel: Kernel,
        iolock: Lock,
        mmaplock: Lock,
        attributes: Attributes,
        leases: LeaseList,
        mappings: Mappings,
        data: FileData,
        guard: LayoutGuard,
    ) -> None:
        self.kernel = kernel
        self.mmaplock = mmaplock
        self.locks = (iolock, mmaplock)
        """Those without which nothing of the file changes, in their order."""
        self.attributes = attributes
        self.leases = leases
        self.mappings = mappings
        self.data = data
        self.guard = guard

    @handles(AddMapping)
    def add_mapping(self, request: AddMapping, _src: Address) -> Conversation[MappedAs]:
        """mmap(2), or fork copying a mapping."""
        policy = self.kernel.policy
        mapping = MappingView(request.mm, request.vma, request.prot, request.flags, request.ofd)
        if not request.parent:
            self._check_sync(request.flags)
        if request.parent:
            original = self.mappings.find(request.parent, request.vma)
            self.mappings.add(mapping)
            yield from self.guard.follow(partial(policy.on_vma_open, original, mapping), self.locks)
        else:
            wanted = MapRequest(request.caller, mapping)
            gate = partial(policy.mmap_gate, wanted)
            yield from self.guard.permit(gate, request.caller, fd=request.fd, locks=self.locks)
            self.mappings.add(mapping)
        return MappedAs(self.guard.memory)

    def _check_sync(self, flags: int) -> None:
        """Refuse a mapping whose stores are to be durable where a fault cannot see to that [code; meas].

        Raises:
            KernelError: EOPNOTSUPP. tmpfs says it only to who asks to be told [LEGACY_MAP_MASK].

        """
        told = self.guard.memory is Memory.PAGE_CACHE or flags & MAP_TYPE == MAP_SHARED_VALIDATE
        if flags & MAP_SYNC and self.guard.memory is not Memory.FS_DAX and told:
            raise KernelError(errno.EOPNOTSUPP)

    @handles(SplitMapping)
    def split_mapping(self, request: SplitMapping, _src: Address) -> Conversation[Done]:
        """munmap(2) in the middle of a mapping: the policy has allowed it already."""
        rest = self.mappings.split(request.mm, request.vma, request.new)
        original = self.mappings.find(request.mm, request.vma)
        yield from self.guard.follow(partial(self.kernel.policy.on_vma_open, original, rest), self.locks)
        return DONE

    @handles(ProtectMapping)
    def protect_mapping(self, request: ProtectMapping, _src: Address) -> Done:
        """mprotect(2)."""
        self.mappings.protect(request.mm, request.vma, request.prot)
        return DONE

    @handles(RemoveMapping)
    def remove_mapping(self, request: RemoveMapping, _src: Address) -> Conversation[Done]:
        """munmap(2), exit."""
        mapping = self.mappings.remove(request.mm, request.vma)
        yield from self.guard.follow(partial(self.kernel.policy.on_vma_close, mapping), self.locks)
        return DONE

    @handles(Fault)
    def fault(self, request: Fault, src: Address) -> Conversation[InstallPtes]:
        """A page fault: the mmap lock is shared until the answer is on its way [1.8].

        What a truncate sends after that arrives later, so it zaps what the answer enters. Pages behind the one that
        faulted are mapped with it, up to the first that would need a block (``do_fault_around``). All failures are one:
        VM_FAULT_SIGBUS.
        """
        if not self.mmaplock.is_free_to_share():
            yield Covers(Queued())
        elif self._ready(request) is None:
            yield Step(Changing())
        with (yield self.mmaplock.shared()) as mm:
            frames = self._ready(request)
            if frames is None:
                yield Widen(Changing())
                frames = yield from self._make_ready(request, src, mm)
        referenced = self.guard.memory is Memory.FS_DAX and self.kernel.generation.idle_needs_unmapped
        return InstallPtes(request.vpn, tuple(frames), writable=request.write, referenced=referenced)

    def _ready(self, request: Fault) -> list[PageFrame] | None:
        """Return the memory that pages are, None if a policy has to be asked or something has to be made for that.

        Raises:
            KernelError: EFAULT.

        """
        last = self._last_of(request)
        if self.kernel.policy.overrides(Policy.fault_gate):
            return None
        return self.data.ready(request.page, last, write=request.write)

    def _make_ready(self, request: Fault, src: Address, mm: Hold) -> Conversation[list[PageFrame]]:
        page, asked = request.page, self.kernel.policy.overrides(Policy.fault_gate)
        if asked and request.write:
            yield from self.data.look_up_shared(page, page)  # who is asked must not take old sharing for a copy
        try:
            if asked:
                yield from self.guard.consult(partial(self._ask_fault, request, src), None, None, mm)
            last = self._last_of(request)
            return (yield from self.data.map_pages(page, last, write=request.write))
        except KernelError:
            raise KernelError(errno.EFAULT) from None

    def _last_of(self, fault: Fault) -> int:
        """Return the last page that a fault maps, or fail with EFAULT beyond the end of the file."""
        last = min(fault.page + fault.pages, self.kernel.pages(self.attributes.size)) - 1
        if fault.page > last:
            raise KernelError(errno.EFAULT)
        return last

    def _kinds_of(self, fault: Fault, page: int) -> ChangeKind:
        """Return what it would do to the extent map to map a page."""
        return self.data.changes(page) if fault.write else NO_CHANGE

    def _ask_fault(self, request: Fault, src: Address, view: LayoutView) -> Decision:
        mapping = self.mappings.find(src, request.vma)
        fault = FaultRequest(mapping, request.page, request.write, self._kinds_of(request, request.page))
        return self.kernel.policy.fault_gate(fault, view)

    @handles(AskPin)
    def ask_pin(self, request: AskPin, _src: Address) -> Conversation[PinAllowed]:
        """Look for a lease that allows a pin: in one step, but the reference is taken after that [2.7].

        Nobody holds flc_lock with the list half changed, so it is not waited for.
        """
        pin = request.request
        gate = partial(self.kernel.policy.pin_gate, pin)
        allowed = yield from self.guard.permit(gate, pin.caller, fd=pin.terms.fd)
        return PinAllowed(allowed.hold, allowed.grant is not None or allowed.state is not None)

    @handles(Deregistered)
    def deregistered(self, notice: Deregistered, _src: Address) -> Conversation[Done]:
        """Do what the policy wants when a registration that was given a lease here has let go of its pages."""
        registration = RegistrationView(notice.registration, notice.context)
        yield from self.guard.follow(partial(self.kernel.policy.on_deregister, registration))
        return DONE

    @handles(AskUse)
    def ask_use(self, request: AskUse, _src: Address) -> Done:
        """Ask the policy whether a process may use a registration of the file's pages; its errno if not."""
        registration = RegistrationView(request.registration, request.context)
        require(self.kernel.policy.use_gate(request.caller, registration, self.guard.view()))
        return DONE
