"""What a uverbs context owns: protection domains, memory regions, completion queues, queue pairs [1.10]."""

from dataclasses import dataclass, field, replace

from longpin.actors.conversation import WaitQueue
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
