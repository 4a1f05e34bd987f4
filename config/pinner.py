"""Pinners: who else than a memory region can have the pages of a hazard.

A hazard is told with a memory region of an RDMA device. A pinner is data, one file in ``config/pinners``: what it does
where a program of the hazard calls libibverbs. Its calls take the place of those, once the roles of the policy are
written out, so that what is run, judged and kept are calls, and nothing but this module knows of pinners.

::

    [calls]
    "ibv_alloc_pd(ctx)" = "{ctx}"                                  # a name for what is there already
    "ibv_reg_mr(pd, addr, length, access)" = "result = io_uring_register_buffers({pd}, {addr}, {length})"
    "ibv_dereg_mr(mr)" = "io_uring_unregister_buffers({mr.pd})"    # what its registration was given
    "ibv_poll_cq(cq)" = ""                                         # nothing

More arguments than are named are left out, and so is what a comment says of how the call must come out: that is told
of memory regions.
"""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from longpin.config import python_text

REGION = "mr"
"""The pinner of a hazard as it is told: a memory region that pins its pages."""

_CALL = re.compile(r"(?P<indent>[ \t]*)(?:(?P<target>[A-Za-z_]\w*)[ \t]*=[ \t]*)?(?P<name>[a-z_]\w*)\(")
_SIGNATURE = re.compile(r"(\w+)\(((?:\w+(?:, )?)*)\)")
_ANOTHER_NAME = re.compile(r"\{\w+\}")
_RESULT = "result"


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a pinner does where a program makes one call."""

    parameters: tuple[str, ...]
    lines: tuple[str, ...]
    """With ``{parameter}`` for an argument, ``{parameter.of}`` for an argument of the call it came from, and
    ``{result}`` for the variable that has the result."""


@dataclass(frozen=True, slots=True)
class Pinner:
    """Who has the pages instead of a memory region."""

    name: str
    """As ``--pinner`` takes it."""
    title: str
    source: str
    calls: Mapping[str, Replaced]
    """By the name of the call of libibverbs."""
    adds: Mapping[str, list[dict[str, Any]] | dict[str, Any]] = field(default_factory=dict)
    """What it needs of the scenario: entries of a list, devices and files; keys of a table, the machine."""
    untold: Mapping[str, str] = field(default_factory=dict)
    """The hazards that cannot be told with it, by name, and why."""


@dataclass(frozen=True, slots=True)
class Given:
    """An argument as it is written; its attributes are the arguments of the call that it is the result of."""

    text: str
    arguments: Mapping[str, "Given"] = field(default_factory=dict)

    def __getattr__(self, name: str) -> "Given":
        """Return an argument of the call; itself, if that is nowhere."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self.arguments.get(name, self)

    def __str__(self) -> str:
        """Return it as it is written."""
        return self.text


def pinner_names() -> tuple[str, ...]:
    """Return what ``--pinner`` takes, the memory region first."""
    return REGION, *_pinners()


def find_pinner(name: str) -> Pinner:
    """Return a pinner other than the memory region.

    Raises:
        KeyError: there is none of that name.

    """
    return _pinners()[name]


def with_pinner(document: dict[str, Any], pinner: Pinner) -> dict[str, Any]:
    """Return a scenario, as TOML has it and without roles, in which a pinner stands for the memory regions.

    What a process does not name itself is what another one names so: a child has a copy of its parent's variables, and
    a label can tell of a region.
    """
    added = {key: _joined(document.get(key), entries) for key, entries in pinner.adds.items()}
    names: dict[str, Given] = {}
    for _ in range(2):  # for the names that stand further down
        processes = [_changed(process, pinner, names) for process in document["process"]]
    return document | added | {"process": processes}


def _joined(there: Any, more: list[dict[str, Any]] | dict[str, Any]) -> Any:
    """Return what a scenario has under a key with what is added there."""
    return (there or {}) | more if isinstance(more, dict) else [*(there or ()), *more]


def _changed(process: dict[str, Any], pinner: Pinner, names: dict[str, Given]) -> dict[str, Any]:
    its = dict(process)
    for key in ("program", "on_signal"):
        if isinstance(text := its.get(key), str):
            its[key] = "\n".join(_rows(text, pinner, names))
        elif isinstance(text, dict):
            its[key] = {signal: "\n".join(_rows(lines, pinner, names)) for signal, lines in text.items()}
    return its


def _rows(program: str, pinner: Pinner, names: dict[str, Given]) -> Iterator[str]:
    """Yield the rows of a program with the pinner's calls; ``names``: variables that stand for something else."""
    for row in program.split("\n"):
        match = _CALL.match(row)
        if match is None or (replaced := pinner.calls.get(match["name"])) is None:
            yield _renamed(row, names)
            continue
        call = _arguments(row[match.start("name") :])
        arguments = dict(zip(replaced.parameters, (_given(each, names) for each in call), strict=False))
        target = match["target"] or ""
        arguments[_RESULT] = Given(target)
        lines = [line.format(**arguments) for line in replaced.lines]
        if target and len(lines) == 1 and _ANOTHER_NAME.fullmatch(replaced.lines[0]):
            names[target] = Given(lines[0], arguments)
            continue
        if target:
            names[target] = Given(target, arguments)
        told = f"{target} = " if target else ""
        yield from (match["indent"] + line.replace(f"{_RESULT} = ", told) for line in lines)


def _arguments(text: str) -> list[str]:
    """Return the arguments of the call with which a text begins."""
    for end in (at + 1 for at, letter in enumerate(text) if letter == ")"):
        try:
            tree = python_text.parse(text[:end])
        except SyntaxError:
            continue
        match tree.body:
            case [ast.Expr(value=ast.Call(args=arguments))]:
                return [ast.get_source_segment(text, each) or "" for each in arguments]
    raise ValueError(f"expected a call on one line, found {text!r}")


def _given(argument: str, names: Mapping[str, Given]) -> Given:
    return names.get(argument, Given(_renamed(argument, names)))


def _renamed(text: str, names: Mapping[str, Given]) -> str:
    """Return a text with other names for variables that were left out."""
    for name, stands_for in names.items():
        if name != stands_for.text:
            text = re.sub(rf"\b{name}\b(?=[,)])", stands_for.text, text)
    return text


@cache
def _pinners() -> dict[str, Pinner]:
    found = {}
    for entry in sorted(resources.files("longpin.config").joinpath("pinners").iterdir(), key=lambda e: e.name):
        document = tomllib.loads(entry.read_text(encoding="utf-8"))
        name = entry.name.removesuffix(".toml")
        calls = {}
        for signature, body in document["calls"].items():
            match = _SIGNATURE.fullmatch(signature)
            if match is None:
                raise ValueError(f"{entry.name}: expected a call such as ibv_dereg_mr(mr), found {signature!r}")
            parameters = tuple(filter(None, match[2].split(", ")))
            calls[match[1]] = Replaced(parameters, tuple(row for row in body.split("\n") if row.strip()))
        found[name] = Pinner(
            name, document["title"], document["source"], calls, document.get("adds", {}), document.get("untold", {})
        )
    return found
