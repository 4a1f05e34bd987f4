"""An inode as an administrator sees it: its lines of /proc/locks, and what a policy lists of who holds its layout."""

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import F_RDLCK, F_WRLCK
from longpin.actors.conversation import Call, Conversation
from longpin.actors.fs.layout_change import Wanted
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.kernel.file_system import LayoutOperation
from longpin.actors.kernel.machine import Kernel
from longpin.actors.policies.obstacles import Obstacles, obstacles
from longpin.actors.policies.views import LeaseKind, LeaseView
from longpin.messages.envelope import Address
from longpin.messages.fs.listing import HoldersListed, ListHolders, LocksShown, ShowLocks
from longpin.messages.fs.mapping import Memory
from longpin.messages.mm.memory import Busy, FrameRun, Pin, ScanBusy, portions
from longpin.messages.process.caller import Caller

_MODES = {F_RDLCK: "READ", F_WRLCK: "WRITE"}


class InodeListing(ActorPart):
    """What is read of an inode in /proc: nothing is locked, broken or zapped for it."""

    def __init__(self, kernel: Kernel, leases: LeaseList, guard: LayoutGuard) -> None:
        self.kernel = kernel
        self.leases = leases
        self.guard = guard

    @handles(ShowLocks)
    def show_locks(self, _request: ShowLocks, _src: Address) -> LocksShown:
        """Show the leases, each with the number of who took it, dead or alive [2.3.7; code: lock_get_status]."""
        return LocksShown(tuple(map(_line_of, self.leases.views())))

    @handles(ListHolders)
    def list_holders(self, request: ListHolders, _src: Address) -> Conversation[HoldersListed]:
        """Look for pins of the pages there are, and have the policy say what of all that an administrator can see."""
        pins = yield from self._pins()
        entries = self.kernel.policy.admin_list(self.guard.view(pins))
        found = self.in_the_way(request.caller, pins)
        return HoldersListed(entries, found.leases, tuple(pin for pin in found.pins if pin.longterm))

    def in_the_way(self, caller: Caller, pins: tuple[Pin, ...]) -> Obstacles:
        """Return on what a truncate to nothing would now fail or wait."""
        change = self.guard.change(Wanted(LayoutOperation.TRUNCATE, 0, 0, caller))
        return obstacles(self.kernel.policy, change, self.guard.view(), pins)

    def _pins(self) -> Conversation[tuple[Pin, ...]]:
        if self.guard.memory is not Memory.FS_DAX:
            return ()
        pins: list[Pin] = []
        for runs in portions(FrameRun(extent.block, extent.length) for extent in self.guard.extents.extents):
            busy: Busy = yield Call(self.guard.pmem, ScanBusy(runs))
            pins += busy.pins
        return tuple(pins)


def _line_of(lease: LeaseView) -> str:
    """Return a line of /proc/locks as fs/locks.c writes it, up to the number of the process."""
    kind = "DELEG " if lease.kind is LeaseKind.DELEGATION else "LEASE "
    state = "BREAKING " if lease.breaking else "ACTIVE   "
    return f"{kind} {state} {_MODES.get(lease.target, 'UNLCK')} {lease.tgid}"
