"""How the comparison of free runs with the model is shown: as text, and as an object for JSON."""

from collections.abc import Iterable, Iterator

from longpin.actors.constants import signal_name
from longpin.runner.conform.check import Tally
from longpin.runner.races.check import RaceComparison
from longpin.runner.races.free import Example
from longpin.runner.races.model import PROPOSAL
from longpin.runner.races.outcome import CallOutcome, ProcessOutcome, RaceOutcome
from longpin.runner.races.series import Series, size
from longpin.runner.report.objects import Object

SENTENCE = "every outcome of the kernel is one that a schedule of the model shows"

_MOST_REASONS = 10


def lines(races: Series) -> Iterator[str]:
    """Yield the report for people."""
    effort, compared = races.wanted.effort, races.compared
    seed = "" if races.wanted.scenarios else f", seed {effort.seed}"
    yield (
        f"{races.reason}: {len(compared)} of {races.wanted.length} scenarios on Linux {races.release} ({races.fs})"
        f"{seed}, {effort.runs} runs each by {races.how}, explored under {PROPOSAL.name}"
    )
    counts = _counts(compared)
    whole = sum(one.explored.complete for one in compared)
    yield (
        f"outcomes: seen {counts['seen']}, explored {counts['explored']} ({whole} scenarios completely), "
        f"never seen {counts['never_seen']}, outside {counts['outside']}, undetermined {counts['undetermined']}"
    )
    for reason, number in sorted(_lost(compared).items(), key=lambda item: -item[1])[:_MOST_REASONS]:
        yield f"lost {number} runs: {reason}"
    for name, reason in list(races.skipped.items())[:_MOST_REASONS]:
        yield f"skipped {name}: {reason}"
    named = bool(races.wanted.scenarios)
    for one in compared:
        if named or one.outside or one.undetermined:
            yield _line(one)
    for one in compared if named else ():
        yield from _never_seen(one)
    for one in compared:
        for outcome in one.undetermined:
            yield ""
            yield f"{one.scenario.name}: not found in the time allowed, seen {_times(one.free.outcomes[outcome])}:"
            yield from _indented(outcome.describe())
    if races.first is not None:
        yield from _difference(races, races.first)


def _line(one: RaceComparison) -> str:
    explored = f"{one.allowed} explored" if one.explored.complete else f"{one.allowed} explored (there may be more)"
    return (
        f"{one.scenario.name}: {len(one.free.outcomes)} seen, {explored}, {len(one.never_seen)} never seen, "
        f"{len(one.outside)} outside, {len(one.undetermined)} undetermined"
    )


def _never_seen(one: RaceComparison) -> Iterator[str]:
    for outcome in one.never_seen:
        yield ""
        yield f"{one.scenario.name}: never seen:"
        yield from _indented(outcome.describe())


def _difference(races: Series, first: RaceComparison) -> Iterator[str]:
    assert races.shrunk is not None
    smallest = races.shrunk.best
    outcome = smallest.outside[0]
    example = smallest.free.outcomes[outcome]
    yield ""
    shrunk = ""
    if smallest is not first:
        shrunk = f", shrunk from {_size(first)} to {_size(smallest)} in {races.shrunk.tries} tries"
    yield f"first scenario with an outcome outside of the model: {first.scenario.name}{shrunk}"
    yield ""
    yield from smallest.scenario.text.strip().splitlines()
    yield ""
    yield f"no schedule of the model shows this, seen {_times(example)} in {smallest.free.runs} runs:"
    yield from _indented(outcome.describe())
    yield ""
    yield "the schedule that the model would need, in microseconds:"
    yield from example.describe().splitlines()


def _size(one: RaceComparison) -> str:
    processes, operations = size(one.scenario)
    return f"{processes} processes and {operations} lines"


def _times(example: Example) -> str:
    return "once" if example.count == 1 else f"{example.count} times"


def _indented(text: str) -> Iterator[str]:
    yield from (f"  {line}" for line in text.splitlines())


def _counts(compared: Iterable[RaceComparison]) -> dict[str, int]:
    found = dict.fromkeys(("seen", "explored", "never_seen", "outside", "undetermined"), 0)
    for one in compared:
        for key, value in _sizes(one).items():
            found[key] += value
    return found


def _sizes(one: RaceComparison) -> dict[str, int]:
    return {
        "seen": len(one.free.outcomes),
        "explored": one.allowed,
        "never_seen": len(one.never_seen),
        "outside": len(one.outside),
        "undetermined": len(one.undetermined),
    }


def _lost(compared: Iterable[RaceComparison]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in compared:
        for reason, number in one.free.lost.items():
            found[reason] = found.get(reason, 0) + number
    return found


def as_object(races: Series, seconds: float) -> Object:
    """Return what ``conform --json`` prints: in place of programs there are scenarios."""
    found: Object = {
        "verdict": races.verdict.value,
        "reason": races.reason,
        "warnings": [],
        "mode": "races",
        "engine": "stepped",
        "policy": PROPOSAL.name,
        "policy_sha256": None,
        "seed": races.wanted.effort.seed,
        "kernel": races.release,
        "fs": races.fs,
        "programs_wanted": races.wanted.length,
        "shrunk": None,
        "races": _races(races),
        "facts": None,
        "failure": _failure(races),
        "not_kept": races.not_kept or None,
    }
    tally = Tally(
        programs=len(races.compared) + len(races.skipped),
        agree=len(races.compared) - races.differ - races.undetermined,
        differ=races.differ,
    )
    skipped = len(races.skipped) + races.undetermined
    return found | tally.as_json() | {"skipped": skipped, "seconds": round(seconds, 3)}


def _races(races: Series) -> Object:
    return {
        "runs": races.wanted.effort.runs,
        "runner": races.how,
        **_counts(races.compared),
        "skipped": dict(races.skipped),
        "scenarios": [_scenario(one) for one in races.compared],
    }


def _failure(races: Series) -> Object | None:
    if (first := races.first) is None:
        return None
    assert races.shrunk is not None
    smallest = races.shrunk.best
    outcome = smallest.outside[0]
    file = races.wanted.difference if not races.not_kept else None
    return {
        "rule": None,
        "site": f"an outcome of {first.scenario.name}",
        "sentence": SENTENCE,
        "what": outcome.describe(),
        "arrival": None,
        "before": _size_object(first),
        "after": _size_object(smallest),
        "trace": None if file is None else str(file),
        "replay": races.again,
        "scenario": smallest.scenario.text,
    }


def _size_object(one: RaceComparison) -> Object:
    processes, operations = size(one.scenario)
    return {"processes": processes, "operations": operations, "decisions": None, "preemptions": None}


def _scenario(one: RaceComparison) -> Object:
    seen = one.free.outcomes
    return {
        "name": one.scenario.name,
        "scenario": one.scenario.text,
        "runs": one.free.runs,
        "lost": dict(one.free.lost),
        "seen": [_outcome(outcome, example) for outcome, example in seen.items()],
        "explored": one.allowed,
        "complete": one.explored.complete,
        "never_seen": [_outcome(outcome, None) for outcome in one.never_seen],
        "outside": [_outcome(outcome, seen[outcome]) for outcome in one.outside],
        "undetermined": [_outcome(outcome, seen[outcome]) for outcome in one.undetermined],
    }


def _outcome(outcome: RaceOutcome, example: Example | None) -> Object:
    return {
        "count": 0 if example is None else example.count,
        "run": None if example is None else example.run,
        "processes": [_process(process) for process in outcome.processes],
    }


def _process(process: ProcessOutcome) -> Object:
    return {
        "pid": process.pid,
        "name": process.name,
        "end": str(process.end),
        "calls": _calls(process.calls),
        "handlers": [
            {"signal": signal_name(handler.signo), "si_fd": handler.si_fd, "calls": _calls(handler.calls)}
            for handler in process.handlers
        ],
    }


def _calls(calls: Iterable[CallOutcome]) -> list[Object]:
    return [{"line": call.line, "call": call.text, "result": call.result} for call in calls]
