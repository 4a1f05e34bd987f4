"""A failure that was made small and kept: for people, and as one JSON object.

In the order in which it is asked about: the verdict, the rule, the shortest interleaving, the scenario that remained,
how much smaller it is, and who found it; the line that shows it again follows.
"""

import dataclasses
import tomllib

from rich.text import Text

from longpin.config.writer import write_scenario
from longpin.runner.failures.keep import Kept
from longpin.runner.judging.invariants import INVARIANTS
from longpin.runner.report.objects import Object, failure_object
from longpin.runner.report.picture import VERDICT_STYLES, Picture
from longpin.runner.result import Judged
from longpin.runner.shell import replay_command

STORY = ("name", "source", "summary")
"""What a scenario file says of itself; a part of a scenario is no longer what it tells."""


def replay_line(kept: Kept) -> str:
    """Return the command that shows a failure again, to paste into a shell; empty if no file shows it."""
    if not kept.written:
        return ""
    return replay_command(str(kept.trace), kept.record.policy)


def remained(kept: Kept) -> str:
    """Return the text of the scenario that remained, empty if nothing was taken away."""
    if kept.shrunk.text == kept.found.scenario.text:
        return ""
    document = tomllib.loads(kept.shrunk.text)
    return write_scenario({key: value for key, value in document.items() if key not in STORY})


class FailurePicture(Picture):
    """Draws a kept failure on a console."""

    def draw_failure(self, kept: Kept, judged: Judged) -> None:
        """Draw it, and by which rules the scenario it was found in was judged."""
        result, violation, record = kept.result, kept.violation, kept.record
        style = VERDICT_STYLES[result.verdict]
        self._say(result.verdict.value, f"{result.scenario} under {result.policy}, timers {result.timers}", style)
        self._say(violation.rule, INVARIANTS[violation.rule].summary, "red")
        self._say("", f"at arrival {violation.arrival}: {violation.detail}")
        self.console.print()
        self._time_line(result)
        if text := remained(kept):
            self._say("what remained of the scenario", "")
            for line in text.splitlines():
                self.console.print(Text(f"  {line}".rstrip()), soft_wrap=True)
            self.console.print()
        before, after = dataclasses.asdict(record.before), dataclasses.asdict(record.after)
        sizes = [f"{before[what]} -> {after[what]} {_SHOWN[what]}" for what in _SHOWN]
        self._say("made small", f"{', '.join(sizes)}; {record.end}")
        self._say("judged by", str(judged))
        self._say("found by", f"{record.by}, seed {record.seed}")


_SHOWN = {"decisions": "decisions", "preemptions": "preemptions", "processes": "processes", "operations": "calls"}


def as_objects(kept: Kept) -> Object:
    """Return what the JSON object of a search says of the failure and of how it was found."""
    record = kept.record
    failure = failure_object(
        kept.violation,
        before=dataclasses.asdict(record.before),
        after=dataclasses.asdict(record.after),
        trace=str(kept.trace) if kept.written else None,
        replay=replay_line(kept) or None,
        scenario=kept.shrunk.text,
    )
    found = {
        "by": record.by,
        "seed": record.seed,
        "end": record.end,
        "kept": str(kept.json) if kept.written else None,
    }
    return {"failure": failure, "found": found, "not_kept": kept.not_kept or None}
