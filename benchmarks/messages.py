"""Arrivals a second: bare pykka, the threads engine with its trace, the stepped engine; and what a record takes.

    python benchmarks/messages.py

Two patterns: *fan-in*, where eight actors send to one, and *ping-pong*, where eight pairs answer each other. Bare pykka
runs the same patterns with ``ActorRef.tell``. Creating and stopping actors is not counted.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pykka
from measure import medians, print_table

from longpin.actors.base import Actor, handles
from longpin.messages.codec import Encoder
from longpin.messages.envelope import Address, Envelope, Message, message
from longpin.messages.trace import Header, TraceWriter, text_sha256
from longpin.runner.oracles.fifo import Fifo

try:
    from longpin.runner.engines.stepped import SteppedEngine
    from longpin.runner.engines.threads import ThreadsEngine
except ImportError:  # an older tree
    from longpin.runner.stepped import SteppedEngine  # type: ignore[import-not-found, no-redef]
    from longpin.runner.threads import ThreadsEngine  # type: ignore[import-not-found, no-redef]

WIDTH = 8
"""Senders, or pairs."""

MESSAGES = 2500
"""How many messages each sender, or each pair, sends one after the other."""

REPEATS = 9

Bare = tuple[pykka.ActorRef[Any] | None, int]
"""What is sent between bare actors: the sender, and how many more messages are to come."""


@message
class Ball(Message):
    """What is passed."""

    left: int
    """How often it is still passed."""


class Sink(Actor):
    """Takes what comes."""

    @handles(Ball)
    def take(self, _ball: Ball, _src: Address) -> None:
        """Do nothing."""


class Source(Actor):
    """Sends to the sink, once for each message it gets from itself, so that senders take turns."""

    @handles(Ball)
    def send_one(self, ball: Ball, _src: Address) -> None:
        """Send, and go on."""
        self.send("sink", ball)
        if ball.left:
            self.send(self.address, Ball(ball.left - 1))


class Player(Actor):
    """Sends the ball back."""

    @handles(Ball)
    def back(self, ball: Ball, src: Address) -> None:
        """Send it back; the first one comes from outside and is served."""
        if ball.left:
            to = src if src.startswith(("left", "right")) else self.address.replace("left", "right")
            self.send(to, Ball(ball.left - 1))


class BareSink(pykka.ThreadingActor):
    """Takes what comes, and says when a sender has finished."""

    def __init__(self, finished: threading.Semaphore) -> None:
        super().__init__()
        self.finished = finished

    def on_receive(self, message: Bare) -> None:
        """Do nothing."""
        if not message[1]:
            self.finished.release()


class BareSource(pykka.ThreadingActor):
    """Sends to the sink."""

    def __init__(self, sink: pykka.ActorRef[Any]) -> None:
        super().__init__()
        self.sink = sink

    def on_receive(self, message: Bare) -> None:
        """Send, and go on."""
        self.sink.tell(message)
        if message[1]:
            self.actor_ref.tell((None, message[1] - 1))


class BarePlayer(pykka.ThreadingActor):
    """Sends the ball back."""

    def __init__(self, finished: threading.Semaphore) -> None:
        super().__init__()
        self.finished = finished

    def on_receive(self, message: Bare) -> None:
        """Send it back."""
        sender, left = message
        if sender is None or not left:
            self.finished.release()
        else:
            sender.tell((self.actor_ref, left - 1))


def fan_in(engine: SteppedEngine | ThreadsEngine) -> list[Address]:
    """Create the actors; return those that are told first."""
    engine.spawn(Sink, "sink")
    sources = [f"source:{number}" for number in range(WIDTH)]
    for source in sources:
        engine.spawn(Source, source)
    return sources


def ping_pong(engine: SteppedEngine | ThreadsEngine) -> list[Address]:
    """Create the actors; return those that are told first."""
    lefts = [f"left:{number}" for number in range(WIDTH)]
    for left in lefts:
        engine.spawn(Player, left)
        engine.spawn(Player, left.replace("left", "right"))
    return lefts


Pattern = Callable[[SteppedEngine | ThreadsEngine], list[Address]]


def bare_fan_in() -> float:
    """Return messages a second."""
    finished = threading.Semaphore(0)
    sink = BareSink.start(finished)
    sources = [BareSource.start(sink) for _ in range(WIDTH)]
    return bare(finished, [(source, (None, MESSAGES // 2)) for source in sources])


def bare_ping_pong() -> float:
    """Return messages a second."""
    finished = threading.Semaphore(0)
    pairs = [(BarePlayer.start(finished), BarePlayer.start(finished)) for _ in range(WIDTH)]
    return bare(finished, [(left, (right, MESSAGES)) for left, right in pairs])


def bare(finished: threading.Semaphore, first: list[tuple[pykka.ActorRef[Any], Bare]]) -> float:
    """Send the first messages and wait until all have come back."""
    begin = time.perf_counter()
    for ref, ball in first:
        ref.tell(ball)
    for _ in range(WIDTH):
        finished.acquire()
    seconds = time.perf_counter() - begin
    pykka.ActorRegistry.stop_all()
    return WIDTH * MESSAGES / seconds


def balls(pattern: Pattern) -> int:
    """Return how many messages the first ball makes, to have as many as the bare pattern."""
    return MESSAGES // 2 if pattern is fan_in else MESSAGES


def threads(pattern: Pattern, folder: Path) -> float:
    """Return arrivals a second, recorded in a trace."""
    header = Header(
        longpin="", scenario_name="", scenario="", scenario_sha256=text_sha256(""), policy="", preset="",
        parameters={}, engine="threads", oracle="", seed=0, timers="lazy",
    )  # fmt: skip
    encoder = Encoder()
    with TraceWriter(folder / "trace", header) as writer:

        def record(number: int, envelope: Envelope) -> None:
            writer.append(encoder.encode(number, envelope))

        with closing(ThreadsEngine(record, writer.flush)) as engine:
            first = pattern(engine)
            begin = time.perf_counter()
            for address in first:
                engine.tell(address, Ball(balls(pattern)))
            engine.run()
            seconds = time.perf_counter() - begin
    return engine.arrivals / seconds


def stepped(pattern: Pattern) -> float:
    """Return arrivals a second."""
    engine = SteppedEngine(Fifo())
    for address in pattern(engine):
        engine.tell(address, Ball(balls(pattern)))
    begin = time.perf_counter()
    engine.run()
    return engine.arrivals / (time.perf_counter() - begin)


def main() -> None:
    """Measure and print."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, pattern, bare_pattern in (("fan-in", fan_in, bare_fan_in), ("ping-pong", ping_pong, bare_ping_pong)):
            rates = medians(
                {
                    "bare": bare_pattern,
                    "threads": lambda pattern=pattern: threads(pattern, folder),  # type: ignore[misc]
                    "stepped": lambda pattern=pattern: stepped(pattern),  # type: ignore[misc]
                },
                REPEATS,
            )
            rows += [
                (f"{title}: bare pykka `tell`, messages/s", f"{rates['bare']:,.0f}", ""),
                (f"{title}: threads engine with trace, arrivals/s", f"{rates['threads']:,.0f}", ""),
                (f"{title}: stepped engine, arrivals/s", f"{rates['stepped']:,.0f}", ""),
                (f"{title}: threads ÷ bare pykka", f"{rates['threads'] / rates['bare']:.2f}", "≥ 0.8"),
                (f"{title}: stepped ÷ threads", f"{rates['stepped'] / rates['threads']:.1f}", "≥ 5"),
            ]
    print_table("Messages", rows)


if __name__ == "__main__":
    main()
