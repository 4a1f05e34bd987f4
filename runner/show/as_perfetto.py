"""A run as a trace for https://ui.perfetto.dev: one track an actor, and an arrow from where a message was sent.

Virtual time stands still while most of a run happens. So an arrival lasts one microsecond here, the next begins when it
ends, and what time it is in the world is said beside it.
"""

from typing import TYPE_CHECKING, Any

from longpin.messages.envelope import WORLD, Address
from longpin.runner.events import CallEntered, CallReturned, ProcessExited
from longpin.runner.report.rows import call_text, result_text, rows
from longpin.runner.show.as_ndjson import row_text
from longpin.runner.show.cannot import CannotShowError
from longpin.runner.show.model import ShownArrival, ShownRun, changed_text

if TYPE_CHECKING:
    from perfetto.trace_builder.proto_builder import (  # type: ignore[import-untyped]  # it ships no annotations
        TraceProtoBuilder,
    )

TICK = 1_000
"""Nanoseconds that an arrival takes."""

SEQUENCE = 1
"""Who writes the packets: there is one writer."""

ACTORS, CALLS = 1, 2
"""The tracks that the others are below."""

FIRST_TRACK = 1_000


class Perfetto:
    """Writes packets as protobuf."""

    def write(self, run: ShownRun) -> bytes:
        """Return the trace.

        Raises:
            CannotShowError: the package ``perfetto`` is not installed.

        """
        try:
            from perfetto.trace_builder.proto_builder import TraceProtoBuilder
        except ImportError:
            raise CannotShowError("the package perfetto is not installed: pip install longpin[perfetto]") from None
        packets = _Packets(TraceProtoBuilder())
        packets.actors(run)
        packets.calls(run)
        data: bytes = packets.builder.serialize()
        return data


class _Packets:
    """Collects packets."""

    def __init__(self, builder: "TraceProtoBuilder") -> None:
        from perfetto.protos.perfetto.trace import (  # type: ignore[import-untyped]  # likewise
            perfetto_trace_pb2 as protos,
        )

        self.builder = builder
        self._types = protos.TrackEvent
        self._tracks: dict[str, int] = {}

    def actors(self, run: ShownRun) -> None:
        """Add a track for each actor, with a slice for each arrival there."""
        self._track("actors", ACTORS)
        told: dict[int, list[str]] = {}
        for row in rows(run.result.events, "->"):
            told.setdefault(row.arrival, []).append(row_text(row))
        sends: dict[int, list[int]] = {}
        for arrival in run.arrivals:
            sends.setdefault(arrival.sent, []).append(arrival.number)
        for address in (WORLD, *run.born):
            self._track(f"actor {address}", self._number(f"actor {address}"), ACTORS, address)
        start = self._event(self._types.TYPE_SLICE_BEGIN, 0, f"actor {WORLD}", "start")
        start.flow_ids.extend(sends.get(0, ()))
        self._event(self._types.TYPE_SLICE_END, TICK, f"actor {WORLD}")
        for arrival in run.arrivals:
            self._arrival(arrival, sends.get(arrival.number, []), told.get(arrival.number, []))

    def _arrival(self, arrival: ShownArrival, sends: list[int], told: list[str]) -> None:
        track, at = f"actor {arrival.dst}", arrival.number * TICK
        event = self._event(self._types.TYPE_SLICE_BEGIN, at, track, arrival.message)
        event.flow_ids.extend(sends)
        event.terminating_flow_ids.append(arrival.number)
        notes = {"arrival": str(arrival.number), "from": arrival.src, "time": f"{arrival.time:g} s", **arrival.fields}
        for key, value in (*notes.items(), *(("event", text) for text in told)):
            self._note(event, key, value)
        for text in changed_text(arrival.changes):
            self._note(event, "changes", text)
        self._event(self._types.TYPE_SLICE_END, at + TICK, track)

    def calls(self, run: ShownRun) -> None:
        """Add a track for each process, with a slice for each system call."""
        self._track("system calls", CALLS)
        for process in run.result.processes:
            self._track(f"calls {process}", self._number(f"calls {process}"), CALLS, str(process))
        under_way: dict[str, list[int]] = {}
        last = len(run.arrivals) + 1
        arrival = told = 0
        for event in run.result.events:
            told = told + 1 if event.arrival == arrival else 0
            arrival = event.arrival
            at = arrival * TICK + min(told, TICK - 1)  # what one arrival brings about comes in its order
            match event:
                case CallEntered():
                    track = f"calls {event.process}"
                    self._event(self._types.TYPE_SLICE_BEGIN, at, track, call_text(event.op))
                    under_way.setdefault(track, []).append(event.call)
                case CallReturned():
                    track = f"calls {event.process}"
                    if event.call in under_way.get(track, ()):
                        under_way[track].remove(event.call)
                        ended = self._event(self._types.TYPE_SLICE_END, at, track)
                        self._note(ended, "returns", result_text(event))
                case ProcessExited():
                    track = f"calls {event.process}"
                    for _ in under_way.pop(track, ()):
                        self._event(self._types.TYPE_SLICE_END, at, track)
                case _:
                    pass
        for track, calls in under_way.items():
            for _ in calls:
                never = self._event(self._types.TYPE_SLICE_END, last * TICK, track)
                self._note(never, "returns", "never")

    def _number(self, name: Address) -> int:
        return self._tracks.setdefault(name, FIRST_TRACK + len(self._tracks))

    def _track(self, name: str, uuid: int, parent: int = 0, shown: str = "") -> None:
        packet = self.builder.add_packet()
        packet.track_descriptor.uuid = uuid
        packet.track_descriptor.name = shown or name
        if parent:
            packet.track_descriptor.parent_uuid = parent

    def _event(self, kind: int, at: int, track: str, name: str = "") -> Any:
        packet = self.builder.add_packet()
        packet.timestamp = at
        packet.trusted_packet_sequence_id = SEQUENCE
        packet.track_event.type = kind
        packet.track_event.track_uuid = self._number(track)
        if name:
            packet.track_event.name = name
        return packet.track_event

    @staticmethod
    def _note(event: Any, name: str, value: str) -> None:
        note = event.debug_annotations.add()
        note.name = name
        note.string_value = value
