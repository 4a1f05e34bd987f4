"""Calls on processes."""

import re
from collections.abc import Callable
from typing import Final

from longpin.actors.constants import WCONTINUED, WNOHANG, WUNTRACED
from longpin.actors.syscalls.processes import CONTINUED, STOPPED
from longpin.runner.judge_log.calling import LEFT_OUT, Beyond, Calling, Translation
from longpin.runner.judge_log.strace_values import Array, Struct, Value, Word
from longpin.runner.judge_log.threads import is_thread
from longpin.runner.judge_log.words import number, signal_of

_EXITED = re.compile(r"WIFEXITED\(s\) && WEXITSTATUS\(s\) == (\d+)")
_KILLED = re.compile(r"WIFSIGNALED\(s\) && WTERMSIG\(s\) == (\w+)")
_STOPPED = re.compile(r"WIFSTOPPED\(s\) && WSTOPSIG\(s\) == (\w+)")
_OPTIONS: Final = {"WNOHANG": WNOHANG, "WUNTRACED": WUNTRACED, "WSTOPPED": WUNTRACED, "WCONTINUED": WCONTINUED}
_RESOURCES: Final = {"RLIMIT_NOFILE": 7, "RLIMIT_SIGPENDING": 11}
_GROUP: Final = re.compile(r"-?\d+")


def _fork(calling: Calling) -> Translation:
    call = calling.call
    if call.failed or not call.value or call.value not in calling.world.threads:
        return LEFT_OUT
    if is_thread(call):
        return calling.modelled("clone", calling.images(call.value))
    if "CLONE_FILES" in call.text:
        return Beyond("a process that shares its descriptors with another")
    return calling.modelled("fork", calling.images(call.value))


def _execve(calling: Calling) -> Translation:
    if calling.call.value == 0:
        return calling.modelled("exec", calling.images(calling.call.tid))
    path = calling.path(0) if calling.call.name == "execve" else None
    return LEFT_OUT if path is None else calling.modelled("execve", path)


def _exit(calling: Calling) -> Translation:
    status = calling.number(0)
    if calling.call.name == "exit" and calling.process.threads > 1:
        return calling.modelled("pthread_exit")
    return calling.modelled("exit", status & 0xFF)


def status_of(value: Value) -> int | None:
    """Return the status that waitpid(2) tells, as the model has it; None: the log does not show it."""
    item = value.items[0] if isinstance(value, Array) and value.items else None
    if isinstance(item, Struct):
        item = next(iter(item.fields.values()), None)
    text = item.word if isinstance(item, Word) else ""
    if (match := _EXITED.search(text)) is not None:
        return int(match[1]) << 8
    if (match := _KILLED.search(text)) is not None:
        return signal_of(Word(match[1]))
    if (match := _STOPPED.search(text)) is not None:
        return signal_of(Word(match[1])) << 8 | STOPPED
    return CONTINUED if "WIFCONTINUED" in text else None


def _wait4(calling: Calling) -> Translation:
    options = sum(_OPTIONS.get(word, 0) for word in calling.words(2))
    told = (calling.call.value or 0) > 0 and len(calling.args) > 1
    status = status_of(calling.args[1]) if told else None
    variables = () if status is None else (("wait_status", status),)
    return calling.modelled("waitpid", calling.number(0), options, variables=variables)


def _waitid(calling: Calling) -> Translation:
    words = calling.words(3)
    if "WNOWAIT" in words or "WEXITED" not in words:
        return Beyond("waitid that does not wait for the end of a child is not modelled")
    kind = next(iter(calling.words(0)), "")
    if kind not in ("P_ALL", "P_PID"):
        return Beyond(f"waitid of {kind} is not modelled")
    about = calling.args[2] if len(calling.args) > 2 else None
    pid = number(about.fields["si_pid"], 0) if isinstance(about, Struct) and "si_pid" in about.fields else None
    options = sum(_OPTIONS.get(word, 0) for word in words)
    value = {} if calling.call.failed else {"value": pid or 0}
    return calling.modelled("waitpid", -1 if kind == "P_ALL" else calling.number(1), options, **value)


def _kill(calling: Calling) -> Translation:
    target = calling.number(0)
    if target <= 0 and calling.process.groups_changed:
        return Beyond("a signal to a process group: groups that programs make are not modelled")
    if target > 0 and target not in calling.world.threads:
        return LEFT_OUT
    return calling.modelled("kill", target, signal_of(calling.args[1]))


def _tgkill(calling: Calling) -> Translation:
    if calling.number(0) not in calling.world.threads:
        return LEFT_OUT
    return calling.modelled("tgkill", calling.number(0), calling.number(1), signal_of(calling.args[2]))


def _tkill(calling: Calling) -> Translation:
    if (tid := calling.number(0)) not in calling.world.threads:
        return LEFT_OUT
    return calling.modelled("tgkill", calling.world.process(tid), tid, signal_of(calling.args[1]))


def _setpgid(calling: Calling) -> Translation:
    """Of groups the model has those that a process is the first of: it is taken to have been from its start."""
    pid = calling.number(0, 0) or calling.process.number
    group = calling.number(1, 0) or pid
    if not calling.call.failed and (group != pid or pid not in calling.world.leaders):
        calling.process.groups_changed = True
    return LEFT_OUT


def _prlimit(calling: Calling) -> Translation:
    if calling.number(0) not in (0, calling.process.number):
        return LEFT_OUT
    return _limit(calling, calling.words(1), calling.args[2] if len(calling.args) > 2 else None)


def _setrlimit(calling: Calling) -> Translation:
    return _limit(calling, calling.words(0), calling.args[1] if len(calling.args) > 1 else None)


def _limit(calling: Calling, words: list[str], limit: Value | None) -> Translation:
    resource = _RESOURCES.get(next(iter(words), ""))
    if resource is None or not isinstance(limit, Struct) or calling.call.failed:
        return LEFT_OUT
    return calling.modelled("setrlimit", resource, number(limit.fields["rlim_cur"]))


def _own_number(name: str) -> Callable[[Calling], Translation]:
    return lambda calling: calling.modelled(name)


CALLS: Final[dict[str, Callable[[Calling], Translation]]] = {
    **dict.fromkeys(("fork", "vfork", "clone", "clone3"), _fork),
    "execve": _execve,
    "execveat": _execve,
    "exit": _exit,
    "exit_group": _exit,
    "wait4": _wait4,
    "waitpid": _wait4,
    "waitid": _waitid,
    "kill": _kill,
    "tgkill": _tgkill,
    "tkill": _tkill,
    "rt_sigqueueinfo": _kill,
    "rt_tgsigqueueinfo": _tgkill,
    "setpgid": _setpgid,
    "prlimit64": _prlimit,
    "setrlimit": _setrlimit,
    "getpid": _own_number("getpid"),
    "gettid": _own_number("gettid"),
}
"""By system call."""
