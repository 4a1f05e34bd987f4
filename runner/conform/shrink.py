"""A smaller program that still disagrees.

Delta debugging over the ops (Zeller and Hildebrandt, IEEE TSE 28(2), 2002), then over processes, arguments and names,
again and again until nothing gets simpler. Deviations: candidates are remembered, since passes overlap; a candidate
is tried only if it is simpler by :func:`sort_key`, so that no pass can undo another; and tries and time are bounded.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from longpin.runner.conform.ops import (
    COORDINATOR,
    NEW_FD,
    NEW_MAP,
    process_in,
    rules_for,
    split_wide,
)
from longpin.runner.conform.paths import NO_FD, descriptor
from longpin.runner.conform.program import ConformOp, ConformProgram, mistakes

Ops = tuple[ConformOp, ...]

_SIMPLEST: dict[str, tuple[Any, ...]] = {
    "type": ("RD", "WR"),
    "flags": ("O_RDONLY", "O_WRONLY", "O_RDONLY|O_NONBLOCK", "O_WRONLY|O_NONBLOCK"),
    "sig": ("SIGIO", "SIGUSR1", "SIGTERM"),
    "sigs": ("", "SIGIO"),
    "action": ("SIG_DFL", "SIG_IGN", "SIG_HANDLER"),
    "pid": (0,),
    "to": ("A", "f", 3),
    "path": ("f", "."),
    "count": (1,),
    "status": (0,),
    "first": (0,),
    "page": (0,),
    "pages": (1,),
    "offset": (0,),
    "limit": (0,),
    "how": ("SIG_BLOCK", "SH"),
    "len": (0, 8192),
    "uid": (65534,),
    "mode": (0o666, "ALLOC"),
    "ms": (0,),
    "seconds": (-1, 1000),
    "prot": ("r",),
    "lease_break_time": (45,),
}
"""Values of arguments, simplest first; any other value is more complicated."""


def sort_key(program: ConformProgram) -> tuple[Any, ...]:
    """Order programs: the smaller key is the simpler program.

    1. Fewer ops: each is one more thing to understand.
    2. Fewer processes.
    3. No time that runs out: such a program takes seconds and its answers need a clock to explain.
    4. Simpler arguments, by the table above, flags by their number.
    5. Fewer different names of descriptors and files.
    6. The text, so that there is always one that is simplest.
    """
    ops = program.ops
    arguments = sum(_weight(name, value) for op in ops for name, value in op.args.items())
    names = {value for op in ops for kind, value in _names(op) if kind != "process"}
    text = tuple((len(line), line) for line in map(str, ops))
    return (len(ops), len(program.processes()), program.timed, arguments, len(names), text)


def shrink(
    program: ConformProgram, disagrees: Callable[[ConformProgram], bool], tries: int = 2000, seconds: float = 120.0
) -> ConformProgram:
    """Return the simplest program found that still disagrees; the given one if none is.

    ``disagrees`` is asked at most ``tries`` times, and not any more after ``seconds``. Its exceptions pass through.
    """
    best = program
    asked: set[Ops | str] = set()
    end = time.monotonic() + seconds

    def better(ops: Ops) -> bool:
        """Whether these ops are simpler and still disagree; then they are the best."""
        nonlocal best
        candidate = replace(best, ops=ops, result=None)
        text = str([str(op) for op in ops])
        if text in asked or not ops or sort_key(candidate) >= sort_key(best) or mistakes(ops):
            return False
        if len(asked) >= tries or time.monotonic() > end:
            return False
        asked.add(text)
        if not disagrees(candidate):
            return False
        best = candidate
        return True

    before = None
    while before != best:
        before = best
        _drop_ops(lambda: best.ops, better)
        for one_pass in (_without_a_process, _with_processes_merged, _with_simpler_arguments, _with_plain_names):
            # A pass starts again after a success, since its candidates are made from what is best.
            while any(better(ops) for ops in one_pass(best.ops)):
                pass
    return best


def _drop_ops(current: Callable[[], Ops], better: Callable[[Ops], bool]) -> None:
    """Leave out runs of ops, long ones first; then pairs, since an op and what undoes it must go together."""
    size = max(1, len(current()) // 2)
    while size:
        start = len(current()) - size  # from the end: later ops depend on earlier ones
        while start >= 0:
            ops = current()
            better(ops[:start] + ops[start + size :])
            start = min(start - 1 if size == 1 else start - size, len(current()) - size)
        size //= 2
    if len(current()) <= 16:
        second = len(current()) - 1
        while second > 0:
            for first in range(second - 1, -1, -1):
                ops = current()
                if second < len(ops):
                    better(ops[:first] + ops[first + 1 : second] + ops[second + 1 :])
            second = min(second, len(current())) - 1


def _without_a_process(ops: Ops) -> Iterator[Ops]:
    """Leave out all that one process does and all that is done to it."""
    for name in reversed(ConformProgram("", ops).processes()):
        yield tuple(op for op in ops if ("process", name) not in _names(op))


def _with_processes_merged(ops: Ops) -> Iterator[Ops]:
    """Let one process do what another did."""
    names = ConformProgram("", ops).processes()
    for index in range(len(names) - 1, 0, -1):
        for other in names[:index]:
            yield tuple(_renamed(op, "process", {names[index]: other}) for op in ops)


def _with_simpler_arguments(ops: Ops) -> Iterator[Ops]:
    """Make one argument simpler, or leave out one that may be."""
    for index, op in enumerate(ops):
        for name, value in op.args.items():
            for simpler in _simpler(name, value):
                yield _with(ops, index, dict(op.args) | {name: simpler})
            if name in rules_for(op.proc)[op.op].optional:
                yield _with(ops, index, {key: its for key, its in op.args.items() if key != name})


def _with_plain_names(ops: Ops) -> Iterator[Ops]:
    """Name processes A, B, ... and descriptors a, b, ... in the order of their first use, all at once or one by one."""
    for kind, plain in _PLAIN.items():
        used = list(dict.fromkeys(value for op in ops for its, value in _names(op) if its == kind))
        table = dict(zip(used, plain, strict=False))
        yield tuple(_renamed(op, kind, table) for op in ops)
        for name, short in table.items():
            yield tuple(_renamed(op, kind, {name: short, short: name}) for op in ops)
        for index in range(len(used) - 1, 0, -1):
            if kind != "process":
                yield tuple(_renamed(op, kind, {used[index]: used[index - 1]}) for op in ops)


_PLAIN = {"process": "ABCDEFGHIJKLMNOP", "fd": "abcdefghijklmnop", "map": "mnopqrstuvwxyz", "path": "fghijklmnop"}
"""The plainest names of each kind."""


def _with(ops: Ops, index: int, args: dict[str, Any]) -> Ops:
    return (*ops[:index], replace(ops[index], args=args), *ops[index + 1 :])


def _simpler(name: str, value: Any) -> Iterator[Any]:
    """Yield simpler values of an argument: fewer flags or signals, plain paths and numbers, then the simplest."""
    if isinstance(value, str) and "|" in value:
        parts = value.split("|")
        for part in parts[1:] if name == "flags" else parts:
            yield "|".join(other for other in parts if other != part)
    if isinstance(value, str):
        for wide in (split_wide(value)[0], value.removeprefix("-")):
            if wide != value:
                yield wide
    if name in ("path", "to") and isinstance(value, str):
        yield from _plainer_paths(value)
    for known in _SIMPLEST.get(name, ()):
        if (type(known) is type(value) and known != value) or name == "pid":
            yield known


def _plainer_paths(path: str) -> Iterator[str]:
    """Yield a path with less in it: without its slash at the end, without one of its names."""
    if path.endswith("/"):
        yield path[:-1]
    names = path.split("/")
    if len(names) > 1:
        yield from ("/".join(names[:index] + names[index + 1 :]) for index in range(len(names)))


def _weight(name: str, value: Any) -> int:
    """Return how complicated an argument is."""
    known = _SIMPLEST.get(name, ())
    place = known.index(value) if value in known else len(known)
    more = 0
    if isinstance(value, str):
        more = sum(value.count(sign) for sign in "|/+{@-.")
    return 1 + place + 2 * more


_KIND_OF_NAME = {NEW_FD: "fd", NEW_MAP: "map", "owner": "process", "child": "process", "file": "path"}


def _kinds(op: ConformOp) -> dict[str, str]:
    """Return which arguments hold a name: of a process, a descriptor, a mapping or a file."""
    return {name: _KIND_OF_NAME.get(kind, kind) for name, kind in rules_for(op.proc)[op.op].kinds.items()}


def _names(op: ConformOp) -> Iterator[tuple[str, str]]:
    """Yield the names in an op: whether of a process, a descriptor, a mapping or a path, and the name."""
    if op.proc != COORDINATOR:
        yield "process", op.proc
    for name, kind in _kinds(op).items():
        value = op.args.get(name)
        if kind in _NAMED and isinstance(value, str):
            yield from ((its, one) for its, one, _ in _parts(kind, value))


_NAMED = ("process", "fd", "map", "path")


def _parts(kind: str, value: str) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Yield each name in an argument: what it names, the name, and what stands before and behind it."""
    if kind == "process":
        if (name := process_in(value)) is not None:
            before, _, behind = value.partition(name)
            yield kind, name, (before, behind)
    elif kind == "path" and (fd := descriptor(value)) is not None:
        if fd != NO_FD:
            yield "fd", fd, ("@", value[len(fd) + 1 :])
    elif kind == "path":
        if value and not set(value) & set("./{"):
            yield kind, value, ("", "")
    elif (name := split_wide(value)[0]) != NO_FD:
        yield kind, name, ("", value[len(name) :])


def _renamed(op: ConformOp, kind: str, table: dict[str, str]) -> ConformOp:
    """Return an op with other names of one kind."""

    def other(its: str, value: Any) -> Any:
        if its in _NAMED and isinstance(value, str):
            for found, name, (before, behind) in _parts(its, value):
                if found == kind:
                    return before + table.get(name, name) + behind
        return value

    kinds = _kinds(op)
    args = {name: other(kinds.get(name, ""), value) for name, value in op.args.items()}
    proc = table.get(op.proc, op.proc) if kind == "process" and op.proc != COORDINATOR else op.proc
    return ConformOp(proc, op.op, args)
