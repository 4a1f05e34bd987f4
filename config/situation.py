"""Situations: what is to be played to answer a question about a kernel, as data in ``config/situations``.

A question is text for people: on which file system, what is done. A *situation* is a pattern for such texts with the
programs that do it, in scenario notation, and how what is seen of their calls is written down. What kernels answer
stands nowhere: it comes out of a run (:mod:`longpin.runner.conform.facts`).

The files are read as one. Their tables:

``[fs.NAME]``
    what ``$words`` stand for on a file system, ``head`` among them, the tables of a scenario that make it, and
    ``machine``;
``[text]``
    what ``$words`` stand for everywhere: pieces of programs;
``[words.NAME]``
    what may stand for ``{NAME}`` in an ``op``, and what ``$NAME`` is then;
``[form.NAME]``
    a way to write a call down: ``observed`` and ``errno``, in which ``$of`` is the call;
``[[situation]]``
    ``case``; ``op``, or a table ``calls`` from ops to what ``$call`` is; where it is not everywhere, ``fs``;
    ``machine``, keys of that table, and ``head``, more tables; ``process.NAME``, a program or a whole table;
    ``observed``, with the calls whose ``errno`` it may be, and what is seen ``also``; or ``out_of_scope``, why no run
    can answer it. Each ``[[situation.again]]`` is another run of it, perhaps on some ``fs`` only, with more processes,
    or more in their tables, to see what is there in ``also``.

A comment ``# [name]`` names the call on its line. ``observed`` is what is written down: text, lists and tables, where
``{FORM name}`` is something of the call of that name (:mod:`longpin.runner.conform.facts.forms` has the forms), and a
table with ``of`` is one of its other values: the one named as the call's errno, or as the signal that ended its process
in it; else ``blocks`` if it had not returned when nothing could happen any more without time passing; else ``fails``,
``returns`` or ``killed``. With ``is``, a form, it is the value that is named as what that form gives.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import Any

from longpin.config.situation_text import (
    NUMBER,
    Numbers,
    SituationError,
    UnknownWordError,
    Words,
    expand,
    holes,
    inline,
    pattern_of,
    substituted,
)

_MARK = re.compile(r"#\s*\[(\w+)\]\s*$")
_KEYS = {
    "case",
    "op",
    "calls",
    "fs",
    "text",
    "words",
    "machine",
    "head",
    "process",
    "observed",
    "errno",
    "form",
    "of",
    "also",
    "again",
    "out_of_scope",
}


@dataclass(frozen=True, slots=True)
class RunKind:
    """One run of a situation, in ``$words``."""

    processes: Mapping[str, Mapping[str, Any]]
    """The table of each process."""
    also: Mapping[str, Any]
    """What else is seen in it, by the key under which it is recorded."""
    fs: tuple[str, ...] = ()
    """Where it is made; empty: wherever the situation is played."""


@dataclass(frozen=True, slots=True)
class SituationKind:
    """A kind of question, and how it is answered."""

    case: str
    op: str
    """With ``{words}`` for what may differ."""
    fs: tuple[str, ...] = ()
    """Where it is played; empty: everywhere."""
    text: Words = field(default_factory=dict)
    words: Mapping[str, Words] = field(default_factory=dict)
    machine: str = ""
    head: str = ""
    runs: tuple[RunKind, ...] = ()
    observed: Any = None
    """What is written down of the first run."""
    errno: str = ""
    out_of_scope: str = ""


@dataclass(frozen=True, slots=True)
class SituationRun:
    """One run of a situation."""

    scenario: str
    """The text of a scenario file."""
    also: Mapping[str, Any]
    """What else is seen in it, by the key under which it is recorded."""

    @property
    def marks(self) -> dict[int, str]:
        """Return the names of calls by their lines."""
        found = ((line, _MARK.search(text)) for line, text in enumerate(self.scenario.splitlines(), 1))
        return {line: mark[1] for line, mark in found if mark}


@dataclass(frozen=True, slots=True)
class Play:
    """What is played for one question on any kernel."""

    runs: tuple[SituationRun, ...]
    """None where nothing is played."""
    observed: Any
    """What is written down of the first."""
    errno: str
    """The calls in it of which the first that failed gives the answer's errno; empty: none does."""
    out_of_scope: str


class Situations:
    """All situations of some files."""

    def __init__(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self.fs: dict[str, Words] = {}
        self.text: dict[str, str] = {}
        self.words: dict[str, Words] = {}
        self.forms: dict[str, Mapping[str, Any]] = {}
        self._found: dict[tuple[str, str, str], Play | None] = {}
        """What was looked for before: mostly the same is asked of several kernels."""
        for document in documents.values():
            self.fs |= document.get("fs", {})
            self.text |= document.get("text", {})
            self.words |= document.get("words", {})
            self.forms |= document.get("form", {})
        self._tables = [
            (name, table) for name, document in documents.items() for table in document.get("situation", ())
        ]

    @cached_property
    def all(self) -> tuple[SituationKind, ...]:
        """Return every situation, in the order of the files."""
        return tuple(situation for name, table in self._tables for situation in self._read(name, table))

    def _read(self, name: str, table: Mapping[str, Any]) -> Iterator[SituationKind]:
        if unknown := sorted(set(table) - _KEYS):
            raise SituationError(f"{name}: unknown key {unknown[0]}")
        observed, errno = table.get("observed"), table.get("errno", "")
        if form := table.get("form"):
            of = table.get("of", "call")
            observed = {"form": form, "of": of}
            errno = expand(self.forms[form].get("errno", ""), {"of": of})
        processes = _processes(table)
        runs = [RunKind(processes, table.get("also", {}))] if processes else []
        for other in table.get("again", ()):
            more = {name: processes.get(name, {}) | its for name, its in _processes(other).items()}
            runs.append(RunKind(processes | more, other["also"], tuple(other.get("fs", ()))))
        shared = {
            "machine": table.get("machine", ""),
            "head": table.get("head", ""),
            "runs": tuple(runs),
            "observed": self._with_forms(observed),
            "errno": errno,
            "out_of_scope": table.get("out_of_scope", ""),
        }
        words = table.get("words", {})
        text = table.get("text", {})
        fs = tuple(table.get("fs", ()))
        ops = table.get("calls") or dict.fromkeys([table["op"]] if isinstance(table["op"], str) else table["op"], "")
        for op, call in ops.items():
            its = {**text, "call": call} if call else text
            yield SituationKind(table["case"], op, fs, its, words, **shared)

    def _with_forms(self, tree: Any) -> Any:
        """Return what is written down with the forms it names written out."""
        if isinstance(tree, dict) and "form" in tree:
            return self._with_forms(substituted(self.forms[tree["form"]]["observed"], {"of": tree["of"]}))
        if isinstance(tree, dict):
            return {key: self._with_forms(its) for key, its in tree.items()}
        return [self._with_forms(its) for its in tree] if isinstance(tree, list) else tree

    def find(self, case: str, fs: str, op: str) -> Play | None:
        """Return what is to be played for a question; None: nobody has written a situation for it.

        A situation in which a word says nothing on a file system, such as the path of a file where there are none, is
        not for that one.
        """
        if (case, fs, op) not in self._found:
            self._found[case, fs, op] = self._look_for(case, fs, op)
        return self._found[case, fs, op]

    def _look_for(self, case: str, fs: str, op: str) -> Play | None:
        for situation in self.all if fs in self.fs else ():
            if situation.case == case and (not situation.fs or fs in situation.fs):
                words = self._words_of(situation, fs)
                if (matched := pattern_of(situation.op, words).fullmatch(op)) is not None:
                    meant = {name: words[name][said] for name, said in matched.groupdict().items()}
                    with suppress(UnknownWordError):
                        return self._play(situation, fs, meant)
        return None

    def _words_of(self, situation: SituationKind, fs: str) -> dict[str, Words]:
        """Return what the holes of an op may stand for on a file system, and what each is then."""
        found: dict[str, Words] = {}
        for name in holes(situation.op):
            table = situation.words.get(name) or self.words.get(name)
            if name == NUMBER:
                found[name] = Numbers()
            elif table is None:
                raise SituationError(f"{situation.case}: {situation.op}: nothing says what {{{name}}} may be")
            else:
                found[name] = {expand(key, {"fs": fs}): text for key, text in table.items()}
        return found

    def _play(self, situation: SituationKind, fs: str, words: Words) -> Play:
        meant = {**self.text, **self.fs[fs], **situation.text, **words}
        tables = f"[machine]\n$machine\n{situation.machine}\n$head\n{situation.head}"
        head = f'name = "situation"\n{expand(tables, meant)}'
        runs = [
            SituationRun("\n".join([head, *_process_tables(run.processes, meant)]), substituted(run.also, meant))
            for run in situation.runs
            if not run.fs or fs in run.fs
        ]
        observed, reason = substituted([situation.observed, situation.out_of_scope], meant)
        return Play(tuple(runs), observed, situation.errno, reason)


def _processes(table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tables of processes, of which some are no more than a program."""
    return {name: its if isinstance(its, dict) else {"program": its} for name, its in table.get("process", {}).items()}


def _process_tables(processes: Mapping[str, Mapping[str, Any]], words: Words) -> Iterator[str]:
    """Yield the processes as they stand in a scenario file."""
    for name, table in processes.items():
        program = expand(table["program"], words).strip("\n")
        details = "".join(f"{key} = {inline(value)}\n" for key, value in table.items() if key != "program")
        yield f"[[process]]\nname = \"{name}\"\n{details}program = '''\n{program}\n'''"


@cache
def shipped_situations() -> Situations:
    """Return the situations that come with the package."""
    folder = resources.files("longpin.config") / "situations"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return Situations({entry.name: tomllib.loads(entry.read_text(encoding="utf-8")) for entry in files})
