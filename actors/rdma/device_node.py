"""An RDMA device that can be taken out of the machine while processes have it open [1.10; ib_uverbs_remove_one]."""

import errno

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError, Wait, WaitQueue, WaitsFor
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.rdma.device import RdmaDevice
from longpin.messages.rdma.removal import ContextClosed, Disassociate, OpenContext, RemoveDevice


class RdmaNode(Actor):
    """One device, and the contexts that were opened of it."""

    def __init__(self, engine: Engine, address: Address, device: RdmaDevice) -> None:
        super().__init__(engine, address)
        self.device = device
        self.contexts: list[Address] = []
        """Those that own something, or may yet."""
        self.removed = False
        self.closed = WaitQueue()
        """Who waits until there are none."""

    @handles(OpenContext)
    def open(self, request: OpenContext, _src: Address) -> Done:
        """Take note of a context."""
        if self.removed:
            raise KernelError(errno.ENODEV)
        self.contexts.append(request.context)
        return DONE

    @handles(ContextClosed)
    def close(self, request: ContextClosed, _src: Address) -> Done:
        """Forget a context."""
        self.contexts.remove(request.context)
        if not self.contexts:
            self.closed.wake_all(self)
        return DONE

    @handles(RemoveDevice)
    def remove(self, _request: RemoveDevice, _src: Address) -> Conversation[Done]:
        """Have contexts let go, or wait until all have been closed: a driver that cannot do the one does the other."""
        if self.removed:
            raise KernelError(errno.ENODEV)
        self.removed = True
        if self.device.disassociates:
            for context in tuple(self.contexts):
                yield Call(context, Disassociate())
            return DONE
        while self.contexts:
            reason = WaitsFor("device", self.address, f"{self.device.name} to be closed by all who have it open")
            yield self.closed.sleep(reason, Wait.UNINTERRUPTIBLE)
        return DONE
