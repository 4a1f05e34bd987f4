"""What stands before and behind the programs in a C file, read from ``pieces.c``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HEAD = re.compile(r"/// (?P<name>\w+)(?: needs (?P<needs>[\w ]+?))?(?: with (?P<headers>[\w./ ]+))?")

_PLACE = re.compile(r"@([A-Z_]+)@")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of C."""

    code: str
    needs: tuple[str, ...] = ()
    """Other pieces, which stand before it."""
    headers: tuple[str, ...] = ()

    def filled(self, **words: str) -> str:
        """Return the code with words in the place of ``@WORD@``; one alone on its line goes with it if it is empty.

        Each place is looked at once: what is put there is text of a scenario, and may look like another place.
        """
        lines = []
        for line in self.code.split("\n"):
            alone = _PLACE.fullmatch(line)
            if alone is None:
                lines.append(_PLACE.sub(lambda place: words[place[1].lower()], line))
            elif word := words[alone[1].lower()]:
                lines.append(word.rstrip("\n"))
        return "\n".join(lines)


@cache
def pieces() -> dict[str, Piece]:
    """Return every piece by its name, in an order in which none needs a later one."""
    found: dict[str, Piece] = {}
    text = Path(__file__).with_name("pieces.c").read_text(encoding="ascii")
    for part in re.split(r"(?m)^(?=/// )", text)[1:]:
        head, _, code = part.partition("\n")
        match = _HEAD.fullmatch(head)
        assert match is not None, head
        words = [tuple((match[group] or "").split()) for group in ("needs", "headers")]
        found[match["name"]] = Piece(code.strip("\n"), *words)
    return found


def with_needs(names: Iterable[str]) -> list[str]:
    """Return pieces with all that they need, in the order in which they stand in a file."""
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        if (name := todo.pop()) not in wanted:
            wanted.add(name)
            todo += pieces()[name].needs
    return [name for name in pieces() if name in wanted]
