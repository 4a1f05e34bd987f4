"""The descriptors that a process had before its log began."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from longpin.runner.judge_log.calling import STANDARD
from longpin.runner.judge_log.calls_sockets import passed
from longpin.runner.judge_log.problems import LogError
from longpin.runner.judge_log.strace_lines import LoggedCall
from longpin.runner.judge_log.strace_values import Array, Described, Struct, Value
from longpin.runner.judge_log.threads import FORKS, LoggedWorld, is_thread
from longpin.runner.judge_log.words import number

MOST_INHERITED: Final = 4096
"""The most descriptors that a process may begin with: each is opened before the log is judged."""


def inherited(root: int, world: LoggedWorld, log: str) -> set[int]:
    """Return the descriptors that a process has from the start: what it, or one that it makes, uses and nobody opened.

    A new descriptor has the lowest number that is free, so those below it are taken.

    Raises:
        LogError: they are more than can be opened in reasonable time.

    """
    found: set[int] = set()
    known: dict[int, set[int]] = {root: set()}
    calls = sorted(
        (entry for thread in world.threads.values() for entry in thread.entries if isinstance(entry, LoggedCall)),
        key=lambda call: call.begins,
    )
    mentions = _Mentions(calls, world)
    for call in calls:
        process = world.process(call.tid)
        if process not in known:
            continue
        own, made = known[process], _made_by(call)
        taken = [fd for value in call.args for fd in _descriptors(value) if fd not in made]
        if call.made is not None and (least := _least(call)) is not None:
            below = range(max(least, STANDARD + 1), call.made.number)
            taken += [fd for fd in below if fd not in own and not mentions.is_made_next(process, fd, call.begins)]
        for fd in taken:
            if fd not in own:
                found.add(fd)
                for each in known.values():
                    each.add(fd)
        if len(found) > MOST_INHERITED:
            raise LogError(
                f"{log}:{call.begins}: expected at most {MOST_INHERITED} descriptors that are open "
                f"before the log begins, found {len(found)}"
            )
        own |= made
        if call.name in FORKS and (call.value or 0) > 0 and call.value in world.threads and not is_thread(call):
            assert call.value is not None
            known[call.value] = own if "CLONE_FILES" in call.text else set(own)
    return found


def _least(call: LoggedCall) -> int | None:
    """Return the number from which on a call takes a free descriptor; None: it takes the one it is told."""
    if call.name in ("dup2", "dup3"):
        return None
    return number(call.args[2], 0) if call.name.startswith("fcntl") and len(call.args) > 2 else STANDARD + 1


class _Mentions:
    """Where each descriptor of each process is mentioned, and whether that call makes it."""

    def __init__(self, calls: Iterable[LoggedCall], world: LoggedWorld) -> None:
        self._found: dict[tuple[int, int], list[tuple[int, bool]]] = defaultdict(list)
        for call in calls:
            process, made = world.process(call.tid), _made_by(call)
            used = {fd for value in call.args for fd in _descriptors(value)}
            for fd in made | used:
                self._found[process, fd].append((call.begins, fd in made))

    def is_made_next(self, process: int, fd: int, line: int) -> bool:
        """Return whether the next that a log says of a descriptor is that it is made."""
        found = self._found.get((process, fd), [])
        at = bisect_right(found, (line, True))
        return at < len(found) and found[at][1]


def _made_by(call: LoggedCall) -> set[int]:
    """Return the descriptors that a call makes."""
    made = {call.made.number} if call.made is not None else set[int]()
    if call.name in ("pipe", "pipe2"):
        made |= set(_descriptors(call.args[0])) if call.args else set()
    elif call.name == "socketpair" and len(call.args) > 3:
        made |= set(_descriptors(call.args[3]))
    elif call.name == "recvmsg":
        made |= {fd.number for fd in passed(call.args)}
    elif call.name in ("dup2", "dup3") and call.args:
        made.add(number(call.args[1], -1))
    return made


def _descriptors(value: Value) -> Iterator[int]:
    match value:
        case Described() if value.number > STANDARD:
            yield value.number
        case Array(items=items):
            for item in items:
                yield from _descriptors(item)
        case Struct(fields=fields):
            for field_ in fields.values():
                yield from _descriptors(field_)
        case _:
            return
