"""Huge pages of hugetlb: what their memory is asked, and a file of them [1.8.4].

None of these has a footprint: a huge page is many frames, and how many are left is one number.
"""

from longpin.messages.envelope import Address, Message, message

HUGE_PAGES = "huge_pages"
"""The address of the memory they are of; there is none on a machine without any."""


@message
class ReserveHugePages(Message):
    """Promise so many huge pages, which are not told yet; ENOMEM if there are not so many left."""

    count: int


@message
class UnreserveHugePages(Message):
    """They are promised no more."""

    count: int


@message
class AllocateHugePage(Message):
    """Give one out, of zeros or a copy; ENOMEM if none is left that is not promised. The reply is its first frame."""

    reserved: bool
    """It is one of those that were promised to who asks."""
    copy_of: int = -1
    """The first frame of the one that is copied; -1: it is of zeros."""


@message
class OwnHugePage(Message):
    """A store to an anonymous huge page that was shared: who stores has one of its own afterwards [hugetlb_wp].

    The reply is its first frame: of this one, if nobody else has it any more, else of a copy, in whose place an entry
    of this one is gone; ENOMEM if none is left. It is one step, as Linux holds a mutex that all who map it take.
    """

    first: int
    reserved: bool
    """A copy is one of those that were promised to who asks."""
    despite_pins: bool
    """Count entries only, as kernels did that do not look at pins."""


@message
class Reserving(Message):
    """A schedule point of a file of huge pages: a new mapping of it has some promised."""


@message
class UnmapForOwner(Message):
    """Take a huge page from all memory maps but one, whose process has a right to it [unmap_ref_private]."""

    mm: Address
    page: int
    """The page of the file with which it begins."""
