"""Free runs without a kernel: outcomes as values, what cannot be seen of them, and the random scenarios."""

import subprocess
import sys

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner.races.encode import encode
from longpin.runner.races.free import FreeRuns, _AnswerReader
from longpin.runner.races.generate import generate
from longpin.runner.races.offers import refuse
from longpin.runner.races.outcome import (
    NEVER,
    CallOutcome,
    EndKind,
    HandlerOutcome,
    History,
    ProcessEnd,
    outcome_of,
    result_of,
    settle,
)

EXITED, KILLED = ProcessEnd(EndKind.EXITED, 0), ProcessEnd(EndKind.KILLED, 29)


def told(*steps: str) -> History:
    """Return a history: ``5`` begins line 5, ``=3`` returns 3, ``+10`` enters a handler, ``-`` leaves it.

    ``~3`` returns 3 while a signal is pending, ``!`` stops the process.
    """
    history = History(100, "p")
    for step in steps:
        match step[0]:
            case "=":
                history.call_returns(step[1:])
            case "~":
                history.call_returns(step[1:], signal_pending=True)
            case "!":
                history.stops()
            case "+":
                history.handler_begins(int(step[1:]), -1)
            case "-":
                history.handler_returns()
            case _:
                history.call_begins(int(step))
    return history


def calls(*pairs: tuple[int, str]) -> tuple[CallOutcome, ...]:
    return tuple(CallOutcome(line, result) for line, result in pairs)


def test_a_history_is_split_into_programs() -> None:
    [outcome] = told("1", "=3", "2", "+10", "7", "+12", "8", "=0", "-", "=0", "-", "=EINTR", "3", "=0").outcomes(EXITED)
    assert outcome.calls == calls((1, "3"), (2, "EINTR"), (3, "0"))
    assert outcome.handlers == (
        HandlerOutcome(10, -1, calls((7, "0"))),
        HandlerOutcome(12, -1, calls((8, "0"))),
    )


def test_handlers_are_in_the_order_of_their_first_calls_and_idle_ones_by_number() -> None:
    """Of two signals that are taken at once, the handler of the last runs first: which was entered, nobody can tell."""
    [one] = told("1", "=0", "+10", "+29", "8", "=0", "-", "7", "=0", "-", "+12", "-", "+5", "-").outcomes(EXITED)
    [other] = told("1", "=0", "+29", "+5", "-", "8", "=0", "-", "+10", "7", "=0", "-", "+12", "-").outcomes(EXITED)
    assert one == other
    assert [handler.signo for handler in one.handlers] == [29, 10, 5, 12]


def test_what_a_deadly_signal_cut_off_is_not_part_of_an_outcome() -> None:
    """Whether the kernel made the call, or would have returned what, no process can see."""
    [begun] = told("1", "=3", "2").outcomes(KILLED)
    returned, unseen = told("1", "=3", "2", "=0").outcomes(KILLED)
    not_begun, earlier = told("1", "=3").outcomes(KILLED)
    assert begun == unseen == not_begun
    assert returned.calls == calls((1, "3"), (2, "0"))
    assert earlier.calls == ()
    assert told("1", "=3", "2", "=0").outcomes(EXITED)[0] == settle(
        100, "p", list(calls((1, "3"), (2, "0"))), [], EXITED
    )


def test_what_returns_while_a_signal_is_pending_is_not_seen_before_the_signal() -> None:
    """It is unless the signal has a handler, whose frame holds the result, or the process was continued."""
    stopped = ProcessEnd(EndKind.STOPPED)
    [unseen] = told("1", "=3", "2", "~0", "!").outcomes(stopped)
    assert unseen.calls == calls((1, "3"))
    assert told("1", "=3", "2", "~0").outcomes(KILLED) == (settle(100, "p", list(unseen.calls), [], KILLED),)
    assert len(told("1", "=3", "2", "=0", "!").outcomes(stopped)) == 2
    assert len(told("1", "=3", "2", "~0", "!", "!").outcomes(stopped)) == 2
    assert len(told("1", "=3", "2", "~0", "+10", "!").outcomes(stopped)) == 2
    [handled] = told("1", "=3", "2", "~0", "+10", "7", "!").outcomes(stopped)
    assert handled.calls == calls((1, "3"), (2, "0"))


def test_a_handler_that_saw_nothing_may_not_have_begun() -> None:
    [idle, _] = told("1", "=3", "+10").outcomes(KILLED)
    [cut] = told("1", "=3", "+10", "7").outcomes(KILLED)
    seen, unseen = told("1", "=3", "+10", "7", "=0").outcomes(KILLED)
    assert idle == cut == unseen
    assert seen.handlers == (HandlerOutcome(10, -1, calls((7, "0"))),)


def test_a_process_that_sleeps_is_told_with_what_it_sleeps_in() -> None:
    [outcome] = told("1", "=3", "2").outcomes(ProcessEnd(EndKind.ASLEEP))
    assert outcome.calls == calls((1, "3"), (2, NEVER))


@pytest.mark.parametrize(
    ("ret", "errno", "expected"),
    [(3, 0, "3"), (-1, 4, "EINTR"), (-1, 11, "EAGAIN"), ("b'x'", 0, "b'x'"), (None, 0, NEVER), (-1, 999, "999")],
)
def test_results_are_those_of_a_call_record(ret: int | str | None, errno: int, expected: str) -> None:
    assert result_of(ret, errno) == expected


def test_outcomes_are_values_that_can_be_sorted_and_shown() -> None:
    [p] = told("1", "=3", "2", "+10", "7", "=0", "-", "=EINTR").outcomes(EXITED)
    [q] = told("1").outcomes(ProcessEnd(EndKind.STOPPED))
    outcome = outcome_of([p, settle(101, "q", [], [], KILLED)])
    assert outcome == outcome_of([settle(101, "q", [], [], KILLED), p])
    assert sorted([outcome_of([p]), outcome_of([q])])
    assert outcome.describe().splitlines() == [
        "p (100) exits with 0",
        "  line 1 → 3",
        "  line 2 → EINTR",
        "  SIGUSR1:",
        "    line 7 → 0",
        "q (101) is killed by SIGIO",
    ]


# What the runner writes.

TEXT = """
name = "two"
policy = "P0"
[[process]]
name = "p"
program = '''
getpid()
pause()
'''
on_signal.SIGUSR1 = '''
access("/f")
'''
[[process]]
name = "q"
program = '''
kill("p", SIGUSR1)
'''
"""


def read(*lines: str) -> FreeRuns:
    return _AnswerReader(encode(parse_scenario(TEXT, "two.toml"))).read(iter(f"{line}\n" for line in lines))


def test_lines_of_the_runner_are_read_and_counted() -> None:
    first = (
        "run 0 100 0 1 1 0 2 0 0 0 2 0 =100 1 !4 10 -1 1 1 0 !2 101 1 1 1 3 1 0 0 2 1 0 =0 | 5 6 7 90 20 80 30 70 10 15"
    )
    again = "run 7 101 1 1 1 3 1 0 0 2 1 0 =0 100 0 1 1 0 2 0 0 0 2 0 =100 1 !4 10 -1 1 1 0 !2 | 1 2 3 4 5 6 7 8 9 10"
    asleep = "run 8 100 0 1 4 0 1 0 0 0 2 0 =100 1 ? 101 1 1 2 9 1 0 0 2 0 | 1 2 3 0"
    found = read(first, again, asleep, "long 9", "run 10 100 0 1 5 0 1 0 0 0 0 | ")
    assert (found.runs, found.lost.total(), len(found.outcomes)) == (3, 2, 2)
    (outcome, example), (other, _) = found.outcomes.items()
    assert example.count == 2
    assert example.run == 0
    assert outcome.describe().splitlines() == [
        "p (100) exits with 0",
        "  getpid() → 100",
        "  pause() → EINTR",
        "  SIGUSR1:",
        '    access("/f") → ENOENT',
        "q (101) exits with 3",
        '  kill("p", SIGUSR1) → 0',
    ]
    assert [event.text for event in example.events][3:6] == [
        'kill("p", SIGUSR1)',
        'kill("p", SIGUSR1) → 0',
        "SIGUSR1: its handler begins",
    ]
    assert "     0.005  p  getpid()" in example.describe()
    assert [str(process.end) for process in other.processes] == ["sleeps for ever", "is killed by SIGKILL"]
    assert other.processes[0].calls[1].result == NEVER


# Random scenarios.


def test_a_random_scenario_depends_on_nothing_but_seed_and_index() -> None:
    code = "from longpin.runner.races.generate import generate; print(generate(3, 4), end='')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": "5"})
    assert done.stdout == generate(3, 4)
    assert generate(3, 5) != generate(3, 4) != generate(4, 4)


def test_random_scenarios_can_be_run_and_have_all_that_races() -> None:
    seen: dict[str, int] = {}
    for index in range(200):
        scenario = parse_scenario(generate(1, index), f"random-{index}.toml")
        refuse(scenario, f"random-{index}.toml")
        assert 2 <= len(scenario.processes) <= 3
        for process in scenario.processes:
            ops = process.program.operations()
            assert len(ops) <= 8
            for name in ("handler" for _ in process.on_signal):
                seen[name] = seen.get(name, 0) + 1
            for op in ops:
                seen[op.call] = seen.get(op.call, 0) + 1
    wanted = {
        "open", "truncate", "dup", "close", "fcntl", "kill", "sigprocmask", "sigsuspend", "sigaction", "send_fd",
        "recv_fd", "fork", "waitpid", "label", "wait_for", "getpid", "access", "pause", "exit", "handler",
    }  # fmt: skip
    assert wanted <= set(seen), wanted - set(seen)
