"""Naive enumeration: every order of arrivals, equivalent or not. What the reductions are compared with."""

from collections.abc import Callable

from longpin.runner.exploration.budget import ARRIVALS_AT_MOST, Budget, EndlessError
from longpin.runner.exploration.path import Path
from longpin.runner.exploration.result import BrokenRule, Exploration, Failure, Reason


def run(path: Path, judge: Callable[[], BrokenRule | None], result: Exploration, budget: Budget) -> Reason:
    """Explore depth first: at every point let each process that can go on go on."""
    left = [path.all_ready()]
    while True:
        if left[-1] and path.failure is None:
            path.push(left[-1].pop())
            if len(path.clock) > ARRIVALS_AT_MOST:
                raise EndlessError
            result.events += 1
            left.append(path.all_ready())
            continue
        if path.failure is not None or not path.all_ready():
            result.executions += 1
            if (what := judge()) is not None:
                result.failures.append(Failure(what, path.decisions()))
                return Reason.VIOLATED
            if (reason := budget.spent(result)) is not None:
                return reason
        while not left[-1] or path.failure is not None:
            if len(left) == 1:
                return Reason.COMPLETE
            left.pop()
            path.pop()
