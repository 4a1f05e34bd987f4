"""docs/map.md: every place it names exists, and every section it names is one of docs/semantics.md."""

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROWS = re.findall(r"^\| ([\d.]+) \| (.+) \| `([\w.]+)` \|$", (DOCS / "map.md").read_text(), re.MULTILINE)


def look_up(place: str) -> object:
    """Return what ``module.name.name`` below longpin.actors is.

    Raises:
        AttributeError: there is no such name.

    """
    parts = place.split(".")
    found: object = importlib.import_module("longpin.actors")
    for depth, part in enumerate(parts, 1):
        try:
            found = importlib.import_module(".".join(["longpin.actors", *parts[:depth]]))
        except ModuleNotFoundError:
            found = getattr(found, part)
    return found


def test_there_are_rows() -> None:
    assert len(ROWS) >= 20
    assert len({sentence for _, sentence, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("section", "place"), [(section, place) for section, _, place in ROWS])
def test_a_place_exists(section: str, place: str) -> None:
    assert look_up(place) is not None
    assert re.search(rf"^#+ {re.escape(section)}[. ]", (DOCS / "semantics.md").read_text(), re.MULTILINE)


def test_a_place_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(AttributeError):
        look_up("inode.Inode.no_such_thing")
