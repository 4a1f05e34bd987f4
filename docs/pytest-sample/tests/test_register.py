"""Two adders and a register: actors of one's own, in one order, in every order, in many."""

import pytest

from longpin.actors.base import Actor, handles
from longpin.actors.conversation import Call
from longpin.messages.envelope import Done, Message, message
from longpin.testing import explored, sampled


@message
class Get(Message):
    """Ask for the value."""


@message
class Add(Message):
    """Add to the value."""

    number: int


class Register(Actor):
    """Holds a number."""

    value = 0

    @handles(Get)
    def get(self, _body, _src):
        """Tell it."""
        return Done(self.value)

    @handles(Add)
    def add(self, body, _src):
        """Add to it."""
        self.value += body.number


class Adder(Actor):
    """Looks at the number, and adds one if it is small."""

    @handles(Done)
    def begin(self, _body, _src):
        """Ask, and add."""
        seen = yield Call("register", Get())
        if seen.value < 1:
            self.send("register", Add(1))


def start(world, adders):
    """Create the actors and wake the adders."""
    world.spawn(Register, "register")
    for name in adders:
        world.spawn(Adder, name)
        world.tell(name, Done())


def at_most_two(world):
    """What must hold when nothing can happen any more."""
    assert world.actors["register"].value <= 2


def test_one_order(longpin_world):
    """First in, first out."""
    start(longpin_world, ["a"])
    longpin_world.run()
    assert longpin_world.actors["register"].value == 1


@pytest.mark.parametrize("longpin_world", [{"oracle": "random", "seed": seed} for seed in range(3)], indirect=True)
def test_a_few_orders(longpin_world):
    """As a seed says."""
    start(longpin_world, ["a", "b"])
    longpin_world.run()
    at_most_two(longpin_world)


@explored(check=at_most_two)
def test_every_order(world):
    """A proof, or a failure with the story."""
    start(world, ["a", "b"])


@sampled(check=at_most_two, runs=200)
def test_many_orders(world):
    """A failure, or skipped."""
    start(world, ["a", "b", "c"][:2])
