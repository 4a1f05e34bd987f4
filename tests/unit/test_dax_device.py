"""Device-dax: mapped in units of its alignment, pinned by anybody, never truncated [4.0]."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from longpin.actors.mm.dax_device import DaxMemory
from longpin.actors.mm.mm import Mm
from longpin.actors.policies import POLICIES
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Allow, Answer, Fail
from longpin.actors.policies.views import LayoutView, RegistrationView
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.mm.memory import Pin
from longpin.messages.process.caller import Caller

Play = Callable[..., Any]

HEAD = """
[[file]]
path = "/f"
size = "PAGE"

[[dax]]
name = "dax0.0"
size = "1024 * PAGE"
"""

MAPPED = """
fd = open("/dev/dax0.0", O_RDWR)                                   # -> ok
buf = mmap(512 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)  # -> ok
"""


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.18", "7.2"])
def test_what_was_measured(play: Play, kernel: str) -> None:
    """The facts of Debian kernels with a device of 2 MiB pages."""
    play(
        f"P0,kernel={kernel}",
        head=HEAD,
        a=f"""
{MAPPED}
mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)                           # -> EINVAL
mmap(512 * PAGE, PROT_READ, MAP_SHARED, fd, PAGE)                  # -> EINVAL
mmap(512 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0)                    # -> EINVAL
mmap(512 * PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd, 0)            # -> ok
ftruncate(fd, 0)                                                   # -> EINVAL
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) # -> ENODEV
pread(fd, 1, 0)                                                    # -> EINVAL
pwrite(fd, "x", 0)                                                 # -> EINVAL
lseek(fd, 100)                                                     # -> 0
truncate("/dev/dax0.0", 0)                                         # -> EINVAL
fcntl(fd, F_SETLEASE, F_RDLCK)                                     # -> EINVAL
""",
    )


@dataclass(frozen=True, slots=True)
class Refusing(Policy):
    """Whatever it is asked of a pin, it refuses."""

    def longterm_gate(self, request: PinRequest) -> Answer:
        return Fail(errno.EOPNOTSUPP)

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        return Fail(errno.EPERM)

    def use_gate(self, caller: Caller, registration: RegistrationView, view: LayoutView) -> Answer:
        return Fail(errno.EACCES)


DEVICE = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
"""
REMOTE = "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE"
PRESETS = [f"{name}:{preset}" for name, its in POLICIES.items() for preset in its.presets]


def pins_of(played: Any) -> list[Pin]:
    memory = played.engine.actors["dax_memory:dax0.0"]
    assert isinstance(memory, DaxMemory)
    return [pin for number in sorted(memory.pins) for pin in memory.pins[number]]


@pytest.mark.parametrize("policy", [*PRESETS, Refusing()])
def test_it_is_pinned_under_every_policy_and_the_device_sees_what_is_stored(play: Play, policy: str | Policy) -> None:
    """For as long as anybody likes, without a lease: no gate is asked, because nothing can move its pages [S2, 4.0]."""
    played = play(
        policy,
        head=HEAD,
        seeds=range(1),
        a=f"""
{MAPPED}
{DEVICE}
mr = ibv_reg_mr(pd, buf, 2 * PAGE, {REMOTE})                       # -> ok
munmap(buf, 512 * PAGE)                                            # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, PAGE)     # -> 0
ibv_get_cq_event(cq)                                               # -> IBV_WC_SUCCESS
again = mmap(512 * PAGE, PROT_READ, MAP_SHARED, fd, 0)
load(again + PAGE, 12)                                             # -> b"from the NIC"
fcntl(fd, F_SETLEASE, F_RDLCK)                                     # -> EINVAL
unlink("/dev/dax0.0")                                              # -> 0
close(fd)                                                          # -> 0
load(again + PAGE, 4)                                              # -> b"from"
pause()
""",
    )
    for one in played.schedules:
        assert [(pin.block, pin.longterm, pin.owner) for pin in pins_of(one)] == [(n, True, "mr:100.1") for n in (0, 1)]


@pytest.mark.parametrize("policy", [*PRESETS, Refusing()])
@pytest.mark.parametrize("ends", ["ibv_dereg_mr(mr)", "close(ctx)"])
def test_its_pins_go_with_the_registration_and_with_the_descriptor(play: Play, policy: str | Policy, ends: str) -> None:
    program = f"{MAPPED}\n{DEVICE}\nmr = ibv_reg_mr(pd, buf, PAGE, {REMOTE})  # -> ok\n{ends}  # -> 0\npause()"
    played = play(policy, head=HEAD, seeds=(), a=program)
    assert pins_of(played) == []
    mm = played.engine.actors["mm:100.1"]
    assert isinstance(mm, Mm)
    assert mm.pinned_vm == 0


@pytest.mark.parametrize("policy", PRESETS)
def test_a_camera_may_have_it_too(play: Play, policy: str) -> None:
    play(
        policy,
        head=f'{HEAD}[[video]]\nname = "video0"\n',
        seeds=(),
        a=f"""
{MAPPED}
cam = open("/dev/video0", O_RDWR)
vidioc_reqbufs(cam, 1, V4L2_MEMORY_USERPTR)                        # -> 1
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
vidioc_streamon(cam)                                               # -> 0
vidioc_dqbuf(cam)                                                  # -> 0
load(buf, 7)                                                       # -> b"frame 1"
""",
    )


def test_beyond_its_end_there_is_nothing(play: Play) -> None:
    play(
        "P0",
        head=HEAD.replace("1024", "512"),
        a="""
fd = open("/dev/dax0.0", O_RDWR)
buf = mmap(1024 * PAGE, PROT_READ, MAP_SHARED, fd, 0)              # -> ok
load(buf + 511 * PAGE, 1)                                          # -> b"\\0"
load(buf + 512 * PAGE, 1)                                          # -> hangs (SIGBUS)
""",
    )


def test_who_may_open_it(play: Play) -> None:
    play(
        "P0",
        head=HEAD,
        details={"b": "uid = 1000"},
        a='chmod("/dev/dax0.0", 0o600)                             # -> 0\nlabel("closed")',
        b="""
wait_for("closed")
open("/dev/dax0.0", O_RDONLY)                                      # -> EACCES
open("/dev/dax0.0", O_PATH)                                        # -> ok
stat("/dev/dax0.0")                                                # -> 0
""",
    )


def test_the_administrator_lists_files_and_no_devices(play: Play) -> None:
    play("P6", head=HEAD, a='proc_locks()  # -> b""\nfile_pins("a")  # -> b""\nlist_holders("/f")  # -> 0')
