"""What the JSON objects of all verbs have in common, and the object of a run."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from longpin.runner.judging.invariants import INVARIANTS
from longpin.runner.result import ExpectedLine, Judged, Result, ShownUse, Verdict, Violation

Object = dict[str, Any]

STILL_FAILS = "a failure that was kept before still fails"
"""Why a search ended that searched nothing."""


def head(
    verdict: Verdict,
    reason: str,
    scenario: str,
    policy: str,
    policy_sha256: str,
    engine: str,
    timers: str | None,
    seed: int | None,
    judged: Judged,
    unreached: Sequence[ExpectedLine],
    uses: Sequence[ShownUse],
    warnings: Sequence[str],
) -> Object:
    """Return what the objects of all verbs that take a scenario begin with."""
    return {
        "verdict": verdict.value,
        "reason": reason,
        "scenario": scenario,
        "policy": policy,
        "policy_sha256": policy_sha256 or None,
        "engine": engine,
        "timers": timers,
        "seed": seed,
        "rules": list(judged.rules),
        "not_asked": list(judged.not_asked),
        "not_observed": list(judged.not_observed),
        "unreached": [line._asdict() for line in unreached],
        "uses": [
            {"use": one.use, "sentence": one.sentence, "state": one.state.value, "trace": one.trace or None}
            for one in uses
        ],
        "warnings": list(warnings),
        "failure": None,
        "not_kept": None,
    }


def failure_object(
    violation: Violation,
    *,
    before: Object | None = None,
    after: Object | None = None,
    trace: str | None = None,
    replay: str | None = None,
    scenario: str | None = None,
) -> Object:
    """Return how every verb tells of the failure that it found."""
    return {
        "rule": violation.rule,
        "site": violation.site,
        "sentence": INVARIANTS[violation.rule].summary,
        "what": violation.detail,
        "arrival": violation.arrival,
        "before": before,
        "after": after,
        "trace": trace,
        "replay": replay,
        "scenario": scenario,
    }


def run_object(result: Result, again: str) -> Object:
    """Return what ``run`` and ``replay`` print; the events of the time line are for people and left out.

    Args:
        result: the run.
        again: the command that shows it again.

    """
    emulated = result.engine != "host"
    found = head(
        result.verdict,
        result.reason,
        result.scenario,
        result.policy,
        result.policy_sha256,
        result.engine,
        result.timers if result.engine == "stepped" else None,
        result.seed if emulated else None,
        result.judged,
        result.unreached,
        result.uses,
        result.warnings,
    )
    if result.verdict is Verdict.VIOLATED:
        trace = result.trace if result.trace and not result.not_kept else None
        found["failure"] = failure_object(result.violations[0], trace=trace, replay=again)
    return found | {
        "not_kept": result.not_kept or None,
        "trace": result.trace or None,
        "oracle": result.oracle or None,
        "arrivals": result.arrivals,
        "hash": result.hash or None,
        "violations": [
            {"rule": one.rule, "site": one.site, "what": one.detail, "arrival": one.arrival}
            for one in result.violations
        ],
        "calls": [dataclasses.asdict(call) for call in result.calls],
        "waiting": result.waiting,
    }
