"""O7: every call returns what it may return, and what its line says [semantics 3]."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, ClassVar

from longpin.actors.base import Actor
from longpin.actors.constants import ERRNO_NAMES
from longpin.actors.policies import find_policy, name_in_expectations, split_name
from longpin.actors.policies.base import PRESETS
from longpin.actors.policies.proposal import KERNEL, Proposal, read_proposal
from longpin.actors.process.facts import CallCut, CallEnded, CallRecord
from longpin.actors.process.process import Process
from longpin.actors.process.program import Expectation, Outcome
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Returning
from longpin.config.schema import EXPECTATIONS_RULE
from longpin.messages.envelope import Envelope
from longpin.runner.judging.invariants.base import Actors, Finding, Invariant
from longpin.runner.result import returned


class ExpectedOutcomes(Invariant):
    """Errnos are among those of the call under the policy; expectations in comments are met."""

    rule: ClassVar[str] = EXPECTATIONS_RULE
    summary: ClassVar[str] = "errnos: a call fails only as its man page and the policy allow, and as its line expects"
    source: ClassVar[str] = "semantics 3; docs/scenario.md"

    def after(self, actor: Actor, envelope: Envelope) -> Iterable[Finding]:
        """Look at the calls that have just returned."""
        if not isinstance(actor, Process) or not actor.facts:
            return ()
        found: list[Finding] = []
        for record in decided(actor, self.policy_name):
            if record.returned:
                found += self._errno(actor, record)
            found += self._expected(actor, record)
        return found

    def quiet(self, actors: Actors) -> Iterator[Finding]:
        """Look at the calls that never returned."""
        for process in actors.values():
            if isinstance(process, Process):
                for record in process.calls():
                    if SYSCALLS[record.op.call].returning is not Returning.NEVER:
                        yield from self._expected(process, record)

    def _errno(self, process: Process, record: CallRecord) -> Iterator[Finding]:
        name = ERRNO_NAMES.get(record.errno, str(record.errno))
        call = record.op.call
        if record.errno and name not in SYSCALLS[call].errnos | self.policy.errnos.get(call, frozenset()):
            what = f"failed with {name}, which {call} may not under {self.policy.name}"
            yield self.found(site_of(process.name, record), f"{_where(process, record)} {what}")

    def _expected(self, process: Process, record: CallRecord) -> Iterator[Finding]:
        wanted = applicable(record.op.expectations, self.policy_name)
        if wanted is not None and (difference := unmet(wanted, record)):
            yield self.found(site_of(process.name, record), f"{_where(process, record)}: {difference}")


def decided(process: Process, policy_name: str) -> Iterator[CallRecord]:
    """Yield the calls whose expectations the last arrival has decided: those that have returned or never will."""
    for fact in process.facts:
        if isinstance(fact, CallEnded) or (
            isinstance(fact, CallCut) and is_judged(applicable(fact.record.op.expectations, policy_name))
        ):
            yield fact.record


def is_judged(wanted: Expectation | None) -> bool:
    """Return whether an expectation says something of a call that was cut off: that it never returns."""
    return wanted is not None and wanted.allows_no_return


def applicable(
    expectations: tuple[Expectation, ...], policy_name: str, kernel: str | None = None
) -> Expectation | None:
    """Return the expectation that speaks of this policy: with its preset, else by its name, else of every policy.

    One that names a preset speaks of the unchanged preset: not if a parameter differs, which ``policy_name`` then says.
    One that names a policy alone speaks of the presets that each has, not of its relatives.
    Among those of a policy, one that names the kernel comes first; by default that is the one in ``policy_name``.
    A class in a file is named without the folder of the file, and what is said of its base class is not said of it.
    """
    named = ""
    if kernel is not None or any(expectation.kernels for expectation in expectations):
        named = kernel_of(policy_name) if kernel is None else kernel
    name, preset, whole = _names(policy_name)
    ranks: list[tuple[str | None, bool]] = [(preset, True), (whole, False)]
    if preset.removeprefix(name)[1:].partition(",")[0] in PRESETS:
        ranks += [(name, True), (name, False)]
    ranks += [(None, True), (None, False)]
    for policy, on_kernel in ranks:
        for its in expectations:
            if its.policy == policy and (named in its.kernels if on_kernel else not its.kernels):
                return its
    return None


@cache
def _names(policy_name: str) -> tuple[str, str, str]:
    """Return a policy's name as expectations give it: alone, with the preset and what differs but the kernel, whole."""
    whole = name_in_expectations(policy_name)
    preset = ",".join(part for part in whole.split(",") if not part.startswith(f"{KERNEL}="))
    return split_name(whole)[0], preset, whole


def kernel_of(policy_name: str) -> str:
    """Return the version of Linux that a policy, as it is named everywhere, runs on."""
    kind: Any = find_policy(split_name(policy_name)[0])[0]
    return _kernel(policy_name, kind)


@cache
def _kernel(policy_name: str, _kind: Any) -> str:
    """Return the version; the name of a class in a file may mean another one later."""
    policy, preset, parameters = read_proposal(policy_name)
    return str(Proposal.make(policy.name, preset, parameters).kernel)


def unmet(wanted: Expectation, record: CallRecord) -> str:
    """Return what a call should have done and what it did; empty if the expectation is met."""
    for expected in wanted.outcomes:
        if not _met(expected, record):
            slept = f", slept on {record.slept}" if record.slept else ", did not sleep"
            found = returned(record.ret, record.errno) + slept if record.returned else "never returned"
            return f"expected {expected}, found {found}"
    return ""


def site_of(process: str, record: CallRecord) -> str:
    """Return what a finding about a call is about: the call, the process's name, and how it ended."""
    name = ERRNO_NAMES.get(record.errno, str(record.errno)) if record.errno else "success"
    how = name if record.returned else "no return"
    return f"{record.op.call} of {process}: {how}"


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
