"""Canonical forms as ``runner/exploration/canonical.py`` says they are, with nothing done to make them fast."""

import gc
from collections import deque
from collections.abc import Hashable
from dataclasses import fields
from enum import Enum
from functools import cache
from operator import itemgetter
from types import (
    CellType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
)
from typing import Any

from longpin.actors.base import Actor
from longpin.actors.conversation import Call, Task
from longpin.messages.envelope import Message
from longpin.runner.engines.engine import EngineBase
from longpin.runner.exploration.canonical import CONSTANT, OF_PYKKA, PLAIN, Frozen, OpaqueError

_ABSENT = object()


def reference_form(value: object, *, ordered: bool = True) -> Hashable:
    """Return the canonical form of ``value``."""
    return _Forms(ordered=ordered).of(value)


class _Forms:
    """One look at one state."""

    def __init__(self, *, ordered: bool) -> None:
        self.ordered = ordered
        self.met: dict[int, int] = {}
        """The number of each object met so far, by its identity."""
        self.parts: dict[int, str] = {}
        """The attribute of the actor that holds an object, by the object's identity."""
        self.kept: list[object] = []
        """Objects made while looking; kept, so that no identity is used twice."""
        self.owner: Actor | None = None

    def of(self, value: Any) -> Hashable:
        kind: type = type(value)
        if kind in PLAIN:
            return value  # type: ignore[no-any-return]
        if _is_told_by_identity(kind):
            return self._once(kind, value)
        if kind in (bool, float, complex):
            return kind, repr(value)
        if kind is tuple:
            return "tuple", *map(self.of, value)
        if isinstance(value, Enum):
            return kind, value.name
        if isinstance(value, CONSTANT):
            return value
        if isinstance(value, Message):
            return kind, *[self.of(getattr(value, field.name)) for field in fields(value)]  # type: ignore[arg-type]
        if kind is frozenset:
            return "frozenset", *sorted(map(self.of, value), key=repr)
        if isinstance(value, EngineBase):
            return "engine"
        if _is_frozen(kind) and (frozen := Frozen.of(value)) is not None:
            return kind, frozen
        if isinstance(value, tuple):
            return kind, *map(self.of, value)
        if kind is FunctionType and value.__closure__ is None and value.__defaults__ is None:
            return value.__code__  # type: ignore[no-any-return]
        return self._once(kind, value)

    def _once(self, kind: type, value: Any) -> Hashable:
        """Return the form of what has an identity, or where it was met."""
        if (part := self.parts.get(id(value))) is not None:
            return "part", part
        if (number := self.met.get(id(value))) is not None:
            return ("again", number) if self.ordered else ("again", kind)
        self.met[id(value)] = len(self.met)
        form = self._inside(kind, value)
        if not self.ordered:
            del self.met[id(value)]  # which of two meetings comes first depends on the order
        return form

    def _inside(self, kind: type, value: Any) -> Hashable:
        """Return the form of what has an identity and is met for the first time."""
        if kind in (list, deque):
            return kind, *map(self.of, value)
        if isinstance(value, dict):
            items = [(self.of(key), self.of(item)) for key, item in value.items()]
            return kind, *(items if self.ordered else sorted(items, key=repr))
        if kind is set:
            return kind, *sorted(map(self.of, value), key=repr)
        if kind is GeneratorType:
            return self._suspended(value)
        if kind is MethodType:
            return kind, self.of(value.__func__), self.of(value.__self__)
        if kind is FunctionType:
            return kind, value.__code__, self.of(value.__closure__), self.of(value.__defaults__)
        if kind is CellType:
            try:
                return kind, self.of(value.cell_contents)
            except ValueError:  # of a variable that has no value yet
                return kind
        if isinstance(value, Actor):
            if self.owner is not None:
                raise OpaqueError(f"{self.owner.address} holds {value.address} itself, not its address")
            self.owner = value
            state = {n: item for n, item in vars(value).items() if n not in OF_PYKKA and n not in value.shown}
            if not self.ordered:
                state["_suspended"] = dict.fromkeys(state["_suspended"].values())
            self.parts = {id(state[name]): name for name in sorted(state, reverse=True)}
            return kind, *((name, self._held(name, state[name])) for name in sorted(state))
        if isinstance(value, BaseException):
            return kind, self.of(value.args), self.of(vars(value))
        return self._attributes(kind, value)

    def _held(self, name: str, value: object) -> Hashable:
        """Return the form of what an attribute of the actor holds, unless another holds it too and comes first."""
        if self.parts.get(id(value)) != name:
            return self.of(value)
        del self.parts[id(value)]
        form = self.of(value)
        self.parts[id(value)] = name
        return form

    def _suspended(self, generator: Any) -> Hashable:
        frame = generator.gi_frame
        if frame is None:
            return "ended"
        variables = frame.f_locals
        held = [
            item for item in gc.get_referents(generator) if item is not variables and not isinstance(item, FrameType)
        ]
        if held and held[-1] is None:  # its exc_info: that an exception was handled once, further in, and is over
            held.pop()
        # Sorted, for the order of f_locals depends on when somebody looked at it first.
        return generator.gi_code, frame.f_lasti, tuple(sorted(variables)), *map(self.of, held)

    def _attributes(self, kind: type, value: Any) -> Hashable:
        items = [(n, item) for n in _slots(kind) if (item := getattr(value, n, _ABSENT)) is not _ABSENT]
        items += sorted(getattr(value, "__dict__", {}).items(), key=itemgetter(0))
        if not self.ordered and isinstance(value, (Task, Call)):
            items = [(name, item) for name, item in items if name != "number"]
        if items or (kind.__module__ != "builtins" and kind.__basicsize__ == object.__basicsize__):
            return kind, *[(name, self.of(item)) for name, item in items]
        try:
            parts = value.__reduce__()  # iterators say where they are
        except (TypeError, AttributeError) as error:
            raise OpaqueError(f"a {kind.__qualname__}: {error}") from None
        self.kept.append(parts)
        return kind, self.of(parts)


def _is_frozen(kind: Any) -> bool:
    """Return whether ``kind`` is a frozen dataclass whose objects can be hashed, if what they hold can be."""
    parameters = getattr(kind, "__dataclass_params__", None)
    return parameters is not None and parameters.frozen and kind.__hash__ is not None


@cache
def _is_told_by_identity(kind: type) -> bool:
    """Return whether no object of ``kind`` stands for itself: asked first, for most of a state is such objects."""
    by_value = (bool, float, complex, tuple, frozenset, Enum, *CONSTANT, Message, EngineBase, FunctionType)
    return not issubclass(kind, by_value) and not _is_frozen(kind)


@cache
def _slots(kind: type) -> tuple[str, ...]:
    declared = [vars(cls).get("__slots__", ()) for cls in kind.__mro__]
    names = [name for slots in declared for name in ((slots,) if isinstance(slots, str) else slots)]
    return tuple(name for name in names if name != "__weakref__")
