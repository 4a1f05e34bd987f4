"""Small records a process and its calls share."""

from dataclasses import dataclass
from typing import NamedTuple

from longpin.actors.constants import SA_NOCLDSTOP, SA_NOCLDWAIT, SA_RESTART, SIG_DFL, SIG_IGN
from longpin.actors.process.mapped import MappedRange
from longpin.actors.process.pending import IGNORED_BY_DEFAULT
from longpin.actors.process.program import Image, Op, Program
from longpin.messages.process.labels import VerbsObject
from longpin.messages.process.process import File

Value = int | float | str | bytes | VerbsObject | None
"""What a variable of a program can hold."""


MOST_FDS = 1024
"""RLIMIT_NOFILE: one more than the largest descriptor."""


class Exit(Exception):
    """The program ends."""

    def __init__(self, status: int, signo: int = 0, *, of_thread: bool = False) -> None:
        super().__init__(status, signo)
        self.status = status
        self.signo = signo
        self.of_thread = of_thread
        """Only that of a thread: the others go on."""


class Exec(Exception):
    """The program is replaced."""

    def __init__(self, image: Image) -> None:
        super().__init__(image.name)
        self.image = image


class Disposition(NamedTuple):
    """What a signal does."""

    action: int
    """SIG_DFL, SIG_IGN or SIG_HANDLER."""
    flags: int = 0
    """SA_RESTART and so on."""

    @property
    def restart(self) -> bool:
        """Whether a call that its handler interrupted is made again."""
        return bool(self.flags & SA_RESTART)

    @property
    def tells_of_stops(self) -> bool:
        """Of SIGCHLD: whether it is sent when a child stops or goes on, too."""
        return not self.flags & SA_NOCLDSTOP

    @property
    def reaps(self) -> bool:
        """Of SIGCHLD: whether children that end leave no zombie."""
        return self.action == SIG_IGN or bool(self.flags & SA_NOCLDWAIT)

    def ignores(self, signo: int) -> bool:
        """Return whether signal ``signo`` is ignored, by default or by choice."""
        return self.action == SIG_IGN or (self.action == SIG_DFL and signo in IGNORED_BY_DEFAULT)


class Credentials(NamedTuple):
    """Whose rights a process has [credentials(7)]."""

    uid: int
    fsuid: int
    """What file access and lease permission are checked with; follows ``uid`` except by setfsuid."""
    capabilities: frozenset[str]

    @property
    def effective(self) -> tuple[str, ...]:
        """The capabilities that count, in order: root whose filesystem uid is another's has none of file systems."""
        without = {"CAP_LINUX_IMMUTABLE"} if self.uid == 0 != self.fsuid else set()
        return tuple(sorted(self.capabilities - without))


class Inherited(NamedTuple):
    """What a child gets from its parent at fork, references already counted."""

    fds: dict[int, File]
    variables: dict[str, Value]
    dispositions: dict[int, Disposition]
    handler_programs: dict[int, Program]
    close_on_exec: frozenset[int] = frozenset()
    group: int = 0
    """The process group; 0: its own."""
    blocked: frozenset[int] = frozenset()
    credentials: Credentials | None = None
    """None: those of the image."""
    limits: dict[int, int] | None = None
    """Resource limits by RLIMIT_ number; None: those of the image."""
    parent: str = ""
    """The parent's address; empty: init, which reaps at once."""
    mm: str = ""
    """The memory map that was made for it; empty: the parent has none."""
    mapped: tuple[MappedRange, ...] = ()
    """What is mapped there; what madvise(2) keeps from a child may be among it."""


class Noted(NamedTuple):
    """What a call came to that a use is about."""

    op: Op
    ret: int | str | None
    errno: int
    slept: bool


NOTHING_INHERITED = Inherited({}, {}, {}, {})
"""A process that a scenario starts."""


@dataclass(slots=True)
class Child:
    """What a parent knows of a child it has not reaped."""

    pid: int
    ended: bool = False
    """It is a zombie: it has a number, and nothing else."""
    status: int = 0
    """What waitpid(2) says of its end."""
    news: int = 0
    """CLD_STOPPED or CLD_CONTINUED, if waitpid(2) has not told of it."""
    signo: int = 0
    """The signal that stopped it."""
