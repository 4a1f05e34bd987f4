"""What came of questions about kernels: for people, and as one JSON object."""

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from longpin.runner.conclusions import Predicted
from longpin.runner.conform.facts.answers import POLICY, PRESET, Answered
from longpin.runner.conform.facts.check import Standing, differing
from longpin.runner.conform.facts.question import KernelAnswer
from longpin.runner.report.objects import Object

SENTENCE = "the emulated kernel of each version does what that kernel did"
"""What holds where they agree."""

_MOST_DIFFERENCES = _MOST_REASONS = 20
_HEADINGS = ("case", "questions", *(standing.value for standing in Standing))


def lines(predicted: Predicted) -> Iterator[str]:
    """Yield the tally by case, what is out of scope and why, and the differences."""
    tally = predicted.tally
    yield (
        f"{predicted.reason}: {tally.programs} of {predicted.wanted} questions, emulated {POLICY}:{PRESET}, "
        f"{tally.programs / max(predicted.seconds, 1e-6):.0f}/s"
    )
    yield ""
    yield from _table(tally.cases, sum(tally.cases.values(), Counter()))
    if tally.reasons:
        yield ""
    for reason, count in tally.reasons.most_common(_MOST_REASONS):
        yield f"out of scope {count}: {reason}"
    if len(tally.reasons) > _MOST_REASONS:
        rest = tally.count(Standing.OUT_OF_SCOPE) - sum(count for _, count in tally.reasons.most_common(_MOST_REASONS))
        yield f"out of scope {rest}: for {len(tally.reasons) - _MOST_REASONS} more reasons"
    for answered in tally.differences[:_MOST_DIFFERENCES]:
        yield ""
        yield str(answered.question)
        yield from _beside(answered)
    if len(tally.differences) > _MOST_DIFFERENCES:
        yield f"and {len(tally.differences) - _MOST_DIFFERENCES} more"


def replay_line(predicted: Predicted) -> str:
    """Return the command that asks the first question again about which the kernels differ; empty: there is none."""
    differences = predicted.tally.differences
    return _again(differences[0]) if differences else ""


def _table(cases: dict[str, Counter[Standing]], total: Counter[Standing]) -> Iterator[str]:
    rows = [_HEADINGS]
    for case, counts in (*cases.items(), ("all", total)):
        rows.append((case, str(counts.total()), *(str(counts[standing]) for standing in Standing)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        yield "  ".join(
            [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        )


def _beside(answered: Answered) -> Iterator[str]:
    recorded, own = answered.question.recorded, answered.answer
    assert recorded is not None
    yield f"  the kernel: {_said(recorded)}"
    yield f"  emulated:   {'out of scope' if own is None else _said(own)}"
    for key in differing(answered):
        yield f"  {key}: {json.dumps(recorded.also[key])}, emulated {json.dumps(answered.also[key])}"


def _said(answer: KernelAnswer) -> str:
    return json.dumps(answer.observed) + (f", {answer.errno}" if answer.errno else "")


def _again(answered: Answered) -> str:
    """Return the command that asks one question again."""
    question, recorded = answered.question, answered.question.recorded
    row: dict[str, Any] = {key: getattr(question, key) for key in ("id", "case", "fs", "op", "kernel", "how")}
    if recorded is not None:
        row |= {**recorded.also, "observed": recorded.observed, "errno": recorded.errno}
    return f"printf '%s\\n' {shlex.quote(json.dumps(row))} | longpin conform --facts -"


def as_object(predicted: Predicted) -> Object:
    """Return what ``conform --json`` prints: in place of programs there are questions."""
    tally = predicted.tally
    not_compared = tally.count(Standing.OUT_OF_SCOPE) + tally.count(Standing.NOT_COMPARED)
    return {
        "verdict": predicted.verdict.value,
        "reason": predicted.reason,
        "warnings": [],
        "mode": "facts",
        "engine": "stepped",
        "policy": f"{POLICY}:{PRESET}",
        **dict.fromkeys(("policy_sha256", "seed", "kernel", "fs", "shrunk", "races", "first_difference")),
        "programs_wanted": predicted.wanted,
        "programs": tally.programs,
        "agree": tally.count(Standing.AGREES),
        "differ": tally.count(Standing.DIFFERS),
        "unsupported": 0,
        "unsupported_reasons": {},
        "skipped": not_compared,
        "skipped_reasons": _skipped(predicted),
        "facts": {
            "cases": {case: _counts(counts) for case, counts in tally.cases.items()},
            "out_of_scope": dict(tally.reasons),
            "differences": [_difference(answered) for answered in tally.differences],
        },
        "failure": _failure(predicted),
        "not_kept": predicted.not_kept or None,
        "seconds": round(predicted.seconds, 3),
    }


def _skipped(predicted: Predicted) -> dict[str, int]:
    untold = predicted.tally.count(Standing.NOT_COMPARED)
    found = dict(predicted.tally.reasons)
    return found | ({"nothing is recorded": untold} if untold else {})


def _counts(counts: Counter[Standing]) -> Object:
    return {"questions": counts.total()} | {standing.name.lower(): counts[standing] for standing in Standing}


def _difference(answered: Answered) -> Object:
    question, recorded, own = answered.question, answered.question.recorded, answered.answer
    assert recorded is not None
    keys = differing(answered)
    return {
        **{key: getattr(question, key) for key in ("id", "case", "fs", "op", "kernel", "how")},
        "expected": _answer(recorded, recorded.also, keys),
        "found": _answer(own or KernelAnswer(None), answered.also, keys),
    }


def _answer(answer: KernelAnswer, also: Mapping[str, Any], keys: list[str]) -> Object:
    return {"observed": answer.observed, "errno": answer.errno, "also": {key: also[key] for key in keys}}


def _failure(predicted: Predicted) -> Object | None:
    if not predicted.tally.differences:
        return None
    first = predicted.tally.differences[0]
    return dict.fromkeys(("rule", "arrival", "before", "after", "trace", "scenario")) | {
        "site": str(first.question),
        "sentence": SENTENCE,
        "what": " ".join(line.strip() for line in _beside(first)),
        "replay": _again(first),
    }
