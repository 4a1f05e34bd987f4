"""The line to grep: every verb says in one line, in the manner of a litmus test of herd7, what it has come to.

::

    Observation NAME POLICY VERDICT RULES SHOWN/LOOKED UNIT TIMERS
    Observation layout-lease-answered P5:intended violated O3 1/88 schedules racy

Always eight words with one blank between them, so that ``grep ^Observation`` and ``awk`` need to know nothing else. A
verb of one's own makes an :class:`Observation` and prints it.
"""

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple, assert_never

from longpin.runner.conclusions import (
    Compared,
    Conclusion,
    Explored,
    LogJudged,
    Predicted,
    Raced,
    RanAll,
    Replayed,
    Searched,
    Stressed,
    Tabulated,
    Vectors,
)
from longpin.runner.matrix.cell import CellVerdict, How, MatrixCell
from longpin.runner.report.rows import printable
from longpin.runner.result import Result, UseState, Verdict

NOTHING = "-"
"""The word where there is nothing to say."""


class Observation(NamedTuple):
    """What a verb has come to."""

    name: str
    """Of the scenario, or what takes its place; white space in it is written ``_``."""
    policy: str
    verdict: str
    rules: tuple[str, ...]
    """Those that do not hold, or the uses that no schedule shows; empty: there is none, or that is not known."""
    shown: int
    """How many of those that were looked at show that."""
    looked: int
    """How many were looked at."""
    unit: str
    """What they are: ``run``, ``schedules``, ``states``, ``samples``, ``programs``, ``scenarios``, ``cells`` ..."""
    timers: str = ""
    """``lazy`` or ``racy``; empty where real time passed."""

    def __str__(self) -> str:
        words = (self.name, self.policy, self.verdict, ",".join(self.rules), f"{self.shown}/{self.looked}")
        return " ".join(("Observation", *(_word(word) for word in (*words, self.unit, self.timers))))


def _word(text: str) -> str:
    return printable(re.sub(r"\s", "_", text)) or NOTHING


def observation_of(conclusion: Conclusion) -> Observation:
    """Return what the last line says of a conclusion."""
    match conclusion:
        case Result():
            return _of_a_run(conclusion)
        case Replayed():
            return _of_a_run(conclusion.result)
        case Explored() | Stressed():
            return _of_a_search(conclusion)
        case Compared(verdict=verdict, tally=tally, about=about):
            counts = tally.differ + tally.unsupported, tally.asked
            return Observation("programs", about.policy, verdict.value, (), *counts, "programs")
        case Predicted(tally=facts):
            from longpin.runner.conform.facts.answers import POLICY, PRESET

            counts = len(facts.differences), facts.compared
            return Observation("facts", f"{POLICY}:{PRESET}", conclusion.verdict.value, (), *counts, "questions")
        case Raced(series=series):
            from longpin.runner.races.model import PROPOSAL

            one = series.compared[0] if series.wanted.length == 1 and series.compared else None
            counts = series.differ, len(series.compared)
            name = "races" if one is None else one.scenario.name
            return Observation(name, PROPOSAL.name, series.verdict.value, (), *counts, "scenarios")
        case Tabulated(matrix=found):
            counts = len(found.surprises), len(found.cells)
            return Observation("matrix", "", found.verdict.value, (), *counts, "cells")
        case Vectors(found=surveyed):
            from longpin.runner.report.survey import counts as counts_of

            its = counts_of(surveyed)
            policy, verdict = surveyed.space.policy, surveyed.verdict
            return Observation("vectors", policy, verdict.value, (), its.failing, its.vectors, "vectors")
        case RanAll(runs=runs, verdict=verdict, kernel=kernel):
            return Observation(
                "shipped", kernel or "", verdict.value, (), len(conclusion.unexpected), len(runs), "scenarios"
            )
        case LogJudged(judgement=judgement):
            refuted = int(conclusion.verdict is Verdict.VIOLATED)
            name = PurePath(conclusion.name).stem
            return Observation(
                name, conclusion.policy, conclusion.verdict.value, (), refuted, judgement.states, "states"
            )
        case _:
            assert_never(conclusion)


def last_lines(conclusion: Conclusion, again: str = "") -> tuple[str, ...]:
    """Return what every form of text ends with: the observation, and last the command that shows a failure again.

    Args:
        conclusion: what a verb has come to.
        again: the command that shows a run again, which a run does not know itself.

    """
    match conclusion:
        case Explored() | Stressed():
            from longpin.runner.report.failure import replay_line as its_line

            command = "" if conclusion.kept is None else its_line(conclusion.kept)
        case Compared():
            command = conclusion.again or ""
        case Predicted():
            from longpin.runner.report.facts import replay_line as facts_line

            command = facts_line(conclusion)
        case Raced():
            command = conclusion.series.again
        case Tabulated():
            from longpin.runner.report.matrix import replay_line

            command = replay_line(conclusion.matrix)
        case RanAll():
            from longpin.runner.report import shipped

            command = shipped.replay_line(conclusion)
        case _:
            command = again if conclusion.verdict is Verdict.VIOLATED else ""
    return (str(observation_of(conclusion)), *filter(None, (command,)))


def observations_of(conclusion: Conclusion) -> Iterator[Observation]:
    """Yield what the parts of a conclusion have come to, where it has parts that have verdicts of their own."""
    if isinstance(conclusion, Tabulated):
        yield from map(observation_of_cell, conclusion.matrix.cells)
    if isinstance(conclusion, RanAll):
        yield from (_of_a_run(one.result) for one in conclusion.runs)


def observation_of_cell(cell: MatrixCell) -> Observation:
    """Return what is to be said of a cell of the matrix; one that was inferred was not looked at itself."""
    violated = cell.verdict is CellVerdict.VIOLATED
    verdict = Verdict.HOLDS.value if cell.verdict is CellVerdict.PROVED else cell.verdict.value
    rules = (cell.rule,) if violated else ()
    looked = 0 if cell.how is How.INFERRED else max(cell.states or cell.executions, int(violated))
    shown = int(violated and not cell.use and looked > 0)
    unit = "states" if cell.states else "schedules"
    return Observation(cell.hazard, cell.column, verdict, rules, shown, looked, unit, cell.timers)


def _of_a_run(result: Result) -> Observation:
    rules = tuple(dict.fromkeys(violation.rule for violation in result.violations))
    timers = result.timers if result.engine == "stepped" else ""
    verdict = result.verdict.value
    return Observation(result.scenario, result.policy, verdict, rules, int(bool(rules)), 1, "run", timers)


def _of_a_search(searched: Searched) -> Observation:
    """Return what a search has come to; a failure that was kept before is one schedule, and it fails."""
    subject, engine = searched.subject, "stepped"
    rules: tuple[str, ...] = tuple(use.use for use in searched.uses if use.state is UseState.NOWHERE)
    shown, looked, unit = 0, 0, "schedules" if isinstance(searched, Explored) else "samples"
    if isinstance(searched, Explored):
        if (explored := searched.exploration) is not None:
            shown, looked = len(explored.failures), explored.states or explored.executions
            # A failure ends the search before the schedule that shows it is counted as one that came to its end.
            looked, unit = max(looked, shown), "states" if explored.states else unit
            rules = tuple(dict.fromkeys(failure.broken.rule for failure in explored.failures)) or rules
    else:
        engine = searched.engine
        if (campaign := searched.campaign) is not None:
            shown, looked = sum(row.broken for row in campaign.by_strategy), campaign.runs
            rules = tuple(dict.fromkeys(failure.broken.rule for failure in campaign.failures))
    if searched.kept is not None and not looked:
        rules, shown, looked = (searched.kept.found.broken.rule,), 1, 1
    settings = subject.settings
    timers = settings.timers if engine == "stepped" else ""
    verdict = searched.verdict.value
    return Observation(subject.scenario.name, settings.policy_name, verdict, rules, shown, looked, unit, timers)
