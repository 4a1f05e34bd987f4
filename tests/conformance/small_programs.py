"""Writes small programs that together show every kind of op and of result: what ``kernel_signals.jsonl`` is made from.

python tests/conformance/small_programs.py > small.jsonl
longpin conform --live --program small.jsonl --record tests/data/kernel_signals.jsonl

They are those of ``program_tables.py``, and random programs, each shrunk to the fewest ops of which one comes out in a
certain way on the emulated kernel. What is recorded is what the real kernel answers.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.kinds import OPS, RESULTS, Before
from conformance.program_tables import BY_HAND

from longpin.runner.conform.emulated import EmulatedRunner
from longpin.runner.conform.generate import generate
from longpin.runner.conform.outcome import OpResult
from longpin.runner.conform.program import ConformOp, ConformProgram, dump_program, make_op
from longpin.runner.conform.shrink import shrink

SEED, PROGRAMS = 1, 2000
MOST_OF_OPS, MOST_OF_RESULTS = 4, 8
"""In how many ways each kind is shown."""
TRIES = 300

Feature = tuple[str, str]
"""A kind, and how it came out."""


def came_out(op: ConformOp, result: OpResult) -> str:
    """Return how an op came out, roughly."""
    what = result.errno or ("blocks" if result.blocked else "ok")
    return f"{op.op} {what}" if result.ret is not None or result.blocked else f"{op.op} does not return"


def features(program: ConformProgram) -> Iterator[Feature]:
    """Yield what a program shows, with its result."""
    assert program.result is not None
    before = Before()
    for op, result in zip(program.ops, program.result.results, strict=True):
        if result.skipped is None:
            yield from ((kind, came_out(op, result)) for kind, matches in OPS.items() if matches(op))
        yield from ((kind, came_out(op, result)) for kind, matches in RESULTS.items() if matches(op, result, before))
        before.note(op, result)


def small_programs() -> Iterator[ConformProgram]:
    """Yield the programs: each shows something that none before it was made to show."""
    for name, ops in BY_HAND.items():
        yield ConformProgram(name, tuple(make_op(*op) for op in ops), pace=0)
    runner = EmulatedRunner()
    shown: set[Feature] = set()
    of_kind: Counter[str] = Counter()
    written: set[str] = set()

    def run(program: ConformProgram) -> ConformProgram:
        return replace(program, result=runner.run(program))

    for index in range(PROGRAMS):
        program = run(generate(SEED, index))
        for feature in dict.fromkeys(features(program)):
            kind, how = feature
            if feature in shown or of_kind[kind] >= (MOST_OF_OPS if kind in OPS else MOST_OF_RESULTS):
                continue
            small = shrink(program, lambda it, wanted=feature: wanted in features(run(it)), tries=TRIES)  # type: ignore[misc]
            shown.add(feature)
            of_kind[kind] += 1
            text = str([str(op) for op in small.ops])
            if text not in written:
                written.add(text)
                yield replace(small, id=f"{kind}: {how}", result=None)


if __name__ == "__main__":
    for made in small_programs():
        sys.stdout.write(f"{dump_program(made)}\n")
        sys.stdout.flush()
