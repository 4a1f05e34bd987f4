"""From lines to what each thread did: calls that signals interrupted are whole again, handlers stand where they ran.

A call whose sleep a signal ended is printed as returned with ERESTARTSYS or the like. Whether it is made again shows
only later: by the value that sigreturn(2) puts back, or by the call itself. Here it is one call, as for the program.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from longpin.actors.constants import SA_RESTART, SIG_DFL, SIG_HANDLER, SIG_IGN
from longpin.actors.process.pending import IGNORED_BY_DEFAULT, STOPS_BY_DEFAULT
from longpin.runner.judge_log.strace_lines import (
    NEVER,
    Logged,
    LoggedCall,
    LoggedEnd,
    LoggedSignal,
    StraceLog,
    calls_in,
)
from longpin.runner.judge_log.strace_values import Struct, Word
from longpin.runner.judge_log.words import number, signal_of

FORKS: Final = frozenset({"fork", "vfork", "clone", "clone3"})
SIGRETURNS: Final = frozenset({"rt_sigreturn", "sigreturn"})
SIGACTIONS: Final = frozenset({"rt_sigaction", "sigaction", "signal"})
EXECS: Final = frozenset({"execve", "execveat"})


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a thread did, in the order in which it did it."""

    kind: Literal["begins", "returns", "takes", "resumes", "ends"]
    what: Logged

    @property
    def line(self) -> int:
        """Where the log shows it."""
        if isinstance(self.what, LoggedCall):
            return self.what.ends if self.kind in ("returns", "resumes") else self.what.begins
        return self.what.line


@dataclass(slots=True)
class LoggedThread:
    """One thread."""

    tid: int
    process: int
    """The number of its process."""
    parent: int = 0
    """The thread that made it; 0: it was there when the log began."""
    born: int = 0
    """The line on which the call that made it begins."""
    entries: list[Logged] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def is_root(self) -> bool:
        """Whether the log does not say where it comes from."""
        return not self.parent


class Dispositions:
    """What signals did in each process, and when that changed."""

    def __init__(self) -> None:
        self._changes: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
        """By process and signal: line, action, flags."""
        self._execs: dict[int, list[int]] = defaultdict(list)
        self._parents: dict[int, tuple[int, int]] = {}
        self.ignored: set[int] = set()
        """The signals that were ignored when the log began, as sigaction(2) told of what was before."""

    def set(self, process: int, line: int, signo: int, action: int, flags: int) -> None:
        """Note that sigaction(2) has succeeded."""
        self._changes[process, signo].append((line, action, flags))

    def executes(self, process: int, line: int) -> None:
        """Note that handlers go, because a program is executed."""
        self._execs[process].append(line)

    def inherits(self, process: int, parent: int, line: int) -> None:
        """Note where a process has its own from."""
        self._parents[process] = parent, line

    def find(self, process: int, signo: int, line: int) -> tuple[int, int] | None:
        """Return the action and the flags before a line; None: the log does not tell."""
        found: tuple[int, int] | None = None
        since = 0
        changes = self._changes.get((process, signo), [])
        if at := bisect_right(changes, (line, -1, -1)):
            since, *rest = changes[at - 1]
            found = rest[0], rest[1]
        elif process in self._parents:
            parent, before = self._parents[process]
            found = self.find(parent, signo, before)
        elif signo in self.ignored:
            found = SIG_IGN, 0
        if any(since < executed < line for executed in self._execs.get(process, ())) and (
            found is None or found[0] == SIG_HANDLER
        ):
            return SIG_DFL, 0
        return found


@dataclass(slots=True)
class LoggedWorld:
    """All threads of a log."""

    threads: dict[int, LoggedThread]
    """By number, in the order of their first lines."""
    dispositions: Dispositions
    leaders: set[int]
    """The processes that become the first of a group of their own."""
    begun_inside: bool
    """The log does not begin with the execve of the program: strace was attached to what ran."""

    def process(self, tid: int) -> int:
        """Return the process of a thread."""
        return self.threads[tid].process


def makes_leader(call: LoggedCall, process: int) -> int:
    """Return the process that a call makes the first of a group; 0: none."""
    if call.failed or not call.result:
        return 0
    if call.name == "setsid":
        return process
    if call.name != "setpgid" or len(call.args) < 2:
        return 0
    pid = number(call.args[0], 0) or process
    return pid if (number(call.args[1], 0) or pid) == pid else 0


def is_thread(call: LoggedCall) -> bool:
    """Return whether a clone makes a thread."""
    return any("CLONE_THREAD" in flags for flags in _flags_of(call))


def _flags_of(call: LoggedCall) -> Iterator[list[str]]:
    for argument in call.args:
        if isinstance(argument, Struct) and isinstance(flags := argument.fields.get("flags"), Word):
            yield flags.parts


def read_threads(log: StraceLog) -> LoggedWorld:
    """Return what each thread did."""
    threads: dict[int, LoggedThread] = {}
    born = {call.value: call for call in calls_in(log.entries) if call.name in FORKS and (call.value or 0) > 0}
    for entry in log.entries:
        if entry.tid not in threads:
            threads[entry.tid] = LoggedThread(entry.tid, entry.tid)
        threads[entry.tid].entries.append(entry)
    for tid, thread in threads.items():
        if (made := born.get(tid)) is not None and made.tid in threads:
            thread.parent, thread.born = made.tid, made.begins
    for thread in threads.values():
        thread.process = _process_of(thread, threads, born)
    dispositions = _dispositions(log, threads, born)
    first = next(calls_in(log.entries), None)
    leaders = {makes_leader(call, threads[call.tid].process) for call in calls_in(log.entries)}
    world = LoggedWorld(threads, dispositions, leaders, begun_inside=first is None or first.name not in EXECS)
    for thread in threads.values():
        thread.events = _Assembler(thread, dispositions).assemble()
    return world


def _process_of(thread: LoggedThread, threads: dict[int, LoggedThread], born: dict[int | None, LoggedCall]) -> int:
    while (made := born.get(thread.tid)) is not None and is_thread(made) and made.tid in threads:
        thread = threads[made.tid]
    return thread.tid


def _dispositions(log: StraceLog, threads: dict[int, LoggedThread], born: dict[int | None, LoggedCall]) -> Dispositions:
    found = Dispositions()
    for tid, thread in threads.items():
        if thread.parent and thread.process == tid:
            found.inherits(tid, threads[thread.parent].process, born[tid].begins)
    for call in calls_in(log.entries):
        process = threads[call.tid].process
        if call.name in SIGACTIONS and not call.errno and len(call.args) > 1:
            if _was_ignored(call) and found.find(process, signal_of(call.args[0]), call.begins) is None:
                found.ignored.add(signal_of(call.args[0]))
            if (action := action_of(call)) is not None:
                found.set(process, call.ends, signal_of(call.args[0]), *action)
        elif call.name in EXECS and call.value == 0:
            found.executes(process, call.ends)
    return found


def _was_ignored(call: LoggedCall) -> bool:
    """Return whether a sigaction tells that a signal was ignored before."""
    before = call.args[2] if len(call.args) > 2 else None
    return isinstance(before, Struct) and before.fields.get("sa_handler") == Word("SIG_IGN")


def action_of(call: LoggedCall) -> tuple[int, int] | None:
    """Return the action and the flags that a sigaction sets; None: it only asks."""
    given = call.args[1]
    if isinstance(given, Struct):
        handler, flags = given.fields.get("sa_handler", Word("SIG_DFL")), given.fields.get("sa_flags", Word("0"))
    else:
        handler, flags = given, Word("SA_RESTART")
    word = handler.word if isinstance(handler, Word) else ""
    if word == "NULL":
        return None
    action = {"SIG_DFL": SIG_DFL, "SIG_IGN": SIG_IGN}.get(word, SIG_HANDLER)
    return action, number(flags)


class _Assembler:
    """Puts the entries of one thread in the order of a program."""

    def __init__(self, thread: LoggedThread, dispositions: Dispositions) -> None:
        self._thread = thread
        self._entries = thread.entries
        self._at = 0
        self._dispositions = dispositions
        self._events: list[Event] = []

    def assemble(self) -> list[Event]:
        while self._at < len(self._entries):
            self._program()
        return self._events

    def _next(self) -> Logged | None:
        return self._entries[self._at] if self._at < len(self._entries) else None

    def _program(self) -> LoggedCall | None:
        """Go on to the end of a handler, and return its sigreturn; None: the thread ends, or the log does."""
        while (entry := self._next()) is not None:
            self._at += 1
            if isinstance(entry, LoggedEnd):
                self._events.append(Event("ends", entry))
            elif isinstance(entry, LoggedSignal):
                self._signal(entry)
            elif entry.name in SIGRETURNS:
                self._events.append(Event("resumes", entry))
                return entry
            else:
                self._call(entry)
        return None

    def _signal(self, signal: LoggedSignal) -> tuple[bool, LoggedCall | None]:
        """Take a signal; return whether a handler ran, and how it returned."""
        signo = signal_of(Word(signal.name))
        following = self._next()
        if isinstance(following, LoggedEnd) and following.signal == signal.name:
            return False, None  # it kills, which the end tells
        known = self._dispositions.find(self._thread.process, signo, signal.line)
        handled = self._returns_later() if known is None else known[0] == SIG_HANDLER
        if handled:
            self._events.append(Event("takes", signal))
            return True, self._program()
        if signo in STOPS_BY_DEFAULT and (known is None or known[0] == SIG_DFL):
            self._events.append(Event("takes", signal))
        return False, None

    def _returns_later(self) -> bool:
        """Return whether a sigreturn follows that belongs to nothing else."""
        depth = 0
        for entry in self._entries[self._at :]:
            if isinstance(entry, LoggedSignal) and signal_of(Word(entry.name)) not in IGNORED_BY_DEFAULT:
                depth += 1
            elif isinstance(entry, LoggedCall) and entry.name in SIGRETURNS:
                if not depth:
                    return True
                depth -= 1
        return False

    def _call(self, call: LoggedCall) -> None:
        """Note a call; go on until it has returned, through whatever interrupts it."""
        begins = len(self._events)
        self._events.append(Event("begins", call))
        whole = call
        while whole.interrupted:
            taken = len(self._events)
            again, flags = self._interruptions()
            if not again:
                whole = replace(whole, result="-1", errno="EINTR")
                self._events.insert(taken, Event("returns", whole))
                self._events[begins] = Event("begins", replace(whole, begins=call.begins))
                return
            following = self._next()
            if not isinstance(following, LoggedCall) or following.name not in (call.name, "restart_syscall"):
                # Its thread ended, or the log did, in a handler or before the call was made again.
                if isinstance(following, LoggedCall):
                    self._events.append(Event("returns", whole))  # which cannot be: it would have been made again
                    return
                whole = replace(whole, result="", errno="", ends=NEVER)
                if not flags and any(event.kind == "takes" for event in self._events[taken:]):
                    whole = replace(whole, result="-1", errno="EINTR", ends=call.ends)
                    self._events.insert(taken, Event("returns", whole))
                self._events[begins] = Event("begins", replace(whole, begins=call.begins))
                return
            self._at += 1
            args = call.args if following.name == "restart_syscall" else following.args
            whole = replace(following, name=call.name, args=args, begins=call.begins, since=call.since)
        self._events[begins] = Event("begins", whole)
        if whole.ends != NEVER and whole.result != "?":
            self._events.append(Event("returns", whole))

    def _interruptions(self) -> tuple[bool, int]:
        """Take the signals that ended a sleep; return whether the call is made again, and the first one's SA_RESTART.

        The handler of the signal that is taken first runs last, and goes back to the call.
        """
        again, flags, first = True, SA_RESTART, True
        while isinstance(signal := self._next(), LoggedSignal):
            self._at += 1
            known = self._dispositions.find(self._thread.process, signal_of(Word(signal.name)), signal.line)
            handled, back = self._signal(signal)
            if handled and first:
                first = False
                flags = 0 if known is None else known[1] & SA_RESTART
                again = back is None or back.errno != "EINTR"
                break
        return again, flags
