"""Mistakes in a scenario file: collected, so that all of them are told at once."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

MOST_SHOWN = 100
"""Problems kept of one program, and shown of one file: nobody reads more, and hostile input could make millions."""
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake."""

    file: str
    line: int
    """From 1."""
    column: int | None
    """From 1, in characters; None where only the line is known."""
    where: str
    """The place in the scenario's structure, such as ``process.app.program``."""
    expected: str
    found: str

    def __str__(self) -> str:
        column = "" if self.column is None else f":{self.column}"
        return f"{self.file}:{self.line}{column}: {self.where}: expected {self.expected}, found {self.found}"


class ScenarioError(Exception):
    """A scenario cannot be used; its text is one line for each problem, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems, key=lambda p: (p.line, p.column or 0)))
        shown = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        if len(self.problems) > MOST_SHOWN:
            shown.append(f"{self.problems[0].file}: {len(self.problems) - MOST_SHOWN} more problems are not shown")
        super().__init__("\n".join(shown))


def shown(value: object) -> str:
    """Return ``value`` as an error message shows it: on one line, short, whatever it is."""
    match value:
        case bool():
            text = str(value).lower()
        case int() if abs(value) >= 1 << 64:
            text = f"a number of {value.bit_length()} bits"
        case str() if len(value) > _LONGEST_SHOWN:
            text = f"{value[:_LONGEST_SHOWN]!r}..."
        case bytes() if len(value) > _LONGEST_SHOWN:
            text = f"{value[:_LONGEST_SHOWN]!r}..."
        case dict():
            text = "a table"
        case list():
            text = "an array"
        case None:
            text = "None"
        case str() | bytes() | int() | float():
            text = repr(value)
        case _:
            text = f"a {type(value).__name__}"
    return text


def reason(message: str) -> str:
    """Return what a parser says is wrong, without the advice Python gives to its own programmers."""
    return message.partition("; use sys.")[0]


def listed(names: Iterable[str], most: int = 10) -> str:
    """Return the first names of a list that a file may make long."""
    first = [_printable(name) for name in islice(names, most + 1)]
    return ", ".join(first[:most]) + (", ..." if len(first) > most else "")


def closest(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean X?)"`` for the known name nearest to ``word``, or nothing."""
    near = [name for name in known if abs(len(name) - len(word)) <= 2] if len(word) <= _LONGEST_SHOWN else []
    # Matching costs time in proportion to the candidates, and a file may assign any number of names.
    match = difflib.get_close_matches(word, near[:1000], n=1)
    return f" (did you mean {_printable(match[0])}?)" if match else ""


def _printable(name: str) -> str:
    """Return a name of the file as it is, or as a literal if it would not be one word on one line."""
    return name if name.isprintable() else repr(name)
