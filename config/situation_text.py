"""The text of situations: ``$words`` that stand for others, and ops with ``{holes}`` in which one of them may stand."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Words = Mapping[str, str]
"""What words stand for."""

NUMBER = "number"
"""What ``{number}`` stands for in an op needs no table."""
_WORD = re.compile(r"\$(\w+)")
_HOLE = re.compile(r"\{(\w+)\}")
_DEEPEST = 20
"""How often words may stand for words."""


class SituationError(Exception):
    """A mistake in the shipped situations, or no play can be made of one: a bug in longpin."""


class UnknownWordError(SituationError):
    """A word stands for nothing here."""


class Numbers(dict[str, str]):
    """Every number stands for itself."""

    def __missing__(self, number: str) -> str:
        return number


def expand(text: str, words: Words) -> str:
    """Return a text with ``$words`` replaced, and those in what they stand for.

    Raises:
        UnknownWordError: nothing says what one stands for.
        SituationError: one stands for itself.

    """
    for _ in range(_DEEPEST):
        try:
            expanded = _WORD.sub(lambda found: words[found[1]], text)
        except KeyError as error:
            raise UnknownWordError(f"nothing says what ${error.args[0]} stands for in: {text}") from None
        if expanded == text:
            return text
        text = expanded
    raise SituationError(f"a word stands for itself in: {text}")


def substituted(tree: Any, words: Words) -> Any:
    """Return a tree of tables, lists and text with ``$words`` replaced."""
    match tree:
        case str():
            return expand(tree, words)
        case list():
            return [substituted(its, words) for its in tree]
        case dict():
            return {key: substituted(its, words) for key, its in tree.items()}
        case _:
            return tree


def holes(op: str) -> Iterable[str]:
    """Return the names of the holes in an op."""
    return _HOLE.findall(op)


def pattern_of(op: str, words: Mapping[str, Words]) -> re.Pattern[str]:
    """Return what finds an op in which one of its words stands in each hole."""
    pieces = []
    for index, piece in enumerate(_HOLE.split(op)):
        choice = "|".join(map(re.escape, words[piece])) or r"\d+" if index % 2 else re.escape(piece)
        pieces.append(f"(?P<{piece}>{choice})" if index % 2 else choice)
    return re.compile("".join(pieces))


def inline(value: Any) -> str:
    """Return a value as TOML writes it on one line."""
    match value:
        case dict():
            return f"{{{', '.join(f'{key} = {inline(its)}' for key, its in value.items())}}}"
        case bool():
            return str(value).lower()
        case _:
            return repr(value)
