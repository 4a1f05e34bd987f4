"""What ``longpin check`` says of files: for people and editors, and as one JSON object."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from longpin.runner.report.rows import printable


@dataclass(frozen=True, slots=True)
class Checked:
    """What is to be said of one file."""

    file: str
    """As it was given."""
    scenario: str | None = None
    """The name that the scenario gives itself; None: it cannot be run."""
    errors: tuple[str, ...] = ()
    """Each a line ``FILE:LINE:COLUMN: PLACE: expected ..., found ...``."""
    warnings: tuple[str, ...] = ()
    """Each a line ``FILE:LINE: PLACE: warning: ...``."""


def lines(found: Sequence[Checked]) -> Iterator[str]:
    """Yield every mistake and every warning, file by file, and last how many there are."""
    for one in found:
        yield from map(printable, (*one.errors, *one.warnings))
    errors, warnings = _counts(found)
    yield f"{_many(len(found), 'file')}: {_many(errors, 'error')}, {_many(warnings, 'warning')}"


def as_json(found: Sequence[Checked]) -> str:
    """Return one object, on one line, in ASCII."""
    errors, warnings = _counts(found)
    return json.dumps({"files": [asdict(one) for one in found], "errors": errors, "warnings": warnings})


def _counts(found: Sequence[Checked]) -> tuple[int, int]:
    return sum(len(one.errors) for one in found), sum(len(one.warnings) for one in found)


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
