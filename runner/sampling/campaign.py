"""``stress``: many schedules of a world, chosen by a portfolio of strategies in turn.

Run i has the seed ``seed + i``, and the strategy whose turn that seed is: nothing that happens before a run has any
influence on it. So runs are handed out in batches to free workers, and counted in their own order: what is
reported depends neither on how many processes there are nor on how large the batches are.
"""

import pickle
import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import closing, nullcontext
from functools import lru_cache
from typing import NamedTuple

from longpin.runner.engines.profile import profile_of
from longpin.runner.events import Observer
from longpin.runner.exploration.budget import memory_allowed
from longpin.runner.exploration.explorer import Build, Check
from longpin.runner.exploration.replay import Always, Marks
from longpin.runner.oracles import ORACLES, PORTFOLIO
from longpin.runner.pool import in_order, open_executor, packed
from longpin.runner.sampling.pace import CampaignPace
from longpin.runner.sampling.result import Campaign, CampaignReason
from longpin.runner.sampling.sample import Plan, Sampler
from longpin.runner.sampling.tally import Batch, CampaignTally

MOST_ARRIVALS = 100_000
"""Arrivals after which a run is taken for one that never ends."""


HEAD_START = 0.5
"""Seconds in which this process works alone, for a short campaign ends before other processes have started."""


class Job(NamedTuple):
    """Consecutive runs for one process."""

    sampler: Sampler | bytes
    """For other processes a pickled plan, from which each makes its sampler once."""
    first: int
    """The first seed."""
    runs: int
    first_failure: bool
    """End with the first run that breaks something."""


@lru_cache(maxsize=1)
def _sampler(plan: bytes) -> Sampler:
    return Sampler(pickle.loads(plan))  # noqa: S301 - the process that started this one made it


def make_runs(job: Job) -> Batch:
    """Make the runs of a job."""
    sampler = _sampler(job.sampler) if isinstance(job.sampler, bytes) else job.sampler
    started = time.monotonic()
    batch = Batch(job.first)
    for seed in range(job.first, job.first + job.runs):
        batch.add(seed, sampler.run(seed))
        if batch.broken and job.first_failure:
            break
    batch.seconds = time.monotonic() - started
    return batch


def stress(
    build: Build,
    *,
    strategies: Sequence[str] = PORTFOLIO,
    runs: int | None = 10_000,
    seconds: float | None = None,
    seed: int = 0,
    check: Check | None = None,
    always: Always | None = None,
    marks: Marks | None = None,
    wanted: Iterable[str] = (),
    racy: bool = False,
    most: int = MOST_ARRIVALS,
    first_failure: bool = True,
    remember: bool = True,
    workers: int = 1,
    executor: Executor | None = None,
    observers: Iterable[Observer] = (),
) -> Campaign:
    """Run many schedules, until one breaks what must hold, and count which can be told from the others.

    A run ends when nothing can happen any more, or when it breaks something: a handler raises, ``always`` does after an
    arrival, or ``check`` does at the end. A failing run is carried out again, by its decisions, before it is reported.

    Args:
        build: creates the actors and their first messages; called for every run, and must do the same each time.
        strategies: names in :data:`longpin.runner.oracles.ORACLES`. They take turns: the run with seed s is the turn of
            ``strategies[s % len(strategies)]``.
        runs: how many to make; None for any number.
        seconds: give up after so long.
        seed: run i, counting from 0, has the seed ``seed + i``, for its strategy and for the actors' random numbers.
        check: what must hold of a world at rest. It raises Inconclusive if that world cannot be judged. It may be asked
            only once for each combination of the actors' states.
        always: what must hold of an actor and the message it has just handled; it may look at nothing else.
        marks: what is to be seen in a step, of an actor and the message it has just handled, as names of its own;
            ``check`` may return such names as well. What any run showed is in the result.
        wanted: marks to look for; those that no run showed are in the result.
        racy: timers may fire at any time after they were armed, not only when nothing else can happen.
        most: give a run up after so many arrivals.
        first_failure: end with the first run that breaks something; otherwise make all runs and report every failure.
        remember: look up what a handler did in the same state with the same message, instead of running it. The runs
            are the same, and some of them are compared. Actors that share state cannot be remembered.
        workers: processes to share the work; the result does not depend on it.
        executor: who does the work instead; ``workers`` says how many it has.
        observers: told every 0.2 s, or after a run that takes longer, how far it is, as
            :class:`~longpin.runner.events.SearchAdvanced`, once more at the end, and of each new failure, as
            :class:`~longpin.runner.events.FailureFound`. What one raises ends the campaign.

    Raises:
        ValueError: a strategy is not known, there is none or there are too many, or a number is negative.
        InternalError: the actors do not do the same thing twice, share state, or send to somebody who does not exist.
        PoolError: ``build``, ``check`` or ``always`` cannot be sent to other processes, or a process was lost.

    """
    for name in strategies:
        if name not in ORACLES:
            raise ValueError(f"no strategy is named {name}; there are {', '.join(ORACLES)}")
    if most < 1:
        raise ValueError(f"{most} arrivals in a run: at least 1")
    if workers < 1:
        raise ValueError(f"{workers} workers: at least 1")
    tally = CampaignTally(tuple(strategies), seed)
    pace = CampaignPace(tally.campaign, runs, seconds, observers)
    try:
        profile = profile_of(build, racy=racy)
        share = memory_allowed() // workers
        plan = Plan(build, tuple(strategies), profile, check, always, racy, most, remember, marks, share)
        sampler = Sampler(plan)
        with closing(_batches(sampler, pace, workers, executor, first_failure=first_failure)) as batches:
            for batch in batches:
                tally.add(batch)
                pace.learn(batch)
                pace.tell()
                if tally.campaign.failures and first_failure:
                    break
        for failure in tally.campaign.failures:
            sampler.confirm(failure.broken, failure.decisions, failure.seed)
        tally.campaign.reason = CampaignReason.VIOLATED if first_failure and tally.campaign.failures else pace.reason()
    except KeyboardInterrupt:
        tally.campaign.reason = CampaignReason.INTERRUPTED
    pace.end()
    tally.campaign.missing = [mark for mark in wanted if mark not in tally.campaign.marks]
    return tally.campaign


def _batches(
    sampler: Sampler, pace: CampaignPace, workers: int, executor: Executor | None, *, first_failure: bool
) -> Generator[Batch, None, None]:
    """Yield batches in the order of their runs; other processes are started only if there is work left for them."""
    planned = pace.batches()
    alone = executor is None and workers == 1
    plan = b"" if alone else packed("what is to be run", sampler.plan)
    if executor is None:
        for first, count in planned:
            yield make_runs(Job(sampler, first, count, first_failure))
            if not alone and pace.passed() > HEAD_START:
                break
        else:
            return
    jobs = (Job(plan, first, count, first_failure) for first, count in planned)
    with nullcontext(executor) if executor is not None else open_executor(workers) as pool:
        yield from in_order(pool, make_runs, jobs, 2 * workers, pace.tell)
