"""The search for an order of arrivals that explains a log, and for the first line that none explains."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from longpin.actors.base import Actor
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration import Exploration, Method, PropertyViolation, Reason, explore
from longpin.runner.exploration.result import Abandoned
from longpin.runner.judge_log.order import LEAST_SLACK
from longpin.runner.judge_log.process import JudgedProcess, JudgedThread
from longpin.runner.judge_log.script import Step
from longpin.runner.judge_log.subject import JudgedBlueprint, LogSubject

MOST_MEMORY = 4 << 30
"""Bytes that one search may take."""


class LogFound(StrEnum):
    """Whether some order of arrivals shows what a log tells."""

    EXPLAINED = "an order of arrivals explains it"
    REFUTED = "no order of arrivals explains it"
    UNDETERMINED = "the time allowed is spent"


@dataclass(slots=True)
class Judgement:
    """What has come of a log."""

    found: LogFound
    decisions: tuple[Address, ...] = ()
    """The order that explains it: whose oldest message arrives, arrival by arrival."""
    line: int = 0
    """The first line that no order explains; 0: there is none, or it is not known."""
    step: Step | None = None
    """What that line tells."""
    tid: int = 0
    """Whose."""
    explained_to: int = 0
    """The last line up to which the log is known to be explained."""
    allowed: list[str] = field(default_factory=list)
    """What the model has there instead."""
    allowed_complete: bool = True
    """There is nothing else."""
    states: int = 0
    events: int = 0
    seconds: float = 0.0


def judge(subject: LogSubject, seconds: float, progress: Callable[[str], None] | None = None) -> Judgement:
    """Look for an order of arrivals that explains a log; if there is none, for the first line that none explains.

    Args:
        subject: the log.
        seconds: how long all of it may take.
        progress: is told what is done now.

    Raises:
        InternalError: a handler raised, which is a bug of longpin.
        KeyboardInterrupt: it was interrupted.

    """
    return _Judge(subject, seconds, progress or (lambda _text: None)).judge()


class _Judge:
    def __init__(self, subject: LogSubject, seconds: float, progress: Callable[[str], None]) -> None:
        self._subject = subject
        self._seconds = seconds
        self._progress = progress
        self._out = Judgement(LogFound.UNDETERMINED)
        self._stuck: set[int] = set()
        """The lines that the search did not come beyond, in some order."""

    def judge(self) -> Judgement:
        lines = self._subject.lines
        if not lines:
            self._out.found = LogFound.EXPLAINED
            return self._out
        self._progress("an order of arrivals is looked for")
        quick = replace(self._subject, slack=LEAST_SLACK)
        found, decisions = self._explain(lines[-1], quick)
        if found is LogFound.REFUTED:
            self._stuck.clear()
            found, decisions = self._explain(lines[-1])
        self._out.found, self._out.decisions = found, decisions
        if found is LogFound.EXPLAINED:
            self._out.explained_to = lines[-1]
        else:
            self._find_line(lines)
        return self._out

    def _find_line(self, lines: list[int]) -> None:
        """Find the least beginning of the log that is not explained: where the search was stuck, else by halves."""
        good, bad = -1, len(lines) - 1
        known = self._out.found is LogFound.REFUTED
        guess = bisect_left(lines, max(self._stuck, default=0)) - 1
        while bad - good > 1:
            middle = guess if good < guess < bad else (good + bad) // 2
            guess = guess + 1 if guess == middle else -1
            self._progress(f"line {lines[middle]} is looked at")
            found, _ = self._explain(lines[middle])
            if found is LogFound.EXPLAINED:
                good = middle
            elif found is LogFound.REFUTED:
                bad, known = middle, True
                self._out.found = LogFound.REFUTED
            else:
                break
        self._out.explained_to = lines[good] if good >= 0 else 0
        if known and bad - good == 1:
            self._out.line = lines[bad]
            self._look(lines[bad])

    def _look(self, line: int) -> None:
        """Say what the model has where a line is not explained."""
        told = self._subject.steps_on(line)
        complete = True
        for tid, number, step in reversed(told):  # of a call on one line: what it returned before that it was made
            self._out.tid, self._out.step = tid, step
            found: set[str] = set()
            result = self._explore(self._subject.blueprint(line, look=(tid, number)), _looking(found, tid))
            if found:
                self._out.allowed = sorted(found)
                self._out.allowed_complete = complete and result.complete
                break

    def _explain(self, line: int, subject: LogSubject | None = None) -> tuple[LogFound, tuple[Address, ...]]:
        """Look for an order that explains the log up to a line."""
        result = self._explore((subject or self._subject).blueprint(line), self._all_over)
        if result.failures:
            failure = result.failures[0]
            if failure.what != LogFound.EXPLAINED:
                raise InternalError(failure.what)
            return LogFound.EXPLAINED, failure.decisions
        return (LogFound.REFUTED if result.complete else LogFound.UNDETERMINED), ()

    def _explore(self, blueprint: JudgedBlueprint, check: Callable[[SteppedEngine], object]) -> Exploration:
        result = explore(
            blueprint.build,
            method=Method.STATES,
            check=check,
            always=self._abandon,
            seconds=max(0.01, self._seconds - self._out.seconds),
            max_memory=MOST_MEMORY,
        )
        if result.reason is Reason.INTERRUPTED:
            raise KeyboardInterrupt
        self._out.states += result.states
        self._out.events += result.events
        self._out.seconds += result.seconds
        return result

    def _abandon(self, actor: Actor, _envelope: Envelope) -> None:
        """Leave out what the log excludes."""
        if isinstance(actor, JudgedProcess) and actor.contradiction:
            self._stuck.add(actor.contradicts)
            raise Abandoned

    def _all_over(self, engine: SteppedEngine) -> None:
        left = [thread.next_step for _, thread in _threads(engine) if not thread.is_over]
        if not left:
            raise PropertyViolation(LogFound.EXPLAINED)
        self._stuck |= {min(step.line for step in left if step is not None)}


def _threads(engine: SteppedEngine) -> Iterator[tuple[JudgedProcess, JudgedThread]]:
    for actor in engine.actors.values():
        if isinstance(actor, JudgedProcess):
            for thread in actor.threads:
                assert isinstance(thread, JudgedThread)
                yield actor, thread


def _looking(found: set[str], tid: int) -> Callable[[SteppedEngine], None]:
    """Return what notes what a thread comes to where the log is cut off, if all others have come as far as it tells."""

    def look(engine: SteppedEngine) -> None:
        if any(not thread.is_over for _, thread in _threads(engine) if thread.tid != tid):
            return
        for process, thread in _threads(engine):
            if process.looked and (thread.tid == tid or tid not in {t.tid for t in process.threads}):
                found.add(process.looked)
            elif thread.tid == tid and not thread.is_over:
                found.add(_asleep(thread))

    return look


def _asleep(thread: JudgedThread) -> str:
    if thread.calls:
        call = thread.calls[-1]
        reason = thread.task.slept if thread.task is not None else ""
        return f"has not returned from {call.op.call}" + (f", which waits for {reason}" if reason else "")
    return "makes no call: it waits for a signal, or for another call to return"
