"""The canonical form of an actor's state: two equal forms are two states that nobody can tell apart.

A form is a nested tuple. Plain values stand for themselves, a container for its elements in order (a set for its
elements, sorted), any other object for its type and attributes. An object met again is a reference to its first
meeting, so sharing and cycles are part of the form; ``id`` and ``hash`` are not. What an attribute of the actor holds
is told there, and elsewhere is a reference to that attribute.

A suspended conversation is (function, position, variables). Its variables are not all that it holds: the iterator of a
``for`` loop, the context of a ``with`` and half an expression lie on the value stack of the frame, which ``f_locals``
does not show. The garbage collector sees them, so ``gc.get_referents`` is asked; a conversation inside a ``yield from``
is reached the same way.
"""

import gc
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import fields
from enum import Enum
from functools import cache, lru_cache
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
    NoneType,
)
from typing import Any, ClassVar

from longpin.actors.base import Actor
from longpin.actors.conversation import Call, Task
from longpin.messages.envelope import Message
from longpin.runner.engines.engine import EngineBase

PLAIN = frozenset({int, str, bytes, NoneType})
"""Types whose values stand for themselves; two values of different ones are never equal."""

CONSTANT = (type, CodeType, BuiltinFunctionType, ModuleType)
"""Types whose objects live as long as the program and never change."""

OF_PYKKA = frozenset({"actor_urn", "actor_inbox", "_actor_ref", "actor_stopped", "outbox", "engine", "suspended_now"})
"""Attributes of an actor that are not its state; who asks looks at the outbox separately."""


class _Absent:
    """What a slot holds that has no value."""


_ABSENT = _Absent()


class OpaqueError(Exception):
    """Something in a state has no canonical form."""


def canonical(value: object, *, ordered: bool = True) -> Hashable:
    """Return the canonical form of ``value``.

    Args:
        value: a message, an envelope, an actor, or anything one of them may hold.
        ordered: the order in which keys entered a dict is part of the form, as a handler could iterate over it, and so
            are the numbers an actor gave to its calls. Without it, which of two equal objects is meant is not told.

    Raises:
        OpaqueError: it holds a file, a thread, another actor, or something else that cannot be looked into.

    """
    return _Forms(ordered=ordered).of(value)


class Frozen:
    """An immutable object in a form, hashed once: programs and policies are in every state of every process."""

    __slots__ = ("_hash", "value")
    KEPT_AT_MOST: ClassVar[int] = 4096
    kept: ClassVar[dict[int, "Frozen"]] = {}
    """By identity."""
    # Invariant: what is kept is alive, so no identity is used twice.

    def __init__(self, value: object) -> None:
        self.value = value
        self._hash = hash(value)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Frozen) and self._hash == other._hash and self.value == other.value)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return repr(self.value)

    @classmethod
    def of(cls, value: object) -> "Frozen | None":
        """Return ``value``, a frozen dataclass, as part of a form; None if something in it can change."""
        known = cls.kept.get(id(value))
        if known is None or known.value is not value:
            try:
                known = cls(value)
            except TypeError:
                return None
            if len(cls.kept) >= cls.KEPT_AT_MOST:
                cls.kept.clear()
            cls.kept[id(value)] = known
        return known


class _Forms:
    """One look at one state."""

    def __init__(self, *, ordered: bool) -> None:
        self.ordered = ordered
        self.met: dict[int, Hashable] = {}
        """What stands for an object met again, by its identity: where it was met, or the actor's attribute it is in."""
        self.count = 0
        """How many objects were met."""
        self.kept: list[object] = []
        """Objects made while looking; kept, so that no identity is used twice."""
        self.owner: Actor | None = None

    def of(self, value: Any) -> Hashable:
        kind: type = type(value)
        if kind in PLAIN:
            return value  # type: ignore[no-any-return]
        if (look := _LOOKS.get(kind)) is None:
            look = _LOOKS[kind] = _look_for(kind)
        return look(self, kind, value)

    def all_of(self, values: Iterable[Any]) -> list[Hashable]:
        of = self.of
        return [value if type(value) in PLAIN else of(value) for value in values]

    # What stands for itself.

    def itself(self, _kind: type, value: Any) -> Hashable:
        return value  # type: ignore[no-any-return]

    def of_number(self, kind: type, value: Any) -> Hashable:
        return kind, repr(value)

    def of_tuple(self, _kind: type, value: Any) -> Hashable:
        return "tuple", *self.all_of(value)

    def of_named_tuple(self, kind: type, value: Any) -> Hashable:
        return kind, *self.all_of(value)

    def of_frozenset(self, _kind: type, value: Any) -> Hashable:
        return "frozenset", *sorted(self.all_of(value), key=repr)

    def of_enum(self, kind: type, value: Any) -> Hashable:
        return kind, value.name

    def of_message(self, kind: type, value: Any) -> Hashable:
        return kind, *self.all_of([getattr(value, name) for name in _fields(kind)])

    def of_engine(self, _kind: type, _value: Any) -> Hashable:
        return "engine"

    def of_frozen(self, kind: type, value: Any) -> Hashable:
        if (frozen := Frozen.of(value)) is not None:
            return kind, frozen
        return self.of_named_tuple(kind, value) if isinstance(value, tuple) else self.once(kind, value)

    def of_function(self, kind: type, value: Any) -> Hashable:
        if value.__closure__ is None and value.__defaults__ is None:
            return value.__code__  # type: ignore[no-any-return]
        return self.once(kind, value)

    # What has an identity.

    def once(self, kind: type, value: Any) -> Hashable:
        """Return the form of what has an identity, or where it was met."""
        identity = id(value)
        if (known := self.met.get(identity)) is not None:
            return known
        self.met[identity] = ("again", self.count) if self.ordered else ("again", kind)
        self.count += 1
        if (inside := _INSIDES.get(kind)) is None:
            inside = _INSIDES[kind] = _inside_of(kind)
        form = inside(self, kind, value)
        if not self.ordered:
            del self.met[identity]  # which of two meetings comes first depends on the order
        return form

    def of_sequence(self, kind: type, value: Any) -> Hashable:
        return kind, *self.all_of(value)

    def of_dict(self, kind: type, value: Any) -> Hashable:
        items = zip(self.all_of(value), self.all_of(value.values()), strict=True)
        return kind, *(items if self.ordered else sorted(items, key=repr))

    def of_set(self, kind: type, value: Any) -> Hashable:
        return kind, *sorted(self.all_of(value), key=repr)

    def of_method(self, kind: type, value: Any) -> Hashable:
        return kind, self.of(value.__func__), self.of(value.__self__)

    def of_closure(self, kind: type, value: Any) -> Hashable:
        return kind, value.__code__, self.of(value.__closure__), self.of(value.__defaults__)

    def of_cell(self, kind: type, value: Any) -> Hashable:
        try:
            return kind, self.of(value.cell_contents)
        except ValueError:  # of a variable that has no value yet
            return kind

    def of_exception(self, kind: type, value: Any) -> Hashable:
        return kind, self.of(value.args), self.of(vars(value))

    def of_actor(self, kind: type, value: Any) -> Hashable:
        if self.owner is not None:
            raise OpaqueError(f"{self.owner.address} holds {value.address} itself, not its address")
        self.owner = value
        state = vars(value)
        names = _state_names(kind, tuple(state))
        held = [state[name] for name in names]
        if not self.ordered:
            held[names.index("_suspended")] = dict.fromkeys(state["_suspended"].values())
        first: dict[int, str] = {}
        for name, item in zip(names, held, strict=True):
            if type(item) not in PLAIN:
                first.setdefault(id(item), name)
        self.met |= {identity: ("part", name) for identity, name in first.items()}
        return kind, names, *[self._held(name, item, first) for name, item in zip(names, held, strict=True)]

    def _held(self, name: str, value: object, first: dict[int, str]) -> Hashable:
        """Return the form of what an attribute of the actor holds, unless another holds it too and comes first."""
        if type(value) in PLAIN or first[id(value)] != name:
            return self.of(value)
        reference = self.met.pop(id(value))
        form = self.of(value)
        self.met[id(value)] = reference
        return form

    def of_conversation(self, _kind: type, value: Any) -> Hashable:
        frame = value.gi_frame
        if frame is None:
            return "ended"
        variables = frame.f_locals
        held = [item for item in gc.get_referents(value) if item is not variables and type(item) is not FrameType]
        if held and held[-1] is None:  # its exc_info: that an exception was handled once, further in, and is over
            held.pop()
        # Sorted, for the order of f_locals depends on when somebody looked at it first.
        return value.gi_code, frame.f_lasti, _sorted(tuple(variables)), *self.all_of(held)

    def of_attributes(self, kind: type, value: Any) -> Hashable:
        slots = _slots(kind)
        if not self.ordered and issubclass(kind, (Task, Call)):
            slots = tuple(name for name in slots if name != "number")
        held = [getattr(value, name, _ABSENT) for name in slots]
        if state := getattr(value, "__dict__", None):
            names = _sorted(tuple(state))
            return kind, *self.all_of(held), names, *self.all_of([state[name] for name in names])
        if any(item is not _ABSENT for item in held) or _has_nothing_else(kind):
            return kind, *self.all_of(held)
        try:
            parts = value.__reduce__()  # iterators say where they are
        except (TypeError, AttributeError) as error:
            raise OpaqueError(f"a {kind.__qualname__}: {error}") from None
        self.kept.append(parts)
        return kind, self.of(parts)


Look = Callable[[_Forms, type, Any], Hashable]

_LOOKS: dict[type, Look] = {}
"""How the form of an object of each type met so far is made."""

_INSIDES: dict[type, Look] = {
    list: _Forms.of_sequence,
    deque: _Forms.of_sequence,
    set: _Forms.of_set,
    GeneratorType: _Forms.of_conversation,
    MethodType: _Forms.of_method,
    FunctionType: _Forms.of_closure,
    CellType: _Forms.of_cell,
}
"""The same of what has an identity and is met for the first time."""


def _look_for(kind: type) -> Look:
    """Return how the form of an object of this type is made."""
    for base, look in (
        ((_Absent, *CONSTANT), _Forms.itself),
        ((Enum,), _Forms.of_enum),
        ((Message,), _Forms.of_message),
        ((EngineBase,), _Forms.of_engine),
    ):
        if issubclass(kind, base):
            return look
    exactly: dict[type, Look] = {
        **dict.fromkeys((bool, float, complex), _Forms.of_number),
        tuple: _Forms.of_tuple,
        frozenset: _Forms.of_frozenset,
        FunctionType: _Forms.of_function,
    }
    if kind in exactly:
        return exactly[kind]
    if _is_frozen(kind):
        return _Forms.of_frozen
    return _Forms.of_named_tuple if issubclass(kind, tuple) else _Forms.once


def _inside_of(kind: type) -> Look:
    """Return how the form of an object of this type is made that has an identity."""
    if issubclass(kind, dict):
        return _Forms.of_dict
    if issubclass(kind, Actor):
        return _Forms.of_actor
    return _Forms.of_exception if issubclass(kind, BaseException) else _Forms.of_attributes


def _is_frozen(kind: Any) -> bool:
    """Return whether ``kind`` is a frozen dataclass whose objects can be hashed, if what they hold can be."""
    parameters = getattr(kind, "__dataclass_params__", None)
    return parameters is not None and parameters.frozen and kind.__hash__ is not None


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _state_names(kind: type[Actor], attributes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the attributes of an actor that are its state, sorted."""
    return tuple(sorted(set(attributes) - OF_PYKKA - kind.shown))


@lru_cache(maxsize=4096)
def _sorted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names))


@cache
def _has_nothing_else(kind: type) -> bool:
    """Return whether an object of this type can hold nothing but its attributes."""
    return kind.__module__ != "builtins" and kind.__basicsize__ == object.__basicsize__


@cache
def _slots(kind: type) -> tuple[str, ...]:
    declared = [vars(cls).get("__slots__", ()) for cls in kind.__mro__]
    names = [name for slots in declared for name in ((slots,) if isinstance(slots, str) else slots)]
    return tuple(name for name in names if name != "__weakref__")
