"""Events: each has a sentence, says which call it is about, and is told to observers as it happens."""

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from longpin.actors.conversation import WaitsFor
from longpin.actors.process.program import Op
from longpin.config.loader import load_scenario
from longpin.messages.fs.lease import Level
from longpin.runner.events import (
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
    SearchAdvanced,
    SignalDelivered,
    SignalGenerated,
    SleepBegun,
)
from longpin.runner.report.sentences import sentence
from longpin.runner.run import run
from longpin.runner.settings import Settings

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
