"""``run`` on the host engine: from a scenario to a result."""

from collections.abc import Callable
from pathlib import Path

from longpin.config.schema import Scenario
from longpin.runner.host.judge import Judge
from longpin.runner.host.machine import Machine
from longpin.runner.host.offers import refuse
from longpin.runner.host.world import World
from longpin.runner.result import Result


def run_on_host(
    scenario: Scenario, filename: str, tell: Callable[[str], None] = lambda _: None, folder: Path | None = None
) -> Result:
    """Run a scenario on the kernel of this machine.

    Args:
        scenario: what to run.
        filename: the scenario's file, for messages.
        tell: called with a sentence for each way in which the run is not quite as the scenario says.
        folder: where to make the folder for its files; by default where temporary files go.

    Raises:
        ScenarioError: the scenario uses what only the emulator has.
        HostError: the host cannot run it, or a process does not do what it must.

    """
    refuse(scenario, filename)
    with Machine(scenario, folder) as machine:
        for notice in (
            machine.pace.notice,
            machine.abilities.root and f"processes run as this user: {machine.abilities.root}",
        ):
            if notice:
                tell(notice)
        world = World(scenario, machine)
        try:
            try:
                quiet, stopped = world.run(scenario), "not quiet in time"
            except KeyboardInterrupt:
                quiet, stopped = False, f"interrupted after {len(world.moments)} moments"
            return Judge(scenario, world, machine).result(quiet, stopped)
        finally:
            world.close()
