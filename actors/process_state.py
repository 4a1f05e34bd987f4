"""Small records a process and its calls share."""

from typing import NamedTuple

from longpin.actors.address_space import Mapping
from longpin.actors.program import Program
from longpin.messages.labels import VerbsObject
from longpin.messages.process import File

Value = int | str | bytes | VerbsObject | None
"""What a variable of a program can hold."""


class Exit(Exception):
    """The program ends."""

    def __init__(self, status: int, signo: int = 0) -> None:
        super().__init__(status, signo)
        self.status = status
        self.signo = signo


class Disposition(NamedTuple):
    """What a signal does."""

    action: int
    """SIG_DFL, SIG_IGN or SIG_HANDLER."""
    restart: bool = False
    """SA_RESTART."""


class Inherited(NamedTuple):
    """What a child gets from its parent at fork, references already counted."""

    fds: dict[int, File]
    mappings: tuple[Mapping, ...]
    variables: dict[str, Value]
    dispositions: dict[int, Disposition]
    handler_programs: dict[int, Program]


NOTHING_INHERITED = Inherited({}, (), {}, {}, {})
"""A process that a scenario starts."""
