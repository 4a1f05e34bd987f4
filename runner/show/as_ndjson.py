"""A run as newline-delimited JSON: one object an arrival, for jq and for ``ndJsonDeserialize`` of TLC.

TLC's module Json knows no null and no numbers but integers of 32 bits, so times are milliseconds, and what a message
says is text.
"""

import json

from longpin.runner.report.rows import Row, rows
from longpin.runner.show.model import ShownArrival, ShownRun

MOST_INTEGER = (1 << 31) - 1


class NdJson:
    """Writes one object a line."""

    def write(self, run: ShownRun) -> bytes:
        """Return a line for each arrival, in their order, with the same keys in each."""
        told: dict[int, list[str]] = {}
        for row in rows(run.result.events, "->"):
            told.setdefault(row.arrival, []).append(row_text(row))
        lines = (
            json.dumps(_object(arrival, told.get(arrival.number, [])), ensure_ascii=True) for arrival in run.arrivals
        )
        return "".join(f"{line}\n" for line in lines).encode()


def _object(arrival: ShownArrival, told: list[str]) -> dict[str, object]:
    return {
        "arrival": arrival.number,
        "ms": min(round(arrival.time * 1000), MOST_INTEGER),
        "src": arrival.src,
        "dst": arrival.dst,
        "message": arrival.message,
        "call": arrival.call,
        "sent": arrival.sent,
        "fields": arrival.fields,
        "changes": [change._asdict() for change in arrival.changes],
        "events": told,
    }


def row_text(row: Row) -> str:
    """Return a row of the time line with the process that it is of."""
    return f"{row.lane}: {row.text}" if row.lane else row.text
