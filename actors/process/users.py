"""The users of a machine: how many pages each has locked with drivers that count per user, not per process [2.6].

io_uring and AF_XDP do: ``user_struct.locked_vm``. Verbs count in the memory map (:mod:`longpin.actors.mm.pins`), VFIO
with what mlock(2) locks. A driver notes the uid when its file is made, and counts for that user whoever uses the file.
"""

import errno

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.user import USERS, ChargeUser, UnchargeUser


class Users(Actor):
    """All users; who has nothing locked is not in it."""

    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.locked_vm: dict[int, int] = {}
        """Pages, by uid. Invariant: more than 0."""

    @handles(ChargeUser)
    def charge(self, request: ChargeUser, _src: Address) -> Done:
        """Add pages, if the limit of who asks has room for them."""
        pages = self.locked_vm.get(request.uid, 0) + request.pages
        if pages > request.limit:
            raise KernelError(errno.ENOMEM)
        self._set(request.uid, pages)
        return DONE

    @handles(UnchargeUser)
    def uncharge(self, request: UnchargeUser, _src: Address) -> Done:
        """Take pages off."""
        self._set(request.uid, self.locked_vm[request.uid] - request.pages)
        return DONE

    def _set(self, uid: int, pages: int) -> None:
        if pages:
            self.locked_vm[uid] = pages
        else:
            self.locked_vm.pop(uid, None)


def charge_user(uid: int, pages: int, limit: int) -> Conversation[None]:
    """Count pages for a user before they are pinned, or after, as a driver does; ``limit`` is in pages.

    Raises:
        KernelError: ENOMEM, it would have more than that; a driver may have an errno of its own for it.

    """
    if pages:
        yield Call(USERS, ChargeUser(uid, pages, limit))


def uncharge_user(uid: int, pages: int) -> Conversation[None]:
    """Count pages no more, which were charged before."""
    if pages:
        yield Call(USERS, UnchargeUser(uid, pages))
