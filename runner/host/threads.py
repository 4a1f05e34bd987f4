"""Threads of a scenario's processes on the host kernel: each is one of the process that makes its calls."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.conversation import KernelError
from longpin.actors.process.process_state import Exit, Value
from longpin.actors.process.program import Image
from longpin.runner.host.calls import NOBODY, LabelWait, Steps, ask, ask_value
from longpin.runner.host.program import HostProcess
from longpin.runner.host.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from longpin.runner.machine.orders import Order, Reply

_ROOM = 1 << 36
"""Bytes of addresses that a thread maps files in, apart from the others of its process."""


class HostThread(HostProcess):
    """A thread that is not the first of its process."""

    def __init__(self, world: Surroundings, image: Image, tid: int, name: str, maker: HostProcess) -> None:
        super().__init__(world, image, tid, name, maker)
        self.process = maker.process
        self.handler_programs = self.process.handler_programs
        self.dispositions = self.process.dispositions
        self.children = self.process.children
        self.group = self.process.group
        self.next_mapping += _ROOM * (tid % 100)

    def program_over(self) -> Exit:
        """Return how it ends after its last line: alone."""
        return Exit(0, of_thread=True)

    def end(self, end: Exit) -> "Generator[Order | LabelWait, Reply, None]":
        """Have the real thread end, or its process."""
        self.status = end.status
        yield from ask("threadexit" if end.of_thread else "exit", status=end.status)


def ended_label(tid: int) -> str:
    """Return the label that stands for the end of a thread: no scenario can name it."""
    return f"\0thread {tid}"


def _clone(process: HostProcess, program: str) -> Steps:
    tid, name = process.world.new_number(process, program)
    thread = HostThread(process.world, process.world.images[program], tid, name, process)
    try:
        thread.agent.thread_started((yield from ask("thread", fds=tuple(thread.agent.ends[:1])))["ret"])
    except BaseException:
        thread.agent.close()
        raise
    process.world.enroll(thread)
    return tid


def _gettid(process: HostProcess) -> Steps:
    value = yield from ask_value("gettid")
    assert isinstance(value, int)
    return process.world.scenario_pid(value)


def _pthread_exit(_process: HostProcess) -> Value:
    raise Exit(0, of_thread=True)


def _pthread_join(process: HostProcess, tid: int) -> Steps:
    if tid == process.pid:
        raise KernelError(errno.EDEADLK)
    if tid in process.process.joined or not process.world.has_thread(process.process, tid):
        raise KernelError(errno.ESRCH)
    if (yield LabelWait(ended_label(tid))).get("errno"):
        raise KernelError(errno.EINTR)
    process.process.joined.append(tid)
    return 0


def _tgkill(process: HostProcess, target: str | int, tid: int, signo: int) -> Steps:
    if isinstance(target, str):
        found = process.world.find(target)
        target = found.pid if found is not None else NOBODY
    real = process.world.real_number
    return ask_value("tgkill", pid=real(target), tid=real(tid), sig=signo)


THREAD_CALLS: "dict[str, Callable[..., Steps | Value]]" = {
    "clone": _clone,
    "gettid": _gettid,
    "pthread_exit": _pthread_exit,
    "pthread_join": _pthread_join,
    "tgkill": _tgkill,
}
"""The calls on threads."""
