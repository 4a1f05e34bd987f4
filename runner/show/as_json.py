"""A run as one JSON object: the whole model. Its schema is ``runner/report/schemas/show.json``."""

import json

from longpin.runner.failures.inevitable import Inevitable
from longpin.runner.report.as_json import as_object
from longpin.runner.report.objects import Object
from longpin.runner.report.rows import Row, rows
from longpin.runner.show.model import ShownArrival, ShownRun, message_text


class Json:
    """Writes one object."""

    def write(self, run: ShownRun) -> bytes:
        """Return it on one line, in ASCII."""
        return (json.dumps(show_object(run), ensure_ascii=True) + "\n").encode()


def show_object(run: ShownRun) -> Object:
    """Return all there is to be said of a run: what ``run`` and ``replay`` print as JSON, and how it came to that."""
    kinds = {address: address.partition(":")[0] for address in run.born}
    return as_object(run.result, run.again) | {
        "scenario_text": run.told,
        "actors": [{"address": address, "kind": kinds[address], "born": born} for address, born in run.born.items()],
        "messages": [_arrival(arrival) for arrival in run.arrivals],
        "rows": [_row(row) for row in rows(run.result.events, "->")],
        "inevitable": None if run.inevitable is None else _inevitable(run.inevitable),
    }


def _arrival(arrival: ShownArrival) -> Object:
    return {
        "number": arrival.number,
        "time": arrival.time,
        "src": arrival.src,
        "dst": arrival.dst,
        "message": arrival.message,
        "fields": arrival.fields,
        "call": arrival.call,
        "sent": arrival.sent,
        "changes": [change._asdict() for change in arrival.changes],
    }


def _row(row: Row) -> Object:
    return {
        "arrival": row.arrival,
        "time": row.now,
        "process": row.lane or None,
        "kind": row.kind.value,
        "shape": row.shape.name.lower(),
        "text": row.text,
        "failed": row.failed,
    }


def _inevitable(found: Inevitable) -> Object:
    choice = found.choice
    return {
        "rule": found.rule,
        "since": found.since,
        "known": found.known,
        "why": found.why or None,
        "taken": None if choice is None else message_text(choice.taken),
        "instead": None if choice is None else message_text(choice.instead),
    }
