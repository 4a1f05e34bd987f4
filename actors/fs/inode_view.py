"""What is seen of an inode from outside: by rules, reports and the wait-for graph."""

from collections.abc import Mapping
from typing import NamedTuple

from longpin.actors.fs.open_counts import Access
from longpin.actors.policies.base import LeaseView
from longpin.messages.envelope import Address


class InodeView(NamedTuple):
    """An inode at one moment."""

    size: int
    """Bytes."""
    nlink: int
    pages: Mapping[int, int]
    """The block of each page that has one, in the order in which they got them."""
    mappings: Mapping[tuple[Address, int], int]
    """Flags of each mapping, by process and its number for the mapping."""
    openers: Mapping[Address, Access]
    """Open file descriptions, and how they count."""
    truncating: int
    """Truncations by name under way."""
    leases: tuple[LeaseView, ...]
    """In the order of the list."""
