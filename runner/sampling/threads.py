"""Sampling by the operating system: runs on real threads, whose schedules nobody here chooses.

Each run is recorded and judged by replaying its trace on the stepped engine, as ``longpin run --engine threads`` does.
A seed does not repeat such a run, so a failing one keeps its trace file, and its decisions, which the trace holds.

With several workers runs go on side by side, each in a process with a lock for its own interpreter.
"""

import dataclasses
import io
import pickle
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from functools import lru_cache
from typing import NamedTuple

from longpin.config.schema import Scenario
from longpin.messages.codec import Encoder
from longpin.messages.envelope import Envelope
from longpin.messages.trace import TraceWriter
from longpin.runner.engines.allowance import MOST_ARRIVALS, MOST_FOR_PAGES, Allowance, run_threads_within
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.threads import ThreadsEngine
from longpin.runner.events import Observer
from longpin.runner.exploration.replay import Decisions
from longpin.runner.oracles import NO_PROFILE
from longpin.runner.pool import in_order, open_executor, packed
from longpin.runner.run import header_of
from longpin.runner.sampling.campaign import HEAD_START
from longpin.runner.sampling.pace import CampaignPace
from longpin.runner.sampling.result import Campaign, CampaignReason
from longpin.runner.sampling.sample import Plan, SampledRun, Sampler
from longpin.runner.sampling.tally import Batch, CampaignTally
from longpin.runner.sampling.trace import NO_TRACE
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

THREADS = "threads"
"""The name of this strategy."""


def stress_threads(
    scenario: Scenario,
    settings: Settings,
    *,
    runs: int | None = 100,
    seconds: float | None = None,
    seed: int = 0,
    time_scale: float | None = None,
    first_failure: bool = True,
    workers: int = 1,
    observers: Iterable[Observer] = (),
) -> Campaign:
    """Run a scenario on threads many times, until a rule is violated, and count the schedules that were seen.

    A failure's decisions are for ``racy=True``: on threads a timer goes off when it is due, whatever else happens.

    Args:
        scenario: what to run.
        settings: how; engine, oracle, seed and timers are not looked at.
        runs: how many to make; None for any number.
        seconds: begin no other run after so long.
        seed: run i, counting from 0, has the seed ``seed + i`` for the actors' random numbers.
        time_scale: the real seconds a virtual second takes; None: what ``settings`` say.
        first_failure: end with the first run that breaks something; otherwise make all runs and report every failure.
        workers: processes to share the work; each makes one run at a time.
        observers: told every 0.2 s, or after a run that takes longer, how far it is, as
            :class:`~longpin.runner.events.SearchAdvanced`, once more at the end, and of each new failure, as
            :class:`~longpin.runner.events.FailureFound`. What one raises ends the campaign.

    Raises:
        ValueError: a number is negative.
        InternalError: a bug in longpin, or a run on threads that the stepped engine cannot follow.
        PoolError: a policy cannot be sent to other processes, or a process was lost.

    """
    if workers < 1:
        raise ValueError(f"{workers} workers: at least 1")
    wanted = dataclasses.replace(settings, engine="threads", seed=seed)
    if time_scale is not None:
        wanted = dataclasses.replace(wanted, time_scale=time_scale)
    recorder = Recorder(Subject(scenario, wanted))
    tally = CampaignTally((THREADS,), seed)
    campaign = tally.campaign
    pace = CampaignPace(campaign, runs, seconds, observers)
    try:
        with closing(_batches(recorder, pace, workers, first_failure=first_failure)) as batches:
            for batch in batches:
                tally.add(batch)
                pace.learn(batch)
                pace.tell()
                if campaign.failures and first_failure:
                    break
        campaign.reason = CampaignReason.VIOLATED if campaign.failures and first_failure else pace.reason()
    except KeyboardInterrupt:
        campaign.reason = CampaignReason.INTERRUPTED
    pace.end()
    campaign.missing = [mark for mark in recorder.subject.wanted if mark not in campaign.marks]
    return campaign


class ThreadsJob(NamedTuple):
    """Consecutive runs for one process."""

    subject: bytes
    """Pickled; each process makes its recorder from it once."""
    first: int
    """The first seed."""
    runs: int
    until: float | None
    """When to begin no other, by clock_gettime(2) of CLOCK_MONOTONIC, which is the same in all processes."""
    first_failure: bool
    """End with the first run that breaks something."""


def make_runs(job: ThreadsJob) -> Batch:
    """Make the runs of a job."""
    return _recorder(job.subject).make_runs(job.first, job.runs, job.until, first_failure=job.first_failure)


@lru_cache(maxsize=1)
def _recorder(subject: bytes) -> "Recorder":
    return Recorder(pickle.loads(subject))  # noqa: S301 - the process that started this one made it


def _batches(
    recorder: "Recorder", pace: CampaignPace, workers: int, *, first_failure: bool
) -> Generator[Batch, None, None]:
    """Yield batches in the order of their runs; other processes are started only if there is work left for them."""
    planned = pace.batches()
    for first, count in planned:
        yield recorder.make_runs(first, count, pace.until, first_failure=first_failure)
        if workers > 1 and pace.passed() > HEAD_START:
            break
    else:
        return
    subject = packed("what is to be run", recorder.subject)
    jobs = (ThreadsJob(subject, first, count, pace.until, first_failure) for first, count in planned)
    with open_executor(workers) as pool:
        yield from in_order(pool, make_runs, jobs, 2 * workers, pace.tell)


class Recorder:
    """Makes runs on threads, and judges them on the stepped engine."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.judge = Sampler(
            Plan(
                subject.build,
                (THREADS,),
                NO_PROFILE,
                subject.check,
                subject.always,
                racy=True,
                most=MOST_ARRIVALS + MOST_FOR_PAGES,
                remember=False,
                marks=subject.marks,
            )
        )

    def make_runs(self, first: int, count: int, until: float | None, *, first_failure: bool) -> Batch:
        """Make runs with consecutive seeds, as long as there is time."""
        started = time.monotonic()
        batch = Batch(first)
        for seed in range(first, first + count):
            log, quiet = self.record(seed)
            run = self.follow(log, seed, quiet=quiet)
            broken = run.judgement.broken is not None
            batch.add(seed, run, self.trace_file(log, seed, quiet=quiet) if broken else b"")
            if (broken and first_failure) or (until is not None and time.monotonic() >= until):
                break
        batch.seconds = time.monotonic() - started
        return batch

    def record(self, seed: int) -> tuple[list[Envelope], bool]:
        """Run on threads; return what arrived, in order, and whether nothing could happen any more in the end."""
        log: dict[int, Envelope] = {}
        allowance = Allowance()

        def note(number: int, envelope: Envelope) -> None:
            log[number] = envelope
            allowance.count(envelope)

        engine = ThreadsEngine(note, lambda: None, time_scale=self.subject.settings.time_scale, seed=seed)
        with closing(engine):
            self.subject.build(engine)
            try:
                quiet = run_threads_within(engine, allowance)
            except InternalError:
                quiet = False  # following it on the stepped engine says what went wrong
        return list(log.values()), quiet

    def follow(self, log: list[Envelope], seed: int, *, quiet: bool) -> SampledRun:
        """Carry out on the stepped engine what was recorded.

        Raises:
            InternalError: it cannot be carried out, or something else arrives.

        """
        run = self.judge.on_the_engine(Decisions([envelope.src for envelope in log], seed), seed)
        broken = run.judgement.broken is not None
        if run.arrived != log[: len(run.arrived)] or (quiet and not broken and run.trace == NO_TRACE):
            raise InternalError(f"run {seed} on threads did something that the stepped engine does not do")
        return run

    def trace_file(self, log: list[Envelope], seed: int, *, quiet: bool) -> bytes:
        """Return the file that ``longpin replay`` takes."""
        subject = self.subject
        settings = dataclasses.replace(subject.settings, seed=seed)
        header = header_of(subject.scenario, settings, settings.make_proposal())
        encoder, file = Encoder(), io.BytesIO()
        with TraceWriter(file, header) as writer:
            for number, envelope in enumerate(log, 1):
                writer.append(encoder.encode(number, envelope))
            writer.close(complete=quiet)
        return file.getvalue()
