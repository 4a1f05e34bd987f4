"""The process table: which live process has which number and name."""

import errno

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import KernelError
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.process import PROCESS_TABLE, Enroll, FindProcess, FoundProcess, Retire


class ProcessTable(Actor):
    """Live processes, in the order in which they came into being."""

    def __init__(
        self, engine: Engine, address: Address = PROCESS_TABLE, processes: dict[int, tuple[str, Address]] | None = None
    ) -> None:
        super().__init__(engine, address)
        self.processes = dict(processes or {})
        """Name and address by number."""

    @handles(Enroll)
    def enroll(self, request: Enroll, _src: Address) -> Done:
        """Enter a new process."""
        self.processes[request.pid] = (request.name, request.address)
        return DONE

    @handles(Retire)
    def retire(self, request: Retire, _src: Address) -> Done:
        """Strike a dead one out."""
        del self.processes[request.pid]
        return DONE

    @handles(FindProcess)
    def find(self, request: FindProcess, _src: Address) -> FoundProcess:
        """Find by number, else the first with the name."""
        for pid, (name, address) in self.processes.items():
            if pid == request.pid or (not request.pid and name == request.name):
                return FoundProcess(address)
        raise KernelError(errno.ESRCH)
