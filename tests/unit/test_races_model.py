"""Free runs and the model, without a kernel: outcomes by exploration, and scenarios compared with a made-up kernel."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from longpin.config.loader import parse_scenario
from longpin.config.schema import Scenario
from longpin.runner.commands import cli
from longpin.runner.commands import races as command
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles import ORACLES
from longpin.runner.races import series
from longpin.runner.races.check import RaceEffort, RacingKernel, compare
from longpin.runner.races.free import Example, FreeRuns, Moment
from longpin.runner.races.generate import generate
from longpin.runner.races.hosted import HostedKernel
from longpin.runner.races.model import OutcomeFound, RaceModel, RacingProcess, outcomes_of
from longpin.runner.races.outcome import CallOutcome, EndKind, History, RaceOutcome
from longpin.runner.report.as_json import schema

DATA = Path(__file__).parents[1] / "data" / "races"
EFFORT = RaceEffort(runs=1, seconds=60)

KILLED = """\
name = "killed"
[[process]]
name = "p"
program = '''
getpid()
pause()
'''
[[process]]
name = "q"
program = '''
kill("p", SIGTERM)
'''
"""

HANDLED = """\
name = "handled"
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "p"
program = '''
a = open("/f", O_RDONLY)
fcntl(a, F_SETLEASE, F_RDLCK)
close(a)
'''
on_signal.SIGIO = '''
fcntl(a, F_GETLEASE)
'''
[[process]]
name = "q"
program = '''
open("/f", O_WRONLY | O_NONBLOCK)
'''
"""


def outcomes(text: str) -> list[RaceOutcome]:
    """Return all that the model allows."""
    explored = RaceModel(parse_scenario(text, "test")).explore(60)
    assert explored.complete
    return sorted(explored.outcomes)


def of_data(name: str) -> list[RaceOutcome]:
    """Return all that the model allows for a race that a kernel has shown."""
    return outcomes((DATA / f"{name}.toml").read_text())


def handled(outcome: RaceOutcome, name: str) -> int:
    """Return how many handlers a process ran."""
    return next(len(process.handlers) for process in outcome.processes if process.name == name)


def test_signals_merge_while_the_process_gets_no_cpu() -> None:
    """Whoever sends the second one has an answer to the first before the process has run."""
    found = of_data("two-signals-taken-as-one")
    assert {handled(outcome, "p") for outcome in found} == {0, 1, 2}


def test_who_unlocks_may_lock_again_before_the_waiter_that_it_woke() -> None:
    found = of_data("lock-taken-again")
    again = {process.calls[-1].result for outcome in found for process in outcome.processes if process.name == "p"}
    assert again == {"0", "EAGAIN"}


def test_a_call_that_is_made_again_keeps_its_arguments() -> None:
    """The other file is not locked: with the new argument the call would return after each handler."""
    found = of_data("argument-kept")
    ends = {(handled(outcome, "waiter"), outcome.processes[0].end.kind.name) for outcome in found}
    assert ends == {(1, "ASLEEP"), (1, "EXITED")}


def results(outcome: RaceOutcome, name: str) -> list[str]:
    """Return what the calls of a process came to."""
    return [call.result for process in outcome.processes if process.name == name for call in process.calls]


def test_a_lease_is_gone_while_its_file_still_counts_as_open() -> None:
    found = of_data("lease-gone-file-open")
    assert {"0", "EAGAIN"} == {results(outcome, "reader")[-1] for outcome in found}


def test_an_open_counts_before_it_breaks_a_lease() -> None:
    found = of_data("counted-before-the-break")
    refused = [outcome for outcome in found if results(outcome, "holder")[-1] == "EAGAIN"]
    assert {handled(outcome, "holder") for outcome in refused} == {0, 1}


@pytest.mark.heavy
def test_an_open_counts_as_a_writer_before_it_empties_the_file() -> None:
    """Refused for it, the other still reads what was there."""
    found = of_data("written-before-emptied")
    assert any(results(outcome, "p")[1:] == ["EAGAIN", r"b'\x00\x00\x00'"] for outcome in found)


@pytest.mark.heavy
def test_waitpid_finds_that_a_child_goes_on_before_sigchld_tells_so() -> None:
    found = of_data("continued-before-told")
    assert any(handled(outcome, "p") == 1 and results(outcome, "p")[4] != "ECHILD" for outcome in found)


def test_who_stops_itself_has_not_seen_that_the_call_returned() -> None:
    """The signal is pending when kill returns, so no program could tell the result."""
    [outcome] = outcomes(KILLED.replace("pause()", 'kill("p", SIGSTOP)').replace('kill("p", SIGTERM)', "getpid()"))
    stopped = outcome.processes[0]
    assert stopped.end.kind is EndKind.STOPPED
    assert [call.result for call in stopped.calls] == ["100"]


def walk(model: RaceModel, seed: int) -> tuple[SteppedEngine, dict[int, list[History]]]:
    """Run one schedule to its end; return the world, and what each process's history was after each arrival."""
    engine = SteppedEngine(ORACLES["random"](seed), seed=seed)
    histories: dict[int, list[History]] = {}
    model.blueprint.build(engine)

    class Watcher:
        def arrived(self, _number: int, _envelope: object) -> None:
            for actor in engine.actors.values():
                if isinstance(actor, RacingProcess):
                    histories.setdefault(actor.pid, []).append(copy.deepcopy(actor.history))

    engine.observers.append(Watcher())
    engine.run()
    return engine, histories


@pytest.mark.parametrize("index", range(6))
def test_all_that_happens_on_the_way_may_become_what_comes_of_it(index: int) -> None:
    """Otherwise the search for an outcome would leave out what leads there."""
    model = RaceModel(parse_scenario(generate(7, index), "test"))
    for seed in range(4):
        engine, histories = walk(model, seed)
        for outcome in outcomes_of(engine):
            for process in outcome.processes:
                assert all(history.may_become(process) for history in histories[process.pid])


@pytest.mark.parametrize("index", range(4))
def test_what_exploring_finds_is_found_by_looking_for_it(index: int) -> None:
    model = RaceModel(parse_scenario(generate(3, index), "test"))
    explored = model.explore(3)
    for outcome in sorted(explored.outcomes)[:6]:
        assert model.find(outcome, 60) is OutcomeFound.INSIDE


def with_result(outcome: RaceOutcome, result: str) -> RaceOutcome:
    """Return an outcome in which the first call of the first process that made one returns something else."""
    processes = list(outcome.processes)
    at = next(i for i, process in enumerate(processes) if process.calls)
    first, *others = processes[at].calls
    processes[at] = replace(processes[at], calls=(CallOutcome(first.line, result, first.text), *others))
    return RaceOutcome(tuple(processes))


def test_what_no_schedule_shows_is_not_found() -> None:
    model = RaceModel(parse_scenario(HANDLED, "test"))
    for outcome in outcomes(HANDLED):
        assert model.find(with_result(outcome, "77"), 60) is OutcomeFound.OUTSIDE
    assert model.find(outcomes(HANDLED)[0], 0) is OutcomeFound.UNDETERMINED


def test_a_signal_comes_before_between_and_behind_calls() -> None:
    """Killed before its first call, after it, or when it is over: then kill finds it still, or not any more."""
    assert {outcome.describe() for outcome in outcomes(KILLED.replace("pause()\n", ""))} == {
        'p (100) is killed by SIGTERM\nq (101) exits with 0\n  kill("p", SIGTERM) → 0',
        'p (100) is killed by SIGTERM\n  getpid() → 100\nq (101) exits with 0\n  kill("p", SIGTERM) → 0',
        'p (100) exits with 0\n  getpid() → 100\nq (101) exits with 0\n  kill("p", SIGTERM) → 0',
        'p (100) exits with 0\n  getpid() → 100\nq (101) exits with 0\n  kill("p", SIGTERM) → ESRCH',
    }


def test_time_stands_still() -> None:
    text = KILLED.replace("pause()", "sleep(1)").replace('kill("p", SIGTERM)', "getpid()")
    [outcome] = outcomes(text)
    assert "p (100) sleeps for ever" in outcome.describe()
    assert "sleep(1) → never returns" in outcome.describe()


class MadeUpKernel:
    """A kernel that shows what it is told to."""

    how, release, fs = "nobody", "0.0", "nofs"

    def __init__(self, show: Callable[[list[RaceOutcome]], list[RaceOutcome]]) -> None:
        self.show = show
        self.asked: list[Scenario] = []

    def run(self, scenario: Scenario, filename: str, runs: int, seed: int = 0) -> FreeRuns:
        del filename, seed
        self.asked.append(scenario)
        example = Example(runs, 0, (Moment(1500, "p", "getpid()"),))
        shown = self.show(outcomes(scenario.text))
        return FreeRuns(runs * bool(shown), dict.fromkeys(shown, example))


def test_a_kernel_that_does_what_the_model_allows() -> None:
    kernel = MadeUpKernel(lambda allowed: allowed[:2])
    compared = compare(kernel, parse_scenario(HANDLED, "test"), "test", EFFORT)
    assert not compared.outside
    assert not compared.undetermined
    assert compared.never_seen == outcomes(HANDLED)[2:]


def test_a_kernel_that_does_something_else() -> None:
    kernel = MadeUpKernel(lambda allowed: [allowed[0], with_result(allowed[0], "77")])
    compared = compare(kernel, parse_scenario(HANDLED, "test"), "test", EFFORT)
    assert [outcome.processes[0].calls[0].result for outcome in compared.outside] == ["77"]


def test_an_outcome_that_was_not_looked_for_long_enough_is_undetermined() -> None:
    kernel = MadeUpKernel(lambda allowed: [with_result(allowed[0], "77")])
    compared = compare(kernel, parse_scenario(HANDLED, "test"), "test", RaceEffort(1, 0.0))
    assert compared.undetermined
    assert not compared.outside


def conform(monkeypatch: pytest.MonkeyPatch, kernel: RacingKernel, *arguments: str, text: str = HANDLED) -> Result:
    """Run ``longpin conform --races -`` on a made-up kernel."""

    class Open:
        def __enter__(self) -> RacingKernel:
            return kernel

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(command, "open_kernel", Open)
    return CliRunner().invoke(cli.main, ["conform", "--races", "-", *arguments], input=text)


def as_json(stdout: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(stdout)
    Draft202012Validator(schema("conform")).validate(found)
    return found


def test_the_command_when_the_model_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = MadeUpKernel(lambda allowed: allowed[:1])
    result = conform(monkeypatch, kernel, "--runs", "3")
    assert result.exit_code == 0
    assert result.stdout.startswith("the model allows all that the kernel did: 1 of 1 scenarios on Linux 0.0 (nofs)")
    assert result.stdout.count("never seen:") == len(outcomes(HANDLED)) - 1
    found = as_json(conform(monkeypatch, kernel, "--runs", "3", "--json").stdout)
    assert found["verdict"] == "holds"
    assert found["failure"] is None


def test_the_command_when_it_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is shown is small, and pasting the last line reruns it."""

    def show(allowed: list[RaceOutcome]) -> list[RaceOutcome]:
        calls = any(process.calls for process in allowed[0].processes)
        return [*allowed, with_result(allowed[0], "77")] if calls else allowed

    kernel = MadeUpKernel(show)
    result = conform(monkeypatch, kernel)
    assert result.exit_code == 1
    assert "shrunk from 2 processes and 5 lines to 1 processes and 1 lines" in result.stdout
    assert "no schedule of the model shows this, seen 500 times in 500 runs:" in result.stdout
    assert "     1.500  p  getpid()" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.endswith("| longpin conform --races - --runs 500 --seed 0")
    found = as_json(conform(monkeypatch, kernel, "--json", "--difference", str(tmp_path / "small.toml")).stdout)
    assert found["verdict"] == "violated"
    assert parse_scenario((tmp_path / "small.toml").read_text(), "small").name == "handled"


def test_the_command_when_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    result = conform(monkeypatch, MadeUpKernel(lambda _: []), "--json")
    assert result.exit_code == 3
    assert as_json(result.stdout)["verdict"] == "undetermined"


def test_the_command_when_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(MadeUpKernel):
        def run(self, *_: object, **__: object) -> FreeRuns:
            raise KeyboardInterrupt

    result = conform(monkeypatch, Interrupted(list))
    assert result.exit_code == 3
    assert result.stdout.startswith("interrupted: ")


def test_without_a_compiler_it_is_the_host_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with series.open_kernel() as kernel:
        assert isinstance(kernel, HostedKernel)
        assert kernel.how == "the host engine (no C compiler: expected one of cc, gcc, clang in PATH)"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--races", "--live"], "expected one of --recorded FILE, --live, --races and --facts FILE"),
        (["--live", "layout-lease-answered"], "SCENARIO needs --races"),
        (["--live", "--runs", "3"], "--runs needs --races"),
        (["--races", "--random", "3", "a.toml"], "expected either SCENARIOs or --random"),
        (["--races", "--record", "x"], "--program, --record and --engine threads need --live: --races takes scenarios"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], line: str) -> None:
    result = CliRunner().invoke(cli.main, ["conform", *arguments])
    assert result.exit_code == 2
    assert line in result.stderr


def test_a_scenario_that_cannot_run_free(monkeypatch: pytest.MonkeyPatch) -> None:
    text = HANDLED.replace("close(a)", 'ibv_open_device("rxe0")')
    result = conform(monkeypatch, MadeUpKernel(list), text=text)
    assert result.exit_code == 2
    assert "standard input:10: " in result.stderr
    assert "which cannot run free on the kernel" in result.stderr


def test_an_interrupt_while_a_scenario_is_explored_ends_the_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search takes an interrupt for its own: it must reach whoever goes from scenario to scenario."""

    def interrupted(_engine: SteppedEngine) -> list[RaceOutcome]:
        raise KeyboardInterrupt

    racing = RaceModel(parse_scenario(KILLED, "x"))
    outcome = next(iter(racing.explore(60).outcomes))
    monkeypatch.setattr("longpin.runner.races.model.outcomes_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        racing.explore(60)
    with pytest.raises(KeyboardInterrupt):
        racing.find(outcome, 60)


def test_what_was_found_before_an_interrupt_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    find, asked = RaceModel.find, []

    def interrupted(self: RaceModel, outcome: RaceOutcome, seconds: float) -> OutcomeFound:
        asked.append(outcome)
        if len(asked) > 1:
            raise KeyboardInterrupt
        return find(self, outcome, seconds)

    monkeypatch.setattr(RaceModel, "find", interrupted)
    kernel = MadeUpKernel(lambda allowed: [with_result(allowed[0], "77"), with_result(allowed[0], "78")])
    result = conform(monkeypatch, kernel, "--json")
    assert result.exit_code == 1
    assert as_json(result.stdout)["verdict"] == "violated"
    assert (len(kernel.asked), len(asked)) == (1, 2), "nothing was tried afterwards"
