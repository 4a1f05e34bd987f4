"""Random programs: leases, breaks, sleepers and shared descriptors, by two to five processes.

A program depends on nothing but the seed and its index. Left out is what a kernel itself answers in more than one way:
a break time that runs out between two ops (time passes only in sleeps much longer than it), descriptors that are on
their way to a process that dies, two sleepers that would race for one lock, and stores beyond the end of a file.
"""

import random
from collections.abc import Iterator
from typing import Any

from longpin.runner.conform.ops import COORDINATOR, LEASE_TYPES, READ
from longpin.runner.conform.program import Op, Program, make_op

NOBODY = 65534
LEASE_BREAK_TIME = 1
"""Seconds, in the programs that let it run out."""
EXPIRY = 1300
"""Milliseconds after which it has: a timer of a second may be late by some 40 ms, and the ops between take time too."""

_TIMED = 0.015
"""The share of programs in which a lease-break-time runs out; each takes seconds."""
_LEAST_OPS, _MOST_OPS = 8, 26
_SHRINKING = ("truncate", "ftruncate", "fallocate")

_WEIGHTS: dict[str, float] = {
    "open": 28, "setlease": 24, "getlease": 6, "close": 6, "dup": 5, "fork": 3, "sendfd": 4, "recvfd": 4,
    "setsig": 5, "setown": 4, "getown": 2, "truncate": 4, "ftruncate": 1, "fallocate": 1, "rename": 1.5,
    "unlink": 1, "link": 1, "chmod": 0.7, "chown": 1.5, "utimes": 0.4, "setxattr": 0.3, "stat": 1, "access": 0.4,
    "write": 1, "read": 0.7, "fsync": 0.2, "mmap": 0.7, "reopen": 1.5, "setuid": 2, "setfsuid": 1, "exec": 0.15,
    "exit": 1.5, "interrupt": 5, "kill": 2, "execve": 0.5, "pipe": 0.3, "mkdir": 0.3, "create": 0.5, "sleep": 0,
}  # fmt: skip
"""How often each op is chosen."""


def generate(seed: int, index: int) -> Program:
    """Return the program with a number, from 0, in the sequence that a seed stands for."""
    # random.Random hashes text with SHA-512: the same everywhere, whatever PYTHONHASHSEED is.
    return _Writer(random.Random(f"longpin conform {seed} {index}")).program(f"random-{seed}-{index}")


class _Writer:
    """Writes one program, and keeps in mind roughly what stands."""

    def __init__(self, choice: random.Random) -> None:
        self._choice = choice
        self._timed = choice.random() < _TIMED
        self._kills = choice.random() < 0.3
        """Processes may die; then no descriptor is sent."""
        self._maps = choice.random() < 0.3
        """Pages may be touched; then no file gets shorter."""
        self._users = choice.random() < 0.35
        """Processes may give up root; then none starts afresh, since it may not reach the interpreter any more."""
        self._processes = list("ABCD"[: choice.choice((2, 2, 3, 3, 4))])
        self._fds: dict[str, list[str]] = {name: [] for name in self._processes}
        self._files = ["f", "f", "f", "g"] if choice.random() < 0.3 else ["f"]
        self._spare = ["k", "h"]
        self._made = 0
        self._forks = 0

    def program(self, name: str) -> Program:
        return Program(name, tuple(self._ops()), pace=0)

    def _ops(self) -> Iterator[Op]:
        choice = self._choice
        # Every process starts first, so that pending orders of starting do not depend on what is deleted later.
        for proc in self._processes:
            yield make_op(proc, "getpid")
        yield make_op(COORDINATOR, "sysctl", lease_break_time=LEASE_BREAK_TIME if self._timed else 45)
        for path in dict.fromkeys(self._files):
            yield make_op(COORDINATOR, "create", path=path)
        if self._users and choice.random() < 0.4:
            yield make_op(self._processes[0], "chown", path="f", uid=NOBODY)
            yield make_op(choice.choice(self._processes[1:]), "setuid", uid=NOBODY)
        yield from self._lease()
        left = choice.randint(_LEAST_OPS, _MOST_OPS)
        names = list(_WEIGHTS)
        weights = [*_WEIGHTS.values()]
        sleeps = 2 if self._timed else 0
        while left > 0:
            left -= 1
            if sleeps and choice.random() < 0.12:
                sleeps -= 1
                yield make_op(COORDINATOR, "sleep", ms=EXPIRY)
                continue
            yield from self._op(choice.choices(names, weights)[0])
        if sleeps:
            yield make_op(COORDINATOR, "sleep", ms=EXPIRY)
            yield from self._op("getlease")

    def _lease(self) -> Iterator[Op]:
        """Open, perhaps ask for a signal, take a lease: what most programs begin with."""
        proc = self._choice.choice(self._processes)
        name = self._new(proc)
        flags = self._choice.choices(("O_RDONLY", "O_RDWR", "O_WRONLY"), (8, 2, 1))[0]
        yield make_op(proc, "open", {"path": "f", "flags": flags, "as": name})
        if self._choice.random() < 0.4:
            yield make_op(proc, "setsig", fd=name, sig=self._choice.choice(READ))
        yield make_op(
            proc, "setlease", fd=name, type="RD" if flags == "O_RDONLY" and self._choice.random() < 0.6 else "WR"
        )

    def _new(self, proc: str) -> str:
        """Name a descriptor that a process will have, if the call succeeds."""
        self._made += 1
        name = f"x{self._made}"
        self._fds[proc].append(name)
        return name

    def _fd(self, proc: str) -> str | None:
        """Choose a descriptor of a process, the first ones more often: they have the leases."""
        held = self._fds[proc]
        return held[min(int(self._choice.expovariate(0.7)), len(held) - 1)] if held else None

    def _op(self, op: str) -> Iterator[Op]:
        choice = self._choice
        proc = choice.choice(self._processes)
        if op in ("interrupt", "kill", "create"):
            yield from self._coordinate(op, proc)
            return
        if op in ("exit", "kill") and (not self._kills or len(self._processes) < 2):
            return
        if op in (("exec",) if self._users else ("setuid", "setfsuid")):
            return
        if (self._maps and op in _SHRINKING) or (op == "fork" and len(self._processes) > 4):
            return
        if op in ("sendfd", "recvfd"):
            yield from self._pass(op, proc)
            return
        args: dict[str, Any] = {}
        if op in _ON_DESCRIPTORS:
            fd = self._fd(proc)
            if fd is None:
                return
            args["fd"] = fd
        elif op in _ON_PATHS:
            args["path"] = self._path()
        args |= self._more(op, proc)
        yield make_op(proc, op, args)
        self._after(op, proc, args)

    def _coordinate(self, op: str, proc: str) -> Iterator[Op]:
        if op == "create":
            if self._spare and (path := self._spare.pop()) not in self._files:
                self._files.append(path)
                yield make_op(COORDINATOR, op, path=path)
        elif op == "interrupt":
            yield make_op(COORDINATOR, op, proc=proc)
        elif self._kills and len(self._processes) > 2:
            self._processes.remove(proc)
            yield make_op(COORDINATOR, op, proc=proc)

    def _pass(self, op: str, proc: str) -> Iterator[Op]:
        """Send a descriptor, and mostly have it taken soon."""
        if self._kills:
            return
        if op == "recvfd":
            if self._choice.random() < 0.3:
                yield make_op(proc, op, {"as": self._new(proc)})
            return
        fd, to = self._fd(proc), self._choice.choice(self._processes)
        if fd is None:
            return
        yield make_op(proc, op, fd=fd, to=to)
        if self._choice.random() < 0.3:
            yield make_op(proc, "close", fd=fd)
        if self._choice.random() < 0.8:
            yield make_op(to, "recvfd", {"as": self._new(to)})

    def _path(self) -> str:
        return self._choice.choice(self._files)

    def _more(self, op: str, proc: str) -> dict[str, Any]:
        """Choose the arguments beside a descriptor or a path."""
        choice = self._choice
        match op:
            case "open":
                return {"flags": self._flags(), "as": self._new(proc)}
            case "reopen":
                return {"flags": self._flags(), "as": self._new(proc)}
            case "dup":
                return {"as": self._new(proc)}
            case "pipe":
                return {"r": self._new(proc), "w": self._new(proc)}
            case "setlease":
                kinds: list[Any] = [*LEASE_TYPES, 16, 3]
                return {"type": choice.choices(kinds, (10, 6, 8, 0.2, 0.2))[0]}
            case "setsig":
                return {"sig": choice.choice([*READ, "0"])}
            case "setown":
                owner = choice.choice(self._processes)
                return {"pid": choice.choices((owner, f"-{owner}", 0), (10, 2, 1))[0]}
            case "truncate" | "ftruncate":
                return {"len": choice.choice((0, 100, 8192, 16384))}
            case "fallocate":
                return {"mode": choice.choice(("ALLOC", "KEEP_SIZE", "PUNCH_HOLE", "ZERO")), "len": 4096}
            case "rename" | "link":
                return {"to": choice.choice(["f", "g", "k", "h"])}
            case "chmod":
                return {"mode": choice.choice((0o777, 0o666, 0o600))}
            case "chown" | "setuid" | "setfsuid":
                return {"uid": NOBODY if op != "chown" or choice.random() < 0.7 else 0}
            case "mmap":
                return {"prot": choice.choice("rw")} | ({"touch": 1} if self._maps and choice.random() < 0.5 else {})
            case "mkdir":
                return {"path": "dd"}
            case "fork":
                self._forks += 1
                return {"as": f"P{self._forks}"}
            case _:
                return {}

    def _flags(self) -> str:
        """Choose how a file is opened: breaks of both levels, waiting and not."""
        choice = self._choice
        flags = [choice.choices(("O_RDONLY", "O_WRONLY", "O_RDWR"), (5, 3, 3))[0]]
        flags += ["O_NONBLOCK"] if choice.random() < 0.55 else []
        if choice.random() < 0.1 and not self._maps:
            flags.append("O_TRUNC")
        if choice.random() < 0.04 and not self._maps:
            flags.append("O_CREAT")
        if choice.random() < 0.03:
            flags = ["O_PATH"]
        return "|".join(flags)

    def _after(self, op: str, proc: str, args: dict[str, Any]) -> None:
        """Keep in mind what an op changed."""
        match op:
            case "close" if self._choice.random() < 0.7:
                self._fds[proc].remove(args["fd"])
            case "fork":
                child = args["as"]
                self._fds[child] = list(self._fds[proc])
                self._processes.append(child)
            case "rename" | "link" if args["to"] not in self._files:
                self._files.append(args["to"])
                if args["to"] in self._spare:
                    self._spare.remove(args["to"])
            case "exit":
                self._processes.remove(proc)
            case _:
                pass


_ON_DESCRIPTORS = frozenset(
    [
        "reopen",
        "close",
        "dup",
        "mmap",
        "fsync",
        "read",
        "write",
        "ftruncate",
        "fallocate",
        "setlease",
        "getlease",
        "setsig",
        "setown",
        "getown",
    ]
)
_ON_PATHS = frozenset(
    ["open", "truncate", "unlink", "rename", "link", "chmod", "chown", "utimes", "setxattr", "stat", "access", "execve"]
)
