"""Shrinking: small, still disagreeing, within its bounds, and the same every time."""

from collections.abc import Callable
from itertools import islice

import pytest

from longpin.runner.conform.generate import generate
from longpin.runner.conform.program import ConformOp, ConformProgram, mistakes
from longpin.runner.conform.shrink import shrink, sort_key

Predicate = Callable[[ConformProgram], bool]


def has(*wanted: str) -> Predicate:
    """Whether ops occur in this order, not necessarily one after the other."""

    def disagrees(program: ConformProgram) -> bool:
        names = iter(op.op for op in program.ops)
        return all(any(name == one for name in names) for one in wanted)

    return disagrees


def dup_then_lease_by_another(program: ConformProgram) -> bool:
    """A bug that needs two processes and an argument: one dups, later another asks for a write lease."""
    dups = [(step, op.proc) for step, op in enumerate(program.ops) if op.op == "dup"]
    return any(
        op.op == "setlease" and op.args["type"] == "WR" and any(step < at and op.proc != who for step, who in dups)
        for at, op in enumerate(program.ops)
    )


def found_by(disagrees: Predicate, count: int) -> list[ConformProgram]:
    generated = (generate(3, index) for index in range(3000))
    programs = list(islice(filter(disagrees, generated), count))
    assert len(programs) == count
    return programs


@pytest.mark.parametrize(
    ("disagrees", "most"),
    [(has("getlease"), 2), (has("dup", "close"), 3), (has("truncate"), 1), (dup_then_lease_by_another, 4)],
)
def test_what_is_left_is_small_and_still_disagrees(disagrees: Predicate, most: int) -> None:
    for program in found_by(disagrees, 5):
        small = shrink(program, disagrees)
        assert disagrees(small)
        assert not mistakes(small.ops)
        assert sort_key(small) <= sort_key(program)
        assert len(small.ops) <= most
        assert shrink(small, disagrees) == small


def test_names_and_arguments_become_plain() -> None:
    [program] = found_by(has("open", "setlease"), 1)
    small = shrink(program, has("open", "setlease"))
    assert small.ops == (
        ConformOp("A", "open", {"path": "f", "flags": "O_RDONLY", "as": "a"}),
        ConformOp("A", "setlease", {"fd": "a", "type": "RD"}),
    )


def test_it_asks_no_more_than_it_may() -> None:
    [program] = found_by(has("open"), 1)
    asked = []

    def count(candidate: ConformProgram) -> bool:
        asked.append(candidate)
        return False

    assert shrink(program, count, tries=7) == program
    assert len(asked) == 7
    asked.clear()
    assert shrink(program, count, seconds=0.0) == program
    assert not asked


def test_no_candidate_is_asked_about_twice() -> None:
    [program] = found_by(has("dup", "close"), 1)
    asked: list[str] = []

    def disagrees(candidate: ConformProgram) -> bool:
        asked.append(str([str(op) for op in candidate.ops]))
        return has("dup", "close")(candidate)

    shrink(program, disagrees)
    assert len(asked) == len(set(asked))
