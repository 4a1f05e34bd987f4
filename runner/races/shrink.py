"""From a scenario whose outcomes the model does not all allow to a smaller one of that kind."""

import time
import tomllib
from itertools import islice

from longpin.config.loader import parse_scenario
from longpin.config.problems import ScenarioError
from longpin.config.writer import Document, write_scenario
from longpin.runner.failures.simplify import PASSES, Pass
from longpin.runner.machine.processes import HostError
from longpin.runner.progress import Shown
from longpin.runner.races.check import RaceComparison, RaceEffort, RacingKernel, compare


class Shrinker:
    """Holds the smallest scenario so far that has an outcome outside the model."""

    def __init__(self, kernel: RacingKernel, best: RaceComparison, effort: RaceEffort, seconds: float) -> None:
        self.best = best
        self.tries = 0
        self.interrupted = False
        self._kernel = kernel
        self._effort = effort
        self._until = time.monotonic() + seconds
        self._document: Document = tomllib.loads(best.scenario.text)
        self._asked = {best.scenario.text}

    def run(self, show: Shown) -> None:
        """Take parts away until nothing can go, the time is spent, or it is interrupted; the best so far counts.

        Raises:
            InternalError: a bug of longpin.

        """
        try:
            before = None
            while before is not self.best:
                before = self.best
                for one_pass in PASSES:
                    self._run(one_pass, show)
        except KeyboardInterrupt:
            self.interrupted = True

    def _run(self, one_pass: Pass, show: Shown) -> None:
        """Try the candidates of a pass; after a success they are made again, and those before it passed over."""
        at, again = 0, True
        while again:
            again = False
            for candidate in islice(one_pass(self._document), at, None):
                if time.monotonic() > self._until:
                    return
                if again := self._try(candidate):
                    break
                at += 1
                show(self.tries, 0, f"{len(self.best.scenario.text)} characters")

    def _try(self, document: Document) -> bool:
        """Take a candidate if the kernel shows what the model does not allow; return whether it was taken."""
        text = write_scenario(document)
        if text in self._asked:
            return False
        self._asked.add(text)
        try:
            scenario = parse_scenario(text, self.best.scenario.name)
            self.tries += 1
            compared = compare(self._kernel, scenario, scenario.name, self._effort)
        except (ScenarioError, HostError):
            return False
        if not compared.outside:
            return False
        self.best, self._document = compared, document
        if compared.interrupted:
            raise KeyboardInterrupt
        return True
