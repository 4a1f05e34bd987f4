"""VFIO: what can be mapped for a device, for how long, for whom it counts, and what the device finds [1.10.5]."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from longpin.actors.mm.mm import Mm
from longpin.actors.mm.pmem import Pmem
from longpin.actors.vfio import VfioContainer
from longpin.actors.xdp import XdpSocket
from longpin.config.loader import parse_scenario
from longpin.runner.exploration import Exploration, Method, explore
from longpin.runner.result import Verdict
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

FILE = '[[file]]\npath = "/f"\nsize = "4 * PAGE"\n'
HEAD = f"{FILE}[machine]\nvfio = true\n"
BOTH = "VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE"

OPEN = """
c = open("/dev/vfio/vfio", O_RDWR)
"""
MAPPED = f"""{OPEN}
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""
ANONYMOUS = f"""{OPEN}
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
"""


@pytest.fixture
def few(play: Play) -> Play:
    """Return ``play`` with fewer orders: what is looked at here does not depend on the order."""
    return partial(play, seeds=range(2), head=HEAD)


def mms(played: Any) -> list[Mm]:
    return [actor for actor in played.engine.actors.values() if isinstance(actor, Mm)]


def pinned(played: Any) -> list[int]:
    pmem = played.engine.actors["pmem:pmem0"]
    assert isinstance(pmem, Pmem)
    return sorted(pmem.pins)


def test_the_device_finds_memory_at_its_own_addresses(few: Play) -> None:
    few(
        "P0",
        a=f"""
{ANONYMOUS}
vfio_iommu_map_dma(c, 0x10000, buf, 2 * PAGE, {BOTH})              # -> 0
vfio_iommu_map_dma(c, 0x12000, buf + 3 * PAGE, PAGE, VFIO_DMA_MAP_FLAG_READ)     # -> 0
vfio_dma_write(c, 0x10ffe, "over the end")                         # -> 12
load(buf + PAGE - 2, 12)                                           # -> b"over the end"
store(buf + 3 * PAGE, "read")
vfio_dma_read(c, 0x12000, 4)                                       # -> b"read"
vfio_dma_write(c, 0x12000, "no")                                   # -> EFAULT
vfio_dma_write(c, 0x11fff, "in part")                              # -> EFAULT
load(buf + 2 * PAGE - 1, 1)                                        # -> b"i"
vfio_dma_read(c, 0xf000, 1)                                        # -> EFAULT
vfio_iommu_unmap_dma(c, 0x10000, 2 * PAGE)                         # -> 8192
vfio_dma_read(c, 0x10000, 1)                                       # -> EFAULT
vfio_iommu_map_dma(c, 0x10000, buf, PAGE, VFIO_DMA_MAP_FLAG_WRITE) # -> 0
vfio_dma_read(c, 0x10000, 1)                                       # -> EFAULT
""",
    )


def test_what_the_kernel_refuses_and_in_which_order(few: Play) -> None:
    few(
        "P0",
        a=f"""
{ANONYMOUS}
vfio_iommu_map_dma(c, 0, buf, PAGE, 0)                             # -> EINVAL
vfio_iommu_map_dma(c, 0, buf, PAGE, 8 | 1)                         # -> EINVAL
vfio_iommu_map_dma(c, 0, buf, 0, {BOTH})                           # -> EINVAL
vfio_iommu_map_dma(c, 0, buf, PAGE - 1, {BOTH})                    # -> EINVAL
vfio_iommu_map_dma(c, 1, buf, PAGE, {BOTH})                        # -> EINVAL
vfio_iommu_map_dma(c, 0, buf + 1, PAGE, {BOTH})                    # -> EINVAL
vfio_iommu_map_dma(c, -PAGE, buf, 2 * PAGE, {BOTH})                # -> EINVAL
vfio_iommu_map_dma(c, 0xfee00000, buf, PAGE, {BOTH})               # -> EINVAL
vfio_iommu_map_dma(c, 0xfedff000, buf, 2 * PAGE, {BOTH})           # -> EINVAL
vfio_iommu_map_dma(c, 0xfedff000, buf, PAGE, {BOTH})               # -> 0
vfio_iommu_map_dma(c, -PAGE, buf, PAGE, {BOTH})                    # -> 0
vfio_iommu_map_dma(c, 0x10000, buf, 3 * PAGE, {BOTH})              # -> 0
vfio_iommu_map_dma(c, 0x12000, 0, 2 * PAGE, {BOTH})                # -> EEXIST
vfio_iommu_map_dma(c, 0x13000, 0, PAGE, {BOTH})                    # -> EFAULT
vfio_iommu_map_dma(c, 0x13000, buf + 3 * PAGE, 2 * PAGE, {BOTH})   # -> EFAULT
vfio_iommu_unmap_dma(c, 0x10000, 0)                                # -> EINVAL
vfio_iommu_unmap_dma(c, 0x10001, PAGE)                             # -> EINVAL
vfio_iommu_unmap_dma(c, 0x10000, PAGE)                             # -> EINVAL
vfio_iommu_unmap_dma(c, 0x12000, 4 * PAGE)                         # -> EINVAL
vfio_iommu_unmap_dma(c, 0x20000, PAGE)                             # -> 0
vfio_iommu_unmap_dma(c, 0x0f000, 8 * PAGE)                         # -> 12288
vfio_iommu_map_dma(0, 0x10000, buf, PAGE, {BOTH})                  # -> EBADF
fd = open("/f", O_RDWR)
vfio_iommu_map_dma(fd, 0x10000, buf, PAGE, {BOTH})                 # -> ENOTTY
vfio_dma_write(fd, 0x10000, "a")                                   # -> ENOTTY
""",
    )


def test_all_are_pinned_or_none_is(few: Play) -> None:
    """A range that ends where nothing is mapped leaves nothing pinned or counted."""
    program = f"{MAPPED}\nvfio_iommu_map_dma(c, 0, buf, 5 * PAGE, {BOTH})   # -> EFAULT\npause()"
    played = few("P1", a=program)
    assert [(pinned(one), [mm.locked_vm for mm in mms(one)]) for one in played.schedules] == [([], [0])] * 3


@pytest.mark.parametrize(
    ("ends", "left"),
    [
        ("", [0, 1]),
        ("vfio_iommu_unmap_dma(c, 0, 2 * PAGE)", []),
        ("munmap(buf, 4 * PAGE)\nclose(fd)", [0, 1]),
        ("more = dup(c)\nclose(c)", [0, 1]),
        ("more = dup(c)\nclose(c)\nclose(more)", []),
        ("close(c)", []),
        ('pid = fork("child")\nwait_for("has it")\nclose(c)', [0, 1]),
        ('send_fd("child", c)\nclose(c)', [0, 1]),
    ],
)
def test_how_long_memory_is_pinned(few: Play, ends: str, left: list[int]) -> None:
    """From the map to the unmap or the last close, whoever has the container."""
    program = f"{MAPPED}\nvfio_iommu_map_dma(c, 0, buf, 2 * PAGE, {BOTH})\n{ends}\npause()"
    start = 'start = "fork"\n' if "fork" in ends else ""
    others = {"child": 'label("has it")\npause()'} if "child" in ends else {}
    played = few("P1", a=program, details={"child": start}, **others)
    assert [pinned(one) for one in played.schedules] == [left] * len(played.schedules)


def test_nothing_is_left_when_the_process_dies(few: Play) -> None:
    played = few("P1", a=f"{MAPPED}\nvfio_iommu_map_dma(c, 0, buf, 2 * PAGE, {BOTH})")
    assert all(not pinned(one) for one in played.schedules)


@pytest.mark.parametrize(("kernel", "unmapped"), [("5.4", 0), ("6.1", 4096), ("6.18", 4096)])
def test_each_maps_memory_of_its_own(few: Play, kernel: str, unmapped: int) -> None:
    """Who gets the container maps its own memory there, and from 6.0 on unmaps whatever is there."""
    few(
        f"P0,kernel={kernel}",
        a=f"""
{ANONYMOUS}
vfio_iommu_map_dma(c, 0, buf, PAGE, {BOTH})                        # -> 0
pid = fork("child")
waitpid(pid)
vfio_dma_write(c, 0x1000, "no process")                            # -> 10
vfio_iommu_unmap_dma(c, 0x1000, PAGE)                              # -> {unmapped}
""",
        child=f"""
store(buf, "child")
vfio_iommu_map_dma(c, PAGE, buf, PAGE, {BOTH})                     # -> 0
vfio_dma_read(c, PAGE, 5)                                          # -> b"child"
vfio_dma_read(c, 0, 5)                                             # -> b"\\0\\0\\0\\0\\0"
vfio_iommu_unmap_dma(c, 0, PAGE)                                   # -> {unmapped}
""",
        details={"child": 'start = "fork"\n'},
    )


LIMITED = {"a": "uid = 1000\nmemlock = 16384\n"}


def test_pages_count_as_locked_with_those_of_mlock(few: Play) -> None:
    few(
        "P0",
        details=LIMITED,
        a=f"""
{ANONYMOUS}
mlock(buf, PAGE)                                                   # -> 0
vfio_iommu_map_dma(c, 0, buf, 4 * PAGE, {BOTH})                    # -> ENOMEM
vfio_iommu_map_dma(c, 0, buf, 2 * PAGE, {BOTH})                    # -> 0
vfio_iommu_map_dma(c, 0x10000, buf, PAGE, {BOTH})                  # -> 0
vfio_iommu_map_dma(c, 0x20000, buf, PAGE, {BOTH})                  # -> ENOMEM
mlock(buf, 2 * PAGE)                                               # -> ENOMEM
munmap(buf, 4 * PAGE)                                              # -> 0
other = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
vfio_iommu_map_dma(c, 0x20000, other, 2 * PAGE, {BOTH})            # -> ENOMEM
vfio_iommu_map_dma(c, 0x20000, other, PAGE, {BOTH})                # -> 0
vfio_iommu_unmap_dma(c, 0, 2 * PAGE)                               # -> 8192
vfio_iommu_map_dma(c, 0, other, 2 * PAGE, {BOTH})                  # -> 0
mlock(other, PAGE)                                                 # -> ENOMEM
close(c)                                                           # -> 0
mlock(other, 4 * PAGE)                                             # -> 0
""",
    )


def test_verbs_are_counted_apart(few: Play) -> None:
    few(
        "P0",
        details=LIMITED,
        a=f"""
{ANONYMOUS}
vfio_iommu_map_dma(c, 0, buf, 4 * PAGE, {BOTH})                    # -> 0
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
mr  = ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)        # -> ok
""",
    )


@pytest.mark.parametrize(
    ("memlock", "three", "two"), [(0, "ENOMEM", "ENOMEM"), (4096, "ENOMEM", "EFAULT"), (8192, "EFAULT", "EFAULT")]
)
def test_a_page_is_pinned_before_it_is_counted(few: Play, memlock: int, three: str, two: str) -> None:
    """So what cannot be pinned comes before the limit, unless that is reached before; a limit of 0 is no EPERM."""
    few(
        "P0",
        details={"a": f"uid = 1000\nmemlock = {memlock}\n"},
        a=f"""
{ANONYMOUS}
fd = open("/f", O_RDWR)
dax = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
vfio_iommu_map_dma(c, 0, dax, 4 * PAGE, {BOTH})                    # -> EOPNOTSUPP
munmap(buf + 2 * PAGE, 2 * PAGE)
vfio_iommu_map_dma(c, 0, buf, 3 * PAGE, {BOTH})                    # -> {three}
vfio_iommu_map_dma(c, 0, buf + PAGE, 2 * PAGE, {BOTH})             # -> {two}
vfio_iommu_map_dma(c, 0, 0, PAGE, {BOTH})                          # -> EFAULT
""",
    )


def test_persistent_memory_is_not_counted(few: Play) -> None:
    """Its pages are reserved, those of device-dax and, where they can be pinned, of a file on DAX [meas; code]."""
    head = f'{HEAD}[[dax]]\nname = "dax0.0"\n'
    program = f"""
{OPEN}
fd = open("/dev/dax0.0", O_RDWR)
buf = mmap(512 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
vfio_iommu_map_dma(c, 0, buf, 512 * PAGE, {BOTH})                  # -> 0
fe = open("/f", O_RDWR)
file = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fe, 0)
vfio_iommu_map_dma(c, 0x1000000, file, 4 * PAGE, {BOTH})           # -> 0
pause()
"""
    played = few("P1", head=head, details={"a": "uid = 1000\nmemlock = 0\n"}, a=program)
    assert [mm.locked_vm for mm in mms(played)] == [0]


def test_private_pages_of_a_file_on_dax_are_refused_although_they_are_copies(few: Play) -> None:
    """There is no fast walk of page table entries, by which RDMA gets them [meas]."""
    few(
        "P0",
        a=f"""
{OPEN}
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)
store(buf, "copy")
vfio_iommu_map_dma(c, 0, buf, PAGE, {BOTH})                        # -> EOPNOTSUPP
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)            # -> ok
""",
    )


@pytest.mark.parametrize(("kernel", "seen"), [("6.1", "file"), ("6.12", "copy")])
def test_what_a_device_reads_of_private_memory_that_nobody_has_written(few: Play, kernel: str, seen: str) -> None:
    """Up to 6.1 a long pin for reading is of the file's page, from 6.2 on of a copy [code: FAULT_FLAG_UNSHARE]."""
    few(
        f"P0,kernel={kernel}",
        head=f'{HEAD}[[tmpfs]]\nmount = "/tmp"\n[[file]]\npath = "/tmp/f"\nsize = "PAGE"\n',
        a=f"""
{OPEN}
fd = open("/tmp/f", O_RDWR)
write(fd, "copy")
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)
vfio_iommu_map_dma(c, 0, buf, PAGE, VFIO_DMA_MAP_FLAG_READ)        # -> 0
pwrite(fd, "file", 0)
vfio_dma_read(c, 0, 4)                                             # -> b"{seen}"
""",
    )


def test_a_balloon_leaves_the_device_with_pages_that_nobody_has(few: Play) -> None:
    """A hole in the file under a guest's memory, or MADV_DONTNEED: the guest's device goes on with the old page."""
    few(
        "P0",
        a=f"""
{OPEN}
fd = memfd_create("ram", 0)
ftruncate(fd, 2 * PAGE)
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
vfio_iommu_map_dma(c, 0, buf, 2 * PAGE, {BOTH})                    # -> 0
vfio_dma_write(c, 0, "guest")                                      # -> 5
load(buf, 5)                                                       # -> b"guest"
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) # -> 0
load(buf, 5)                                                       # -> b"\\0\\0\\0\\0\\0"
vfio_dma_write(c, 0, "lost!")                                      # -> 5
vfio_dma_read(c, 0, 5)                                             # -> b"lost!"
load(buf, 5)                                                       # -> b"\\0\\0\\0\\0\\0"
vfio_iommu_unmap_dma(c, 0, 2 * PAGE)                               # -> 8192
vfio_iommu_map_dma(c, 0, buf, 2 * PAGE, {BOTH})                    # -> 0
vfio_dma_write(c, 0, "again")                                      # -> 5
load(buf, 5)                                                       # -> b"again"
""",
    )


def test_a_truncate_waits_for_an_unmap(play: Play) -> None:
    play(
        "P1",
        head=HEAD,
        a=f"""
{MAPPED}
vfio_iommu_map_dma(c, 0, buf, PAGE, {BOTH})                        # -> 0
label("mapped")
vfio_dma_write(c, 0, "still there")                                # -> 11
vfio_iommu_unmap_dma(c, 0, PAGE)                                   # -> 4096
""",
        b='wait_for("mapped")\ntruncate("/f", 0)                   # -> 0\n',
    )


# Policies.

MAP = f"vfio_iommu_map_dma(c, 0, buf, PAGE, {BOTH})"


def test_p4_fences_what_the_device_has_at_the_deadline(play: Play) -> None:
    """The IOMMU says no, the socket drops packets; both go on with other memory, and nothing is written to a block."""
    played = play(
        "P4",
        head=HEAD,
        a=f"""
{OPEN}
s = socket(AF_XDP, SOCK_RAW)
fd = open("/f", O_RDWR)
sigaction(SIGIO, SIG_IGN)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)
own = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
{MAP}                                                              # -> 0
vfio_iommu_map_dma(c, PAGE, own, PAGE, {BOTH})                     # -> 0
xdp_umem_reg(s, buf + PAGE, PAGE, PAGE)                            # -> 0
label("mapped")
wait_for("gone")
vfio_dma_write(c, 0, "stray")                                      # -> EFAULT
vfio_dma_read(c, 0, 5)                                             # -> EFAULT
vfio_dma_write(c, PAGE, "own")                                     # -> 3
xdp_receive(s, 0, "stray")                                         # -> 0
vfio_iommu_map_dma(c, 0, own, PAGE, {BOTH})                        # -> EEXIST
vfio_iommu_unmap_dma(c, 0, PAGE)                                   # -> 4096
vfio_iommu_map_dma(c, 0, own, PAGE, {BOTH})                        # -> 0
""",
        b='wait_for("mapped")\ntruncate("/f", 0)                   # -> blocks, 0\nlabel("gone")',
    )
    assert all(not pinned(one) for one in played.schedules)


def test_p5_as_amended_takes_all_that_the_container_has(play: Play) -> None:
    """Who closes with pins left loses what was made through the container, as if it were closed [K1]."""
    play(
        "P5:k1_invalidate",
        head=HEAD,
        a=f"""
{MAPPED}
own = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                    # -> 0
{MAP}                                                              # -> 0
vfio_iommu_map_dma(c, PAGE, own, PAGE, {BOTH})                     # -> 0
munmap(buf, 4 * PAGE)                                              # -> 0
vfio_dma_write(c, 0, "pinned")                                     # -> 6
close(fd)                                                          # -> 0
vfio_dma_write(c, 0, "stray")                                      # -> EFAULT
vfio_dma_write(c, PAGE, "own")                                     # -> EFAULT
truncate("/f", 0)                                                  # -> 0
""",
    )


def test_p6_lists_it_by_the_process_and_by_no_descriptor(play: Play) -> None:
    """It tells the kernel of no open file that owns the pin (H23)."""
    played = play(
        "P6",
        head=HEAD,
        a=f"""
{MAPPED}
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                      # -> 0
{MAP}                                                              # -> 0
file_pins("a")                                                     # -> b"/f\\n"
list_holders("/f")                                                 # -> 1
truncate("/f", 0)                                                  # -> EDEADLK
label("mapped")
pause()
""",
        b="""
wait_for("mapped")
truncate("/f", 0)                                                  # -> ETXTBSY
kill_holders("/f", SIGKILL)                                        # -> 1
sleep(1)
truncate("/f", 0)                                                  # -> 0
""",
    )
    assert all(not pinned(one) for one in played.schedules)


STRAYS = """
name = "strays"
policy = "P4:intended"
holds = ["O1", "O6"]
[machine]
vfio = true
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "a"
program = '''
fd = open("/f", O_RDWR)
sigaction(SIGIO, SIG_IGN)
$open
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)
label("direct")
$calls
pause()
'''
[[process]]
name = "b"
program = '''
wait_for("direct")
truncate("/f", 0)
'''
"""
DEVICES = {
    VfioContainer: [
        OPEN,
        "vfio_iommu_map_dma(c, 0, buf, PAGE, VFIO_DMA_MAP_FLAG_WRITE)",
        'vfio_dma_write(c, 0, "stray")',
    ],
    XdpSocket: ["s = socket(AF_XDP, SOCK_RAW)", "xdp_umem_reg(s, buf, PAGE, PAGE)", 'xdp_receive(s, 0, "stray")'],
}


def strays(kind: type[VfioContainer | XdpSocket]) -> Exploration:
    """Explore a truncate that takes memory from a device while that is mapped for it, and written to."""
    opens, *calls = DEVICES[kind]
    scenario = parse_scenario(STRAYS.replace("$open", opens).replace("$calls", "\n".join(calls)), "strays.toml")
    subject = Subject(scenario, Settings.of(scenario))
    return explore(subject.build, check=subject.check, always=subject.always, method=Method.STATES, racy=True)


@pytest.mark.parametrize("kind", DEVICES)
def test_no_access_strays_in_any_schedule(kind: type[VfioContainer | XdpSocket]) -> None:
    """Whatever the order of P4's deadline, the pins, what is published, and the device."""
    result = strays(kind)
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


class Forgets(set[str]):
    """What was revoked too early is not remembered."""

    def add(self, _element: str) -> None:
        """Forget it."""


@pytest.mark.parametrize("kind", DEVICES)
def test_a_planted_mistake_is_found(kind: type[VfioContainer | XdpSocket], monkeypatch: pytest.MonkeyPatch) -> None:
    """A region that is revoked before it is published must not be published."""
    made = kind.__init__

    def planted(self: Any, *arguments: Any) -> None:
        made(self, *arguments)
        self.early = Forgets()

    monkeypatch.setattr(kind, "__init__", planted)
    result = strays(kind)
    assert result.verdict is Verdict.VIOLATED
    assert {failure.broken.rule for failure in result.failures} == {"O1"}
