"""What is wrong with one scenario file, while it is being read."""

from collections.abc import Iterable
from typing import Any

from longpin.config.positions import Path, Positions
from longpin.config.problems import MOST_SHOWN, Problem, ScenarioError, closest

_LONGEST_NAME = 64


class ProblemList:
    """Collects problems by their place in the TOML document."""

    def __init__(self, filename: str, text: str, document: dict[str, Any]) -> None:
        self.filename = filename
        self.positions = Positions(text)
        self._document = document
        self._problems: list[Problem] = []
        self._wrong: set[Path] = set()

    def add(self, path: Path, expected: str, found: str) -> None:
        """Note that the value at ``path`` is wrong, once: not if it or what holds it is known to be wrong already."""
        if any(path[:length] in self._wrong for length in range(1, len(path) + 1)):
            return
        self._wrong.add(path)
        self._problems.append(self.problem(path, expected, found))

    def problem(self, path: Path, expected: str, found: str) -> Problem:
        """Return what would be wrong with the value at ``path``."""
        return Problem(self.filename, self.positions.line(path), None, self.where(path), expected, found)

    def suggest(self, word: str, known: Iterable[str]) -> str:
        """Return ``closest`` for a mistyped name, or nothing where there are more problems than will be shown."""
        return "" if len(self._problems) > MOST_SHOWN else closest(word, sorted(known))

    def add_all(self, problems: Iterable[Problem]) -> None:
        """Note problems that know their places."""
        self._problems += problems

    def where(self, path: Path) -> str:
        """Return a path as a person reads it: ``process.app.program``, or ``process[2].program`` without a name."""
        words: list[str] = []
        value: Any = self._document
        for step in path:
            if isinstance(step, str):
                value = value.get(step) if isinstance(value, dict) else None
                words.append(step)
            else:
                value = value[step] if isinstance(value, list) else None
                name = value.get("name", value.get("path")) if isinstance(value, dict) else None
                if isinstance(name, str) and name.isprintable() and 0 < len(name) <= _LONGEST_NAME:
                    words.append(name)
                else:
                    words[-1] += f"[{step}]"
        return ".".join(words) or "scenario"

    def raise_if_any(self) -> None:
        """Raise every problem collected, if there is one.

        Raises:
            ScenarioError: something is wrong.

        """
        if self._problems:
            raise ScenarioError(self._problems)
