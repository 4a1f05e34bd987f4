"""Random programs: leases, breaks, sleepers and shared descriptors, by two to five processes.

Many of them also use signals and children (:mod:`longpin.runner.conform.generate_signals`), threads
(:mod:`longpin.runner.conform.generate_threads`), memory (:mod:`longpin.runner.conform.generate_memory`), or unusual
paths, flags and numbers
(:mod:`longpin.runner.conform.generate_arguments`).

A program depends on nothing but the seed and its index. Left out is what a kernel itself answers in more than one way:
a break time that runs out between two ops (time passes only in sleeps much longer than it), descriptors that are on
their way to a process that dies, two sleepers that would race for one lock, and accesses to pages that are not mapped
or lie beyond the end of a file.
"""

import random
from collections.abc import Iterator
from typing import Any

from longpin.runner.conform.generate_arguments import FOLDER, NOBODY, more_flags, spelled, widened
from longpin.runner.conform.generate_memory import MemoryOps
from longpin.runner.conform.generate_signals import SignalOps
from longpin.runner.conform.generate_storage import generate_storage, wants_storage
from longpin.runner.conform.generate_threads import SHARE, ThreadOps
from longpin.runner.conform.generate_transfers import generate_transfers, wants_transfers
from longpin.runner.conform.generate_uring import generate_rings, wants_rings
from longpin.runner.conform.ops import COORDINATOR, DECLARED_OPS, LEASE_TYPES, OPS, READ
from longpin.runner.conform.program import ConformOp, ConformProgram, make_op, mistakes

LEASE_BREAK_TIME = 1
"""Seconds, in the programs that let it run out."""
EXPIRY = 1300
"""Milliseconds after which it has: a timer of a second may be late by some 40 ms, and the ops between take time too."""

_TIMED = 0.02
"""The share of programs in which a lease-break-time runs out; each takes seconds."""
_SIGNALLED, _SPELLED, _WIDENED = 0.4, 0.4, 0.3
"""The shares of the others that use signals, unusual paths and flags, and numbers that are cut."""
_ON_MEMORY = 0.3
"""The share of programs with ops on memory."""
_THREADED = 0.35
"""The share of those that can use threads and do."""
_SELDOM = ("fallocate", "lseek", "access", "flock", "mmap", "munmap", "read", "dup2")
"""Ops of which there are more, and more with such a number, in programs that use numbers that are cut."""
_ON_PAGES = ("mmap", "munmap", "load", "store")
"""Ops of which there are more in programs that touch pages."""
_LEAST_OPS, _MOST_OPS = 8, 26
_SHRINKING = ("truncate", "ftruncate", "fallocate")
_AFTER_EXPIRY = ("ftruncate", "rename", "open", "setlease", "getlease", "truncate", "link", "unlink", "chmod", "stat")
"""What somebody does who may notice that a lease is overdue, or not."""

_WEIGHTS: dict[str, float] = {
    "open": 28, "setlease": 24, "getlease": 6, "close": 6, "dup": 5, "fork": 3, "sendfd": 6.6, "recvfd": 4,
    "setsig": 5, "setown": 4, "getown": 2, "truncate": 4, "ftruncate": 1, "fallocate": 1.5, "rename": 1.5,
    "unlink": 1, "link": 1, "chmod": 0.7, "chown": 1.5, "utimes": 0.4, "setxattr": 0.3, "stat": 1, "access": 0.7,
    "write": 1, "read": 0.7, "fsync": 0.2, "mmap": 1.5, "reopen": 1.5, "setuid": 2, "setfsuid": 1, "exec": 0.15,
    "exit": 1.5, "interrupt": 5, "kill": 2, "execve": 0.5, "pipe": 0.3, "mkdir": 0.3, "create": 0.5, "sleep": 0,
    "dupfd": 0.8, "getfd": 0.3, "setfd": 0.4, "getfl": 0.4, "setfl": 0.5, "setownex": 1, "getownex": 0.6,
    "dup2": 1, "lseek": 0.6, "flock": 1, "munmap": 1, "load": 1, "store": 1, "nanosleep": 0.4,
}  # fmt: skip
"""How often each op is chosen."""
_CHOSEN_ELSEWHERE = {"getpid", "pause"}
"""Ops that begin every program, or are chosen by ``generate_signals``."""
OF_A_FILE_SYSTEM = {"ficlonerange", "fideduperange", "fiemap"}
"""Ops that not every file system of a machine has."""
_DECLARED = sorted(DECLARED_OPS.keys() - _WEIGHTS.keys() - _CHOSEN_ELSEWHERE - OF_A_FILE_SYSTEM)
"""The other ops that are as their calls declare: of them no more is known."""
_SPRINKLED = 0.05
"""How often one of them comes after another op."""


def generate(seed: int, index: int) -> ConformProgram:
    """Return the program with a number, from 0, in the sequence that a seed stands for."""
    if wants_storage(seed, index):
        return generate_storage(seed, index)
    if wants_transfers(seed, index):
        return generate_transfers(seed, index)
    if wants_rings(seed, index):
        return generate_rings(seed, index)
    # random.Random hashes text with SHA-512: the same everywhere, whatever PYTHONHASHSEED is.
    # The ops that only declarations tell of have choices of their own: programs stay what they are with one more.
    choices = [random.Random(f"longpin conform {what}{seed} {index}") for what in ("", "declared ", "memory ")]
    program = _ProgramWriter(*choices).program(f"random-{seed}-{index}")
    assert not (wrong := mistakes(program.ops)), (program.id, wrong)
    return program


class _ProgramWriter:
    """Writes one program, and keeps in mind roughly what stands."""

    def __init__(self, choice: random.Random, other_choice: random.Random, memory_choice: random.Random) -> None:
        self.choice = choice
        self._memory = MemoryOps(memory_choice, self) if memory_choice.random() < _ON_MEMORY else None
        self._other_choice = other_choice
        self._timed = choice.random() < _TIMED
        self._kills = choice.random() < 0.3
        """Processes may die; then no descriptor is sent."""
        self._maps = choice.random() < 0.3
        """Pages may be touched; then no file gets shorter."""
        self._users = choice.random() < 0.35
        """Processes may give up root; then none starts afresh, since it may not reach the interpreter any more."""
        self._spells = choice.random() < _SPELLED
        self._widens = choice.random() < _WIDENED
        self._unnamed = self._spells and not self._maps and choice.random() < 0.15
        """O_TMPFILE may be used; then no file loses its name, since its number could be given to one without a name."""
        self.processes = list("ABCD"[: choice.choice((2, 2, 3, 3, 4))])
        self.dead: list[str] = []
        self.parents: dict[str, str] = {}
        self.limited: set[str] = set()
        self._fds: dict[str, list[str]] = {name: [] for name in self.processes}
        self._pipes: set[str] = set()
        """Names of descriptors that are ends of pipes."""
        self._writable: set[str] = set()
        """Names of mappings that may be stored to."""
        self._mapped: dict[str, dict[str, set[int]]] = {name: {} for name in self.processes}
        """The pages of each mapping that are there and may be touched, by process and name."""
        self._files = ["f", "f", "f", "g"] if choice.random() < 0.3 else ["f"]
        self._spare = ["k", "h"]
        self._made = 0
        self._forks = 0
        self._leased = ""
        """The descriptor on which the first lease was taken."""
        self._signals = SignalOps(self) if not self._timed and choice.random() < _SIGNALLED else None
        self._kills = self._kills or self._signals is not None
        may = not (self._timed or self._users or (self._signals is not None and not self._signals.may_thread))
        self.threads: dict[str, str] = {}
        self._threads = ThreadOps(self) if may and other_choice.random() < _THREADED else None
        self.may_thread = self._threads is not None

    def program(self, name: str) -> ConformProgram:
        return ConformProgram(name, tuple(self._ops()), pace=0)

    def _ops(self) -> Iterator[ConformOp]:
        for op in self._usual_ops():
            share = 0.6 if op.op in (*_SELDOM, "setown", "setsig") else 0.2
            wide = self._widens and self.choice.random() < share
            # Whether collapse and insert take private copies of pages away is for the file system to say.
            spared = self._memory is not None and op.op == "fallocate"
            yield widened(self.choice, op) if wide and not spared else op
            yield from self._sprinkled()
            if self._memory is not None and self._leased:
                for _ in range(self._memory.choice.choice((1, 1, 2, 3))):
                    yield from self._memory.some()
            if self._threads is not None and self._leased and self._other_choice.random() < SHARE:
                yield from self._threads.some(self._signals.cast if self._signals is not None else [*READ])

    def _usual_ops(self) -> Iterator[ConformOp]:
        choice = self.choice
        # Every process starts first, so that pending orders of starting do not depend on what is deleted later.
        for proc in self.processes:
            yield make_op(proc, "getpid")
        yield make_op(COORDINATOR, "sysctl", lease_break_time=LEASE_BREAK_TIME if self._timed else 45)
        for path in dict.fromkeys(self._files):
            yield make_op(COORDINATOR, "create", path=path)
        if self._spells:
            yield make_op(choice.choice(self.processes), "mkdir", path=FOLDER)
        if self._users and choice.random() < 0.4:
            yield make_op(self.processes[0], "chown", path="f", uid=NOBODY)
            yield make_op(choice.choice(self.processes[1:]), "setuid", uid=NOBODY)
        yield from self._lease()
        left = choice.randint(_LEAST_OPS, _MOST_OPS)
        names = list(_WEIGHTS)
        often = (*(_ON_PAGES if self._maps else ()), *(_SELDOM if self._widens else ()))
        weights = [weight * (4 if name in often else 1) for name, weight in _WEIGHTS.items()]
        sleeps = 2 if self._timed else 0
        signals = choice.randint(5, 16) if self._signals is not None else 0
        if self._signals is not None:
            yield from self._signals.prelude()
        while left + signals > 0:
            if self._signals is not None and choice.random() * (left + signals) < signals:
                signals -= 1
                yield from self._signals.some()
                continue
            left -= 1
            if sleeps and choice.random() < 0.12:
                sleeps -= 1
                yield make_op(COORDINATOR, "sleep", ms=EXPIRY)
                yield from self._op(choice.choice(_AFTER_EXPIRY))
                continue
            yield from self._op(choice.choices(names, weights)[0])
        if sleeps:
            yield make_op(COORDINATOR, "sleep", ms=EXPIRY)
            yield from self._op(choice.choice(_AFTER_EXPIRY))
            yield from self._op("getlease")

    def _lease(self) -> Iterator[ConformOp]:
        """Open, perhaps ask for a signal, take a lease: what most programs begin with."""
        proc = self.choice.choice(self.processes)
        name = self._leased = self.new_descriptor(proc)
        flags = self.choice.choices(("O_RDONLY", "O_RDWR", "O_WRONLY"), (8, 2, 1))[0]
        yield make_op(proc, "open", {"path": "f", "flags": flags, "as": name})
        if self.choice.random() < 0.4:
            yield make_op(proc, "setsig", fd=name, sig=self._lease_signal())
        yield make_op(
            proc, "setlease", fd=name, type="RD" if flags == "O_RDONLY" and self.choice.random() < 0.6 else "WR"
        )

    def _lease_signal(self) -> str:
        """Choose what F_SETSIG asks for."""
        more = self._signals.for_leases if self._signals is not None else []
        return self.choice.choice([*READ, *more])

    def new_descriptor(self, proc: str) -> str:
        """Name a descriptor that a process will have, if the call succeeds."""
        self._made += 1
        name = f"x{self._made}"
        self._fds[proc].append(name)
        return name

    def add_thread(self, name: str, process: str) -> None:
        """Keep in mind that there is a thread: it has the descriptors and the memory of its process."""
        self.threads[name] = process
        self._fds[name], self._mapped[name] = self._fds[process], self._mapped[process]
        self.processes.append(name)

    def descriptor_of(self, proc: str) -> str | None:
        """Choose a descriptor of a process, the first ones more often: they have the leases."""
        held = self._fds[proc]
        return held[min(int(self.choice.expovariate(0.7)), len(held) - 1)] if held else None

    def descriptors(self, proc: str) -> list[str]:
        """Return the names of the descriptors that a process has."""
        return self._fds[proc]

    def fork(self, proc: str) -> Iterator[ConformOp]:
        """Have a process fork."""
        if len(self.processes) > 4 or proc in self.limited:
            return
        self._forks += 1
        child = f"P{self._forks}"
        yield make_op(proc, "fork", {"as": child})
        self._fds[child] = list(self._fds[proc])
        self._mapped[child] = {name: set(pages) for name, pages in self._mapped[proc].items()}
        self.processes.append(child)
        self.parents[child] = self.threads.get(proc, proc)

    def _op(self, op: str) -> Iterator[ConformOp]:
        choice = self.choice
        proc = choice.choice(self.processes)
        if op in ("interrupt", "kill", "create"):
            yield from self._coordinate(op, proc)
            return
        if op in ("exit", "kill") and (not self._kills or len(self._others(proc)) < 1):
            return
        if op in (("exec",) if self._users else ("setuid", "setfsuid")) or (op == "exec" and proc in self.limited):
            return
        if (self._maps and op in _SHRINKING) or (self._unnamed and op in ("unlink", "rename")):
            return
        if op == "fork":
            yield from self.fork(proc)
            return
        if op in ("sendfd", "recvfd"):
            yield from self._pass(op, proc)
            return
        if op in ("munmap", "load", "store"):
            yield from self._on_mapping(op, proc)
            return
        args: dict[str, Any] = {}
        if "fd" in OPS[op].required:
            fd = self._leased if op == "setlease" and self._signals is not None else self.descriptor_of(proc)
            if fd is None or fd not in self._fds[proc]:
                return
            args["fd"] = fd
        elif "path" in OPS[op].required and op != "mkdir":
            args["path"] = self._path(proc)
        args |= self._more(op, proc, args)
        yield make_op(proc, op, args)
        self._after(op, proc, args)
        if op == "mmap" and "as" in args:
            yield from self._on_mapping(choice.choice(("munmap", "load", "store")), proc)

    def _coordinate(self, op: str, proc: str) -> Iterator[ConformOp]:
        if op == "create":
            if self._spare and (path := self._spare.pop()) not in self._files:
                self._files.append(path)
                yield make_op(COORDINATOR, op, path=path)
        elif op == "interrupt":
            yield make_op(COORDINATOR, op, proc=self.threads.get(proc, proc))
        elif self._kills and len(self._others(proc)) > 1:
            self.bury(self.threads.get(proc, proc))
            yield make_op(COORDINATOR, op, proc=self.dead[-1])

    def _others(self, proc: str) -> list[str]:
        """Return the other processes, each without its other threads."""
        own = self.threads.get(proc, proc)
        return [name for name in self.processes if name != own and name not in self.threads]

    def bury(self, proc: str) -> None:
        """Keep in mind that a thread has ended, or a process with all that it has."""
        for thread in [name for name, process in self.threads.items() if process == proc or name == proc]:
            del self.threads[thread]
            self.processes.remove(thread)
            self.dead.append(thread)
        if proc in self.processes:
            self.processes.remove(proc)
            self.dead.append(proc)

    def _pass(self, op: str, proc: str) -> Iterator[ConformOp]:
        """Send a descriptor, and mostly have it taken soon."""
        if self._kills:
            return
        if op == "recvfd":
            if self.choice.random() < 0.3:
                yield make_op(proc, op, {"as": self.new_descriptor(proc)})
            return
        to = self.choice.choice(self.processes)
        fd, to = self.descriptor_of(proc), self.threads.get(to, to)
        if fd is None:
            return
        yield make_op(proc, op, fd=fd, to=to)
        if self.choice.random() < 0.3:
            yield make_op(proc, "close", fd=fd)
        if self.choice.random() < 0.8:
            name = self.new_descriptor(to)
            if fd in self._pipes:
                self._pipes.add(name)
            yield make_op(to, "recvfd", {"as": name})

    def _on_mapping(self, op: str, proc: str) -> Iterator[ConformOp]:
        """Unmap some pages, or touch one that is there."""
        mapped, choice = self._mapped[proc], self.choice
        if not mapped:
            return
        name = choice.choice(sorted(mapped))
        if op != "munmap":
            if mapped[name] and (op == "load" or name in self._writable):
                yield make_op(proc, op, map=name, page=choice.choice(sorted(mapped[name])))
            return
        first, count = choice.choice((-1, 0, 0, 1, 2)), choice.choice((1, 1, 2, 3))
        mapped[name] -= set(range(first, first + count))
        yield make_op(proc, op, map=name, first=first, count=count)

    def _path(self, proc: str) -> str:
        path = self.choice.choice(self._files)
        if self._spells and self.choice.random() < 0.4:
            return spelled(self.choice, path, self._fds[proc])
        return path

    def _more(self, op: str, proc: str, args: dict[str, Any]) -> dict[str, Any]:
        """Choose the arguments beside a descriptor or a path."""
        choice = self.choice
        match op:
            case "open":
                return {"flags": self._flags(), "as": self.new_descriptor(proc)}
            case "reopen":
                return {"flags": self._flags(), "as": self._like(proc, args["fd"])}
            case "dup":
                return {"as": self._like(proc, args["fd"])}
            case "dup2":
                return {"to": choice.randint(3, 12), "as": self._like(proc, args["fd"])}
            case "dupfd":
                least = choice.choices((choice.randint(0, 12), -1, 1024), (8, 0.5, 0.5))[0]
                more = {"cloexec": 1} if choice.random() < 0.4 else {}
                return {"least": least, "as": self._like(proc, args["fd"])} | more
            case "setfd":
                return {"value": choice.choice((0, 1, 1, 2, 3))}
            case "setfl":
                return {"flags": choice.choice(("O_APPEND", "O_NONBLOCK", "O_APPEND|O_RDWR|O_TRUNC", ""))}
            case "setownex":
                types: list[Any] = ["TID", "PID", "PGRP", 3, -1]
                owner = choice.choices((choice.choice(self.processes), "nobody", 0), (10, 1, 1))[0]
                kind = choice.choices(types, (5, 4, 2 if self._signals is None else 0, 0.5, 0.5))[0]
                return {"type": kind, "pid": owner}
            case "pipe":
                ends = {"r": self.new_descriptor(proc), "w": self.new_descriptor(proc)}
                self._pipes |= set(ends.values())
                return ends
            case "read" | "write" if choice.random() < 0.4:
                return {"count": choice.choice((1, 2) if args["fd"] in self._pipes else (0, 2, 100, 5000))}
            case "lseek":
                return {"offset": choice.choice((0, 1, 100, 8192, 10_000))}
            case "flock":
                # With NB: of two sleepers for one lock either could get it.
                return {"how": choice.choice(("SH|NB", "EX|NB", "SH|NB", "UN", "MAND|READ", "NB"))}
            case "setlease":
                kinds: list[Any] = [*LEASE_TYPES, 16, 3]
                return {"type": choice.choices(kinds, (10, 6, 8, 0.2, 0.2))[0]}
            case "setsig":
                return {"sig": self._lease_signal() if choice.random() < 0.8 else "0"}
            case "setown":
                owner = choice.choice(self.processes)
                group = "0" if self._signals is not None else f"-{owner}"
                return {"pid": choice.choices((owner, group, 0), (10, 2, 1))[0]}
            case "truncate" | "ftruncate":
                return {"len": choice.choice((0, 100, 8192, 16384))}
            case "fallocate":
                return {"mode": choice.choice(("ALLOC", "KEEP_SIZE", "PUNCH_HOLE", "ZERO")), "len": 4096}
            case "rename" | "link":
                to = choice.choice(["f", "g", "k", "h"])
                spells = self._spells and choice.random() < 0.4
                return {"to": spelled(choice, to, self._fds[proc]) if spells else to}
            case "chmod":
                return {"mode": choice.choice((0o777, 0o666, 0o600))}
            case "chown" | "setuid" | "setfsuid":
                return {"uid": NOBODY if op != "chown" or choice.random() < 0.7 else 0}
            case "nanosleep":
                return {"seconds": choice.choice((-1, -0.5, -10, 1000, 2000.25))}
            case "mmap":
                return self._mapping(proc)
            case "mkdir":
                return {"path": self._path(proc) if self._spells and choice.random() < 0.6 else "dd"}
            case _:
                return {}

    def _sprinkled(self) -> Iterator[ConformOp]:
        """Yield, sometimes, an op that is as its call declares, with arguments by their kinds."""
        choice = self._other_choice
        if not (_DECLARED and self._leased) or choice.random() >= _SPRINKLED:
            return
        name, proc = choice.choice(_DECLARED), choice.choice(self.processes)
        rule = DECLARED_OPS[name]
        if "fd" in rule.required.values() and not self._fds[proc]:
            return
        numbers = {
            "count": (0, 1, 2, 100, 5000),
            "written": (0, 1, 2, 100, 5000),
            "length": (0, 1, 100, 8192, 10_000),
            "mode": (0o777, 0o666, 0o600),
            "uid": (NOBODY, 0),
            "path": tuple(self._files),
            "fd": tuple(self._fds[proc]),
        }
        args: dict[str, Any] = {key: choice.choice(numbers[kind]) for key, kind in rule.required.items()}
        op = make_op(proc, name, args)
        yield widened(choice, op) if self._widens and choice.random() < 0.5 else op

    def _like(self, proc: str, fd: str) -> str:
        """Name a descriptor of what another one refers to."""
        name = self.new_descriptor(proc)
        if fd in self._pipes:
            self._pipes.add(name)
        return name

    def _mapping(self, proc: str) -> dict[str, Any]:
        """Choose how to map a file: it has two pages, and more where it was written to."""
        choice = self.choice
        args: dict[str, Any] = {"prot": choice.choice("rw")}
        if self._maps and choice.random() < 0.5:
            args["touch"] = 1
        if choice.random() < 0.6:
            self._made += 1
            name = args["as"] = f"m{self._made}"
            args["pages"] = choice.choice((1, 2, 3, 4))
            if args["prot"] == "w":
                self._writable.add(name)
            touched = range(min(2, args["pages"])) if self._maps else ()
            self._mapped[proc][name] = set(touched)
        return args

    def _flags(self) -> str:
        """Choose how a file is opened: breaks of both levels, waiting and not."""
        choice = self.choice
        flags = [choice.choices(("O_RDONLY", "O_WRONLY", "O_RDWR"), (5, 3, 3))[0]]
        flags += ["O_NONBLOCK"] if choice.random() < 0.55 else []
        if choice.random() < 0.1 and not self._maps:
            flags.append("O_TRUNC")
        if choice.random() < 0.04 and not self._maps:
            flags.append("O_CREAT")
        if choice.random() < 0.03:
            flags = ["O_PATH"]
        if self._spells and choice.random() < 0.3:
            flags += more_flags(choice, may_make=not self._maps)
        if self._unnamed and choice.random() < 0.2:
            flags.append("O_TMPFILE")
        if "O_PATH" in flags and "O_NOFOLLOW" in flags:
            flags.remove("O_NOFOLLOW")  # it would open a link itself
        return "|".join(dict.fromkeys(flags))

    def _after(self, op: str, proc: str, args: dict[str, Any]) -> None:
        """Keep in mind what an op changed."""
        match op:
            case "close" if self.choice.random() < 0.7:
                self._fds[proc].remove(args["fd"])
            case "rename" | "link" if args["to"] not in self._files and args["to"] in ("g", "h", "k"):
                self._files.append(args["to"])
                if args["to"] in self._spare:
                    self._spare.remove(args["to"])
            case "exit":
                self.bury(self.threads.get(proc, proc))
            case "exec":
                self._mapped[proc].clear()
                process = self.threads.get(proc, proc)
                for thread in [name for name, its in self.threads.items() if its == process]:
                    self.bury(thread)
            case _:
                pass
