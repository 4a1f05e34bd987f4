"""Small random worlds: kinds of memory, who pins it, and what is done meanwhile to memory, files and processes.

A seed makes a scenario of one to three processes: memory of one or two kinds, one or two pinners, and some operations,
in the process that pins, in a child that it forks, and in another one that has the same file. Each runs once, under one
policy, on one kernel, in one order.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from longpin.actors.kernel.generation import Version
from longpin.actors.policies import POLICIES
from longpin.config.loader import parse_scenario
from longpin.config.schema import Scenario
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.judging.judge import Judge
from longpin.runner.oracles import ORACLES
from longpin.runner.result import Result
from longpin.runner.run import QUIET
from longpin.runner.settings import Settings

CHOICES = [(name, preset) for name, policy in POLICIES.items() for preset in policy.presets]
RW = "PROT_READ | PROT_WRITE"
ANONYMOUS = "MAP_ANONYMOUS, -1, 0"
ACCESS = "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ"

DAX, DISK, SHM = "/pmem/a", "/disk/a", "/shm/a"


@dataclass(frozen=True)
class Memory:
    """A kind of memory: ``b`` is its address, ``f`` the descriptor of its file if it has one."""

    lines: str
    path: str = ""
    """The file behind it, which others change; empty: none that has a name."""
    tables: str = ""
    """What the world needs for it."""


def of_file(path: str, flags: str) -> str:
    return f'f = open("{path}", O_RDWR)\nb = mmap(3 * PAGE, {RW}, {flags}, f, 0)\n'


WRITTEN = 'store(b, "own")\nstore(b + PAGE, "own")\nstore(b + 2 * PAGE, "own")\n'
DISKS = (
    '[[pmem]]\nname = "disk"\ndax = false\nblocks = 8\nmount = "/disk"\n[[file]]\npath = "/disk/a"\nsize = "3 * PAGE"\n'
)
TMPFS = '[[tmpfs]]\nmount = "/shm"\n[[file]]\npath = "/shm/a"\nsize = "3 * PAGE"\n'

MEMORY: dict[str, Memory] = {
    "anonymous": Memory(f"b = mmap(3 * PAGE, {RW}, MAP_PRIVATE | {ANONYMOUS})\n"),
    "written": Memory(f"b = mmap(3 * PAGE, {RW}, MAP_PRIVATE | {ANONYMOUS})\n{WRITTEN}"),
    "shared": Memory(f"b = mmap(3 * PAGE, {RW}, MAP_SHARED | {ANONYMOUS})\n"),
    "dax": Memory(of_file(DAX, "MAP_SHARED"), DAX),
    "private dax": Memory(of_file(DAX, "MAP_PRIVATE"), DAX),
    "copied dax": Memory(of_file(DAX, "MAP_PRIVATE") + WRITTEN, DAX),
    "cache": Memory(of_file(DISK, "MAP_SHARED"), DISK, DISKS),
    "private cache": Memory(of_file(DISK, "MAP_PRIVATE"), DISK, DISKS),
    "tmpfs": Memory(of_file(SHM, "MAP_SHARED"), SHM, TMPFS),
    "memfd": Memory(f'f = memfd_create("m")\nftruncate(f, 3 * PAGE)\nb = mmap(3 * PAGE, {RW}, MAP_SHARED, f, 0)\n'),
    "huge": Memory(f"b = mmap(4 * PAGE, {RW}, MAP_PRIVATE | MAP_HUGETLB | {ANONYMOUS})\n"),
    "huge file": Memory(
        f'f = memfd_create("h", MFD_HUGETLB)\nftruncate(f, 4 * PAGE)\nb = mmap(4 * PAGE, {RW}, MAP_SHARED, f, 0)\n'
    ),
    "device-dax": Memory(
        f'f = open("/dev/dax0.0", O_RDWR)\nb = mmap(4 * PAGE, {RW}, MAP_SHARED, f, 0)\n',
        tables='[[dax]]\nname = "dax0.0"\nsize = "4 * PAGE"\nalign = "2 * PAGE"\n',
    ),
}


@dataclass(frozen=True)
class Pinner:
    """Who pins: its lines with ``{at}`` and ``{length}``, what its device does, and what lets go."""

    pin: str
    dma: Sequence[str]
    drop: Sequence[str]
    tables: str = ""


VERBS = """ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
"""
SEND = ('ibv_post_send(qp, IBV_WR_RDMA_WRITE, "nic", mr, 0)', "ibv_poll_cq(cq)")
READ = ("ibv_post_send(qp, IBV_WR_RDMA_READ, mr, mr, 0, 8)",)
FREE = ("ibv_dereg_mr(mr)", "ibv_dereg_mr(mr)", "ibv_destroy_qp(qp)", "close(ctx)")
BOTH_WAYS = "VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE"
SOURCE = '[[tmpfs]]\nmount = "/from"\n[[file]]\npath = "/from/a"\nsize = "PAGE"\n'

PINNERS: dict[str, Pinner] = {
    "mr": Pinner(f"{VERBS}mr = ibv_reg_mr(pd, {{at}}, {{length}}, {ACCESS})\n", (*SEND, *READ), FREE),
    "read-only mr": Pinner(f"{VERBS}mr = ibv_reg_mr(pd, {{at}}, {{length}}, IBV_ACCESS_REMOTE_READ)\n", READ, FREE),
    "odp": Pinner(
        f"{VERBS}mr = ibv_reg_mr(pd, {{at}}, {{length}}, IBV_ACCESS_ON_DEMAND | {ACCESS})\n", (*SEND, *READ), FREE
    ),
    "v4l2": Pinner(
        'v = open("/dev/video0", O_RDWR | O_NONBLOCK)\nvidioc_reqbufs(v, 1, V4L2_MEMORY_USERPTR)\n'
        "vidioc_qbuf(v, 0, {at}, PAGE)\n",
        ("vidioc_streamon(v)", "vidioc_dqbuf(v)"),
        ("vidioc_streamoff(v)", "vidioc_reqbufs(v, 0, V4L2_MEMORY_USERPTR)", "close(v)"),
        '[[video]]\nname = "video0"\n',
    ),
    "io_uring": Pinner(
        'r = io_uring_setup(1)\ns = open("/from/a", O_RDWR)\nio_uring_register_buffers(r, {at}, {length})\n',
        ("io_uring_read_fixed(r, s, {at}, 8, 0, 0)", "io_uring_write_fixed(r, s, {at}, 8, 0, 0)"),
        ("io_uring_unregister_buffers(r)", "close(r)"),
        SOURCE,
    ),
    "vfio": Pinner(
        f'c = open("/dev/vfio/vfio", O_RDWR)\nvfio_iommu_map_dma(c, 0, {{at}}, {{length}}, {BOTH_WAYS})\n',
        ('vfio_dma_write(c, 0, "vfio")', "vfio_dma_read(c, 0, 4)"),
        ("vfio_iommu_unmap_dma(c, 0, {length})", "close(c)"),
    ),
    "af_xdp": Pinner(
        "x = socket(AF_XDP, SOCK_RAW)\nxdp_umem_reg(x, {at}, {length}, PAGE)\n",
        ('xdp_receive(x, 0, "packet")',),
        ("close(x)",),
    ),
    "vmsplice": Pinner("p = pipe()\nvmsplice(pipe_w, {at}, 10)\n", ("read(p, 5)",), ("close(p)", "close(pipe_w)")),
    "direct": Pinner(
        'd = open("/from/a", O_RDWR)\n', ("preadv(d, {at}, 10, 0)", "pwritev(d, {at}, 10, 0)"), ("close(d)",), SOURCE
    ),
    "vm": Pinner("", ('process_vm_writev("app", {at}, "other")', 'process_vm_readv("app", {at}, 10)'), ()),
}

ON_MEMORY = (
    "munmap({at}, {length})", "munmap(b, 4 * PAGE)", "munmap(b, 4 * PAGE)", "madvise({at}, {length}, MADV_DONTNEED)",
    "madvise({at}, {length}, MADV_REMOVE)", "madvise({at}, {length}, MADV_DONTFORK)", 'store({at}, "cpu")',
    'store({at}, "cpu")', "load({at}, 4)", "mremap({at}, PAGE, 2 * PAGE, MREMAP_MAYMOVE)",
    "mremap(b, 3 * PAGE, PAGE, 0)", "mprotect({at}, {length}, PROT_READ)", "mlock({at}, {length})",
    "munlock({at}, {length})", f"mmap(PAGE, {RW}, MAP_PRIVATE | MAP_FIXED | {ANONYMOUS}, {{at}})",
)  # fmt: skip
ON_FILES = (
    'truncate("{path}", 0)', 'truncate("{path}", PAGE)', 'truncate("{path}", 2 * PAGE + 5)',
    'truncate("{path}", 4 * PAGE)', 'unlink("{path}")', 'open("{path}", O_RDWR | O_TRUNC)', 'chmod("{path}", 0o600)',
)  # fmt: skip
ON_DESCRIPTORS = (
    "ftruncate({fd}, PAGE)", "fallocate({fd}, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)",
    "fallocate({fd}, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 2 * PAGE)",
    "fallocate({fd}, FALLOC_FL_ZERO_RANGE, 0, PAGE)", "fallocate({fd}, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)",
    "fallocate({fd}, FALLOC_FL_INSERT_RANGE, PAGE, PAGE)", "fallocate({fd}, 0, 3 * PAGE, PAGE)",
    'pwrite({fd}, "written", 0)', 'pwrite({fd}, "written", PAGE)', "pread({fd}, 4, 0)", "fsync({fd})", "close({fd})",
)  # fmt: skip
SHARING = (
    "ioctl(o, FICLONE, {fd})", "ioctl({fd}, FICLONE, o)", "copy_file_range({fd}, 0, o, 0, PAGE)",
    "fideduperange({fd}, 0, PAGE, o, 0)", 'pwrite(o, "clone", 0)',
)  # fmt: skip
ON_PROCESSES = ("sleep(1)", "exit(0)", 'kill("{other}", SIGKILL)', 'kill("{other}", SIGTERM)', 'exec("after")')


CHILD, OTHER, AFTER = "child", "other", "after"


class Story:
    """Draws the scenario of a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"pinners {seed}")
        self.seed = seed
        self.memory = MEMORY[self.chance.choice(["dax", "dax", "private dax", *sorted(MEMORY)])]
        self.pinners = self.chance.sample(sorted(PINNERS), self.chance.choice([1, 1, 2]))
        self.shares = False
        """Some program shares blocks between files."""
        self.at = self.chance.choice(["b", "b", "b + PAGE"])
        self.length = self.chance.choice(["PAGE", "PAGE", "2 * PAGE", "3 * PAGE"])

    def fill(self, call: str, **names: str) -> str:
        """Return a call with its address, mostly that of the pin, and what else it is about."""
        here = self.chance.random() < 0.7
        at = self.at if here else self.chance.choice(["b", "b + PAGE", "b + 2 * PAGE"])
        length = self.length if here else self.chance.choice(["PAGE", "2 * PAGE", "4 * PAGE"])
        return call.format_map({"at": at, "length": length, "path": self.memory.path, **names})

    def of_owner(self, count: int, victim: str) -> list[str]:
        """Return calls of a process that has the memory and the pinners."""
        kinds: list[Sequence[str]] = [ON_MEMORY, ON_MEMORY]
        for name in self.pinners:
            kinds += [PINNERS[name].dma] * 3 + ([PINNERS[name].drop] if PINNERS[name].drop else [])
        if self.memory.path:
            kinds += [ON_FILES, ON_DESCRIPTORS] + ([SHARING] if self.memory.path == DAX else [])
        elif "f = " in self.memory.lines:
            kinds += [ON_DESCRIPTORS]
        return self.draw(kinds, count, fd="f", other=victim)

    def of_other(self, count: int) -> list[str]:
        """Return calls of a process that has the file only."""
        kinds = [ON_FILES, ON_DESCRIPTORS, ON_DESCRIPTORS] + ([SHARING] if self.memory.path == DAX else [])
        return self.draw(kinds, count, fd="g", other="app")

    def draw(self, kinds: Sequence[Sequence[str]], count: int, **names: str) -> list[str]:
        """Return calls of these kinds, seldom one about a process."""
        chance = self.chance
        of = [ON_PROCESSES if chance.random() < 0.08 else chance.choice(kinds) for _ in range(count)]
        return [self.fill(chance.choice(calls), **names) for calls in of]

    def programs(self) -> Iterator[tuple[str, str, list[str]]]:
        """Yield name, keys and lines of each process."""
        chance = self.chance
        has_child, has_other = chance.random() < 0.4, bool(self.memory.path) and chance.random() < 0.7
        app = [*self.memory.lines.splitlines()]
        if self.memory.path == DAX:
            app.append('o = open("/pmem/o", O_RDWR | O_CREAT)')
        for name in self.pinners:
            app += self.fill_pin(PINNERS[name].pin).splitlines()
        app.append('label("pinned")')
        victim = CHILD if has_child else OTHER if has_other else "app"
        done = self.of_owner(chance.randint(2, 6), victim)
        if chance.random() < 0.3:  # the pages go from under the pin
            changes = ON_FILES[:4] if self.memory.path and chance.random() < 0.5 else ON_MEMORY
            calls = "munmap(b, 4 * PAGE)", chance.choice(changes), chance.choice(PINNERS[self.pinners[0]].dma)
            done = [*done[:1], *(self.fill(call, fd="f", other=victim) for call in calls), *done[1:3]]
        if chance.random() < 0.5:  # what was pinned is used to the last
            done += [self.fill(chance.choice(PINNERS[name].dma), fd="f", other=victim) for name in self.pinners]
        if has_child:
            done.insert(chance.randint(0, len(done)), f'fork("{CHILD}")')
        rights = chance.choice(["", "", 'uid = 1000\nmemlock = "2 * PAGE"\ncapabilities = ["CAP_NET_RAW"]\n'])
        yield "app", rights, [*app, *done]
        if has_child:
            yield CHILD, f'start = "fork"\n{rights}', self.of_owner(chance.randint(1, 4), "app")
        if has_other:
            first = [f'g = open("{self.memory.path}", O_RDWR)', 'o = open("/pmem/o", O_RDWR | O_CREAT)']
            first = first if self.memory.path == DAX else first[:1]
            if chance.random() < 0.8:
                first.append('wait_for("pinned")')
            yield OTHER, "", [*first, *self.of_other(chance.randint(1, 3))]

    def fill_pin(self, lines: str) -> str:
        """Return the lines of a pinner that pins."""
        return lines.replace("{at}", self.at).replace("{length}", self.length)

    def text(self) -> str:
        """Return the scenario."""
        programs = [*self.programs()]
        if any(f'exec("{AFTER}")' in lines for _, _, lines in programs):
            programs.append((AFTER, 'start = "fork"\n', ["getpid()"]))
        processes = [
            f"[[process]]\nname = \"{name}\"\n{keys}program = '''\n" + "\n".join(lines) + "\n'''\n"
            for name, keys, lines in programs
        ]
        file_system = self.chance.choice(["xfs", "xfs", "ext4"])
        head = [
            f'name = "pinners-{self.seed}"',
            'holds = ["O1", "O1\'", "O2", "O6", "O7"]',
            "[machine]",
            'huge_page_size = "2 * PAGE"\nhuge_pages = 4\nvfio = true',
            f'[[pmem]]\nname = "pmem0"\nblocks = 8\nfile_system = "{file_system}"',
            '[[device]]\nname = "rxe0"',
        ]
        tables = {self.memory.tables, *(PINNERS[name].tables for name in self.pinners)}
        files = [f'[[file]]\npath = "{DAX}"\nsize = "3 * PAGE"'] if self.memory.path == DAX else []
        return "\n".join([*head, *sorted(filter(None, tables)), *files, *processes])

    def setting(self) -> tuple[str, str, dict[str, Any]]:
        """Return the policy, its preset, and the kernel: mostly one that lets everybody pin, or what Linux does."""
        kernel = {"kernel": self.chance.choice(list(Version))}
        draw = self.chance.random()
        if draw < 0.45:
            return "P1", "intended", kernel
        if draw < 0.75:
            return "P0", "intended", kernel
        return *self.chance.choice(CHOICES), {}


def scenario_of(seed: int) -> tuple[Story, Scenario, Settings]:
    """Return the story of a seed, its scenario, and how it is run."""
    story = Story(seed)
    text, (policy, preset, parameters) = story.text(), story.setting()
    story.shares = any(word in text for word in ("FICLONE", "copy_file_range", "fideduperange"))
    scenario = parse_scenario(text, f"{seed}.toml")
    oracle = "fifo" if seed % 4 == 0 else "random"
    timers: Any = "racy" if seed % 8 == 1 else "lazy"
    return story, scenario, Settings(policy, preset, parameters, oracle=oracle, seed=seed, timers=timers)


def play(scenario: Scenario, settings: Settings) -> tuple[Result, SteppedEngine]:
    """Run a scenario once, without a trace; return the result and the quiet world."""
    proposal = settings.make_proposal()
    engine = SteppedEngine(ORACLES[settings.oracle](settings.seed), racy=settings.timers == "racy", seed=settings.seed)
    judge = Judge(scenario, settings, engine, proposal)
    Blueprint(scenario, proposal).build(engine)
    assert engine.run()
    return judge.result(None, QUIET), engine


def must_hold(story: Story, settings: Settings) -> set[str]:
    """Return which rules about stamps no program of this story may break, whatever it does.

    What was posted may let a device write to blocks that were given away, and so do kernels that call the pages of a
    file idle which nobody maps [2.5, H6]; rxe of 6.18 writes to the page of zeros [1.10.3]; a write moves a page
    that is shared from under its pin [1.6].
    """
    proposal = settings.make_proposal()
    kernel = proposal.generation
    if settings.preset != "intended" or kernel.busy_scan_skips_unmapped:
        return set()
    if "odp" in story.pinners and not kernel.rxe_checks_entries:
        return set()
    return set() if story.shares else {"O1", "O1'", "O2"}
