"""What is seen of an inode from outside: by rules, reports and the wait-for graph."""

from collections.abc import Mapping
from typing import NamedTuple

from longpin.actors.fs.extents import Extent
from longpin.actors.fs.open_counts import Access
from longpin.actors.policies.views import LeaseView, PolicyState
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import MappingView


class InodeView(NamedTuple):
    """An inode at one moment."""

    size: int
    """Bytes."""
    nlink: int
    extents: tuple[Extent, ...]
    """In the order of pages."""
    mappings: tuple[MappingView, ...]
    """In the order in which they were made."""
    openers: Mapping[Address, Access]
    """Open file descriptions, and how they count."""
    truncating: int
    """Truncations by name under way."""
    leases: tuple[LeaseView, ...]
    """In the order of the list."""
    state: PolicyState
    """What the policy remembers of it."""

    @property
    def pages(self) -> Mapping[int, int]:
        """The block of each page that has one."""
        return {e.page + index: e.block + index for e in self.extents for index in range(e.length)}
