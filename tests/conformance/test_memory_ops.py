"""Ops on memory: the emulated kernel does what Linux 6.18 was recorded to do, with every call and flag among it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conformance.memory_tables import programs

from longpin.runner.conform.check import Agreement, check_one
from longpin.runner.conform.emulated import EmulatedRunner
from longpin.runner.conform.generate import generate
from longpin.runner.conform.host import HostRunner
from longpin.runner.conform.memory_ops import ADVICE, MAP_FLAGS, PROTECTIONS, REMAP_FLAGS, RULES, SYNC_FLAGS
from longpin.runner.conform.program import dump_program, load_programs, parse_program

RECORDED = load_programs(Path(__file__).parents[1] / "data" / "kernel_memory.jsonl")


@pytest.mark.parametrize("part", range(8))
def test_the_emulated_kernel_does_what_linux_did(part: int) -> None:
    runner = EmulatedRunner()
    for program in RECORDED[part::8]:
        verdict = check_one(program, None, runner)
        assert verdict.agreement is Agreement.AGREES, (program.id, [str(each) for each in verdict.differences])


def test_the_file_is_what_the_tables_say() -> None:
    """``python tests/conformance/memory_tables.py``, and ``longpin conform --live --program ... --record ...``."""
    assert [(program.id, program.ops) for program in RECORDED] == [(each.id, each.ops) for each in programs()]


def test_every_op_every_flag_and_every_end_is_recorded() -> None:
    seen: Counter[str] = Counter()
    errnos: dict[str, set[str | None]] = {}
    for program in RECORDED:
        assert program.result is not None
        for op, result in zip(program.ops, program.result.results, strict=True):
            if op.op in RULES:
                errnos.setdefault(op.op, set()).add(result.errno)
            seen.update(str(op.args.get("flags", "")).split("|"))
            seen.update((op.args.get("prot", ""), op.args.get("advice", "")))
    assert set(seen) >= {*ADVICE, *MAP_FLAGS, *PROTECTIONS, *REMAP_FLAGS, *SYNC_FLAGS}
    assert errnos.keys() == RULES.keys()
    assert {None, "EFAULT", "EINVAL", "ENOMEM"} <= errnos["remap"]
    assert {None, "EACCES", "EINVAL", "ENOMEM", "EFAULT"} <= errnos["advise"]
    assert {None, "EACCES", "ENOMEM"} <= errnos["protect"]
    assert {None, "EACCES", "EEXIST", "EOPNOTSUPP"} <= errnos["map"]
    assert {None, "EFAULT"} <= errnos["peek"] & errnos["poke"]


def test_random_programs_are_about_memory_and_reach_every_op() -> None:
    made = [generate(3, index) for index in range(400)]
    with_memory = [program for program in made if any(op.op in RULES for op in program.ops)]
    assert 0.2 < len(with_memory) / len(made) < 0.4
    ops = Counter(op.op for program in with_memory for op in program.ops)
    assert RULES.keys() <= ops.keys()
    for program in with_memory[:20]:
        assert parse_program(dump_program(program)) == program


def test_a_byte_that_is_not_what_it_was_is_a_difference() -> None:
    program = next(program for program in RECORDED if program.id == "private file: nothing")
    assert program.result is not None
    results = list(program.result.results)
    step = next(step for step, op in enumerate(program.ops) if op.op == "peek" and results[step].ret == 1)
    results[step] = replace(results[step], ret=0)
    wrong = replace(program, result=replace(program.result, results=tuple(results)))
    verdict = check_one(wrong, None, EmulatedRunner())
    assert [(each.step, each.key) for each in verdict.differences] == [(step, "ret")]


@pytest.mark.parametrize("index", [3, 60, 250])
def test_this_kernel_does_too(index: int) -> None:
    with HostRunner() as host:
        verdict = check_one(RECORDED[index], host, EmulatedRunner())
    assert verdict.agreement in (Agreement.AGREES, Agreement.SKIPPED), verdict.differences
