"""Searches of a scenario: a failure that was kept is tried first, and one that is found is made small and kept."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from longpin.runner.conclusions import Explored, Stressed, joined
from longpin.runner.events import Observer, ShrinkAdvanced, tell, tell_result
from longpin.runner.exploration import Exploration, Failure, Method, explore
from longpin.runner.exploration.budget import memory_allowed
from longpin.runner.failures.effort import Limits
from longpin.runner.failures.found import configuration_hash
from longpin.runner.failures.keep import Kept, handle, try_known
from longpin.runner.failures.store import known
from longpin.runner.failures.witness import keep_witness
from longpin.runner.judging.uses import use_of
from longpin.runner.pool import open_executor
from longpin.runner.sampling import Campaign, stress
from longpin.runner.sampling.threads import stress_threads
from longpin.runner.subject import Subject

RUNS, RUNS_ON_THREADS = 10_000, 100
"""Runs of a campaign where neither their number nor the time is given."""


@dataclass(frozen=True, slots=True)
class Failures:
    """What is done with a failure."""

    folder: str | os.PathLike[str] | None
    """Where it is kept; None: nowhere."""
    shrink: float
    """Seconds in which it is made smaller."""
    observers: Sequence[Observer] = ()
    notice: Callable[[str], object] | None = None
    """Called with a line for each file in the folder that is no failure, or does not fail any more."""

    def known(self, subject: Subject) -> Kept | None:
        """Return a failure that was kept before and still fails, made smaller if this version has not yet.

        Raises:
            OSError: the folder cannot be read.

        """
        if self.folder is None:
            return None
        notice = self.notice or (lambda _: None)
        if (found := try_known(known(self.folder, subject, notice), notice)) is None:
            return None
        return self.handle(subject, Failure(found.broken, found.decisions), found.by, found.settings.seed)

    def handle(self, subject: Subject, failure: Failure, by: str, seed: int) -> Kept:
        """Make a failure small, keep it, and tell observers of the run that is left.

        Raises:
            InternalError: it is a bug in longpin.

        """
        limits = Limits(seconds=self.shrink)
        tell_result(self.observers, [ShrinkAdvanced(0, limits.executions, f"{len(failure.decisions)} decisions")])

        def show(runs: int, allowed: float, size: str) -> None:
            tell(self.observers, ShrinkAdvanced(runs, int(allowed), size))

        kept = handle(subject, failure, by, seed, self.folder, limits, show)
        tell_result(self.observers, kept.result.events)
        return kept


def explore_scenario(
    subject: Subject,
    failures: Failures,
    *,
    method: Method | str,
    max_executions: int | None,
    seconds: float | None,
    workers: int,
    executor: Executor | None,
    dask: str | None,
    checkpoint: str | os.PathLike[str] | None,
    footprints: bool,
    symmetry: bool,
    whole_states: bool,
    max_memory: int | None,
    verify: bool,
) -> Explored:
    """Explore a scenario; the arguments are those of :func:`longpin.runner.exploration.explore`.

    Raises:
        OSError: the folder of failures cannot be read.
        InternalError, FootprintError, PoolError, CheckpointError: as there.

    """
    if (kept := failures.known(subject)) is not None:
        return Explored(subject, None, kept)
    settings = subject.settings
    with _executor(executor, workers, dask) as others:
        result = explore(
            subject.build,
            method=method,
            check=subject.check,
            always=subject.always,
            marks=subject.marks,
            wanted=subject.wanted,
            shows=subject.to_show,
            max_executions=max_executions,
            seconds=seconds,
            max_memory=memory_allowed() if max_memory is None else min(max_memory, memory_allowed()),
            footprints=footprints,
            interchangeable=subject.interchangeable if symmetry else (),
            whole_states=whole_states,
            racy=settings.timers == "racy",
            verify=verify,
            observers=failures.observers,
            seed=settings.seed,
            workers=None if method == Method.STATES else workers,
            executor=others,
            checkpoint=checkpoint,
            identity=_identity(subject, verify=verify),
        )
    if result.failures:
        kept = failures.handle(subject, result.failures[0], f"explore ({result.method.value})", settings.seed)
    traces, lost = _keep_witnesses(subject, result, failures.folder)
    return Explored(subject, result, kept, lost, traces)


def _keep_witnesses(
    subject: Subject, result: Exploration, folder: str | os.PathLike[str] | None
) -> tuple[dict[str, str], str]:
    """Return the trace of a schedule for each use that is shown, and what could not be written."""
    traces: dict[str, str] = {}
    lost: list[str] = []
    for mark, decisions in result.witnesses.items():
        try:
            traces[use_of(mark)] = keep_witness(subject, use_of(mark), decisions, folder)
        except OSError as error:
            lost.append(f"{error.filename}: cannot be written: {error.strerror}")
    return traces, joined(*lost)


def stress_scenario(
    subject: Subject,
    failures: Failures,
    *,
    engine: str,
    strategies: Sequence[str],
    runs: int | None,
    seconds: float | None,
    time_scale: float | None,
    every: bool,
    workers: int,
    executor: Executor | None,
    dask: str | None,
) -> Stressed:
    """Sample schedules of a scenario; the arguments are those of :func:`longpin.runner.sampling.stress`.

    Raises:
        OSError: the folder of failures cannot be read.
        InternalError, PoolError: as there.

    """
    if not every and (kept := failures.known(subject)) is not None:
        return Stressed(subject, engine, None, kept)
    threads, settings = engine == "threads", subject.settings
    if runs is None and seconds is None:
        runs = RUNS_ON_THREADS if threads else RUNS
    campaign: Campaign
    if threads:
        campaign = stress_threads(
            subject.scenario,
            settings,
            runs=runs,
            seconds=seconds,
            seed=settings.seed,
            time_scale=time_scale,
            first_failure=not every,
            workers=workers,
            observers=failures.observers,
        )
    else:
        with _executor(executor, workers, dask) as others:
            campaign = stress(
                subject.build,
                strategies=strategies,
                runs=runs,
                seconds=seconds,
                seed=settings.seed,
                check=subject.check,
                always=subject.always,
                marks=subject.marks,
                wanted=subject.wanted,
                racy=settings.timers == "racy",
                first_failure=not every,
                workers=workers,
                executor=others,
                observers=failures.observers,
            )
    kept = None
    if campaign.failures:
        first = campaign.failures[0]
        by = f"{first.strategy}, its run {first.own_run:,}, run {first.run:,} of all"
        kept = failures.handle(subject, first, by, first.seed)
    return Stressed(subject, engine, campaign, kept, every)


def _identity(subject: Subject, *, verify: bool) -> str:
    """Return what is explored, for a checkpoint: a hash, and a policy in a file by its name and the file's hash."""
    settings = subject.settings
    identity = configuration_hash(subject.scenario, settings)
    if settings.source is not None:
        identity += f" under {settings.policy_name} (SHA-256 of the file: {settings.source.sha256})"
    # What was explored without checking footprints says nothing about them.
    return identity + " with --verify" * verify


def _executor(executor: Executor | None, workers: int, dask: str | None) -> AbstractContextManager[Executor | None]:
    return nullcontext(executor) if dask is None else open_executor(workers, dask)
