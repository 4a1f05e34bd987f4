"""A run as a log with vector clocks, for ShiViz: https://bestchai.bitbucket.io/shiviz/.

A file that is given to ShiViz begins with the regular expression that its entries match, then with one that separates
executions, which is empty here. A host is an actor, and an event is an arrival there. The clock of an event is that of
the event before it at the same host and that in which its message was sent, whichever is later in each part; the first
event of an actor comes after that which made it, too.
"""

import json
from collections.abc import Iterator

from longpin.messages.envelope import Address
from longpin.runner.report.rows import printable, rows
from longpin.runner.show.as_ndjson import row_text
from longpin.runner.show.model import ShownRun

EXPRESSION = r"(?<host>\S+) (?<clock>{.*})\n(?<event>.*)"
"""How an entry is read."""

Clock = dict[Address, int]


class ShiViz:
    """Writes a log for ShiViz."""

    def write(self, run: ShownRun) -> bytes:
        """Return the regular expression, an empty line, and two lines for each arrival."""
        told: dict[int, list[str]] = {}
        for row in rows(run.result.events, "->"):
            told.setdefault(row.arrival, []).append(row_text(row))
        lines = [EXPRESSION, ""]
        for arrival, clock in zip(run.arrivals, clocks(run), strict=True):
            names = {_host(address): count for address, count in clock.items()}
            lines += [
                f"{_host(arrival.dst)} {json.dumps(names)}",
                "; ".join([f"{arrival.number}. {arrival.message} from {arrival.src}", *told.get(arrival.number, ())]),
            ]
        return "".join(f"{line}\n" for line in lines).encode()


def clocks(run: ShownRun) -> Iterator[Clock]:
    """Yield the vector clock of each arrival."""
    known: list[Clock] = [{}]
    """By the number of an arrival; nothing comes before the first one."""
    last: dict[Address, Clock] = {}
    for arrival in run.arrivals:
        host = arrival.dst
        before = last.get(host)
        if before is None:
            before = known[run.born[host]]
        clock = dict(before)
        for address, count in known[arrival.sent].items():
            clock[address] = max(count, clock.get(address, 0))
        clock[host] = clock.get(host, 0) + 1
        known.append(clock)
        last[host] = clock
        yield clock


def _host(address: Address) -> str:
    """Return the name of an actor without blanks."""
    return printable(address).replace(" ", "_")
