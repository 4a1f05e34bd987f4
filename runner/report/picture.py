"""A run for people: what ran, its time line and the verdict."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from longpin.actors.policies.proposal import read_proposal
from longpin.runner.events import CallEntered, CallReturned, LockContended, ProcessExited, SleepBegun
from longpin.runner.report.lanes import MOST_LANES, Lanes, glyphs_for
from longpin.runner.report.rows import Row, printable, rows
from longpin.runner.result import SEEN, ExpectedLine, Result, ShownUse, Verdict
from longpin.runner.shell import replay_command

UNREADABLE = 60
"""Processes beyond which no picture is offered."""

MOST_ROWS = 1000
"""Rows of a time line; of a longer one the first and the last are shown."""

MOST_VIOLATIONS = 20

MOST_UNREACHED = 20

VERDICT_STYLES = {
    Verdict.HOLDS: "bold green",
    Verdict.VIOLATED: "bold red",
    Verdict.UNDETERMINED: "bold yellow",
    Verdict.DIVERGED: "bold red",
}


class Picture:
    """Draws a run on a console, whose width and colours are used."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.glyphs = glyphs_for(console)

    def draw(self, result: Result, advice: str) -> None:
        """Draw it; ``advice`` as :class:`~longpin.runner.report.console.ConsoleReport` has it."""
        self._header(result)
        self._time_line(result)
        self._verdict(result)
        if result.verdict is Verdict.VIOLATED and advice:
            self._say("", advice)

    def _header(self, result: Result) -> None:
        self._say(result.scenario, result.summary, "bold")
        if result.source:
            self._say("source", result.source)
        self._say("policy", f"{result.policy}: {policy_summary(result)}")
        self._say("engine", how_it_ran(result))
        self.console.print()

    def _time_line(self, result: Result) -> None:
        drawn, hidden = shorten(list(rows(result.events, self.glyphs.arrow)))
        if len(result.processes) > UNREADABLE:
            self._print(f"{len(result.processes)} processes side by side could not be read; this is a list.", "dim")
        elif len(result.processes) > MOST_LANES:
            self._print(f"{len(result.processes)} processes do not fit side by side; this is a list.", "dim")
        if hidden:
            note = f"{len(drawn) + hidden} rows; the {hidden} after the first {MOST_ROWS // 2} are not shown."
            self._print(note, "dim")
        picture = Lanes(
            self.console, [str(process) for process in result.processes], drawn, lanes_that_never_return(result)
        )
        for line in picture.lines():
            self.console.print(line, soft_wrap=True)
        self.console.print()

    def _verdict(self, result: Result) -> None:
        rules = ", ".join(dict.fromkeys(violation.rule for violation in result.violations))
        self._say(result.verdict.value, rules or result.reason, VERDICT_STYLES[result.verdict])
        for violation in result.violations[:MOST_VIOLATIONS]:
            self._say(violation.rule, f"at arrival {violation.arrival}: {violation.detail}", "red")
        if (more := len(result.violations) - MOST_VIOLATIONS) > 0:
            self._say("", f"and {more} more")
        if not result.violations:
            for waiting in result.waiting[:MOST_VIOLATIONS]:
                self._say("waiting", waiting, "yellow")
        for line in unreached_lines(result.unreached):
            self._say("", line)
        for line in use_lines(result.uses, result.policy):
            self._say("use", line)
        for line in seen_lines(result.warnings):
            self._say("", line)
        if result.verdict is not Verdict.HOLDS:
            self._say("judged by", str(result.judged))
        if result.engine == "host":
            self._say("", f"{result.arrivals} moments")
        else:
            self._say("", f"{result.arrivals} arrivals, seed {result.seed}, hash {result.hash[:16]}")

    def _say(self, word: str, text: str, style: str = "dim") -> None:
        """Print ``word: text``, further lines indented."""
        lead = Text(f"{printable(word)}: " if word else "", style)
        self._print_wrapped(Text.assemble(lead, printable(text)))

    def _print(self, text: str, style: str) -> None:
        self._print_wrapped(Text(text, style))

    def _print_wrapped(self, text: Text) -> None:
        for number, line in enumerate(text.wrap(self.console, max(self.console.width - 2, 1))):
            line.rstrip()
            self.console.print(Text.assemble("  " if number else "", line), soft_wrap=True)


def unreached_lines(unreached: Sequence[ExpectedLine]) -> list[str]:
    """Return a line for each line of a scenario that expects something and was not reached; of many, the first."""
    told = [f"not reached: {line}" for line in unreached[:MOST_UNREACHED]]
    if (more := len(unreached) - MOST_UNREACHED) > 0:
        told.append(f"not reached: {more} more lines")
    return told


def seen_lines(warnings: Sequence[str]) -> list[str]:
    """Return the warnings of what was seen; those of lines of a file are on standard error."""
    return [warning for warning in warnings if warning.startswith(SEEN)]


def use_lines(uses: Sequence[ShownUse], policy: str) -> list[str]:
    """Return a line for each use that some schedule must show, with the command that shows it again."""
    again = {use.use: f"; {replay_command(use.trace, policy)}" if use.trace else "" for use in uses}
    return [f"{use}{again[use.use]}" for use in uses]


def policy_summary(result: Result) -> str:
    """Return what the policy is in one sentence; on the host engine it is the kernel of the machine."""
    if result.engine == "host":
        return "the kernel of this machine, as it is"
    return read_proposal(result.policy)[0].summary


def how_it_ran(result: Result) -> str:
    """Return the engine, who chose the order, and the seed."""
    if result.engine == "host":
        return "host, real processes; their order is the operating system's"
    parts = [result.engine]
    if result.oracle:
        parts.append(f"oracle {result.oracle}")
    if result.engine == "stepped":
        parts.append(f"timers {result.timers}")
    return ", ".join([*parts, f"seed {result.seed}"])


def shorten(drawn: list[Row]) -> tuple[list[Row], int]:
    """Leave out the middle of a long time line; return what is left and how much is not."""
    hidden = len(drawn) - MOST_ROWS
    if hidden <= 0:
        return drawn, 0
    half = MOST_ROWS // 2
    return drawn[:half] + drawn[-half:], hidden


def lanes_that_never_return(result: Result) -> frozenset[str]:
    """Return the lanes whose last call never returns; none if the run was stopped before it was over."""
    under_way: set[str] = set()
    for event in result.events:
        match event:
            case CallEntered() | SleepBegun() | LockContended():
                under_way.add(str(event.process))
            case CallReturned() | ProcessExited():
                under_way.discard(str(event.process))
            case _:
                pass
    return frozenset(under_way) if result.waiting else frozenset()
