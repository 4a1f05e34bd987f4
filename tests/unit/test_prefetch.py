"""Pages that a device has before it needs them, and what it may do with them [1.10.3; ibv_advise_mr(3), rxe_odp.c]."""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import OPEN
from unit.test_policy_on_demand import HEAD, ODP, REGISTER, START, of_kind, transfer, write

from longpin.actors.mm.pmem import Pmem
from longpin.actors.rdma.uverbs import UverbsContext
from longpin.config.loader import load_scenario
from longpin.runner.exploration import Method, explore
from longpin.runner.result import Verdict
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

P10 = "P10:intended"
FETCH, WRITE, PRESENT = (f"IBV_ADVISE_MR_ADVICE_PREFETCH{end}" for end in ("", "_WRITE", "_NO_FAULT"))
NOW = "IBV_ADVISE_MR_FLAG_FLUSH"


def advise(advice: str, flags: str = NOW, offset: str = "0", length: str = "2 * PAGE", result: str = "0") -> str:
    return f"ibv_advise_mr(pd, {advice}, {flags}, mr, {offset}, {length})  # -> {result}\n"


def entries(played: Any) -> dict[int, bool]:
    """Return which pages the device has at the end, and whether it may write to them."""
    (context,) = of_kind(played, UverbsContext)
    (table,) = context.on_demand.tables.values()
    return {place: writable for place, (_, writable) in table.entries.items()}


@pytest.mark.parametrize(
    ("advice", "flags", "has"),
    [
        (FETCH, NOW, {0: False, 1: False}),
        (WRITE, NOW, {0: True, 1: True}),
        (FETCH, "0", {0: False, 1: False}),
        (PRESENT, NOW, {}),
    ],
)
def test_the_device_has_the_pages_without_pins(
    play_to_end: Play, advice: str, flags: str, has: dict[int, bool]
) -> None:
    text = START + advise(advice, flags) + "sleep(1)\npause()\n"
    played = play_to_end(P10, head=HEAD, seeds=range(2), a=text)
    assert entries(played) == has
    assert not any(pmem.pins for pmem in of_kind(played, Pmem))


def test_a_snapshot_has_what_is_present(play_to_end: Play) -> None:
    """The page that the process has touched, and no fault for the other."""
    played = play_to_end(
        P10, head=HEAD, seeds=range(2), a=START + 'store(buf + PAGE, "x")\n' + advise(PRESENT) + "pause()\n"
    )
    assert entries(played) == {1: False}


def test_what_is_wrong_with_an_advice(play_to_end: Play) -> None:
    play_to_end(
        P10,
        head=HEAD,
        seeds=(),
        a=START
        + "plain = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)\n"
        + "pinned = ibv_reg_mr(pd, plain, PAGE, IBV_ACCESS_LOCAL_WRITE)\n"
        + "quiet = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_READ | IBV_ACCESS_ON_DEMAND)\n"
        + "pd2 = ibv_alloc_pd(ctx)\n"
        + advise("3", result="EOPNOTSUPP")
        + advise(FETCH, flags="2", result="EINVAL")
        + advise(FETCH, offset="3 * PAGE", result="EFAULT")
        + advise(FETCH, length="0", result="EFAULT")
        + f"ibv_advise_mr(pd, {FETCH}, {NOW}, pinned, 0, PAGE)  # -> EINVAL (its pages are pinned)\n"
        + f"ibv_advise_mr(pd2, {FETCH}, {NOW}, mr, 0, PAGE)  # -> EINVAL (of another domain)\n"
        + f"ibv_advise_mr(pd, {WRITE}, {NOW}, quiet, 0, PAGE)  # -> EPERM\n"
        + f"ibv_advise_mr(pd, {FETCH}, {NOW}, quiet, 0, PAGE)  # -> 0\n"
        + "ftruncate(fd, PAGE)\n"
        + advise(FETCH, offset="2 * PAGE", result="EFAULT (behind the end)")
        + advise(FETCH, flags="0", offset="2 * PAGE", result="0 (nobody waits for it)")
        + "munmap(buf, 4 * PAGE)\n"
        + advise(FETCH, result="EFAULT")
        + "ibv_dereg_mr(mr)\n"
        + advise(FETCH, result="EINVAL"),
    )


def test_the_owner_has_gone(play_to_end: Play) -> None:
    play_to_end(
        P10,
        head=HEAD,
        seeds=range(2),
        details={"child": 'start = "fork"'},
        a=START + 'fork("child")\n',
        child="sleep(1)\n" + advise(FETCH, result="EINVAL") + advise(FETCH, flags="0") + "pause()\n",
    )


def test_what_is_prefetched_goes_with_the_page(play_to_end: Play) -> None:
    """Who looks for busy pages zaps those of the whole file."""
    played = play_to_end(
        P10, head=HEAD, seeds=range(4), a=START + advise(WRITE) + "ftruncate(fd, PAGE)  # -> 0\npause()\n"
    )
    assert entries(played) == {}


# What rxe of 6.18 does with pages that it has for a read.

RXE = '[[device]]\nname = "rxe0"\n'
INTO = """
into = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
loc = ibv_reg_mr(pd, into, PAGE, IBV_ACCESS_LOCAL_WRITE)
"""
READ = transfer("ibv_post_send(qp, IBV_WR_RDMA_READ, loc, mr, 0, 1)")
ANONYMOUS = "buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)\n"


@pytest.mark.parametrize(
    ("kernel", "device", "rules"),
    [
        ("6.18", RXE, {"O1"}),
        ("7.2", RXE, set()),
        ("6.18", HEAD, set()),
    ],
)
@pytest.mark.parametrize("memory", [OPEN + "fallocate(fd, 3, 0, PAGE)\n", ANONYMOUS])
@pytest.mark.parametrize("first", [READ, advise(FETCH)])
def test_who_writes_to_what_it_has_for_a_read(
    play_to_end: Play, kernel: str, device: str, rules: set[str], memory: str, first: str
) -> None:
    """A hole, or untouched memory, is the page of zeros to who reads; a device that is not rxe has no such mistake."""
    text = ODP + memory + INTO + REGISTER + first + write("x")
    play_to_end(f"P10:intended,kernel={kernel}", head=device, seeds=range(2), violates=rules, a=text)


def test_what_the_process_has_read_before_it_registers(play_to_end: Play) -> None:
    """Registration enters what is present, and rxe of 6.18 writes to it [rxe_odp_init_pages]."""
    for kernel, rules, seen in (("6.18", {"O1", "O2"}, "x"), ("7.2", set(), "x")):
        text = ODP + OPEN + 'fallocate(fd, 3, 0, PAGE)\nload(buf, 1)  # -> b"\\0"\n' + REGISTER + write("x")
        look = f'load(buf, 1)  # -> b"{seen}"\n'
        play_to_end(f"P10:intended,kernel={kernel}", head=RXE, seeds=range(2), violates=rules, a=text + look)


def test_atomics_have_the_same_mistake(play_to_end: Play) -> None:
    add = transfer("ibv_post_send(qp, IBV_WR_ATOMIC_FETCH_AND_ADD, loc, mr, 0, 8, 1)")
    for kernel, rules in (("6.18", {"O1"}), ("7.2", set())):
        text = (
            ODP
            + OPEN
            + "fallocate(fd, 3, 0, PAGE)\n"
            + INTO
            + REGISTER.replace("IBV_ACCESS_LOCAL", "8 | IBV_ACCESS_LOCAL")
        )
        play_to_end(f"P10:intended,kernel={kernel}", head=RXE, seeds=(), violates=rules, a=text + READ + add)


def test_a_clone_is_corrupted_too(play_to_end: Play) -> None:
    """The block that is shared is there for a read: O1', and the clone has what was written to the file."""
    clone = 'o = open("/o", O_RDWR | O_CREAT)\nioctl(o, FICLONE, fd)  # -> 0\n'
    for kernel, rules, seen in (("6.18", {"O1'", "O2"}, "new"), ("7.2", set(), "old")):
        text = ODP + OPEN + 'pwrite(fd, "old", 0)\n' + INTO + REGISTER + clone + READ + write("new")
        look = f'pread(o, 3, 0)  # -> b"{seen}"\n'
        play_to_end(f"P10:intended,kernel={kernel}", head=RXE, seeds=range(2), violates=rules, a=text + look)


def test_a_childs_memory_is_written_to(play_to_end: Play) -> None:
    """After a fork parent and child have one page until one stores: the device's write is in both [6.18]."""
    for kernel, seen in (("6.18", "x"), ("7.2", "o")):
        play_to_end(
            f"P10:intended,kernel={kernel}",
            head=RXE,
            seeds=range(2),
            details={"child": 'start = "fork"'},
            a=ODP
            + ANONYMOUS
            + 'store(buf, "old")\n'
            + INTO
            + REGISTER
            + 'fork("child")\n'
            + READ
            + write("x")
            + 'label("w")\n',
            child=f'wait_for("w")\nload(buf, 1)  # -> b"{seen}"\n',
        )


def test_whoever_reads_the_page_of_zeros_finds_it(play_to_end: Play) -> None:
    """Memory that was never written to, and the hole of another file, in whatever process."""
    text = ODP + OPEN + "fallocate(fd, 3, 0, PAGE)\n" + INTO + REGISTER + READ + write("x") + 'label("written")\n'
    looks = """
wait_for("written")
g = open("/g", O_RDWR | O_CREAT)
ftruncate(g, PAGE)
hole = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g, 0)
own = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
load(hole, 1)                          # -> b"x"
load(own, 1)                           # -> b"x"
process_vm_readv("b", hole, 1)         # -> b"x"
pread(g, 1, 0)                         # -> b"\\0" (a read does not look there)
store(own + 1, "y")
load(own, 2)                           # -> b"\\0y" (a page of its own is cleared)
"""
    play_to_end("P10:intended,kernel=6.18", head=RXE, seeds=range(2), violates={"O1", "O2"}, a=text, b=looks)


@pytest.mark.parametrize(("kernel", "rules"), [("6.18", {"O1"}), pytest.param("7.2", set(), marks=pytest.mark.heavy)])
def test_exploring_finds_it_where_it_is(kernel: str, rules: set[str]) -> None:
    """First in, first out the hole is filled in time; some schedules are otherwise."""
    scenario = load_scenario("zero-page-written")
    subject = Subject(scenario, Settings.of(scenario, policy="P10", preset="intended", parameters={"kernel": kernel}))
    result = explore(subject.build, check=subject.check, always=subject.always, method=Method.STATES)
    assert {failure.broken.rule for failure in result.failures} == rules
    assert result.verdict is (Verdict.VIOLATED if rules else Verdict.HOLDS)
