"""The recorded programs on signals and arguments: small, and of every kind there is."""

from pathlib import Path

from conformance.kinds import OPS, RESULTS, kinds_of_ops, kinds_of_results, programs_by_kind
from conformance.program_tables import BY_HAND

from longpin.runner.conform.program import load_programs


def test_every_kind_of_op_and_of_result_is_recorded(recorded: dict[str, Path]) -> None:
    programs = load_programs(recorded["kernel_signals"])
    found = programs_by_kind([*kinds_of_ops(program), *kinds_of_results(program)] for program in programs)
    assert set(found) == {*OPS, *RESULTS}
    assert [kind for kind, count in found.items() if not count] == []


def test_each_program_is_small_and_says_what_it_shows(recorded: dict[str, Path]) -> None:
    programs = load_programs(recorded["kernel_signals"])
    assert len({program.id for program in programs}) == len(programs)
    assert len({str(program.ops) for program in programs}) == len(programs)
    for program in programs:
        if program.id in BY_HAND:
            assert [[op.proc, op.op, dict(op.args)] for op in program.ops] == BY_HAND[program.id]
        else:
            assert len(program.ops) <= 12, program.id
            assert program.id.rpartition(": ")[0] in {*OPS, *RESULTS}
    assert {program.id for program in programs} >= BY_HAND.keys()
