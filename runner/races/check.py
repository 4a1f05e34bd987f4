"""Whether the model allows what the kernel does: every outcome of free runs must be one that some schedule shows."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from longpin.config.schema import Scenario
from longpin.runner.engines.engine import InternalError
from longpin.runner.races.free import FreeRuns
from longpin.runner.races.model import ExploredOutcomes, OutcomeFound, RaceModel
from longpin.runner.races.outcome import RaceOutcome

LONGER = 3
"""How many times longer than the exploration the search for one outcome may take."""


class RacingKernel(Protocol):
    """A kernel on which scenarios run free."""

    how: str
    """What runs them, for people."""
    release: str
    fs: str
    """The file system that the files are on."""

    def run(self, scenario: Scenario, filename: str, runs: int, seed: int = 0) -> FreeRuns:
        """Run a scenario many times."""


class RaceEffort(NamedTuple):
    """How much is done for one scenario."""

    runs: int
    """On the kernel."""
    seconds: float
    """At most for exploring it; an outcome not found by then is looked for by itself, up to three times as long."""
    seed: int = 0


@dataclass(slots=True)
class RaceComparison:
    """One scenario on the kernel and in the model."""

    scenario: Scenario
    free: FreeRuns
    explored: ExploredOutcomes
    found: set[RaceOutcome] = field(default_factory=set)
    """Outcomes of the kernel that the exploration had not come to, and a search for them has."""
    outside: list[RaceOutcome] = field(default_factory=list)
    """Those that no schedule of the model shows."""
    undetermined: list[RaceOutcome] = field(default_factory=list)
    """Those that were not found, and may be there."""
    interrupted: bool = False
    """It was, after an outcome outside of the model had been found; the rest was not looked for."""

    @property
    def never_seen(self) -> list[RaceOutcome]:
        """What the model allows and the kernel did not show."""
        return sorted(self.explored.outcomes - self.free.outcomes.keys())

    @property
    def allowed(self) -> int:
        """How many outcomes of the model are known."""
        return len(self.explored.outcomes | self.found)


def compare(kernel: RacingKernel, scenario: Scenario, filename: str, effort: RaceEffort) -> RaceComparison:
    """Run a scenario free, explore it, and look for each outcome that the exploration has not come to.

    Raises:
        ScenarioError: the scenario has what cannot run free on the kernel.
        HostError: this machine cannot run it.
        InternalError: a bug of longpin.
        KeyboardInterrupt: it was interrupted, and nothing was found that the model does not allow.

    """
    free = kernel.run(scenario, filename, effort.runs, effort.seed)
    model = RaceModel(scenario)
    compared = RaceComparison(scenario, free, model.explore(effort.seconds))
    for outcome in free.outcomes:
        if outcome in compared.explored.outcomes:
            continue
        try:
            found = model.find(outcome, effort.seconds * LONGER)
        except KeyboardInterrupt:
            if not compared.outside:
                raise
            compared.interrupted = True
            break
        match found:
            case OutcomeFound.INSIDE:
                if compared.explored.complete:
                    raise InternalError(f"exploring {scenario.name} leaves out an outcome that a schedule shows")
                compared.found.add(outcome)
            case OutcomeFound.UNDETERMINED if not compared.explored.complete:
                compared.undetermined.append(outcome)
            case _:
                compared.outside.append(outcome)
    return compared
