"""Small kernels: a scenario written as one program a process, run under several schedules and judged."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import pytest

from longpin.actors.policies.base import Policy
from longpin.actors.policies.proposal import Proposal, read_proposal
from longpin.config.loader import parse_scenario
from longpin.config.schema import Scenario
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.events import CallReturned, ProcessEvent, ProcessExited, SignalDelivered
from longpin.runner.judging.judge import Judge
from longpin.runner.oracles import ORACLES
from longpin.runner.oracles.base import Oracle
from longpin.runner.report.sentences import sentence
from longpin.runner.result import Result
from longpin.runner.settings import Settings

SEEDS = range(10)

FILE = '[[file]]\npath = "/f"\nsize = "4 * PAGE"\n'


@dataclass(frozen=True)
class Played:
    """One run and the world it ended in."""

    result: Result
    engine: SteppedEngine
    schedules: tuple["Played", ...] = ()
    """The first of several runs has them all here, itself too."""

    @property
    def rules(self) -> set[str]:
        """The rules that were violated."""
        return {violation.rule for violation in self.result.violations}

    def details(self) -> str:
        """What was violated, for a failing test's message."""
        return "\n".join(f"{violation.rule}: {violation.detail}" for violation in self.result.violations)

    def taken(self, process: str) -> list[str]:
        """The signals a process acted on, as its time line has them."""
        return [sentence(event) for event in self._events(process) if isinstance(event, SignalDelivered)]

    def returned(self, process: str) -> float:
        """The virtual time at which the last call of a process returned."""
        return max(event.time for event in self._events(process) if isinstance(event, CallReturned))

    def ended(self, process: str) -> float:
        """The virtual time at which a process began to exit."""
        return next(event.time for event in self._events(process) if isinstance(event, ProcessExited))

    def _events(self, process: str) -> list[ProcessEvent]:
        events = self.result.events
        return [event for event in events if isinstance(event, ProcessEvent) and event.process.name == process]


def _scenario(programs: Mapping[str, str], details: Mapping[str, str], head: str) -> str:
    parts = ['name = "test"', head if "[[file]]" in head else head + "\n" + FILE]
    for name, program in programs.items():
        handlers = details.get(name, "")
        parts.append(f"[[process]]\nname = \"{name}\"\nprogram = '''{program}'''\n{handlers}")
    return "\n".join(parts)


@lru_cache(maxsize=1)
def _read(text: str) -> Scenario:
    """Read a scenario; a test runs one in many orders."""
    return parse_scenario(text, "test.toml")


def play_once(
    policy: str | Policy,
    programs: Mapping[str, str],
    details: Mapping[str, str],
    head: str,
    oracle: Oracle,
    *,
    racy: bool,
) -> Played:
    """Run one schedule to its end and judge it by every rule."""
    scenario = _read(_scenario(programs, details, head))
    if isinstance(policy, str):
        kind, preset, parameters = read_proposal(policy)
        proposal = Proposal.make(kind.name, preset, dict(scenario.machine.kernel) | parameters)
    else:
        proposal = Proposal.of(policy)
    engine = SteppedEngine(oracle, racy=racy)
    judge = Judge(scenario, Settings(proposal.policy.name, proposal.preset), engine, proposal)
    Blueprint(scenario, proposal).build(engine)
    assert engine.run()
    return Played(judge.result(None, ""), engine)


Play = Callable[..., Played]


@pytest.fixture
def play() -> Play:
    """Return a function that runs programs by process name, first in, first out, and in random orders.

    Every schedule must violate exactly the rules in ``violates``: expectations in the programs are rule O7. ``details``
    is more of a process's table; ``head`` is more of the file: machine, pmem, files. ``racy`` lets timers fire any time
    in the random orders; by default time moves only when nothing else can happen. The first run is returned.
    """

    def play_all(
        policy: str | Policy,
        *,
        details: Mapping[str, str] | None = None,
        head: str = "",
        violates: Iterable[str] = (),
        seeds: Iterable[int] = SEEDS,
        racy: bool = False,
        **programs: str,
    ) -> Played:
        oracles = [ORACLES["fifo"](0), *(ORACLES["random"](seed) for seed in seeds)]
        runs = [
            play_once(policy, programs, details or {}, head, oracle, racy=racy and oracle.name == "random")
            for oracle in oracles
        ]
        for run in runs:
            assert run.rules == set(violates), run.details()
        return replace(runs[0], schedules=tuple(runs))

    return play_all


@pytest.fixture
def play_to_end(play: Play) -> Play:
    """Return what ``play`` does, and have every line that expects something reached in every order.

    A call that waits for ever where the program asked it to, for a completion for example, is no violation by itself.
    """

    def play_all(policy: str | Policy, **more: Any) -> Played:
        played = play(policy, **more)
        for run in played.schedules:
            assert not run.result.unreached, run.result.unreached
        return played

    return play_all
