"""The removal of a device: who has it open, and that it goes. Only a device that can be removed keeps account of this.

None of these has a footprint: the removal reaches every object of a context.
"""

from longpin.messages.envelope import Address, Message, message
from longpin.messages.rdma.device import RdmaDevice


def node_of(device: RdmaDevice) -> Address:
    """Return the actor that a removable device is."""
    return f"rdma:{device.name}"


@message
class OpenContext(Message):
    """A process to the device: there will be a context; ENODEV if the device has been removed."""

    context: Address


@message
class ContextClosed(Message):
    """A context to the device: all that it owned is gone."""

    context: Address


@message
class RemoveDevice(Message):
    """Take the device out of the machine; ENODEV if it is out. The reply comes when nothing holds it any more."""


@message
class Disassociate(Message):
    """A device to a context: destroy everything, and answer EIO from now on [ib_uverbs_free_hw_resources]."""
