"""A run as a page to step through: one file of HTML that needs no other and no network."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from longpin.actors.process.program import Op
from longpin.messages.envelope import WORLD, Address
from longpin.runner.engines.engine import ALARM
from longpin.runner.events import CallEntered, CallReturned, RunEvent, SleepBegun
from longpin.runner.report.page.diagram import ArrowStyle, Diagram, Room, diagram_of
from longpin.runner.report.page.embedded import Numbered, as_json
from longpin.runner.report.page.shared import data_file, filled, plain
from longpin.runner.report.picture import how_it_ran
from longpin.runner.report.rows import Row, printable, rows
from longpin.runner.show.as_text import choice_lines
from longpin.runner.show.model import ShownArrival, ShownRun

MOST_ARRIVALS = 10_000
"""Arrivals in a page; of a longer run there is a window."""

MOST_LANES = 60
"""Lanes side by side; those that came last share one if there are more."""

SHARED, OWN = "longpin.runner.report.page", "longpin.runner.show"

Values = dict[str, Any]


class Html:
    """Writes a page."""

    def write(self, run: ShownRun) -> bytes:
        """Return the page. The same run gives the same bytes."""
        window = window_of(run)
        return filled(
            OWN,
            "run.html",
            [data_file(SHARED, "lanes.css"), data_file(OWN, "run.css")],
            [data_file(SHARED, "lanes.js"), data_file(OWN, "run.js")],
            title=_text(f"{run.result.scenario} under {run.result.policy}: {run.result.verdict.value}"),
            heading=_text(f"{run.result.scenario} under {run.result.policy}"),
            facts=_text(f"{how_it_ran(run.result)}; {run.result.arrivals:,} arrivals; hash {run.result.hash[:16]}"),
            verdict="".join(_verdict(run)),
            window=_window_note(run, window),
            source=_source(run),
            scenario="".join(_scenario(run)),
            data=as_json(_Data(run, window).value()),
        )


def window_of(run: ShownRun) -> Sequence[ShownArrival]:
    """Return the arrivals that a page shows: all, or those around the one it is about."""
    arrivals = run.arrivals
    if len(arrivals) <= MOST_ARRIVALS:
        return arrivals
    first = run.result.violations[0].arrival if run.result.violations else len(arrivals)
    middle = run.at or first
    start = min(max(middle - MOST_ARRIVALS // 2, 0), len(arrivals) - MOST_ARRIVALS)
    return arrivals[start : start + MOST_ARRIVALS]


def _window_note(run: ShownRun, window: Sequence[ShownArrival]) -> str:
    if len(window) == len(run.arrivals):
        return ""
    first, last, all_ = window[0].number, window[-1].number, len(run.arrivals)
    said = f"The run has {all_:,} arrivals. This page shows those from {first:,} to {last:,}; --at N shows others."
    return f'<p class="window">{_text(said)}</p>'


def _verdict(run: ShownRun) -> Iterator[str]:
    result = run.result
    yield f"<p><b>{_text(result.verdict.value)}</b>: {_text(result.reason)}</p>"
    for violation in result.violations:
        at = f'<a href="#{violation.arrival}">arrival {violation.arrival}</a>'
        yield f'<p class="broken"><b>{_text(violation.rule)}</b> at {at}: {_text(violation.detail)}</p>'
    if run.inevitable is not None:
        choice = run.inevitable.choice
        more = [] if choice is None else choice_lines(run.inevitable.since, choice)
        said = "; ".join([str(run.inevitable), *more])
        link = f' (<a href="#{run.inevitable.since}">show it</a>)' if run.inevitable.since else ""
        yield f"<p>{_text(said)}{link}</p>"
    for waiting in result.waiting:
        yield f"<p>At the end: {_text(waiting)}</p>"
    yield f"<p><code>{_text(run.again)}</code></p>" if run.again else ""


def _source(run: ShownRun) -> str:
    parts = [f"<p>{_text(run.result.summary)}</p>" if run.result.summary else ""]
    if run.result.source:
        parts.append(f"<p><cite>{_text(run.result.source)}</cite></p>")
    return f"<h2>What it tells</h2>{''.join(parts)}" if any(parts) else ""


def _scenario(run: ShownRun) -> Iterator[str]:
    for number, line in enumerate(run.header.scenario.expandtabs().splitlines(), 1):
        yield f'<span data-line="{number}">{escape(printable(line))}</span>'


def _text(words: str) -> str:
    return escape(plain(words))


class _Data:
    """The data of a page, as one JSON value in which what is the same stands once."""

    def __init__(self, run: ShownRun, window: Sequence[ShownArrival]) -> None:
        self.run = run
        self.window = window
        self.strings = Numbered()
        self.names = {f"process:{process.pid}": str(process) for process in run.result.processes}
        """Of processes, by their addresses, as far as a number stands for one."""
        self.first, self.last = (window[0].number, window[-1].number) if window else (1, 0)

    def value(self) -> Values:
        """Return it."""
        room = Room(len(self.run.result.events) + 1, MOST_LANES // 2, MOST_LANES // 2 - 1)
        diagram = diagram_of(self.run.result, room=room)
        drawn = list(rows(self.run.result.events, "→"))
        calls = [_op(row.event) for row in drawn]
        found: Values = {
            "styles": [style.value for style in ArrowStyle],
            "first": self.first,
            "arrivals": [self._arrival(arrival) for arrival in self.window],
            "story": self._story(diagram, drawn),
            "exchange": self._exchange(),
            "remarks": self._remarks(),
            "more": {"since": [self._say(line) for line in self._choice()]},
            "actors": [[self._say(name), self._say(self.names.get(name, name))] for name in self._actors(diagram)],
            "calls": [
                [self._say(name), self._say(name)] for name in sorted({op.call for op in calls if op is not None})
            ],
        }
        return found | {"strings": self.strings.values}

    def _say(self, text: str) -> int:
        return self.strings.number(text)

    def _actors(self, diagram: Diagram) -> list[str]:
        """Return who can be looked at alone: all actors, and what else has a lane."""
        objects = diagram.lanes[diagram.processes + 1 :]
        return list(dict.fromkeys([*map(printable, self.run.born), *objects]))

    def _arrival(self, arrival: ShownArrival) -> list[Any]:
        names = map(self._say, (printable(arrival.src), printable(arrival.dst), arrival.message))
        fields = [[self._say(name), self._say(value)] for name, value in arrival.fields.items()]
        changes = [[self._say(text) for text in change] for change in arrival.changes]
        return [arrival.time, *names, arrival.call, arrival.sent, fields, changes]

    def _story(self, diagram: Diagram, drawn: Sequence[Row]) -> Values:
        found = []
        styles = list(ArrowStyle)
        for place, (row, its) in enumerate(zip(diagram.rows, drawn, strict=True)):
            if not self.first <= row.arrival <= self.last:
                continue
            following = drawn[place + 1].arrival if place + 1 < len(drawn) else self.last + 1
            op = _op(its.event)
            names = _names(its, diagram.lanes[row.source], diagram.lanes[row.target], self.names)
            found.append(
                [
                    row.arrival,
                    min(following - 1, self.last),
                    row.now,
                    self._say(row.text),
                    self._say(row.label),
                    row.source,
                    row.target,
                    styles.index(row.style),
                    int(row.failed),
                    self._say(op.call if op else ""),
                    op.line if op else 0,
                    [self._say(name) for name in names],
                ]
            )
        lanes = [self._say(lane) for lane in diagram.lanes]
        return {"lanes": lanes, "processes": diagram.processes, "rows": found}

    def _exchange(self) -> Values:
        """Return the lanes of all actors, and who sends to whom; what stands in a queue to run is with its actor."""
        born = [address for address in self.run.born if not address.startswith("run_queue:")]
        processes = [address for address in born if address.startswith("process:")]
        others = [address for address in born if not address.startswith("process:")]
        names = [*processes, "kernel", *others]
        shown = names[: MOST_LANES - 1] if len(names) > MOST_LANES else names
        places = {name: place for place, name in enumerate(shown)}
        if more := len(names) - len(shown):
            shown = [*shown, f"{more} others"]
        rest = len(shown) - 1

        def lane(address: Address) -> int:
            if address in (WORLD, ALARM):
                return len(processes)
            if address.startswith("run_queue:"):
                address = address.removeprefix("run_queue:").partition(" for ")[0]
            return places.get(address, rest)

        shown = [self.names.get(name, name) for name in shown]
        pairs = [[lane(arrival.src), lane(arrival.dst)] for arrival in self.window]
        return {
            "lanes": [self._say(printable(name)) for name in shown],
            "processes": min(len(processes), rest),
            "rows": pairs,
        }

    def _remarks(self) -> list[list[Any]]:
        """Return what is to be said between steps: the arrival, what kind of remark, and the text, in their order."""
        found: list[tuple[int, str, str]] = [
            (violation.arrival, "broken", printable(f"✗ {violation.rule} does not hold: {violation.detail}"))
            for violation in self.run.result.violations
        ]
        since = self.run.inevitable
        if since is not None and since.since:
            found.append((since.since, "since", printable(str(since))))
        found.sort(key=lambda remark: (remark[0], remark[1] == "broken"))
        return [[at, kind, self._say(text)] for at, kind, text in found if self.first <= at <= self.last]

    def _choice(self) -> list[str]:
        since = self.run.inevitable
        return [] if since is None or since.choice is None else choice_lines(since.since, since.choice)


def _op(event: RunEvent | None) -> Op | None:
    """Return the call that an event is of."""
    return event.op if isinstance(event, CallEntered | CallReturned | SleepBegun) else None


def _names(row: Row, source: str, target: str, names: dict[Address, str]) -> list[Address]:
    """Return the addresses of the actors that a row is about; ``names`` are those of processes."""
    addresses = {name: address for address, name in names.items()}
    found = [addresses.get(lane, lane) for lane in (row.lane, source, target)]
    event = row.event
    for name in ("region", "pmem", "lease", "inode", "context", "sender"):
        value = getattr(event, name, "")
        if isinstance(value, str) and value:
            found.append(value)
    if isinstance(event, SleepBegun):
        found.append(event.waits_for.target)
    return [printable(name) for name in dict.fromkeys(found)]
