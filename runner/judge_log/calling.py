"""What the tables of calls are given and what they answer: a logged call, and the calls of the model it stands for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from longpin.actors.process.program import Const, Expression, Name, Op
from longpin.runner.judge_log.script import PLAIN, HandlerFlags
from longpin.runner.judge_log.strace_lines import LoggedCall
from longpin.runner.judge_log.strace_values import Described, Value, Word
from longpin.runner.judge_log.surroundings import LogFiles
from longpin.runner.judge_log.threads import LoggedWorld
from longpin.runner.judge_log.words import errno_name, number

STANDARD: Final = 2
"""Descriptors up to this one are taken, and nothing is known of them in the model."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of the model, and what it must come to."""

    op: Op
    errno: str = ""
    value: int | None = None
    variables: tuple[tuple[str, int], ...] = ()
    handler: HandlerFlags = PLAIN
    wanted: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Modelled:
    """A logged call is these calls of the model."""

    pieces: tuple[ModelCall, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A logged call does nothing that matters here."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """A logged call touches what matters, and the model does not have it."""

    what: str


Given = int | float | str | bytes | Expression | None
"""An argument: a value, or an expression."""

Translation = Modelled | LeftOut | Beyond
LEFT_OUT: Final = LeftOut()


@dataclass(slots=True)
class LoggedProcess:
    """What is known of a process at a point of its log."""

    number: int
    image: str
    """What it runs."""
    ranges: list[tuple[int, int]] = field(default_factory=list)
    """Where files that matter are mapped: first byte, and the one behind the last."""
    threads: int = 1
    groups_changed: bool = False

    def maps(self, address: int, length: int) -> bool:
        """Return whether a range has a byte of a file that matters."""
        return any(address < end and start < address + length for start, end in self.ranges)

    def forget(self, address: int, length: int) -> None:
        """Note that nothing is mapped in a range any more."""
        kept = []
        for start, end in self.ranges:
            if start < address:
                kept.append((start, min(end, address)))
            if end > address + length:
                kept.append((max(start, address + length), end))
        self.ranges = [(start, end) for start, end in kept if start < end]


class Passes(Protocol):
    """Who passes descriptors to whom, asked call by call in the order of the log."""

    def receiver(self, call: LoggedCall) -> int:
        """Return the process that gets a descriptor."""

    def is_sent(self, call: LoggedCall) -> bool:
        """Return whether the descriptor that a call receives next was sent by a call of the log."""


@dataclass(slots=True)
class Calling:
    """A call, and where it is made."""

    call: LoggedCall
    process: LoggedProcess
    surroundings: LogFiles
    world: LoggedWorld
    images: Callable[[int], str]
    """Returns the name of what a new process or thread runs, by its number."""
    passing: "Passes"
    """Knows who passes descriptors to whom."""

    @property
    def args(self) -> tuple[Value, ...]:
        """The arguments."""
        return self.call.args

    def number(self, place: int, default: int | None = None) -> int:
        """Return an argument as a number; ``default`` if there is none."""
        if place >= len(self.args):
            return 0 if default is None else default
        return number(self.args[place], default)

    def words(self, place: int) -> list[str]:
        """Return the names that an argument joins."""
        value = self.args[place] if place < len(self.args) else None
        return value.parts if isinstance(value, Word) else []

    def matters(self, place: int) -> bool:
        """Return whether an argument is a descriptor of a file that matters."""
        value = self.args[place] if place < len(self.args) else None
        return isinstance(value, Described) and self.surroundings.matters(value.name)

    def is_bad(self, place: int) -> bool:
        """Return whether an argument is the number of no descriptor, and the call failed for that."""
        value = self.args[place] if place < len(self.args) else None
        return isinstance(value, Word) and self.call.errno == "EBADF"

    def is_held(self, place: int) -> bool:
        """Return whether an argument is a descriptor that the model has, whatever it refers to."""
        value = self.args[place] if place < len(self.args) else None
        return (isinstance(value, Described) and value.number > STANDARD) or self.is_bad(place)

    def path(self, name: int, folder: int | None = None) -> str | None:
        """Return a path that leads to a file that matters; None: it does not."""
        path = self.surroundings.resolve(self.call.tid, self.call, folder, name)
        return path if path is not None and self.surroundings.matters(path) else None

    def piece(self, name: str, *args: Given, **more: object) -> ModelCall:
        """Return a call of the model that must come to what the log says."""
        value = self.call.value if not self.call.failed else None
        known = {"errno": errno_name(self.call.errno) if self.call.failed else "", "value": value}
        return ModelCall(op(name, *args, line=self.call.begins), **(known | more))  # type: ignore[arg-type]

    def modelled(self, name: str, *args: Given, **more: object) -> Modelled:
        """Return one call of the model that must come to what the log says."""
        return Modelled((self.piece(name, *args, **more),))

    def place(self, descriptors: Iterable[int], *, close_on_exec: bool = False) -> Translation:
        """Return what takes descriptors for what the model does not have."""
        flags = O_PATH | (O_CLOEXEC if close_on_exec else 0)
        made = [self.piece("open", "/", flags, value=fd, errno="") for fd in descriptors if fd > STANDARD]
        return Modelled(tuple(made)) if made else LEFT_OUT


O_PATH, O_CLOEXEC = 0o10000000, 0o2000000


def op(name: str, *args: Given, line: int = 0, target: str | None = None) -> Op:
    """Return a call of a program."""
    given = tuple(arg if isinstance(arg, (Const, Name)) else Const(arg) for arg in args)  # type: ignore[arg-type]
    return Op(line, name, name, given, target)
