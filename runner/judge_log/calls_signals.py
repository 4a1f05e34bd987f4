"""Calls on signals: waits that watch descriptors too are left out, unless a signal ended them."""

from collections.abc import Callable
from typing import Final

from longpin.actors.constants import SA_NOCLDSTOP, SA_NOCLDWAIT, SA_RESTART, SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK
from longpin.runner.judge_log.calling import LEFT_OUT, Calling, Translation
from longpin.runner.judge_log.script import HandlerFlags
from longpin.runner.judge_log.strace_values import Array, Struct, Value
from longpin.runner.judge_log.threads import action_of
from longpin.runner.judge_log.words import number, seconds, signal_of, signal_set

_HOW: Final = {"SIG_BLOCK": SIG_BLOCK, "SIG_UNBLOCK": SIG_UNBLOCK, "SIG_SETMASK": SIG_SETMASK}
_SA_NODEFER, _SA_RESETHAND = 0x40000000, 0x80000000


def _sigaction(calling: Calling) -> Translation:
    action = action_of(calling.call) if len(calling.args) > 1 else None
    if action is None:
        return LEFT_OUT
    what, flags = action
    given = calling.args[1]
    mask = frozenset[int]()
    if isinstance(given, Struct) and isinstance(set_ := given.fields.get("sa_mask"), Array):
        mask = signal_set(set_)
    signo = signal_of(calling.args[0])
    handler = HandlerFlags(mask - {signo}, bool(flags & _SA_NODEFER), bool(flags & _SA_RESETHAND))
    kept = flags & (SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT)
    return calling.modelled("sigaction", signo, what, kept, handler=handler)


def _sigprocmask(calling: Calling) -> Translation:
    how = next(iter(calling.words(0)), "")
    given = calling.args[1] if len(calling.args) > 1 else None
    if not isinstance(given, Array):
        return LEFT_OUT
    return calling.modelled("sigprocmask", _HOW.get(how, calling.number(0)), *sorted(signal_set(given)))


def _sigsuspend(calling: Calling) -> Translation:
    return calling.modelled("sigsuspend", *sorted(signal_set(calling.args[0])))


def _pause(calling: Calling) -> Translation:
    return calling.modelled("pause")


def _ppoll(calling: Calling) -> Translation:
    return _wait(calling, calling.args[2], calling.args[3], watches="NULL" not in calling.words(0))


def _pselect(calling: Calling) -> Translation:
    mask = calling.args[5] if len(calling.args) > 5 else None
    given = mask.fields.get("sigmask") if isinstance(mask, Struct) else None
    watches = any("NULL" not in calling.words(place) for place in (1, 2, 3))
    return _wait(calling, calling.args[4], given, watches=watches)


def _epoll_pwait(calling: Calling) -> Translation:
    return _wait(calling, None, calling.args[4] if len(calling.args) > 4 else None, watches=True)


def _wait(calling: Calling, timeout: Value | None, mask: Value | None, *, watches: bool) -> Translation:
    """Sleep with a mask; without one it is time that passes, and signals that find the process in user space."""
    if not isinstance(mask, Array):
        return LEFT_OUT
    ended = calling.call.errno == "EINTR" or not calling.call.result
    if watches and not ended:
        return LEFT_OUT
    limit = None if watches or timeout is None else seconds(timeout)
    return calling.modelled("ppoll", limit, *sorted(signal_set(mask)))


def _sigtimedwait(calling: Calling) -> Translation:
    wanted = signal_set(calling.args[0])
    about = calling.args[1]
    limit = seconds(calling.args[2]) if len(calling.args) > 2 else None
    variables: tuple[tuple[str, int], ...] = ()
    if isinstance(about, Struct) and "si_fd" in about.fields and not calling.call.failed:
        variables = (("si_fd", number(about.fields["si_fd"], -1)),)
    more = {"wanted": wanted, "variables": variables}
    return calling.modelled("sigtimedwait", *([] if limit is None else [limit]), **more)


CALLS: Final[dict[str, Callable[[Calling], Translation]]] = {
    "rt_sigaction": _sigaction,
    "sigaction": _sigaction,
    "signal": _sigaction,
    "rt_sigprocmask": _sigprocmask,
    "sigprocmask": _sigprocmask,
    "rt_sigsuspend": _sigsuspend,
    "sigsuspend": _sigsuspend,
    "pause": _pause,
    "ppoll": _ppoll,
    "ppoll_time64": _ppoll,
    "pselect6": _pselect,
    "pselect6_time64": _pselect,
    "epoll_pwait": _epoll_pwait,
    "rt_sigtimedwait": _sigtimedwait,
    "rt_sigtimedwait_time64": _sigtimedwait,
}
"""By system call."""
