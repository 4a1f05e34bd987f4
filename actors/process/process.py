"""A process: descriptors, signals, children, and threads that run its program, one call after the other [1.1].

A call is a conversation of this actor with the others (:mod:`longpin.actors.syscalls`). While it waits, the process
still answers what the kernel does to it from outside: signals generated, descriptors sent, children that change. What a
thread has for itself is :mod:`longpin.actors.process.thread`; memory is an actor of its own,
:mod:`longpin.actors.mm.mm`. Between two calls a thread is in user space, which is a schedule point
(:class:`~longpin.messages.process.process.NextCall`).
"""

import errno
from typing import Any, ClassVar

from longpin.actors.base import Engine, handles
from longpin.actors.constants import RLIMIT_MEMLOCK, RLIMIT_NOFILE, RLIMIT_SIGPENDING, SIG_HANDLER, SIG_IGN, SIGCHLD
from longpin.actors.conversation import (
    Call,
    Conversation,
    KernelError,
    Step,
    Uninterruptible,
    Wait,
    WaitQueue,
    outcome,
    single,
)
from longpin.actors.kernel.machine import Kernel
from longpin.actors.mm.gup import Buffer
from longpin.actors.mm.mm import Mm
from longpin.actors.policies.base import Policy
from longpin.actors.process.facts import CallRecord, Ended, HoldersRead, SignalTaken
from longpin.actors.process.inspected import Inspected
from longpin.actors.process.mapped import MappedFiles
from longpin.actors.process.pending import CLD_CONTINUED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, Siginfo
from longpin.actors.process.process_state import MOST_FDS, Child, Exit, Inherited, Noted
from longpin.actors.process.program import Image
from longpin.actors.process.thread import Thread
from longpin.messages.clock import TimerExpired
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Put, Release
from longpin.messages.fs.inode import FlushFile
from longpin.messages.mm.mm import ExitMmap
from longpin.messages.process.caller import Caller
from longpin.messages.process.process import (
    PROCESS_TABLE,
    ChildChanged,
    ChildNotifies,
    File,
    NextCall,
    NotifyParent,
    PassFile,
    Retire,
    RetireThread,
    Start,
)

EXIT_NOTIFY = "exit_notify"
"""What exit does last: the process hands its children to init and tells its parent."""

FIRST_FD = 3
"""Standard input, output and error are taken."""


class Process(Inspected):
    """One process."""

    thread_type: ClassVar[type[Thread]] = Thread
    """What its threads are: others may watch more closely."""

    def __init__(
        self,
        engine: Engine,
        address: Address,
        kernel: Kernel,
        images: dict[str, Image],
        image: Image,
        pid: int,
        name: str,
        inherited: Inherited,
    ) -> None:
        super().__init__(engine, address, image, inherited)
        self.kernel = kernel
        self.images = images
        """What fork can start, by name."""
        self.pid = pid
        self.name = name
        self.group = inherited.group or pid
        self.parent = inherited.parent
        """Who is told of its end; empty: init."""
        self.children: dict[int, Child] = {}
        """Those it has not reaped, by number."""
        self.child_waiters = WaitQueue()
        self.limits = dict(
            inherited.limits
            or {
                RLIMIT_NOFILE: MOST_FDS,
                RLIMIT_MEMLOCK: image.memlock,
                RLIMIT_SIGPENDING: image.sigpending,
            }
        )
        """Resource limits by RLIMIT_ number [setrlimit(2)]."""
        self.pending.limit = self.limits[RLIMIT_SIGPENDING]
        self.fds = dict(inherited.fds)
        self.close_on_exec = set(inherited.close_on_exec)
        """Descriptors opened with O_CLOEXEC. Invariant: keys of ``fds``."""
        self.unused: list[int] = []
        """Numbers that calls under way have taken for descriptors, in that order. Invariant: no keys of ``fds``."""
        self.received: list[File] = []
        """Descriptors in flight to this process."""
        self.sleepers = WaitQueue()
        """Where pause, sleep and recv_fd wait."""
        self.counters: dict[str, int] = {}
        self.mm = inherited.mm
        """Its memory map; empty: it has not come into being, because nothing was mapped or pinned yet."""
        if self.mm:
            self.count("mm")
        self.mapped = MappedFiles(inherited.mapped)
        self.dead = False
        # Invariant: dead implies exiting, and no descriptors or mappings.
        own = (dict(inherited.variables), inherited.blocked, inherited.credentials)
        self.threads.append(self.make_thread(image, *own, pid, name))
        self.current = self.leader
        self.thread_waiters = WaitQueue()
        self.joinable: list[int] = []
        self.group_exit: Exit | None = None
        self.noted: list[Noted] = []
        """What calls of its programs have come to that a use is about, each outcome once."""
        self.killed_holders: list[HoldersRead] = []
        """Of which files it has killed all who were listed: rule O8 looks what is left of what was in the way."""

    def make_thread(self, *state: Any) -> Thread:
        """Make a thread that has not begun to run."""
        return self.thread_type(self, *state)

    @property
    def identity(self) -> str:
        """What addresses of the things it makes begin with: its number, unless another process had that before."""
        return self.address.partition(":")[2]

    def count(self, what: str) -> int:
        """Return 1, 2, ... for the things this process makes of one kind, for their addresses."""
        self.counters[what] = number = self.counters.get(what, 0) + 1
        return number

    @property
    def caller(self) -> Caller:
        """What those see of it who decide on its calls."""
        own = self.credentials
        tid = self.current.tid
        tid = 0 if tid == self.pid else tid
        return Caller(self.address, self.pid, own.uid, own.fsuid, own.effective, tid)

    # The program.

    @handles(Start)
    def start_program(self, _request: Start, _src: Address) -> None:
        """Begin."""
        self.leader.start()

    def end(self, end: Exit) -> Conversation[None]:
        """Die."""
        self.exiting = True
        if end.signo:
            self.facts.append(SignalTaken(end.signo, -1, "terminated"))
        self.facts.append(Ended(end.status, end.signo))
        yield from self._exit(end)
        self.dead = True

    def calls(self) -> list[CallRecord]:
        """Return the calls of all threads that have not returned, for those who watch."""
        return [record for thread in self.threads for record in thread.calls]

    # Descriptors.

    def descriptor(self, fd: int) -> File:
        """Return what a descriptor refers to, or fail with EBADF."""
        if fd not in self.fds:
            raise KernelError(errno.EBADF)
        return self.fds[fd]

    def file(self, fd: int) -> File:
        """Return what a descriptor refers to, or fail with EBADF, also if it was opened with O_PATH.

        The call that asks keeps it until it returns.
        """
        file = self.descriptor(fd)
        if file.kind == "path":
            raise KernelError(errno.EBADF)
        if self.has_threads:
            self.current.hold(file)
        return file

    def reserve(self, count: int) -> None:
        """Fail with EMFILE if so many descriptors are not free, before anything is made for them."""
        limit = self.limits[RLIMIT_NOFILE]
        if sum(FIRST_FD <= fd < limit for fd in (*self.fds, *self.unused)) + count > limit - FIRST_FD:
            raise KernelError(errno.EMFILE)

    def get_unused_fd(self, least: int = FIRST_FD) -> int:
        """Take the lowest free number from ``least`` on, before there is anything to enter under it.

        Raises:
            KernelError: EMFILE, there is none.

        """
        fd = max(least, FIRST_FD)
        while fd in self.fds or fd in self.unused:
            fd += 1
        if fd >= self.limits[RLIMIT_NOFILE]:
            raise KernelError(errno.EMFILE)
        self.unused.append(fd)
        return fd

    def put_unused_fd(self, fd: int) -> None:
        """Give back a number under which nothing was entered."""
        self.unused.remove(fd)

    def install_at(self, fd: int, file: File, *, close_on_exec: bool = False) -> int:
        """Enter a reference under a number that was taken before."""
        self.unused.remove(fd)
        self.fds[fd] = file
        if close_on_exec:
            self.close_on_exec.add(fd)
        return fd

    def install(self, file: File) -> int:
        """Enter a reference under the lowest free number; it survives exec."""
        return self.install_at(self.get_unused_fd(), file)

    def remove(self, fd: int) -> File:
        """Take an entry out of the table."""
        self.close_on_exec.discard(fd)
        return self.fds.pop(fd)

    def put(self, file: File) -> Conversation[None]:
        """Drop a reference and, if it was the last, run the release before the call returns [1.3]."""
        if (yield Call(file.ofd, Put())).last:
            yield Call(file.ofd, Release(exiting=False))

    def flush(self, file: File, *, exiting: bool = False) -> Conversation[None]:
        """Tell the inode of a descriptor that is closed, before its reference goes, where a policy asks [1.2]."""
        if file.kind == "file" and self.kernel.policy.overrides(Policy.flush_gate):
            last = all(other.ofd != file.ofd for other in self.fds.values())
            yield Call(file.backing, FlushFile(file.ofd, last, exiting, self.caller))

    # Memory.

    def memory(self) -> Address:
        """Return its memory map, which comes into being when it is used first, and again after exec."""
        if not self.mm:
            self.mm = f"mm:{self.identity}.{self.count('mm')}"
            self.spawn(Mm, self.mm, self.kernel)
        return self.mm

    @property
    def memlock(self) -> int:
        """RLIMIT_MEMLOCK in bytes; -1: none, it has CAP_IPC_LOCK."""
        return -1 if "CAP_IPC_LOCK" in self.credentials.capabilities else self.limits[RLIMIT_MEMLOCK]

    def buffer(self, address: int, pages: int) -> Buffer:
        """Return memory of this process that is to be pinned by its right to lock memory."""
        return Buffer(self.memory(), address, pages, self.caller, self.memlock)

    def _leave_memory(self) -> Conversation[tuple[File, ...]]:
        """Have every mapping go; return the files of which they held the last reference."""
        if not self.mm:
            return ()
        left, self.mm = self.mm, ""
        self.mapped.clear()
        releases: tuple[File, ...] = (yield Uninterruptible(left, ExitMmap())).releases
        return releases

    def leave_image(self) -> Conversation[None]:
        """Do what execve does before the new program runs: mappings, O_CLOEXEC descriptors and handlers go [2.4].

        Raises:
            KernelError: EINTR, the process ends first.

        """
        yield from self.de_thread()
        for file in (yield from self._leave_memory()):
            yield Call(file.ofd, Release(exiting=False))
        for fd in sorted(self.close_on_exec):
            file = self.fds.pop(fd)
            yield from outcome(self.flush(file))
            yield from self.put(file)
        self.close_on_exec.clear()
        self.handler_programs.clear()
        self.dispositions = {s: d for s, d in self.dispositions.items() if d.action != SIG_HANDLER}

    # What others send.

    @handles(PassFile)
    def receive_file(self, request: PassFile, _src: Address) -> Done:
        """Queue a descriptor that arrives in the socket; it stays in flight until recv_fd takes it."""
        if self.exiting:
            raise KernelError(errno.EPIPE)
        self.received.append(request.file)
        self.sleepers.wake_all(self)
        return DONE

    @handles(TimerExpired)
    def timer_expired(self, timer: TimerExpired, _src: Address) -> None:
        """End a sleep, if this is its timer and not that of an earlier one, which was interrupted."""
        if any(thread.timer_expired(timer.name) for thread in self.threads):  # it is one thread's
            self.sleepers.wake_all(self)

    # Parents and children.

    def change_for_parent(self, code: int, signo: int) -> None:
        """Let the parent's waitpid find that the process has stopped, or goes on."""
        if self.parent:
            self.send(self.parent, ChildChanged(self.pid, code, signo))

    def notify_parent(self, code: int) -> None:
        """Send the parent SIGCHLD for that."""
        if self.parent:
            self.send(self.parent, ChildNotifies(code))

    @handles(ChildChanged)
    def child_changed(self, news: ChildChanged, _src: Address) -> Conversation[None]:
        """Note that a child has ended, stopped or gone on: SIGCHLD, perhaps a zombie. A dead parent's are init's."""
        ended = news.code in (CLD_EXITED, CLD_KILLED)
        if ended and self._hears_of_children:
            yield Step(NotifyParent())
        disposition = self.disposition(SIGCHLD)
        child = self.children.get(news.pid)
        if ended and (child is None or disposition.reaps):
            self.children.pop(news.pid, None)
            self.send(PROCESS_TABLE, Retire(news.pid))
        if child is None:
            return
        if not ended:
            child.news, child.signo = news.code, news.status
            return
        child.ended = True
        child.status = news.status << 8 if news.code == CLD_EXITED else news.status
        self._hear_of_child(news.code)

    @handles(ChildNotifies)
    def child_notifies(self, notice: ChildNotifies, _src: Address) -> Conversation[None]:
        """Generate SIGCHLD of a child that stopped or goes on, unless SA_NOCLDSTOP [do_notify_parent_cldstop]."""
        if self._hears_of_children:
            yield Step(NotifyParent())
        self._hear_of_child(notice.code)

    def _hear_of_child(self, code: int) -> None:
        """Generate SIGCHLD, if it is heard, and wake waitpid."""
        stops = code in (CLD_STOPPED, CLD_CONTINUED)
        if not self.exiting and self._hears_of_children and (not stops or self.disposition(SIGCHLD).tells_of_stops):
            self.generate(Siginfo(SIGCHLD, si_code=code))
        self.child_waiters.wake_all(self)

    @property
    def _hears_of_children(self) -> bool:
        """Whether SIGCHLD is sent here: with SIG_IGN not even if it is blocked [do_notify_parent]."""
        return self.disposition(SIGCHLD).action != SIG_IGN and not self.is_ignored(SIGCHLD)

    # The end.

    def _exit(self, end: Exit) -> Conversation[None]:
        """Let go of memory, then of descriptors, and only then release what they held the last reference of [1.1].

        The parent is told when all that is done, so a process that hangs in a release is no zombie yet.
        """
        releases = list((yield from self._leave_memory()))
        files = [self.fds.pop(fd) for fd in self.kernel.policy.on_exit(tuple(sorted(self.fds)))]
        for file in files:
            yield from outcome(self.flush(file, exiting=True))
        for file in files + self.received:
            if (yield Call(file.ofd, Put())).last:
                releases.append(file)
        self.received.clear()
        for file in releases:
            # Nobody is left to hear the error of a release.
            yield from outcome(single(Call(file.ofd, Release(exiting=True))))
        if self.current is not self.leader:
            self.send(PROCESS_TABLE, RetireThread(self.current.tid))
        yield from self.await_others(self.current, Wait.UNINTERRUPTIBLE)
        yield Step(NextCall(EXIT_NOTIFY))  # who sends it signals meanwhile still finds it
        for child in self.children.values():
            if child.ended:
                self.send(PROCESS_TABLE, Retire(child.pid))
        self.children.clear()
        if self.parent:
            code, status = (CLD_KILLED, end.signo) if end.signo else (CLD_EXITED, end.status & 0xFF)
            self.send(self.parent, ChildChanged(self.pid, code, status))
        else:
            self.send(PROCESS_TABLE, Retire(self.pid))
