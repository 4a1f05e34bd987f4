"""The program format and the comparison: what is read and what refused, and what counts as a difference."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conformance.conftest import RECORDED

from longpin.runner.conform.outcome import LockLine, OpResult, ProgramOutcome, SeenSignal, Unblocked, compare
from longpin.runner.conform.program import (
    ProgramError,
    dump_program,
    load_programs,
    make_op,
    mistakes,
    parse_program,
)

OPEN = ["A", "open", {"path": "f", "flags": "O_RDONLY", "as": "a"}]


def line(*ops: Any, **more: Any) -> str:
    return json.dumps({"id": "x", "program": list(ops)} | more)


def error(text: str | bytes) -> str:
    with pytest.raises(ProgramError) as raised:
        parse_program(text)
    return str(raised.value)


def test_the_recorded_programs_survive_a_round_trip(recorded: dict[str, Path]) -> None:
    for name, count in RECORDED.items():
        programs = load_programs(recorded[name])
        assert len(programs) == count
        for program in programs:
            assert parse_program(dump_program(program)) == program
            assert program.result is not None
            assert program.kernel.startswith("6.18")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected a JSON object"),
        ("[]", "expected a JSON object, found list"),
        ("[" * 100_000, "expected a JSON object"),
        (b"\xff\xfe", "expected a JSON object"),
        ("9" * 5000, "expected a JSON object, found Exceeds the limit (4300 digits) for integer string conversion"),
        ('{"id": 1, "program": []}', "id: expected text, found 1"),
        ('{"id": "x"}', "program: expected an array of ops, found None"),
        (line(["A", "open"]), "op 0: expected [process, op, arguments], found list"),
        (line(["A", "jump", {}]), "op 0: expected an op (access, advise, chmod"),
        (line(["*", "open", {"path": "f", "flags": "O_RDONLY", "as": "a"}]), "open: expected a process, found '*'"),
        (line(["A", "create", {"path": "f"}]), "create: expected the coordinator *, found 'A'"),
        (line(["a b", "getpid", {}]), "expected a process's name such as A, found 'a b'"),
        (line(["A", "open", {"path": "f", "as": "a"}]), "open: expected flags, flags of open(2) such as"),
        (line(["A", "open", {"path": "f", "flags": "O_FAST", "as": "a"}]), "to be flags of open(2)"),
        (line(["*", "create", {"path": "../etc/passwd"}]), "to be a plain file name, found"),
        (line(["*", "create", {"path": ".."}]), "to be a plain file name"),
        (line(["*", "create", {"path": "f\0"}]), "to be a plain file name"),
        (line(["*", "create", {"path": "f", "size": 1 << 40}]), "to be a length of 0 to 16 MiB"),
        (line(["*", "create", {"path": "f", "mode": True}]), "to be a mode of 0 to 0777 (511), or a number that"),
        (line(["A", "getpid", {"loud": 1}]), "getpid: expected no arguments, found 'loud'"),
        (line(["A", "close", {"fd": "a"}]), "op 0: no op makes a descriptor 'a'"),
        (line(OPEN, ["A", "fork", {"as": "A"}]), "op 1: process 'A' is there before it is forked"),
        (line(*[["A", "getpid", {}]] * 300), "expected at most 200 ops"),
        (line(*[["*", "sleep", {"ms": 100_000}]] * 2), "expected sleeps of at most 120000 ms together, found 200000"),
        (line(OPEN, result=[]), "result: expected one object for each of the 1 ops, found 0"),
        (line(OPEN, result=[{"ret": 1.5, "errno": None}]), "result[0].ret: expected"),
        (line(OPEN, pace_ms=-1), "pace_ms: expected milliseconds from 0 to 10000, found -1"),
    ],
)
def test_a_mistake_is_told_in_one_line(text: str | bytes, said: str) -> None:
    told = error(text)
    assert said in told
    assert len(told.splitlines()) == 1
    assert len(told) < 1000


def test_a_file_tells_line_by_line_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    path.write_text("\n".join([line(OPEN), "", "{", line(["A", "jump", {}])]) + "\n")
    with pytest.raises(ProgramError) as raised:
        load_programs(path)
    assert [text.split(" ")[0] for text in str(raised.value).splitlines()] == [f"{path}:3:", f"{path}:4:"]


def test_a_file_of_nothing_but_mistakes_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    path.write_text("{\n" * 100_000)
    with pytest.raises(ProgramError) as raised:
        load_programs(path)
    assert len(str(raised.value).splitlines()) <= 21


def test_what_could_be_waited_for_for_ever_is_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "programs.jsonl"
    os.mkfifo(pipe)
    with pytest.raises(ProgramError, match=f"^{pipe}: expected a regular file, or - for standard input$"):
        load_programs(pipe)


def test_a_name_that_only_another_process_has_is_valid() -> None:
    assert not mistakes(
        (make_op("A", "open", {"path": "f", "flags": "O_PATH", "as": "a"}), make_op("B", "close", fd="a"))
    )


def test_timed_programs_are_those_in_which_a_break_time_can_run_out() -> None:
    def timed(*ops: Any) -> bool:
        return parse_program(line(*ops)).timed

    def sysctl(seconds: int) -> list[Any]:
        return ["*", "sysctl", {"lease_break_time": seconds}]

    assert timed(sysctl(1))
    assert timed(sysctl(45), ["*", "sleep", {"ms": 50_000}])
    assert not timed(sysctl(45), ["*", "sleep", {"ms": 50}])
    assert not timed(sysctl(0), ["*", "sleep", {"ms": 2500}])


SIGNAL = SeenSignal("SIGIO", "SI_KERNEL", 0, 0)
LOCKS = (LockLine("ACTIVE", "READ", "A", "f"), LockLine("ACTIVE", "READ", "B", "f"))
BASE = OpResult(ret=3)


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("ret", replace(BASE, ret=4)),
        ("errno", replace(BASE, errno="EAGAIN")),
        ("blocked", replace(BASE, blocked=True)),
        ("skipped", replace(BASE, skipped="no fd a")),
        ("unblocked", replace(BASE, unblocked=(Unblocked(0, "B", 3, None),))),
        ("signals", replace(BASE, signals={"A": (SIGNAL,)})),
        ("locks", replace(BASE, locks=LOCKS)),
    ],
)
def test_every_part_that_is_compared_makes_a_difference(key: str, changed: OpResult) -> None:
    for one, other in ((BASE, changed), (changed, BASE)):
        [difference] = compare(ProgramOutcome((BASE, one)), ProgramOutcome((BASE, other)))
        assert (difference.step, difference.key) == (1, key)


def test_what_is_not_compared_makes_none() -> None:
    calls = (Unblocked(1, "B", 3, None), Unblocked(2, "C", 3, None))
    one = OpResult(ret=0, unblocked=calls, locks=LOCKS, wait_channel="__break_lease", signals={"A": (SIGNAL,), "B": ()})
    other = OpResult(ret=0, unblocked=calls[::-1], locks=LOCKS[::-1], signals={"A": (SIGNAL,)})
    assert compare(ProgramOutcome((one,), ((0, "A"),)), ProgramOutcome((other,))) == []
    gone, dead = OpResult(skipped="proc gone"), OpResult(skipped="proc A is dead")
    assert compare(ProgramOutcome((gone,)), ProgramOutcome((dead,))) == []


def test_the_order_of_signals_and_the_length_count() -> None:
    two = (SIGNAL, SeenSignal("SIGRT1", "POLL_MSG", 3, 1089))
    assert compare(
        ProgramOutcome((OpResult(signals={"A": two}),)), ProgramOutcome((OpResult(signals={"A": two[::-1]}),))
    )
    assert compare(ProgramOutcome((BASE, BASE)), ProgramOutcome((BASE,)))[0].key == "results"
