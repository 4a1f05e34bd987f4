"""``explore``: from a function that builds a world to what all its schedules do."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import cache, partial
from typing import Any

from longpin.messages.envelope import Address
from longpin.runner.engines.engine import InternalError
from longpin.runner.events import Observer, SearchAdvanced, tell, tell_result
from longpin.runner.exploration import naive
from longpin.runner.exploration.budget import GUESS_SECONDS, Budget, EndlessError, Progress
from longpin.runner.exploration.checkpoint import blamed, open_checkpoint
from longpin.runner.exploration.dpor import Dpor
from longpin.runner.exploration.estimate import estimate
from longpin.runner.exploration.explorer import Build, Check, Explorer
from longpin.runner.exploration.path import Path
from longpin.runner.exploration.replay import Always, Marks
from longpin.runner.exploration.result import Exploration, Method, Reason
from longpin.runner.exploration.seen import SeenByFingerprint, SeenWhole, wrong_match_probability
from longpin.runner.exploration.shared import GUESS_AFTER, Shared, Team, head_of
from longpin.runner.exploration.states import Matching
from longpin.runner.exploration.symmetry import MEMBERS_AT_MOST, AsymmetryError
from longpin.runner.pool import default_workers, packed

PILOT_EXECUTIONS = 2_000
PILOT_STATES = 100_000
FEW_EXECUTIONS = 20_000
"""So many executions take no longer than a pilot run of states."""
MANY_EXECUTIONS = 1e6
"""So many executions take less than states without end."""


def explore(
    build: Build,
    *,
    method: Method | str = Method.AUTO,
    check: Check | None = None,
    always: Always | None = None,
    marks: Marks | None = None,
    wanted: Iterable[str] = (),
    shows: Iterable[str] = (),
    max_executions: int | None = None,
    seconds: float | None = None,
    max_memory: int | None = None,
    footprints: bool = True,
    interchangeable: Iterable[Sequence[Address]] = (),
    whole_states: bool = False,
    racy: bool = False,
    verify: bool = False,
    observers: Iterable[Observer] = (),
    seed: int = 0,
    workers: int | None = None,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    identity: str = "",
) -> Exploration:
    """Run every schedule that can be told from the others, until one breaks what must hold.

    A schedule breaks it if a handler raises, if ``always`` does after an arrival, or if ``check`` does when nothing can
    happen any more.

    With ``workers``, ``executor`` or ``checkpoint`` the work is cut into parts by a rule that does not look at them.
    The counts and the failure are the same for any number of workers, and after a checkpoint was resumed. Matching
    states is done in one process.

    Memory grows with what is looked up: every state of an actor and every message that was ever seen is kept, some
    10 KB for each state of an actor, in every worker; matching also keeps every state of the world.

    Args:
        build: creates the actors and their first messages; called more than once, and must do the same each time.
        method: ``dpor``, ``states``, ``naive``, or ``auto``: a pilot run decides; it is ``dpor`` with a checkpoint.
        check: what must hold of a world at rest; it is asked once for each combination of the actors' states. It raises
            Inconclusive if that world cannot be judged.
        always: what must hold of an actor and the message it has just handled; it may look at nothing else, and with
            ``footprints`` only at what the message declares. It is asked once for each step of an actor, in however
            many schedules that occurs.
        marks: returns what is to be seen in a step of an actor, as names. It may look at what ``always`` may look at,
            and is asked once for each step too; ``check`` may return such names as well. The result has those that are
            to be seen in a schedule that can really happen.
        wanted: marks without which the verdict is undetermined, so that a proof is not one of something that never
            happened.
        max_executions: give up after so many schedules.
        seconds: give up after so long.
        max_memory: give up when this process has so many bytes resident. A worker that has its share of them forgets
            what it looked up.
        footprints: let messages to one actor commute as they declare; only ``dpor`` asks for it.
        interchangeable: groups of actors that ``build`` creates, of which matching states need not tell who is who. If
            they turn out not to be interchangeable it does.
        whole_states: match states by comparing all of them, not by fingerprints of 128 bits; that takes four times the
            memory.
        racy: timers may fire at any time after they were armed, not only when nothing else can happen.
        verify: with footprints, do in both orders whatever is taken to commute, and compare.
        observers: told some ten times a second how far it is, as :class:`~longpin.runner.events.SearchAdvanced`, once
            more at the end, and then of the failure, as :class:`~longpin.runner.events.FailureFound`. What one raises
            ends the exploration.
        seed: of the actors' random numbers.
        shows: marks of worlds at rest that some schedule must show. If all were explored and none does the verdict is
            violated; of those that are shown the result has a schedule each.
        workers: explore in so many processes. ``build``, ``check``, ``always`` and ``marks`` are sent there, so they
            must be functions of a module, methods of objects that can be pickled, or functools.partial of those; a
            script that calls this needs ``if __name__ == "__main__":``.
        executor: who explores instead of processes of its own, for ``workers`` at a time.
        checkpoint: a file that keeps what is done. If there is one, the exploration goes on there.
        identity: says what is explored, in a checkpoint: one of something else is refused.

    Raises:
        InternalError: the actors do not do the same thing twice, share state, or send to somebody who does not exist.
        FootprintError: ``verify`` found a footprint that leaves something out.
        PoolError: there are no workers, or ``build`` cannot be sent to them.
        CheckpointError: the file is no checkpoint, or one of something else.
        ValueError: ``method`` can have neither workers nor a checkpoint.

    """
    chosen = Method(method)
    shared = workers is not None or executor is not None or checkpoint is not None
    if shared and chosen in (Method.STATES, Method.NAIVE):
        raise ValueError(f"method {chosen.value} is done in one process and without a checkpoint")
    options: dict[str, Any] = {"check": check, "always": always, "marks": marks, "racy": racy, "seed": seed}
    to_show = tuple(shows)
    options |= {"footprints": footprints, "verify": verify, "shows": to_show, "whole_states": whole_states}
    options["interchangeable"] = tuple(tuple(group) for group in interchangeable if len(group) > 1)
    team = None
    if executor is not None or (workers or 1) != 1:
        count = default_workers() if workers is None else workers
        team = Team(packed("what is explored", (build, options)), count, executor)
    observers = tuple(observers)
    budget = Budget(max_executions, seconds, _progress(observers), memory=max_memory)
    explorer = Explorer(build, **options)
    if chosen is Method.STATES:
        result = _match(explorer, budget)
    elif chosen is Method.NAIVE:
        result = Exploration(Method.NAIVE)
        path = Path(explorer.table, racy=racy)
        reason = _end(lambda: naive.run(path, lambda: explorer.judge_path(path, result), result, budget))
        result.reason = reason or Reason.COMPLETE
    elif not shared:
        result = _schedules(explorer, budget, Alone(explorer, budget), auto=chosen is Method.AUTO)
    elif checkpoint is None:
        result = _schedules(explorer, budget, Shared(explorer, budget, team), auto=chosen is Method.AUTO)
    else:
        with open_checkpoint(checkpoint, head_of(explorer, identity, footprints=footprints)) as kept:
            search = Shared(explorer, budget, team, kept)
            result = _schedules(explorer, budget, search, auto=False)
            if search.remembered:
                with blamed(kept.name, InternalError):
                    _confirm(explorer, result)
            search.finish()
    _confirm(explorer, result)
    result.inconclusive = result.inconclusive or explorer.inconclusive
    result.marks |= explorer.marks
    result.missing = [mark for mark in wanted if mark not in result.marks]
    result.witnesses |= {mark: at for mark, at in explorer.witnesses.items() if mark not in result.witnesses}
    result.unshown = [mark for mark in to_show if mark not in result.marks]
    result.seconds = budget.seconds()
    tell_result(observers, [_advanced(result), *(failure.found() for failure in result.failures)])
    return result


def _progress(observers: tuple[Observer, ...]) -> Progress | None:
    """Return what tells observers how far it is; None if there are none."""
    return (lambda now: tell(observers, _advanced(now))) if observers else None


def _advanced(now: Exploration) -> SearchAdvanced:
    return SearchAdvanced(now.executions, now.events, now.states, 0, now.estimate)


def _confirm(explorer: Explorer, result: Exploration) -> None:
    """Carry out every failure on the stepped engine."""
    for failure in result.failures:
        explorer.confirm(failure)


class Alone:
    """Explores schedules in this process, one by one."""

    def __init__(self, explorer: Explorer, budget: Budget) -> None:
        self.result = Exploration(Method.DPOR)
        self.budget = budget
        path = explorer.new_path()
        self._dpor = Dpor(path, lambda: explorer.judge_path(path, self.result), self.result, budget)

    def pilot(self, executions: int) -> Reason | None:
        """Explore so many executions; None: more are left, and allowed."""
        return self._some(executions, None)

    def rest(self, guess: Callable[[], object]) -> Reason:
        """Explore what is left; ``guess`` is called if it is much."""
        reason = self._some(None, GUESS_AFTER)
        if reason is None:
            guess()
            self._dpor.budget = self.budget
            reason = self._dpor.run()
        return reason

    def _some(self, executions: int | None, arrivals: int | None) -> Reason | None:
        """Explore a part; None: more is left, and allowed."""
        allowed, budget = self.budget.executions, self.budget
        most = min((number for number in (executions, allowed) if number is not None), default=None)
        self._dpor.budget = Budget(most, budget.left(), budget.progress, arrivals=arrivals, memory=budget.memory)
        reason = self._dpor.run()
        self.result.estimate = self._dpor.guess()
        return None if reason is Reason.EXECUTIONS and self.result.executions != allowed else reason


def _end(search: Callable[[], Reason | None]) -> Reason | None:
    """Search, and return why it ended; None if it did not."""
    try:
        return search()
    except KeyboardInterrupt:
        return Reason.INTERRUPTED
    except EndlessError:
        return Reason.ENDLESS


def _match(explorer: Explorer, budget: Budget) -> Exploration:
    """Match states."""
    result = Exploration(Method.STATES)
    judge = explorer.judge if explorer.check is not None else _nothing
    seen = SeenWhole if explorer.whole_states else SeenByFingerprint
    search = partial(Matching, explorer.table, judge, budget=budget, racy=explorer.racy, seen=seen)
    before = explorer.findings()
    try:
        groups = explorer.interchangeable
        matching = search(result=result, interchangeable=groups)
        result.reason = _end(matching.run) or Reason.COMPLETE
        result.interchangeable = tuple(group[:MEMBERS_AT_MOST] for group in groups)
    except AsymmetryError:
        explorer.go_back(before)
        result = Exploration(Method.STATES)
        matching = search(result=result)
        result.reason = _end(matching.run) or Reason.COMPLETE
    result.marks |= explorer.marks | matching.marks
    result.wrong_match = 0.0 if explorer.whole_states else wrong_match_probability(result.states)
    return result


def _nothing(_rest: tuple[int, ...], _decisions: Callable[[], tuple[Address, ...]]) -> None:
    """Judge a world at rest in which nothing is to hold."""


def _schedules(explorer: Explorer, budget: Budget, search: Alone | Shared, *, auto: bool) -> Exploration:
    """Explore schedules; ``auto``: if a pilot run does not reach the end, see whether matching states does."""
    result = search.result
    guess = cache(partial(_guess, explorer, budget, result))
    reason = None
    if auto:
        reason = _end(lambda: search.pilot(PILOT_EXECUTIONS))
        if reason in (Reason.COMPLETE, Reason.VIOLATED):
            result.why = f"the pilot run was the whole: {result.executions} executions"
        if reason in (None, Reason.EXECUTIONS, Reason.SECONDS):
            reason = _end(guess) or reason
        if reason in (None, Reason.ENDLESS) and (matched := _rather(explorer, budget, result)) is not None:
            return matched
    reason = reason or _end(lambda: search.rest(guess)) or Reason.COMPLETE
    if reason in (Reason.EXECUTIONS, Reason.SECONDS):
        reason = _end(guess) or reason
    result.reason = Reason.UNTOLD if reason is Reason.COMPLETE and result.untold else reason
    if result.reason in (Reason.COMPLETE, Reason.UNTOLD, Reason.VIOLATED) or result.executions >= result.estimate:
        result.estimate = 0.0
    return result


def _guess(explorer: Explorer, budget: Budget, result: Exploration) -> None:
    """Guess how many executions there are, from random walks or the branches found so far, whichever says more."""
    left = budget.left()
    allowed = Budget(seconds=None if left is None else max(left, GUESS_SECONDS), memory=budget.memory)
    result.estimate = max(estimate(explorer, budget=allowed).executions, result.estimate)


def _rather(explorer: Explorer, budget: Budget, tried: Exploration) -> Exploration | None:
    """Return what matching states came to, None if schedules are to be explored after all: ``tried`` says why.

    ``tried`` is the pilot run; without an estimate it came to a schedule that never ends.
    """
    pilot_run = f"a pilot run of {tried.executions} executions did not reach the end"
    expected = f"about {tried.estimate:.1e} are expected"
    if explorer.table.opaque:
        tried.why = f"{pilot_run}: some states cannot be compared, as an actor holds what has no canonical form"
        return None
    if 0 < tried.estimate < FEW_EXECUTIONS:
        tried.why = f"{pilot_run}, but {expected}"
        return None
    few = Budget(budget.executions, budget.left(), budget.progress, states=PILOT_STATES, memory=budget.memory)
    matched = _match(explorer, few)
    if matched.reason is not Reason.STATES:
        whole = "was the whole" if matched.reason in (Reason.COMPLETE, Reason.VIOLATED) else "was cut short"
        matched.why = f"{pilot_run}, and one of {matched.states} states {whole}"
        return matched
    pilot_run = f"{pilot_run}, nor did one of {PILOT_STATES} states"
    tried.marks |= matched.marks
    if 0 < tried.estimate < MANY_EXECUTIONS:
        tried.why = f"{pilot_run}, but {expected}"
        return None
    matched = _match(explorer, budget)
    matched.why = f"{pilot_run}, and {expected if tried.estimate else 'some schedules never end'}"
    return matched
