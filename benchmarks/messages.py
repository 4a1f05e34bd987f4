"""Arrivals a second: bare pykka, the threads engine with its trace, the stepped engine; and what a record takes.

    python benchmarks/messages.py

Two patterns: *fan-in*, in which many actors send to one, and *ping-pong*, in which pairs answer each other. Bare pykka
runs the same pattern with ``ActorRef.tell``. What is compared runs in turn, and the table has medians.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pykka
from measure import medians, print_table

from longpin.actors.base import Actor, Engine, handles
from longpin.messages.codec import Encoder
from longpin.messages.envelope import Address, Envelope, Message, message
from longpin.messages.trace import Header, TraceWriter, text_sha256
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.stepped import SteppedEngine
from longpin.runner.threads import ThreadsEngine

SENDERS = 8
MESSAGES = 2500
"""From each sender, or there and back for each pair."""

REPEATS = 7


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
    """Sends to the sink, one message for each that it gets from itself, so that senders take turns."""

    @handles(Ball)
    def send_one(self, ball: Ball, _src: Address) -> None:
        """Send, and go on."""
        self.send("sink", ball)
        if ball.left:
            self.send(self.address, Ball(ball.left - 1))


class Player(Actor):
    """Sends the ball back."""

    def __init__(self, engine: Engine, address: Address, peer: Address) -> None:
        super().__init__(engine, address)
        self.peer = peer

    @handles(Ball)
    def back(self, ball: Ball, _src: Address) -> None:
        """Send it back."""
        if ball.left:
            self.send(self.peer, Ball(ball.left - 1))


def fan_in(engine: SteppedEngine | ThreadsEngine) -> None:
    """Start the pattern."""
    engine.spawn(Sink, "sink")
    for number in range(SENDERS):
        engine.spawn(Source, f"source:{number}")
        engine.tell(f"source:{number}", Ball(MESSAGES // 2))


def ping_pong(engine: SteppedEngine | ThreadsEngine) -> None:
    """Start the pattern."""
    for number in range(SENDERS):
        engine.spawn(Player, f"left:{number}", f"right:{number}")
        engine.spawn(Player, f"right:{number}", f"left:{number}")
        engine.tell(f"left:{number}", Ball(MESSAGES))


class Bare(pykka.ThreadingActor):
    """A bare actor; counts down when it is done."""

    def __init__(self, done: threading.Semaphore) -> None:
        super().__init__()
        self.done = done
        self.peer: pykka.ActorRef[Any] | None = None


class BareSink(Bare):
    """Takes what comes."""

    def on_receive(self, message: tuple[str, int]) -> None:
        """Do nothing, but with the last one of a sender."""
        if not message[1]:
            self.done.release()


class BareSource(Bare):
    """Sends to the sink."""

    def on_receive(self, message: tuple[str, int]) -> None:
        """Send, and go on."""
        assert self.peer
        self.peer.tell(message)
        if message[1]:
            self.actor_ref.tell(("ball", message[1] - 1))


class BarePlayer(Bare):
    """Sends the ball back."""

    def on_receive(self, message: tuple[str, int]) -> None:
        """Send it back."""
        assert self.peer
        if message[1]:
            self.peer.tell(("ball", message[1] - 1))
        else:
            self.done.release()


def bare_fan_in(done: threading.Semaphore) -> tuple[list[pykka.ActorRef[Any]], int]:
    """Create the actors of the pattern; return who is told first, and how many messages each of them sends."""
    sink = BareSink.start(done)
    sources = [BareSource.start(done) for _ in range(SENDERS)]
    for source in sources:
        source._actor_peer = sink
        source.proxy().peer = sink
    return sources, MESSAGES // 2


def bare_ping_pong(done: threading.Semaphore) -> tuple[list[pykka.ActorRef[Any]], int]:
    """Create the actors of the pattern; return who is told first, and how many messages each of them sends."""
    left = [BarePlayer.start(done) for _ in range(SENDERS)]
    for player in left:
        other = BarePlayer.start(done)
        player.proxy().peer = other
        other.proxy().peer = player
    return left, MESSAGES


def arrivals_of(start: Callable[..., Any]) -> int:
    """Return how many arrivals the pattern has."""
    engine = SteppedEngine(Fifo())
    start(engine)
    engine.run()
    return engine.arrivals
