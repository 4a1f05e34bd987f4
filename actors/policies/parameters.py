"""The parameters of a policy as text: what each takes, and how a value is read and written."""

import contextlib
from dataclasses import fields
from enum import Enum
from typing import Any, get_type_hints

from longpin.actors.policies.base import Policy

_KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}


def parameter_types(policy: type[Policy]) -> dict[str, Any]:
    """Return the type of each parameter of a policy by its name, those of the base rules first."""
    hints = get_type_hints(policy)
    return {field.name: hints[field.name] for field in fields(policy)}


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


def read_value(text: str, kind: Any) -> bool | int | float | str:
    """Read a value as the command line gives it: ``true``, ``active_only``.

    Raises:
        ValueError: the type takes other values.

    """
    value: bool | int | float | str = text
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
