"""Small scenarios that people asked about or a kernel has answered, each with its verdict: ``tests/data/cases/*.toml``.

What is expected stands at the lines of each; the head of a file says where it is from. Most run in one order or a few.
``pytest -m heavy tests/scenario/test_cases.py`` explores the races.
"""

from pathlib import Path

import pytest

from longpin.actors.policies import POLICIES
from longpin.actors.policies.proposal import read_proposal
from longpin.config.loader import load_scenario
from longpin.config.schema import Scenario
from longpin.runner.exploration import Exploration, explore
from longpin.runner.result import Result, Verdict
from longpin.runner.run import run
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

CASES = {path.stem: path for path in sorted((Path(__file__).parents[1] / "data" / "cases").glob("*.toml"))}
OTHERWISE = {"narrowed", "never-reached", "never-reached-behind-a-wait", "policy-override"}
OTHERWISE |= {"balloon-punches-pinned-guest-memory", "label-then-pause", "between-calls", "between-lease-and-pin"}
"""Those of which the own policy in the order of arrival is not the story."""

EVERY_POLICY = [
    "P0",
    "P1:as_posted",
    "P1:intended,kernel=6.12",
    "P1:intended,kernel=6.18",
    "P5:as_posted",
    "P5:intended",
]
OF_EVERY_POLICY = [
    "unaligned-buffers-charge-two-pages",
    "registering-read-only-memory",
    "unmapped-but-still-registered",
    "own-uverbs-after-fork-and-parent-exit",
    "access-flags",
    "break-told-to-a-helper-thread",
]


def case(name: str) -> Scenario:
    return load_scenario(str(CASES[name]))


def settings(scenario: Scenario, policy: str = "", **changes: object) -> Settings:
    if policy:
        kind, preset, parameters = read_proposal(policy)
        changes |= {"policy": kind.name, "preset": preset, "parameters": parameters}
    return Settings.of(scenario, **changes)


def played(name: str, policy: str = "", **changes: object) -> Result:
    scenario = case(name)
    return run(scenario, settings(scenario, policy, **changes))


def explored(name: str, *, method: str = "dpor", seconds: float | None = None) -> Exploration:
    scenario = case(name)
    subject = Subject(scenario, settings(scenario))
    return explore(subject.build, check=subject.check, always=subject.always, method=method, seconds=seconds)


def rules(result: Result) -> list[str]:
    return sorted({violation.rule for violation in result.violations})


@pytest.mark.parametrize("name", sorted(CASES.keys() - OTHERWISE))
def test_what_each_line_expects(name: str) -> None:
    result = played(name)
    assert (result.verdict, rules(result)) == (Verdict.HOLDS, []), result.reason


@pytest.mark.parametrize("policy", POLICIES)
def test_what_has_no_layout_and_no_pin_is_the_same_under_every_policy(policy: str) -> None:
    """Of P6 as it reads arguments: -1 has the bit of F_LAYOUT."""
    for name, path in CASES.items():
        text = path.read_text(encoding="utf-8")
        if "ibv_" in text or "F_LAYOUT" in text or (name, policy) == ("arguments-cut-to-int", "P6"):
            continue
        scenario = case(name)
        own = settings(scenario)
        parameters = {"kernel": own.make_proposal().kernel.value, **dict(scenario.machine.kernel)}
        if policy != own.policy and parameters["kernel"] == "ideal":
            parameters["kernel"] = "6.18"
        under = Settings.of(scenario, policy=policy, preset="intended", parameters=parameters)
        expected, found = run(scenario, own), run(scenario, under)
        assert (found.verdict, rules(found)) == (expected.verdict, rules(expected)), name


@pytest.mark.parametrize("policy", EVERY_POLICY)
@pytest.mark.parametrize("name", OF_EVERY_POLICY)
def test_what_each_line_expects_under_every_policy(name: str, policy: str) -> None:
    result = played(name, policy)
    assert (result.verdict, rules(result)) == (Verdict.HOLDS, []), result.reason


# Tests of others, restated: for the kernels they were written for, and what others do stands at their lines.

LIBURING = sorted(name for name in CASES if name.startswith("liburing-"))


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.18", "7.2"])
@pytest.mark.parametrize("name", LIBURING)
def test_what_the_tests_of_liburing_want(name: str, kernel: str) -> None:
    result = played(name, f"P0:intended,kernel={kernel}")
    assert (result.verdict, rules(result)) == (Verdict.HOLDS, []), result.reason


@pytest.mark.parametrize(("kernel", "broken"), [("6.1", ["O7"]), ("6.12", []), ("6.18", []), ("7.2", [])])
def test_the_matrix_of_gup_longterm_holds_since_it_was_written(kernel: str, broken: list[str]) -> None:
    """Linux 6.5: before that a pin for reading only was one for writing, and so failed where nothing may be written."""
    assert rules(played("gup-longterm", f"P0:intended,kernel={kernel}")) == broken


# The tests of rdma-core, on the kernels they run on.

PYVERBS = sorted(name for name in CASES if name.startswith("pyverbs-"))


@pytest.mark.parametrize("kernel", ["5.4", "6.1", "6.12", "6.18", "7.2"])
@pytest.mark.parametrize("name", PYVERBS)
def test_what_the_tests_of_rdma_core_expect(name: str, kernel: str) -> None:
    """In the order of arrival and in some others; what is paged on demand needs a kernel on which rxe does that."""
    if name == "pyverbs-odp" and kernel not in ("6.18", "7.2"):
        pytest.skip("rxe does no on-demand paging")
    for seed in range(3):
        result = played(name, f"P0:intended,kernel={kernel}", oracle="random" if seed else "fifo", seed=seed)
        assert (result.verdict, rules(result)) == (Verdict.HOLDS, []), result.reason


# Pins that are in the way.


@pytest.mark.parametrize(
    ("policy", "broken"),
    [("P0", []), ("P1:as_posted", ["O3"]), ("P1:intended", ["O3"]), ("P1:intended,kernel=6.18", ["O3"]), ("P5", [])],
)
def test_a_balloon_waits_for_the_pinned_page_alone_or_for_any(policy: str, broken: list[str]) -> None:
    result = played("balloon-punches-pinned-guest-memory", policy)
    assert rules(result) == broken
    if broken:
        page = 1 if policy == "P1:intended" else 0  # Linux looks at the whole file
        assert f"it waits for page {page} of inode:/pmem/guest-ram" in result.violations[0].detail


@pytest.mark.parametrize(
    ("policy", "broken"),
    [
        ("P0", []),
        ("P1:intended", []),
        ("P1:intended,kernel=6.1", ["O3"]),
        ("P1:intended,kernel=6.18", ["O3"]),
        ("P5:intended,kernel=6.18", []),
    ],
)
def test_a_clone_spins_on_a_pin_or_is_refused(policy: str, broken: list[str]) -> None:
    result = played("clone-under-a-pin", policy)
    assert rules(result) == broken
    assert not broken or "it spins, in state R" in result.violations[0].detail


@pytest.mark.parametrize("seed", range(8))
def test_clones_in_opposite_directions_do_not_wait_for_each_other(seed: int) -> None:
    result = played("clones-in-opposite-directions", oracle="random", seed=seed)
    assert (result.verdict, rules(result)) == (Verdict.HOLDS, []), result.reason


@pytest.mark.parametrize("kernel", ["5.4", "6.1", "6.12", "6.18", "7.2"])
def test_delegations_of_folders_are_there_from_6_19_on(kernel: str) -> None:
    result = played("directory-delegations", f"P0:intended,kernel={kernel}")
    assert not rules(result)
    assert (result.verdict is Verdict.HOLDS) == (kernel == "7.2")  # without one the server waits for its signal


@pytest.mark.parametrize("kernel", ["5.4", "6.1", "7.2"])
def test_a_child_is_kept_from_a_page_or_has_its_own(kernel: str) -> None:
    assert played("part-of-a-page-registered-then-fork", f"P0:intended,kernel={kernel}").verdict is Verdict.HOLDS


# What a verdict does not know.


def test_what_a_line_expects_is_not_judged_without_o7() -> None:
    result = played("narrowed")
    assert (result.verdict, result.judged.rules) == (Verdict.HOLDS, ("O1",))


@pytest.mark.parametrize("name", ["never-reached", "never-reached-behind-a-wait"])
def test_a_line_that_was_never_reached_is_not_judged(name: str) -> None:
    result = played(name)
    assert (result.verdict, rules(result)) == (Verdict.UNDETERMINED, [])
    assert result.unreached


@pytest.mark.parametrize("preset", ["as_posted", "intended"])
def test_a_policy_named_elsewhere_takes_nothing_from_the_scenario(preset: str) -> None:
    scenario = case("policy-override")
    own, other = settings(scenario), settings(scenario, f"P5:{preset}")
    assert "lease_check=active_only" in own.make_proposal().name
    assert other.make_proposal().name == f"P5:{preset}"


# Every schedule.


@pytest.mark.parametrize("name", ["between-calls", "label-then-pause", "between-lease-and-pin"])
def test_a_schedule_in_which_a_signal_comes_too_early_is_found(name: str) -> None:
    (failure,) = explored(name).failures
    assert failure.broken.rule == "O7"


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("killed-before-exit", "dpor"),
        ("self-break", "dpor"),
        ("dma-into-a-mapping-while-blocks-go", "dpor"),
        pytest.param("who-answers-first", "states", marks=pytest.mark.heavy),
        pytest.param("race-two-files", "dpor", marks=pytest.mark.heavy),
    ],
)
def test_no_schedule_breaks_a_rule(name: str, method: str) -> None:
    result = explored(name, method=method)
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures
