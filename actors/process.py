"""A process: descriptors, memory, signals, and a program it runs one call after the other [1.1].

A call is a conversation of this actor with the others (:mod:`longpin.actors.syscalls`). While it waits, the process
still answers what the kernel does to it from outside: page table entries installed and zapped, signals generated.
"""

import errno
from types import GeneratorType

from longpin.actors.address_space import AddressSpace, Mapping, Pte
from longpin.actors.base import Engine, handles
from longpin.actors.constants import SIG_HANDLER
from longpin.actors.conversation import Call, Conversation, KernelError, WaitQueue, outcome, single
from longpin.actors.facts import CallBegun, CallEnded, CallRecord, Ended
from longpin.actors.interpreter import arguments, unroll
from longpin.actors.kernel import Kernel
from longpin.actors.locks import Lock
from longpin.actors.process_state import MOST_FDS, Exec, Exit, Inherited, Value
from longpin.actors.program import Image, Op, Program
from longpin.actors.signals import SignalTarget
from longpin.actors.syscalls import CALLS
from longpin.messages.clock import TimerExpired
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.file import Put, Release
from longpin.messages.inode import RemoveMapping
from longpin.messages.process import (
    PROCESS_TABLE,
    File,
    InstallPte,
    PassFile,
    Retire,
    Start,
    Uncharge,
    Zap,
)

FIRST_FD = 3
"""Standard input, output and error are taken."""


class Process(SignalTarget):
    """One process with one thread."""

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
        self.fds = dict(inherited.fds)
        self.close_on_exec = set(inherited.close_on_exec)
        """Descriptors opened with O_CLOEXEC. Invariant: keys of ``fds``."""
        self.spaces = [AddressSpace(kernel.page_size)]
        """Its memory last, before it what each exec left behind: a region is charged to the one it was made in."""
        for mapping in inherited.mappings:
            self.mm.copy_mapping(mapping)
        self.page_table_lock = Lock(self, f"the page table lock of {address}")
        self.received: list[File] = []
        """Descriptors in flight to this process."""
        self.sleepers = WaitQueue()
        """Where pause, sleep and recv_fd wait."""
        self.timer = ""
        """The timer of a sleep under way."""
        self.wc_status = 0
        self.counters: dict[str, int] = {}
        self.dead = False
        # Invariant: dead implies exiting, and no descriptors or mappings.
        self.calls: list[CallRecord] = []
        """Those that have not returned: the program's, then that of a handler which interrupted it."""

    def count(self, what: str) -> int:
        """Return 1, 2, ... for the things this process makes of one kind, for their addresses."""
        self.counters[what] = number = self.counters.get(what, 0) + 1
        return number

    @property
    def mm(self) -> AddressSpace:
        """The memory it has."""
        return self.spaces[-1]

    # The program.

    @handles(Start)
    def start_program(self, _request: Start, _src: Address) -> None:
        """Begin."""
        self.main = self.start_task(self._run())

    def _run(self) -> Conversation[None]:
        end: Exit | None = None
        while end is None:
            try:
                yield from self.execute(self.image.program)
                end = Exit(0)
            except Exec as replaced:
                self.image = replaced.image
                self.handler_programs = dict(self.image.handlers)
                self.dispositions |= self.initial_dispositions()
            except Exit as exit_:
                end = exit_
        yield from self.end(end)

    def end(self, end: Exit) -> Conversation[None]:
        """Die."""
        self.exiting = True
        self.facts.append(Ended(end.status, end.signo))
        yield from self._exit()
        self.dead = True

    def execute(self, program: Program) -> Conversation[None]:
        """Run a program, the main one or a handler's."""
        for op in unroll(program.statements, self.variables):
            yield from self.take_signals()
            yield from self._call(op)
        yield from self.take_signals()

    def begin_call(self, op: Op) -> CallRecord:
        """Note that a call is made."""
        record = CallRecord(op)
        self.calls.append(record)
        self.facts.append(CallBegun(record))
        return record

    def _call(self, op: Op) -> Conversation[None]:
        """Make one call, again if a signal interrupted it and its handler has SA_RESTART."""
        record = self.begin_call(op)
        assert self.main is not None
        restart = True
        while restart:
            self.main.slept = ""
            value: Value = -1
            record.errno = 0
            try:
                result = CALLS[op.call](self, *arguments(op, self.variables))
                value = (yield from result) if type(result) is GeneratorType else result
            except KernelError as error:
                record.errno = error.errno
            record.slept = self.main.slept or record.slept
            restart = record.errno == errno.EINTR and self.restarts(op.call)
            if restart:
                yield from self.take_signals()
        record.ret = value if isinstance(value, int) else repr(value) if isinstance(value, bytes) else 0
        record.value = value
        record.returned = True
        self.calls.pop()
        self.facts.append(CallEnded(record))
        if op.target is not None:
            self.variables[op.target] = value

    # Descriptors.

    def descriptor(self, fd: int) -> File:
        """Return what a descriptor refers to, or fail with EBADF."""
        if fd not in self.fds:
            raise KernelError(errno.EBADF)
        return self.fds[fd]

    def file(self, fd: int) -> File:
        """Return what a descriptor refers to, or fail with EBADF, also if it was opened with O_PATH."""
        file = self.descriptor(fd)
        if file.kind == "path":
            raise KernelError(errno.EBADF)
        return file

    def reserve(self, count: int) -> None:
        """Fail with EMFILE if so many descriptors are not free, before anything is made for them."""
        if sum(fd >= FIRST_FD for fd in self.fds) + count > MOST_FDS - FIRST_FD:
            raise KernelError(errno.EMFILE)

    def install(self, file: File) -> int:
        """Enter a reference under the lowest free number; it survives exec."""
        fd = FIRST_FD
        while fd in self.fds:
            fd += 1
        self.fds[fd] = file
        return fd

    def remove(self, fd: int) -> File:
        """Take an entry out of the table."""
        self.close_on_exec.discard(fd)
        return self.fds.pop(fd)

    def put(self, file: File, *, exiting: bool = False) -> Conversation[None]:
        """Drop a reference and, if it was the last, run the release before the call returns [1.3]."""
        if (yield Call(file.ofd, Put())).last:
            yield Call(file.ofd, Release(exiting))

    # Memory.

    @handles(InstallPte)
    def install_pte(self, request: InstallPte, _src: Address) -> Conversation[Done]:
        """The fault handler maps a block."""
        with (yield self.page_table_lock.exclusive()):
            self.mm.page_table[request.vma, request.page] = Pte(request.pmem, request.block, request.writable)
        return DONE

    @handles(Zap)
    def zap(self, request: Zap, _src: Address) -> Conversation[Done]:
        """The file system unmaps a range everywhere."""
        with (yield self.page_table_lock.exclusive()):
            self.mm.zap(request.inode, request.first, request.last)
        return DONE

    @handles(Uncharge)
    def uncharge(self, request: Uncharge, _src: Address) -> Done:
        """Give pinned pages back to RLIMIT_MEMLOCK."""
        self.spaces[request.space].pinned_vm -= request.pages
        return DONE

    def unmap(self, mapping: Mapping) -> Conversation[bool]:
        """Remove a mapping; True if its reference was the file's last, which then has to be released."""
        self.mm.remove(mapping)
        yield Call(mapping.inode, RemoveMapping(self.address, mapping.number))
        last: bool = (yield Call(mapping.file.ofd, Put())).last
        return last

    def leave_image(self) -> Conversation[None]:
        """Do what execve does before the new program runs: mappings, O_CLOEXEC descriptors and handlers go [2.4]."""
        for mapping in list(self.mm.mappings):
            if (yield from self.unmap(mapping)):
                yield Call(mapping.file.ofd, Release(exiting=False))
        for fd in sorted(self.close_on_exec):
            yield from self.put(self.fds.pop(fd))
        self.close_on_exec.clear()
        self.handler_programs.clear()
        self.dispositions = {s: d for s, d in self.dispositions.items() if d.action != SIG_HANDLER}
        self.spaces.append(AddressSpace(self.kernel.page_size))

    # What others send.

    @handles(PassFile)
    def receive_file(self, request: PassFile, _src: Address) -> Done:
        """A descriptor arrives in the socket; it stays in flight until recv_fd takes it."""
        if self.exiting:
            raise KernelError(errno.EPIPE)
        self.received.append(request.file)
        self.sleepers.wake_all(self)
        return DONE

    @handles(TimerExpired)
    def timer_expired(self, timer: TimerExpired, _src: Address) -> None:
        """sleep is over, if this is its timer and not that of an earlier one, which was interrupted."""
        if timer.name == self.timer:
            self.timer = ""
            self.sleepers.wake_all(self)

    # The end.

    def _exit(self) -> Conversation[None]:
        """exit: memory, then descriptors, and only then what the last references left to release [1.1]."""
        releases: list[File] = []
        for mapping in list(self.mm.mappings):
            if (yield from self.unmap(mapping)):
                releases.append(mapping.file)
        files = [self.fds.pop(fd) for fd in self.kernel.policy.on_exit(tuple(sorted(self.fds)))]
        for file in files + self.received:
            if (yield Call(file.ofd, Put())).last:
                releases.append(file)
        self.received.clear()
        for file in releases:
            # Whatever a release has to say, nobody is left to hear it.
            yield from outcome(single(Call(file.ofd, Release(exiting=True))))
        yield Call(PROCESS_TABLE, Retire(self.pid))
