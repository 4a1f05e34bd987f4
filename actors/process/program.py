"""A program as a process runs it: system calls with argument expressions, and bounded loops.

``longpin.config.notation`` parses the text of a scenario into these; :mod:`longpin.actors.process.interpreter` runs
them. Nothing here can do more than evaluate integers, strings, bytes, names, ``|``, ``*``, ``+`` and ``-``.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from longpin.actors.constants import SIG_HANDLER


@dataclass(frozen=True, slots=True)
class Const:
    """A literal: an integer, a string, bytes, None, or a fraction where a time may be one."""

    value: int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Name:
    """A variable of the process, or a constant such as O_RDWR (resolved when the program is parsed)."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation:
    """``left op right``."""

    op: str
    """One of ``|``, ``*``, ``+``, ``-``."""
    left: "Expression"
    right: "Expression"


Expression = Const | Name | Operation


class Outcome(StrEnum):
    """What an expectation can say beside a value or an errno."""

    BLOCKS = "blocks"
    """The call sleeps before it returns, or never returns."""
    HANGS = "hangs"
    """The call never returns."""
    OK = "ok"
    """The call succeeds, whatever it returns."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a line says its call must do: ``# -> blocks, ETXTBSY`` or ``# P1 -> hangs``."""

    policy: str | None
    """A policy's name, perhaps with ``:preset``, for which this holds; None: for every policy no other part names."""
    outcomes: tuple[str | int, ...]
    """All must hold: an :class:`Outcome`, an errno's name such as ``EAGAIN``, or the value the call must return."""
    optional: bool = False
    """The call need not be made; a line without this that nobody reaches leaves a verdict undetermined."""
    kernels: tuple[str, ...] = ()
    """The versions of Linux for which this holds; none: for every version no other part names."""

    @property
    def allows_no_return(self) -> bool:
        """Whether a call that never returns can meet this."""
        return set(self.outcomes) <= {Outcome.BLOCKS, Outcome.HANGS}


@dataclass(frozen=True, slots=True)
class Op:
    """One call: ``target = call(args)``."""

    line: int
    """The line in the scenario file, from 1."""
    text: str
    """The line as written, without its comment."""
    call: str
    """The call's name, a key of :data:`longpin.actors.syscalls.SYSCALLS`."""
    args: tuple[Expression, ...]
    target: str | None
    """The variable that takes the result."""
    expectations: tuple[Expectation, ...] = ()
    place: str = ""
    """Its program and its row there, which no other call of the scenario has; a line of the file may have several."""
    uses: tuple[tuple[str, Expectation], ...] = ()
    """What it must come to for a use to be shown, by the use: ``# U1 -> ok``."""

    @property
    def handler_installed(self) -> int | None:
        """The signal whose handler the call installs, where the line names both; else None."""
        match self.call, self.args:
            case "sigaction", (Const(value=int() as signo), Const(value=action), *_) if action == SIG_HANDLER:
                return signo
        return None


@dataclass(frozen=True, slots=True)
class Loop:
    """``for variable in range(count): body``."""

    line: int
    variable: str
    count: int
    body: "tuple[Statement, ...]"


Statement = Op | Loop


@dataclass(frozen=True, slots=True)
class Program:
    """What a process does, or what a signal handler does."""

    statements: tuple[Statement, ...] = ()

    @property
    def placeless(self) -> "Program":
        """The same without where the file has its lines."""

        def inside(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
            return tuple(
                replace(one, line=0, place="") if isinstance(one, Op) else replace(one, line=0, body=inside(one.body))
                for one in statements
            )

        return Program(inside(self.statements))

    def handlers_installed(self) -> set[int]:
        """Return the signals whose handlers the program itself installs: before that they are not in force."""
        return {signo for op in self.operations() if (signo := op.handler_installed) is not None}

    def operations(self) -> "list[Op]":
        """Return every call in the text, loops not unrolled."""

        def inside(statements: tuple[Statement, ...]) -> list[Op]:
            found: list[Op] = []
            for statement in statements:
                found.extend([statement] if isinstance(statement, Op) else inside(statement.body))
            return found

        return inside(self.statements)


@dataclass(frozen=True, slots=True)
class Image:
    """What a process is made of."""

    name: str
    program: Program
    handlers: tuple[tuple[int, Program], ...] = ()
    """The program of each signal's handler."""
    uid: int = 0
    capabilities: frozenset[str] = frozenset()
    memlock: int = 65536
    """RLIMIT_MEMLOCK in bytes."""
    sigpending: int = 10_000
    """RLIMIT_SIGPENDING: how many signals may be queued for it."""

    @property
    def nameless(self) -> "Image":
        """The same without what only tells it from others: its name, and where the file has its lines."""
        handlers = tuple((signo, program.placeless) for signo, program in self.handlers)
        return replace(self, name="", program=self.program.placeless, handlers=handlers)
