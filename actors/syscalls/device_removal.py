"""Verbs: a device is taken out of the machine while processes have it open [1.10]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.messages.rdma.removal import RemoveDevice, node_of

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.VERBS, on_host=False)
syscall = CALLS.declare


@syscall(
    "remove_device(name: str)",
    "",
    returns="0: what an administrator does with `/sys/bus/pci/devices/.../remove` or `rdma link delete`. What "
    "contexts own is destroyed, their descriptors stay and fail with EIO; a driver that cannot do that waits "
    "until all are closed",
    errnos={
        "ENODEV": "semantics 1.10: there is no such device, or it has been removed",
        "EOPNOTSUPP": "semantics 1.10: `[[device]] removable` does not say that it can be removed",
        "EPERM": "semantics 1.10: not by root",
    },
)
def remove_device(process: "Process", name: str) -> Conversation[int]:
    """Remove a device."""
    device = next((device for device in process.kernel.devices if device.name == name), None)
    if process.caller.uid:
        raise KernelError(errno.EPERM)
    if device is None:
        raise KernelError(errno.ENODEV)
    if not device.removable:
        raise KernelError(errno.EOPNOTSUPP)
    yield Call(node_of(device), RemoveDevice())
    return 0
