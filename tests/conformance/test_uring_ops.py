"""Ops on io_uring: the emulated kernel does what Linux 6.18 was recorded to do, and what the kernel of this machine."""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from conformance.uring_tables import programs

from longpin.actors.conversation import Conversation
from longpin.actors.io_uring.accounting import Account
from longpin.actors.io_uring.ring import Ring
from longpin.actors.kernel.generation import Generation
from longpin.messages.envelope import Done
from longpin.messages.io_uring import UpdateBuffer
from longpin.runner.conform.check import Agreement, check_one
from longpin.runner.conform.emulated import EmulatedRunner
from longpin.runner.conform.generate_uring import generate_rings, wants_rings
from longpin.runner.conform.host import HostRunner
from longpin.runner.conform.program import (
    ConformProgram,
    Unsupported,
    dump_program,
    load_programs,
    make_op,
    parse_program,
)
from longpin.runner.conform.uring_ops import RULES
from longpin.runner.machine import agent_uring

RECORDED = load_programs(Path(__file__).parents[1] / "data" / "kernel_io_uring.jsonl")


def differing() -> list[str]:
    """Return the recorded programs that the emulated kernel answers otherwise."""
    runner = EmulatedRunner()
    verdicts = ((program.id, check_one(program, None, runner)) for program in RECORDED)
    return [name for name, verdict in verdicts if verdict.agreement is not Agreement.AGREES]


def test_the_emulated_kernel_does_what_linux_did() -> None:
    assert differing() == []


def test_the_file_is_what_the_tables_say() -> None:
    """``python tests/conformance/uring_tables.py``, and ``longpin conform --live --program ... --record ...``."""
    assert [(program.id, program.ops) for program in RECORDED] == [(each.id, each.ops) for each in programs()]


def test_every_op_and_every_end_is_recorded() -> None:
    ends: dict[str, set[str | None]] = {op: set() for op in RULES}
    for program in RECORDED:
        assert program.result is not None
        for made, result in zip(program.ops, program.result.results, strict=True):
            if made.op in RULES:
                ends[made.op].add("blocks" if result.blocked else result.errno)
    assert ends["io_uring_setup"] == {None, "EINVAL", "ENOMEM"}
    ring = {"EBADF", "EOPNOTSUPP"}
    assert ends["io_uring_register_buffers"] == {None, "EBUSY", "EFAULT", "ENOMEM"} | ring
    assert ends["io_uring_register_buffers_sparse"] == {None, "EBUSY", "EINVAL"}
    assert ends["io_uring_register_buffers_update"] == {None, "EFAULT", "EINVAL", "ENOMEM", "ENXIO"}
    assert ends["io_uring_unregister_buffers"] == {None, "ENXIO", "EBADF"}
    for op in ("io_uring_read_fixed", "io_uring_write_fixed"):
        assert {None, "EBADF", "EFAULT", "EINVAL"} <= ends[op]
    assert {"blocks", "EISDIR"} <= ends["io_uring_read_fixed"]


def never_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(self: Account, pages: int, limit: int, generation: Generation) -> Conversation[None]:
        yield from ()

    monkeypatch.setattr(Account, "charge", planted)
    monkeypatch.setattr(Account, "uncharge", lambda _self, _pages, _generation: iter(()))


def counts_what_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a place were emptied before it is filled."""

    def planted(self: Ring, request: UpdateBuffer, _src: str) -> Conversation[Done]:
        assert self.table is not None
        old, self.table[request.index] = self.table[request.index], None
        yield from self._drop(old)
        self.table[request.index] = yield from self._register(request)
        return Done(1)

    monkeypatch.setitem(Ring.handlers, UpdateBuffer, planted)


@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        (never_counts, "four pages and a ring with 5"),
        (counts_what_goes_first, "what is put in a place counts before what was there is let go of"),
    ],
)
def test_mistakes_are_seen(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], seen: str
) -> None:
    plant(monkeypatch)
    assert seen in differing()


def test_random_programs_use_every_op() -> None:
    made = [generate_rings(3, index) for index in range(60)]
    assert {op.op for program in made for op in program.ops} >= RULES.keys()
    assert 0.01 < sum(wants_rings(3, index) for index in range(2000)) / 2000 < 0.06
    for program in made[:10]:
        assert parse_program(dump_program(program)) == program


# The kernel of this machine.


@pytest.fixture
def with_rings(host: HostRunner) -> HostRunner:
    if host.abilities.io_uring:
        pytest.skip(host.abilities.io_uring)
    return host


@pytest.mark.parametrize("part", [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.heavy)])
def test_this_kernel_answers_as_recorded(with_rings: HostRunner, part: int) -> None:
    check_all((of_another_user(program, number) for number, program in enumerate(RECORDED[::part])), with_rings)


def check_all(asked: Iterable[ConformProgram], host: HostRunner) -> None:
    """See that the kernels agree about programs; of those that this host cannot run there are few."""
    runner = EmulatedRunner()
    verdicts = [check_one(program, host, runner) for program in asked]
    skipped = [verdict for verdict in verdicts if verdict.agreement is Agreement.SKIPPED]
    for verdict in verdicts:
        assert verdict.agreement is Agreement.AGREES or verdict in skipped, (verdict.program.id, verdict.differences)
    assert len(skipped) < len(verdicts) / 4, skipped[0].reason


def of_another_user(program: ConformProgram, number: int) -> ConformProgram:
    """Return a program without answers, whose user has nothing to do with the one before.

    What a ring has counted for a user is given back by a worker, some time after its process has ended.
    """
    user = 100_000 + os.getpid() % 10_000 * 1_000 + number
    ops = [make_op(op.proc, op.op, op.args, uid=user) if op.op == "setuid" else op for op in program.ops]
    return replace(program, ops=tuple(ops), result=None)


@pytest.mark.parametrize("count", [12, pytest.param(600, marks=pytest.mark.heavy)])
def test_this_kernel_agrees_about_random_programs(with_rings: HostRunner, count: int) -> None:
    check_all((generate_rings(11, index) for index in range(count)), with_rings)


def test_where_io_uring_is_disabled_it_is_said(host: HostRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "io_uring is disabled for everybody: kernel.io_uring_disabled is 2"
    monkeypatch.setattr(host, "abilities", replace(host.abilities, io_uring=reason))
    with pytest.raises(Unsupported, match=f"io_uring_setup: {reason}"):
        host.run(generate_rings(3, 0))


@pytest.mark.parametrize(
    ("setting", "answer", "reason"),
    [
        ("0\n", 7, ""),
        ("1\n", 7, "io_uring is disabled for all but the privileged: kernel.io_uring_disabled is 1"),
        ("2\n", -1, "io_uring is disabled for everybody: kernel.io_uring_disabled is 2"),
        (None, 7, ""),
        (None, -1, "no io_uring here: io_uring_setup fails with ENOSYS"),
    ],
)
def test_why_there_is_no_io_uring(
    monkeypatch: pytest.MonkeyPatch, setting: str | None, answer: int, reason: str
) -> None:
    def read_text(_path: Path) -> str:
        if setting is None:
            raise FileNotFoundError
        return setting

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(agent_uring, "_call", lambda *_: answer)
    monkeypatch.setattr(agent_uring, "_close", lambda _: None)
    monkeypatch.setattr("ctypes.get_errno", lambda: 38)
    assert agent_uring.why_not() == reason
