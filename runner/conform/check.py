"""Many programs on two kernels, one after the other, and the tally."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import zip_longest
from typing import Any

from longpin.runner.conform.outcome import Difference, ProgramOutcome, as_data, compare, describe
from longpin.runner.conform.program import ConformProgram, Runner, Unsupported
from longpin.runner.engines.engine import InternalError


class Agreement(StrEnum):
    """What came of one program."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNSUPPORTED = "the emulated kernel cannot run it"
    SKIPPED = "there is no answer of a real kernel"


@dataclass(frozen=True, slots=True)
class ProgramVerdict:
    """One program, and whether the two kernels agree about it."""

    program: ConformProgram
    agreement: Agreement
    expected: ProgramOutcome | None = None
    """What the real kernel did; None if it could not be asked."""
    found: ProgramOutcome | None = None
    """What the emulated kernel did; None if it could not run the program."""
    differences: tuple[Difference, ...] = ()
    reason: str = ""
    """Why a kernel could not run it."""


@dataclass(slots=True)
class Tally:
    """What came of all programs so far."""

    programs: int = 0
    agree: int = 0
    differ: int = 0
    unsupported: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """Programs without a real kernel's answer, by reason; they say nothing about the emulated kernel."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Programs the emulated kernel cannot run, by reason."""
    first: ProgramVerdict | None = None
    """The first program about which the kernels differ."""

    def add(self, verdict: ProgramVerdict) -> None:
        """Count a program."""
        self.programs += 1
        match verdict.agreement:
            case Agreement.AGREES:
                self.agree += 1
            case Agreement.DIFFERS:
                self.differ += 1
                self.first = self.first or verdict
            case Agreement.UNSUPPORTED:
                self.unsupported += 1
                self.reasons[verdict.reason] += 1
            case Agreement.SKIPPED:
                self.skipped[verdict.reason] += 1

    @property
    def asked(self) -> int:
        """How many programs had an answer of the real kernel to be compared with."""
        return self.agree + self.differ + self.unsupported

    def as_json(self) -> dict[str, Any]:
        """Return the tally as the command prints it."""
        first = self.first
        return {
            "programs": self.programs,
            "agree": self.agree,
            "differ": self.differ,
            "unsupported": self.unsupported,
            "skipped": self.skipped.total(),
            "first_difference": None
            if first is None
            else {
                "id": first.program.id,
                "differences": [
                    {"op": d.step, "key": d.key, "expected": as_data(d.expected), "found": as_data(d.found)}
                    for d in first.differences
                ],
                "program": [[op.proc, op.op, dict(op.args)] for op in first.program.ops],
            },
            "unsupported_reasons": dict(self.reasons),
            "skipped_reasons": dict(self.skipped),
        }


def check(
    programs: Iterable[ConformProgram],
    real: Runner | None,
    emulated: Runner,
    keep: Callable[[ConformProgram], None] | None = None,
) -> Iterator[ProgramVerdict]:
    """Run programs on both kernels and yield what came of each.

    ``real`` None: what is recorded with the programs stands for the real kernel; programs without a record are skipped.
    ``keep`` is given each program with the real kernel's answer.
    """
    for program in programs:
        yield check_one(program, real, emulated, keep)


def check_one(
    program: ConformProgram, real: Runner | None, emulated: Runner, keep: Callable[[ConformProgram], None] | None = None
) -> ProgramVerdict:
    """Run one program on both kernels."""
    try:
        expected = real.run(program) if real is not None else program.result
    except Unsupported as reason:
        return ProgramVerdict(program, Agreement.SKIPPED, reason=f"this host cannot run it: {reason}")
    if expected is None:
        return ProgramVerdict(program, Agreement.SKIPPED, reason="no answer is recorded with it")
    if keep is not None:
        keep(replace(program, result=expected))
    try:
        found = emulated.run(program)
    except Unsupported as reason:
        return ProgramVerdict(program, Agreement.UNSUPPORTED, expected, reason=str(reason))
    except InternalError as error:
        what = f"internal error (a bug in longpin): {' '.join(str(error).splitlines())}"
        return ProgramVerdict(program, Agreement.UNSUPPORTED, expected, reason=what)
    differences = tuple(compare(expected, found))
    return ProgramVerdict(program, Agreement.DIFFERS if differences else Agreement.AGREES, expected, found, differences)


def side_by_side(verdict: ProgramVerdict, width: int = 120) -> str:
    """Return a program with both kernels' answers beside each other; ``!`` marks the ops about which they differ."""
    assert verdict.expected is not None
    assert verdict.found is not None
    different = {difference.step for difference in verdict.differences}
    number = len(str(len(verdict.program.ops)))
    left = min(max(len(str(op)) for op in verdict.program.ops), max(20, width // 3))
    each = max(16, (width - number - left - 8) // 2)
    rows = [f"{'':{number + 2}} {'':{left}}  {'real kernel':{each}}  emulated kernel"]
    for step, op in enumerate(verdict.program.ops):
        mark = "!" if step in different else " "
        columns = (
            _wrapped([str(op)], left),
            _wrapped(describe(verdict.expected.results[step]), each),
            _wrapped(describe(verdict.found.results[step]), each),
        )
        for line, (text, real, emulated) in enumerate(zip_longest(*columns, fillvalue="")):
            head = f"{mark} {step:{number}}" if line == 0 else " " * (number + 2)
            rows.append(f"{head} {text:{left}}  {real:{each}}  {emulated}".rstrip())
    return "\n".join(rows)


def _wrapped(lines: Iterable[str], width: int) -> list[str]:
    """Cut lines to a width, the rest of a line indented by one."""
    cut = []
    for line in lines:
        rest = line
        while len(rest) > width:
            cut.append(rest[:width])
            rest = " " + rest[width:]
        cut.append(rest)
    return cut
