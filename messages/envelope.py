"""The envelope every message travels in, and the decorator that makes a class a message."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, dataclass_transform

Address = str
"""Who an actor is: ``kind:name``, for example ``process:100`` or ``file:100.3`` (third open by process 100).

Made from the creator's own counter, so an address does not depend on the schedule.
"""

WORLD: Address = "world"
"""The sender of the messages that start a world; no actor has this address."""


Part = tuple[str | int, ...]
"""A part of an actor's state: ``("pins",)`` is all of its pins, ``("pins", 3)`` is one of them."""


class Footprint(NamedTuple):
    """What part of its receiver a message reads and writes; the answer, if there is one, included.

    It must cover all that the handler does up to its end, suspended or not, for every kind of receiver and under every
    policy. A handler that releases a lock goes on with who waits for it: that counts too. A conversation may send
    itself a message that declares another footprint (a ``Step``), which covers it from there on.
    """

    reads: frozenset[Part] = frozenset()
    writes: frozenset[Part] = frozenset()
    adds: frozenset[Part] = frozenset()
    """Counted up or down, or added to, without a look at what is there: two who add to one part commute."""

    @classmethod
    def everything(cls) -> "Footprint":
        """Return the footprint that conflicts with whatever else touches anything: every part begins like this one."""
        return cls.of(writes=[()])

    @classmethod
    def of(cls, *, reads: Iterable[Part] = (), writes: Iterable[Part] = (), adds: Iterable[Part] = ()) -> "Footprint":
        """Return the footprint of these parts."""
        return cls(frozenset(reads), frozenset(writes), frozenset(adds))


class Message:
    """Base of every message body: a frozen, slotted dataclass, made by the :func:`message` decorator."""

    __slots__ = ()

    def footprint(self) -> Footprint | None:
        """Return what the message reads and writes in its receiver; None: everything."""
        return None


KINDS: dict[str, type[Message]] = {}
"""Every message class by its :func:`kind_name`, which is the name a trace uses."""

_OWN = "longpin."


def kind_name(cls: type) -> str:
    """Return what a message class is called: a class of longpin by its name, anybody else's with its module, too.

    So a message of one's own may have any name, whichever of longpin's modules are imported.
    """
    return cls.__name__ if cls.__module__.startswith(_OWN) else f"{cls.__module__}.{cls.__qualname__}"


M = TypeVar("M", bound=Message)


@dataclass_transform(frozen_default=True)
def message(cls: type[M]) -> type[M]:
    """Make ``cls`` a frozen, slotted dataclass and enter it in :data:`KINDS`.

    Raises:
        TypeError: two message classes share a name; a trace could not tell them apart.

    """
    made = dataclass(frozen=True, slots=True)(cls)
    name = kind_name(made)
    other = KINDS.setdefault(name, made)
    if other is not made and (other.__module__, other.__qualname__) != (made.__module__, made.__qualname__):
        raise TypeError(f"two messages are named {name}: in {other.__module__} and in {made.__module__}")
    KINDS[name] = made
    return made


class Envelope(NamedTuple):
    """One message on its way from one actor to another."""

    src: Address
    """Who sent it."""
    dst: Address
    """Whose inbox it reaches."""
    body: Any
    """The message, an instance of a class in :data:`KINDS`."""
    call: int = 0
    """0: one-way. n > 0: a request, numbered by the sender. -n: the reply to request n of the receiver."""
    slept: str = ""
    """In a reply: what the call had to wait for, empty if it never slept."""


@message
class Failed(Message):
    """The reply of a call that failed."""

    errno: int
    """The error number, as in errno(3)."""


@message
class Done(Message):
    """The reply of a call that succeeded and has at most a number to say."""

    value: int = 0


@message
class Awake(Message):
    """The conversation suspended under this number goes on: a wake-up, from an actor to itself, or a schedule point."""


@message
class Interrupt(Message):
    """A signal is pending for the caller of a running call: an interruptible sleep in it ends with EINTR."""

    number: int
    """The number of the request, as the sender of this message numbered it."""
    fatal: bool
    """The signal kills the caller, so killable sleeps end too."""


DONE = Done()
"""The plain reply."""

AWAKE = Awake()
"""The plain wake-up."""
