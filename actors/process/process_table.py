"""The process table: which process has which number, name and group, until it is reaped."""

import errno
from typing import NamedTuple

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.constants import F_OWNER_PGRP, F_OWNER_TID
from longpin.actors.conversation import KernelError
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.process.process import (
    PROCESS_TABLE,
    Enroll,
    EnrollThread,
    FindGroup,
    FindOwner,
    FindProcess,
    FoundGroup,
    FoundOwner,
    FoundProcess,
    ReservePid,
    Retire,
    RetireThread,
)


class Entry(NamedTuple):
    """A process, live or a zombie."""

    name: str
    address: Address
    group: int


class ProcessTable(Actor):
    """Processes that have a number, in the order in which they came into being."""

    def __init__(
        self, engine: Engine, address: Address = PROCESS_TABLE, processes: dict[int, Entry] | None = None
    ) -> None:
        super().__init__(engine, address)
        self.processes = dict(processes or {})
        self.threads: dict[int, int] = {}
        """The process of each thread that is no thread group leader, by numbers."""
        self.free: set[int] = set()
        """Numbers that were given back."""
        self.reserved: set[int] = set()
        """Numbers taken again for processes that are not there yet. Invariant: none is in another of these four."""

    @handles(Enroll)
    def enroll(self, request: Enroll, _src: Address) -> Done:
        """Enter a new process."""
        self.reserved.discard(request.pid)
        self.processes[request.pid] = Entry(request.name, request.address, request.group)
        return DONE

    @handles(Retire)
    def retire(self, request: Retire, _src: Address) -> Done:
        """Strike out one that was reaped."""
        del self.processes[request.pid]
        self.free.add(request.pid)
        return DONE

    @handles(ReservePid)
    def reserve(self, request: ReservePid, _src: Address) -> Done:
        """Take a number again; one that a group still has is in use [alloc_pid]."""
        if request.pid in self.free and all(entry.group != request.pid for entry in self.processes.values()):
            self.free.remove(request.pid)
            self.reserved.add(request.pid)
            return DONE
        used = (self.free, self.reserved, self.processes, self.threads)
        raise KernelError(errno.EEXIST if any(request.pid in numbers for numbers in used) else errno.EINVAL)

    @handles(EnrollThread)
    def enroll_thread(self, request: EnrollThread, _src: Address) -> Done:
        """Enter a new thread."""
        self.threads[request.tid] = request.process
        return DONE

    @handles(RetireThread)
    def retire_thread(self, request: RetireThread, _src: Address) -> Done:
        """Strike out one that has ended."""
        del self.threads[request.tid]
        self.free.add(request.tid)
        return DONE

    @handles(FindProcess)
    def find(self, request: FindProcess, _src: Address) -> FoundProcess:
        """Find by number, else the first with the name."""
        leader = self.processes.get(self.threads.get(request.pid, 0))
        if leader is not None:
            return FoundProcess(leader.address, request.pid)
        for pid, entry in self.processes.items():
            if pid == request.pid or (not request.pid and entry.name == request.name):
                return FoundProcess(entry.address)
        raise KernelError(errno.ESRCH)

    @handles(FindGroup)
    def find_group(self, request: FindGroup, _src: Address) -> FoundGroup:
        """Find the members of a group."""
        wanted = request.group
        members = tuple(entry.address for entry in self.processes.values() if wanted in (entry.group, -1))
        if not members:
            raise KernelError(errno.ESRCH)
        return FoundGroup(members)

    @handles(FindOwner)
    def find_owner(self, request: FindOwner, _src: Address) -> FoundOwner:
        """Find a number, whatever it is of [find_vpid], and who has it as what is asked for [pid_task]."""
        number = request.number
        group = tuple(entry.address for entry in self.processes.values() if entry.group == number)
        is_thread = number in self.threads
        process = self.processes.get(self.threads[number] if is_thread else number)
        if process is None and not group:
            raise KernelError(errno.ESRCH)
        task = "" if process is None else process.address
        members = group if request.type == F_OWNER_PGRP else tuple(filter(None, [task]))
        return FoundOwner(() if is_thread and request.type != F_OWNER_TID else members, task)
