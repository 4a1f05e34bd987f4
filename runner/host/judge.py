"""What a run on the host kernel was worth, as far as that can be seen from outside of the kernel."""

import platform

from longpin.actors.calls import SIGNATURES
from longpin.actors.constants import ERRNO_NAMES
from longpin.actors.facts import CallRecord
from longpin.config.schema import Scenario
from longpin.runner.conform.proc_files import leases
from longpin.runner.host.calls import AwaitLabel
from longpin.runner.host.machine import Machine
from longpin.runner.host.program import HostProcess
from longpin.runner.host.world import Situation, World
from longpin.runner.invariants.errnos import is_judged, unmet
from longpin.runner.result import CallResult, Result, Verdict, Violation

OBSERVABLE = ("O3", "O7")
"""The rules that can be judged: the others are about pins and blocks, which no system call shows."""

_ASKED_FOR = {"pause", "sigsuspend", "sigwaitinfo", "ppoll", "waitpid", "wait_for", "recv_fd", "read", "write"}
"""Calls that wait because the program asks for it; whether they ever return is no kernel's affair."""


class Judge:
    """Turns a finished world into a result."""

    def __init__(self, scenario: Scenario, world: World, machine: Machine) -> None:
        self._scenario = scenario
        self._world = world
        self._machine = machine
        self._violations: list[Violation] = []

    def result(self, quiet: bool, stopped: str) -> Result:
        """Return the result; ``stopped`` says why if the world is not quiet. To be called before the processes go."""
        world, holds = self._world, self._scenario.holds
        waiting = [situation for situation in world.situations if situation.request is not None] if quiet else []
        if quiet and "O3" in holds:
            for situation in waiting:
                asked_for = situation.stopped or _call(situation) in _ASKED_FOR
                if not isinstance(situation.request, AwaitLabel) and not asked_for:
                    self._violate("O3", f"hangs for ever: {self._explain(situation)}")
        if "O7" in holds:
            self._check_calls(quiet)
        unplayed = [s for s in waiting if isinstance(s.request, AwaitLabel)]
        verdict, reason = Verdict.HOLDS, "nothing can happen any more"
        if not quiet:
            verdict, reason = Verdict.UNDETERMINED, stopped
        elif unplayed:
            verdict, reason = Verdict.UNDETERMINED, f"the scenario was not played to its end: {_doing(unplayed[0])}"
        if self._violations:
            rules = ", ".join(dict.fromkeys(violation.rule for violation in self._violations))
            verdict, reason = Verdict.VIOLATED, f"{rules} violated"
        return Result(
            verdict,
            reason + self._judged(),
            self._scenario.name,
            f"host:{platform.release()}",
            "host",
            "",
            "",
            0,
            len(world.moments),
            violations=self._violations,
            calls=[_call_result(process, record) for process, record in world.calls],
            moments=world.moments,
            lanes=[situation.process.lane for situation in world.situations],
            waiting=[self._explain(situation) for situation in waiting],
            summary=self._scenario.summary,
            source=self._scenario.source,
        )

    def _judged(self) -> str:
        """Say which rules were judged and which cannot be."""
        seen = [rule for rule in self._scenario.holds if rule in OBSERVABLE]
        unseen = [rule for rule in self._scenario.holds if rule not in OBSERVABLE]
        text = f"; judged by {', '.join(seen) or 'no rule'}"
        return text + (f" ({', '.join(unseen)} cannot be observed on a real kernel)" if unseen else "")

    def _check_calls(self, quiet: bool) -> None:
        waiting = [situation.process for situation in self._world.situations if situation.request is not None]
        for process, record in self._world.calls:
            name = ERRNO_NAMES.get(record.errno, str(record.errno))
            where = f"line {record.op.line}, {process.name}: {record.op.text}"
            if record.returned and record.errno and name not in SIGNATURES[record.op.call].errnos:
                self._violate("O7", f"{where} failed with {name}, which {record.op.call} may not by its manual page")
            if record.returned or (quiet and record.op.call != "exit"):
                for wanted in record.op.expectations:
                    judged = record.returned or process in waiting or is_judged(wanted)
                    if wanted.policy is None and judged and (difference := unmet(wanted, record)):
                        self._violate("O7", f"{where}: {difference}")

    def _violate(self, rule: str, detail: str) -> None:
        self._violations.append(Violation(rule, len(self._world.moments), detail))

    def _explain(self, situation: Situation) -> str:
        """Say what a call waits for, as the kernel shows it: the wait channel, and who has leases here."""
        if isinstance(situation.request, AwaitLabel):
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
        lanes = {situation.process.agent.pid: situation.process.lane for situation in self._world.situations}
        return [
            f"LEASE {lease.state} {lease.kind} on {names[lease.inode]}, taken by {lanes[lease.pid]}"
            for lease in leases()
            if lease.inode in names and lease.pid in lanes
        ]


def _call(situation: Situation) -> str:
    record = situation.process.record
    return record.op.call if record is not None else ""


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
