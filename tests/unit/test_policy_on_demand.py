"""P10 and on-demand paging: regions without pins, faults of a device, notifiers, and their race [1.10.3, 4.11]."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from unit.programs import LOOPBACK, OPEN, REGISTER_REMOTE

from longpin.actors.conversation import Conversation, KernelError
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.notifiers import Notifiers
from longpin.actors.mm.pmem import Pmem
from longpin.actors.rdma.on_demand import OnDemand
from longpin.actors.rdma.uverbs import UverbsContext
from longpin.config.loader import load_scenario, parse_scenario
from longpin.config.schema import Scenario
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.notifier import InvalidateEnd, InvalidateStart
from longpin.runner.exploration import Exploration, Method, explore
from longpin.runner.result import Verdict
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

P10 = "P10:intended"
HEAD = '[[device]]\nname = "rxe0"\non_demand = true\n'
CAN_ALL = "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_ON_DEMAND"
ODP = f'ctx = ibv_open_device("rxe0")\npd = ibv_alloc_pd(ctx)\n{LOOPBACK}'
REGISTER = f"mr = ibv_reg_mr(pd, buf, 4 * PAGE, {CAN_ALL})  # -> ok\n"
START = ODP + OPEN + REGISTER


def transfer(text: str, status: str = "IBV_WC_SUCCESS") -> str:
    """Return the lines that make a transfer and see how it ended."""
    return f"{text}  # -> 0\nibv_get_cq_event(cq)\nibv_poll_cq(cq)  # -> 1\nibv_wc_status()  # -> {status}\n"


def write(data: str, offset: str = "0", status: str = "IBV_WC_SUCCESS") -> str:
    return transfer(f'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "{data}", mr, {offset})', status)


CUT = 'truncate("/f", PAGE)  # -> 0\n'
FAILS = write("late", status="IBV_WC_REM_ACCESS_ERR")
DEAD = FAILS + write("more", status="IBV_WC_WR_FLUSH_ERR")
"""The queue pair is in ERR after the error."""
LINUX = ["5.4", "6.1", "6.12", "6.18", "7.2"]


def of_kind(played: Any, kind: type) -> list[Any]:
    return [actor for actor in played.engine.actors.values() if isinstance(actor, kind)]


# Registration.


def test_nothing_is_charged_pinned_or_leased(play: Play) -> None:
    """Not even by who may lock no memory; a device that pins is refused as it is today."""
    played = play(
        P10,
        head=HEAD,
        seeds=range(2),
        details={"a": "uid = 1000\nmemlock = 0"},
        a=START + f"{write('x')}pause()",
        b='fd = open("/f", O_RDWR)\nbuf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n'
        'ctx = ibv_open_device("rxe0")\npd = ibv_alloc_pd(ctx)\n'
        "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> EOPNOTSUPP\n",
    )
    assert not any(pmem.pins for pmem in of_kind(played, Pmem))
    assert {mm.pinned_vm for mm in of_kind(played, Mm)} == {0}


@pytest.mark.parametrize("kernel", LINUX)
def test_a_device_without_it_says_so_with_the_errno_of_its_kernel(play: Play, kernel: str) -> None:
    """EINVAL up to 6.1, EOPNOTSUPP later; rxe does it from 6.18 on, as measured, and other devices did before."""
    refused = "EINVAL" if kernel in ("5.4", "6.1") else "EOPNOTSUPP"
    rxe = "ok" if kernel in ("6.18", "7.2") else refused
    for able, result in (("", rxe), ("on_demand = false", refused), ("on_demand = true", "ok")):
        head = f'[[device]]\nname = "rxe0"\n{able}\n'
        text = ODP + OPEN + REGISTER.replace("# -> ok", f"# -> {result}")
        play(f"P10,kernel={kernel}", head=head, seeds=(), a=text)


@pytest.mark.parametrize("policy", ["P0", "P1", "P5", "P10:as_posted"])
def test_it_is_the_devices_whatever_the_policy(play: Play, policy: str) -> None:
    """No gate is asked, for nothing is pinned."""
    play(
        policy,
        head=HEAD,
        seeds=range(2),
        a=START + write("x") + 'pread(fd, 1, 0)  # -> b"x"\n',
        b='truncate("/f", PAGE)',
    )


def test_a_region_that_is_gone_is_told_of_nothing(play: Play) -> None:
    played = play(P10, head=HEAD, seeds=range(3), a=START + f"{write('x')}ibv_dereg_mr(mr)\npause()", b=CUT)
    assert not any(mm.notifiers.notifiers for mm in of_kind(played, Mm))
    assert not any(context.on_demand.tables for context in of_kind(played, UverbsContext))


# Faults.


def test_a_device_finds_what_the_cpu_finds(play: Play) -> None:
    """Over a boundary of pages, in a hole, where a page was preallocated, and from a region into another."""
    play(
        P10,
        head=HEAD,
        seeds=range(2),
        a=START
        + write("abcd", "PAGE - 2")
        + f"""
pread(fd, 4, PAGE - 2)                 # -> b"abcd"
load(buf + PAGE - 2, 4)                # -> b"abcd"
fallocate(fd, 3, 2 * PAGE, PAGE)       # -> 0 (a hole)
into = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
loc = ibv_reg_mr(pd, into, PAGE, {CAN_ALL})
store(into, "zzzz")
{transfer("ibv_post_send(qp, IBV_WR_RDMA_READ, loc, mr, 2 * PAGE, 2)")}
load(into, 4)                          # -> b"\\0\\0zz"
{write("hole", "2 * PAGE")}
pread(fd, 4, 2 * PAGE)                 # -> b"hole"
{transfer("ibv_post_send(qp, IBV_WR_RDMA_WRITE, loc, mr, 3 * PAGE, 4)")}
pread(fd, 4, 3 * PAGE)                 # -> b"\\0\\0zz"
""",
    )


@pytest.mark.parametrize(
    ("what", "then"),
    [
        ("ftruncate(fd, 0)\n", DEAD),
        ("munmap(buf, 4 * PAGE)\n", DEAD),
        ("mprotect(buf, 4 * PAGE, PROT_READ)\n", DEAD),
        ("mprotect(buf, 4 * PAGE, PROT_NONE)\nmprotect(buf, 4 * PAGE, PROT_READ | PROT_WRITE)\n", write("b")),
        ("mremap(buf, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, buf + 32 * PAGE)\n", DEAD),
        ("madvise(buf, 4 * PAGE, MADV_DONTNEED)\n", write("b") + 'pread(fd, 1, 0)  # -> b"b"\n'),
        ("ftruncate(fd, 0)\nftruncate(fd, 4 * PAGE)\n", write("b") + 'pread(fd, 2, 0)  # -> b"b\\0"\n'),
        ("fallocate(fd, 3, 0, PAGE)\n", write("b") + 'pread(fd, 2, 0)  # -> b"b\\0"\n'),
        ('pwrite(fd, "n", PAGE)\nfallocate(fd, 8, 0, PAGE)\n', write("b") + 'pread(fd, 1, 0)  # -> b"b"\n'),
        ("mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0, buf)\n", write("b")),
    ],
)
@pytest.mark.parametrize("policy", [P10, "P10:as_posted"])
def test_an_entry_of_the_device_goes_with_that_of_the_process(play: Play, policy: str, what: str, then: str) -> None:
    """The device had the page; after the change it faults as the CPU would."""
    play(policy, head=HEAD, seeds=range(2), a=START + write("aa") + what + then)


def test_a_clone_moves_the_data_before_the_device_writes(play: Play) -> None:
    """H8: the next access faults in the new block; reading, the device has the shared one [4.11]."""
    played = play(
        P10,
        head=HEAD,
        seeds=range(2),
        a=START
        + write("old")
        + """
o = open("/o", O_RDWR | O_CREAT)
ioctl(o, FICLONE, fd)                  # -> 0
"""
        + write("new")
        + 'pread(fd, 3, 0)  # -> b"new"\npread(o, 3, 0)  # -> b"old"\n',
    )
    assert played.rules == set()


def test_private_memory_follows_copies(play: Play) -> None:
    """A store or a fork that makes a copy: the device goes on with the page that the owner has."""
    play(
        P10,
        head=HEAD,
        seeds=range(3),
        details={"child": 'start = "fork"'},
        a=ODP
        + f"""
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
store(buf, "parent")
{REGISTER}{write("P")}
fork("child")
wait_for("stored")
store(buf + 1, "A")                    # (copied, for the child has the page too)
{write("NIC", "2")}
load(buf, 6)                           # -> b"PANICt"
""",
        child='store(buf, "child ")\nlabel("stored")\nload(buf, 6)  # -> b"child "\n',
    )


# Whose memory it is.


@pytest.mark.parametrize("ends", ["exit", "exec"])
def test_passing_the_device_does_not_help_when_the_owner_has_gone(play: Play, ends: str) -> None:
    """EINVAL of mmget_not_zero, which the device tells as an access error [1.10.3]."""
    more = {"exec": {"next": "pause()\n"}, "exit": {}}[ends]
    played = play(
        P10,
        head=HEAD,
        seeds=range(2),
        details={"child": 'start = "fork"', "next": 'start = "fork"'},
        a=START + write("a") + 'fork("child")\n' + ('exec("next")\n' if more else ""),
        child="sleep(1)\n" + DEAD + "pause()\n",
        **more,
    )
    assert [mm.notifiers.gone for mm in of_kind(played, Mm)].count(True) == 1


def test_a_childs_memory_is_not_covered(play: Play) -> None:
    """What the child maps stays mapped, but the region is the parent's memory [4.11]."""
    play(
        P10,
        head=HEAD,
        seeds=range(2),
        details={"child": 'start = "fork"'},
        a=START + write("a") + 'fork("child")\nmunmap(buf, 4 * PAGE)\nlabel("unmapped")\npause()\n',
        child='load(buf, 1)  # -> b"a"\nwait_for("unmapped")\nload(buf, 1)  # -> b"a"\n' + DEAD,
    )


# The event matrix, column P10: nobody waits, and nothing strays.

CLONE = 'f = open("/f", O_RDWR)\no = open("/o", O_RDWR | O_CREAT)\nioctl(o, FICLONE, f)  # -> 0\n'
EVENTS = {
    "truncate, by another": ('truncate("/f", 0)  # -> 0\n', FAILS),
    "truncate, by the holder": ("", "ftruncate(fd, 0)  # -> 0\n" + FAILS),
    "punch": ('o = open("/f", O_RDWR)\nfallocate(o, 3, 0, PAGE)  # -> 0\n', write("again")),
    "truncate of another range": ('truncate("/f", PAGE)  # -> 0\n', write("again")),
    "write": ('o = open("/f", O_RDWR)\npwrite(o, "w", 0)  # -> 1\n', write("again")),
    "write that copies": (
        CLONE + 'pwrite(f, "w", 0)  # -> 1\n',
        write("again") + 'pread(fd, 5, 0)  # -> b"again"\n',
    ),
    "FICLONE": (CLONE, write("x")),
    "munmap, truncate": ("", "munmap(buf, 4 * PAGE)\nftruncate(fd, 0)  # -> 0\n" + FAILS),
    "unlink, last close": ("", 'unlink("/f")  # -> 0\nmunmap(buf, 4 * PAGE)\nclose(fd)  # -> 0\n' + FAILS),
    "F_UNLCK": ("", "fcntl(fd, F_SETLEASE, F_UNLCK)  # -> EAGAIN\n"),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("kernel", ["5.4", "6.18"])
def test_the_event_matrix(play: Play, event: str, kernel: str) -> None:
    """Linux 5.4 shares no blocks on DAX."""
    if kernel == "5.4" and ("FICLONE" in event or "copies" in event):
        pytest.skip("no reflink with DAX")
    other, then = EVENTS[event]
    play(
        f"P10:intended,kernel={kernel}",
        head=HEAD,
        seeds=range(3),
        a=START + write("a") + 'label("registered")\nwait_for("changed")\n' + then,
        b=f'wait_for("registered")\n{other}label("changed")\n',
    )


def test_the_event_matrix_where_the_setter_is_killed(play: Play) -> None:
    """The uverbs file is shared, and the region is dead."""
    play(
        P10,
        head=HEAD,
        seeds=range(3),
        details={"child": 'start = "fork"'},
        a=START + write("a") + 'fork("child")\npause()\n',
        child='kill("a", SIGKILL)\nsleep(1)\ntruncate("/f", 0)  # -> 0\n' + FAILS,
    )


# The race of fault and invalidation.


COPY = f"""
name = "copy"
policy = "P10"
[[device]]
name = "rxe0"
on_demand = true
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "app"
program = '''
{ODP}
fd = open("/f", O_RDWR)
o = open("/o", O_RDWR | O_CREAT)
ioctl(o, FICLONE, fd)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
into = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
loc = ibv_reg_mr(pd, into, PAGE, IBV_ACCESS_LOCAL_WRITE)
mr = ibv_reg_mr(pd, buf, PAGE, {CAN_ALL})
other = ibv_reg_mr(pd, buf, PAGE, {CAN_ALL})
load(buf, 1)
label("registered")
ibv_post_send(qp, IBV_WR_RDMA_READ, loc, mr, 0, 4)
pause()
'''
[[process]]
name = "writer"
program = '''
fd = open("/f", O_RDWR)
wait_for("registered")
pwrite(fd, "w", 0)
'''
"""
"""A write that must copy zaps once, and a second region is told after the first."""


def explored(scenario: Scenario, preset: str = "intended", method: Method = Method.DPOR) -> Exploration:
    subject = Subject(scenario, Settings.of(scenario, policy="P10", preset=preset, parameters={}))
    return explore(subject.build, check=subject.check, always=subject.always, method=method)


@pytest.mark.parametrize("preset", ["intended", "as_posted"])
def test_no_access_strays_in_any_schedule(preset: str) -> None:
    result = explored(load_scenario("on-demand-paging"), preset, method=Method.STATES)
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


def without_waiting_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system goes on, and the device is told when the blocks are free already."""

    def planted(self: Notifiers, ranges: Iterable[tuple[int, int]], change: Conversation[Any]) -> Conversation[Any]:
        pages = [(start // self.space.page_size, (end - 1) // self.space.page_size) for start, end in ranges]
        result = yield from change
        for notifier in self.notifiers:
            for first, last in pages:
                self.actor.send(notifier.driver, InvalidateStart(notifier.name, first, last))
                self.actor.send(notifier.driver, InvalidateEnd(notifier.name))
        return result

    monkeypatch.setattr(Notifiers, "around", planted)


def without_the_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault enters what it has found, whatever has changed meanwhile."""
    fault = OnDemand._fault

    def planted(self: OnDemand, table: Any, *rest: Any, **options: Any) -> Conversation[None]:
        faulting = fault(self, table, *rest, **options)
        effect = next(faulting)
        while True:
            sequence = table.sequence
            try:
                answer = yield effect
            except KernelError as error:
                answer = error
            changed, table.sequence = table.sequence, sequence
            try:
                effect = faulting.throw(answer) if isinstance(answer, KernelError) else faulting.send(answer)
            except StopIteration:
                return
            finally:
                table.sequence = changed

    monkeypatch.setattr(OnDemand, "_fault", planted)


def without_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults go on as soon as entries are taken from the device, while those of the process are still there."""
    invalidate = OnDemand.invalidate

    def planted(self: OnDemand, request: InvalidateStart, src: Address) -> Conversation[Done]:
        table = self.tables[request.name]
        done = yield from invalidate(self, request, src)
        table.changing -= 1
        return done

    monkeypatch.setitem(UverbsContext.handlers, InvalidateStart, lambda self, r, s: planted(self.on_demand, r, s))
    monkeypatch.setitem(UverbsContext.handlers, InvalidateEnd, lambda *_: DONE)


def without_waiting_for_accesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are taken from the device while it still accesses the page."""

    def planted(self: OnDemand, request: InvalidateStart) -> Done:
        table = self.tables[request.name]
        table.changing += 1
        table.sequence += 1
        table.entries.clear()
        return DONE

    monkeypatch.setitem(UverbsContext.handlers, InvalidateStart, lambda self, r, _: planted(self.on_demand, r))


TRUNCATE = load_scenario("on-demand-paging")


@pytest.mark.parametrize(
    ("plant", "scenario"),
    [
        (without_waiting_for_the_device, TRUNCATE),
        (without_waiting_for_accesses, TRUNCATE),
        (without_the_second_look, parse_scenario(COPY, "copy.toml")),
        (without_the_end, parse_scenario(COPY, "copy.toml")),
    ],
)
def test_a_planted_mistake_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[..., None], scenario: Scenario
) -> None:
    plant(monkeypatch)
    (failure,) = explored(scenario).failures
    assert failure.broken.rule == "O1"


@pytest.mark.heavy
def test_no_read_strays_while_a_write_copies() -> None:
    result = explored(parse_scenario(COPY, "copy.toml"), method=Method.STATES)
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


def test_a_reference_lasts_as_long_as_the_fault(play: Play) -> None:
    """Linux 5.4 takes one, so a truncate may find a busy page for a moment; it never waits for longer [k54]."""
    played = play("P10:as_posted", head=HEAD, seeds=range(4), a=START + write("x"), b=CUT)
    assert not any(pmem.pins for pmem in of_kind(played, Pmem))


def test_plain_pins_are_as_today(play: Play) -> None:
    text = ODP + OPEN + REGISTER_REMOTE.replace("# -> ok", "# -> EOPNOTSUPP")
    play(P10, head=HEAD, seeds=(), a=text)
    play("P10:as_posted", head=HEAD, seeds=(), a=text)


def test_a_region_that_goes_while_its_device_faults_is_not_found_any_more(play: Play) -> None:
    """A fault lets go of the region, which may be destroyed before it has it again; found by random programs."""
    play(
        "P0",
        head='[[device]]\nname = "rxe0"\non_demand = true\n',
        seeds=range(20),
        app="ctx = ibv_open_device('rxe0')\npd = ibv_alloc_pd(ctx)\ncq = ibv_create_cq(ctx)\n"
        "qp = ibv_create_qp(pd, cq)\nibv_modify_qp(qp, IBV_QPS_INIT)\nibv_modify_qp(qp, IBV_QPS_RTR, qp)\n"
        "ibv_modify_qp(qp, IBV_QPS_RTS)\nb = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)\n"
        "mr = ibv_reg_mr(pd, b, PAGE, IBV_ACCESS_ON_DEMAND | IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)\n"
        "ibv_post_send(qp, IBV_WR_RDMA_WRITE, 'nic', mr, 0)\nibv_dereg_mr(mr)             # -> 0\n",
    )
