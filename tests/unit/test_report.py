"""Reports: what a result looks like to people and to programs."""

import io
import json
from dataclasses import replace
from itertools import count

import pytest
from rich.cells import cell_len
from rich.console import Console

from longpin.actors.conversation import WaitsFor
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.program import Op
from longpin.messages.fs.lease import Level
from longpin.runner.events import (
    BlocksPinned,
    CallEntered,
    CallReturned,
    ClockAdvanced,
    LeaseBroken,
    LeaseRemoved,
    LockContended,
    ProcessExited,
    ProcessName,
    RunEvent,
    SignalDelivered,
    SignalGenerated,
    SleepBegun,
)
from longpin.runner.report import Report
from longpin.runner.report.as_json import JsonReport
from longpin.runner.report.console import ConsoleReport
from longpin.runner.report.lanes import fold
from longpin.runner.report.picture import MOST_ROWS
from longpin.runner.report.rows import Shape, printable, rows
from longpin.runner.report.sentences import spans
from longpin.runner.result import CallResult, Result, Verdict, Violation

APP, TRUNCATER = ProcessName("app", 100), ProcessName("truncater", 101)
LINES = count(1)


def call(text: str, ret: int | str | None = 0, errno: int = 0) -> CallRecord:
    """Make the record of a call that returned ``ret``; None: it never did."""
    left, equals, right = text.partition("=")
    name = (right if equals else left).strip().partition("(")[0]
    op = Op(next(LINES), text, name, (), left.strip() if equals else None)
    return CallRecord(op, ret, errno, returned=ret is not None)


def entered(arrival: int, process: ProcessName, record: CallRecord) -> CallEntered:
    """Return the event of a call; its line is its place."""
    return CallEntered(arrival, 0.0, process, record.op.line, record.op)


def returns(arrival: int, process: ProcessName, record: CallRecord) -> CallReturned:
    return CallReturned(arrival, 0.0, process, record.op.line, record.op, record.ret, record.errno)


def sleeps(arrival: int, process: ProcessName, record: CallRecord, detail: str, time: float = 0.0) -> SleepBegun:
    reason = WaitsFor("signal", "", detail)
    return SleepBegun(arrival, time, process, record.op.line, record.op, exiting=False, waits_for=reason)


def contends(arrival: int, process: ProcessName, record: CallRecord, lock: str) -> LockContended:
    return LockContended(arrival, 0.0, process, record.op.line, record.op, exiting=False, lock=lock)


def pin(arrival: int, block: int, pmem: str = "pmem:pmem0") -> BlocksPinned:
    return BlocksPinned(arrival, 0.0, "mr:100.1", pmem, (block,))


def story() -> Result:
    """Return a run in which a truncate waits for a lease until its time is over, and then for a pin for ever."""
    opened = call('fd  = open("/pmem/data", O_RDWR)', 4)
    registered = call("mr = ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)")
    wait, label = call('wait_for("registered")'), call('label("registered")')
    pause = call("pause()", -1, 4)
    truncate = call('truncate("/pmem/data", 0)', None)
    events: list[RunEvent] = [
        entered(1, APP, opened),
        returns(1, APP, opened),
        entered(2, TRUNCATER, wait),
        sleeps(3, TRUNCATER, wait, "label 'registered'"),
        entered(4, APP, registered),
        pin(5, 0),
        pin(6, 1),
        pin(7, 3),
        returns(8, APP, registered),
        entered(8, APP, label),
        returns(9, APP, label),
        entered(9, APP, pause),
        sleeps(9, APP, pause, "a signal"),
        returns(10, TRUNCATER, wait),
        entered(10, TRUNCATER, truncate),
        contends(11, TRUNCATER, truncate, "flc_lock"),
        LeaseBroken(20, 0.0, "lease:100.2", Level.UNLOCK, 45.0),
        SignalGenerated(21, 0.0, APP, 29, "file:100.2"),
        returns(21, APP, pause),
        SignalDelivered(21, 0.0, APP, 29, 4, "handler"),
        sleeps(22, TRUNCATER, truncate, "lease:100.2 to be given up"),
        ClockAdvanced(23, 45.0),
        ProcessExited(23, 45.0, APP, 0, 0),
        sleeps(24, TRUNCATER, truncate, "lease:100.2 to be given up", 45.0),
        sleeps(25, TRUNCATER, truncate, "page 0, pinned by mr:100.1", 45.0),
    ]
    return Result(
        Verdict.VIOLATED,
        "O3 violated",
        "story",
        "P5:intended",
        "stepped",
        "fifo",
        "lazy",
        7,
        25,
        "0123456789abcdef" * 4,
        [
            Violation(
                "O3", 25, "truncater hangs for ever in truncate: it waits for page 0, pinned by mr:100.1 " + "x" * 30
            )
        ],
        [
            CallResult("app", 1, "open", 4, None, blocked=False),
            CallResult("app", 2, "pause", -1, "EINTR", blocked=True),
        ],
        events,
        [APP, TRUNCATER],
        ["truncater waits"],
        "a lease is not answered",
        "a mail [S4]",
    )


def drawn(result: Result, width: int = 100, again: str = "", advice: str = "", *, colour: bool = False) -> str:
    file = io.StringIO()
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    ConsoleReport(console, file, again, advice).show(result)
    return file.getvalue()


GOLDEN = """\
          app (100)                      truncater (101)               kernel and device
          ─────────────────────────────  ────────────────────────────  ─────────────────────────────
 1        fd = open("/pmem/data",
            O_RDWR) → 4
 2                                       wait_for("registered")
 4        mr = ibv_reg_mr(pd, buf, 4     │
          │ * PAGE,                      │
          │ IBV_ACCESS_LOCAL_WRITE)      │
 5        │                              │                             mr:100.1 pins blocks 0-1, 3
          │                              │                               of pmem:pmem0
 8        ╰ ibv_reg_mr → ok              │
          label("registered")            │
 9        pause()                        │
          │ waits for a signal           │
10        │                              ╰ wait_for returns
          │                              truncate("/pmem/data", 0)
20        │                              │                             lease:100.2 is broken
          │                              │                               (unlock), 45 s to answer
21        │ SIGIO from file:100.2        │
          ╰ pause → EINTR                │
          SIGIO (si_fd 4): its           │
            handler runs                 │
22                                       │ waits for lease:100.2 to
                                         │ be given up
23  45 s                                 │                             it is 45 s now
          exits with 0                   │
25                                       │ waits for page 0, pinned
                                         │ by mr:100.1
                                         │
                                         never returns

violated: O3
O3: at arrival 25: truncater hangs for ever in truncate: it waits for page 0, pinned by mr:100.1
  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
judged by: O1, O1', O2, O3, O6, O7
25 arrivals, seed 7, hash 0123456789abcdef
Observation story P5:intended violated O3 1/1 run lazy
longpin replay story.trace
"""


def test_picture() -> None:
    header, _, picture = drawn(story(), again="longpin replay story.trace").partition("\n\n")
    assert picture == GOLDEN
    lines = header.splitlines()
    assert lines[:2] == ["story: a lease is not answered", "source: a mail [S4]"]
    assert lines[2].startswith("policy: P5:intended: ")
    assert lines[-1] == "engine: stepped, oracle fifo, timers lazy, seed 7"


@pytest.mark.parametrize("width", [40, 60, 80, 81, 100, 140, 200])
def test_no_line_is_wider_than_the_console(width: int) -> None:
    *lines, observation = drawn(story(), width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert observation.split()[0] == "Observation", "a line to grep is never broken"
    assert any("pause" in line for line in lines)


def test_wide_console_needs_no_second_lines() -> None:
    text = drawn(story(), 200)
    assert "mr = ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)" in text
    assert "waits for page 0, pinned by mr:100.1" in text


@pytest.mark.parametrize(
    ("processes_in_all", "says"), [(8, None), (9, "9 processes do not fit"), (61, "61 processes side by side")]
)
def test_many_processes_are_a_list(processes_in_all: int, says: str | None) -> None:
    processes = [ProcessName(f"p{number}", 100 + number) for number in range(processes_in_all)]
    events = [entered(number, process, call("pause()", None)) for number, process in enumerate(processes, 1)]
    text = drawn(replace(story(), processes=processes, events=events), 200)
    is_list = [line.split()[1:] for line in text.splitlines()].count(["p1", "(101)", "pause()"]) == 1
    assert is_list is (says is not None)
    assert ("kernel and device" in text) is not is_list
    assert (says or "story") in text
    assert text.count("never returns") == processes_in_all


def test_nothing_in_a_run_steers_the_terminal() -> None:
    evil = "\x1b[31m\x07\u202e\ud800[red]x[/red]"
    process = ProcessName(evil, 100)
    events: list[RunEvent] = [SignalGenerated(1, 0.0, process, 29, evil), LeaseRemoved(2, 0.0, evil)]
    result = replace(
        story(),
        scenario=evil,
        summary=evil,
        source=evil,
        reason=evil,
        verdict=Verdict.UNDETERMINED,
        processes=[process],
        events=events,
        violations=[],
        waiting=[evil],
    )
    text = drawn(result)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "[red]x[/red]" in text


def test_colour_marks_the_verdict_and_only_if_wanted() -> None:
    assert "\x1b[" not in drawn(story())
    coloured = drawn(story(), colour=True)
    assert "\x1b[1;31mviolated: \x1b[0m" in coloured
    assert "\x1b[1;35mSIGIO from file:100.2\x1b[0m" in coloured


def test_a_long_time_line_loses_its_middle() -> None:
    events = [SignalGenerated(number, 0.0, APP, 29, f"file:{number}") for number in range(3 * MOST_ROWS)]
    text = drawn(replace(story(), events=events, processes=[APP], waiting=[]))
    assert "file:0\n" in text
    assert f"file:{3 * MOST_ROWS - 1}\n" in text
    assert f"file:{MOST_ROWS}\n" not in text
    assert f"{3 * MOST_ROWS} rows; the {2 * MOST_ROWS} after the first {MOST_ROWS // 2} are not shown." in text


def test_a_run_that_was_stopped_says_of_nobody_that_it_never_returns() -> None:
    stopped = replace(story(), verdict=Verdict.UNDETERMINED, violations=[], waiting=[], reason="stopped")
    text = drawn(stopped, again="longpin replay x")
    assert "never returns" not in text
    assert "undetermined: stopped\n" in text
    assert "longpin replay x" not in text


def test_advice_stands_before_the_last_line() -> None:
    advice, observation, last = drawn(story(), again="longpin run x", advice="Hm.").splitlines()[-3:]
    assert (advice, observation.split()[0], last) == ("Hm.", "Observation", "longpin run x")


def test_the_line_to_paste_is_never_broken() -> None:
    again = "longpin replay " + "very/" * 40 + "long.trace"
    assert drawn(story(), 60, again).splitlines()[-1] == again


def test_a_call_is_one_row_if_nothing_happens_before_it_returns() -> None:
    first, second = call("a = dup(3)", 4), call("close(9)", -1, 9)
    found = list(
        rows(
            [
                entered(1, APP, first),
                returns(2, APP, first),
                entered(2, APP, second),
                LeaseRemoved(3, 0.0, "lease:x"),
                returns(4, APP, second),
            ]
        )
    )
    assert [(row.text, row.shape, row.failed) for row in found] == [
        ("a = dup(3) -> 4", Shape.ALONE, False),
        ("close(9)", Shape.BEGIN, False),
        ("lease:x is gone", Shape.ALONE, False),
        ("close -> EBADF", Shape.END, True),
    ]


def test_pins_of_two_sets_are_two_rows() -> None:
    found = [row.text for row in rows([pin(1, 0), pin(2, 1), pin(3, 0, "pmem:other")])]
    assert found == ["mr:100.1 pins blocks 0-1 of pmem:pmem0", "mr:100.1 pins block 0 of pmem:other"]


def test_a_lock_that_never_comes_is_told() -> None:
    read = call("read(fd, 1)", None)
    events: list[RunEvent] = [entered(1, APP, read), contends(2, APP, read, "the iolock")]
    assert [row.text for row in rows(events)] == ["read(fd, 1)", "waits for the iolock"]


@pytest.mark.parametrize(
    ("blocks", "text"),
    [((3,), "block 3"), ((0, 1, 2, 3), "blocks 0-3"), ((5, 0, 1, 9), "blocks 0-1, 5, 9"), ((2, 2), "block 2")],
)
def test_spans(blocks: tuple[int, ...], text: str) -> None:
    assert spans(blocks) == text


def test_fold_keeps_results_together_and_cuts_only_what_is_too_long() -> None:
    assert fold("fd = open(path, O_RDWR) → 4", 12) == ["fd = open(", "path,", "O_RDWR) → 4"]
    assert fold("fd = open(path, O_RDWR) → 4", 10) == ["fd = open(", "path,", "O_RDWR)", "→ 4"]
    assert fold("waits for it (block 0)", 15) == ["waits for it", "(block 0)"]
    assert fold("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]
    assert fold("漢字漢字", 4) == ["漢字", "漢字"]
    assert fold("", 4) == [""]


def test_printable_leaves_words_alone() -> None:
    assert printable("naïve 漢字") == "naïve 漢字"
    assert printable("a\nb\x1b") == "a\\nb\\x1b"


def test_json_is_one_line_of_ascii() -> None:
    file = io.StringIO()
    report: Report = JsonReport(file)
    report.show(replace(story(), scenario="é\x1b\ud800"))
    text = file.getvalue()
    assert text.isascii()
    assert text.count("\n") == 1
    found = json.loads(text)
    assert found["violations"] == [
        {"rule": "O3", "arrival": 25, "what": story().violations[0].detail, "site": story().violations[0].site}
    ]
    assert found["failure"]["what"] == story().violations[0].detail
    assert found["calls"][1] == {
        "process": "app",
        "line": 2,
        "call": "pause",
        "ret": -1,
        "errno": "EINTR",
        "blocked": True,
    }
    assert [
        found[key] for key in ("verdict", "arrivals", "seed", "policy", "engine", "oracle", "timers", "scenario")
    ] == [
        "violated",
        25,
        7,
        "P5:intended",
        "stepped",
        "fifo",
        "lazy",
        "é\x1b\ud800",
    ]
    assert found["hash"] == "0123456789abcdef" * 4
