"""What is known after a campaign of sampled schedules that broke nothing: for people, and as one JSON object."""

from longpin.runner.conclusions import Stressed
from longpin.runner.report.objects import STILL_FAILS, Object, head
from longpin.runner.report.picture import seen_lines, unreached_lines, use_lines
from longpin.runner.report.rows import printable
from longpin.runner.result import Verdict
from longpin.runner.sampling.result import Campaign, StrategyRow


def lines(stressed: Stressed) -> list[str]:
    """Return the lines of the report."""
    subject, result = stressed.subject, stressed.campaign
    assert result is not None, "nothing was run"
    timers = "the operating system's" if stressed.engine == "threads" else subject.settings.timers
    settings = subject.settings
    traces = f"{'at least ' * result.capped}{result.distinct:,} distinct trace{'s' * (result.distinct != 1)}"
    last = result.seed + max(result.runs, 1) - 1
    runs = f" in {result.runs:,} run{'s' * (result.runs != 1)}, {traces}"
    found = [
        f"{subject.scenario.name}: {subject.scenario.summary}",
        f"policy: {settings.policy_name}",
        f"{result.verdict.value}: {result.reason.value}; samples prove nothing, longpin explore may",
        f"  {subject.rules.judged.hold(runs, past=True)}",
        f"  one more run would have a trace not seen yet with probability {result.unseen:.2%} (Good-Turing estimate)",
    ]
    if result.endless:
        found.append(f"  {result.endless:,} runs were given up, as they did not come to rest")
    if result.inconclusive:
        found.append(f"  {result.unjudged:,} runs could not be judged, the first because {result.inconclusive}")
    found += [f"  {line}" for line in unreached_lines(subject.unreached(result.marks))]
    uses = use_lines(stressed.uses, stressed.subject.settings.policy_name)
    found += [f"  {line}" for line in (*uses, *seen_lines(stressed.warnings))]
    found += table(result.by_strategy)
    rate = result.runs / result.seconds if result.seconds else 0
    found.append(f"  seeds {result.seed} to {last}, timers {timers}, {rate:,.0f} runs/s")
    return [printable(line) for line in found]


def table(rows: list[StrategyRow]) -> list[str]:
    """Return what each strategy did, as lines."""
    width = max((len(row.name) for row in rows), default=0)
    return [f"  {row.name:<{width}}  {row.runs:>9,} runs  {row.distinct:>9,} distinct{_found(row)}" for row in rows]


def _found(row: StrategyRow) -> str:
    return "".join(f"  {rule or site or what} in run {first:,}" for (rule, site, what), first in row.found.items())


def as_object(stressed: Stressed) -> Object:
    """Return what ``stress`` prints as JSON, but for the failure; the seed is that of the first run."""
    subject, result, engine = stressed.subject, stressed.campaign, stressed.engine
    settings = subject.settings
    shown = result or Campaign(settings.seed)
    found = head(
        result.verdict if result else Verdict.VIOLATED,
        result.reason.value if result else STILL_FAILS,
        subject.scenario.name,
        settings.policy_name,
        settings.policy_sha256,
        engine,
        settings.timers if engine == "stepped" else None,
        shown.seed,
        subject.rules.judged,
        subject.unreached(shown.marks) if result and not result.failures else [],
        stressed.uses,
        subject.warnings(shown.marks),
    )
    return found | {
        "found": None,
        "runs": shown.runs,
        "distinct": shown.distinct,
        "distinct_is_a_lower_bound": shown.capped,
        "unseen_probability": shown.unseen,
        "endless": shown.endless,
        "unjudged": shown.unjudged,
        "inconclusive": shown.inconclusive or None,
        "arrivals": shown.events,
        "strategies": [
            {
                "name": row.name,
                "runs": row.runs,
                "distinct": row.distinct,
                "broken": row.broken,
                "found": [{"rule": rule, "site": site, "run": run} for (rule, site, _), run in row.found.items()],
            }
            for row in shown.by_strategy
        ],
        "seconds": round(shown.seconds, 3),
    }
