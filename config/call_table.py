"""The tables of calls in ``docs/scenario.md``, written from what the calls declare.

``python -m longpin.config.call_table docs/scenario.md`` writes them anew; a test compares.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Section, Support, Syscall

_TABLE = re.compile(r"(<!-- calls: (?P<section>[^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""Where a table stands: between two comments, which nobody sees."""


def write_tables(document: str) -> str:
    """Return a document with the table of each section of calls written anew.

    Raises:
        ValueError: it names a section that there is not.

    """
    return _TABLE.sub(lambda place: place[1] + table(Section(place["section"])) + place[3], document)


def table(section: Section) -> str:
    """Return the calls of a section as a table in Markdown."""
    rows = [_row(call) for call in SYSCALLS.values() if call.section is section]
    return "\n".join(["| call | manual page | result and remarks |", "|---|---|---|", *rows]) + "\n"


def _row(call: Syscall) -> str:
    written = str(call).replace("([, ", "([")
    return f"| `{written}` | {call.man} | {'. '.join(_remarks(call))} |"


def _remarks(call: Syscall) -> Iterator[str]:
    yield call.returns
    if call.support is Support.PARTIAL:
        yield f"*In part: {call.partial}*"


def main() -> None:
    """Write the tables of the documents that are named."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(write_tables(path.read_text()))


if __name__ == "__main__":
    main()
