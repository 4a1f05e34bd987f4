"""What has come of a log of a real program: lines for people, and one JSON object."""

from collections.abc import Iterator

from longpin.runner.conclusions import LogJudged
from longpin.runner.judge_log.script import Begins, Ends, Resumes, Returns, Step, Takes
from longpin.runner.report.objects import Object
from longpin.runner.result import Verdict

_MOST_NAMES = 6
_LONGEST = 160


def lines(judged: LogJudged) -> Iterator[str]:
    """Yield the report for people."""
    judgement = judged.judgement
    yield f"{judged.name}: {_counts(judged)}, under {judged.policy}"
    yield f"{judged.verdict.value}: {judged.reason}"
    if judged.ended is not None and judged.verdict is not Verdict.UNDETERMINED:
        yield f"line {judged.ended[0]} and those after it are not judged: {judged.ended[1]}"
    if judged.verdict is Verdict.HOLDS:
        yield f"one is of {len(judgement.decisions)} arrivals; {judgement.states} states, {judgement.seconds:.1f} s"
    if judged.verdict is Verdict.VIOLATED and judgement.line:
        yield ""
        yield f"first line that no order explains: {judgement.line}"
        yield f"  {_line(judged, judgement.line)}"
        yield f"the log: {_told(judgement.step)}"
        for what in judgement.allowed:
            yield f"the model: {what}"
        if not judgement.allowed_complete:
            yield "the model may allow more: the time is spent"
    if judged.verdict is not Verdict.HOLDS and judgement.explained_to:
        yield f"explained up to line {judgement.explained_to}"


def _counts(judged: LogJudged) -> str:
    total = sum(judged.left_out.values())
    named = sorted(judged.left_out.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} {count}" for name, count in named[:_MOST_NAMES])
    more = ", ..." if len(named) > _MOST_NAMES else ""
    left = f" ({shown}{more})" if shown else ""
    processes = f"{judged.processes} process" + ("es" if judged.processes != 1 else "")
    return f"{len(judged.lines)} lines, {processes}, {judged.modelled} calls judged, {total} left out{left}"


def _line(judged: LogJudged, number: int) -> str:
    text = judged.lines[number - 1] if 0 < number <= len(judged.lines) else ""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _told(step: Step | None) -> str:
    match step:
        case Returns():
            return f"returns {step}"
        case Takes():
            return f"takes {step}"
        case Ends():
            return str(step)
        case Begins(op=op):
            return f"makes the call {op.call}"
        case Resumes():
            return "returns from a handler"
        case _:
            return "nothing"


def as_object(judged: LogJudged) -> Object:
    """Return what ``judge`` prints as JSON."""
    judgement = judged.judgement
    refuted = judged.verdict is Verdict.VIOLATED and judgement.line > 0
    return {
        "verdict": judged.verdict.value,
        "reason": judged.reason,
        "log": judged.name,
        "policy": judged.policy,
        "policy_sha256": judged.policy_sha256,
        "lines": len(judged.lines),
        "processes": judged.processes,
        "calls": judged.modelled,
        "left_out": dict(sorted(judged.left_out.items())),
        "ended": None if judged.ended is None else {"line": judged.ended[0], "why": judged.ended[1]},
        "arrivals": len(judgement.decisions) or None,
        "explained_to": judgement.explained_to or None,
        "refuted": {
            "line": judgement.line,
            "text": _line(judged, judgement.line),
            "process": judgement.tid,
            "told": _told(judgement.step),
            "allowed": judgement.allowed,
            "complete": judgement.allowed_complete,
        }
        if refuted
        else None,
        "states": judgement.states,
        "warnings": list(judged.warnings),
        "not_kept": judged.not_kept or None,
        "seconds": round(judgement.seconds, 3),
    }
