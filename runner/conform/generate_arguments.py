"""Unusual arguments for random programs: spellings of paths, flags, numbers with more bits than the kernel takes."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from longpin.runner.conform.ops import (
    COORDINATOR,
    DECLARED_OPS,
    FLOCK_HOW,
    INT_MIN,
    LEASE_TYPES,
    PAGE,
    SIGNALS,
    TASK_SIZE,
)
from longpin.runner.conform.paths import NO_FD
from longpin.runner.conform.program import ConformOp, make_op

NOBODY = 65534
"""A user that is not root."""
FOLDER = "d"
"""The folder of programs that have one."""
_OFF_MAX = (1 << 63) - 1
_WIDE = 1 << 32

_FLAGS = (
    "O_APPEND",
    "O_CLOEXEC",
    "O_CREAT",
    "O_CREAT|O_DIRECTORY",
    "O_CREAT|O_EXCL",
    "O_DIRECTORY",
    "O_NOFOLLOW",
    "O_PATH",
    "O_PATH|O_CREAT|O_TRUNC",
    "O_PATH|O_DIRECTORY",
    "O_WRONLY|O_RDWR",
)
"""Flags of open(2) beside the access mode and O_NONBLOCK."""


def spelled(choice: random.Random, path: str, fds: list[str]) -> str:
    """Return another way to write a path, or a path that is none."""
    shapes: list[Callable[[], str]] = [
        lambda: f"./{path}",
        lambda: f"{path}/",
        lambda: f"{path}/.",
        lambda: f"{FOLDER}/../{path}",
        lambda: f"{path}/../{path}",
        lambda: f".//{path}",
        lambda: FOLDER,
        lambda: f"{FOLDER}/{path}",
        lambda: f"{FOLDER}/",
        lambda: ".",
        lambda: "nowhere",
        lambda: f"nowhere/{path}",
        lambda: f"@{choice.choice(fds)}" if fds else f"@{NO_FD}",
        lambda: f"@{choice.choice(fds)}/" if fds else "",
        lambda: f"@{choice.choice(fds)}/{path}" if fds else "",
        lambda: f"@{NO_FD}",
        lambda: "n{255}",
        lambda: "n{256}",
        lambda: f"(./){{{2047 - len(path) // 2}}}{path}",
        lambda: f"(./){{{2048 - len(path) // 2}}}{path}",
        lambda: "",
    ]
    weights = [3, 3, 2, 3, 2, 2, 4, 5, 2, 1.5, 1, 1, 7, 1, 3, 1, 0.7, 0.5, 0.4, 0.4, 0.4]
    return choice.choices(shapes, weights)[0]()


def more_flags(choice: random.Random, *, may_make: bool) -> list[str]:
    """Return flags to add to those of an open; ``may_make``: a file may be made, or made shorter."""
    flags = choice.choice(_FLAGS).split("|")
    makes = {"O_CREAT", "O_TRUNC"} & set(flags) and "O_PATH" not in flags
    return flags if may_make or not makes else []


def widened(choice: random.Random, op: ConformOp) -> ConformOp:
    """Return an op with an argument that the kernel cuts to what it was, or refuses."""
    args = dict(op.args)
    if op.proc == COORDINATOR:
        return op
    other = choice.choice((_WIDE, -_WIDE, 5 * _WIDE))
    if "fd" in args and choice.random() < 0.3:
        args["fd"] = choice.choice((NO_FD, f"{args['fd']}+2^32"))
        return make_op(op.proc, op.op, args)
    values: dict[str, Callable[[], Any]] = {
        "setlease type": lambda: LEASE_TYPES.get(args["type"], 3) + other,
        "setsig sig": lambda: choice.choice((int(SIGNALS.get(args["sig"], 0)) + other, 65, -1)),
        "kill sig": lambda: choice.choice((int(SIGNALS.get(args["sig"], 0)) + other, 65, -1)),
        "setown pid": lambda: _wide_process(choice, args["pid"]),
        "kill pid": lambda: _wide_process(choice, args["pid"]),
        "waitpid pid": lambda: _wide_process(choice, args["pid"]),
        "sigaction sig": lambda: choice.choice(("SIGKILL", "SIGSTOP", 0, 65, -1)),
        "sigprocmask how": lambda: 3,
        "chown uid": lambda: choice.choice((-1, args["uid"] + other, _WIDE - 1)),
        "setuid uid": lambda: choice.choice((-1, args["uid"] + other)),
        "setfsuid uid": lambda: choice.choice((-1, args["uid"] + other)),
        "chmod mode": lambda: args["mode"] + (1 << choice.choice((16, 20))),
        "mkdir mode": lambda: args.get("mode", 0o777) + (1 << 16),
        "access mode": lambda: choice.choice((0, 4, 5, 6, 7, 8, 15)),
        "truncate len": lambda: choice.choice((-1, -_OFF_MAX - 1)),
        "ftruncate len": lambda: choice.choice((-1, -_OFF_MAX - 1)),
        "read count": lambda: choice.choice(_OF_KINDS["count"]),
        "flock how": lambda: choice.choice((0, 16, 3, 32, 33, 192, _WIDE + FLOCK_HOW["UN"], _WIDE + 6, -1)),
        "mmap pages": lambda: choice.choice((0, TASK_SIZE // PAGE, 1 << 51)),
        "munmap count": lambda: choice.choice((0, TASK_SIZE // PAGE, 1 << 51)),
        "dup2 to": lambda: choice.choice((1024, 2000)),
        "waitpid options": lambda: choice.choice((4, 16, 64)),
    }
    for name, kind in DECLARED_OPS[op.op].kinds.items() if op.op in DECLARED_OPS else ():
        if kind in _OF_KINDS:
            values.setdefault(f"{op.op} {name}", partial(choice.choice, _OF_KINDS[kind]))
    known = [name for name in values if name.startswith(f"{op.op} ")]
    if op.op == "fallocate":
        args |= choice.choice(_RANGES)
    elif known:
        name = choice.choice(known)
        args[name.partition(" ")[2]] = values[name]()
    return make_op(op.proc, op.op, args)


_OF_KINDS: dict[str, tuple[int, ...]] = {
    "length": (-1, -_OFF_MAX - 1),
    "count": (TASK_SIZE, 1 << 62, (1 << 63) + 1, (1 << 64) - 1),
}
"""What the kernel refuses, by the kind of argument."""

_RANGES: tuple[dict[str, Any], ...] = (
    {"offset": _OFF_MAX, "len": 1},
    {"offset": _OFF_MAX - 100, "len": _OFF_MAX},
    {"len": 0},
    {"offset": -1},
    {"len": -1},
    {"mode": "INSERT", "len": PAGE},
    {"mode": "INSERT", "offset": PAGE},
    {"mode": "INSERT", "len": 100},
    {"mode": "INSERT", "offset": _OFF_MAX - PAGE + 1, "len": PAGE},
    {"mode": "INSERT", "offset": PAGE, "len": _OFF_MAX - PAGE + 1},
    {"mode": "COLLAPSE", "len": PAGE},
    {"mode": "COLLAPSE", "offset": PAGE},
)
"""What fallocate(2) refuses, or moves, in a file of a few pages; sizes end at 2^63 - 1."""


def _wide_process(choice: random.Random, value: Any) -> Any:
    if not isinstance(value, str) or value == "0":
        return choice.choice((INT_MIN, INT_MIN + _WIDE))
    return choice.choice((f"{value}+2^32", "nobody", "-nobody", INT_MIN))
