"""From what the threads of a log did to what threads of the model must do."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from longpin.actors.constants import SIG_IGN
from longpin.actors.process.program import Name
from longpin.runner.judge_log.calling import (
    O_PATH,
    STANDARD,
    Beyond,
    Calling,
    LeftOut,
    LoggedProcess,
    ModelCall,
    Modelled,
    op,
)
from longpin.runner.judge_log.calls import translate
from longpin.runner.judge_log.inherited import inherited
from longpin.runner.judge_log.outsiders import outsiders, taken
from longpin.runner.judge_log.passing import Passing
from longpin.runner.judge_log.script import Begins, Ends, HandlerFlags, Resumes, Returns
from longpin.runner.judge_log.strace_lines import LoggedCall, LoggedEnd, LoggedSignal, StraceLog
from longpin.runner.judge_log.strace_values import Described, Word
from longpin.runner.judge_log.surroundings import LogFiles, read_surroundings
from longpin.runner.judge_log.threads import EXECS, FORKS, Event, LoggedThread, is_thread, read_threads
from longpin.runner.judge_log.translated import LoggedImage, Translated
from longpin.runner.judge_log.words import number, signal_of


def translate_log(log: StraceLog) -> Translated:
    """Return what a log says in calls of the model."""
    return _Translator(log).translate()


class _Translator:
    def __init__(self, log: StraceLog) -> None:
        self._log = log
        self._world = read_threads(log)
        self._surroundings = read_surroundings(log, self._world)
        self._out = Translated(log, self._world, self._surroundings, {}, [])
        self._processes: dict[int, LoggedProcess] = {}
        self._current: dict[int, LoggedImage] = {}
        """What each thread runs."""
        self._handlers: dict[int, dict[int, HandlerFlags]] = defaultdict(dict)
        """Those of each process."""
        self._executed: Counter[int] = Counter()
        self._pending: dict[int, list[ModelCall]] = defaultdict(list)
        """The call of the model that each thread is in."""
        self._received = Passing(log, self._world)
        self._born: dict[int, int] = {}
        """The line on which each process begins."""
        self._reapers: set[int] = set()
        """The processes that get orphans among their descendants [PR_SET_CHILD_SUBREAPER]."""
        self._senders: set[tuple[int, int]] = set()
        """Which process has sent which signal, by calls of the model."""

    def translate(self) -> Translated:
        for thread in self._world.threads.values():
            image = LoggedImage(str(thread.tid), thread.tid)
            self._out.images[image.name] = self._current[thread.tid] = image
            if thread.is_root:
                self._processes[thread.tid] = LoggedProcess(thread.tid, image.name)
                self._out.roots.append(image.name)
                self._inherit(thread, image)
        for _, thread, event in sorted(self._events(), key=lambda each: each[0]):
            if self._out.ended is not None and event.line >= self._out.ended[0]:
                break
            self._event(thread, event)
        for image in outsiders(self._out, self._senders):
            self._out.images[image.name] = image
            self._out.roots.append(image.name)
        return self._out

    def _events(self) -> Iterator[tuple[tuple[int, int, int], LoggedThread, Event]]:
        """Yield the events, each with its place in the order of the lines."""
        for rank, thread in enumerate(self._world.threads.values()):
            last = 0
            for place, event in enumerate(thread.events):
                last = max(last, event.line)
                yield (last, rank, place), thread, event

    # What was there before.

    def _inherit(self, thread: LoggedThread, image: LoggedImage) -> None:
        """Have a process begin with the descriptors that it uses and that nobody opened, and with its handlers."""
        taken_ = set(range(STANDARD + 1))
        for fd in sorted(inherited(thread.tid, self._world, self._out.log.name)):
            image.steps += [Begins(0, op("open", "/", O_PATH, target="spare")), Returns(0)]
            if min(set(range(fd + 1)) - taken_) < fd:
                image.steps += [Begins(0, op("dup2", Name("spare"), fd)), Returns(0, value=fd)]
                image.steps += [Begins(0, op("close", Name("spare"))), Returns(0, value=0)]
            taken_.add(fd)
        for signo in sorted(self._world.dispositions.ignored):
            image.steps += [Begins(0, op("sigaction", signo, SIG_IGN)), Returns(0, value=0)]
        if self._world.begun_inside:
            image.begun_with = frozenset(
                signal_of(Word(event.what.name))
                for other in self._world.threads.values()
                for event in other.events
                if event.kind == "takes"
                and isinstance(event.what, LoggedSignal)
                and self._world.dispositions.find(other.process, signal_of(Word(event.what.name)), event.line) is None
            )

    # What happens.

    def _event(self, thread: LoggedThread, event: Event) -> None:
        steps = self._current[thread.tid].steps
        match event.kind, event.what:
            case "begins", LoggedCall() as call:
                self._begins(thread, call)
            case "returns", LoggedCall() as call:
                self._returns(thread, call)
            case "takes", LoggedSignal() as signal:
                steps.append(taken(signal, self._surroundings))
            case "resumes", LoggedCall() as call:
                steps.append(Resumes(call.ends))
            case "ends", LoggedEnd() as end:
                self._ends(thread, end)

    def _begins(self, thread: LoggedThread, call: LoggedCall) -> None:
        process = self._processes.setdefault(thread.process, LoggedProcess(thread.process, str(thread.process)))
        if call.name in EXECS and thread.is_root and call is thread.entries[0]:
            self._out.left_out[call.name] += 1  # what the log begins with is where the process begins
            return
        if call.name in FORKS and call.value and call.value > 0 and self._is_used_again(call):
            self._end_at(call.begins, f"the number {call.value} is that of a second process")
            return
        calling = Calling(call, process, self._surroundings, self._world, self._image_of(call), self._received)
        match translate(calling):
            case LeftOut():
                self._out.left_out[call.name] += 1
            case Beyond(what):
                self._end_at(call.begins, what)
            case Modelled(pieces):
                self._out.modelled += 1
                steps = self._current[thread.tid].steps
                for piece in pieces[:-1]:
                    steps += [_begin(call, piece), _return(call, piece)]
                if pieces:
                    steps.append(_begin(call, pieces[-1]))
                    self._pending[thread.tid].append(pieces[-1])
                self._note_handler(thread, pieces)
        if call.name in FORKS and (call.value or 0) > 0 and not is_thread(call) and call.value in self._world.threads:
            self._forks(process, call)
        elif call.name in FORKS and is_thread(call):
            process.threads += 1
        elif call.name == "prctl" and "PR_SET_CHILD_SUBREAPER" in call.text and not call.failed:
            self._reapers.add(thread.process)
        _follow(process, call, self._surroundings)

    def _returns(self, thread: LoggedThread, call: LoggedCall) -> None:
        if not self._pending[thread.tid]:
            return
        piece = self._pending[thread.tid][-1]
        if piece.op.line != call.begins:
            return
        self._pending[thread.tid].pop()
        if call.name in ("exit", "exit_group"):
            return
        image = self._current[thread.tid]
        image.steps.append(_return(call, piece))
        if call.name in EXECS and call.value == 0:
            name = str(piece.op.args[0].value)  # type: ignore[union-attr]
            self._handlers[thread.process].clear()
            self._current[thread.tid] = self._out.images[name] = LoggedImage(name, thread.tid)

    def _image_of(self, call: LoggedCall) -> "_Images":
        return _Images(self, call)

    def image_after(self, call: LoggedCall, tid: int) -> str:
        """Return the name of what a thread runs after an execve, or of what a new one runs."""
        if call.name not in EXECS:
            return str(tid)
        self._executed[tid] += 1
        return f"{tid}.{self._executed[tid]}"

    def _forks(self, parent: LoggedProcess, call: LoggedCall) -> None:
        assert call.value is not None
        child = LoggedProcess(call.value, str(call.value), list(parent.ranges))
        child.groups_changed = parent.groups_changed
        self._processes[call.value] = child
        self._handlers[call.value] = dict(self._handlers[parent.number])
        self._current[call.value].handlers = dict(self._handlers[parent.number])

    def _note_handler(self, thread: LoggedThread, pieces: tuple[ModelCall, ...]) -> None:
        for piece in pieces:
            if piece.op.call == "sigaction" and not piece.errno:
                signo = piece.op.args[0].value  # type: ignore[union-attr]
                assert isinstance(signo, int)
                self._handlers[thread.process][signo] = piece.handler
            elif piece.op.call in ("kill", "tgkill") and not piece.errno:
                signo = piece.op.args[-1].value  # type: ignore[union-attr]
                assert isinstance(signo, int)
                self._senders.add((thread.process, signo))

    def _ends(self, thread: LoggedThread, end: LoggedEnd) -> None:
        if end.superseded:
            self._end_at(end.line, "another thread executes a program")
            return
        signo = signal_of(Word(end.signal)) if end.signal else 0
        if self._adopts(thread):
            self._end_at(end.line, "a child subreaper gets the children of a process that ends")
            return
        self._current[thread.tid].steps.append(Ends(end.line, end.status, signo))
        process = self._processes.get(thread.process)
        if process is not None:
            process.threads -= 1

    def _is_used_again(self, call: LoggedCall) -> bool:
        """Return whether the number of a new process was another's: the log does not tell which of them did what."""
        assert call.value is not None
        before = self._born.setdefault(call.value, call.begins)
        root = call.value in self._world.threads and self._world.threads[call.value].is_root
        return before != call.begins or root

    def _adopts(self, thread: LoggedThread) -> bool:
        """Return whether children of a process that ends become those of an ancestor in the log."""
        if not self._reapers or thread.tid != thread.process:
            return False
        above: int = thread.parent
        while above and above not in self._reapers:
            above = self._world.threads[self._world.process(above)].parent
        alive = (
            other for other in self._world.threads.values() if other.process == other.tid and not self._is_gone(other)
        )
        return bool(above) and any(self._world.process(other.parent) == thread.tid for other in alive if other.parent)

    def _is_gone(self, thread: LoggedThread) -> bool:
        steps = self._current[thread.tid].steps
        return bool(steps) and isinstance(steps[-1], Ends)

    def _end_at(self, line: int, why: str) -> None:
        if self._out.ended is None or line < self._out.ended[0]:
            self._out.ended = line, why


@dataclass(slots=True)
class _Images:
    """Names what a call makes run."""

    translator: _Translator
    call: LoggedCall

    def __call__(self, tid: int) -> str:
        return self.translator.image_after(self.call, tid)


def _begin(call: LoggedCall, piece: ModelCall) -> Begins:
    return Begins(call.begins, piece.op, handler=piece.handler, wanted=piece.wanted)


def _return(call: LoggedCall, piece: ModelCall) -> Returns:
    return Returns(call.ends, piece.errno, piece.value, piece.variables)


def _follow(process: LoggedProcess, call: LoggedCall, surroundings: LogFiles) -> None:
    """Note what a call makes of descriptors and memory."""
    if call.failed or not call.result:
        return
    if call.name in ("mmap", "mmap2") and call.value:
        length = number(call.args[1], 0)
        process.forget(call.value, length)
        if isinstance(call.args[4], Described) and surroundings.matters(call.args[4].name):
            process.ranges.append((call.value, call.value + (length + 4095) // 4096 * 4096))
    elif call.name == "mremap" and call.value:
        old, new = (number(call.args[place], 0) for place in (1, 2))
        if process.maps(number(call.args[0], 0), max(old, 1)):
            process.forget(number(call.args[0], 0), (old + 4095) // 4096 * 4096)
            process.ranges.append((call.value, call.value + (new + 4095) // 4096 * 4096))
    elif call.name == "munmap":
        process.forget(number(call.args[0], 0), (number(call.args[1], 0) + 4095) // 4096 * 4096)
    elif call.name in EXECS and call.value == 0:
        process.ranges.clear()
