"""When a run is given up: never for the pages of a large file, always for a program that goes on for ever."""

import pytest

from longpin.config.loader import parse_scenario
from longpin.config.schema import Scenario
from longpin.config.storage import MOST_BLOCKS
from longpin.runner.engines import allowance
from longpin.runner.result import Result, Verdict
from longpin.runner.run import run
from longpin.runner.settings import Settings

OPEN = 'fd = open("/f", O_RDWR)\nbuf = mmap(500 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n'
WORK = {
    "registered": f"{OPEN}pd = ibv_alloc_pd(ctx)\nibv_reg_mr(pd, buf, 500 * PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> ok\n",
    "length from a variable": (
        f'{OPEN}size = stat("/f")\npd = ibv_alloc_pd(ctx)\nibv_reg_mr(pd, buf, size, IBV_ACCESS_LOCAL_WRITE)  # -> ok\n'
    ),
    "holes": (
        f"{OPEN}ftruncate(fd, 0)\nftruncate(fd, 500 * PAGE)\npd = ibv_alloc_pd(ctx)\n"
        "ibv_reg_mr(pd, buf, 500 * PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> ok\n"
    ),
    "allocated": f"{OPEN}ftruncate(fd, 0)\nfallocate(fd, 0, 0, 500 * PAGE)  # -> 0\n",
    "zeroed": f"{OPEN}fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 500 * PAGE)  # -> 0\n",
    "copied": (
        f'{OPEN}ftruncate(fd, 250 * PAGE)\nc = open("/c", O_RDWR | O_CREAT)\nioctl(c, FICLONE, fd)\n'
        "fallocate(c, FALLOC_FL_UNSHARE_RANGE, 0, 250 * PAGE)  # -> 0\n"
    ),
}


def scenario(program: str, handler: str = "") -> Scenario:
    text = f"""
name = "large"
policy = "P1"
[[pmem]]
name = "pmem0"
blocks = 500
[[file]]
path = "/f"
size = "500 * PAGE"
[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
{program}'''
on_signal.SIGUSR1 = '''
{handler}'''
"""
    return parse_scenario(text, "f.toml")


def ran(wanted: Scenario, engine: str = "stepped") -> Result:
    return run(wanted, Settings.of(wanted, engine=engine))


@pytest.mark.parametrize("engine", ["stepped", "threads"])
@pytest.mark.parametrize("work", ["holes", "copied"])
def test_pages_do_not_count(work: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "MOST_ARRIVALS", 500)
    result = ran(scenario(WORK[work]), engine)
    assert result.verdict is Verdict.HOLDS, result.reason
    assert result.arrivals > 1000


@pytest.mark.parametrize("engine", ["stepped", "threads"])
@pytest.mark.parametrize("work", ["registered", "length from a variable", "allocated", "zeroed"])
def test_pages_that_follow_each_other_cost_little(work: str, engine: str) -> None:
    result = ran(scenario(WORK[work]), engine)
    assert result.verdict is Verdict.HOLDS, result.reason
    assert result.arrivals < 100


@pytest.mark.parametrize("engine", ["stepped", "threads"])
@pytest.mark.parametrize(
    ("handler", "most"),
    [("", 500), ("fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 3 * PAGE)\n", 2_000)],
    ids=["calls", "pages"],
)
def test_a_program_without_end_is_given_up(
    handler: str, most: int, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "MOST_ARRIVALS", 500)
    monkeypatch.setattr(allowance, "MOST_FOR_PAGES", 1_500)
    result = ran(scenario(f'{OPEN}kill("app", SIGUSR1)\npause()\n', f'{handler}kill("app", SIGUSR1)\n'), engine)
    assert result.verdict is Verdict.UNDETERMINED
    last = result.calls[-1]
    expected = (
        f"not quiet after {result.arrivals:,} arrivals; the last call was {last.call} in line {last.line}, by app"
    )
    assert result.reason == expected
    if engine == "stepped":
        assert 500 <= result.arrivals <= most


def test_as_many_pages_as_a_set_can_have_are_allowed() -> None:
    """The bound is for programs without end, not for large files."""
    assert max(allowance.FOR_A_PAGE.values()) * MOST_BLOCKS <= allowance.MOST_FOR_PAGES


@pytest.mark.parametrize("engine", ["stepped", "threads"])
@pytest.mark.parametrize("pages", [32_768, pytest.param(262_144, marks=pytest.mark.heavy)])
def test_registering_up_to_1_gib(engine: str, pages: int) -> None:
    text = scenario(WORK["registered"]).text.replace("500", str(pages))
    result = ran(parse_scenario(text, "f.toml"), engine)
    assert result.verdict is Verdict.HOLDS, result.reason
    assert result.arrivals < 8_000
