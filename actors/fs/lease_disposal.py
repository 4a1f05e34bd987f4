"""What is left to do when leases have gone from a list: clients of layouts that went at their time are fenced [1.4.1].

``lease_dispose_list`` of ``fs/locks.c`` does that without ``flc_lock``, in Ngo's first version.
"""

from collections.abc import Callable

from longpin.actors.conversation import Call, Conversation, KernelError, R
from longpin.messages.envelope import Address
from longpin.messages.fs.layout import FenceClient


def disposing(look: Callable[[list[Address]], Conversation[R]]) -> Conversation[R]:
    """Look at a list, then have the clients fenced of which it was noted that their leases went.

    Raises:
        KernelError: what looking raises; they are fenced then too.

    """
    disposed: list[Address] = []
    try:
        result = yield from look(disposed)
    except KernelError:
        yield from fence(disposed)
        raise
    yield from fence(disposed)
    return result


def fence(disposed: list[Address]) -> Conversation[None]:
    """Have the clients of these layouts fenced, one after the other."""
    while disposed:
        yield Call(disposed.pop(0), FenceClient())
