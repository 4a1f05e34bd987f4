"""Free runs without a compiler: the host engine runs the scenario, call by call, and the outcomes are the same values.

Processes are told by the runner to make their next call, so they meet less often than in the runner in C, and handlers
run between calls only. Whatever this shows is an outcome of the kernel all the same.
"""

import dataclasses
import platform
from pathlib import Path

from longpin.actors.process.facts import CallRecord
from longpin.actors.process.pending import Siginfo
from longpin.config.problems import Problem, ScenarioError
from longpin.config.schema import Scenario
from longpin.runner.events import CallEntered, CallReturned, ProcessEvent, ProcessExited, SignalDelivered, SleepBegun
from longpin.runner.host.machine import Machine
from longpin.runner.host.offers import refuse
from longpin.runner.host.program import HostProcess
from longpin.runner.host.world import Situation, World
from longpin.runner.machine.processes import HostError
from longpin.runner.races.free import Example, FreeRuns, Moment
from longpin.runner.races.offers import programs_of
from longpin.runner.races.outcome import (
    CallOutcome,
    EndKind,
    HandlerOutcome,
    History,
    ProcessEnd,
    RaceOutcome,
    outcome_of,
    result_of,
)

_TIMED = {"sleep": 0, "sigtimedwait": 0, "ppoll": 0}
"""Calls that wait for a time, and where they say for how long."""


class HostedKernel:
    """The kernel of this machine, for free runs on the host engine; ``why`` there is nothing better."""

    def __init__(self, why: str, folder: Path | None = None) -> None:
        self.how = f"the host engine ({why})"
        self.release, self.fs = platform.release(), "?"
        self._folder = folder

    def run(self, scenario: Scenario, filename: str, runs: int, seed: int = 0) -> FreeRuns:
        """Run a scenario many times; the order is the operating system's, so ``seed`` changes nothing.

        Raises:
            ScenarioError: the scenario has what cannot run on the host engine, or waits for a time to pass.
            HostError: this machine cannot run it.

        """
        del seed
        refuse(scenario, filename)
        if timed := _timed(scenario, filename):
            raise ScenarioError(timed)
        still = dataclasses.replace(scenario, machine=dataclasses.replace(scenario.machine, lease_break_time=0))
        found = FreeRuns()
        for number in range(runs):
            try:
                outcome, events = self._once(still)
            except HostError as error:
                found.lost[str(error)] += 1
                continue
            if outcome is None or any(process.end.kind is EndKind.UNKNOWN for process in outcome.processes):
                found.lost["how it ended was not seen"] += 1
                continue
            found.runs += 1
            before = found.outcomes.get(outcome, Example(0, number, events))
            found.outcomes[outcome] = dataclasses.replace(before, count=before.count + 1)
        return found

    def _once(self, scenario: Scenario) -> tuple[RaceOutcome | None, tuple[Moment, ...]]:
        with Machine(scenario, self._folder) as machine:
            self.fs = machine.abilities.fs
            world = TellingWorld(scenario, machine)
            try:
                if not world.run(scenario):
                    return None, ()
                return world.outcome(), world.moments()
            finally:
                world.close()


class TellingWorld(World):
    """A world on the host engine that keeps the history of each process."""

    def __init__(self, scenario: Scenario, machine: Machine) -> None:
        super().__init__(scenario, machine)
        self._histories: dict[int, History] = {}
        self._ends: dict[int, ProcessEnd] = {}

    def begun(self, process: HostProcess, record: CallRecord) -> None:
        """Note a call that is made."""
        super().begun(process, record)
        self._history(process).call_begins(record.op.line, record.op.text)

    def ended(self, process: HostProcess, record: CallRecord) -> None:
        """Note a call that has returned."""
        super().ended(process, record)
        self._history(process).call_returns(result_of(record.ret, record.errno))

    def handler_begins(self, process: HostProcess, signal: Siginfo) -> None:
        """Note that a handler is entered."""
        super().handler_begins(process, signal)
        self._history(process).handler_begins(signal.signo, signal.si_fd)

    def handler_returns(self, process: HostProcess) -> None:
        """Note that the handler entered last has returned."""
        super().handler_returns(process)
        self._history(process).handler_returns()

    def outcome(self) -> RaceOutcome:
        """Return what the processes of a quiet world came to; of one that a signal killed, what it may have seen."""
        processes = []
        for situation in self.situations:
            end = self._ends.get(
                situation.process.pid, ProcessEnd(EndKind.STOPPED if situation.stopped else EndKind.ASLEEP)
            )
            processes.append(self._history(situation.process).outcomes(end)[0])
        return outcome_of(processes)

    def moments(self) -> tuple[Moment, ...]:
        """Return what happened, in order."""
        return tuple(
            Moment(round(event.time * 1e9), str(event.process), _text(event))
            for event in self.events
            if isinstance(event, ProcessEvent)
        )

    def _history(self, process: HostProcess) -> History:
        return self._histories.setdefault(process.pid, History(process.pid, process.name))

    def _end(self, situation: Situation) -> None:
        super()._end(situation)
        self._ends[situation.process.pid] = _how_it_ended(situation.process)


def _text(event: ProcessEvent) -> str:
    """Return what happens to a process in the words of the runner in C, which sees neither sleeps nor ends."""
    match event:
        case CallEntered():
            return event.op.text
        case CallReturned():
            return str(CallOutcome(event.op.line, result_of(event.ret, event.errno), event.op.text))
        case SignalDelivered():
            return f"{HandlerOutcome(event.signo, event.si_fd)}: its handler begins"
        case SleepBegun():
            return f"waits for {event.waits_for.detail}"
        case ProcessExited():
            return "is killed by a signal" if event.status is None else f"exits with {event.status}"
        case _:
            raise AssertionError(event)


def _how_it_ended(process: HostProcess) -> ProcessEnd:
    if process.status is not None:
        return ProcessEnd(EndKind.EXITED, process.status)
    signo = process.agent.killed_by()
    return ProcessEnd(EndKind.KILLED, signo) if signo else ProcessEnd(EndKind.UNKNOWN)


def _timed(scenario: Scenario, filename: str) -> list[Problem]:
    """Return the lines that wait for a time to pass, which stands still in free runs."""
    return [
        Problem(filename, op.line, None, where, "no call that waits for a time, without a compiler", op.call)
        for process in scenario.processes
        for where, program in programs_of(process)
        for op in program.operations()
        if op.call in _TIMED and op.args[_TIMED[op.call] :][:1]
    ]
