"""Memory windows and regions that change: what a uverbs context is asked about keys that are given and taken [1.10].

What binds or invalidates a window changes two objects, of which a message names one, and has no footprint.
"""

from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.messages.mm.mm import Registration


@message
class AllocMw(Message):
    """ibv_alloc_mw(3)."""

    pd: int
    type: int

    def footprint(self) -> Footprint:
        """The protection domain, and a new handle."""
        return Footprint.of(reads=[("object", self.pd)], writes=[("handles",)], adds=[("users",)])


@message
class FindWindow(Message):
    """Ask of which type a window is; EINVAL if there is no such window."""

    mw: int

    def footprint(self) -> Footprint:
        """The window."""
        return Footprint.of(reads=[("object", self.mw)])


@message
class BindWindow(Message):
    """The device binds a window to a part of a region; EINVAL if they do not go together [IBA 10.6.7.2]."""

    key: str
    """The window's."""
    mr: int
    """0: the window is bound to nothing from now on."""
    offset: int
    length: int
    access: int
    pd: int
    """The queue pair's."""
    qp: Address


@message
class InvalidateWindow(Message):
    """The device takes a key of a window of type 2 away; EINVAL if it is none, or not bound."""

    key: str


@message
class Reregister(Message):
    """ibv_rereg_mr(3): change a region in place; EBUSY while a window is bound to it.

    It is answered when no access to what it was is under way.
    """

    handle: int
    pd: int
    """0: it stays."""
    access: int
    """-1: it stays."""
    registration: Registration | None = None
    """Pages that take the place of those it has; None: it keeps them."""
    offset: int = 0
    length: int = 0
    address: int = 0


@message
class FindMemory(Message):
    """Ask where a region lies; EINVAL if there is no such region."""

    handle: int

    def footprint(self) -> Footprint:
        """The object."""
        return Footprint.of(reads=[("object", self.handle)])


@message
class MemoryFound(Message):
    """It lies here."""

    address: int
    length: int
    access: int
    """With which it is registered."""
    writable: bool
    """The device may write to its pages."""
    on_demand: bool


@message
class AdviseMr(Message):
    """ibv_advise_mr(3): have the device fault pages in before it needs them [1.10.3]."""

    pd: int
    mr: int
    advice: int
    flush: bool
    """The reply says that it was done; else it is done some time, if it can be."""
    offset: int
    length: int


@message
class Prefetch(Message):
    """A context to itself: do what an advice says that nobody waits for."""

    request: AdviseMr
