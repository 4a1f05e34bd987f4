"""What is declared of a call, beside its implementation: how it is written, what it may return, what makes it.

All that must be known of a call is said once, by :meth:`Declarations.declare`, in the module that implements it;
:data:`longpin.actors.syscalls.SYSCALLS` is the union of the modules. From it derive what the loader accepts
(:mod:`longpin.config.call_rules`), the errnos that oracle O7 allows, which calls are made again after a signal, the
tables of ``docs/scenario.md``, and how the kernel of this machine and a C program are asked to make the call.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, NamedTuple, TypeVar

from longpin.actors.constants import ERRNO_ALIASES, PROGRAM_CONSTANTS
from longpin.actors.syscalls.errnos import PAGES
from longpin.actors.syscalls.parameter import Argument, Parameter, read_parameters


class Restart(Enum):
    """What becomes of a call whose sleep a signal ended, by the kernel's name for its error [1.12]."""

    ERESTARTSYS = "made again if no handler runs, or if the one taken first has SA_RESTART"
    ERESTARTNOHAND = "made again if no handler runs"
    ERESTARTNOINTR = "always made again"
    EINTR = "never made again"


class Returning(StrEnum):
    """Whether a call comes back to the program that makes it."""

    ALWAYS = "returns"
    ON_FAILURE = "returns only if it fails"
    NEVER = "never returns"


class Support(StrEnum):
    """How much of a call there is."""

    FULL = "full"
    PARTIAL = "in part"


class Section(StrEnum):
    """What a call is about: the heading of its table in ``docs/scenario.md``."""

    FILES = "Files and descriptors"
    PROCESSES = "Processes, signals, time"
    MEMORY = "Memory"
    VERBS = "RDMA verbs"
    VIDEO = "Video capture"
    IO_URING = "io_uring"
    VFIO = "VFIO"
    AF_XDP = "AF_XDP"
    PNFS = "pNFS clients"
    HYPERVISOR = "Hypervisor"
    ADMINISTRATION = "The administrator's view"
    ORDER = "Order between processes"


@dataclass(frozen=True, slots=True)
class OneOf:
    """The constants that a parameter can be."""

    names: tuple[str, ...]

    def refuse(self, value: int) -> tuple[str, str] | None:
        """Return what was expected and what was found instead, if a value is none of them."""
        if value in {PROGRAM_CONSTANTS[name] for name in self.names}:
            return None
        return str(self), f"{value:#x}, which is not supported"

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"


@dataclass(frozen=True, slots=True)
class Flags:
    """The constants of which a parameter can be any, joined."""

    names: tuple[str, ...]

    def refuse(self, value: int) -> tuple[str, str] | None:
        """Return what was expected and what was found instead, if a value has other bits."""
        allowed = 0
        for name in self.names:
            allowed |= PROGRAM_CONSTANTS[name]
        if not value & ~allowed:
            return None
        others = value & ~allowed
        prefix = self.names[0].partition("_")[0] + "_"
        words = [name for name, its in PROGRAM_CONSTANTS.items() if name.startswith(prefix) and its == its & others > 0]
        listed = f" ({', '.join(words)})" if words else ""
        found = f"{value:#x}" if value < 0 else f"the flags {others:#o}{listed}"
        return str(self), f"{found}, which are not supported"

    def __str__(self) -> str:
        return f"flags among {', '.join(self.names)}"


class Unknown(Enum):
    """An argument whose value is known only when the program runs."""

    VALUE = "?"


Given = Mapping[str, Argument | Unknown]
"""The arguments of a call by their parameters: those whose values a program's text states."""


class ArgumentRefusal(NamedTuple):
    """Why the loader refuses arguments that do not go together."""

    parameter: str
    """Where; empty: the call as a whole."""
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class LibcArgument:
    """An argument of a function of the C library."""

    text: str
    """A parameter of the call, or what stands there literally."""
    role: str = "value"
    """A ``path``, ``data``, the ``length`` of data, a ``buffer`` of so many bytes, a ``value``, or ``literal``."""


@dataclass(frozen=True, slots=True)
class Libc:
    """The function of the C library that makes a call, with what it is given."""

    function: str
    arguments: tuple[LibcArgument, ...]
    header: str
    """Where C finds it."""
    wide: bool
    """It returns 64 bits, not an int."""

    @property
    def sizes(self) -> frozenset[str]:
        """The parameters that say how large a buffer is: what the call returns is then the bytes in it."""
        return frozenset(argument.text for argument in self.arguments if argument.role == "buffer")


_LIBC = re.compile(r"(?P<type>\w+) (?P<name>\w+)\((?P<inside>.*)\)")
_ROLES = (("buffer", re.compile(r"buffer\[(\w+)\]")), ("length", re.compile(r"length\((\w+)\)")))
WIDE = {"ssize_t", "off_t"}
"""What functions return that is no int."""


def libc(text: str, header: str) -> Libc:
    """Read ``type function(argument, ...)``.

    An argument is a parameter of the call, ``length(data)`` of one, ``buffer[count]`` for what is read, or C.
    """
    match = _LIBC.fullmatch(text)
    assert match is not None, text
    arguments = []
    for part in filter(None, (piece.strip() for piece in match["inside"].split(","))):
        found = [(role, its[1]) for role, pattern in _ROLES if (its := pattern.fullmatch(part))]
        role, word = found[0] if found else ("value", part)
        arguments.append(LibcArgument(word, role))
    return Libc(match["name"], tuple(arguments), header, match["type"] in WIDE)


@dataclass(frozen=True, slots=True)
class Syscall:
    """A call that a program may make."""

    name: str
    parameters: tuple[Parameter, ...]
    implementation: Callable[..., Any]
    """What makes it in a process actor: a plain function answers at once, a generator is a conversation."""
    section: Section
    man: str
    """Its manual pages; those of sections 2 and 7 say what it may fail with. Empty: it is no system call."""
    returns: str
    """What it returns, and remarks, for ``docs/scenario.md``."""
    errnos: frozenset[str]
    """What it may fail with, but for what a policy adds (:attr:`longpin.actors.policies.base.Policy.errnos`)."""
    added: Mapping[str, str]
    """Those of them that no page has, each with where it comes from."""
    restart: Restart
    allowed: Mapping[str, OneOf | Flags]
    """What constants parameters take."""
    refuses: Callable[[Given], ArgumentRefusal | None] | None
    """What finds arguments that do not go together."""
    may_hang: bool
    """It may wait for ever because the program asks it to, which is no kernel's fault."""
    returning: Returning
    """Whether it comes back, if it does not wait for ever."""
    partial: str
    """What of the call there is, if not all."""
    on_host: bool
    """Whether the host engine can make it, on an unmodified kernel."""
    libc: Libc | None
    """The function of the C library that makes it; None: it takes more. Who makes it may have a way of his own."""

    @property
    def support(self) -> Support:
        """How much of it there is."""
        return Support.PARTIAL if self.partial else Support.FULL

    @property
    def least(self) -> int:
        """The number of arguments that must be given."""
        return sum(not parameter.optional for parameter in self.parameters)

    @property
    def most(self) -> float:
        """The number of arguments that may be given."""
        return float("inf") if self.parameters and self.parameters[-1].repeated else len(self.parameters)

    def parameter(self, position: int) -> Parameter:
        """Return the parameter an argument is for, by the argument's place from 0."""
        return self.parameters[min(position, len(self.parameters) - 1)]

    def parameters_of(self, count: int) -> tuple[Parameter, ...]:
        """Return the parameter that each of so many arguments is for."""
        more = count - len(self.parameters)
        return self.parameters[:count] if more <= 0 else self.parameters + self.parameters[-1:] * more

    def bind(self, arguments: Sequence[Argument]) -> Iterator[tuple[Parameter, Argument]]:
        """Yield each parameter with its argument, or with its default if that is left out; none may be repeated."""
        for position, parameter in enumerate(self.parameters):
            yield parameter, arguments[position] if position < len(arguments) else parameter.default

    def __str__(self) -> str:
        shown = ", ".join(p.name for p in self.parameters if not p.optional)
        for p in self.parameters:
            if p.optional:
                shown += f"[, {p}]" if shown else f"[{p}]"
        return f"{self.name}({shown})"


F = TypeVar("F", bound=Callable[..., Any])


class Declarations(dict[str, Syscall]):
    """The calls that one module implements, by their names."""

    def __init__(self, section: Section, *, on_host: bool = True) -> None:
        super().__init__()
        self._section = section
        self._on_host = on_host

    def declare(
        self,
        text: str,
        man: str,
        *,
        returns: str,
        errnos: Mapping[str, str] | None = None,
        restart: Restart = Restart.ERESTARTSYS,
        allowed: Mapping[str, OneOf | Flags] | None = None,
        refuses: Callable[[Given], ArgumentRefusal | None] | None = None,
        may_hang: bool = False,
        returning: Returning = Returning.ALWAYS,
        partial: str = "",
        libc: Libc | None = None,
        section: Section | None = None,
    ) -> Callable[[F], F]:
        """Return a decorator that declares the call a function implements.

        Args:
            text: ``name(parameter: kind|kind, [parameter: kind], [parameter...: kind])``; kinds are the keys of
                :data:`C_TYPES` and :data:`OTHER_TYPES`. The default of an optional parameter is the function's.
            man: the manual pages.
            returns: what it returns, and remarks.
            errnos: what it may fail with beside what its pages say, each with where it comes from.
            restart: what becomes of it after a signal.
            allowed: what constants parameters take.
            refuses: what finds arguments that do not go together.
            may_hang: whether it may wait for ever because the program asks it to.
            returning: whether it comes back.
            partial: what of it there is, if not all.
            libc: how the C library makes it.
            section: what it is about; the module's unless said.

        """

        def keep(implementation: F) -> F:
            name, _, inside = text.removesuffix(")").partition("(")
            assert name not in self, name
            parameters = tuple(read_parameters(inside, implementation))
            assert allowed is None or set(allowed) <= {parameter.name for parameter in parameters}, name
            self[name] = Syscall(
                name,
                parameters,
                implementation,
                section or self._section,
                man,
                returns,
                _errnos(man, errnos or {}, parameters),
                errnos or {},
                restart,
                allowed or {},
                refuses,
                may_hang,
                returning,
                partial,
                self._on_host,
                _with_roles(libc, parameters),
            )
            return implementation

        return keep


_PAGE = re.compile(r"\w+\([27]\)")


def pages_of(man: str) -> list[str]:
    """Return the manual pages of sections 2 and 7 that a declaration names."""
    return _PAGE.findall(man)


def _errnos(man: str, added: Mapping[str, str], parameters: tuple[Parameter, ...]) -> frozenset[str]:
    """Return what a call may fail with: what its pages say, what is added, and EINVAL for what no C program can pass.

    A variable can hold what the parameter cannot be, such as the result of a failed call.
    """
    named = {errno for page in pages_of(man) for errno in PAGES[page].split()}
    named |= {*added, *(["EINVAL"] if parameters else [])}
    return frozenset(ERRNO_ALIASES.get(errno, errno) for errno in named)


def _with_roles(made: Libc | None, parameters: tuple[Parameter, ...]) -> Libc | None:
    """Return a function whose arguments are known to be paths, data, numbers, or literal."""
    if made is None:
        return None
    named = {parameter.name: parameter for parameter in parameters}
    assert all(argument.text in named for argument in made.arguments if argument.role != "value"), made
    arguments = []
    for argument in made.arguments:
        role, parameter = argument.role, named.get(argument.text)
        if parameter is None:
            role = "literal"
        elif role == "value":
            role = "path" if parameter.is_path else "data" if parameter.is_data else "value"
        arguments.append(LibcArgument(argument.text, role))
    return Libc(made.function, tuple(arguments), made.header, made.wide)
