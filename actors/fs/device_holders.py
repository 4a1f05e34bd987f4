"""Who has a device open, when the kernel wants to kill them all: each process is asked what its descriptors refer to.

There is no list of them. A device is kept by references to its description, so whoever gets one while this is read,
by fork(2) or through a socket, is missed.
"""

from collections.abc import Collection

from longpin.actors.constants import SIGKILL
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.messages.envelope import Address
from longpin.messages.process.caller import Caller
from longpin.messages.process.descriptors import Descriptors, ListDescriptors
from longpin.messages.process.process import PROCESS_TABLE, FindGroup, Signal

KERNEL = Caller("", 0, 0, 0, ("CAP_SYS_PTRACE",))
"""Whoever asks may see everything."""


def kill_all_who_have(contexts: Collection[Address]) -> Conversation[None]:
    """Send SIGKILL to every process that has one of these devices open, also one to which it is on its way."""
    try:
        members: tuple[Address, ...] = (yield Call(PROCESS_TABLE, FindGroup(-1))).members
    except KernelError:  # nobody is left
        return
    for member in members:
        shown: Descriptors = yield Call(member, ListDescriptors(KERNEL))
        files = (*(file for _, file in shown.table), *shown.in_flight)
        if any(file.backing in contexts for file in files):
            yield Call(member, Signal(SIGKILL))
