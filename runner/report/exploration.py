"""What is known after an exploration that broke nothing: for people, and as one JSON object."""

from math import ceil, log10

from longpin.runner.conclusions import Explored
from longpin.runner.exploration.result import Exploration, Method, Reason
from longpin.runner.exploration.seen import FINGERPRINT_BITS
from longpin.runner.judging.expected import unreached_reason
from longpin.runner.report.objects import STILL_FAILS, Object, head
from longpin.runner.report.picture import seen_lines, unreached_lines, use_lines
from longpin.runner.report.rows import printable
from longpin.runner.result import Verdict, unshown_reason

UNJUDGED = "not each one could be judged"


def lines(explored: Explored) -> list[str]:
    """Return the lines of the report. A proof states its bounds, and what is incomplete says how much is known."""
    subject, result = explored.subject, explored.exploration
    assert result is not None, "nothing was explored"
    settings = subject.settings
    judged = subject.rules.judged
    found = [
        f"{subject.scenario.name}: {subject.scenario.summary}",
        f"policy: {settings.policy_name}",
        f"method: {result.method.value}" + (f": {result.why}" if result.why else ""),
        f"{result.verdict.value}: {reason(explored, result)}",
    ]
    if result.verdict is Verdict.HOLDS:
        found.append(f"  {judged.hold(f' in all of {_size(result)}')}")
        found.append(f"  bounds: these programs, timers {settings.timers}, random numbers of seed {settings.seed}")
        found += [f"  {line}" for line in _matched(result)]
    else:
        found.append(f"  {judged.hold(f' in {_size(result)}', past=True)}" + _share(result))
    if result.inconclusive:
        found.append(f"  {result.inconclusive}")
    found += [f"  {line}" for line in unreached_lines(subject.unreached(result.marks))]
    uses = use_lines(explored.uses, explored.subject.settings.policy_name)
    found += [f"  {line}" for line in (*uses, *seen_lines(explored.warnings))]
    if result.blocked:
        found.append(f"  {result.blocked:,} executions were given up half-way, as they could only repeat another")
    found.append(f"  {result.events:,} arrivals, {result.seconds:.2f} s, seed {settings.seed}")
    return [printable(line) for line in found]


def reason(explored: Explored, result: Exploration) -> str:
    """Return why the exploration ended, and why it is no proof although it is complete."""
    but = unshown_reason(explored.uses, "by any of them")
    but = but or (UNJUDGED if result.inconclusive else unreached_reason(explored.subject.unreached(result.marks)))
    return f"{result.reason.value}, but {but}" if result.complete and but else result.reason.value


def _size(result: Exploration) -> str:
    if result.states:
        alike = "".join(f", {' and '.join(group)} being interchangeable" for group in result.interchangeable)
        return f"{result.states:,} states ({result.executions:,} of them at rest){alike}"
    return f"{result.executions:,} schedule{'s' * (result.executions != 1)} (Mazurkiewicz traces)"


def _matched(result: Exploration) -> list[str]:
    """Return by what states were told apart, if they were."""
    if not result.states:
        return []
    if not result.wrong_match:
        return ["states were compared as a whole"]
    below = f"a probability below 1e{ceil(log10(result.wrong_match))}"
    return [f"states were compared by fingerprints of {FINGERPRINT_BITS} bits: two were taken for one with {below}"]


def _share(result: Exploration) -> str:
    if not result.estimate or result.states:
        return ""
    share = min(result.executions / result.estimate, 1.0)
    return f", of some {float(f'{result.estimate:.1e}'):,.0f}: {share:.0%}, a guess that may be ten times too low"


def as_object(explored: Explored) -> Object:
    """Return what ``explore`` prints as JSON, but for the failure."""
    subject, result = explored.subject, explored.exploration
    settings = subject.settings
    found = head(
        result.verdict if result else Verdict.VIOLATED,
        reason(explored, result) if result else STILL_FAILS,
        subject.scenario.name,
        settings.policy_name,
        settings.policy_sha256,
        "stepped",
        settings.timers,
        settings.seed,
        subject.rules.judged,
        subject.unreached(result.marks) if result and not result.failures else [],
        explored.uses,
        subject.warnings(result.marks if result else ()),
    )
    shown = result or Exploration(Method.DPOR, reason=Reason.INTERRUPTED)
    return found | {
        "found": None,
        "not_kept": shown.not_kept or None,
        "complete": shown.complete,
        "method": shown.method.value if result else None,
        "why": shown.why or None,
        "executions": shown.executions,
        "estimated_executions": shown.estimate or None,
        "blocked": shown.blocked,
        "impossible": shown.impossible,
        "states": shown.states or None,
        "wrong_match_probability": shown.wrong_match if shown.states else None,
        "interchangeable": [list(group) for group in shown.interchangeable],
        "arrivals": shown.events,
        "inconclusive": shown.inconclusive or None,
        "seconds": round(shown.seconds, 3),
    }
