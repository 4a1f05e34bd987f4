"""Many scenarios compared, one after the other; the first about which the model and the kernel differ is made small."""

import contextlib
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from longpin.config.loader import STANDARD_INPUT, load_scenario, parse_scenario
from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.runner.engines.engine import InternalError
from longpin.runner.failures.simplify import get, programs
from longpin.runner.failures.statements import statements
from longpin.runner.files import replace_file
from longpin.runner.progress import Shown, progress_line
from longpin.runner.races.build import NoRunnerError
from longpin.runner.races.check import RaceComparison, RaceEffort, RacingKernel, compare
from longpin.runner.races.free import FreeKernel
from longpin.runner.races.generate import generate
from longpin.runner.races.hosted import HostedKernel
from longpin.runner.races.offers import refuse
from longpin.runner.races.shrink import Shrinker
from longpin.runner.result import Verdict


class WantedRaces(NamedTuple):
    """What to compare."""

    scenarios: tuple[str, ...]
    """Files, names of shipped ones, or ``-``."""
    random: int
    """How many random ones, where none is named."""
    effort: RaceEffort
    shrink: float
    """Seconds for making a scenario smaller."""
    difference: Path | None
    """Where to write it."""

    @property
    def length(self) -> int:
        """How many scenarios there are."""
        return len(self.scenarios) or self.random


@contextlib.contextmanager
def open_kernel() -> Iterator[RacingKernel]:
    """Give the kernel of this machine: by the runner in C if it can be compiled, else by the host engine.

    Raises:
        HostError: this machine cannot be used.

    """
    try:
        kernel = FreeKernel()
    except NoRunnerError as error:
        yield HostedKernel(str(error))
        return
    with kernel:
        yield kernel


class Series:
    """A comparison of many scenarios, which can be interrupted at any time."""

    def __init__(self, wanted: WantedRaces, kernel: RacingKernel) -> None:
        self.wanted = wanted
        self.how, self.release = kernel.how, kernel.release
        self.compared: list[RaceComparison] = []
        """Those about which the model and the kernel agree, and the first about which they do not."""
        self.skipped: dict[str, str] = {}
        """Random scenarios that cannot run here, and why."""
        self.interrupted = False
        self.shrunk: Shrinker | None = None
        self.again = ""
        """The command that shows the first difference again."""
        self.not_kept = ""
        self._kernel = kernel

    @property
    def fs(self) -> str:
        """The file system that the files were on."""
        return self._kernel.fs

    def go(self) -> None:
        """Compare all scenarios, and make the first smaller that has an outcome outside of the model.

        Raises:
            ScenarioError: one that was named cannot run free.
            HostError: this machine cannot run them.
            InternalError: a bug of longpin.

        """
        named = [
            ("standard input" if name == STANDARD_INPUT else name, load_scenario(name))
            for name in self.wanted.scenarios
        ]
        for name, scenario in named:
            refuse(scenario, name)
        try:
            with progress_line("scenarios") as show:
                self._compare(named or self._random(), show)
        except KeyboardInterrupt:
            self.interrupted = True
        if (first := self.first) is not None:
            self.shrunk = Shrinker(self._kernel, first, self.wanted.effort, self.wanted.shrink)
            if not self.interrupted:
                with progress_line("tries to make it smaller", self.wanted.shrink) as show:
                    self.shrunk.run(show)
            self._tell_again(self.shrunk.best)

    def _random(self) -> Iterator[tuple[str, Scenario]]:
        for index in range(self.wanted.random):
            text = generate(self.wanted.effort.seed, index)
            name = f"random-{self.wanted.effort.seed}-{index}"
            yield name, parse_scenario(text, name)

    def _compare(self, scenarios: Iterable[tuple[str, Scenario]], show: Shown) -> None:
        for done, (name, scenario) in enumerate(scenarios):
            show(done, self.wanted.length, f"{sum(bool(one.outside) for one in self.compared)} differ")
            try:
                self.compared.append(compare(self._kernel, scenario, name, self.wanted.effort))
            except ScenarioError as error:
                if self.wanted.scenarios:
                    raise
                self.skipped[name] = error.problems[0].found
            except InternalError as error:
                raise InternalError(f"{name}: {error}") from error
            if self.compared[-1:] and self.compared[-1].interrupted:
                raise KeyboardInterrupt

    def _tell_again(self, smallest: RaceComparison) -> None:
        text, file = smallest.scenario.text, self.wanted.difference
        if file is not None:
            try:
                replace_file(file, text.encode())
            except OSError as error:
                self.not_kept, file = f"{file}: cannot be written: {error.strerror}", None
        effort = self.wanted.effort
        options = ["--runs", str(effort.runs), "--seed", str(effort.seed)]
        self.again = shlex.join(["longpin", "conform", "--races", str(file or STANDARD_INPUT), *options])
        if file is None:
            line = text.replace("\\", "\\\\").replace("\n", "\\n")
            self.again = f"printf %b {shlex.quote(line)} | {self.again}"

    @property
    def first(self) -> RaceComparison | None:
        """The first scenario that has an outcome outside of the model."""
        return next((one for one in self.compared if one.outside), None)

    @property
    def differ(self) -> int:
        """How many scenarios have one."""
        return sum(bool(one.outside) for one in self.compared)

    @property
    def undetermined(self) -> int:
        """Of how many it is not known, or only for a part of what the kernel did."""
        return sum(
            not one.outside and bool(one.undetermined or one.free.lost or not one.free.runs) for one in self.compared
        )

    @property
    def verdict(self) -> Verdict:
        """What it all comes to."""
        if self.differ:
            return Verdict.VIOLATED
        known = self.compared and not self.undetermined and not self.interrupted
        return Verdict.HOLDS if known else Verdict.UNDETERMINED

    @property
    def reason(self) -> str:
        """What it all comes to, in words."""
        if self.differ:
            return "the kernel does what the model does not allow"
        if self.interrupted:
            return "interrupted: the kernel has done nothing so far that the model does not allow"
        if not self.compared:
            return "nothing could be compared"
        if self.undetermined:
            return "whether the model allows all that the kernel did is not known"
        return "the model allows all that the kernel did"


def size(scenario: Scenario) -> tuple[int, int]:
    """Return how many processes a scenario has, and how many lines their programs."""
    document = tomllib.loads(scenario.text)
    return len(document["process"]), sum(len(statements(get(document, place))) for place in programs(document))
