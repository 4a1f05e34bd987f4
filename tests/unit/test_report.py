"""Reports: what a result looks like to people and to programs."""

import io
import json
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from longpin.actors.process.facts import CallRecord
from longpin.actors.process.program import Op
from longpin.runner.report import Report
from longpin.runner.report.as_json import JsonReport
from longpin.runner.report.console import MOST_ROWS, ConsoleReport
from longpin.runner.report.lanes import fold
from longpin.runner.report.rows import Shape, printable, rows, spans
from longpin.runner.result import CallResult, Kind, Moment, Result, Verdict, Violation

APP, TRUNCATER = "app (100)", "truncater (101)"


def call(text: str, ret: int | str | None = 0, errno: int = 0) -> CallRecord:
    """Make the record of a call that returned ``ret``; None: it never did."""
    left, equals, right = text.partition("=")
    name = (right if equals else left).strip().partition("(")[0]
    op = Op(1, text, name, (), left.strip() if equals else None)
    return CallRecord(op, ret, errno, returned=ret is not None)


def at(arrival: int, lane: str, kind: Kind, about: CallRecord | str, now: float = 0.0) -> Moment:
    """Make a moment; a record without a text is enough for calls and returns."""
    if isinstance(about, CallRecord):
        return Moment(arrival, now, lane, kind, about.op.text, about)
    return Moment(arrival, now, lane, kind, about)


def pin(arrival: int, block: int, place: str = "of pmem:pmem0") -> Moment:
    return Moment(arrival, 0.0, "", Kind.DEVICE, "mr:100.1 pins", blocks=(block,), place=place)


def story() -> Result:
    """Return a run in which a truncate waits for a lease until its time is over, and then for a pin for ever."""
    opened = call('fd  = open("/pmem/data", O_RDWR)', 4)
    registered = call("mr = ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)")
    wait, label = call('wait_for("registered")'), call('label("registered")')
    pause = call("pause()", -1, 4)
    truncate = call('truncate("/pmem/data", 0)', None)
    asleep = replace(at(22, TRUNCATER, Kind.SLEEP, "lease:100.2 to be given up"), record=truncate)
    moments = [
        at(1, APP, Kind.CALL, opened),
        at(1, APP, Kind.RETURN, opened),
        at(2, TRUNCATER, Kind.CALL, wait),
        replace(at(3, TRUNCATER, Kind.SLEEP, "label 'registered'"), record=wait),
        at(4, APP, Kind.CALL, registered),
        pin(5, 0),
        pin(6, 1),
        pin(7, 3),
        at(8, APP, Kind.RETURN, registered),
        at(8, APP, Kind.CALL, label),
        at(9, APP, Kind.RETURN, label),
        at(9, APP, Kind.CALL, pause),
        replace(at(9, APP, Kind.SLEEP, "a signal"), record=pause),
        at(10, TRUNCATER, Kind.RETURN, wait),
        at(10, TRUNCATER, Kind.CALL, truncate),
        replace(at(11, TRUNCATER, Kind.LOCK, "flc_lock"), record=truncate),
        at(20, "", Kind.KERNEL, "lease:100.2 is broken (unlock), 45 s to answer"),
        at(21, APP, Kind.TOLD, "SIGIO from file:100.2"),
        at(21, APP, Kind.RETURN, pause),
        at(21, APP, Kind.SIGNAL, "SIGIO (si_fd 4): its handler runs"),
        asleep,
        at(23, "", Kind.TIME, "it is 45 s now", 45.0),
        at(23, APP, Kind.END, "exits with 0", 45.0),
        replace(asleep, arrival=24, now=45.0),
        replace(asleep, arrival=25, now=45.0, text="page 0, pinned by mr:100.1"),
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
        moments,
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
judged by: O1, O3, O6, O7
25 arrivals, seed 7, hash 0123456789abcdef
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
    lines = drawn(story(), width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert any("pause" in line for line in lines)


def test_wide_console_needs_no_second_lines() -> None:
    text = drawn(story(), 200)
    assert "mr = ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)" in text
    assert "waits for page 0, pinned by mr:100.1" in text


@pytest.mark.parametrize(
    ("count", "says"), [(8, None), (9, "9 processes do not fit"), (61, "61 processes side by side")]
)
def test_many_processes_are_a_list(count: int, says: str | None) -> None:
    lanes = [f"p{number} ({100 + number})" for number in range(count)]
    moments = [at(number + 1, lane, Kind.CALL, call("pause()", None)) for number, lane in enumerate(lanes)]
    text = drawn(replace(story(), lanes=lanes, moments=moments), 200)
    is_list = [line.split()[1:] for line in text.splitlines()].count(["p1", "(101)", "pause()"]) == 1
    assert is_list is (says is not None)
    assert ("kernel and device" in text) is not is_list
    assert (says or "story") in text
    assert text.count("never returns") == count


def test_nothing_in_a_run_steers_the_terminal() -> None:
    evil = "\x1b[31m\x07\u202e\ud800[red]x[/red]"
    moments = [at(1, evil, Kind.TOLD, evil), at(2, "", Kind.KERNEL, evil)]
    result = replace(
        story(),
        scenario=evil,
        summary=evil,
        source=evil,
        reason=evil,
        verdict=Verdict.UNDETERMINED,
        lanes=[evil],
        moments=moments,
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
    moments = [at(number, APP, Kind.TOLD, f"event {number}") for number in range(3 * MOST_ROWS)]
    text = drawn(replace(story(), moments=moments, lanes=[APP], waiting=[]))
    assert "event 0\n" in text
    assert f"event {3 * MOST_ROWS - 1}\n" in text
    assert f"event {MOST_ROWS}\n" not in text
    assert f"{3 * MOST_ROWS} rows; the {2 * MOST_ROWS} after the first {MOST_ROWS // 2} are not shown." in text


def test_a_run_that_was_stopped_says_of_nobody_that_it_never_returns() -> None:
    stopped = replace(story(), verdict=Verdict.UNDETERMINED, violations=[], waiting=[], reason="stopped")
    text = drawn(stopped, again="longpin replay x")
    assert "never returns" not in text
    assert "undetermined: stopped\n" in text
    assert "longpin replay x" not in text


def test_advice_stands_before_the_last_line() -> None:
    assert drawn(story(), again="longpin run x", advice="Hm.").endswith("\nHm.\nlongpin run x\n")


def test_the_line_to_paste_is_never_broken() -> None:
    again = "longpin replay " + "very/" * 40 + "long.trace"
    assert drawn(story(), 60, again).splitlines()[-1] == again


def test_a_call_is_one_row_if_nothing_happens_before_it_returns() -> None:
    first, second = call("a = dup(3)", 4), call("close(9)", -1, 9)
    found = list(
        rows(
            [
                at(1, APP, Kind.CALL, first),
                at(2, APP, Kind.RETURN, first),
                at(2, APP, Kind.CALL, second),
                at(3, "", Kind.KERNEL, "x"),
                at(4, APP, Kind.RETURN, second),
            ]
        )
    )
    assert [(row.text, row.shape, row.failed) for row in found] == [
        ("a = dup(3) -> 4", Shape.ALONE, False),
        ("close(9)", Shape.BEGIN, False),
        ("x", Shape.ALONE, False),
        ("close -> EBADF", Shape.END, True),
    ]


def test_pins_of_two_sets_are_two_rows() -> None:
    found = [row.text for row in rows([pin(1, 0), pin(2, 1), pin(3, 0, "of pmem:other")])]
    assert found == ["mr:100.1 pins blocks 0-1 of pmem:pmem0", "mr:100.1 pins block 0 of pmem:other"]


def test_a_lock_that_never_comes_is_told() -> None:
    read = call("read(fd, 1)", None)
    moments = [at(1, APP, Kind.CALL, read), replace(at(2, APP, Kind.LOCK, "the iolock"), record=read)]
    assert [row.text for row in rows(moments)] == ["read(fd, 1)", "waits for the iolock"]


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
