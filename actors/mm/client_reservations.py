"""Which pNFS clients may access a block device themselves: what its reservations are to a fence [1.4.1].

A client registers when it gets a layout of a file on the device. When the server preempts it, all layouts that it has
got until then are of no use any more; one that it gets later comes with a new registration.
"""

from longpin.actors.base import ActorPart, handles
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.layout import PreemptClient, Preempted, RegisterClient


class ClientReservations(ActorPart):
    """The clients that are registered, and what for."""

    def __init__(self) -> None:
        self.layouts: dict[Address, tuple[Address, ...]] = {}
        """The layouts of each client that is registered, in the order in which it got them."""

    @handles(RegisterClient)
    def register(self, request: RegisterClient, _src: Address) -> Done:
        """Note a layout more of a client."""
        self.layouts[request.client] = (*self.layouts.get(request.client, ()), request.layout)
        return DONE

    @handles(PreemptClient)
    def preempt(self, request: PreemptClient, _src: Address) -> Preempted:
        """Take a registration away; say which layouts were used under it."""
        return Preempted(self.layouts.pop(request.client, ()))
