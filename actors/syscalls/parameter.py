"""The parameters of a call as its declaration writes them: kinds, widths of integers, defaults."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import Parameter as PythonParameter
from inspect import signature as python_signature
from types import NoneType
from typing import Any, NamedTuple

from longpin.messages.process.labels import VerbsObject


class Width(NamedTuple):
    """How many bits of an integer a call takes."""

    bits: int
    signed: bool

    def cut(self, value: int) -> int:
        """Return what the kernel sees of an argument, as C converts it."""
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if self.signed and value >> (self.bits - 1) else value


C_TYPES: dict[str, Width] = {
    "int": Width(32, signed=True),
    "uint": Width(32, signed=False),
    "fd": Width(32, signed=False),
    "long": Width(64, signed=True),
    "size_t": Width(64, signed=False),
    "umode_t": Width(16, signed=False),
    "uid_t": Width(32, signed=False),
    "status": Width(8, signed=False),
}
"""The types of integers in the kernel's prototypes, on x86-64; ``status`` is what is kept of an exit status."""

OTHER_TYPES: dict[str, tuple[type, ...]] = {
    "float": (float,),
    "none": (NoneType,),
    "str": (str,),
    "bytes": (bytes,),
    "path": (str,),
    "new path": (str,),
    "process": (str, int),
    "program": (str,),
    "thread": (str,),
    "label": (str,),
    "new label": (str,),
    "handle": (VerbsObject,),
}
"""What else an argument may be: a new path is one that the call makes, a new label one that it sets, a process is its
name or its number, a handle is what a verb returned."""

LITERAL = {"program", "thread", "label", "new label"}
"""Kinds whose arguments must be written out."""

Argument = int | float | str | bytes | VerbsObject | None
"""What a program can give to a call."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a call."""

    name: str
    kinds: tuple[str, ...]
    """What it takes: keys of :data:`C_TYPES` or :data:`OTHER_TYPES`."""
    types: tuple[type, ...]
    """What an argument in this place may be. There are no literals of VerbsObject: it must come from a variable."""
    optional: bool = False
    repeated: bool = False
    """Any number of arguments, none too; only the last parameter."""
    default: int | float | str | bytes | None = None
    """What an optional parameter is if it is left out."""
    width: Width = C_TYPES["long"]
    """What the call takes of an integer."""

    @property
    def is_path(self) -> bool:
        """Whether it is a path."""
        return "path" in self.kinds or self.is_made

    @property
    def is_made(self) -> bool:
        """Whether it is a path that the call makes."""
        return "new path" in self.kinds

    @property
    def is_data(self) -> bool:
        """Whether it is what is written, and can be nothing else."""
        return bytes in self.types and int not in self.types

    @property
    def is_time(self) -> bool:
        """Whether it is seconds."""
        return float in self.types

    @property
    def is_literal(self) -> bool:
        """Whether it must be written out, because the loader checks what it names."""
        return not LITERAL.isdisjoint(self.kinds)

    def cut(self, value: Argument) -> Argument:
        """Return an argument as the call takes it."""
        return self.width.cut(value) if isinstance(value, int) else value

    def __str__(self) -> str:
        return f"{self.name}..." if self.repeated else self.name


def read_parameters(inside: str, implementation: Callable[..., Any]) -> Iterator[Parameter]:
    """Read parameters; a function implements them in their order, after the process."""
    written = list(python_signature(implementation).parameters.values())[1:]
    parts = list(filter(None, (piece.strip() for piece in inside.split(","))))
    assert len(parts) == len(written), implementation
    for part, own in zip(parts, written, strict=True):
        word, _, given = part.strip("[]").partition(": ")
        kinds = tuple(given.split("|"))
        widths = [C_TYPES[kind] for kind in kinds if kind in C_TYPES]
        yield Parameter(
            word.removesuffix("..."),
            kinds,
            tuple(dict.fromkeys(each for kind in kinds for each in OTHER_TYPES.get(kind, (int,)))),
            part.startswith("["),
            word.endswith("..."),
            None if own.default is PythonParameter.empty else own.default,
            widths[0] if widths else C_TYPES["int"] if "process" in kinds else C_TYPES["long"],
        )
