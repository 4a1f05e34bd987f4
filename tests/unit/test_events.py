"""Events: each has a sentence, says which call it is about, and is told to observers as it happens."""

import dataclasses
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import get_args

import pytest

from longpin import api
from longpin.actors.conversation import WaitsFor
from longpin.actors.process.program import Op
from longpin.config.loader import load_scenario
from longpin.messages.fs.lease import Level
from longpin.runner.events import (
    AsyncEventQueued,
    BlocksFreed,
    BlocksPinned,
    BlocksUnpinned,
    CallEntered,
    CallReturned,
    ClockAdvanced,
    DmaDone,
    Event,
    FailureFound,
    LeaseBroken,
    LeaseRemoved,
    LeaseTimedOut,
    LockContended,
    ProcessExited,
    ProcessName,
    RegionRevoked,
    SearchAdvanced,
    ShrinkAdvanced,
    SignalDelivered,
    SignalGenerated,
    SleepBegun,
)
from longpin.runner.exploration import explore
from longpin.runner.report.sentences import sentence
from longpin.runner.result import Verdict
from longpin.runner.run import replay, run
from longpin.runner.sampling import stress
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

APP = ProcessName("app", 100)
OPEN = Op(7, 'fd = open("/f", O_RDWR)', "open", (), "fd")
READING = WaitsFor("lease", "lease:1", "lease:1 to be given up")
WHERE = 5, 1.5

EACH: list[tuple[Event, str]] = [
    (CallEntered(*WHERE, APP, 0, OPEN), 'fd = open("/f", O_RDWR)'),
    (CallReturned(*WHERE, APP, 0, OPEN, 3, 0), "open returns 3"),
    (CallReturned(*WHERE, APP, 0, OPEN, -1, 11), "open returns EAGAIN"),
    (SleepBegun(*WHERE, APP, 0, OPEN, False, READING), "waits for lease:1 to be given up"),
    (SleepBegun(*WHERE, APP, None, None, True, READING), "exit waits for lease:1 to be given up"),
    (LockContended(*WHERE, APP, 0, OPEN, False, "the iolock"), "waits for the iolock"),
    (SignalGenerated(*WHERE, APP, 29, "file:1"), "SIGIO from file:1"),
    (SignalDelivered(*WHERE, APP, 29, 3, "handler"), "SIGIO (si_fd 3): its handler runs"),
    (SignalDelivered(*WHERE, APP, 9, -1, "terminated"), "SIGKILL: it kills"),
    (ProcessExited(*WHERE, APP, 2, 0), "exits with 2"),
    (ProcessExited(*WHERE, APP, 0, 9), "killed by SIGKILL"),
    (ProcessExited(*WHERE, APP, None, 0), "is killed by a signal"),
    (LeaseBroken(*WHERE, "lease:1", Level.UNLOCK, 45.0), "lease:1 is broken (unlock), 45 s to answer"),
    (LeaseTimedOut(*WHERE, "lease:1", Level.UNLOCK), "lease:1 is overdue (unlock)"),
    (LeaseRemoved(*WHERE, "lease:1"), "lease:1 is gone"),
    (BlocksPinned(*WHERE, "mr:1", "pmem:0", (1, 2, 5)), "mr:1 pins blocks 1-2, 5 of pmem:0"),
    (BlocksUnpinned(*WHERE, "mr:1", "pmem:0"), "mr:1 unpins its blocks"),
    (RegionRevoked(*WHERE, "mr:1", "uverbs:1", 1.0, unpin=True), "mr:1 is taken from uverbs:1, within 1 s"),
    (RegionRevoked(*WHERE, "mr:1", "uverbs:1", 0.0, unpin=False), "mr:1 is taken from uverbs:1 and stays pinned"),
    (AsyncEventQueued(*WHERE, "mr:1", "uverbs:1"), "who has uverbs:1 open is told: the lease of mr:1 is broken"),
    (BlocksFreed(*WHERE, "pmem:0", (4,)), "the file system frees block 4 of pmem:0"),
    (
        DmaDone(*WHERE, "mr:1", "pmem:0", 4, "inode:/f", 0, b"x"),
        "device writes b'x' to block 4 of pmem:0, pinned by mr:1 as page 0 of inode:/f",
    ),
    (
        DmaDone(*WHERE, "mr:1", "pmem:0", 4, "inode:/f", 0, None),
        "device reads block 4 of pmem:0, pinned by mr:1 as page 0 of inode:/f",
    ),
    (ClockAdvanced(*WHERE), "it is 1.5 s now"),
    (SearchAdvanced(1200, 30_000, 0, 0, 0), "1,200 runs, 30,000 arrivals"),
    (ShrinkAdvanced(40, 100, "2 processes, 5 lines"), "made smaller in 40 runs: 2 processes, 5 lines"),
    (FailureFound("O1", "a site", "a page was freed", ()), "O1 does not hold: a page was freed"),
]


@pytest.mark.parametrize(("event", "text"), EACH)
def test_each_event_has_a_sentence(event: Event, text: str) -> None:
    assert sentence(event) == text


def test_there_is_an_example_of_each_event() -> None:
    assert {type(event) for event, _ in EACH} == set(get_args(Event))


def test_an_event_is_a_value() -> None:
    for event, _ in EACH:
        assert hash(event) == hash(event)
        for field in fields(event):
            with pytest.raises(FrozenInstanceError):
                setattr(event, field.name, None)


@pytest.mark.parametrize("name", ["layout-lease-ignored", "lease-shared", "stray-dma"])
def test_a_call_is_named_by_its_place(name: str) -> None:
    loaded = load_scenario(name)
    result = run(loaded, Settings.of(loaded))
    entered = [event for event in result.events if isinstance(event, CallEntered)]
    assert [(event.process.name, event.op.line, event.op.call) for event in entered] == [
        (call.process, call.line, call.call) for call in result.calls
    ]
    assert [event.call for event in entered] == list(range(len(result.calls)))
    for event in result.events:
        if isinstance(event, CallReturned):
            made = entered[event.call]
            assert (made.process, made.op) == (event.process, event.op)
            assert result.calls[event.call].ret == event.ret
        elif isinstance(event, SleepBegun | LockContended) and event.call is not None:
            assert entered[event.call].op is event.op
            assert result.calls[event.call].blocked
    assert [event.arrival for event in result.events] == sorted(event.arrival for event in result.events)


class StopError(Exception):
    """Raised by an observer that has seen enough."""


def test_an_observer_sees_each_event_as_it_happens(tmp_path: Path) -> None:
    loaded = load_scenario("layout-lease-ignored")
    seen: list[Event] = []
    result = run(loaded, Settings.of(loaded), tmp_path / "a.trace", observers=[seen.append])
    assert seen == list(result.events)
    again: list[Event] = []
    assert replay(tmp_path / "a.trace", observers=[again.append]).verdict is result.verdict
    assert again == seen
    until = result.events[len(seen) // 2].arrival
    some: list[Event] = []
    replay(tmp_path / "a.trace", until, observers=[some.append])
    assert some == [event for event in result.events if event.arrival <= until]


def test_what_an_observer_raises_ends_the_run_there() -> None:
    loaded = load_scenario("layout-lease-ignored")
    seen = 0

    def stop(event: Event) -> None:
        nonlocal seen
        seen += 1
        if isinstance(event, LeaseBroken):
            raise StopError

    with pytest.raises(StopError):
        run(loaded, Settings.of(loaded), observers=[stop])
    whole = run(loaded, Settings.of(loaded)).events
    assert isinstance(whole[seen - 1], LeaseBroken)
    assert seen < len(whole)


def interrupted_at(kind: type[Event]) -> Callable[[Event], None]:
    """Return an observer during which Ctrl-C comes, at the first event of a kind."""

    def watch(event: Event) -> None:
        if isinstance(event, kind):
            raise KeyboardInterrupt

    return watch


def test_an_interrupt_of_an_observer_ends_the_run_undetermined() -> None:
    loaded = load_scenario("layout-lease-ignored")
    for engine in ("stepped", "threads"):
        settings = dataclasses.replace(Settings.of(loaded), engine=engine)
        result = run(loaded, settings, observers=[interrupted_at(LeaseBroken)])
        assert result.verdict is Verdict.UNDETERMINED
        assert result.reason.startswith("interrupted after arrival ")


@pytest.mark.parametrize("kind", [SearchAdvanced, FailureFound, ShrinkAdvanced, CallEntered])
def test_an_interrupt_of_an_observer_loses_nothing_that_was_found(kind: type[Event]) -> None:
    watch = interrupted_at(kind)
    explored = api.explore("truncate-waits", shrink=0, observers=[watch])
    assert explored.kept is not None
    assert explored.verdict is Verdict.VIOLATED
    sampled = api.stress("truncate-waits", runs=20, shrink=0, observers=[watch])
    assert sampled.verdict in (Verdict.VIOLATED, Verdict.UNDETERMINED)
    assert sampled.verdict is Verdict.VIOLATED or kind is SearchAdvanced


def test_events_of_a_run_on_threads_are_told_when_it_is_judged() -> None:
    loaded = load_scenario("lease-shared")
    seen: list[Event] = []
    result = run(loaded, dataclasses.replace(Settings.of(loaded), engine="threads"), observers=[seen.append])
    assert seen
    assert seen == list(result.events)


@pytest.mark.parametrize("method", ["dpor", "states", "naive"])
def test_an_exploration_tells_how_far_it_came_and_what_it_found(method: str) -> None:
    loaded = load_scenario("layout-lease-answered")
    subject = Subject(loaded, Settings.of(loaded))
    seen: list[Event] = []
    result = explore(
        subject.build, method=method, racy=True, check=subject.check, always=subject.always, observers=[seen.append]
    )
    last, found = seen[-2:]
    assert last == SearchAdvanced(result.executions, result.events, result.states, 0, 0.0)
    assert isinstance(found, FailureFound)
    assert (found.rule, found.decisions) == (result.failures[0].broken.rule, result.failures[0].decisions)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_campaign_tells_of_each_failure_once(workers: int) -> None:
    loaded = load_scenario("layout-lease-answered")
    subject = Subject(loaded, dataclasses.replace(Settings.of(loaded), timers="racy"))
    seen: list[Event] = []
    campaign = stress(
        subject.build,
        check=subject.check,
        always=subject.always,
        racy=True,
        runs=200,
        first_failure=False,
        workers=workers,
        observers=[seen.append],
    )
    assert campaign.failures
    assert [event for event in seen if isinstance(event, FailureFound)] == [
        failure.found() for failure in campaign.failures
    ]
    assert seen[-1] == SearchAdvanced(200, campaign.events, 0, campaign.distinct, 200)
