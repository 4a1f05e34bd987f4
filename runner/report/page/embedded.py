"""The data of a page: diagrams and texts as one JSON value in which what is the same stands once."""

import json
from collections.abc import Hashable, Iterable
from typing import Any

from longpin.runner.report.page.diagram import ArrowStyle, Diagram

MOST_BYTES = 3 << 20
"""Of diagrams, about, in a page; later ones are left out, and their cells say so."""

_STYLES = list(ArrowStyle)


class Numbered:
    """Values that are told by their number, each once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, value: Hashable) -> int:
        """Return the number of a value, which it gets when it is first asked for."""
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class Embedded:
    """Collects what cells open."""

    def __init__(self) -> None:
        self.strings = Numbered()
        self.steps = Numbered()
        self.diagrams: list[dict[str, Any]] = []
        self._bytes = 0

    def text(self, text: str) -> int:
        """Return the number of a text."""
        return self.strings.number(text)

    def texts(self, texts: Iterable[str]) -> tuple[int, ...]:
        """Return the numbers of texts."""
        return tuple(self.text(text) for text in texts)

    def diagram(self, diagram: Diagram) -> int | None:
        """Return the number of a diagram; None: the page would become too large."""
        if self._bytes > MOST_BYTES:
            return None
        before = len(self.strings.values), len(self.steps.values)
        rows = []
        for row in diagram.rows:
            changes = tuple(self.texts(change) for change in row.changes)
            style = _STYLES.index(row.style)
            texts = self.text(row.text), self.text(row.label)
            step = (*texts, row.source, row.target, style, int(row.failed), *changes)
            rows.append([row.arrival, row.now, self.steps.number(step)])
        found = {
            "lanes": self.texts(diagram.lanes),
            "processes": diagram.processes,
            "rows": rows,
            "hidden": diagram.hidden,
            "broken": [(place, self.text(text)) for place, text in diagram.broken],
            "waiting": self.texts(diagram.waiting),
        }
        new = found, self.strings.values[before[0] :], self.steps.values[before[1] :]
        self._bytes += len(as_json(new))
        self.diagrams.append(found)
        return len(self.diagrams) - 1

    def value(self) -> dict[str, Any]:
        """Return everything that was collected."""
        return {
            "styles": [style.value for style in _STYLES],
            "strings": self.strings.values,
            "steps": self.steps.values,
            "diagrams": self.diagrams,
        }


def as_json(value: Any) -> str:
    """Return JSON that can stand inside an element of a page: in ASCII, and no ``<`` ends the element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
