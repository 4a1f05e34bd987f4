"""The progress line: what is done, of how many, how fast, how long it will take."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

import pytest

from longpin.runner import progress
from longpin.runner.events import ClockAdvanced, Event, FailureFound, SearchAdvanced, ShrinkAdvanced
from longpin.runner.progress import ProgressLine, Shown, describe, duration_left


@pytest.mark.parametrize(
    ("done", "total", "passed", "limit", "expected", "part"),
    [
        (50, 200, 5.0, None, "x, 10/s, 15 s left, n", 0.25),
        (50, 0, 5.0, None, "x, 10/s, n", None),
        (50, 40, 5.0, None, "x, 10/s, n", None),
        (50, 0, 5.0, 50.0, "x, 10/s, 45 s left, n", 0.1),
        (50, 200, 5.0, 10.0, "x, 10/s, 5 s left, n", 0.5),
        (50, 200, 5.0, 10_000.0, "x, 10/s, 15 s left, n", 0.25),
        (0, 200, 0.0, None, "x, 0/s, n", None),
        (1, 2, 100.0, 10.0, "x, 0/s, 0 s left, n", 1.0),
    ],
)
def test_what_ends_first_decides(
    done: int, total: float, passed: float, limit: float | None, expected: str, part: float | None
) -> None:
    assert describe("x", done, total, passed, limit, "n") == (expected, part)


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.4, "59 s"), (60, "1 min"), (7200, "2.0 h"), (86400 * 3, "3 days"), (1e9, "11,574 days")]
)
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert duration_left(seconds) == text


def test_a_line_has_no_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one, workers could not start as copies of this process."""

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    terminal, before = Terminal(), threading.active_count()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.progress_line("runs") as show:
        show(5, 10.0, "")
        assert threading.active_count() == before
        assert "5 of 10 runs" in terminal.getvalue()


def test_an_observer_shows_the_search_and_then_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []

    @contextmanager
    def line(unit: str, seconds: float | None, *, estimated: bool) -> Iterator[Shown]:
        shown.append((unit, seconds, estimated))
        yield lambda *now: shown.append(now)
        shown.append("gone")

    monkeypatch.setattr(progress, "progress_line", line)
    told: list[Event] = [
        SearchAdvanced(10, 500, 0, 0, 100.0),
        FailureFound("O1", "", "", ()),
        SearchAdvanced(20, 900, 7, 0, 0),
        ShrinkAdvanced(0, 20, "71 decisions"),
        ShrinkAdvanced(5, 20, "2 processes"),
        ClockAdvanced(1, 0.0),
    ]
    with ProgressLine("executions", 90.0, 60.0, estimated=True) as observer:
        for event in told:
            observer(event)
    assert shown == [
        ("executions", 90.0, True),
        (10, 100.0, ""),
        (20, 0, "7 states"),
        "gone",
        ("runs to make it smaller", 60.0, False),
        (0, 20, "71 decisions"),
        (5, 20, "2 processes"),
        "gone",
    ]
