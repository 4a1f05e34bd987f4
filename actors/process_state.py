"""Small records a process and its calls share."""

from typing import NamedTuple

from longpin.actors.address_space import Mapping
from longpin.actors.program import Image, Program
from longpin.messages.labels import VerbsObject
from longpin.messages.process import File

Value = int | str | bytes | VerbsObject | None
"""What a variable of a program can hold."""


MOST_FDS = 1024
"""RLIMIT_NOFILE: one more than the largest descriptor."""


class Exit(Exception):
    """The program ends."""

    def __init__(self, status: int, signo: int = 0) -> None:
        super().__init__(status, signo)
        self.status = status
        self.signo = signo


class Exec(Exception):
    """The program is replaced."""

    def __init__(self, image: Image) -> None:
        super().__init__(image.name)
        self.image = image


class Disposition(NamedTuple):
    """What a signal does."""

    action: int
    """SIG_DFL, SIG_IGN or SIG_HANDLER."""
    restart: bool = False
    """SA_RESTART."""


class Credentials(NamedTuple):
    """Whose rights a process has [credentials(7)]."""

    uid: int
    fsuid: int
    """What file access and lease permission are checked with; follows ``uid`` except by setfsuid."""
    capabilities: frozenset[str]


class Inherited(NamedTuple):
    """What a child gets from its parent at fork, references already counted."""

    fds: dict[int, File]
    mappings: tuple[Mapping, ...]
    variables: dict[str, Value]
    dispositions: dict[int, Disposition]
    handler_programs: dict[int, Program]
    close_on_exec: frozenset[int] = frozenset()
    group: int = 0
    """The process group; 0: its own."""
    blocked: frozenset[int] = frozenset()
    credentials: Credentials | None = None
    """None: those of the image."""


NOTHING_INHERITED = Inherited({}, (), {}, {}, {})
"""A process that a scenario starts."""
