"""Parameters, the fields of a frozen record, as text: what each takes, and how a value is read and written."""

import contextlib
from collections.abc import Iterable
from dataclasses import fields, replace
from enum import Enum
from functools import cache
from typing import Any, TypeVar, get_type_hints

ParameterValue = bool | int | float | str
"""What a parameter may be in a file or on the command line."""

R = TypeVar("R")

_KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}


def parameter_types(record: Any) -> dict[str, Any]:
    """Return the type of each parameter of a dataclass, or of an instance of one, by its name."""
    return dict(_types_of(record if isinstance(record, type) else type(record)))


@cache
def _types_of(record: type) -> dict[str, Any]:
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def expected_value(kind: Any) -> str:
    """Return what values a parameter of this type takes, in words."""
    if _is_enum(kind):
        return f"one of {', '.join(str(member.value) for member in kind)}"
    return _KINDS.get(kind, "nothing: it cannot be set")


def fits(value: object, kind: Any) -> bool:
    """Return whether ``value``, as a scenario file holds it, is one that a parameter of this type takes."""
    if _is_enum(kind):
        return isinstance(value, str) and value in [member.value for member in kind]
    return kind in _KINDS and (type(value) is kind or (kind is float and type(value) is int))


def read_value(text: str, kind: Any) -> ParameterValue:
    """Read a value as the command line gives it: ``true``, ``active_only``.

    Raises:
        ValueError: the type takes other values.

    """
    value: ParameterValue = text
    if kind is bool and text in ("true", "false"):
        value = text == "true"
    elif kind in (int, float):
        with contextlib.suppress(ValueError):
            value = kind(text)
    if not fits(value, kind):
        raise ValueError(f"expected {expected_value(kind)}, found {text!r}")
    return value


def write_value(value: object) -> str:
    """Return the text that :func:`read_value` reads as ``value``."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.value if isinstance(value, Enum) else value)


def read_assignments(parts: Iterable[str], types: dict[str, Any], of: str) -> dict[str, ParameterValue]:
    """Read ``PARAMETER=VALUE`` parts, of parameters of these types; ``of`` says in errors whose they are.

    Raises:
        ValueError: one sentence that says what was expected.

    """
    read: dict[str, ParameterValue] = {}
    for part in parts:
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or name not in types:
            expected = f"a parameter of {of} ({', '.join(types)}), as NAME=VALUE"
            raise ValueError(f"expected {expected}, found {part.strip()!r}")
        if name in read:
            raise ValueError(f"expected {name} once, found it twice")
        try:
            read[name] = read_value(value, types[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return read


def replaced(record: R, given: dict[str, Any]) -> R:
    """Return a record with ``given`` in place of the parameters named; enum parameters may be given as their values.

    Raises:
        ValueError: a value that a parameter does not take.
        TypeError: no such parameter.

    """
    types = parameter_types(type(record))
    for name, value in given.items():
        if name in types and not fits(value, types[name]):
            raise ValueError(f"{name}: expected {expected_value(types[name])}, found {value!r}")
    values: dict[str, Any] = {
        name: types[name](value) if name in types and _is_enum(types[name]) else value for name, value in given.items()
    }
    return replace(record, **values)  # type: ignore[type-var]


def changed(record: Any, usual: Any) -> list[str]:
    """Return the names of the parameters in which a record differs from the usual one, sorted."""
    return [name for name in sorted(parameter_types(type(record))) if getattr(record, name) != getattr(usual, name)]
