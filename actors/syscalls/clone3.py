"""clone3(2) with a number that was used before, which fork(2) gives only when all others have been used."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.processes import make_child, new_number
from longpin.messages.process.process import PROCESS_TABLE, ReservePid

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.PROCESSES, on_host=False)
syscall = CALLS.declare


@syscall(
    "clone3(program: program, set_tid: int)",
    "clone(2)",
    returns="as `fork`, with the process id `set_tid`: EEXIST while somebody has it, EPERM for all but uid 0",
    partial="of a process, with a number that one of the scenario had before",
)
def clone3(process: "Process", program: str, set_tid: int) -> Conversation[int]:
    """clone3(2) as fork(2), with ``set_tid``: what a process held that had the number is not the new one's [H17]."""
    if set_tid < 1:
        raise KernelError(errno.EINVAL)
    if process.credentials.uid:  # CAP_SYS_ADMIN, which no scenario gives to others [alloc_pid]
        raise KernelError(errno.EPERM)
    yield Call(PROCESS_TABLE, ReservePid(set_tid))
    number, name = new_number(process, program)
    yield from make_child(process, process.images[program], set_tid, name, f"process:{number}")
    return set_tid
