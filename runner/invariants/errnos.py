"""O7: every call returns what it may return, and what its line says [semantics 3]."""

from typing import ClassVar

from longpin.actors.calls import SIGNATURES
from longpin.actors.constants import ERRNO_NAMES
from longpin.actors.facts import CallRecord
from longpin.actors.process import Process
from longpin.actors.program import Expectation, Outcome
from longpin.messages.envelope import Envelope
from longpin.runner.chronicle import outcome
from longpin.runner.invariants.base import Invariant


class ExpectedOutcomes(Invariant):
    """Errnos are among those of the call under the policy; expectations in comments are met."""

    rule: ClassVar[str] = "O7"
    summary: ClassVar[str] = "errnos: a call fails only as its man page and the policy allow, and as its line expects"
    source: ClassVar[str] = "semantics 3; docs/scenario.md"

    checked = 0
    """How many returned calls of the chronicle were looked at."""

    def arrived(self, number: int, envelope: Envelope) -> None:
        """Look at the calls that have returned."""
        ended = self.chronicle.ended_at
        while self.checked < len(ended):
            process, record, _ = ended[self.checked]
            self.checked += 1
            self._check_errno(number, process, record)
            self._check_expectation(number, process, record)

    def quiet(self) -> None:
        """Look at the calls that never returned."""
        for process, record in self.chronicle.calls:
            if not record.returned and record.op.call != "exit":
                self._check_expectation(self.engine.arrivals, process, record)

    def _check_errno(self, number: int, process: Process, record: CallRecord) -> None:
        name = ERRNO_NAMES.get(record.errno, str(record.errno))
        call = record.op.call
        if record.errno and name not in SIGNATURES[call].errnos | self.policy.errnos.get(call, frozenset()):
            self.violate(
                number, f"{_where(process, record)} failed with {name}, which {call} may not under {self.policy.name}"
            )

    def _check_expectation(self, number: int, process: Process, record: CallRecord) -> None:
        wanted = applicable(record.op.expectations, self.policy.name, self.preset)
        if wanted is not None and (difference := unmet(wanted, record)):
            self.violate(number, f"{_where(process, record)}: {difference}")


def applicable(expectations: tuple[Expectation, ...], policy: str, preset: str) -> Expectation | None:
    """Return the expectation that speaks of this policy: with its preset, else by its name, else of every policy."""
    by_policy = {expectation.policy: expectation for expectation in expectations}
    for key in (f"{policy}:{preset}", policy, None):
        if key in by_policy:
            return by_policy[key]
    return None


def unmet(wanted: Expectation, record: CallRecord) -> str:
    """Return what a call should have done and what it did; empty if the expectation is met."""
    for expected in wanted.outcomes:
        if not _met(expected, record):
            slept = f", slept on {record.slept}" if record.slept else ", did not sleep"
            found = outcome(record) + (slept if record.returned else "")
            return f"expected {expected}, found {found}"
    return ""


def _where(process: Process, record: CallRecord) -> str:
    return f"line {record.op.line}, {process.name}: {record.op.text}"


def _met(expected: str | int, record: CallRecord) -> bool:
    match expected:
        case Outcome.HANGS:
            return not record.returned
        case Outcome.BLOCKS:
            return bool(record.slept) or not record.returned
        case Outcome.OK:
            return record.returned and not record.errno
        case int():
            return record.returned and record.ret == expected and (not record.errno or expected == -1)
        case _ if expected in ERRNO_NAMES.values():
            return record.returned and ERRNO_NAMES.get(record.errno) == expected
        case _:
            return record.returned and record.ret == expected
