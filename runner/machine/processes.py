"""The runner's side of the zygote and its agents: orders, replies, and how it is known that a call sleeps."""

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from longpin.runner.machine.agent import remove, source
from longpin.runner.machine.agent_libc import CONTROL, LONGEST_MESSAGE
from longpin.runner.machine.proc_files import Look, Status, exit_code, look, pending_mask, status

_FIRST_WAIT = 0.001
"""Seconds in which most calls return; only after them is it worth to look at the process."""
_BETWEEN_LOOKS = 0.0002
_PATIENCE = 60.0
"""Seconds after which a process that does not answer counts as broken: on a machine with much to do some may pass."""
FIRST_MAPPING = 0x1000_0000_0000
"""Where mappings of a program lie: nothing else of its process is near."""
LEAST_DESCRIPTORS = CONTROL + 100
"""What RLIMIT_NOFILE must allow: processes keep their own descriptors out of the way of a program's."""

_PIDFD_INFO = struct.Struct("=Q52xi")
"""``struct pidfd_info`` of ``include/uapi/linux/pidfd.h``: ``mask``, and ``exit_code`` at its end."""
_PIDFD_GET_INFO = 3 << 30 | _PIDFD_INFO.size << 16 | 0xFF << 8 | 11
_PIDFD_INFO_EXIT = 1 << 3
_PIDFD_THREAD = os.O_EXCL


class HostError(Exception):
    """The host cannot be used as it should, or a process of ours does not do what it must; the text is one line."""


class DisturbedError(Exception):
    """Somebody else has set fs.lease-break-time while a program ran: its answers say nothing."""

    def __init__(self) -> None:
        super().__init__("somebody else set fs.lease-break-time while it ran")


RUNS_IF_DISTURBED = 3
"""How often a program is run before it is given up because others set fs.lease-break-time."""


def message_waits(sock: socket.socket, seconds: float) -> bool:
    """Whether a message is there, or comes within a time."""
    poller = select.poll()  # select(2) would refuse descriptors from 1024 on
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(max(0.0, seconds) * 1000))


def receive(sock: socket.socket) -> dict[str, Any] | None:
    """Read one message; None at the end."""
    try:
        data = sock.recv(LONGEST_MESSAGE)
    except ConnectionError:
        return None
    reply: dict[str, Any] | None = json.loads(data) if data else None
    return reply


class Died(HostError):
    """A process ended while it made a call, such as a store beyond the end of a file."""


class Agent:
    """One process of a program."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.next_mapping = FIRST_MAPPING
        self.pid = 0
        self.group = 0
        """The number of its process group."""
        self.may_stop = False
        """Its program may stop it: then a stopped process is at rest, and not broken."""
        self.step: int | None = None
        """The op whose call sleeps."""
        self.alive = True
        self._handle = -1
        self._control, self._control_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.inbox, self._inbox_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        """Where others put descriptors for this process."""
        self._wakeup, self._wakeup_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._wakeup.setblocking(False)

    @property
    def ends(self) -> list[int]:
        """The ends of the sockets that the process itself needs; a thread only needs the first."""
        return [self._control_end.fileno(), self._inbox_end.fileno(), self._wakeup_end.fileno()]

    def started(self, pid: int) -> None:
        """Take over a process that was just forked: wait until it serves.

        Raises:
            HostError: it does not come up.

        """
        self._found(pid, 0)
        self.ready()

    def _found(self, number: int, flags: int) -> None:
        """Take over the process, or the thread, of a number."""
        self.pid = number
        for sock in (self._control_end, self._inbox_end, self._wakeup_end):
            sock.close()
        with contextlib.suppress(ProcessLookupError):
            self._handle = os.pidfd_open(number, flags)

    def thread_started(self, tid: int) -> None:
        """Take over a thread that was just made, which serves already.

        Raises:
            HostError: the kernel has no descriptors of threads.

        """
        try:
            self._found(tid, _PIDFD_THREAD)
        except OSError as error:
            raise HostError(
                f"threads cannot be watched on this kernel: it takes Linux 6.9 ({error.strerror})"
            ) from None

    def ready(self) -> None:
        """Wait until the agent serves.

        Raises:
            HostError: it does not.

        """
        if not message_waits(self._control, _PATIENCE) or (reply := receive(self._control)) is None:
            raise HostError(f"process {self.name} does not start")
        self._whole(reply)

    def order(self, call: str, args: dict[str, Any], fds: list[int] | None = None) -> None:
        """Have a call made; ``fds`` go with the order.

        Raises:
            HostError: the process has died.

        """
        try:
            socket.send_fds(self._control, [json.dumps(args | {"call": call}).encode()], fds or [])
        except OSError as error:
            raise HostError(f"process {self.name} cannot be reached: {error.strerror}") from None

    def reply(self, deadline: float) -> dict[str, Any] | Look:
        """Wait until the call ordered last has returned, or sleeps until another process or a timer wakes it, or stops.

        An agent sends its reply before it waits for the next order. So if it is in an interruptible sleep and, looked
        at after that, has sent no reply, then it sleeps in the call. Uninterruptible sleeps (disks, mutexes) end by
        themselves. Who wakes a sleeper makes it runnable before its own call returns, so that one look is enough for
        a call that slept before; a new call is looked at twice, lest it passes through a short sleep.

        Raises:
            HostError: neither until the deadline (of :func:`time.monotonic`).
            Died: the process has ended.

        """
        asleep: Look | None = None
        if self.step is None and message_waits(self._control, _FIRST_WAIT):
            return self._receive()
        while True:
            seen = look(self.pid)
            if message_waits(self._control, 0):
                return self._receive()
            if seen.state == "T" and self.may_stop:
                return seen
            if seen.state == "S" and (self.step is not None or seen == asleep):
                return seen
            if time.monotonic() > deadline:
                break
            asleep = seen if seen.state == "S" else None
            time.sleep(_BETWEEN_LOOKS)
        raise HostError(
            f"process {self.name} neither answers nor sleeps in its call"
            f" (state {seen.state}, call {seen.call or 'unknown'}, in {seen.channel or 'unknown'})"
        )

    def glance(self) -> dict[str, Any] | Look:
        """Return the reply to the call ordered last if it is there, else what the process is doing; do not wait.

        Raises:
            Died: the process has ended.

        """
        seen = look(self.pid)
        if message_waits(self._control, 0):
            return self._receive()
        if seen.state in "XZ":
            raise Died(f"process {self.name} has ended")
        return seen

    def message(self) -> dict[str, Any] | None:
        """Return the reply to the call ordered last if it is there.

        Raises:
            Died: the process has ended.

        """
        return self._receive() if message_waits(self._control, 0) else None

    def at_rest(self, deadline: float) -> Status | None:
        """Wait until the process sleeps or is stopped, and return what can be seen of it then; None: it has ended.

        Whatever it does to others before it has been done then.

        Raises:
            HostError: it does neither until the deadline (of :func:`time.monotonic`).

        """
        while not self.has_ended():
            seen = status(self.pid)
            if seen is not None and seen.state in "ST":
                look(self.pid)  # to read what call it is in the kernel waits until it is off its CPU
                return seen
            if time.monotonic() > deadline:
                raise HostError(f"process {self.name} does not come to rest (state {seen and seen.state})")
            time.sleep(_BETWEEN_LOOKS)
        return None

    def fileno(self) -> int:
        """Return the socket on which replies arrive, to wait for several agents at once."""
        return self._control.fileno()

    def _receive(self) -> dict[str, Any]:
        reply = receive(self._control)
        if reply is None:
            raise Died(f"process {self.name} dies in its call")
        return self._whole(reply)

    @staticmethod
    def _whole(reply: dict[str, Any]) -> dict[str, Any]:
        if "broken" in reply:
            raise HostError(str(reply["broken"]))
        return reply

    def signals_wait(self, mask: int) -> bool:
        """Whether signals of a mask are pending: bit 0 for signal 1, and so on."""
        return bool(pending_mask(self.pid) & mask)

    def handlers_ran(self) -> list[int]:
        """Return the signals whose handlers have run since this was asked last, in their order."""
        with contextlib.suppress(BlockingIOError):
            return list(self._wakeup.recv(LONGEST_MESSAGE))
        return []

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process is gone."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def has_ended(self) -> bool:
        """Whether the process has ended, reaped or not."""
        return self._handle < 0 or self._ends_within(0.0)

    def _ends_within(self, seconds: float) -> bool:
        poller = select.poll()
        poller.register(self._handle, select.POLLIN)
        return bool(poller.poll(max(0.0, seconds) * 1000))

    def gone(self, deadline: float) -> None:
        """Wait until the process has ended and all it had is closed.

        Raises:
            HostError: it has not ended by the deadline.

        """
        if self._handle >= 0 and not self._ends_within(deadline - time.monotonic()):
            raise HostError(f"process {self.name} does not end")
        self.alive = False
        self.step = None

    def reaped_or_kept(self, deadline: float) -> None:
        """Wait, after :meth:`gone`, until the process has lost its number, if nobody has to wait for it.

        Raises:
            HostError: neither that nor a zombie by the deadline.

        """
        # A process becomes a zombie, or not, under a lock that a signal for a group takes as well.
        os.killpg(os.getpgrp(), 0)
        while self.has_number() and ((seen := status(self.pid)) is None or seen.state != "Z"):
            if time.monotonic() > deadline:
                raise HostError(f"process {self.name} is neither reaped nor a zombie")
            time.sleep(_BETWEEN_LOOKS)

    def wait_status(self) -> int | None:
        """Return how the process ended, as wait(2) tells it; None if this kernel does not say."""
        if self._handle < 0:
            return None
        if self.has_number():
            return exit_code(self.pid)
        info = bytearray(_PIDFD_INFO.pack(_PIDFD_INFO_EXIT, 0))
        try:
            fcntl.ioctl(self._handle, _PIDFD_GET_INFO, info)
        except OSError:
            return None  # before Linux 6.15
        mask, code = _PIDFD_INFO.unpack(info)
        return code if mask & _PIDFD_INFO_EXIT else None

    def has_number(self) -> bool:
        """Return whether the process has its number: it lives, or was not waited for."""
        if self._handle < 0:
            return False
        try:
            signal.pidfd_send_signal(self._handle, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it has become somebody else
        return True

    def killed_by(self) -> int:
        """Return the signal that killed the process, which has ended; 0 if none did, or the kernel does not say.

        The kernel says it from Linux 6.15 on of processes that nobody waits for.
        """
        status = self.wait_status()
        return status & 0x7F if status is not None else 0

    def hang_up(self) -> None:
        """Close the sockets."""
        for sock in (
            self._control,
            self._control_end,
            self.inbox,
            self._inbox_end,
            self._wakeup,
            self._wakeup_end,
        ):
            sock.close()

    def close(self) -> None:
        """Close the runner's ends."""
        self.hang_up()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class Zygote:
    """The process that forks agents and, when the runner has gone for whatever reason, tidies up.

    Raises:
        HostError: it cannot be started.

    """

    def __init__(self) -> None:
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most < LEAST_DESCRIPTORS:
            raise HostError(f"at least {LEAST_DESCRIPTORS} descriptors are needed, {most} are allowed (ulimit -n)")
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._folder: Path | None = None
        try:
            with theirs:
                # A session of its own: Ctrl-C reaches the runner only.
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-I", "-S", "-c", source(), "zygote"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except OSError as error:
            self._control.close()
            raise HostError(f"{sys.executable} cannot be started: {error.strerror}") from None

    def make_folder(self, prefix: str, place: Path | str) -> Path:
        """Make a temporary folder, the only one, which is removed when the runner has gone.

        Raises:
            HostError: it cannot be made.

        """
        try:
            self._folder = Path(self._ask({"call": "folder", "prefix": prefix, "place": str(place)})["ret"])
        except BaseException:
            self.close()
            raise
        return self._folder

    def undo_at_end(self, file: Path, content: str, lock: int) -> None:
        """Have a file in /proc/sys written back when the runner has gone, and a lock held until then."""
        self._ask({"call": "note", "sysctl": [str(file), content]}, [lock])

    def nothing_to_undo(self) -> None:
        """Take back :meth:`undo_at_end`."""
        self._ask({"call": "note", "sysctl": None})

    def spawn(self, agent: Agent, folder: Path) -> None:
        """Start an agent in a folder.

        Raises:
            HostError: no process can be started.

        """
        agent.started(self._ask({"call": "spawn", "folder": str(folder)}, agent.ends)["ret"])

    def _ask(self, order: dict[str, Any], fds: list[int] | None = None) -> dict[str, Any]:
        try:
            socket.send_fds(self._control, [json.dumps(order).encode()], fds or [])
            reply = receive(self._control) if message_waits(self._control, _PATIENCE) else None
        except OSError as error:
            raise HostError(f"the process that starts the others is gone: {error.strerror}") from None
        if reply is None:
            raise HostError("the process that starts the others does not answer")
        if "broken" in reply:
            raise HostError(str(reply["broken"]))
        return reply

    def close(self) -> None:
        """Let it kill every process it started, put back what was changed and remove the files; wait for that."""
        self._control.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._folder is not None:
            remove(str(self._folder))  # where somebody has killed it
