"""Scenarios that are a little simpler than a given one, as edits of its tables.

Each pass yields candidates, those that take most away first. Nothing here knows whether a candidate still fails, or
whether it loads: the caller finds out. Names of processes, files and labels are never changed, since what broke is
told by them.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

from longpin.actors.syscalls import SYSCALLS
from longpin.config.schema import EXPECTATIONS_RULE
from longpin.config.writer import Document
from longpin.runner.failures.statements import (
    Statement,
    Term,
    replaced,
    statements,
    terms,
    tidy,
    unrolled,
    without,
    without_expectations,
)

Place = tuple[str | int, ...]
"""Where in a document a text stands: ``("process", 0, "on_signal", "SIGIO")``."""

Pass = Callable[[Document], Iterator[Document]]

_NAMES_A_PROCESS = {
    call.name
    for call in SYSCALLS.values()
    if any({"process", "program"} & set(parameter.kinds) for parameter in call.parameters[:1])
}
_OPTIONAL = {
    "machine": (
        "page_size",
        "lease_break_time",
        "uverbs_async_delay",
        "huge_page_size",
        "huge_pages",
        "hypervisor",
        "vfio",
    ),
    "nfsd": ("threads", "on_timeout", "layout_type", "fence_failures", "fence_retries"),
    "pmem": ("blocks",),
    "video": ("frame_size",),
    "device": ("iommu", "revocable", "on_demand", "names_owner", "disassociates"),
    "file": ("pmem", "uid", "mode"),
    "process": ("uid", "capabilities", "memlock"),
}
"""Keys of each table that have a default."""
_SIZES = {"pmem": ("blocks",), "file": ("size",), "process": ("memlock",)}


def tidied(document: Document, rules: list[str], policy: str) -> Document:
    """Return a document that names the rules and the policy it is judged by, its programs without remarks.

    What lines expect goes where no rule judges it.
    """
    made = copy.deepcopy(document)
    for place in programs(made):
        text = tidy(get(made, place))
        put(made, place, text if EXPECTATIONS_RULE in rules else without_expectations(text))
    head: Document = {key: made.pop(key) for key in ("name", "source", "summary") if key in made}
    made.pop("policy", None)
    made.pop("holds", None)
    for key in ("shows", "violates", "violates_on", "unreached"):  # a failure shows no use, and fails
        made.pop(key, None)
    made.get("machine", {}).pop("kernel", None)  # the policy's name says it
    return {**head, "policy": policy, "holds": rules, **made}


def programs(document: Document) -> list[Place]:
    """Return the places of all programs: of each process its own, then those of its signal handlers."""
    found: list[Place] = []
    for index, process in enumerate(document.get("process", [])):
        found.append(("process", index, "program"))
        found += [("process", index, "on_signal", signal) for signal in process.get("on_signal", {})]
    return found


def get(document: Document, place: Place) -> Any:
    """Return what stands at a place."""
    found: Any = document
    for step in place:
        found = found[step]
    return found


def put(document: Document, place: Place, value: Any) -> None:
    """Let something else stand at a place."""
    get(document, place[:-1])[place[-1]] = value


def fewer_processes(document: Document) -> Iterator[Document]:
    """Leave out a process, the calls that name it, and those that wait for what only it does; the last one first."""
    for index in reversed(range(len(document["process"]))):
        name = document["process"][index].get("name")
        gone = {
            (place, number)
            for place, number, it in _statements(document)
            if place[1] == index or (it.call in _NAMES_A_PROCESS and name in it.strings[:1])
        }
        made = _without(document, _with_users(document, gone))
        del made["process"][index]
        yield made


def fewer_handlers(document: Document) -> Iterator[Document]:
    """Leave out a signal handler."""
    for place in programs(document):
        if place[2] == "on_signal":
            made = copy.deepcopy(document)
            del get(made, place[:-1])[place[-1]]
            if not get(made, place[:-1]):
                del get(made, place[:-2])["on_signal"]
            yield made


def fewer_statements_at_once(document: Document) -> Iterator[Document]:
    """Leave out runs of statements of a program: halves, then quarters, then eighths of it."""
    for place in programs(document):
        total = len(statements(get(document, place)))
        size = total // 2
        while size > 1:
            for start in range(total - size, -1, -size):
                yield _without(document, {(place, number) for number in range(start, start + size)})
            size //= 2


def fewer_statements_with_users(document: Document) -> Iterator[Document]:
    """Leave out a statement and all that uses what it sets; the last one first."""
    for place, number, _ in reversed(_statements(document)):
        yield _without(document, _with_users(document, {(place, number)}))


def fewer_statements(document: Document) -> Iterator[Document]:
    """Leave out one statement; the last one first."""
    for place, number, _ in reversed(_statements(document)):
        yield _without(document, {(place, number)})


def no_loops(document: Document) -> Iterator[Document]:
    """Do once what a loop does several times."""
    for place, number, it in _statements(document):
        if it.is_loop and it.last > it.first:
            made = copy.deepcopy(document)
            put(made, place, unrolled(get(document, place), number))
            yield made


def fewer_tables(document: Document) -> Iterator[Document]:
    """Leave out a file, a device, a block set, or a key that has a default."""
    for kind in ("file", "device", "pmem"):
        for index in reversed(range(len(document.get(kind, [])))):
            made = copy.deepcopy(document)
            del made[kind][index]
            if not made[kind]:
                del made[kind]
            yield made
    for kind, keys in _OPTIONAL.items():
        tables = document.get(kind, [])
        places: list[Place] = [(kind,)] if isinstance(tables, dict) else [(kind, at) for at in range(len(tables))]
        for place in places:
            for key in keys:
                if key in get(document, place):
                    made = copy.deepcopy(document)
                    del get(made, place)[key]
                    if not made[kind]:
                        del made[kind]
                    yield made


def smaller_everywhere(document: Document) -> Iterator[Document]:
    """Make a number, or an expression, simpler in all places at once: a length is often told more than once."""
    found: dict[str, list[tuple[Place, Term]]] = {}
    for place, term in _terms(document):
        found.setdefault(term.text, []).append((place, term))
    for uses in found.values():
        for other in uses[0][1].simpler:
            if len(uses) > 1:
                yield _with_terms(document, uses, other)


def smaller(document: Document) -> Iterator[Document]:
    """Make a number, or an expression, simpler in one place."""
    for use in _terms(document):
        for other in use[1].simpler:
            yield _with_terms(document, [use], other)


PASSES: tuple[Pass, ...] = (
    fewer_processes,
    fewer_handlers,
    fewer_statements_at_once,
    fewer_statements_with_users,
    fewer_statements,
    no_loops,
    fewer_tables,
    smaller_everywhere,
    smaller,
)
"""All of them, in the order in which they are tried: what takes most away comes first."""


def _statements(document: Document) -> list[tuple[Place, int, Statement]]:
    """Return every statement with its program and its number in it."""
    places = programs(document)
    return [(place, number, it) for place in places for number, it in enumerate(statements(get(document, place)))]


def _with_users(document: Document, gone: set[tuple[Place, int]]) -> set[tuple[Place, int]]:
    """Add to statements those that use a variable they set, or wait for a label that nobody else sets.

    A variable belongs to its process; a forked one has a copy, so all of those count as users.
    """
    every = _statements(document)
    forked = {index for index, process in enumerate(document["process"]) if process.get("start") == "fork"}
    while True:
        chosen = [(place, it) for place, number, it in every if (place, number) in gone]
        left = {it.strings[0] for place, number, it in every if it.sets_label and (place, number) not in gone}
        unset = {it.strings[0] for _, it in chosen if it.sets_label} - left
        more = {
            (place, number)
            for place, number, it in every
            if (it.call == "wait_for" and it.strings[:1] and it.strings[0] in unset)
            or any(its.target in it.names and (place[1] == where[1] or place[1] in forked) for where, its in chosen)
        }
        if more <= gone:
            return gone
        gone = gone | more


def _without(document: Document, gone: set[tuple[Place, int]]) -> Document:
    made = copy.deepcopy(document)
    for place in programs(document):
        if numbers := {number for where, number in gone if where == place}:
            put(made, place, without(get(document, place), numbers))
    return made


def _terms(document: Document) -> Iterator[tuple[Place, Term]]:
    """Yield the terms of all programs and sizes."""
    sizes: list[Place] = [
        (kind, index, key)
        for kind, keys in _SIZES.items()
        for index, table in enumerate(document.get(kind, []))
        for key in keys
        if key in table
    ]
    for place in (*programs(document), *sizes):
        for term in terms(str(get(document, place))):
            yield place, term


def _with_terms(document: Document, uses: list[tuple[Place, Term]], other: str) -> Document:
    made = copy.deepcopy(document)
    for place in dict.fromkeys(place for place, _ in uses):
        text = replaced(str(get(document, place)), {term: other for where, term in uses if where == place})
        put(made, place, int(text) if text.isdigit() else text)
    return made
