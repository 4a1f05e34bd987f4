"""``run`` on the host engine: from a scenario to a result."""

from collections.abc import Callable, Iterable
from pathlib import Path

from longpin.config.schema import Scenario
from longpin.runner.events import Observer
from longpin.runner.host.judge import HostJudge
from longpin.runner.host.machine import Machine
from longpin.runner.host.offers import refuse
from longpin.runner.host.world import World
from longpin.runner.machine.processes import RUNS_IF_DISTURBED, DisturbedError
from longpin.runner.result import Result, Verdict


def run_on_host(
    scenario: Scenario,
    filename: str,
    tell: Callable[[str], None] = lambda _: None,
    folder: Path | None = None,
    observers: Iterable[Observer] = (),
) -> Result:
    """Run a scenario on the kernel of this machine, and again if somebody else sets lease-break-time meanwhile.

    Args:
        scenario: what to run.
        filename: the scenario's file, for messages.
        tell: called with a sentence for each way in which the run is not quite as the scenario says.
        folder: where to make the folder for its files; by default where temporary files go.
        observers: called with each event as it happens, in every run that is made. What one raises ends it.

    Raises:
        ScenarioError: the scenario uses what only the emulator has.
        HostError: the host cannot run it, or a process does not do what it must.

    """
    refuse(scenario, filename)
    told: set[str] = set()

    def tell_once(notice: str) -> None:
        if notice and notice not in told:
            told.add(notice)
            tell(notice)

    for _ in range(RUNS_IF_DISTURBED):
        result, disturbed = _run_once(scenario, tell_once, folder, tuple(observers))
        if not disturbed:
            return result
    # What was seen, and what was wrong with it, may be the work of the process that set it.
    result.verdict, result.violations = Verdict.UNDETERMINED, []
    result.reason = f"{DisturbedError()}, {RUNS_IF_DISTURBED} times"
    return result


def _run_once(
    scenario: Scenario, tell: Callable[[str], None], folder: Path | None, observers: tuple[Observer, ...]
) -> tuple[Result, bool]:
    """Return the result, and whether it says nothing because lease-break-time was set by somebody else."""
    with Machine(scenario, folder, tell) as machine:
        tell(machine.pace.notice)
        if machine.abilities.root:
            tell(f"processes run as this user: {machine.abilities.root}")
        world, interrupted = World(scenario, machine, observers), False
        try:
            try:
                quiet, stopped = world.run(scenario), world.stopped
            except KeyboardInterrupt:
                interrupted = True
                quiet, stopped = False, f"interrupted after {len(world.events)} moments"
            if world.disturbed:
                machine.leave_break_time()
            return HostJudge(scenario, world, machine).result(quiet, stopped), world.disturbed and not interrupted
        finally:
            world.close()
