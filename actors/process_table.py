"""The process table: which live process has which number, name and group."""

import errno
from typing import NamedTuple

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import KernelError
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.process import PROCESS_TABLE, Enroll, FindGroup, FindProcess, FoundGroup, FoundProcess, Retire


class Entry(NamedTuple):
    """A live process."""

    name: str
    address: Address
    group: int


class ProcessTable(Actor):
    """Live processes, in the order in which they came into being."""

    def __init__(
        self, engine: Engine, address: Address = PROCESS_TABLE, processes: dict[int, Entry] | None = None
    ) -> None:
        super().__init__(engine, address)
        self.processes = dict(processes or {})

    @handles(Enroll)
    def enroll(self, request: Enroll, _src: Address) -> Done:
        """Enter a new process."""
        self.processes[request.pid] = Entry(request.name, request.address, request.group)
        return DONE

    @handles(Retire)
    def retire(self, request: Retire, _src: Address) -> Done:
        """Strike a dead one out."""
        del self.processes[request.pid]
        return DONE

    @handles(FindProcess)
    def find(self, request: FindProcess, _src: Address) -> FoundProcess:
        """Find by number, else the first with the name."""
        for pid, entry in self.processes.items():
            if pid == request.pid or (not request.pid and entry.name == request.name):
                return FoundProcess(entry.address)
        raise KernelError(errno.ESRCH)

    @handles(FindGroup)
    def find_group(self, request: FindGroup, _src: Address) -> FoundGroup:
        """Find the members of a group; a live process that leads none is a group without members [find_vpid]."""
        members = tuple(entry.address for entry in self.processes.values() if entry.group == request.group)
        if not members and request.group not in self.processes:
            raise KernelError(errno.ESRCH)
        return FoundGroup(members)
