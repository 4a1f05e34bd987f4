"""``explore``: from a function that builds a world to what all its schedules do."""

import time
from collections.abc import Callable
from typing import Any

from longpin.messages.envelope import Address
from longpin.runner.engine import InternalError
from longpin.runner.explore import naive
from longpin.runner.explore.activations import ActivationPath
from longpin.runner.explore.budget import Budget, EndlessError, Progress
from longpin.runner.explore.dpor import Dpor
from longpin.runner.explore.footprints import body_footprint
from longpin.runner.explore.path import Path
from longpin.runner.explore.replay import Always, replay
from longpin.runner.explore.result import (
    Broken,
    Exploration,
    Failure,
    Inconclusive,
    Method,
    PropertyViolation,
    Reason,
)
from longpin.runner.explore.states import Global, Matching, Nodes
from longpin.runner.explore.table import Table
from longpin.runner.stepped import SteppedEngine

Build = Callable[[Any], object]
"""Creates actors and tells them to start: ``world.spawn(kind, address, *args)``, ``world.tell(address, message)``."""

Check = Callable[[SteppedEngine], object]
"""Looks at a world; at one that has come to rest it raises PropertyViolation or AssertionError."""

PILOT_EXECUTIONS = 2_000
PILOT_STATES = 100_000
FEW_EXECUTIONS = 1e6
"""The estimate is low, as branches are found late; so many executions take less than states without end."""
PILOT_EVENTS = 10_000


class Explorer:
    """What the methods share: one table of steps, and one judgement of each world at rest."""

    def __init__(self, build: Build, *, check: Check | None, always: Always | None, racy: bool, seed: int) -> None:
        self.build = build
        self.check = check
        self.always = always
        self.racy = racy
        self.seed = seed
        self.table = Table(build, seed=seed, always=always)
        self.inconclusive = ""
        self._judged: dict[tuple[int, ...], Broken | None] = {}

    def judge_path(self, path: Path | ActivationPath, result: Exploration) -> Broken | None:
        """Return what is wrong at the end of a schedule."""
        if path.failure is not None:
            return Broken.by(path.failure)
        if self.check is None:
            return None
        rest = tuple(path.local)
        if rest not in self._judged and path.decisions() is None:
            result.impossible += 1
            return None
        return self.judge(rest, path.decisions)

    def judge(self, rest: tuple[int, ...], decisions: Callable[[], tuple[Address, ...] | None]) -> Broken | None:
        """Return what the check has to say about the states of all actors; it is asked once for each."""
        if rest not in self._judged:
            self._judged[rest] = self._ask(self.replay(decisions() or ()))
        return self._judged[rest]

    def replay(self, decisions: tuple[Address, ...]) -> SteppedEngine:
        """Carry out decisions on the stepped engine."""
        return replay(self.build, decisions, racy=self.racy, seed=self.seed, always=self.always)

    def _ask(self, engine: SteppedEngine) -> Broken | None:
        if self.check is None:
            return None
        try:
            self.check(engine)
        except Inconclusive as why:
            self.inconclusive = self.inconclusive or str(why)
        except (PropertyViolation, AssertionError) as violation:
            return Broken.by(violation)
        return None

    def confirm(self, failure: Failure) -> None:
        """Carry out the decisions of a failure on the stepped engine.

        Raises:
            InternalError: what failed does not fail there.

        """
        try:
            found = self._ask(self.replay(failure.decisions))
        except (PropertyViolation, AssertionError) as violation:
            found = Broken.by(violation)
        except InternalError as error:
            if error.__cause__ is None:
                raise
            found = Broken.by(error.__cause__)
        if found != failure.broken:
            raise InternalError(f"not repeatable: {failure.what}")


def explore(
    build: Build,
    *,
    method: Method | str = Method.AUTO,
    check: Check | None = None,
    always: Always | None = None,
    max_executions: int | None = None,
    seconds: float | None = None,
    footprints: bool = True,
    racy: bool = False,
    verify: bool = False,
    progress: Progress | None = None,
    seed: int = 0,
) -> Exploration:
    """Run every schedule that can be told from the others, until one breaks what must hold.

    A schedule breaks it if a handler raises, if ``always`` does after an arrival, or if ``check`` does when nothing can
    happen any more.

    Args:
        build: creates the actors and their first messages; called more than once, and must do the same each time.
        method: ``dpor``, ``states``, ``naive``, or ``auto``: a pilot run decides.
        check: what must hold of a world at rest; it is asked once for each combination of the actors' states. It raises
            Inconclusive if that world cannot be judged.
        always: what must hold of an actor and the message it has just handled; it may look at nothing else. It is asked
            once for each step of an actor, in however many schedules that occurs.
        max_executions: give up after so many schedules.
        seconds: give up after so long.
        footprints: let messages to one actor commute as they declare; only ``dpor`` asks for it.
        racy: timers may fire at any time after they were armed, not only when nothing else can happen.
        verify: with footprints, do in both orders whatever is taken to commute, and compare.
        progress: told now and then how far it is.
        seed: of the actors' random numbers.

    Raises:
        InternalError: the actors do not do the same thing twice, share state, or send to somebody who does not exist.
        FootprintError: ``verify`` found a footprint that leaves something out.

    """
    explorer = Explorer(build, check=check, always=always, racy=racy, seed=seed)
    budget = Budget(max_executions, seconds, progress)
    chosen = Method(method)
    if chosen is Method.AUTO:
        result = _auto(explorer, budget, footprints=footprints, verify=verify)
    else:
        result = _with(chosen, explorer, budget, footprints=footprints, verify=verify)
    for failure in result.failures:
        explorer.confirm(failure)
    result.inconclusive = explorer.inconclusive
    result.seconds = time.monotonic() - budget.started
    return result


def _with(method: Method, explorer: Explorer, budget: Budget, *, footprints: bool, verify: bool) -> Exploration:
    result = Exploration(method)
    try:
        result.reason = _search(method, explorer, budget, result, footprints=footprints, verify=verify)
    except KeyboardInterrupt:
        result.reason = Reason.INTERRUPTED
    except EndlessError:
        result.reason = Reason.ENDLESS
    return result


def _search(
    method: Method, explorer: Explorer, budget: Budget, result: Exploration, *, footprints: bool, verify: bool
) -> Reason:
    table, racy = explorer.table, explorer.racy
    if method is Method.STATES:

        def judge(state: Global, nodes: Nodes) -> Broken | None:
            if explorer.check is None:
                return None
            return explorer.judge(tuple(nodes.state[node] for node in state), lambda: matching.decisions(state))

        matching = Matching(table, judge, result, budget, racy=racy)
        return matching.run()
    if method is Method.DPOR and footprints and _declared(table, racy=racy):
        commuting = ActivationPath(table, racy=racy, verify=verify)
        return Dpor(commuting, lambda: explorer.judge_path(commuting, result), result, budget).run()
    path = Path(table, racy=racy)
    if method is Method.NAIVE:
        return naive.run(path, lambda: explorer.judge_path(path, result), result, budget)
    return Dpor(path, lambda: explorer.judge_path(path, result), result, budget).run()


def _declared(table: Table, *, racy: bool) -> bool:
    """Return whether any message of one schedule declares a footprint; if none does, there is nothing to gain."""
    path = Path(table, racy=racy)
    while path.failure is None and len(path.clock) < PILOT_EVENTS and (process := path.ready({})) >= 0:
        path.push(process)
    return any(body_footprint(table, message) is not None for message in range(len(table.envelopes)))


def _auto(explorer: Explorer, budget: Budget, *, footprints: bool, verify: bool) -> Exploration:
    """Let a pilot run of each method decide; if one of them is through with it, there is nothing left to decide."""
    left = budget.executions
    pilot = Budget(min(PILOT_EXECUTIONS, PILOT_EXECUTIONS if left is None else left), budget.left())
    tried = _with(Method.DPOR, explorer, pilot, footprints=footprints, verify=verify)
    if tried.reason not in (Reason.EXECUTIONS, Reason.ENDLESS) or tried.executions == left:
        tried.why = f"the pilot run was the whole: {tried.executions} executions"
        return tried
    pilot_run = f"a pilot run of {tried.executions} executions did not reach the end"
    if explorer.table.opaque:
        method, why = Method.DPOR, "some states cannot be compared, as an actor holds what has no canonical form"
    else:
        few = Budget(budget.executions, budget.left(), budget.progress, states=PILOT_STATES)
        matched = _with(Method.STATES, explorer, few, footprints=footprints, verify=verify)
        if matched.reason is not Reason.STATES:
            matched.why = f"{pilot_run}, and one of {matched.states} states was the whole"
            return matched
        if tried.estimate < FEW_EXECUTIONS:
            method, why = Method.DPOR, f"nor did one of {PILOT_STATES} states, and {tried.estimate:.1e} are expected"
        else:
            method, why = Method.STATES, f"nor did one of {PILOT_STATES} states, but {tried.estimate:.1e} are expected"
    result = _with(method, explorer, budget, footprints=footprints, verify=verify)
    result.why = f"{pilot_run}: {why}"
    return result
