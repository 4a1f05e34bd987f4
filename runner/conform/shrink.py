"""A smaller program that still disagrees.

Delta debugging over the ops (Zeller and Hildebrandt, IEEE TSE 28(2), 2002), then over processes, arguments and names,
again and again until nothing gets simpler. Deviations: candidates are remembered, since passes overlap; a candidate
is tried only if it is simpler by :func:`sort_key`, so that no pass can undo another; and tries and time are bounded.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from longpin.runner.conform.ops import COORDINATOR, OPS
from longpin.runner.conform.program import Op, Program, mistakes

Ops = tuple[Op, ...]

_SIMPLEST: dict[str, tuple[Any, ...]] = {
    "type": ("RD", "WR"),
    "flags": ("O_RDONLY", "O_WRONLY", "O_RDONLY|O_NONBLOCK", "O_WRONLY|O_NONBLOCK"),
    "sig": ("SIGIO", "SIGUSR1"),
    "pid": (0,),
    "len": (0, 8192),
    "uid": (65534,),
    "mode": (0o666, "ALLOC"),
    "ms": (),
    "prot": ("r",),
    "lease_break_time": (45,),
}
"""Values of arguments, simplest first; any other value is more complicated."""


def sort_key(program: Program) -> tuple[Any, ...]:
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
    program: Program, disagrees: Callable[[Program], bool], tries: int = 2000, seconds: float = 120.0
) -> Program:
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
    for name in reversed(Program("", ops).processes()):
        yield tuple(op for op in ops if ("process", name) not in _names(op))


def _with_processes_merged(ops: Ops) -> Iterator[Ops]:
    """Let one process do what another did."""
    names = Program("", ops).processes()
    for index in range(len(names) - 1, 0, -1):
        for other in names[:index]:
            yield tuple(_renamed(op, "process", {names[index]: other}) for op in ops)


def _with_simpler_arguments(ops: Ops) -> Iterator[Ops]:
    """Make one argument simpler, or leave out one that may be."""
    for index, op in enumerate(ops):
        for name, value in op.args.items():
            for simpler in _simpler(name, value):
                yield _with(ops, index, dict(op.args) | {name: simpler})
            if op.op in OPS and name in OPS[op.op].optional:
                yield _with(ops, index, {key: its for key, its in op.args.items() if key != name})


def _with_plain_names(ops: Ops) -> Iterator[Ops]:
    """Name processes A, B, ... and descriptors a, b, ... in the order of their first use, all at once or one by one."""
    for kind, plain in (("process", "ABCDEFGHIJKLMNOP"), ("fd", "abcdefghijklmnop"), ("path", "fghijklmnop")):
        used = list(dict.fromkeys(value for op in ops for its, value in _names(op) if its == kind))
        table = dict(zip(used, plain, strict=False))
        yield tuple(_renamed(op, kind, table) for op in ops)
        for name, short in table.items():
            yield tuple(_renamed(op, kind, {name: short, short: name}) for op in ops)
        for index in range(len(used) - 1, 0, -1):
            if kind != "process":
                yield tuple(_renamed(op, kind, {used[index]: used[index - 1]}) for op in ops)


def _with(ops: Ops, index: int, args: dict[str, Any]) -> Ops:
    return (*ops[:index], replace(ops[index], args=args), *ops[index + 1 :])


def _simpler(name: str, value: Any) -> Iterator[Any]:
    """Yield simpler values of an argument: fewer flags, then the simplest there are."""
    if name == "flags" and "|" in value:
        flags = value.split("|")
        for flag in flags[1:]:
            yield "|".join(other for other in flags if other != flag)
    for known in _SIMPLEST.get(name, ()):
        if (type(known) is type(value) and known != value) or name == "pid":
            yield known


def _weight(name: str, value: Any) -> int:
    """Return how complicated an argument is."""
    known = _SIMPLEST.get(name, ())
    place = known.index(value) if value in known else len(known)
    return 1 + place + (2 * value.count("|") if name == "flags" else 0)


def _kinds(op: Op) -> dict[str, str]:
    rule = OPS[op.op]
    return {
        name: {"name": "fd", "owner": "process"}.get(kind, kind)
        for name, kind in (rule.required | rule.optional).items()
    }


def _names(op: Op) -> Iterator[tuple[str, str]]:
    """Yield the names in an op: whether of a process, a descriptor or a path, and the name."""
    if op.proc != COORDINATOR:
        yield "process", op.proc
    for name, kind in _kinds(op).items():
        value = op.args.get(name)
        if kind in ("process", "fd", "path") and isinstance(value, str) and value not in ("0", "."):
            yield kind, value.removeprefix("-")


def _renamed(op: Op, kind: str, table: dict[str, str]) -> Op:
    """Return an op with other names of one kind."""

    def other(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        sign = "-" if value.startswith("-") else ""
        return sign + table.get(value.removeprefix("-"), value.removeprefix("-"))

    kinds = _kinds(op)
    args = {name: other(value) if kinds.get(name) == kind else value for name, value in op.args.items()}
    proc = other(op.proc) if kind == "process" and op.proc != COORDINATOR else op.proc
    return Op(proc, op.op, args)
