"""The lines of a log that ``strace -f -ttt -T -yy -e signal=all -o LOG`` wrote.

A call that others did something during stands on two lines, ``open(... <unfinished ...>`` and ``<... open resumed>``;
here it is put together again, and knows both. The order of the lines is the order in which strace saw processes stop:
a call takes effect after the line on which it begins and before the one on which it has returned.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from longpin.runner.judge_log.problems import LogError
from longpin.runner.judge_log.strace_values import DESCRIBED, Described, Struct, Value, ValueReader, described

NEVER: Final = 1 << 60
"""The line on which a call returns that has not returned when the log ends."""

MOST_MISTAKES: Final = 20

MOST_DESCRIPTORS: Final = 1 << 20
"""How many descriptors a process may have [man proc(5): fs.nr_open]."""


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One system call."""

    tid: int
    name: str
    args: tuple[Value, ...]
    begins: int
    """The line, from 1."""
    ends: int
    """The line on which it has returned; :data:`NEVER`: it has not."""
    since: float
    """Seconds."""
    until: float
    result: str = ""
    """What it returned, as printed; ``?`` where that is not known; empty: it has not returned."""
    errno: str = ""
    """The name of its error, or ERESTARTSYS and so on: a signal interrupted it."""
    note: str = ""
    """What is printed in parentheses behind the result."""
    text: str = ""
    """As printed, without time stamps and without what is abbreviated of lines."""

    @property
    def value(self) -> int | None:
        """What it returned, as a number; None: that is not known."""
        if not self.result or self.result == "?":
            return None
        return self.made.number if self.made is not None else int(self.result, 0)

    @property
    def made(self) -> Described | None:
        """The descriptor it returned."""
        return described(self.result) if "<" in self.result else None

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended its sleep, and it is not settled yet whether it is made again."""
        return self.errno.startswith("ERESTART")

    @property
    def failed(self) -> bool:
        """Whether it returned an error."""
        return bool(self.errno) and not self.interrupted


@dataclass(frozen=True, slots=True)
class LoggedSignal:
    """``--- SIGIO {...} ---``: a signal is taken."""

    tid: int
    name: str
    info: Struct
    line: int
    at: float


@dataclass(frozen=True, slots=True)
class LoggedEnd:
    """``+++ exited with 0 +++``, ``+++ killed by SIGKILL +++``."""

    tid: int
    line: int
    at: float
    status: int = 0
    signal: str = ""
    """What killed it."""
    superseded: bool = False
    """Another thread of its process executed a program."""


Logged = LoggedCall | LoggedSignal | LoggedEnd


@dataclass(slots=True)
class StraceLog:
    """A whole log."""

    name: str
    """Of the file."""
    lines: list[str]
    entries: list[Logged]
    """By the lines on which they begin."""
    torn: set[int] = field(default_factory=set)
    """Threads of which the log has the end of a call, but not its beginning: strace was attached to them."""
    times: dict[int, float] = field(default_factory=dict)
    """The time of each line, in seconds."""

    def time_of(self, line: int) -> float:
        """Return the time of a line; what is before the first is before all, what is behind the last after it."""
        return self.times.get(line, 0.0 if line < len(self.lines) else float("inf"))


_HEAD = re.compile(r"(?:\[pid +)?(?P<tid>\d{1,10})?\]? *(?P<time>\d{9,11}\.\d{3,9}) (?P<rest>.*)", re.DOTALL)
_UNFINISHED = re.compile(
    r"(?P<call>\w+|\?+)\((?P<args>.*?)\s*<(?:unfinished|detached) \.\.\.>(?P<rest>\) += \?)?", re.DOTALL
)
_RESUMED = re.compile(r"<\.\.\. (?P<call>\w+|\?+) resumed>(?P<rest>.*)", re.DOTALL)
_CALL = re.compile(r"(?P<call>\w+)\((?P<rest>.*)", re.DOTALL)
_SIGNAL = re.compile(r"--- (?P<name>\w+) (?P<info>\{.*\}) ---")
_EXITED = re.compile(r"\+\+\+ exited with (?P<status>\d{1,3}) \+\+\+")
_KILLED = re.compile(r"\+\+\+ killed by (?P<name>\w+)(?: \(core dumped\))? \+\+\+")
_SUPERSEDED = re.compile(r"\+\+\+ superseded by execve in pid \d+ \+\+\+")
_OTHER = re.compile(
    r"\s*<detached \.\.\.>|--- stopped by \w+ ---|\[ Process PID=\d+ runs in .* mode\. \]|strace: .*|\d+ resuming\.\.\."
)
_RESULT = re.compile(
    rf"\s*= (?P<result>{DESCRIBED}|-?0x[0-9a-f]{{1,16}}(?!\w)|-?\d{{1,20}}(?!\w)|\?)"
    r"(?: (?P<errno>E[A-Z0-9_]+))?(?P<note>.*?)(?: <(?P<took>\d+\.\d+)>)?\s*",
    re.DOTALL,
)


def read_strace(name: str, text: str) -> StraceLog:
    """Read a log.

    Raises:
        LogError: a line is not strace's, or the log lacks what the options give; one line of text for each mistake.

    """
    reader = _LogReader(name, text.splitlines())
    return reader.read()


@dataclass(slots=True)
class _Open:
    """A call that has not returned."""

    name: str
    args: str
    line: int
    time: float


class _LogReader:
    def __init__(self, name: str, lines: list[str]) -> None:
        self._name = name
        self._lines = lines
        self._open: dict[int, _Open] = {}
        self._log = StraceLog(name, lines, [])
        self._ends: set[int] = set()
        self._latest, self._last = 0.0, 0

    def read(self) -> StraceLog:
        wrong: list[str] = []
        for number, line in enumerate(self._lines, 1):
            if not line.strip():
                continue
            try:
                self._log.entries += self._line(number, line)
            except LogError as error:
                wrong.append(f"{self._name}:{number}: {error}")
                if len(wrong) >= MOST_MISTAKES:
                    wrong.append(f"{self._name}: the rest was not read")
                    break
        if wrong:
            raise LogError("\n".join(wrong))
        last = max(
            (entry.at if not isinstance(entry, LoggedCall) else entry.until for entry in self._log.entries), default=0.0
        )
        self._log.entries += [self._cut(tid, call, last) for tid, call in self._open.items()]
        if not self._log.entries:
            raise LogError(f"{self._name}: expected a log of strace -f -ttt -T -yy -e signal=all, found nothing")
        self._log.entries.sort(key=_begins)
        return self._log

    def _line(self, number: int, line: str) -> Iterator[Logged]:
        head = _HEAD.fullmatch(line)
        if head is None:
            if line.startswith("strace: ") or _OTHER.fullmatch(line):
                return
            raise LogError(f"expected a process, a time in seconds (strace -f -ttt) and a call, found {_shown(line)}")
        tid, time, rest = int(head["tid"] or 0), float(head["time"]), head["rest"]
        if time < self._latest:
            raise LogError(f"expected a time not before that of line {self._last}, found {head['time']}")
        self._latest, self._last = time, number
        self._log.times[number] = time
        if tid in self._ends:
            self._ends.discard(tid)  # its number is another's now
        if (found := _RESUMED.fullmatch(rest)) is not None:
            yield from self._resumed(tid, number, time, found)
        elif (found := _UNFINISHED.fullmatch(rest)) is not None:
            self._open[tid] = _Open(found["call"], found["args"], number, time)
        elif (found := _SIGNAL.fullmatch(rest)) is not None:
            info = ValueReader(found["info"]).value()
            assert isinstance(info, Struct)
            yield LoggedSignal(tid, found["name"], info, number, time)
        elif (found := _EXITED.fullmatch(rest)) is not None:
            yield from self._ended(LoggedEnd(tid, number, time, status=int(found["status"])))
        elif (found := _KILLED.fullmatch(rest)) is not None:
            yield from self._ended(LoggedEnd(tid, number, time, signal=found["name"]))
        elif _SUPERSEDED.fullmatch(rest):
            yield from self._ended(LoggedEnd(tid, number, time, superseded=True))
        elif (found := _CALL.fullmatch(rest)) is not None:
            yield self._call(tid, found["call"], found["rest"], (number, number), (time, time))
        elif not _OTHER.fullmatch(rest):
            raise LogError(f"expected a call, a signal or the end of a process, found {_shown(rest)}")

    def _resumed(self, tid: int, number: int, time: float, found: re.Match[str]) -> Iterator[LoggedCall]:
        begun = self._open.pop(tid, None)
        if begun is None or (begun.name != found["call"] and "?" not in found["call"] + begun.name):
            if begun is None:
                self._log.torn.add(tid)
                return
            raise LogError(f"expected the end of {begun.name}, which began in line {begun.line}, found {found['call']}")
        if "?" in begun.name:
            self._log.torn.add(tid)
            return
        yield self._call(tid, begun.name, begun.args + found["rest"], (begun.line, number), (begun.time, time))

    def _ended(self, end: LoggedEnd) -> Iterator[Logged]:
        if (begun := self._open.pop(end.tid, None)) is not None:
            yield self._cut(end.tid, begun, end.at)
        self._ends.add(end.tid)
        yield end

    @staticmethod
    def _cut(tid: int, begun: _Open, until: float) -> LoggedCall:
        args, _ = ValueReader(begun.args).arguments()
        return LoggedCall(
            tid, begun.name, args, begun.line, NEVER, begun.time, until, text=f"{begun.name}({begun.args}"
        )

    def _call(self, tid: int, name: str, text: str, lines: tuple[int, int], times: tuple[float, float]) -> LoggedCall:
        reader = ValueReader(text)
        args, closed = reader.arguments()
        if not closed:
            raise LogError(f"expected ) behind the arguments of {name}, found the end of the line")
        rest = reader.rest
        result = _RESULT.fullmatch(rest)
        if result is None:
            raise LogError(f"expected = and what {name} returned, found {_shown(rest.strip())}")
        if "<" in result["result"] and described(result["result"]).number >= MOST_DESCRIPTORS:
            raise LogError(f"expected a descriptor below {MOST_DESCRIPTORS}, found {_shown(result['result'])}")
        since, until = times
        if result["took"] is not None:
            until = max(until, since + float(result["took"])) if lines[0] == lines[1] else until
        shown = f"{name}({text[: len(text) - len(rest)]} = {result['result']} {result['errno'] or ''}".rstrip()
        note = result["note"].strip().removeprefix("(").removesuffix(")")
        return LoggedCall(tid, name, args, *lines, since, until, result["result"], result["errno"] or "", note, shown)


def _begins(entry: Logged) -> int:
    return entry.begins if isinstance(entry, LoggedCall) else entry.line


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def calls_in(entries: Iterable[Logged]) -> Iterator[LoggedCall]:
    """Yield the calls among entries."""
    return (entry for entry in entries if isinstance(entry, LoggedCall))
