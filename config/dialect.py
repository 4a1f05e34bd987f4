"""Dialects: how a well-behaved user takes and gives up protection, which differs by proposal.

A story is told once, in *roles*: a line of a program that begins with ``@``, perhaps after ``name =``, stands for the
lines that the dialect of the policy has for that role. Roles are written out before anything else is read, so nothing
but this module knows of them: what is checked, run and reported are the calls. A dialect is data, one file a policy in
``config/dialects``.
"""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import NamedTuple

from longpin.actors.policies import find_policy
from longpin.config import python_text
from longpin.config.problems import closest, reason, shown
from longpin.config.program_text import ProgramText

RESULT = "result"
"""The variable of a role's lines for which the one stands that the role is assigned to."""

_ROLE = re.compile(r"(?P<indent>[ \t]*)(?:(?P<target>[A-Za-z_]\w*)[ \t]*=[ \t]*)?@(?P<call>.*)")
_SIGNATURE = re.compile(r"(\w+)\(((?:\w+(?:, )?)*)\)")


class Role(NamedTuple):
    """What one role stands for."""

    signature: str
    """As in ``map(fd, length)``."""
    parameters: tuple[str, ...]
    lines: tuple[str, ...]
    place: str
    """File and line of its first line, for messages."""

    @property
    def returns(self) -> bool:
        """Whether it has a result."""
        return any(_assigns_result(line) for line in self.lines)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What every role stands for under one policy."""

    policy: str
    """The policy's name, and its preset where that has words of its own."""
    roles: Mapping[str, Role]
    """By name."""


class Misused(NamedTuple):
    """A role that cannot be written out."""

    row: int
    """From 1."""
    column: int
    """From 0."""
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class WrittenOut:
    """A program without roles."""

    source: str
    starts: tuple[tuple[int, int], ...]
    """Where each row stands in the file: those of a role where the role does."""
    origins: Mapping[int, str]
    """Of rows that a role stands for, where they were taken from."""
    misused: tuple[Misused, ...] = ()


def find_dialect(policy: str, preset: str) -> Dialect | None:
    """Return the dialect of a policy, or of the one it is derived from; None: there is none."""
    kind, _ = find_policy(policy)
    for name in dict.fromkeys(getattr(base, "name", "") for base in kind.__mro__):
        if name and (found := _dialects().get((name, preset)) or _dialects().get((name, ""))):
            return found
    return None


def has_roles(source: str) -> bool:
    """Return whether a program has a line with a role."""
    return "@" in source and any(_ROLE.fullmatch(row) for row in _rows(source))


def write_out(source: str, starts: Sequence[tuple[int, int]], dialect: Dialect | None) -> WrittenOut:
    """Return a program with its roles written out; a role that cannot be is left out and told of."""
    rows = _rows(source)
    written: list[str] = []
    places: list[tuple[int, int]] = []
    origins: dict[int, str] = {}
    misused: list[Misused] = []
    for number, row in enumerate(rows, 1):
        last = len(starts) - 1
        place = starts[number - 1] if number - 1 <= last else (starts[last][0] + number - 1 - last, 1)
        lines = [row]
        if match := _ROLE.fullmatch(row):
            try:
                role, lines = _lines(match, dialect)
            except _MisusedError as error:
                misused.append(Misused(number, match.start("call") + error.column, error.expected, error.found))
                lines = [""]
            else:
                first = len(written) + 1
                origins |= {first + at: f"in @{role.signature.split('(')[0]}, {role.place}" for at in range(len(lines))}
        written += lines
        places += [place] * len(lines)
    return WrittenOut("\n".join(written), tuple(places) or ((1, 1),), origins, tuple(misused))


class _MisusedError(Exception):
    def __init__(self, column: int, expected: str, found: str) -> None:
        super().__init__(expected)
        self.column, self.expected, self.found = column, expected, found


def _rows(source: str) -> list[str]:
    return source.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _assigns_result(line: str) -> bool:
    return re.match(rf"{RESULT}\s*=(?!=)", line) is not None


def _lines(match: re.Match[str], dialect: Dialect | None) -> tuple[Role, list[str]]:
    """Return the role of a row, and the rows it stands for.

    Raises:
        _MisusedError: there is no such role, or its arguments are others.

    """
    if dialect is None:
        known = ", ".join(sorted({policy for policy, _ in _dialects()}))
        raise _MisusedError(-1, f"a role under a policy that has a dialect ({known})", "one that has none")
    name, arguments, comment = _read(match["call"])
    role = dialect.roles.get(name)
    if role is None:
        signatures = ", ".join(f"@{known.signature}" for known in dialect.roles.values())
        raise _MisusedError(0, f"one of the roles {signatures}", shown(name) + closest(name, dialect.roles))
    if len(arguments) != len(role.parameters):
        raise _MisusedError(0, f"@{role.signature}", f"{len(arguments)} arguments")
    if match["target"] and not role.returns:
        raise _MisusedError(-1, f"a role that has a result; @{role.signature} has none", "one assigned")
    given = dict(zip(role.parameters, arguments, strict=True))
    lines = [_spoken(line, given, match["target"]) for line in role.lines]
    if comment and lines:
        judged = next((at for at, line in enumerate(role.lines) if _assigns_result(line)), len(lines) - 1)
        lines[judged] = f"{lines[judged].partition('#')[0].rstrip()}  {comment}"
    return role, [match["indent"] + line for line in lines]


def _read(call: str) -> tuple[str, list[str], str]:
    """Return name, arguments and comment of a role.

    Raises:
        _MisusedError: it is none.

    """
    text = ProgramText(call, ((1, 1),))
    if text.obstacle:
        _, column, expected, found = text.obstacle
        raise _MisusedError(column, expected, found)
    comment = text.comments.get(1, (0, ""))[1]
    try:
        tree = python_text.parse(call)
    except SyntaxError as error:
        column, found = (error.offset or 1) - 1, f"an error ({reason(error.msg)})"
        raise _MisusedError(column, "a role such as @protect(fd), on one line", found) from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise _MisusedError(0, "a role such as @protect(fd)", f"an error ({reason(str(error))})") from error
    match tree.body:
        case [ast.Expr(value=ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]))]:
            return name, [ast.get_source_segment(call, argument) or "" for argument in arguments], comment
    raise _MisusedError(0, "a role such as @protect(fd)", "something else")


def _spoken(line: str, given: Mapping[str, str], target: str | None) -> str:
    """Return a line of a role with the arguments in place of the parameters."""
    if _assigns_result(line) and target is None:
        line = line.partition("=")[2].lstrip()
    names = dict(given) if target is None else {**given, RESULT: target}
    pieces: list[str] = []
    at = 0
    for token in tokenize.generate_tokens(io.StringIO(line).readline):
        if token.type == tokenize.NAME and token.string in names:
            before, after = line[: token.start[1]].rstrip(), line[token.end[1] :].lstrip()
            whole = before[-1:] in ("(", ",", "") and after[:1] in (")", ",", "=")
            pieces += [line[at : token.start[1]], names[token.string] if whole else f"({names[token.string]})"]
            at = token.end[1]
    return "".join([*pieces, line[at:]])


@cache
def _dialects() -> dict[tuple[str, str], Dialect]:
    """Return every dialect by policy and preset; those of no preset in particular have an empty one."""
    found: dict[tuple[str, str], Dialect] = {}
    for entry in sorted(resources.files("longpin.config").joinpath("dialects").iterdir(), key=lambda e: e.name):
        text = entry.read_text(encoding="utf-8")
        document = tomllib.loads(text)
        common = _roles(document["roles"], text, entry.name)
        policy = document["policy"]
        found[policy, ""] = Dialect(policy, common)
        for preset, roles in document.get("presets", {}).items():
            found[policy, preset] = Dialect(f"{policy}:{preset}", common | _roles(roles, text, entry.name))
    return found


def _roles(table: Mapping[str, str], text: str, filename: str) -> dict[str, Role]:
    roles = {}
    for signature, body in table.items():
        match = _SIGNATURE.fullmatch(signature)
        if match is None:
            raise ValueError(f"{filename}: expected a role such as map(fd, length), found {signature!r}")
        line = text.count("\n", 0, text.index(f'"{signature}"')) + 1
        lines = tuple(row for row in body.split("\n") if row.strip())
        parameters = tuple(filter(None, match[2].split(", ")))
        roles[match[1]] = Role(signature, parameters, lines, f"dialects/{filename}:{line}")
    return roles
