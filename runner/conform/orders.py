"""What an agent is ordered to do for a call of a program.

Unlike the host engine's processes (:mod:`longpin.runner.host.calls`) an agent here is left to itself between two calls:
its masks and handlers are the kernel's, its paths and numbers are real, and integers are as they are written, so that
the kernel cuts them.
"""

from collections.abc import Callable
from typing import Any

from longpin.actors.constants import F_GETOWN_EX, F_SETOWN_EX
from longpin.actors.conversation import KernelError
from longpin.actors.process.interpreter import values
from longpin.actors.process.program import Op
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.files import as_bytes
from longpin.runner.conform import memory_ops, uring_ops
from longpin.runner.machine.orders import Order, libc, libc_order


def _order(name: str, *parameters: str) -> Callable[..., Order]:
    """Return what orders something the agent has under a name, its arguments by these names."""
    return lambda *given: Order(name, dict(zip(parameters, given, strict=False)))


def _own_signals(name: str, *parameters: str, **more: Any) -> Callable[..., Order]:
    """Return what orders something that takes signals last."""

    def order(*given: Any) -> Order:
        first = dict(zip(parameters, given, strict=False))
        return Order(name, first | {"sigs": list(given[len(parameters) :])} | more)

    return order


_OWN: dict[str, Callable[..., Order]] = {
    "stat": _order("stat", "path"),
    "execve": _order("execve", "path"),
    "pipe": _order("pipe"),
    "ficlonerange": _order("ficlonerange", "fd", "src_fd", "src_offset", "src_length", "dest_offset"),
    "fideduperange": _order("fideduperange", "fd", "src_offset", "src_length", "dest_fd", "dest_offset"),
    "copy_file_range": lambda *given: Order(
        "copy_file_range", dict(zip(("fd_in", "off_in", "fd_out", "off_out", "len"), given, strict=True)) | {"flags": 0}
    ),
    "fiemap": _order("fiemap", "fd"),
    "mremap": lambda addr, old_length, length, flags, new_addr=0: Order(
        "mremap", {"addr": addr, "old_length": old_length, "length": length, "flags": flags, "new_addr": new_addr}
    ),
    "vmsplice": _order("vmsplice", "fd", "addr", "length", "flags"),
    "preadv": _order("preadv", "fd", "addr", "length", "offset"),
    "pwritev": _order("pwritev", "fd", "addr", "length", "offset"),
    "load": _order("load", "addr", "length"),
    "store": lambda addr, data: Order("store", {"addr": addr, "data": as_bytes(data).hex()}),
    "send_fd": lambda _to, fd: Order("sendfd", {"fd": fd}),
    "recv_fd": lambda _flags: Order("recvfd", {}),
    "fork": lambda _program: Order("fork", {}),
    "clone": lambda _program: Order("thread", {}),
    "pthread_exit": lambda: Order("threadexit", {}),
    "gettid": lambda: Order("gettid", {}),
    "tgkill": _order("tgkill", "pid", "tid", "sig"),
    "exec": lambda _program: Order("exec", {}),
    "exit": _order("exit", "status"),
    "waitpid": _order("waitpid", "pid", "options"),
    "setrlimit": _order("setrlimit", "resource", "limit"),
    "sigaction": _order("sigaction", "sig", "action", "flags"),
    "sigprocmask": _own_signals("sigprocmask", "how"),
    "sigsuspend": _own_signals("sigsuspend"),
    "sigtimedwait": _order("wait_for_blocked", "seconds"),
    "sigwaitinfo": lambda: Order("wait_for_blocked", {"seconds": None}),
    "ppoll": _own_signals("ppoll", "seconds"),
    "sleep": _order("nanosleep", "seconds"),
}
"""The calls that the agent has under names of its own."""


def _fcntl(fd: Any, cmd: Any, arg: Any = 0, pid: Any = 0) -> Order:
    """Return the order for fcntl(2); two commands take a struct."""
    if cmd in (F_SETOWN_EX, F_GETOWN_EX):
        return Order("owner_ex", {"fd": fd, "cmd": cmd, "type": arg, "pid": pid})
    return libc("fcntl", fd, cmd, arg)


def order_for(call: Op, next_mapping: int, op: str = "") -> Order:
    """Return the order to make a call whose arguments are written out.

    Args:
        call: the call.
        next_mapping: where a mapping goes that the program puts nowhere.
        op: the op that the call is.

    """
    try:
        given = values(call, {})
    except KernelError:
        raise AssertionError(f"no C program can make the call {call}") from None
    if (on_memory := memory_ops.order(op, *given)) is not None:
        return on_memory
    if (on_ring := uring_ops.order(call.call, *given)) is not None:
        return on_ring
    if call.call == "mmap":
        length, prot, flags, fd, offset, *placed = given
        where = {
            "addr": placed[0] if placed else next_mapping,
            "length": length,
            "prot": prot,
            "flags": flags,
            "fd": fd,
            "offset": offset,
        }
        return Order("map_file", where)
    if (own := _OWN.get(call.call)) is not None:
        return own(*given)
    if call.call == "fcntl":
        return _fcntl(*given)
    made = SYSCALLS[call.call].libc
    assert made is not None, f"{call.call} declares no function of the C library, and has no entry here"
    return libc_order(made, {p.name: value for p, value in SYSCALLS[call.call].bind(given)})
