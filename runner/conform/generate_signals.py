"""Signals in random programs: who sends what to whom, what it does there, and what becomes of children.

Left out is what a kernel answers in more than one way, beside what :mod:`longpin.runner.conform.generate` leaves out:

* two signals for one process in one op, whose handlers run in the order in which it finds them: so there is one lease,
  which signals no group, and nothing that ends, stops or continues children is sent to a group where SIGCHLD can have
  a handler, or somebody waits for children;
* a signal for a group that interrupts one member and ends another whose end would let the first one go on: so a signal
  that has a handler is not sent to a group;
* a process that is continued and then ends at once, of which the parent is told once or twice: so nothing that could
  end it is sent to a process that may be stopped, but for SIGKILL;
* how many signals a user has queued: RLIMIT_SIGPENDING is 0 or more than enough.
"""

import random
from collections.abc import Iterator
from typing import Any, Protocol

from longpin.runner.conform.program import ConformOp, make_op

_POOL = (
    "SIGHUP",
    "SIGTERM",
    "SIGUSR1",
    "SIGUSR2",
    "SIGURG",
    "SIGWINCH",
    "SIG32",
    "SIG33",
    "SIGRT0",
    "SIGRT1",
    "SIGCHLD",
    "SIGCONT",
)
_STOPS = ("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU")
_HARMLESS = ("SIGURG", "SIGWINCH", "SIGCHLD", "SIGCONT", 0)
"""Signals that by default end nobody and stop nobody."""
_LEASE_SIGNALS = ("SIGIO", "SIGRT1", "SIGUSR1")

_WEIGHTS: dict[str, float] = {
    "kill": 11, "sigaction": 5, "sigprocmask": 5, "sigtimedwait": 1.6, "sigwaitinfo": 1, "sigsuspend": 0.8,
    "ppoll": 0.8, "pause": 0.6, "nanosleep": 0.7, "waitpid": 3,
    "fork": 1.5, "exit": 1.2, "setrlimit": 0.5, "setown": 1, "interrupt": 1,
    "volley": 3.5, "restart": 2, "child": 1.2,
}  # fmt: skip
"""How often each op, or sequence of ops, is chosen."""
_LIMITS = {"RLIMIT_SIGPENDING": (0, 0, 1000), "RLIMIT_NOFILE": (3, 4, 5, 6, 8, 1000, 1024)}
_WAITS = ("sigwaitinfo", "sigsuspend", "ppoll", "pause", "nanosleep")


class SignalSurroundings(Protocol):
    """What the writer of the program knows."""

    choice: random.Random
    processes: list[str]
    """Those that were not seen to end."""
    dead: list[str]
    parents: dict[str, str]
    """The parent of each forked process."""
    may_thread: bool
    """There may be threads."""
    threads: dict[str, str]
    """The process of each thread that is not its first."""
    limited: set[str]
    """Whose RLIMIT_NOFILE was set."""

    def fork(self, proc: str) -> Iterator[ConformOp]:
        """Have a process fork."""

    def new_descriptor(self, proc: str) -> str:
        """Name a descriptor that a process will have."""

    def bury(self, proc: str) -> None:
        """Keep in mind that a process has ended."""


class SignalOps:
    """Chooses the ops on signals and children of one program."""

    def __init__(self, around: SignalSurroundings) -> None:
        self._around = around
        choice = self._choice = around.choice
        leases_too = choice.random() < 0.3
        """The program uses the signals of leases itself."""
        self._groups = choice.random() < 0.3
        """Signals that do something may be sent to groups."""
        self._stops = not leases_too and choice.random() < 0.45
        cast = choice.sample(_POOL, choice.choice((1, 2, 2, 3, 4)))
        if leases_too:
            cast.append(choice.choice(_LEASE_SIGNALS))
        if self._stops:
            cast += [choice.choice(_STOPS), "SIGCONT"]
        if choice.random() < 0.5:
            cast.append("SIGCHLD")
        self.cast = list(dict.fromkeys(cast))
        """The signals of the program."""
        self.may_thread = not (self._stops or {"SIG32", "SIG33"} & set(self.cast))
        """The program may have threads."""
        self._handled = {name for name in self.cast if name != "SIGSTOP" and choice.random() < 0.6}
        """Those that may have a handler."""
        if self._stops or self._groups:
            self._handled.discard("SIGCHLD")
        self.for_leases = [name for name in self.cast if not self._stops]
        """What a lease may tell its owner by."""
        self._limits: dict[tuple[str, str], int] = {}
        """What each process has set its limits to."""
        self._stopped: set[str] = set()
        """Those that may be stopped."""

    def prelude(self) -> Iterator[ConformOp]:
        """Set up most processes, so that not every signal kills."""
        for proc in self._around.processes:
            for name in self.cast:
                if self._choice.random() < 0.4:
                    yield self._action(proc, name)
                if self._choice.random() < 0.3:
                    yield make_op(proc, "sigprocmask", how="SIG_BLOCK", sigs=name)
        if "SIGCHLD" in self.cast or self._choice.random() < 0.4:
            proc = self._choice.choice(self._around.processes)
            yield self._action(proc, "SIGCHLD")
            yield from self._around.fork(proc)
        if self._choice.random() < 0.7:
            sequence = self._choice.choice((self._volley, self._volley, self._restart, self._child))
            yield from sequence(self._choice.choice(self._around.processes))

    def some(self) -> Iterator[ConformOp]:
        """Yield an op, or a few that go together."""
        choice, around = self._choice, self._around
        proc = choice.choice(around.processes)
        op = choice.choices(list(_WEIGHTS), [*_WEIGHTS.values()])[0]
        match op:
            case "kill":
                yield from self._kill(proc)
            case "sigaction":
                yield self._action(proc, choice.choice(self.cast))
            case "sigprocmask":
                how = choice.choices(("SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK"), (5, 6, 2))[0]
                yield make_op(proc, op, how=how, sigs=self._some_signals())
            case "sigtimedwait":
                args = {"seconds": choice.choice((0, 1000, 1000.5, -1))} if choice.random() < 0.4 else {}
                if args.get("seconds", 0) > 0:
                    yield from self._wait(proc, op, args)
                else:
                    yield make_op(proc, op, args)
            case _ if op in _WAITS:
                yield from self._wait(proc, op)
            case "waitpid":
                yield from self._waitpid(proc)
            case "fork" if len(around.processes) < 5 and not (self._groups and around.parents):
                yield from around.fork(proc)
            case "exit" if len(set(around.processes) - set(around.threads)) > 2:
                around.bury(around.threads.get(proc, proc))
                yield make_op(proc, op, status=choice.choice((0, 1, 3, 255, 256, -1, 700)))
            case "setrlimit":
                yield from self._limit(proc)
            case "volley":
                yield from self._volley(proc)
            case "restart":
                yield from self._restart(proc)
            case "child":
                yield from self._child(proc)
            case "setown":
                # Of a pipe, which has no lease and so signals nobody.
                ends = around.new_descriptor(proc), around.new_descriptor(proc)
                yield make_op(proc, "pipe", r=ends[0], w=ends[1])
                yield make_op(proc, op, fd=ends[0], pid=self._target(proc))
                yield make_op(proc, "getown", fd=ends[0])
            case "interrupt":
                yield make_op("*", op, proc=around.threads.get(proc, proc))
            case _:
                pass

    def _some_signals(self) -> str:
        names = [name for name in self.cast if self._choice.random() < 0.5]
        return "|".join(names or [self._choice.choice(self.cast)])

    def _action(self, proc: str, name: str) -> ConformOp:
        choice = self._choice
        actions = ["SIG_DFL", "SIG_IGN", "SIG_HANDLER"]
        weights = [2.0, 2.0, 4.0 if name in self._handled else 0.0]
        args: dict[str, Any] = {"sig": name, "action": choice.choices(actions, weights)[0]}
        if name == "SIGSTOP":
            args["sig"] = "SIGTSTP" if "SIGTSTP" in self.cast else "SIGURG"  # it cannot be set: mostly another
            args["action"] = choice.choice(("SIG_DFL", "SIG_IGN"))
        flags = []
        if args["action"] == "SIG_HANDLER" and choice.random() < 0.45:
            flags.append("SA_RESTART")
        if name == "SIGCHLD" and choice.random() < 0.3:
            flags.append(choice.choice(("SA_NOCLDSTOP", "SA_NOCLDWAIT")))
        return make_op(proc, "sigaction", args | ({"flags": "|".join(flags)} if flags else {}))

    # Sending.

    def _target(self, proc: str) -> Any:
        """Choose to whom: somebody, oneself, somebody who is no more, a group, nobody."""
        around, choice = self._around, self._choice
        others = [name for name in around.processes if name != proc] or around.processes
        somebody, gone = choice.choice(others), choice.choice(around.dead or ["nobody"])
        child = choice.choice(list(around.parents) or others)
        targets = (somebody, proc, gone, f"-{somebody}", f"-{child}", f"-{gone}", 0, "nobody")
        return choice.choices(targets, (11, 2, 2, 1, 0.7, 0.4, 0.5, 0.3))[0]

    def _kill(self, proc: str) -> Iterator[ConformOp]:
        target, signals = self._target(proc), [*self.cast, *self.cast, 0]
        if self._choice.random() < 0.06:
            signals.append("SIGKILL")
        is_group = target == 0 or str(target).startswith("-")
        if is_group:
            allowed = [name for name in signals if self._may_go_to_group(name)]
        else:
            allowed = [name for name in signals if not self._may_end(name) or target not in self._stopped]
            allowed += [name for name in signals if name == "SIGKILL"]
        if not allowed:
            return
        name = self._choice.choice(allowed)
        self._note(name, set(self._around.processes) if is_group else {str(target)})
        yield make_op(proc, "kill", pid=target, sig=name)
        if self._stopped and self._choice.random() < 0.45:
            yield from self._continue(proc)

    def _continue(self, proc: str) -> Iterator[ConformOp]:
        """Have somebody go on who may be stopped; mostly by somebody who can."""
        stopped = self._choice.choice(sorted(self._stopped))
        self._note("SIGCONT", {stopped})
        able = [name for name in self._around.processes if name not in self._stopped] or [proc]
        yield make_op(self._choice.choice(able), "kill", pid=stopped, sig="SIGCONT")

    def _may_go_to_group(self, name: Any) -> bool:
        """Whether all that happens to the members of a group then happens in one way."""
        if name in ("SIGURG", "SIGWINCH", 0) and name not in self._handled:
            return True
        return self._groups and name not in self._handled and not (self._stopped and self._may_end(name))

    @staticmethod
    def _may_end(name: Any) -> bool:
        return name not in (*_HARMLESS, *_STOPS)

    def _note(self, name: Any, targets: set[str]) -> None:
        if name in _STOPS:
            self._stopped |= targets & {*self._around.processes}
        elif name == "SIGCONT":
            self._stopped -= targets

    def _volley(self, proc: str) -> Iterator[ConformOp]:
        """Block signals, have several sent, and then let them in, throw them away, or take them."""
        choice = self._choice
        others = [name for name in self._around.processes if name != proc]
        names = [name for name in self.cast if name not in _STOPS]
        if not names or not others or proc in self._stopped:
            return
        names = choice.sample(names, min(len(names), choice.choice((1, 2, 2, 3))))
        for name in names:
            if name in self._handled and choice.random() < 0.7:
                yield make_op(proc, "sigaction", sig=name, action="SIG_HANDLER")
        yield make_op(proc, "sigprocmask", how="SIG_BLOCK", sigs="|".join(names))
        for name in choice.sample([*names, choice.choice(names)], len(names) + 1):
            yield make_op(choice.choice(others), "kill", pid=proc, sig=name)
        match choice.choice(("let in", "let in", "let in", "ignored", "taken", "suspended")):
            case "let in":
                how = choice.choice((("SIG_UNBLOCK", "|".join(names)), ("SIG_SETMASK", "")))
                yield make_op(proc, "sigprocmask", how=how[0], sigs=how[1])
            case "ignored":
                for action in choice.choice((("SIG_IGN",), ("SIG_DFL",), ("SIG_IGN", "SIG_DFL"))):
                    yield make_op(proc, "sigaction", sig=names[0], action=action)
            case "taken":
                yield make_op(proc, "sigtimedwait")
            case _:
                yield make_op(proc, choice.choice(("sigsuspend", "ppoll")), sigs="")

    def _restart(self, proc: str) -> Iterator[ConformOp]:
        """Interrupt a call that waits, by a signal with a handler."""
        choice = self._choice
        others = [name for name in self._around.processes if name != proc]
        names = [name for name in self.cast if name in self._handled and name not in _STOPS]
        if not names or not others or proc in self._stopped:
            return
        name = choice.choice(names)
        flags = {"flags": "SA_RESTART"} if choice.random() < 0.7 else {}
        yield make_op(proc, "sigaction", {"sig": name, "action": "SIG_HANDLER"} | flags)
        yield make_op(proc, "sigprocmask", how="SIG_UNBLOCK", sigs=name)
        match choice.choice(("open", "open", "waitpid", "nanosleep", "pause")):
            case "open":
                fd = self._around.new_descriptor(proc)
                yield make_op(proc, "open", {"path": "f", "flags": "O_RDWR", "as": fd})
            case "waitpid" if not self._groups and not self._around.threads:
                yield make_op(proc, "waitpid", pid=-1)
            case "nanosleep":
                yield make_op(proc, "nanosleep", seconds=1000)
            case _:
                yield make_op(proc, "pause")
        yield make_op(choice.choice(others), "kill", pid=proc, sig=name)

    def _child(self, proc: str) -> Iterator[ConformOp]:
        """Have a child end, stop or go on, and the parent look."""
        choice, around = self._choice, self._around
        if self._groups or proc in self._stopped or len(around.processes) > 4 or proc in around.limited:
            return
        action = choice.choice(("SIG_DFL", "SIG_DFL", "SIG_HANDLER" if "SIGCHLD" in self._handled else "SIG_DFL"))
        yield make_op(proc, "sigaction", sig="SIGCHLD", action=action)
        if choice.random() < 0.6:
            yield make_op(proc, "sigprocmask", how="SIG_BLOCK", sigs="SIGCHLD")
        yield from around.fork(proc)
        child = around.processes[-1]
        ends = choice.random() < 0.6
        if ends and choice.random() < 0.5:
            yield make_op(child, "exit", status=choice.choice((0, 1, 255)))
        elif ends:
            yield make_op(proc, "kill", pid=child, sig="SIGKILL")
        else:
            yield make_op(proc, "kill", pid=child, sig="SIGSTOP")
            if choice.random() < 0.6:
                yield make_op(proc, "sigtimedwait")
            yield make_op(proc, "kill", pid=child, sig="SIGCONT")
        if ends:
            around.bury(child)
        for op in choice.sample(("sigtimedwait", "waitpid", "kill", "setown"), 2):
            match op:
                case "sigtimedwait":
                    yield make_op(proc, op)
                case "waitpid":
                    yield make_op(proc, op, pid=choice.choice((child, -1)), options="WNOHANG|WUNTRACED|WCONTINUED")
                case "kill":
                    yield make_op(proc, op, pid=child, sig=0)
                case _:
                    ends_of_pipe = around.new_descriptor(proc), around.new_descriptor(proc)
                    yield make_op(proc, "pipe", r=ends_of_pipe[0], w=ends_of_pipe[1])
                    yield make_op(proc, op, fd=ends_of_pipe[0], pid=child)
                    yield make_op(proc, "getown", fd=ends_of_pipe[0])

    # Waiting.

    def _wait(self, proc: str, op: str, given: dict[str, Any] | None = None) -> Iterator[ConformOp]:
        """Wait for a signal, and mostly have one sent."""
        args: dict[str, Any] = dict(given or {})
        if op in ("sigsuspend", "ppoll"):
            args["sigs"] = self._some_signals() if self._choice.random() < 0.5 else ""
        if op == "ppoll" and self._choice.random() < 0.6:
            args |= self._choice.choice(({"ms": 0}, {"ms": 0}, {"seconds": 2000}, {"seconds": -0.5}))
        if op == "nanosleep":
            args["seconds"] = self._choice.choice((1000, 1000.5, -0.25))
        yield make_op(proc, op, args)
        if self._choice.random() < 0.75:
            others = [name for name in self._around.processes if name != proc]
            allowed = [name for name in self.cast if not self._may_end(name) or proc not in self._stopped]
            if others and allowed:
                name = self._choice.choice(allowed)
                self._note(name, {proc})
                yield make_op(self._choice.choice(others), "kill", pid=proc, sig=name)

    def _waitpid(self, proc: str) -> Iterator[ConformOp]:
        choice, parents = self._choice, self._around.parents
        child = choice.choice(list(parents) or ["nobody"])
        if parents and choice.random() < 0.7:
            proc = parents[child] if parents[child] in self._around.processes else proc
        pid = choice.choices((child, -1, 0, f"-{proc}", f"-{child}", proc), (6, 4, 1, 1, 0.3, 0.2))[0]
        options = [name for name in ("WUNTRACED", "WCONTINUED") if choice.random() < (0.5 if self._stops else 0.1)]
        if self._groups or choice.random() < 0.55 or proc in (*self._around.threads, *self._around.threads.values()):
            options.append("WNOHANG")
        yield make_op(proc, "waitpid", {"pid": pid} | ({"options": "|".join(options)} if options else {}))

    def _limit(self, proc: str) -> Iterator[ConformOp]:
        resource = self._choice.choices(("RLIMIT_SIGPENDING", "RLIMIT_NOFILE"), (6, 4))[0]
        if resource == "RLIMIT_NOFILE" and self._around.may_thread:
            return
        if resource == "RLIMIT_NOFILE":
            self._around.limited.add(proc)
        limit, who = self._choice.choice(_LIMITS[resource]), proc
        while who:  # root may not raise a limit everywhere
            limit = min(limit, self._limits.get((who, resource), limit))
            who = self._around.parents.get(who, "")
        self._limits[proc, resource] = limit
        yield make_op(proc, "setrlimit", resource=resource, limit=limit)
