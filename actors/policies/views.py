"""What a policy is shown: facts as values, gathered anew each time it is asked.

Nothing here is an actor or can be changed, so a hook that gets these can do nothing but answer.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from longpin.actors.kernel.file_system import Asked, ChangeKind, LayoutOperation
from longpin.messages.envelope import Address
from longpin.messages.fs.lease import LeaseCommand
from longpin.messages.fs.mapping import MappingView, Memory
from longpin.messages.mm.memory import Pin
from longpin.messages.process.caller import Caller

LeaseKey = tuple[str, ...]
"""What a lease belongs to: no two leases of one slot on one inode have the same. What is in it is the policy's."""


SLOTS = {LeaseCommand.LEASE: "", LeaseCommand.DELEGATION: "", LeaseCommand.LAYOUT: "layout"}
"""Where each of the commands of fcntl(2) looks for the lease of a description."""
F_SETLAYOUT, F_GETLAYOUT = 1088, 1089
"""Commands of fcntl(2) that policies may have. They were asked for without numbers; no kernel has these [S4]."""
F_UNBREAK = 32
"""A bit beside the type in the argument of F_SETLAYOUT [M1, M2]."""
F_EXCLUSIVE = 32
"""A bit beside F_LAYOUT in the argument of F_SETLEASE, of policies that know it [V2-1]."""
MAP_DIRECT = 0x20_0000
"""A flag of mmap(2), of policies that know it [MD6, MD8]; the number is of no released kernel, nor a flag of one."""


class LeaseKind(StrEnum):
    """Which changes break a lease [2.3.1]."""

    LEASE = "lease"
    """Opens and truncate(2): what F_RDLCK and F_WRLCK ask for."""
    DELEGATION = "delegation"
    """Those, and changes of names and attributes: what F_SETDELEG asks for."""
    LAYOUT = "layout"
    """Layout changes."""


class LeaseRequest(NamedTuple):
    """A lease that is asked for, as the policy reads the argument of F_SETLEASE."""

    type: int
    """F_RDLCK, F_WRLCK or F_UNLCK."""
    kind: LeaseKind = LeaseKind.LEASE
    slot: str = ""
    """Leases in different slots never meet: a description may have one in each."""
    exclusive: bool = False
    unbreakable: bool = False


class LeaseView(NamedTuple):
    """A lease on the inode's list [1.4]."""

    address: Address
    """The lease actor."""
    key: LeaseKey
    ofd: Address
    """The open file description it ends with."""
    holder: Address
    """The process that took it: the identity."""
    tgid: int
    """The number of that process, which may be dead, or the number another's."""
    type: int
    kind: LeaseKind
    slot: str
    exclusive: bool
    unbreakable: bool
    breaking: bool
    overdue: bool
    zombie: bool
    """Nothing but pins holds its description: no descriptor, no mapping [1.5]."""
    target: int
    """The type it is on its way to: what F_GETLEASE reports [2.3.6]."""
    managed: bool = False
    """A part of the kernel has it, knfsd for a client: no process can be told, or killed. Its break ends by itself."""
    signo: int = 0
    """What F_SETSIG had set on its description when it was last taken; 0: nothing, so SIGIO."""
    terms: int = 0
    """How many times its break time has passed: more than once if a policy gave it another term."""

    @property
    def layout(self) -> bool:
        """Whether layout changes break it."""
        return self.kind is LeaseKind.LAYOUT


class Range(NamedTuple):
    """Pages of a file, or bytes of it, from the first to the last, which belongs to it."""

    first: int
    last: int


WHOLE_FILE = Range(0, (1 << 63) - 1)
"""No file has so many pages."""


class Change(NamedTuple):
    """A layout change that a call wants to make."""

    operation: LayoutOperation
    kinds: ChangeKind
    """What it would do to the file as it is now; none: the layout would stay as it is."""
    range: Range
    """Where blocks may move or be freed, or get data."""
    caller: Caller
    asks: tuple[Asked, ...]
    """Who is asked first, by the rules of the file system [2.5]."""


class FaultRequest(NamedTuple):
    """A page fault in a mapping of the file [1.8]."""

    mapping: MappingView
    page: int
    write: bool
    kinds: ChangeKind
    """What it would do to the extent map: a store to a hole is additive."""


class MmapCall(NamedTuple):
    """mmap(2), before anybody has looked at a file."""

    caller: Caller
    prot: int
    flags: int
    kind: str
    """What is to be mapped: ``file``, ``dax`` and so on, as descriptors have it; empty: nothing, with MAP_ANONYMOUS."""


class MapRequest(NamedTuple):
    """mmap(2) of the file."""

    caller: Caller
    mapping: MappingView


class LeaseCall(NamedTuple):
    """F_SETLEASE."""

    caller: Caller
    ofd: Address
    access: int
    """The access mode of the description, as in O_ACCMODE."""
    request: LeaseRequest
    signo: int = 0
    """What F_SETSIG has set on the description."""


class CloseRequest(NamedTuple):
    """The close of one descriptor, or of all a process has when it exits."""

    caller: Caller
    ofd: Address
    last: bool
    """The process has no other descriptor of that description."""
    exiting: bool
    """It exits, or a fatal signal has ended a wait of this close: it must not wait."""


class RegistrationView(NamedTuple):
    """Memory that is registered with a device, or about to be [1.10]."""

    address: Address
    context: Address
    """The uverbs context that owns it."""


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What a policy wants to remember of one inode; a subclass says what. This one remembers nothing."""


NO_STATE = PolicyState()


UNKNOWN = -1
"""A size that is not shown."""


class FileFacts(NamedTuple):
    """What policies ask about the file itself."""

    uid: int
    """Who owns it."""
    size: int
    """Bytes; :data:`UNKNOWN` where mappings are not shown: those requests commute with changes of it."""
    memory: Memory
    """What its pages are."""
    shared: bool = False
    """Some block of it belongs to another file too, as far as the inode knows: like XFS's reflink flag, it stays until
    somebody looks whether that is still so."""
    file_system: str = ""
    """The file system it lies on, by its name in ``/proc/filesystems``."""


class LayoutView(NamedTuple):
    """An inode at the moment at which a policy is asked."""

    file: FileFacts
    leases: tuple[LeaseView, ...]
    """In the order of the list."""
    mappings: tuple[MappingView, ...] | None
    """In the order in which they were made; None: not shown to gates and hooks of mappings and pins, and of a close.

    Their requests commute with mmap(2) and munmap(2) by others, so what they answer must not depend on these.
    """
    pins: tuple[Pin, ...] | None
    """Pins found in the pages that were scanned; None: nothing was since locks were last taken."""
    state: PolicyState
    """What the policy remembered."""

    @property
    def layout_leases(self) -> tuple[LeaseView, ...]:
        """The leases a layout break would break [2.3.1]."""
        return tuple(lease for lease in self.leases if lease.layout)
