"""How each call of a program is made on the host kernel: an order to the process that makes it, or a wait for a label.

A call is a generator like those of :mod:`longpin.actors.syscalls`; what it yields is answered by
:class:`~longpin.runner.host.world.World`.
"""

import errno
import socket
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longpin.actors.constants import (
    ERRNOS,
    F_DUPFD,
    F_DUPFD_CLOEXEC,
    F_GETDELEG,
    F_GETOWN,
    F_GETOWN_EX,
    F_SETDELEG,
    F_SETOWN,
    F_SETOWN_EX,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    MSG_DONTWAIT,
    SIG_DFL,
    SIG_HANDLER,
    SIG_IGN,
)
from longpin.actors.conversation import KernelError
from longpin.actors.kernel.machine import MOST_BYTES
from longpin.actors.mm.address_space import TASK_SIZE
from longpin.actors.process.pending import UNBLOCKABLE
from longpin.actors.process.process_state import MOST_FDS, Disposition, Exec, Exit, Value
from longpin.actors.syscalls import SYSCALLS, threads
from longpin.actors.syscalls.declaration import Libc, Syscall
from longpin.actors.syscalls.files import as_bytes
from longpin.actors.syscalls.signals import EVERYBODY, changed_mask, signal_set
from longpin.actors.syscalls.storage import extent_text
from longpin.actors.syscalls.transfers import MOST
from longpin.runner.host.buffers import MEMORY, fitting
from longpin.runner.host.paths import host_path
from longpin.runner.machine.agent_libc import CONTROL, PAGE
from longpin.runner.machine.orders import Order, Reply, libc, libc_order, value_of
from longpin.runner.machine.proc_files import LEASE_BREAK_TIME
from longpin.runner.machine.processes import HostError

if TYPE_CHECKING:
    from longpin.runner.host.program import HostProcess

NOBODY = 0x7FFF_FFF0
"""A number that no process can have [PID_MAX_LIMIT], for the kernel to look for in vain."""


@dataclass(frozen=True, slots=True)
class LabelWait:
    """A wait for a label; answered with its value as ``ret``, or with EINTR."""

    name: str


LOWEST_ADDRESS = 0x1000
"""Below nothing can be mapped."""

Steps = Generator[Order | LabelWait, Reply, Value]
"""A call, or anything else that has to wait, on its way."""


def _answered(order: Order) -> Generator[Order | LabelWait, Reply, Reply]:
    """Have the process do something, and return the reply.

    Raises:
        KernelError: the kernel's errno.

    """
    reply = yield order
    if name := reply.get("errno"):
        raise KernelError(ERRNOS[name] if name in ERRNOS else int(name))
    return reply


def ask(call: str, fds: tuple[int, ...] = (), **args: Any) -> Generator[Order | LabelWait, Reply, Reply]:
    """Have the process do something, and return the reply.

    Raises:
        KernelError: the kernel's errno.

    """
    return _answered(Order(call, args, fds))


def ask_value(call: str, **args: Any) -> Steps:
    """Have the process make a call, and return its value."""
    value: int = (yield from ask(call, **args))["ret"]
    return value


def _libc(name: str, *args: int | str) -> Steps:
    """Call a function of the C library."""
    value: int = (yield from _answered(libc(name, *args)))["ret"]
    return value


def _fd(number: int) -> int:
    """Return a descriptor that a program may use, or one that no process has."""
    if CONTROL <= number < MOST_FDS:
        raise HostError(f"descriptors from {CONTROL} on are not the program's own on the host engine, found {number}")
    return number


def _path(path: str) -> Generator[Order | LabelWait, Reply, str]:
    """Return a path as the process gives it to the kernel; one that fails where it must, if a folder is not there."""
    translated = host_path(path)
    for folder in translated.folders:
        try:
            yield from ask("stat", path=folder)
        except KernelError:
            return f"{folder}."
    return translated.path


def _made_as_declared(call: Syscall, made: Libc) -> Callable[..., Steps]:
    """Return a call that a function of the C library makes."""

    def steps(_process: "HostProcess", *args: Value) -> Steps:
        values: dict[str, Value] = {}
        for parameter, value in call.bind(args):
            if parameter.is_path:
                value = yield from _path(str(value))
            elif "fd" in parameter.kinds:
                assert isinstance(value, int)
                value = _fd(value)
            elif parameter.name in made.sizes:
                assert isinstance(value, int)
                # What no buffer can hold the kernel refuses; the rest must fit a message from the process.
                value = value if value > TASK_SIZE else min(value, MOST_BYTES)
            values[parameter.name] = value
        return value_of(made, (yield from _answered(libc_order(made, values))))

    return steps


def _on_path(name: str) -> Callable[..., Steps]:
    """Return a call on one path that the agent has under its own name."""

    def call(_process: "HostProcess", path: str) -> Steps:
        value: int = (yield from ask(name, path=(yield from _path(path))))["ret"]
        return value

    return call


def _pipe(process: "HostProcess") -> Steps:
    ends = (yield from ask("pipe"))["ends"]
    process.variables["pipe_w"] = ends[1]
    first: int = ends[0]
    return first


def _set_lease_break_time(process: "HostProcess", seconds: int) -> Steps:
    value = process.world.break_time(seconds)
    yield from ask("write_sysctl", path=str(LEASE_BREAK_TIME), value=value)
    return 0


def _fcntl(process: "HostProcess", fd: int, cmd: int, arg: int = 0, pid: int = 0, _length: int = 0) -> Steps:
    """Process ids are the scenario's, and no signal is ever sent to a process that is none of the scenario's."""
    if cmd in (F_SETDELEG, F_GETDELEG):
        raise HostError("F_SETDELEG and F_GETDELEG take a struct delegation, which the host engine does not pass")
    world = process.world
    if cmd in (F_SETOWN_EX, F_GETOWN_EX):
        reply = yield from ask("owner_ex", fd=_fd(fd), cmd=cmd, type=arg, pid=world.real_number(pid))
        if cmd == F_SETOWN_EX:
            return 0
        process.variables["owner_type"] = reply["type"]
        return world.scenario_pid(reply["pid"])
    if cmd in (F_DUPFD, F_DUPFD_CLOEXEC):
        arg = _fd(arg)
    elif cmd == F_SETOWN:
        arg = world.real_number(arg)
    value = yield from _libc("fcntl", _fd(fd), cmd, arg)
    assert isinstance(value, int)
    if cmd == F_GETOWN and value:
        own = world.scenario_pid(abs(value))
        return own if value > 0 else -own
    return value


def _send_fd(process: "HostProcess", target: str | int, fd: int) -> Steps:
    receiver = process.world.find(target)
    if receiver is not None:
        yield from ask("sendfd", fds=(receiver.agent.inbox.fileno(),), fd=_fd(fd))
        return 0
    way, other_end = socket.socketpair()  # nobody is there: the kernel says so, after a look at the descriptor
    other_end.close()
    with way:
        yield from ask("sendfd", fds=(way.fileno(),), fd=_fd(fd))
    return 0


def _recv_fd(_process: "HostProcess", flags: int = 0) -> Steps:
    value: int = (yield from ask("await_fd", at_once=bool(flags & MSG_DONTWAIT)))["ret"]
    return value


def _fork(process: "HostProcess", program: str) -> Steps:
    child = process.world.make_child(process, program)
    try:
        child.agent.started((yield from ask("fork", fds=tuple(child.agent.ends)))["ret"])
    except BaseException:
        child.agent.close()
        raise
    process.world.enroll(child)
    return child.pid


def _exec(process: "HostProcess", program: str) -> Steps:
    yield from ask("exec")
    raise Exec(process.world.images[program])


def _exit(_process: "HostProcess", status: int = 0) -> Value:
    raise Exit(status)


def _waitpid(process: "HostProcess", pid: int, options: int = 0) -> Steps:
    number = pid if pid == EVERYBODY else process.world.real_number(pid)
    reply = yield from ask("waitpid", pid=number, options=options)
    process.variables["wait_status"] = reply["status"]
    return process.world.scenario_pid(reply["ret"])


def _number_of(process: "HostProcess", target: str | int) -> int:
    """Return the kernel's number of a process, or one that nobody has."""
    if isinstance(target, str):
        found = process.world.find(target)
        target = found.pid if found is not None else NOBODY
    return process.world.real_number(target)


def _kill(process: "HostProcess", target: str | int, signo: int) -> Steps:
    if target == EVERYBODY:
        raise HostError("kill(-1, ...) would signal every process of this machine")
    return _libc("kill", _number_of(process, target), signo)


def _sigaction(process: "HostProcess", signo: int, action: int, flags: int = 0) -> Steps:
    known = action in (SIG_DFL, SIG_IGN) or (action == SIG_HANDLER and signo in process.handler_programs)
    if not known or not 1 <= signo <= 64 or signo in UNBLOCKABLE:
        raise KernelError(errno.EINVAL)
    process.dispositions[signo] = Disposition(action, flags)
    yield from process.tell_kernel(signo)
    return 0


def _sigprocmask(process: "HostProcess", how: int, *numbers: int) -> Steps:
    process.mask.set(changed_mask(process.mask.blocked, how, numbers))
    yield from process.tell_kernel()
    return 0


def _sigsuspend(process: "HostProcess", *numbers: int) -> Steps:
    process.mask.swap(signal_set(numbers))
    yield from process.tell_kernel()
    return (yield from _libc("pause"))


def _ppoll(process: "HostProcess", seconds: float | None, *numbers: int) -> Steps:
    signals = signal_set(numbers)
    if seconds is not None and seconds < 0:
        raise KernelError(errno.EINVAL)
    process.mask.swap(signals)
    yield from process.tell_kernel()
    if process.world.pending(process):
        raise KernelError(errno.EINTR)
    if seconds is None:
        yield from _libc("pause")
    else:
        yield from ask("nanosleep", seconds=process.world.real_seconds(seconds))
    process.mask.restore()
    yield from process.tell_kernel()
    return 0


def _await_signal(process: "HostProcess", seconds: float | None) -> Steps:
    reply = yield from ask("take_signal", signals=sorted(process.mask.blocked), seconds=seconds)
    if not reply["ret"]:
        raise KernelError(errno.EAGAIN)
    process.variables |= {"si_signo": reply["ret"], "si_fd": reply["si_fd"]}
    value: int = reply["ret"]
    return value


def _sigtimedwait(process: "HostProcess", seconds: float = 0) -> Steps:
    if seconds < 0:
        raise KernelError(errno.EINVAL)
    return _await_signal(process, process.world.real_seconds(seconds))


def _sleep(process: "HostProcess", seconds: float) -> Steps:
    yield from ask("nanosleep", seconds=process.world.real_seconds(seconds) if seconds >= 0 else -1)
    return 0


def _getpid(process: "HostProcess") -> Steps:
    value = yield from _libc("getpid")
    assert isinstance(value, int)
    return process.world.scenario_pid(value)


def _mmap(process: "HostProcess", length: int, prot: int, flags: int, fd: int, offset: int, addr: int = 0) -> Steps:
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
        _check_own("mmap", addr, length)
    elif not MEMORY[0] <= addr < addr + length <= MEMORY[1]:
        addr = process.next_mapping
    fd = fd if flags & MAP_ANONYMOUS else _fd(fd)
    reply = yield from ask("map_file", addr=addr, length=length, prot=prot, flags=flags, fd=fd, offset=offset)
    value: int = reply["ret"]
    process.mapped(value, length)
    return value


def _check_own(call: str, addr: int, length: int) -> None:
    """Refuse to touch memory that the process which makes the calls has for itself, and which must stay.

    Raises:
        HostError: it is not memory of the program.

    """
    end = addr + length
    harmless = addr % PAGE or not length or end > TASK_SIZE or end <= LOWEST_ADDRESS
    if not harmless and not MEMORY[0] <= addr < end <= MEMORY[1]:
        raise HostError(
            f"{call} of memory that is not the program's own on the host engine: {length} bytes at {addr:#x}"
        )


def _on_own_memory(call: str) -> Callable[..., Steps]:
    """Return a call on a range of memory that must be the program's own."""

    def steps(_process: "HostProcess", addr: int, length: int, *more: int) -> Steps:
        _check_own(call, addr, length)
        return _libc(call, addr, length, *more)

    return steps


def _mremap(process: "HostProcess", addr: int, old_length: int, length: int, flags: int, new_addr: int = 0) -> Steps:
    """The kernel would look for room where the process's own memory lies, so it is told where there is some."""
    _check_own("mremap", addr, max(old_length, 1))
    moves = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)
    if flags & MREMAP_FIXED:
        _check_own("mremap", new_addr, length)
    elif flags & MREMAP_DONTUNMAP:
        flags, new_addr = flags | MREMAP_FIXED, process.next_mapping
    given = {"addr": addr, "old_length": old_length, "length": length}
    try:
        stays = flags if moves else flags & ~MREMAP_MAYMOVE
        value = yield from ask_value("mremap", **given, flags=stays, new_addr=new_addr)
    except KernelError as error:
        if moves or not flags & MREMAP_MAYMOVE or error.errno != errno.ENOMEM:
            raise
        there = {"flags": flags | MREMAP_FIXED, "new_addr": process.next_mapping}
        value = yield from ask_value("mremap", **given, **there)
    assert isinstance(value, int)
    process.mapped(value, length)
    return value


def _load(_process: "HostProcess", addr: int, length: int) -> Steps:
    if length > MOST_BYTES:
        raise KernelError(errno.EINVAL)
    return bytes.fromhex((yield from ask("load", addr=addr, length=max(length, 0)))["data"])


def _store(_process: "HostProcess", addr: int, data: bytes | str) -> Steps:
    yield from ask("store", addr=addr, data=as_bytes(data).hex())
    return 0


def _vmsplice(_process: "HostProcess", fd: int, addr: int, length: int, flags: int = 0) -> Steps:
    return ask_value("vmsplice", fd=_fd(fd), addr=addr, length=fitting("vmsplice", addr, length), flags=flags)


def _at_offset(call: str) -> Callable[..., Steps]:
    """Return a call that moves bytes between memory of the program and a place in a file."""

    def steps(_process: "HostProcess", fd: int, addr: int, length: int, offset: int) -> Steps:
        return ask_value(call, fd=_fd(fd), addr=addr, length=fitting(call, addr, length), offset=offset)

    return steps


def _process_vm_readv(process: "HostProcess", pid: str | int, addr: int, length: int) -> Steps:
    length = min(fitting("process_vm_readv", addr, length), MOST)
    reply = yield from ask("process_vm_readv", pid=_number_of(process, pid), addr=addr, length=length)
    return bytes.fromhex(reply["data"])


def _process_vm_writev(process: "HostProcess", pid: str | int, addr: int, data: bytes | str) -> Steps:
    written = as_bytes(data)
    fitting("process_vm_writev", addr, len(written))
    return ask_value("process_vm_writev", pid=_number_of(process, pid), addr=addr, data=written.hex())


def _label(process: "HostProcess", name: str, value: int | str | bytes = 0) -> Value:
    process.world.post(name, value)
    return 0


def _wait_for(_process: "HostProcess", name: str) -> Steps:
    reply = yield LabelWait(name)
    if reply.get("errno"):
        raise KernelError(errno.EINTR)
    value: Value = reply["ret"]
    return value


def _ordered(name: str) -> Callable[..., Steps]:
    """Return a call that the agent has under its own name, with the same arguments."""
    call = SYSCALLS[name]

    def steps(_process: "HostProcess", *args: Value) -> Steps:
        values = {parameter.name: value for parameter, value in call.bind(args)}
        for parameter in call.parameters:
            if "fd" in parameter.kinds:
                values[parameter.name] = _fd(int(str(values[parameter.name])))
        return (yield from ask_value(name, **values))

    return steps


def _fiemap(_process: "HostProcess", fd: int) -> Steps:
    """Show what the kernel says, with its own physical addresses."""
    extents = (yield from ask("fiemap", fd=_fd(fd)))["extents"]
    return ", ".join(extent_text(*extent) for extent in extents).encode()


_OWN: dict[str, Callable[..., Steps | Value]] = {
    "stat": _on_path("stat"),
    "execve": _on_path("execve"),
    "pipe": _pipe,
    "set_lease_break_time": _set_lease_break_time,
    "fcntl": _fcntl,
    "send_fd": _send_fd,
    "recv_fd": _recv_fd,
    "fork": _fork,
    "exec": _exec,
    "exit": _exit,
    "waitpid": _waitpid,
    "kill": _kill,
    "sigaction": _sigaction,
    "sigprocmask": _sigprocmask,
    "sigsuspend": _sigsuspend,
    "sigtimedwait": _sigtimedwait,
    "sigwaitinfo": lambda process: _await_signal(process, None),
    "ppoll": _ppoll,
    "setrlimit": lambda _process, resource, limit: ask_value("setrlimit", resource=resource, limit=limit),
    "sleep": _sleep,
    "getpid": _getpid,
    "mmap": _mmap,
    "mremap": _mremap,
    **{call: _on_own_memory(call) for call in ("munmap", "mprotect", "madvise", "mlock", "munlock", "msync")},
    "ficlonerange": _ordered("ficlonerange"),
    "fideduperange": _ordered("fideduperange"),
    "copy_file_range": _ordered("copy_file_range"),
    "fiemap": _fiemap,
    "vmsplice": _vmsplice,
    "preadv": _at_offset("preadv"),
    "pwritev": _at_offset("pwritev"),
    "process_vm_readv": _process_vm_readv,
    "process_vm_writev": _process_vm_writev,
    "load": _load,
    "store": _store,
    "label": _label,
    "wait_for": _wait_for,
}
"""The calls that take more than a function of the C library: numbers of processes, masks, memory, labels."""


def _maker(call: Syscall) -> Callable[..., Steps | Value]:
    if call.name in _OWN:
        return _OWN[call.name]
    assert call.libc is not None, f"{call.name} declares no function of the C library, and has no entry here"
    return _made_as_declared(call, call.libc)


CALLS: dict[str, Callable[..., Steps | Value]] = {
    call.name: _maker(call) for call in SYSCALLS.values() if call.on_host and call.name not in threads.CALLS
}
"""Every call the host engine can make, by its name in a program, but for those on threads."""
