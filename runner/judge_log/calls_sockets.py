"""Calls that make pipes, sockets and files in memory, whose numbers alone matter, and that pass descriptors on."""

from collections.abc import Callable
from typing import Final

from longpin.runner.judge_log.calling import LEFT_OUT, STANDARD, Beyond, Calling, ModelCall, Modelled, Translation
from longpin.runner.judge_log.strace_values import Array, Described, Struct, Value, Word


def _memfd(calling: Calling) -> Translation:
    made = calling.call.made
    return LEFT_OUT if made is None else calling.place([made.number], close_on_exec="MFD_CLOEXEC" in calling.words(1))


def _pipe(calling: Calling) -> Translation:
    ends = calling.args[0] if calling.args else None
    return _placed_in(calling, ends)


def _socketpair(calling: Calling) -> Translation:
    return _placed_in(calling, calling.args[3] if len(calling.args) > 3 else None)


def _placed_in(calling: Calling, ends: Value | None) -> Translation:
    if calling.call.failed or not isinstance(ends, Array):
        return LEFT_OUT
    made = [item.number for item in ends.items if isinstance(item, Described)]
    return calling.place(made, close_on_exec="CLOEXEC" in calling.call.text)


def passed(call_args: tuple[Value, ...]) -> list[Described]:
    """Return the descriptors that a message carries."""
    about = call_args[1] if len(call_args) > 1 else None
    control = about.fields.get("msg_control") if isinstance(about, Struct) else None
    found: list[Described] = []
    for item in control.items if isinstance(control, Array) else ():
        if isinstance(item, Struct) and item.fields.get("cmsg_type") == Word("SCM_RIGHTS"):
            carried = item.fields.get("cmsg_data")
            if isinstance(carried, Array):
                found += [fd for fd in carried.items if isinstance(fd, Described)]
    return found


def _sendmsg(calling: Calling) -> Translation:
    if calling.call.failed or not (fds := passed(calling.args)):
        return LEFT_OUT
    if any(fd.number <= STANDARD for fd in fds):
        return Beyond("a standard descriptor is passed on")
    pieces = [calling.piece("send_fd", calling.passing.receiver(calling.call), fd.number, value=0) for fd in fds]
    return Modelled(tuple(pieces))


def _recvmsg(calling: Calling) -> Translation:
    pieces: list[ModelCall] = []
    for fd in [] if calling.call.failed else passed(calling.args):
        if calling.passing.is_sent(calling.call):
            pieces.append(calling.piece("recv_fd", value=fd.number))
        elif calling.surroundings.matters(fd.name):
            return Beyond("a descriptor of a file that matters comes from a process that is not in the log")
        else:
            placed = calling.place([fd.number], close_on_exec="MSG_CMSG_CLOEXEC" in calling.call.text)
            pieces += placed.pieces if isinstance(placed, Modelled) else ()
    return Modelled(tuple(pieces)) if pieces else LEFT_OUT


CALLS: Final[dict[str, Callable[[Calling], Translation]]] = {
    "memfd_create": _memfd,
    "pipe": _pipe,
    "pipe2": _pipe,
    "socketpair": _socketpair,
    "sendmsg": _sendmsg,
    "recvmsg": _recvmsg,
}
"""By system call."""
