"""Writes a scenario file from its tables: what ``tomllib`` reads, the other way round.

Only what the loader understands is written, in the layout of the shipped scenarios: programs as they are, between lines
of three quotes. TOML 1.0.0, sections "String" and "Array of Tables".
"""

import json
import re
from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]
"""A whole scenario file as nested tables, as ``tomllib.loads`` returns it."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_NOT_LITERAL = re.compile(r"'''|[\x00-\x08\x0b-\x1f\x7f]")
"""What a string between three single quotes cannot hold."""


def write_scenario(document: Mapping[str, Any]) -> str:
    """Return the text of a scenario file; ``tomllib.loads`` of it is the document again.

    Raises:
        TypeError: a value is of a type that no scenario has.

    """
    lines = _pairs({key: value for key, value in document.items() if not _is_table(value)})
    for key, value in document.items():
        if isinstance(value, dict):
            lines += ["", f"[{_key(key)}]", *_pairs(value)]
        elif _is_table(value):
            for table in value:
                lines += ["", f"[[{_key(key)}]]", *_pairs(table)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _pairs(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return a line for each key; tables inside become dotted keys."""
    lines = []
    for key, value in table.items():
        if isinstance(value, dict) and value:
            lines += _pairs(value, f"{prefix}{_key(key)}.")
        else:
            lines.append(f"{prefix}{_key(key)} = {_value(value)}")
    return lines


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _basic(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            if "\n" not in value or _NOT_LITERAL.search(value) or value.endswith("'"):
                return _basic(value)
            return f"'''\n{value}'''"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case {}:
            return "{}"
        case _:
            raise TypeError(f"a {type(value).__name__} is nothing a scenario file holds")


def _basic(text: str) -> str:
    """Return a string with escapes; those of JSON are TOML's too, but DEL is no plain character in TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
