"""Random scenarios that race: two or three processes, a file or two, leases, opens, signals with handlers, descriptors.

A scenario depends on nothing but the seed and its index, and is small: exploring each of its schedules takes seconds at
most. Nearly every one has a lease that somebody breaks, for that is where the kernel wakes, signals and restarts.
"""

import itertools
import math
import random
from dataclasses import dataclass, field
from typing import Any

from longpin.actors.syscalls import SYSCALLS
from longpin.config.writer import write_scenario

SIGNALS = ("SIGIO", "SIGUSR1", "SIGUSR2", "SIGRTMIN")
"""Those that have handlers; the last one queues."""

_CALLS = {2: (3, 6), 3: (2, 4)}
"""How many calls a process makes at least and at most, by the number of processes: more have too many schedules."""
_CHILD = "child"

_WEIGHTS: dict[str, float] = {
    "open": 14, "truncate": 4, "dup": 3, "close": 5, "getlease": 5, "setlease": 4, "setsig": 1.5, "setown": 1.5,
    "kill": 7, "sigprocmask": 3, "sigsuspend": 2, "sigtimedwait": 1, "send_fd": 4, "getpid": 3, "access": 3, "stat": 1,
    "ftruncate": 1, "pause": 0.7, "exit": 0.7, "fork": 5, "chmod": 0.7,
}  # fmt: skip
"""How often a program does each thing beside its beginning."""

_NEEDS = {
    "getlease": "fcntl", "setlease": "fcntl", "setsig": "fcntl", "setown": "fcntl",
}  # fmt: skip
"""The call that a thing is done with, where it has another name."""


_TOUCHES = {"open": 2.0, "truncate": 2.5, "ftruncate": 2.0, "close": 1.0, "fcntl": 1.0, "chmod": 1.0, "send_fd": 0.7,
            "recv_fd": 1.2, "stat": 0.5, "access": 0.3, "dup": 0.3}  # fmt: skip
"""How often a call meets those of other processes, roughly: an open does so again when its descriptor is closed."""
_MOST_ORDERS = 4.0
"""The natural logarithm of the number of orders of those meetings that a scenario may have."""


def generate(seed: int, index: int) -> str:
    """Return the text of the scenario with a number, from 0, in the sequence that a seed stands for."""
    for attempt in itertools.count():
        # random.Random hashes text with SHA-512: the same everywhere, whatever PYTHONHASHSEED is.
        writer = _Writer(random.Random(f"longpin conform --races {seed} {index} {attempt}"))
        text = writer.scenario(f"random-{seed}-{index}")
        if writer.orders() <= _MOST_ORDERS:
            return text
    raise AssertionError("unreachable")


@dataclass(slots=True)
class _Process:
    """A process while it is written."""

    name: str
    lines: list[str] = field(default_factory=list)
    fds: list[str] = field(default_factory=list)
    """Variables that hold descriptors, unless a call failed."""
    handlers: dict[str, list[str]] = field(default_factory=dict)
    calls: int = 0
    """How many it is to make."""


class _Writer:
    """Writes one scenario."""

    def __init__(self, choice: random.Random) -> None:
        self._choice = choice
        names = ["p", "q", "r"][: 2 if choice.random() < 0.55 else 3]
        self._processes = [_Process(name) for name in names]
        self._files = ["/f", "/g"] if choice.random() < 0.2 else ["/f"]
        self._child: _Process | None = None
        self._label = choice.random() < (0.3 if len(names) == 2 else 0.7)
        """The others wait until the first process holds its lease."""
        self._made = 0
        self._received: set[str] = set()
        """Processes that take a descriptor they are sent."""

    def scenario(self, name: str) -> str:
        for process in self._processes:
            process.calls = self._choice.randint(*_CALLS[len(self._processes)])
        holder = self._processes[0]
        self._hold(holder)
        if self._choice.random() < 0.15:
            self._hold(self._processes[1])
        if self._label:
            holder.lines.append('label("ready")')
            for process in self._processes[1:]:
                process.lines.insert(0, 'wait_for("ready")')
        self._break(self._processes[-1])
        for process in self._processes:
            stays = process is holder and self._choice.random() < 0.25
            while len(process.lines) < process.calls - stays:
                self._act(process)
            if stays:
                process.lines.append("pause()")
        if self._child is not None:
            for _ in range(self._choice.randint(1, 2)):
                self._act(self._child)
        written = [*self._processes, *([self._child] if self._child is not None else [])]
        document: dict[str, Any] = {
            "name": name,
            "policy": "P0",
            "file": [{"path": path, "size": "2 * PAGE"} for path in self._files],
            "process": [self._table(process) for process in written],
        }
        return write_scenario(document)

    def orders(self) -> float:
        """Return how many orders its calls have, roughly: the natural logarithm of the number."""
        counts = [self._touches(process) for process in (*self._processes, self._child) if process is not None]
        return math.lgamma(sum(counts) + 1) - sum(math.lgamma(count + 1) for count in counts)

    def _touches(self, process: _Process) -> float:
        lines = process.lines
        held = 0
        if (ready := 'label("ready")') in lines:
            # The others wait for what comes before; only descriptors that are closed later matter.
            before = lines[: lines.index(ready)]
            held = sum("open(" in line for line in before)
            lines = lines[len(before) :]
        handlers = [line for handler in process.handlers.values() for line in handler]
        return held + sum(map(_weight, lines)) + 0.7 * sum(map(_weight, handlers))

    def _table(self, process: _Process) -> dict[str, Any]:
        table: dict[str, Any] = {"name": process.name}
        if process is self._child:
            table["start"] = "fork"
        table["program"] = "".join(f"{line}\n" for line in process.lines)
        if process.handlers:
            handlers = {signal: "".join(f"{line}\n" for line in lines) for signal, lines in process.handlers.items()}
            table["on_signal"] = handlers
        return table

    def _path(self) -> str:
        return self._choice.choice(self._files)

    def _new(self, process: _Process) -> str:
        """Name a variable for a descriptor."""
        self._made += 1
        name = f"{'abcdefghijklmnopqrstuvwxyz'[self._made - 1]}" if self._made <= 26 else f"x{self._made}"
        process.fds.append(name)
        return name

    def _hold(self, process: _Process) -> None:
        """Take a lease, mostly with a handler for its break."""
        choice = self._choice
        mode, kind = choice.choices(
            [("O_RDONLY", "F_RDLCK"), ("O_RDONLY", "F_WRLCK"), ("O_RDWR", "F_WRLCK")], (6, 3, 2)
        )[0]
        fd = self._new(process)
        process.lines.append(f'{fd} = open("/f", {mode})')
        signal = "SIGIO"
        if choice.random() < 0.35:
            signal = choice.choice(SIGNALS)
            process.lines.append(f"fcntl({fd}, F_SETSIG, {signal})")
        if choice.random() < 0.1:
            process.lines.append(f"fcntl({fd}, F_SETOWN, {self._owner()})")
        process.lines.append(f"fcntl({fd}, F_SETLEASE, {kind})")
        if choice.random() < 0.85:
            self._handle(process, signal, fd)

    def _handle(self, process: _Process, signal: str, fd: str | None = None) -> None:
        """Give a process a handler, some with SA_RESTART."""
        if signal in process.handlers:
            return
        choice = self._choice
        process.handlers[signal] = [self._answer(fd) for _ in range(choice.choice((1, 1, 1, 2)))]
        if choice.random() < 0.3:
            process.lines.insert(0, f"sigaction({signal}, SIG_HANDLER, SA_RESTART)")

    def _answer(self, fd: str | None) -> str:
        """Write a call of a handler."""
        choice = self._choice
        calls, weights = ["getpid()", 'access("/f")', 'stat("/f")'], [2.0, 2.0, 1.0]
        if fd is not None:
            calls += [f"fcntl({fd}, F_SETLEASE, F_UNLCK)", f"fcntl({fd}, F_SETLEASE, F_RDLCK)", f"close({fd})"]
            calls += [f"fcntl({fd}, F_GETLEASE)", "fcntl(si_fd, F_SETLEASE, F_UNLCK)"]
            weights += [8, 2, 3, 2, 1]
        return choice.choices(calls, weights)[0]

    def _break(self, process: _Process) -> None:
        """Write a call that breaks leases."""
        if self._choice.random() < 0.2:
            process.lines.append('truncate("/f", 0)')
        else:
            process.lines.append(f'{self._new(process)} = open("/f", {self._flags()})')

    def _flags(self) -> str:
        choice = self._choice
        flags = [choice.choices(("O_RDONLY", "O_WRONLY", "O_RDWR"), (3, 5, 3))[0]]
        flags += ["O_NONBLOCK"] if choice.random() < 0.4 else []
        flags += ["O_TRUNC"] if choice.random() < 0.06 else []
        return " | ".join(flags)

    def _owner(self) -> str:
        numbers = [str(100 + n) for n in range(len(self._processes))]
        return self._choice.choice([*numbers, *(f"0 - {number}" for number in numbers), "0"])

    def _act(self, process: _Process) -> None:
        """Write one more call, if there is something to do it with."""
        choice = self._choice
        what = choice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if _NEEDS.get(what, what) not in SYSCALLS:
            return  # the model does not have it
        if what in ("fork", "send_fd", "kill"):
            self._meet(what, process)
            return
        fd = choice.choice(process.fds) if process.fds else None
        if what in ("dup", "close", "getlease", "setlease", "setsig", "setown", "ftruncate") and fd is None:
            return
        signal = choice.choice(SIGNALS)
        match what:
            case "open":
                line = f'{self._new(process)} = open("{self._path()}", {self._flags()})'
            case "truncate":
                line = f'truncate("{self._path()}", {choice.choice((0, 8192))})'
            case "ftruncate":
                line = f"ftruncate({fd}, 4096)"
            case "dup":
                line = f"{self._new(process)} = dup({fd})"
            case "close":
                line = f"close({fd})"
            case "getlease":
                line = f"fcntl({fd}, F_GETLEASE)"
            case "setlease":
                line = f"fcntl({fd}, F_SETLEASE, {choice.choice(('F_RDLCK', 'F_WRLCK', 'F_UNLCK'))})"
            case "setsig":
                line = f"fcntl({fd}, F_SETSIG, {signal})"
            case "setown":
                line = f"fcntl({fd}, F_SETOWN, {self._owner()})"
            case "sigprocmask":
                line = f"sigprocmask({choice.choice(('SIG_BLOCK', 'SIG_UNBLOCK'))}, {signal})"
            case "sigsuspend":
                line = f"sigsuspend({choice.choice(('', signal))})"
            case "sigtimedwait" | "getpid" | "pause":
                line = f"{what}()"
            case "access" | "stat":
                line = f'{what}("{self._path()}")'
            case "chmod":
                line = f'chmod("{self._path()}", 0o600)'
            case _:
                line = f"exit({choice.randint(0, 3)})"
        process.lines.append(line)

    def _meet(self, what: str, process: _Process) -> None:
        """Write a call that concerns another process."""
        choice = self._choice
        if what == "fork":
            if self._child is None and len(self._processes) == 2:
                self._child = _Process(_CHILD, fds=list(process.fds))
                process.lines.append(f'fork("{_CHILD}")')
                if choice.random() < 0.4 and "waitpid" in SYSCALLS:
                    process.lines.append("waitpid(0 - 1, 0)")
        elif what == "send_fd":
            peer = choice.choice(self._processes)
            if process.fds and peer is not process and peer.name not in self._received:
                self._received.add(peer.name)
                process.lines.append(f'send_fd("{peer.name}", {choice.choice(process.fds)})')
                flags = "MSG_DONTWAIT" if choice.random() < 0.4 else ""
                peer.lines.append(f"{self._new(peer)} = recv_fd({flags})")
        else:
            peer = choice.choice(self._processes)
            signal = choice.choice(SIGNALS)
            if choice.random() < 0.9:
                self._handle(peer, signal, peer.fds[0] if peer.fds else None)
            process.lines.append(f'kill("{peer.name}", {signal})')


def _weight(line: str) -> float:
    """Return how often a line meets calls of other processes."""
    call = line.partition("(")[0].rpartition(" ")[2]
    return 0.3 if "F_SETSIG" in line or "F_SETOWN" in line else _TOUCHES.get(call, 0.0)
