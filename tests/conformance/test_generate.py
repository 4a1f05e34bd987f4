"""Random programs: valid, the same for the same seed everywhere, and of the kinds that matter."""

import os
import subprocess
import sys
from collections import Counter
from functools import cache

import pytest
from conformance.kinds import OPS as KINDS
from conformance.kinds import kinds_of_ops, programs_by_kind

from longpin.runner.conform.generate import EXPIRY, LEASE_BREAK_TIME, OF_A_FILE_SYSTEM, generate
from longpin.runner.conform.generate_storage import wants_storage
from longpin.runner.conform.generate_transfers import wants_transfers
from longpin.runner.conform.generate_uring import wants_rings
from longpin.runner.conform.ops import OPS
from longpin.runner.conform.program import ConformProgram, dump_program, mistakes, parse_program
from longpin.runner.conform.shrink import shrink


@cache
def programs() -> list[ConformProgram]:
    """Return many programs, made when the first test asks for them."""
    return [generate(seed, index) for seed in (1, 2) for index in range(1000)]


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.heavy)])
def test_every_program_is_valid_and_survives_a_file(every: int) -> None:
    for program in programs()[::every]:
        assert not mistakes(program.ops)
        assert parse_program(dump_program(program)) == program


def test_a_program_depends_on_seed_and_index_alone() -> None:
    code = "from longpin.runner.conform.generate import generate as g\nfor i in (0, 7, 999): print(g(1, i).ops)"
    for hashseed in ("0", "77"):
        environment = os.environ | {"PYTHONHASHSEED": hashseed}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [str(programs()[index].ops) for index in (0, 7, 999)]
    assert len({str(program.ops) for program in programs()}) > 0.99 * len(programs())


def test_what_matters_is_frequent() -> None:
    ops = Counter(op.op for program in programs() for op in program.ops)
    assert set(ops) >= set(OPS) - OF_A_FILE_SYSTEM
    numbers = {program.id: [int(number) for number in program.id.split("-")[1:]] for program in programs()}
    others = {
        name
        for name, its in numbers.items()
        if any(wants(*its) for wants in (wants_storage, wants_transfers, wants_rings))
    }
    about_leases = [program for program in programs() if program.id not in others]
    with_lease = [program for program in about_leases if any(op.op == "setlease" for op in program.ops)]
    assert len(with_lease) > 0.98 * len(about_leases) > 0.85 * len(programs())

    def share(*names: str) -> float:
        return sum(any(op.op in names for op in program.ops) for program in about_leases) / len(about_leases)

    for names, least in (
        (("fork",), 0.15),
        (("dup",), 0.25),
        (("sendfd",), 0.14),
        (("setown",), 0.15),
        (("setsig",), 0.4),
        (("chown", "setuid", "setfsuid"), 0.15),
        (("truncate",), 0.15),
        (("interrupt",), 0.25),
        (("kill", "exit"), 0.05),
    ):
        assert share(*names) > least, names
    assert {len(program.processes()) for program in programs()} >= {2, 3, 4, 5}
    assert max(len(program.processes()) for program in programs()) <= 11


def test_nothing_has_two_right_answers() -> None:
    def ops(program: ConformProgram) -> set[str]:
        return {op.op for op in program.ops}

    for program in programs():
        assert not ({"kill", "exit"} & ops(program) and "sendfd" in ops(program))
        if any(op.args.get("touch") for op in program.ops):
            assert not {"truncate", "ftruncate"} & ops(program)
            flags = [set(op.args["flags"].split("|")) for op in program.ops if op.op in ("open", "reopen")]
            assert not any("O_TRUNC" in some and "O_PATH" not in some for some in flags)
        slept = {op.args["ms"] for op in program.ops if op.op == "sleep"}
        assert slept <= {EXPIRY}
        assert EXPIRY > LEASE_BREAK_TIME * 1000 + 100
        assert program.timed == bool(slept)


def test_few_programs_take_seconds() -> None:
    assert 0 < sum(program.timed for program in programs()) < 0.03 * len(programs())


def test_every_kind_of_op_is_generated() -> None:
    """As often as it takes for some programs in 2,000."""
    found = programs_by_kind(kinds_of_ops(program) for program in programs())
    assert {kind: found[kind] for kind in KINDS if found[kind] < 5} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_op_shrinks(kind: str) -> None:
    """To that op, and to those that make what it uses."""

    def disagrees(program: ConformProgram) -> bool:
        return kind in kinds_of_ops(program)

    small = shrink(next(program for program in programs() if disagrees(program)), disagrees)
    [last] = [op for op in small.ops if KINDS[kind](op)]
    assert last == small.ops[-1]
    assert len(small.ops) <= 3
    assert not mistakes(small.ops)
