"""Signals: what of one must be the same in the model, and those that no process of the log has sent."""

from collections.abc import Iterator

from longpin.actors.constants import SIGIO
from longpin.actors.process.pending import POLL_MSG, SI_SIGIO
from longpin.runner.judge_log.calling import op
from longpin.runner.judge_log.script import Begins, Returns, Takes
from longpin.runner.judge_log.strace_lines import NEVER, LoggedEnd, LoggedSignal
from longpin.runner.judge_log.strace_values import Described, Word
from longpin.runner.judge_log.surroundings import LogFiles
from longpin.runner.judge_log.threads import LoggedThread
from longpin.runner.judge_log.translated import LoggedImage, Translated
from longpin.runner.judge_log.words import number, signal_of

Senders = set[tuple[int, int]]
"""Which process has sent which signal, by calls of the model."""


def taken(signal: LoggedSignal, surroundings: LogFiles) -> Takes:
    """Return what taking a signal shows."""
    fields = signal.info.fields
    code = number(fields.get("si_code", Word("0")), 0)
    fd: int | None = -1
    if code == POLL_MSG and "si_int" in fields:  # strace knows only of SIGIO that it tells of a descriptor
        fd = number(fields["si_int"], -1)
    elif "si_fd" in fields:
        told = fields["si_fd"]
        inside = isinstance(told, Described) and surroundings.matters(told.name)
        fd = number(told, -1) if inside or isinstance(told, Word) else None
    elif signal.name == "SIGCHLD":
        fd = None
    known = code in (POLL_MSG, SI_SIGIO) and fd is not None
    return Takes(signal.line, signal_of(Word(signal.name)), fd, code if known else None)


def outsiders(translated: Translated, senders: Senders) -> Iterator[LoggedImage]:
    """Yield a process for each signal that no process of the log has sent, which sends it."""
    number_ = max(translated.world.threads, default=0)
    for tid, thread in translated.world.threads.items():
        for signo, line, before in _from_outside(translated, thread, senders):
            number_ += 1
            image = LoggedImage(f"outside-{number_}", number_)
            image.steps = [Begins(before, op("kill", tid, signo)), Returns(line, value=0)]
            yield image


def _from_outside(translated: Translated, thread: LoggedThread, senders: Senders) -> Iterator[tuple[int, int, int]]:
    """Yield signals, the line on which each shows, and the one after which it may have been sent."""
    before = thread.born
    for event in thread.events:
        if translated.ended is not None and event.line >= translated.ended[0]:
            return
        if isinstance(event.what, LoggedSignal):
            if _is_from_outside(translated, event.what, senders):
                yield signal_of(Word(event.what.name)), event.line, before
        elif isinstance(event.what, LoggedEnd) and event.what.signal and thread.tid == thread.process:
            deadly = _killer(thread, event.what)
            signo = signal_of(Word(event.what.signal))
            sent = any(sender[1] == signo for sender in senders)
            unsent = not sent if deadly is None else _is_from_outside(translated, deadly, senders)
            if unsent:
                yield signo, event.line, before
        before = event.line if event.line != NEVER else before


def _killer(thread: LoggedThread, end: LoggedEnd) -> LoggedSignal | None:
    """Return the signal that killed a thread, which stands on the line before; None: SIGKILL is never seen to come."""
    before = [entry for entry in thread.entries if isinstance(entry, LoggedSignal) and entry.name == end.signal]
    return before[-1] if before else None


def _is_from_outside(translated: Translated, signal: LoggedSignal, senders: Senders) -> bool:
    """Return whether nothing in the log has sent a signal."""
    world, fields = translated.world, signal.info.fields
    code = fields.get("si_code", Word("SI_USER"))
    word = code.word if isinstance(code, Word) else ""
    if word in ("SI_USER", "SI_TKILL", "SI_QUEUE"):
        pid = number(fields.get("si_pid", Word("0")), 0)
        return pid not in world.threads or (world.process(pid), signal_of(Word(signal.name))) not in senders
    if word == f"{POLL_MSG:#x}":
        return False
    if word.startswith("POLL_") or word in ("SI_KERNEL", "SI_SIGIO"):
        told = fields.get("si_fd")
        if isinstance(told, Described):
            return not translated.surroundings.matters(told.name)
        return signal_of(Word(signal.name)) != SIGIO  # that of a lease break says nothing else
    if word.startswith("CLD_"):
        return number(fields.get("si_pid", Word("0")), 0) not in world.threads
    return True
