"""The program that the processes of a conformance run execute: a zygote, and the agents it forks.

It is handed to a bare interpreter as text (``python -I -S -c SOURCE zygote``, or ``LIMIT agent``), so it imports only
the standard library and its own parts, which are in that text (:func:`source`), and a process without rights to the
installation can still ``exec`` it afresh.

===================  ======================================================================
``agent_libc``       the C library, and how an answer of its is written
``agent_files``      calls on descriptors, paths and memory
``agent_storage``    calls on where the data of files lie
``agent_transfers``  calls that move bytes between memory, files, pipes and processes
``agent_uring``      calls on io_uring
``agent_signals``    calls on signals
``agent``            calls on processes; the agent and the zygote
===================  ======================================================================

An *agent* is one process of a program. It receives one system call at a time on a socket, makes it and sends back what
it returned. Calls go straight to the C library: Python's own wrappers would retry a call that a signal interrupted. Its
own descriptors are high numbers, so that the lowest free one is the program's.

The *zygote* forks agents quickly and outlives the runner just long enough to tidy up: when its socket closes, for
whatever reason, it kills what is left, puts back the lease-break-time and removes the files.
"""

import _thread
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from longpin.runner.machine.agent_files import CALLS as FILE_CALLS
from longpin.runner.machine.agent_libc import (
    CONTROL,
    INBOX,
    LIBC,
    LONGEST_MESSAGE,
    MNT_DETACH,
    WAKEUP,
    Broken,
    Order,
    Reply,
    answer,
    libc,
)
from longpin.runner.machine.agent_signals import CALLS as SIGNAL_CALLS
from longpin.runner.machine.agent_signals import prepare_signals, timespec
from longpin.runner.machine.agent_storage import CALLS as STORAGE_CALLS
from longpin.runner.machine.agent_transfers import CALLS as TRANSFER_CALLS
from longpin.runner.machine.agent_uring import CALLS as URING_CALLS

PARTS = ("agent_libc", "agent_files", "agent_storage", "agent_transfers", "agent_uring", "agent_signals", "agent")
"""The modules of this program, each after those that it imports."""
OWN = (CONTROL, INBOX, WAKEUP)
"""An agent's own descriptors."""
PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 24, 36, 47, 2
CAPABILITY_VERSION = 0x20080522
RLIMIT_NOFILE, RLIMIT_SIGPENDING = 7, 11
MOST_DESCRIPTORS = 1024
"""How many descriptors a process may have, wherever it runs, until it sets a limit of its own."""


def source() -> str:
    """Return the text of this program: each part becomes a module of its own name, the last one begins."""
    texts = {f"longpin.runner.machine.{part}": Path(__file__).with_name(f"{part}.py").read_text() for part in PARTS}
    # An import from a name that is a module already gives that module, whether or not its package is there.
    return (
        "import sys, types\n"
        f"for name, text in {texts!r}.items():\n"
        "    module = sys.modules[name] = types.ModuleType(name)\n"
        "    exec(compile(text, name, 'exec'), module.__dict__)\n"
        "module.main()\n"
    )


Limits = ctypes.Array[ctypes.c_ulong]
"""A soft and a hard limit."""


def descriptor_limits() -> Limits:
    """Return RLIMIT_NOFILE: the soft limit is the program's, the hard one leaves room for what is our own."""
    limits = (ctypes.c_ulong * 2)()
    LIBC.getrlimit(RLIMIT_NOFILE, limits)
    return limits


@contextlib.contextmanager
def room_for_our_own() -> Iterator[None]:
    """Take the program's limit on descriptors away while some are received for us, or moved where ours are."""
    limits = descriptor_limits()
    if limits[0] == limits[1]:
        yield
        return
    LIBC.setrlimit(RLIMIT_NOFILE, (ctypes.c_ulong * 2)(limits[1], limits[1]))
    try:
        yield
    finally:
        LIBC.setrlimit(RLIMIT_NOFILE, limits)


THREADS: dict[int, int] = {}
"""The thread that takes orders on each descriptor beside CONTROL, where the first one does."""


def fork(order: Order) -> Reply:
    """Fork; the child goes on with the sockets that came with the order, under the numbers of a first thread."""
    child = os.fork()
    if not child:
        for fd in THREADS:
            os.close(fd)
        THREADS.clear()
        take_over(order["received"])
    for fd in order["received"]:
        os.close(fd)
    order["received"] = []
    return {"ret": child, "errno": None, "silent": not child}


def take_over(sockets: list[int]) -> None:
    """Give the sockets of a new agent their numbers."""
    with room_for_our_own():
        for fd, own in zip(sockets, OWN, strict=True):
            os.dup2(fd, own)


def exec_afresh(_: Order) -> Reply:
    """Replace this process by a fresh agent, which answers in its place."""
    limit = descriptor_limits()[0]
    try:
        with room_for_our_own():  # the interpreter opens files
            os.execv(sys.executable, [*sys.orig_argv[: 1 - len(sys.argv)], str(limit), "agent"])  # noqa: S606
    except OSError as error:
        raise Broken(f"exec of {sys.executable}: {error.strerror}") from None


def leave(order: Order) -> Reply:
    """End this process; there is no reply."""
    LIBC._exit(ctypes.c_long(order["status"]))
    raise Broken("_exit(2) returns")


def make_thread(order: Order) -> Reply:
    """Make a thread that takes orders on the socket that came with this one."""
    [control] = order["received"]
    order["received"] = []
    os.set_inheritable(control, False)
    runs = _thread.allocate_lock()
    runs.acquire()
    _thread.start_new_thread(serve_as_thread, (control, runs))
    runs.acquire()  # until it has a number
    return {"ret": THREADS[control], "errno": None}


def serve_as_thread(control: int, runs: Any) -> None:
    """Be a thread: make the calls that are ordered until one ends it."""
    THREADS[control] = _thread.get_native_id()
    runs.release()
    try:
        serve(control)
    except SystemExit:
        del THREADS[control]
        os.close(control)


def leave_thread(_: Order) -> Reply:
    """End this thread; there is no reply."""
    raise SystemExit


def waitpid(order: Order) -> Reply:
    """Wait for a child; the reply also has its status."""
    status = ctypes.c_int(0)
    pid, options = ctypes.c_long(order["pid"]), ctypes.c_long(order["options"])
    return answer(LIBC.waitpid(pid, ctypes.byref(status), options)) | {"status": status.value}


def setrlimit(order: Order) -> Reply:
    """Set a soft and a hard limit."""
    limits = (ctypes.c_ulong * 2)(order["limit"], order["limit"])
    if order["resource"] == RLIMIT_NOFILE:
        soft, hard = descriptor_limits()
        if soft < limits[1] <= hard:
            # The program raises what is its hard limit: the kernel says whether it may, asked to raise the real one.
            asked = answer(LIBC.setrlimit(RLIMIT_NOFILE, (ctypes.c_ulong * 2)(soft, hard + 1)))
            if asked["errno"]:
                return asked
        limits[1] = max(limits[1], hard)
    return answer(LIBC.setrlimit(order["resource"], limits))


def nanosleep(order: Order) -> Reply:
    """Sleep; a signal ends it."""
    return answer(LIBC.nanosleep(timespec(order["seconds"]), None))


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


def with_room(call: Callable[[Order], Reply]) -> Callable[[Order], Reply]:
    """Return a call that opens descriptors of our own."""

    def made(order: Order) -> Reply:
        with room_for_our_own():
            return call(order)

    return made


CALLS: dict[str, Callable[[Order], Reply]] = {
    "libc": libc,
    "fork": fork,
    "exec": exec_afresh,
    "exit": leave,
    "thread": make_thread,
    "threadexit": leave_thread,
    "gettid": lambda _: {"ret": _thread.get_native_id(), "errno": None},
    "tgkill": lambda o: answer(LIBC.tgkill(*(ctypes.c_long(o[name]) for name in ("pid", "tid", "sig")))),
    "waitpid": waitpid,
    "setrlimit": setrlimit,
    "nanosleep": nanosleep,
    "become": become,
    **FILE_CALLS,
    **STORAGE_CALLS,
    **TRANSFER_CALLS,
    **URING_CALLS,
    "peek": with_room(FILE_CALLS["peek"]),
    "poke": with_room(FILE_CALLS["poke"]),
    **SIGNAL_CALLS,
}
"""What can be ordered."""


def make_high(fds: list[int]) -> list[int]:
    """Move descriptors out of the way of the program's own numbers."""
    import fcntl

    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, max(OWN) + 1) for fd in fds]
    for fd in fds:
        os.close(fd)
    return high


def serve(own: int = CONTROL) -> None:
    """Make the calls that are ordered on a descriptor, one after the other."""
    control = socket.socket(fileno=own)
    try:
        while True:
            with room_for_our_own():
                data, fds, _flags, _address = socket.recv_fds(control, LONGEST_MESSAGE, len(OWN))
                high = make_high(list(fds))
            if not data:
                os._exit(0)  # the runner is gone
            order: Order = json.loads(data)
            order["received"] = high
            try:
                reply = CALLS[order["call"]](order)
            except Broken as error:
                reply = {"broken": str(error)}
            for fd in order["received"]:
                os.close(fd)
            if reply.pop("silent", False):
                reply = {"ready": True}
                if own != CONTROL:  # a child of another thread than the first: it is a first one now
                    control.detach()
                    control, own = socket.socket(fileno=CONTROL), CONTROL
            control.send(json.dumps(reply).encode())
    finally:
        control.detach()


def begin(*, afresh: bool) -> None:
    """Be an agent: set up the signals, then say that orders are taken."""
    prepare_signals(afresh=afresh)
    os.write(CONTROL, b'{"ready": true}')
    serve()


def remove(folder: str) -> None:
    """Remove a folder and all in it, also what its programs have made unreadable."""
    with contextlib.suppress(OSError):
        Path(folder).chmod(0o700)
        for entry in os.scandir(folder):
            if os.path.ismount(entry.path):
                LIBC.umount2(os.fsencode(entry.path), MNT_DETACH)
    for inside, names, _ in os.walk(folder):  # a folder is asked for its own names after this has seen its name
        for path in (Path(inside, name) for name in names):
            with contextlib.suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


class ZygoteServer:
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
                data, fds, _flags, _address = socket.recv_fds(self._control, LONGEST_MESSAGE, len(OWN))
                if not data:
                    break
                order: Order = json.loads(data)
                high = make_high(list(fds))
                match order["call"]:
                    case "spawn":
                        reply = self._spawn(order, high)
                    case "folder":
                        reply = self._make_folder(order)
                    case _:
                        reply = self._note(order, high)
                self._control.send(json.dumps(reply).encode())
        except ConnectionError:
            pass
        finally:
            self._tidy()

    def _spawn(self, order: Order, sockets: list[int]) -> Reply:
        try:
            child = os.fork()
        except OSError as error:
            child, failure = -1, {"broken": f"fork: {error.strerror}"}
        if child:
            for fd in sockets:
                os.close(fd)
            return failure if child < 0 else {"ret": child}
        try:
            own = self._control.detach()
            take_over(sockets)
            for fd in (own, *sockets, *self._lock):
                os.close(fd)
            os.setpgid(0, 0)
            os.chdir(order["folder"])
            begin(afresh=True)
        finally:
            os._exit(1)

    def _make_folder(self, order: Order) -> Reply:
        """Make the folder that is removed in the end: the zygote must know of it when the runner is killed."""
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
        limit, hard = int(sys.argv[-2]), descriptor_limits()[1]
        LIBC.setrlimit(RLIMIT_NOFILE, (ctypes.c_ulong * 2)(limit, hard))
        begin(afresh=False)
    import resource

    os.umask(0)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a signal ends the runner, and that ends us
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(MOST_DESCRIPTORS, most),) * 2)
    [control] = make_high([0])
    os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # 0 again: a program's first descriptor is 3
    ZygoteServer(socket.socket(fileno=control)).run()
