"""What the runs of all shipped scenarios show: a table for people, and one JSON object."""

from collections.abc import Iterator

from longpin.runner.conclusions import RanAll, ShippedRun
from longpin.runner.report.objects import Object
from longpin.runner.report.observation import observation_of

_EXPECTED = {True: "as expected", False: "NOT EXPECTED", None: "undetermined"}
HEADINGS = ("scenario", "policy", "verdict", "", "expected")


def lines(ran: RanAll) -> Iterator[str]:
    """Yield the table, and what is not as expected."""
    rows = [HEADINGS, *(_row(one) for one in ran.runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    yield ""
    yield f"{ran.verdict.value}: {reason(ran)}"
    for one in ran.unexpected:
        yield f"  {one.name}: expected {_rules(one.expected)}, found {_rules(one.violated)}: {one.result.reason}"
    yield f"{len(ran.runs)} of {ran.wanted} scenarios; {ran.seconds:.1f} s"


def _row(one: ShippedRun) -> tuple[str, ...]:
    result = one.result
    rules = ",".join(one.violated)
    return one.name, result.policy, result.verdict.value, rules, _EXPECTED[one.as_expected]


def _rules(rules: tuple[str, ...]) -> str:
    return ", ".join(rules) or "no violation"


def replay_line(ran: RanAll) -> str:
    """Return the command that shows the first run that is not as expected; empty: there is none."""
    return next((one.again for one in ran.unexpected), "")


def reason(ran: RanAll) -> str:
    """Return why the verdict is what it is."""
    if ran.unexpected:
        return f"{len(ran.unexpected)} of {ran.wanted} scenarios did not end as their files say"
    if ran.undetermined:
        return f"of {ran.undetermined} of {ran.wanted} scenarios it is not known how they end"
    return "every scenario ended as its file says"


def as_object(ran: RanAll) -> Object:
    """Return what ``run --all`` prints as JSON."""
    return {
        "verdict": ran.verdict.value,
        "reason": reason(ran),
        "kernel": ran.kernel,
        "scenarios": [_run(one) for one in ran.runs],
        "wanted": ran.wanted,
        "undetermined": ran.undetermined,
        "not_as_expected": len(ran.unexpected),
        "not_kept": None,
        "seconds": round(ran.seconds, 3),
    }


def _run(one: ShippedRun) -> Object:
    return {
        "scenario": one.name,
        "policy": one.result.policy,
        "verdict": one.result.verdict.value,
        "reason": one.result.reason,
        "violated": list(one.violated),
        "wanted": list(one.expected),
        "unreached": len(one.result.unreached),
        "expected": one.as_expected,
        "replay": one.again,
        "observation": str(observation_of(one.result)),
    }
