"""What a uverbs context owns: protection domains, memory regions, completion queues, queue pairs [1.10]."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from longpin.actors.conversation import WaitQueue
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Hold, Lock
from longpin.messages.envelope import Address
from longpin.messages.rdma.verbs import ObjectKind, Register


@dataclass(slots=True)
class Pd:
    """A protection domain."""

    users: int = 0
    """Regions and queue pairs in it."""


@dataclass(slots=True)
class Region:
    """A memory region: pages that are pinned, and how the device may access them."""

    request: Register
    in_use: Lock
    """Held shared by the device while it accesses the pages, exclusively while the region is taken down."""
    device: list[Hold] = field(default_factory=list)
    """The device's holds."""
    revoked: bool = False
    """The kernel has taken it from the device; who registered it may still deregister it."""
    successor: int = 0
    """The handle of the region that was given its addresses, which were free again; 0: they are its own [4.4]."""

    @property
    def owner(self) -> Address:
        """The name by which pages know it."""
        return self.request.registration.owner

    def keep(self, holds: tuple[Address, ...]) -> None:
        """Hold nothing else from now on."""
        self.request = replace(self.request, registration=self.request.registration._replace(holds=holds))


@dataclass(slots=True)
class CompletionQueue:
    """Completions nobody has polled, and who waits for one."""

    statuses: list[int] = field(default_factory=list)
    waiters: WaitQueue = field(default_factory=WaitQueue)


@dataclass(slots=True)
class QueuePairEntry:
    """A queue pair of the context."""

    address: Address
    pd: int


Object = Pd | Region | CompletionQueue | QueuePairEntry
KIND_OF: dict[ObjectKind, type[Object]] = {
    ObjectKind.PD: Pd,
    ObjectKind.MR: Region,
    ObjectKind.CQ: CompletionQueue,
    ObjectKind.QP: QueuePairEntry,
}


def holds_to_drop(
    kernel: Kernel, objects: Mapping[int, Object], region: Region, _holds: tuple[Address, ...]
) -> tuple[Address, ...]:
    """Ask the policy what goes with a region, and strike it out: of this one all, of others what is named."""
    own = region.request.registration.holds
    region.keep(())
    others = [other for other in objects.values() if isinstance(other, Region)]
    left = tuple(ofd for other in others for ofd in other.request.registration.holds)
    dropped = kernel.policy.on_unpin(own, left)
    for ofd in dropped:
        if ofd not in own:
            holder = next(other for other in others if ofd in other.request.registration.holds)
            holder.keep(tuple(kept for kept in holder.request.registration.holds if kept != ofd))
    return dropped
