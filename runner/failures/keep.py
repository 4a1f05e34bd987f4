"""What is done with a failure: shrink it, keep it, and look at what was kept before anything else is tried."""

import dataclasses
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import longpin
from longpin.config.loader import parse_scenario
from longpin.config.schema import Scenario
from longpin.messages.trace import Told, TraceError, TraceReader
from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration.result import POLICY_SITE, Failure, same
from longpin.runner.failures.effort import Limits
from longpin.runner.failures.found import FoundFailure, configuration_hash
from longpin.runner.failures.schedule import Follower, follow
from longpin.runner.failures.shrink import shrink
from longpin.runner.failures.store import (
    FORMAT,
    NUMBER,
    Record,
    RecordError,
    Size,
    read_record,
    stem,
    write_record,
)
from longpin.runner.files import write_atomically
from longpin.runner.own_policy.checks import PolicyError
from longpin.runner.progress import Shown
from longpin.runner.result import Result, Verdict, Violation
from longpin.runner.run import replay, run
from longpin.runner.subject import Subject

MOST_TOLD = 1 << 20
"""Characters of the decisions that a trace holds beside the arrivals; a header is bounded."""


class Kept(NamedTuple):
    """A failure that was made small, in its folder if it could be written there."""

    found: FoundFailure
    """As it was found."""
    shrunk: Scenario
    """What remained of its scenario."""
    record: Record
    trace: Path
    """The shrunk failure: the scenario, and every arrival of the run until nothing can happen any more."""
    json: Path
    result: Result
    """The shrunk failure up to the arrival after which the rule does not hold, as the trace shows it."""
    not_kept: str = ""
    """Why the two files could not be written, one line; empty if they are there."""
    wanted: bool = True
    """The two files were to be written."""

    @property
    def written(self) -> bool:
        """Return whether the two files are there."""
        return self.wanted and not self.not_kept

    @property
    def violation(self) -> Violation:
        """Return what is violated first; in the shrunk scenario that is the rule that was violated in the original."""
        return self.result.violations[0]


def handle(
    subject: Subject,
    failure: Failure,
    by: str,
    seed: int,
    folder: str | os.PathLike[str] | None,
    limits: Limits | None = None,
    progress: Shown | None = None,
    *,
    whole: bool = False,
) -> Kept:
    """Shrink a failure and keep it. One that this version of longpin has kept already is not shrunk again.

    Ctrl-C ends the shrinking; what was found by then is kept. What cannot be written is told by
    :attr:`Kept.not_kept`.

    Args:
        subject: what was searched.
        failure: a schedule of it that breaks a rule.
        by: who found it, for people.
        seed: the seed it was found with; the actors' random numbers were derived from it.
        folder: where to keep it; it is created. None: it is only made small.
        limits: what may be spent on shrinking.
        progress: told how far it is.
        whole: keep the scenario as it is, with a simpler schedule.

    Raises:
        PolicyError: the failure is a mistake of a policy in a file.
        InternalError: the failure is a bug in longpin, or it cannot be repeated.

    """
    if not failure.broken.rule:
        if failure.broken.site == POLICY_SITE:
            raise PolicyError(failure.what)
        raise InternalError(failure.what)
    settings = dataclasses.replace(subject.settings, engine="stepped", seed=seed)
    found = FoundFailure(subject.scenario, settings, failure.broken, failure.decisions, by)
    return keep(found, folder, limits, progress, whole=whole)


def keep(
    found: FoundFailure,
    folder: str | os.PathLike[str] | None,
    limits: Limits | None = None,
    progress: Shown | None = None,
    *,
    whole: bool = False,
) -> Kept:
    """Shrink a failure and keep it, as :func:`handle` does.

    Raises:
        InternalError: it cannot be repeated.

    """
    name = stem(found)
    where = Path() if folder is None else Path(folder)
    json, trace = where / f"{name}.json", where / f"{name}.trace"
    if folder is not None and (kept := _kept_before(found, json, trace)) is not None:
        return kept
    shrunk = shrink(found, limits, progress, whole=whole)
    its = shrunk.found
    written = io.BytesIO()
    told = None if whole else _told(found)
    run(its.scenario, its.settings, written, Follower(its.decisions, its.settings.seed), told=told)
    record = Record(
        FORMAT,
        NUMBER,
        longpin.__version__,
        found.scenario.name,
        configuration_hash(found.scenario, found.settings),
        found.settings.policy_name,
        found.settings.timers,
        *found.broken[1:],
        found.broken.what,
        found.by,
        found.seed,
        list(found.decisions),
        Size.of(found.scenario, shrunk.before),
        Size.of(its.scenario, shrunk.schedule),
        shrunk.end.value,
        trace.name,
        found.settings.source.sha256 if found.settings.source is not None else "",
    )
    if (result := _shown(written, found)) is None:
        raise InternalError(f"{trace}: what is written there does not show the failure")
    not_kept = ""
    if folder is not None:
        try:
            where.mkdir(parents=True, exist_ok=True)
            write_atomically(trace, lambda path: path.write_bytes(written.getvalue()))
            write_record(json, record)
        except OSError as error:
            not_kept = f"{error.filename or where}: cannot be written: {error.strerror or error}"
    return Kept(found, its.scenario, record, trace, json, result, not_kept, folder is not None)


def _told(found: FoundFailure) -> Told | None:
    """Return the scenario as it was told, if it was told in roles, which are written out before it is made smaller."""
    if not found.scenario.dialect or sum(map(len, found.decisions)) > MOST_TOLD:
        return None
    return Told(found.scenario.text, found.decisions)


def still_fails(found: FoundFailure) -> FoundFailure | None:
    """Return a kept failure as it fails today, None if it does not.

    Its decisions are followed; those that do not apply any more are skipped.
    """
    outcome = follow(found.subject(), found.decisions)
    if outcome.broken is None or not same(outcome.broken, found.broken):
        return None
    return dataclasses.replace(found, broken=outcome.broken, decisions=outcome.schedule.decisions)


def _kept_before(found: FoundFailure, json: Path, trace: Path) -> Kept | None:
    """Return a failure that is in its folder, whole, by this version."""
    try:
        record = read_record(json)
    except RecordError:
        return None
    if record.longpin != longpin.__version__ or (result := _shown(trace, found)) is None:
        return None
    header = TraceReader(trace).header
    return Kept(found, parse_scenario(header.scenario, header.scenario_name), record, trace, json, result)


def _shown(trace: Path | BinaryIO, found: FoundFailure) -> Result | None:
    """Return what a trace shows until a rule is violated; None if that is not this failure."""
    try:
        source = found.settings.source
        whole = replay(trace, source=source)
        if whole.verdict is not Verdict.VIOLATED:
            return None
        first = whole.violations[0]
        if (first.rule, first.site) != (found.broken.rule, found.broken.site):
            return None
        return whole if first.arrival == whole.arrivals else replay(trace, first.arrival, source=source)
    except TraceError:
        return None


Tell = Callable[[str], object]
"""Takes a line for people."""


def try_known(found: list[FoundFailure], tell: Tell) -> FoundFailure | None:
    """Return the first kept failure that still fails; ``tell`` gets a line for each before it that does not."""
    for one in found:
        if (now := still_fails(one)) is not None:
            return now
        tell(f"{stem(one)}: it does not fail any more; it is kept")
    return None
