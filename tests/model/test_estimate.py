"""The estimate of how many executions there are, where their number is known."""

import pytest
from model import schedules

from longpin.runner.events import Event, SearchAdvanced
from longpin.runner.exploration import Explorer, Method, Reason, estimate, explore


@pytest.mark.parametrize(
    ("build", "traces"),
    [
        (schedules.s1(4), 2_520),
        (schedules.s1(5), 113_400),
        (schedules.s2(5), 1_920),
        (schedules.s3(6, 2), 8_100),
        (schedules.s4(2), 3_150),
        (schedules.s4(3), 3_153_150),
    ],
)
def test_the_estimate_is_within_a_factor_of_two(build: schedules.Build, traces: int) -> None:
    found = estimate(Explorer(build, footprints=False))
    assert traces / 2 < found.executions < traces * 2
    assert found.error < traces / 2


@pytest.mark.parametrize(("pinners", "traces"), [(2, 16), (3, 64), (4, 256)])
def test_with_footprints_it_is_within_a_factor_of_four(pinners: int, traces: int) -> None:
    assert traces / 4 < estimate(Explorer(schedules.s4(pinners))).executions < traces * 4


def test_the_mean_of_many_probes_is_close() -> None:
    """Not low, as guesses from the branches found so far are: twelve of them err by less than a tenth."""
    found = [estimate(Explorer(schedules.s1(3), footprints=False), 300, seed).executions for seed in range(12)]
    assert 81 < sum(found) / len(found) < 99


def test_the_same_seed_gives_the_same_estimate() -> None:
    first, again, other = (estimate(Explorer(schedules.s2(4)), 50, seed) for seed in (3, 3, 4))
    assert first == again != other


def test_one_schedule_is_one() -> None:
    assert estimate(Explorer(schedules.s1(1)), 5) == (1.0, 0.0, 5)


def test_progress_knows_the_estimate_once_the_pilot_run_is_over() -> None:
    told: list[float] = []

    def watch(event: Event) -> None:
        assert isinstance(event, SearchAdvanced)
        told.append(event.expected)
        if event.expected:
            raise KeyboardInterrupt

    result = explore(schedules.s4(3), method="dpor", footprints=False, observers=[watch])
    assert result.reason is Reason.INTERRUPTED
    assert 1e6 < result.estimate < 1e7
    assert told[-1] == result.estimate


def test_auto_goes_on_with_schedules_if_few_are_expected() -> None:
    result = explore(schedules.s3(6, 2), footprints=False)
    assert (result.method, result.executions) == (Method.DPOR, 8_100)
    assert "are expected" in result.why
