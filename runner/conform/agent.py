"""The program that the processes of a conformance run execute: a zygote, and the agents it forks.

It is handed to a bare interpreter as text (``python -I -S -c SOURCE zygote|agent``), so it imports only the standard
library and nothing of longpin, and a process without rights to the installation can still ``exec`` it afresh.

An *agent* is one process of a program. It receives one system call at a time on a socket, makes it and sends back what
it returned. Calls go straight to the C library: Python's own wrappers would retry a call that a signal interrupted. Its
own descriptors are high numbers, so that the lowest free one is the program's.

The *zygote* forks agents quickly and outlives the runner just long enough to tidy up: when its socket closes, for
whatever reason, it kills what is left, puts back the lease-break-time and removes the files.
"""

import contextlib
import ctypes
import errno
import json
import os
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

CONTROL, INBOX = 500, 501
"""An agent's own descriptors: its orders, and where SCM_RIGHTS messages for it arrive."""
LONGEST_MESSAGE = 1 << 18
PAGE = 4096
KICK = 63
"""The signal that ends a call with EINTR when a signal with a handler is pending: no scenario has a name for it."""
UNTOUCHED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ, 32, 33, KICK}
"""Signals whose disposition cannot be changed, is Python's, or is the C library's own."""

SIGNALS = {
    signal.SIGIO: "SIGIO",
    signal.SIGUSR1: "SIGUSR1",
    signal.SIGRTMIN + 1: "SIGRT1",
    signal.SIGRTMIN + 2: "SIGRT2",
}
SI_CODES = {0: "SI_USER", 0x80: "SI_KERNEL", 1: "POLL_IN", 2: "POLL_OUT", 3: "POLL_MSG", -5: "SI_SIGIO", -6: "SI_TKILL"}
SI_KERNEL, SI_SIGIO = 0x80, -5
ONLY_OF_CHILDREN = 3
"""SA_NOCLDSTOP and SA_NOCLDWAIT."""
F_SETOWN, F_GETOWN, F_SETSIG, F_SETLEASE, F_GETLEASE = 8, 9, 10, 1024, 1025
PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 24, 36, 47, 2
CAPABILITY_VERSION = 0x20080522
RLIMIT_SIGPENDING = 11
AT_FDCWD = -100
SIGPROCMASK = {"x86_64": 14, "aarch64": 135}
"""The number of rt_sigprocmask(2) by machine."""
W_OK = 2

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
for _wide in (LIBC.lseek, LIBC.read, LIBC.write):
    _wide.restype = ctypes.c_long


class SigInfo(ctypes.Structure):
    """The part of siginfo_t that a signal sent by the kernel for a descriptor fills."""

    _fields_ = (
        ("si_signo", ctypes.c_int),
        ("si_errno", ctypes.c_int),
        ("si_code", ctypes.c_int),
        ("si_band", ctypes.c_long),
        ("si_fd", ctypes.c_int),
        ("rest", ctypes.c_char * 128),
    )


class SigAction(ctypes.Structure):
    """The C library's ``struct sigaction``, on 64-bit machines."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


Reply = dict[str, Any]
Order = dict[str, Any]


class Broken(Exception):
    """The agent cannot do what it was told; no answer of the kernel's."""


def answer(returned: int) -> Reply:
    """Return what a C function returned as a reply."""
    code = ctypes.get_errno()
    return {"ret": returned, "errno": errno.errorcode.get(code, str(code)) if returned == -1 else None}


def path_of(order: Order, key: str = "path") -> bytes:
    """Return an argument that is a path as the C library takes it."""
    return os.fsencode(order[key])


def mmap(order: Order) -> Reply:
    """Map a page, shared, and touch it if asked: a store if it may be written, else a load."""
    prot = 3 if order["prot"] == "w" else 1
    address = LIBC.mmap(None, PAGE, prot, 1, order["fd"], 0)
    if address == ctypes.c_void_p(-1).value:
        return answer(-1)
    if order.get("touch"):
        cell = ctypes.c_ubyte.from_address(address)
        if prot == 3:
            cell.value = ord("m")
        else:
            _ = cell.value
    return answer(0)


def pipe(_: Order) -> Reply:
    """Make a pipe; the reply also has both ends."""
    ends = (ctypes.c_int * 2)()
    return answer(LIBC.pipe(ends)) | {"ends": list(ends)}


def sendfd(order: Order) -> Reply:
    """Send a descriptor through the socket that came with the order."""
    with socket.socket(fileno=order["received"].pop()) as way:
        try:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", order["fd"]))
            return {"ret": way.sendmsg([b"f"], [rights], socket.MSG_DONTWAIT), "errno": None}
        except OSError as error:
            return {"ret": -1, "errno": errno.errorcode.get(error.errno or 0, str(error.errno))}


def recvfd(_: Order) -> Reply:
    """Take a descriptor that was sent here."""
    inbox = socket.socket(fileno=INBOX)
    try:
        # socket.recv_fds leaves its flags out.
        data, rights, _flags, _address = inbox.recvmsg(1, socket.CMSG_LEN(4), socket.MSG_DONTWAIT)
        if rights:
            return {"ret": struct.unpack("i", rights[0][2])[0], "errno": None}
        # A message without its descriptor: there was no number left for it.
        return {"ret": -1, "errno": "EMFILE" if data else "EPIPE"}
    except OSError as error:
        return {"ret": -1, "errno": errno.errorcode.get(error.errno or 0, str(error.errno))}
    finally:
        inbox.detach()


def fork(order: Order) -> Reply:
    """Fork; the child goes on with the two sockets that came with the order, under the same numbers."""
    control, inbox = order["received"]
    child = os.fork()
    if not child:
        os.dup2(control, CONTROL)
        os.dup2(inbox, INBOX)
    os.close(control)
    os.close(inbox)
    order["received"] = []
    return {"ret": child, "errno": None, "silent": not child}


def exec_afresh(_: Order) -> Reply:
    """Replace this process by a fresh agent, which answers in its place."""
    try:
        os.execv(sys.executable, [*sys.orig_argv[:-1], "agent"])  # noqa: S606
    except OSError as error:
        raise Broken(f"exec of {sys.executable}: {error.strerror}") from None


def leave(order: Order) -> Reply:
    """End this process; there is no reply."""
    os._exit(order.get("status", 0) & 0xFF)


def waitpid(order: Order) -> Reply:
    """Wait for a child; the reply also has its status."""
    status = ctypes.c_int(0)
    return answer(LIBC.waitpid(order["pid"], ctypes.byref(status), order["options"])) | {"status": status.value}


def setrlimit(order: Order) -> Reply:
    """Set a soft and a hard limit."""
    limits = (ctypes.c_ulong * 2)(order["limit"], order["limit"])
    return answer(LIBC.setrlimit(order["resource"], limits))


def stat(order: Order) -> Reply:
    """Return the size; an error of stat(2) is an answer as well."""
    try:
        # A Path would lose the slash at the end, which says that it must be a folder.
        return {"ret": os.stat(order["path"]).st_size, "errno": None}  # noqa: PTH116
    except OSError as error:
        return {"ret": -1, "errno": errno.errorcode.get(error.errno or 0, str(error.errno))}


def read_signals(_: Order) -> Reply:
    """Take every pending signal, lowest number first, as sigtimedwait(2) gives them."""
    wanted = (ctypes.c_ulong * 16)()
    LIBC.sigemptyset(wanted)
    for number in SIGNALS:
        LIBC.sigaddset(wanted, int(number))
    at_once = (ctypes.c_long * 2)(0, 0)
    info, read = SigInfo(), []
    while (number := LIBC.sigtimedwait(wanted, ctypes.byref(info), at_once)) > 0:
        code = SI_CODES.get(info.si_code, str(info.si_code))
        read.append({"sig": SIGNALS[number], "si_code": code, "si_fd": info.si_fd, "si_band": info.si_band})
    return {"ret": 0, "errno": None, "signals": read}


def libc(order: Order) -> Reply:
    """Call a function of the C library by its name; strings are paths."""
    args = [os.fsencode(arg) if isinstance(arg, str) else ctypes.c_long(arg) for arg in order["args"]]
    return answer(getattr(LIBC, order["name"])(*args))


def read_bytes(order: Order) -> Reply:
    """Read; the reply also has what was read."""
    buffer = ctypes.create_string_buffer(min(max(order["count"], 1), LONGEST_MESSAGE))  # more the kernel refuses
    reply = answer(LIBC.read(order["fd"], buffer, ctypes.c_size_t(order["count"])))
    return reply | {"data": buffer.raw[: max(reply["ret"], 0)].hex()}


def write_bytes(order: Order) -> Reply:
    """Write the data of the order."""
    data = bytes.fromhex(order["data"])
    return answer(LIBC.write(order["fd"], data, ctypes.c_size_t(len(data))))


def map_file(order: Order) -> Reply:
    """Map a file, where it is asked for if that is free; the answer is the address."""
    address = LIBC.mmap(*(order[name] for name in ("addr", "length", "prot", "flags", "fd", "offset")))
    return answer(-1 if address == ctypes.c_void_p(-1).value else address)


def load(order: Order) -> Reply:
    """Read memory; a signal ends the process where it cannot be read."""
    return {"ret": 0, "errno": None, "data": ctypes.string_at(order["addr"], order["length"]).hex()}


def store(order: Order) -> Reply:
    """Write memory; a signal ends the process where it cannot be written."""
    data = bytes.fromhex(order["data"])
    ctypes.memmove(order["addr"], data, len(data))
    return {"ret": 0, "errno": None}


def nanosleep(order: Order) -> Reply:
    """Sleep; a signal ends it."""
    seconds = order["seconds"]
    return answer(LIBC.nanosleep((ctypes.c_long * 2)(int(seconds), int(seconds % 1 * 1e9)), None))


def await_fd(order: Order) -> Reply:
    """Wait until a descriptor was sent here, and take it."""
    events = struct.pack("ihh", INBOX, 1, 0)
    if not order["at_once"] and LIBC.poll(ctypes.create_string_buffer(events), ctypes.c_ulong(1), -1) < 0:
        return answer(-1)
    return recvfd(order)


def signal_set(numbers: Iterable[int]) -> Any:
    """Return a sigset_t. The C library's own functions leave out 32 and 33, which it uses for itself."""
    bits = (ctypes.c_ulong * 16)()
    for number in numbers:
        bits[0] |= 1 << (number - 1)
    return bits


def set_mask(numbers: Iterable[int]) -> None:
    """Block exactly these signals."""
    wanted, system_call = signal_set(numbers), SIGPROCMASK.get(os.uname().machine)
    if system_call is None:
        LIBC.sigprocmask(signal.SIG_SETMASK, wanted, None)
    else:
        LIBC.syscall(system_call, signal.SIG_SETMASK, wanted, None, 8)


def take_signal(order: Order) -> Reply:
    """Take one of some blocked signals: its number, 0 if none comes in time, and the descriptor it tells of, or -1.

    ``seconds`` None: wait for ever; EINTR if another signal ends the wait.
    """
    wanted = signal_set(order["signals"])
    info, seconds = SigInfo(), order["seconds"]
    timeout = None if seconds is None else (ctypes.c_long * 2)(int(seconds), int(seconds % 1 * 1e9))
    number = LIBC.sigtimedwait(wanted, ctypes.byref(info), timeout)
    if number < 0:
        reply = answer(-1)
        return reply if reply["errno"] != "EAGAIN" else {"ret": 0, "errno": None, "si_fd": -1}
    # What a number in siginfo_t means depends on who sent it: a lease says POLL_MSG, a child CLD_EXITED and so on.
    about_file = number != signal.SIGCHLD and (info.si_code == SI_SIGIO or 0 < info.si_code < SI_KERNEL)
    return {"ret": number, "errno": None, "si_fd": info.si_fd if about_file else -1}


def set_signals(order: Order) -> Reply:
    """Block and ignore exactly these signals; all others have their default action. Nothing pending is lost by it."""
    numbers = [number for number in range(1, signal.NSIG) if number not in UNTOUCHED]
    set_mask(range(1, signal.NSIG))
    signal.signal(KICK, lambda *_: None)  # Python asks for no SA_RESTART
    for number in numbers:
        flags = order["flags"].get(str(number), 0) & ONLY_OF_CHILDREN
        action = SigAction(1 if number in order["ignore"] else 0, flags=flags)
        current = SigAction()
        LIBC.sigaction(number, None, ctypes.byref(current))
        # To ignore a signal throws away what is pending, so it is done only where the program does it.
        if number == order["changed"] or (current.handler or 0, current.flags & ONLY_OF_CHILDREN) != (
            action.handler or 0,
            flags,
        ):
            LIBC.sigaction(number, ctypes.byref(action), None)
    set_mask(number for number in order["block"] if number != KICK)
    return {"ret": 0, "errno": None}


def become(order: Order) -> Reply:
    """Take on a user and capabilities, for good and across exec, and limits on files and descriptors."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest"], order["largest"]))
    most = min(order["descriptors"], resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _, most = resource.getrlimit(RLIMIT_SIGPENDING)
    limit = order["sigpending"] if most == resource.RLIM_INFINITY else min(order["sigpending"], most)
    resource.setrlimit(RLIMIT_SIGPENDING, (limit, limit))
    if not order["root"]:
        return {"ret": 0, "errno": None}
    keep, drop = order["keep"], order["drop"]
    done = [LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) for number in drop]
    if order["uid"]:
        os.setgroups([])
        os.setgid(order["uid"])
        LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        done.append(LIBC.setuid(order["uid"]))
        LIBC.prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the same for numbers from 32 on
    done.append(LIBC.capget(header, sets))
    kept = sum(1 << number for number in keep)
    lost = sum(1 << number for number in drop)
    if order["uid"]:
        sets[:] = [kept, kept, kept, 0, 0, 0]
    else:
        sets[:] = [word & ~lost if index < 3 else word for index, word in enumerate(sets)]
    done.append(LIBC.capset(header, sets))
    if order["uid"]:
        done += [LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) for number in keep]
    if any(done):
        raise Broken(f"cannot become user {order['uid']} with the capabilities asked for")
    return {"ret": 0, "errno": None}


def write_sysctl(order: Order) -> Reply:
    """Write a number to a file in /proc/sys."""
    fd = LIBC.open(path_of(order), os.O_WRONLY)
    if fd < 0:
        return answer(-1)
    data = b"%d" % order["value"]
    reply = answer(LIBC.write(fd, data, ctypes.c_size_t(len(data))))
    LIBC.close(fd)
    return reply


CALLS: dict[str, Callable[[Order], Reply]] = {
    "libc": libc,
    "read_bytes": read_bytes,
    "write_bytes": write_bytes,
    "map_file": map_file,
    "load": load,
    "store": store,
    "nanosleep": nanosleep,
    "await_fd": await_fd,
    "take_signal": take_signal,
    "set_signals": set_signals,
    "waitpid": waitpid,
    "setrlimit": setrlimit,
    "become": become,
    "write_sysctl": write_sysctl,
    "open": lambda o: answer(LIBC.open(path_of(o), o["flags"], o.get("mode", 0o666))),
    "reopen": lambda o: answer(LIBC.open(b"/proc/self/fd/%d" % o["fd"], o["flags"], 0o666)),
    "close": lambda o: answer(LIBC.close(o["fd"])),
    "dup": lambda o: answer(LIBC.dup(o["fd"])),
    "pipe": pipe,
    "mmap": mmap,
    "fsync": lambda o: answer(LIBC.fsync(o["fd"])),
    "flock": lambda o: answer(LIBC.flock(o["fd"], o["how"])),
    "read": lambda o: answer(LIBC.read(o["fd"], ctypes.create_string_buffer(1), 1)),
    "write": lambda o: answer(LIBC.write(o["fd"], b"w", 1)),
    "ftruncate": lambda o: answer(LIBC.ftruncate(o["fd"], ctypes.c_long(o["len"]))),
    "fallocate": lambda o: answer(
        LIBC.fallocate(o["fd"], o["mode"], ctypes.c_long(0), ctypes.c_long(o.get("len", PAGE)))
    ),
    "setlease": lambda o: answer(LIBC.fcntl(o["fd"], F_SETLEASE, o["type"])),
    "getlease": lambda o: answer(LIBC.fcntl(o["fd"], F_GETLEASE)),
    "setsig": lambda o: answer(LIBC.fcntl(o["fd"], F_SETSIG, o["sig"])),
    "setown": lambda o: answer(LIBC.fcntl(o["fd"], F_SETOWN, o["pid"])),
    "getown": lambda o: answer(LIBC.fcntl(o["fd"], F_GETOWN)),
    "truncate": lambda o: answer(LIBC.truncate(path_of(o), ctypes.c_long(o["len"]))),
    "unlink": lambda o: answer(LIBC.unlink(path_of(o))),
    "rename": lambda o: answer(LIBC.rename(path_of(o), path_of(o, "to"))),
    "link": lambda o: answer(LIBC.link(path_of(o), path_of(o, "to"))),
    "chmod": lambda o: answer(LIBC.chmod(path_of(o), o["mode"])),
    "chown": lambda o: answer(LIBC.chown(path_of(o), o["uid"], -1)),
    "utimes": lambda o: answer(LIBC.utimensat(AT_FDCWD, path_of(o), None, 0)),
    "setxattr": lambda o: answer(LIBC.setxattr(path_of(o), b"user.longpin", b"x", ctypes.c_size_t(1), 0)),
    "stat": stat,
    "access": lambda o: answer(LIBC.access(path_of(o), W_OK)),
    "mkdir": lambda o: answer(LIBC.mkdir(path_of(o), o.get("mode", 0o777))),
    "execve": lambda o: answer(
        LIBC.execve(path_of(o), (ctypes.c_char_p * 2)(path_of(o), None), (ctypes.c_char_p * 1)(None))
    ),
    "fork": fork,
    "exec": exec_afresh,
    "exit": leave,
    "setuid": lambda o: answer(LIBC.setuid(o["uid"])),
    "setfsuid": lambda o: answer(LIBC.setfsuid(o["uid"])),
    "getpid": lambda _: answer(os.getpid()),
    "sendfd": sendfd,
    "recvfd": recvfd,
    "signals": read_signals,
}


def make_high(fds: list[int]) -> list[int]:
    """Move descriptors out of the way of the program's own numbers."""
    import fcntl

    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, CONTROL + 2) for fd in fds]
    for fd in fds:
        os.close(fd)
    return high


def serve() -> None:
    """Be an agent: set up the signals, then make the calls that are ordered, one after the other."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGUSR2, lambda *_: None)  # Python asks for no SA_RESTART
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the children of the program are nobody's zombies
    control = socket.socket(fileno=CONTROL)
    control.send(b'{"ready": true}')
    while True:
        data, fds, _flags, _address = socket.recv_fds(control, LONGEST_MESSAGE, 2)
        if not data:
            os._exit(0)  # the runner is gone
        order: Order = json.loads(data)
        order["received"] = make_high(list(fds))
        try:
            reply = CALLS[order["call"]](order)
        except Broken as error:
            reply = {"broken": str(error)}
        for fd in order["received"]:
            os.close(fd)
        if reply.pop("silent", False):
            reply = {"ready": True}
        control.send(json.dumps(reply).encode())


def remove(folder: str) -> None:
    """Remove a folder and all in it, also what its programs have made unreadable."""
    with contextlib.suppress(OSError):
        Path(folder).chmod(0o700)
    for inside, names, _ in os.walk(folder):  # a folder is asked for its own names after this has seen its name
        for path in (Path(inside, name) for name in names):
            with contextlib.suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


class Zygote:
    """Forks agents, and tidies up in the end."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._folder: str | None = None
        self._sysctl: tuple[str, str] | None = None
        """A file in /proc/sys and what to write back into it."""
        self._lock: list[int] = []
        """Descriptors that hold the lock on that file, so that nobody uses it before it is put right."""

    def run(self) -> None:
        """Do what is ordered until the runner is gone, then tidy up."""
        try:
            while True:
                data, fds, _flags, _address = socket.recv_fds(self._control, LONGEST_MESSAGE, 2)
                if not data:
                    break
                order: Order = json.loads(data)
                high = make_high(list(fds))
                match order["call"]:
                    case "spawn":
                        reply = self._spawn(order, *high)
                    case "folder":
                        reply = self._make_folder(order)
                    case _:
                        reply = self._note(order, high)
                self._control.send(json.dumps(reply).encode())
        except ConnectionError:
            pass
        finally:
            self._tidy()

    def _spawn(self, order: Order, control: int, inbox: int) -> Reply:
        try:
            child = os.fork()
        except OSError as error:
            child, failure = -1, {"broken": f"fork: {error.strerror}"}
        if child:
            os.close(control)
            os.close(inbox)
            return failure if child < 0 else {"ret": child}
        try:
            own = self._control.detach()
            os.dup2(control, CONTROL)
            os.dup2(inbox, INBOX)
            for fd in (own, control, inbox, *self._lock):
                os.close(fd)
            os.setpgid(0, 0)
            os.chdir(order["folder"])
            serve()
        finally:
            os._exit(1)

    def _make_folder(self, order: Order) -> Reply:
        """Make the folder that is removed in the end: whoever makes it must know of it when the runner is killed."""
        import tempfile

        try:
            self._folder = tempfile.mkdtemp(prefix=order["prefix"], dir=order["place"])
        except OSError as error:
            return {"broken": f"cannot make a folder: {error}"}
        return {"ret": self._folder}

    def _note(self, order: Order, fds: list[int]) -> Reply:
        """Remember what to undo."""
        if "sysctl" in order:
            for fd in self._lock:
                os.close(fd)
            self._sysctl, self._lock = order["sysctl"], fds
        return {"ret": 0}

    def _tidy(self) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        while children := self._children():
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            for child in children:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child, 0)
        if self._sysctl:
            with contextlib.suppress(OSError):
                Path(self._sysctl[0]).write_text(self._sysctl[1])
        if self._folder:
            remove(self._folder)

    @staticmethod
    def _children() -> list[int]:
        """Return the processes whose parent this is; a killed parent's children become ours."""
        found, own = [], os.getpid()
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    after_name = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                    if int(after_name[1]) == own:
                        found.append(int(entry.name))
        return found


def main() -> None:
    """Be what the last argument says."""
    if sys.argv[-1] == "agent":
        serve()
    os.umask(0)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever ends the run ends the runner, and that ends us
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    [control] = make_high([0])
    os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # 0 again: a program's first descriptor is 3
    Zygote(socket.socket(fileno=control)).run()


if __name__ == "__main__":
    main()
