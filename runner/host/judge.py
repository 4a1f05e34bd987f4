"""What must hold of a run on the host kernel, and whether it did, by what can be seen from outside of the kernel."""

import os
import platform

from longpin.actors.constants import ERRNO_NAMES
from longpin.actors.process.facts import CallRecord
from longpin.actors.syscalls import SYSCALLS
from longpin.config.schema import Scenario
from longpin.runner.host.calls import LabelWait
from longpin.runner.host.machine import Machine
from longpin.runner.host.program import HostProcess
from longpin.runner.host.world import Situation, World
from longpin.runner.judging.expected import ExpectedLines, unreached_reason
from longpin.runner.judging.invariants.errnos import applicable, is_judged, site_of, unmet
from longpin.runner.judging.uses import Uses
from longpin.runner.machine.proc_files import leases
from longpin.runner.result import CallResult, Judged, Result, UseState, Verdict, Violation, unshown_reason

OBSERVABLE = ("O3", "O7")
"""The rules that can be judged: the others are about pins and blocks, which no system call shows."""

KERNEL_HERE = ".".join(os.uname().release.split(".")[:2])
"""The version of the machine's kernel, as expectations name kernels."""


class HostJudge:
    """Turns a finished world into a result."""

    def __init__(self, scenario: Scenario, world: World, machine: Machine) -> None:
        self._scenario = scenario
        self._world = world
        self._machine = machine
        self._violations: list[Violation] = []
        self._policy_name = f"host:{platform.release()}"
        self._judged = Judged.of(scenario, OBSERVABLE)
        self._lines = ExpectedLines(scenario, self._policy_name)
        self._uses = Uses(scenario)

    def result(self, quiet: bool, stopped: str) -> Result:
        """Return the result; ``stopped`` says why if the world is not quiet. To be called before the processes go."""
        world, rules = self._world, self._judged.rules
        waiting = [situation for situation in world.situations if situation.request is not None] if quiet else []
        if quiet and "O3" in rules:
            for situation in waiting:
                asked_for = situation.stopped or _may_hang(situation)
                if not isinstance(situation.request, LabelWait) and not asked_for:
                    site = f"{_call(situation)} of {situation.process.name}"
                    self._violate("O3", f"hangs for ever: {self._explain(situation)}", site)
        if "O7" in rules:
            self._check_calls(quiet)
        unplayed = [s for s in waiting if isinstance(s.request, LabelWait)]
        unreached = self._lines.unreached(self._reached(quiet))
        shown = self._uses.shown(record for _, record in world.calls) if quiet else ()
        uses = self._uses.states(shown, UseState.UNKNOWN)
        verdict, reason = Verdict.HOLDS, f"nothing can happen any more; {self._judged.hold()}"
        if not quiet:
            verdict, reason = Verdict.UNDETERMINED, stopped
        elif unplayed:
            verdict, reason = Verdict.UNDETERMINED, f"the scenario was not played to its end: {_doing(unplayed[0])}"
        elif not rules:
            verdict, reason = Verdict.UNDETERMINED, f"nothing was judged: {self._judged}"
        elif unreached:
            verdict, reason = Verdict.UNDETERMINED, unreached_reason(unreached)
        elif unshown := unshown_reason(uses, "in this run"):
            verdict, reason = Verdict.UNDETERMINED, unshown
        if self._violations:
            violated = ", ".join(dict.fromkeys(violation.rule for violation in self._violations))
            verdict, reason = Verdict.VIOLATED, f"{violated} violated"
        return Result(
            verdict,
            reason,
            self._scenario.name,
            self._policy_name,
            "host",
            "",
            "",
            0,
            len(world.events),
            violations=self._violations,
            calls=[_call_result(process, record) for process, record in world.calls],
            events=world.events,
            processes=[situation.process.full_name for situation in world.situations],
            waiting=[self._explain(situation) for situation in waiting],
            summary=self._scenario.summary,
            source=self._scenario.source,
            judged=self._judged,
            unreached=unreached,
            uses=uses,
            warnings=list(self._scenario.warnings),
        )

    def _check_calls(self, quiet: bool) -> None:
        for process, record in self._world.calls:
            name = ERRNO_NAMES.get(record.errno, str(record.errno))
            where, site = f"line {record.op.line}, {process.name}: {record.op.text}", site_of(process.name, record)
            if record.returned and record.errno and name not in SYSCALLS[record.op.call].errnos:
                what = f"failed with {name}, which {record.op.call} may not by its manual page"
                self._violate("O7", f"{where} {what}", site)
            wanted = applicable(record.op.expectations, self._policy_name, KERNEL_HERE)
            if wanted is not None and self._decided(process, record, quiet) and (difference := unmet(wanted, record)):
                self._violate("O7", f"{where}: {difference}", site)

    def _reached(self, quiet: bool) -> set[str]:
        """Return the marks of the lines whose call has returned, or never will."""
        calls = self._world.calls
        return {self._lines.mark(record.op) for process, record in calls if self._decided(process, record, quiet)}

    def _decided(self, process: HostProcess, record: CallRecord, quiet: bool) -> bool:
        """Return whether it is known if a call does what its line expects.

        Little is of one that was cut off, and nothing of one in which the process was stopped before it slept: the
        kernel has its result, which nobody sees before SIGCONT.
        """
        if record.returned or not quiet or record.op.call == "exit":
            return record.returned
        its = [s for s in self._world.situations if s.process is process and s.request is not None]
        if not record.slept and any(situation.stopped for situation in its):
            return False
        return bool(its) or is_judged(applicable(record.op.expectations, self._policy_name, KERNEL_HERE))

    def _violate(self, rule: str, detail: str, site: str) -> None:
        self._violations.append(Violation(rule, len(self._world.events), detail, site))

    def _explain(self, situation: Situation) -> str:
        """Say what a call waits for, as the kernel shows it: the wait channel, and who has leases here."""
        if isinstance(situation.request, LabelWait):
            return f"{_doing(situation)}: it waits for label {situation.request.name!r}"
        if situation.stopped:
            return f"{_doing(situation)}: it waits for SIGCONT"
        channel = situation.channel or "a place that this user may not see"
        text = f"{_doing(situation)}: it sleeps in {channel}"
        if "lease" not in situation.channel:
            return text
        holders = "; ".join(self._holders())
        return f"{text}; /proc/locks has {holders or 'no lease of this scenario'}"

    def _holders(self) -> list[str]:
        """Return the leases on the scenario's files, as /proc/locks has them."""
        names = {}
        for path in self._machine.folder.rglob("*"):
            names[path.stat().st_ino] = f"/{path.relative_to(self._machine.folder)}"
        lanes = {situation.process.agent.pid: str(situation.process.full_name) for situation in self._world.situations}
        return [
            f"LEASE {lease.state} {lease.kind} on {names[lease.inode]}, taken by {lanes[lease.pid]}"
            for lease in leases()
            if lease.inode in names and lease.pid in lanes
        ]


def _call(situation: Situation) -> str:
    record = situation.process.record
    return record.op.call if record is not None else ""


def _may_hang(situation: Situation) -> bool:
    """Return whether a process waits because its program asks for it: whether that ends is no kernel's affair."""
    record = situation.process.record
    return record is not None and SYSCALLS[record.op.call].may_hang


def _doing(situation: Situation) -> str:
    record = situation.process.record
    return f"{situation.process.name} in " + (f"line {record.op.line}, {record.op.text}" if record else "its start")


def _call_result(process: HostProcess, record: CallRecord) -> CallResult:
    return CallResult(
        process.name,
        record.op.line,
        record.op.call,
        record.ret,
        ERRNO_NAMES.get(record.errno) if record.returned and record.errno else None,
        bool(record.slept) or not record.returned,
    )
