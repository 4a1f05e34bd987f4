"""What a scenario file says, checked and ready to run: plain frozen records.

:mod:`longpin.config.loader` makes them from TOML; ``docs/scenario.md`` describes the file.
"""

from dataclasses import dataclass, field
from typing import Literal

from longpin.actors.kernel.nfs_server import NfsServer
from longpin.actors.parameters import ParameterValue
from longpin.actors.process.program import Program
from longpin.config.problems import Problem
from longpin.messages.rdma.device import RdmaDevice

RULES: tuple[str, ...] = ("O1", "O1'", "O2", "O3", "O6", "O7")
"""The rules that must hold unless a scenario says otherwise [semantics 3]."""

ON_REQUEST: tuple[str, ...] = ("O4", "O5", "O8")
"""Rules that must hold where a scenario names them: not every proposal promises what they say."""

ALL_RULES: tuple[str, ...] = tuple(sorted((*RULES, *ON_REQUEST)))
"""Both, in the order of the specification."""

EXPECTATIONS_RULE = "O7"
"""The rule that judges what lines say their calls must do."""

USES: dict[str, str] = {
    "U1": "a registration and its I/O can succeed",
    "U2": "somebody can change the layout of a file that a well-behaved holder has",
    "U3": "a holder that answers in time loses nothing it was promised",
}
"""What some schedule is to show [semantics 3.1], in words; lines of a scenario say by which outcomes."""

CAPABILITIES: tuple[str, ...] = (
    "CAP_IPC_LOCK",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_RAW",
    "CAP_SYS_PTRACE",
)
"""The capabilities some rule of the emulated kernel asks for [semantics 1.1]."""


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """The machine all processes share."""

    page_size: int = 4096
    """Bytes, a power of two from 512 to 65536. Default: x86-64."""
    lease_break_time: float = 45.0
    """Seconds of virtual time a lease holder has to answer a break; 0: for ever [2.3.3]. Default: Linux's."""
    uverbs_async_delay: bool = False
    """The last close of a device may return before its pins are gone [1.10]. Default: most releases do not race."""
    huge_page_size: int = 1 << 21
    """Bytes of a huge page. Default in a scenario file: 512 pages, on x86-64 2 MiB."""
    huge_pages: int = 0
    """How many there are [vm.nr_hugepages]. Default: Linux's."""
    hypervisor: bool = False
    """A hypervisor runs below, with a frame table of its own [1.10.2]."""
    vfio: bool = False
    """There is ``/dev/vfio/vfio``, with a device that a process can drive [1.10.5]."""
    kernel: tuple[tuple[str, ParameterValue], ...] = ()
    """The parameter ``kernel``, a version of Linux, and what differs from it; empty: that of the policy's preset."""


@dataclass(frozen=True, slots=True)
class PmemSet:
    """A set of persistent memory blocks, on which a DAX file system lives. One block holds one page."""

    name: str
    blocks: int = 64
    """Blocks, 1 to 1,000,000. Default: enough for small files, few enough to run out of on purpose."""
    file_system: str = "xfs"
    """A key of ``longpin.actors.kernel.file_system.FILE_SYSTEMS``. Default: the one the proposals are about."""
    dax: bool = True
    """Files are mapped as they lie; else in the page cache. Default: what the proposals are about."""
    mount: str = "/"
    """The folder where it is mounted. Default in a scenario file: ``/`` for the first set, ``/NAME`` for the others."""

    def has(self, path: str) -> bool:
        """Return whether a path is where it is mounted, or leads below."""
        return self.mount in ("/", path) or path.startswith(f"{self.mount}/")


@dataclass(frozen=True, slots=True)
class DeviceDax:
    """Persistent memory as a character device: a name in ``/dev``."""

    name: str
    pages: int = 512
    """Default: as much as one mapping must have."""
    align: int = 512
    """Pages: what mappings begin at and are multiples of. Default: 2 MiB of 4096 bytes, as devices are made."""

    @property
    def path(self) -> str:
        """Its name in the tree."""
        return f"/dev/{self.name}"


@dataclass(frozen=True, slots=True)
class VideoDevice:
    """A camera: a name in ``/dev``."""

    name: str
    frame_size: int = 4096
    """Bytes of a frame; a buffer must have as many. Default: a page of x86-64."""
    framework: str = "videobuf"
    """A key of ``longpin.actors.media.framework.FRAMEWORKS``. Default: the one that does what V4L2 documents."""

    @property
    def path(self) -> str:
        """Its name in the tree."""
        return f"/dev/{self.name}"


@dataclass(frozen=True, slots=True)
class InitialFile:
    """A file that exists before the first process runs; all of its pages are allocated and written."""

    path: str
    pmem: str
    """The block set its pages come from: the one mounted where its path leads; empty: it is on tmpfs."""
    size: int = 0
    """Bytes."""
    uid: int = 0
    """The owner, who may take leases without CAP_LEASE [2.1]."""
    mode: int = 0o666
    """Permission bits. Default: everybody may read and write, so that a scenario need not think of them."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process and what it does."""

    name: str
    program: Program
    on_signal: tuple[tuple[int, Program], ...] = ()
    """Signal number and handler, sorted; installed from the start."""
    uid: int = 0
    capabilities: tuple[str, ...] | None = None
    """Names from :data:`CAPABILITIES`, sorted. None: all of them for uid 0, none for others, as after a login."""
    memlock: int = 65536
    """RLIMIT_MEMLOCK in bytes; binds a process without CAP_IPC_LOCK [2.6]. Default: Linux's before 5.16."""
    sigpending: int = 10_000
    """RLIMIT_SIGPENDING, signals. Default: more than a scenario sends; Linux sets it by the size of memory."""
    start: Literal["now", "fork", "thread"] = "now"
    """``now``: it exists from the beginning; ``fork``: another process forks it by name; ``thread``: it is no process,
    but what a thread runs that another makes by name."""


@dataclass(frozen=True, slots=True)
class PolicyChoice:
    """The proposal the kernel follows, for ``longpin.actors.policies.proposal.Proposal.make``."""

    name: str = "P5"
    """The canonical name. Default: the proposal this project began with."""
    preset: str = "intended"
    """``as_posted`` (the code) or ``intended`` (the prose)."""
    parameters: tuple[tuple[str, ParameterValue], ...] = ()
    """What the scenario sets differently from the preset, sorted by name."""
    problem: Problem | None = field(default=None, compare=False)
    """Why this is not the scenario's own: that is a class in a file, which no scenario loads."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario file."""

    name: str
    source: str
    """Where the story comes from: a mail, a section, a bug."""
    summary: str
    """One sentence for ``longpin list scenarios``."""
    policy: PolicyChoice
    machine: MachineSettings
    pmem: tuple[PmemSet, ...]
    """At least one."""
    devices: tuple[RdmaDevice, ...]
    files: tuple[InitialFile, ...]
    folders: tuple[str, ...]
    """The folders there are from the start, each after the one it is in."""
    processes: tuple[ProcessSpec, ...]
    """In the order of the file; at least one starts ``now``."""
    holds: tuple[str, ...]
    """The rules that must hold, names from :data:`ALL_RULES`."""
    text: str
    """The file, exactly as read."""
    warnings: tuple[str, ...] = ()
    """What is no mistake but says less than it seems to, each a line that begins with file and line."""
    dax: tuple[DeviceDax, ...] = ()
    tmpfs: tuple[str, ...] = ()
    """Where a tmpfs is mounted."""
    video: tuple[VideoDevice, ...] = ()
    nfsd: NfsServer = field(default_factory=NfsServer)
    """The NFS server."""
    dialect: str = ""
    """The policy and preset in whose dialect its roles are written out; empty: it has no roles."""
    shows: tuple[str, ...] = ()
    """The uses that some schedule must show, names from :data:`USES`."""
    violates: tuple[str, ...] = ()
    """The rules that a run of it, first in, first out, is expected to break under its own policy."""
    violates_on: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Kernels on which it is expected to break others, and these."""
    unreached: bool = False
    """Such a run does not reach every line that expects something: only other orders do."""
    filename: str = field(default="", compare=False)
    """What messages call the file."""

    def expected_on(self, kernel: str) -> tuple[str, ...]:
        """Return the rules that a run on a kernel is expected to break."""
        return dict(self.violates_on).get(kernel, self.violates)
