"""Which process receives what others pass through sockets (SCM_RIGHTS)."""

from collections import Counter, defaultdict

from longpin.runner.judge_log.calls_sockets import passed
from longpin.runner.judge_log.strace_lines import LoggedCall, StraceLog, calls_in
from longpin.runner.judge_log.strace_values import Described, LoggedText, Struct, Word
from longpin.runner.judge_log.threads import LoggedWorld


class Passing:
    """Which process receives what others pass through sockets."""

    def __init__(self, log: StraceLog, world: LoggedWorld) -> None:
        self._world = world
        self._receives: dict[str, list[int]] = defaultdict(list)
        """The processes that received descriptors, by the number of the socket, in their order."""
        self._owners: dict[str, int] = {}
        self._bound: dict[str, str] = {}
        """The number of each socket that has a name."""
        self._sent: Counter[str] = Counter()
        """How many descriptors are passed to each socket, without those that were received already."""
        for call in calls_in(log.entries):
            first = call.args[0] if call.args else None
            if isinstance(first, Described) and (ends := _ends_of(first.name)):
                self._owners.setdefault(ends[0], world.process(call.tid))
                if "," in first.name:
                    self._bound[first.name.partition(",")[2].rstrip("]").strip('@"')] = ends[0]
                if call.name == "recvmsg" and not call.failed and call.value is not None:
                    self._receives[ends[0]] += [world.process(call.tid)] * len(passed(call.args))
        for call in calls_in(log.entries):
            if call.name == "sendmsg" and not call.failed and call.value is not None:
                self._sent[self._target(call)] += len(passed(call.args))

    def is_sent(self, call: LoggedCall) -> bool:
        """Return whether the descriptor that a call receives next was sent by a call that was looked at before."""
        first = call.args[0]
        ends = _ends_of(first.name) if isinstance(first, Described) else []
        known = bool(ends) and self._sent[ends[0]] > 0
        if known:
            self._sent[ends[0]] -= 1
        return known

    def receiver(self, call: LoggedCall) -> int:
        """Return the process that gets a descriptor."""
        target = self._target(call)
        waiting = self._receives[target]
        return waiting.pop(0) if waiting else self._owners.get(target, self._world.process(call.tid))

    def _target(self, call: LoggedCall) -> str:
        """Return the number of the socket that a message is sent to; empty: it cannot be told."""
        first = call.args[0]
        ends = _ends_of(first.name) if isinstance(first, Described) else []
        return ends[1] if len(ends) > 1 else self._bound.get(_address_of(call), "")


def _address_of(call: LoggedCall) -> str:
    """Return the name of the socket that a message is sent to."""
    about = call.args[1] if len(call.args) > 1 else None
    name = about.fields.get("msg_name") if isinstance(about, Struct) else None
    path = name.fields.get("sun_path") if isinstance(name, Struct) else None
    if isinstance(path, Word):
        return path.word.strip('@"')
    return path.text if isinstance(path, LoggedText) else ""


def _ends_of(name: str) -> list[str]:
    """Return the numbers of a socket and of its peer, from ``UNIX-STREAM:[1->2]``."""
    if not name.startswith("UNIX"):
        return []
    return [part.partition(",")[0] for part in name.partition("[")[2].rstrip("]").split("->")]
