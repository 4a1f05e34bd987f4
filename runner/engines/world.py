"""From a scenario to a world: which actors there are at the start, and the messages that start them."""

from typing import ClassVar, Protocol

from longpin.actors.base import Engine
from longpin.actors.clock import Clock
from longpin.actors.fs.directory import Directory
from longpin.actors.fs.inode import FileStart, Inode
from longpin.actors.fs.nfs_threads import NfsThreads
from longpin.actors.hypervisor import Hypervisor
from longpin.actors.kernel.file_system import FILE_SYSTEMS
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.media.camera import Camera
from longpin.actors.mm.dax_device import DaxDevice, DaxMemory
from longpin.actors.mm.huge_pages import HugePages
from longpin.actors.mm.pmem import Pmem
from longpin.actors.mm.zero_page import ZeroPage
from longpin.actors.policies.proposal import Proposal
from longpin.actors.process.labels import Labels
from longpin.actors.process.process import Process
from longpin.actors.process.process_state import NOTHING_INHERITED
from longpin.actors.process.process_table import Entry, ProcessTable
from longpin.actors.process.program import Image
from longpin.actors.process.users import Users
from longpin.actors.rdma.device_node import RdmaNode
from longpin.actors.vfio import VfioDriver
from longpin.config.schema import CAPABILITIES, ProcessSpec, Scenario
from longpin.messages.clock import CLOCK
from longpin.messages.envelope import Address, Message
from longpin.messages.fs.directory import DIRECTORY
from longpin.messages.fs.layout import NFSD
from longpin.messages.hypervisor import HYPERVISOR
from longpin.messages.mm.hugetlb import HUGE_PAGES
from longpin.messages.mm.memory import ZERO_PAGE
from longpin.messages.mm.pmem import BlockRun
from longpin.messages.mm.user import USERS
from longpin.messages.process.labels import LABELS
from longpin.messages.process.process import PROCESS_TABLE, Start
from longpin.messages.rdma.removal import node_of
from longpin.messages.vfio import VFIO

FIRST_PID = 100


class WorldEngine(Engine, Protocol):
    """An engine, seen by who builds its world."""

    def tell(self, dst: Address, body: Message) -> None:
        """Send a message from outside."""


def mounts_of(scenario: Scenario) -> tuple[Mount, ...]:
    """Return the file systems of a scenario."""
    on_blocks = (
        Mount(f"pmem:{pmem.name}", pmem.mount, FILE_SYSTEMS[pmem.file_system], pmem.dax) for pmem in scenario.pmem
    )
    return (*on_blocks, *(Mount("", point, FILE_SYSTEMS["tmpfs"]) for point in scenario.tmpfs))


class Blueprint:
    """A scenario under a proposal, worked out once, from which worlds are built."""

    clock: ClassVar[type[Clock]] = Clock
    process: ClassVar[type[Process]] = Process
    """What those actors are: others may watch more closely."""

    def __init__(self, scenario: Scenario, proposal: Proposal) -> None:
        machine = scenario.machine
        self.kernel = Kernel(
            proposal.policy,
            proposal.generation,
            mounts_of(scenario),
            page_size=machine.page_size,
            lease_break_time=machine.lease_break_time,
            uverbs_async_delay=machine.uverbs_async_delay,
            devices=scenario.devices,
            huge_page_size=machine.huge_page_size,
            huge_pages=machine.huge_pages,
            hypervisor=machine.hypervisor,
            vfio=machine.vfio,
            nfsd=scenario.nfsd,
        )
        self.scenario = scenario
        self.images = {spec.name: image(spec) for spec in scenario.processes}
        self.started = [
            (FIRST_PID + index, self.images[spec.name])
            for index, spec in enumerate(spec for spec in scenario.processes if spec.start == "now")
        ]
        self.owned: dict[str, list[tuple[Address, BlockRun]]] = {pmem.name: [] for pmem in scenario.pmem}
        """The files that lie on each set, one behind the other: a file of the start is one extent."""
        self.runs: dict[str, tuple[BlockRun, ...]] = {}
        for file in scenario.files:
            if not file.pmem:
                self.runs[file.path] = ()
                continue
            owned = self.owned[file.pmem]
            run = BlockRun(0, sum(run.length for _, run in owned), self.kernel.pages(file.size))
            owned.append((f"inode:{file.path}", run))
            self.runs[file.path] = (run,) if run.length else ()

    def build(self, engine: WorldEngine) -> None:
        """Create the actors of a world and send the messages that start its processes."""
        scenario, kernel = self.scenario, self.kernel
        engine.spawn(self.clock, CLOCK)
        engine.spawn(Labels, LABELS)
        spawn_common(engine, kernel)
        for pmem in scenario.pmem:
            engine.spawn(Pmem, f"pmem:{pmem.name}", pmem.blocks, kernel.page_size, self.owned[pmem.name])
        for file in scenario.files:
            start = FileStart(file.uid, file.mode, file.size, self.runs[file.path])
            engine.spawn(Inode, f"inode:{file.path}", kernel, kernel.mount_of(file.path), start)
        for device in scenario.dax:
            memory = f"dax_memory:{device.name}"
            engine.spawn(DaxMemory, memory, device.align)
            engine.spawn(DaxDevice, f"dax:{device.name}", kernel, memory, device.pages, device.align)
        for camera in scenario.video:
            engine.spawn(Camera, f"camera:{camera.name}", kernel, camera.frame_size, camera.framework)
        if kernel.nfsd.threads:
            engine.spawn(NfsThreads, NFSD, kernel.nfsd.threads)
        if kernel.hypervisor:
            engine.spawn(Hypervisor, HYPERVISOR, kernel.page_size)
        if kernel.vfio:
            engine.spawn(VfioDriver, VFIO, kernel)
        names = {file.path: f"inode:{file.path}" for file in scenario.files}
        names |= {device.path: f"dax:{device.name}" for device in scenario.dax}
        names |= {camera.path: f"camera:{camera.name}" for camera in scenario.video}
        names |= {"/dev/vfio/vfio": VFIO} if kernel.vfio else {}
        engine.spawn(Directory, DIRECTORY, kernel, names, scenario.folders)
        table = {pid: Entry(image.name, f"process:{pid}", pid) for pid, image in self.started}
        engine.spawn(ProcessTable, PROCESS_TABLE, table)
        for pid, image_ in self.started:
            state = (kernel, self.images, image_, pid, image_.name, NOTHING_INHERITED)
            engine.spawn(self.process, f"process:{pid}", *state)
        for pid, _ in self.started:
            engine.tell(f"process:{pid}", Start())


def spawn_common(engine: Engine, kernel: Kernel) -> None:
    """Create the actors that a kernel has whatever runs on it."""
    engine.spawn(Users, USERS)
    if kernel.huge_pages:
        engine.spawn(HugePages, HUGE_PAGES, kernel.huge_pages, kernel.frames_of_huge_page)
    for device in kernel.devices:
        if device.removable:
            engine.spawn(RdmaNode, node_of(device), device)
    if kernel.zero_page_is_written:
        engine.spawn(ZeroPage, ZERO_PAGE.memory)


def image(spec: ProcessSpec) -> Image:
    """Return what a process is made of; uid 0 has every capability unless the scenario says otherwise."""
    capabilities = spec.capabilities
    if capabilities is None:
        capabilities = CAPABILITIES if spec.uid == 0 else ()
    rights = spec.uid, frozenset(capabilities)
    return Image(spec.name, spec.program, spec.on_signal, *rights, spec.memlock, spec.sigpending)
