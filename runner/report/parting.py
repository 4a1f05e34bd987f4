"""A replay under another policy: what is alike in one line, and both time lines side by side from where they part."""

import dataclasses
from itertools import takewhile, zip_longest

from rich.text import Text

from longpin.runner.failures.parting import Beside, Parting
from longpin.runner.report.lanes import GAP, Lanes, fold
from longpin.runner.report.objects import Object
from longpin.runner.report.picture import (
    MOST_ROWS,
    VERDICT_STYLES,
    Picture,
    how_it_ran,
    lanes_that_never_return,
    policy_summary,
    shorten,
)
from longpin.runner.report.rows import Row, Shape, printable, rows
from longpin.runner.result import Result

NARROWEST_SIDE = 48
"""Columns of a time line below which two of them stand one below the other."""

NOTHING = "nothing can happen any more"


class PartingPicture(Picture):
    """Draws two runs of the same decisions on a console."""

    def draw_both(self, result: Result, beside: Beside) -> None:
        """Draw the run under another policy, and beside it what the trace shows.

        Args:
            result: the run under the other policy; the verdict is its.
            beside: what the trace shows, and how far they go together.

        """
        recorded = beside.recorded
        self._say(result.scenario, result.summary, "bold")
        if result.source:
            self._say("source", result.source)
        self._say("recorded", f"{recorded.policy}: {policy_summary(recorded)}")
        self._say("policy", f"{result.policy}: {policy_summary(result)}")
        self._say("engine", how_it_ran(result))
        if beside.retold:
            self._say("", "The roles of the scenario in the trace are written out; it is followed as it was told.")
        self.console.print()
        labels = _labels(recorded, result)
        self._say("alike", alike_line(beside, result.arrivals))
        if beside.parting is not None:
            self._parting(beside.parting, labels)
        self._say("decisions", decisions_line(beside, result.arrivals))
        self.console.print()
        if beside.parting is not None:
            self._columns(result, beside, labels)
            self.console.print()
        rules = ", ".join(dict.fromkeys(violation.rule for violation in recorded.violations))
        shown = f"{recorded.verdict.value}, {rules or recorded.reason}; {recorded.arrivals} arrivals"
        self._say("recorded", f"{shown}, hash {recorded.hash[:16]}", VERDICT_STYLES[recorded.verdict])
        self._verdict(result)

    def _parting(self, parting: Parting, labels: tuple[str, str]) -> None:
        self._say("they part", f"at arrival {parting.arrival}", "bold")
        for label, message in zip(labels, (parting.recorded, parting.other), strict=True):
            self._say(f"  {label}", message or NOTHING)
        if (question := parting.question) is not None:
            where = f"at arrival {question.arrival}, {question.message}"
            self._say("question", f"{question.hook}, asked by {question.asker} {where}", "bold")
            for label, answer in zip(labels, (question.recorded, question.other), strict=True):
                self._say(f"  {label}", answer)
        elif parting.cause:
            self._say("", parting.cause)

    def _columns(self, result: Result, beside: Beside, labels: tuple[str, str]) -> None:
        """Draw both time lines from where they part, side by side if they can be read."""
        both = [list(rows(one.events, self.glyphs.arrow)) for one in (beside.recorded, result)]
        common = [here for here, _ in takewhile(lambda pair: _same(pair, beside.alike), zip(*both, strict=False))]
        gap = f" {self.glyphs.bar} "
        side = (self.console.width - len(gap)) // 2
        width = side if side >= NARROWEST_SIDE else self.console.width
        sides = [
            self._side(one, every[len(common) :], common, label, width)
            for one, every, label in zip((beside.recorded, result), both, labels, strict=True)
        ]
        if width == side:
            for left, right in zip_longest(*sides, fillvalue=Text()):
                line = Text.assemble(left, " " * (side - left.cell_len), (gap, "dim"), right)
                line.rstrip()
                self.console.print(line, soft_wrap=True)
            return
        for line in [*sides[0], Text(), *sides[1]]:
            self.console.print(line, soft_wrap=True)

    def _side(self, result: Result, its: list[Row], common: list[Row], label: str, width: int) -> list[Text]:
        """Return a time line without what is common."""
        drawn, hidden = shorten(its)
        lines = [Text(line, "bold") for line in fold(printable(label), width)]
        if hidden:
            note = f"{len(its)} rows; the {hidden} after the first {MOST_ROWS // 2} are not shown."
            lines += [Text(line, "dim") for line in fold(note, width)]
        never = lanes_that_never_return(result)
        busy = {row.lane for row in drawn} | never
        lanes = [str(process) for process in result.processes if str(process) in busy]
        if not drawn and not never:
            return [*lines, Text(f"{GAP}nothing more is to be seen", "dim")]
        lines += Lanes(self.console, lanes, drawn, never, width, _under_way(common)).lines()
        return lines


def _labels(recorded: Result, result: Result) -> tuple[str, str]:
    if recorded.policy == result.policy:
        return f"{recorded.policy}, recorded", f"{result.policy}, now"
    return recorded.policy, result.policy


def _same(pair: tuple[Row, Row], alike: int) -> bool:
    here, there = pair
    return here == there and here.arrival <= alike


def _under_way(before: list[Row]) -> frozenset[str]:
    """Return the lanes in which a call is under way after these rows."""
    found: set[str] = set()
    for row in before:
        if row.shape is Shape.BEGIN:
            found.add(row.lane)
        elif row.shape is Shape.END:
            found.discard(row.lane)
    return frozenset(found)


def alike_line(beside: Beside, arrivals: int) -> str:
    """Return how many arrivals are alike in the trace and in a run of so many arrivals."""
    alike, every = beside.alike, beside.recorded.arrivals
    if beside.parting is not None:
        return "no arrival" if alike == 0 else "arrival 1" if alike == 1 else f"arrivals 1 to {alike}"
    if arrivals < every:
        return f"arrivals 1 to {alike}, after which the run was stopped"
    return f"all {every} arrivals of the trace" + (
        ", which was cut short there" if arrivals > every else ": they do not part"
    )


def decisions_line(beside: Beside, arrivals: int) -> str:
    """Return how far the decisions could be followed in a run of so many arrivals, and what was done then."""
    every, followed, until = beside.recorded.arrivals, beside.followed, beside.until
    if followed == 0:
        return f"none of {every} could be followed; the run is first in, first out"
    count = f"all {every}" if followed == every else f"1 to {followed} of {every}"
    last = "" if until == followed else f", the last as arrival {until}"
    more = f"; from arrival {until + 1} on first in, first out" if arrivals > until else ""
    return f"{count} could be followed{last}{more}"


def as_object(beside: Beside | None) -> Object | None:
    """Return what ``replay --json`` says of a trace that was followed under another policy; None: it was not."""
    if beside is None:
        return None
    recorded = beside.recorded
    parting = None
    if (its := beside.parting) is not None:
        parting = {
            "arrival": its.arrival,
            "recorded": its.recorded or None,
            "other": its.other or None,
            "question": None if its.question is None else its.question._asdict(),
            "cause": its.cause or None,
        }
    return {
        "policy": recorded.policy,
        "policy_sha256": recorded.policy_sha256 or None,
        "verdict": recorded.verdict.value,
        "reason": recorded.reason,
        "arrivals": recorded.arrivals,
        "hash": recorded.hash,
        "violations": [
            {"rule": one.rule, "site": one.site, "what": one.detail, "arrival": one.arrival}
            for one in recorded.violations
        ],
        "calls": [dataclasses.asdict(call) for call in recorded.calls],
        "waiting": recorded.waiting,
        "retold": beside.retold,
        "alike": beside.alike,
        "followed": beside.followed,
        "until": beside.until,
        "parting": parting,
    }
