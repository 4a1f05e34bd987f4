"""The calls that change where the data of a file lie, and what of that concerns pins, for policies that fail them."""

from longpin.actors.kernel.file_system import ChangeKind

TAKES_PAGES = ChangeKind.SUBTRACTIVE | ChangeKind.MOVING | ChangeKind.SHARING
"""What parts a page from its block: now or, if the block becomes shared, with the next write [H8]."""

LAYOUT_CALLS = (
    "copy_file_range",
    "fallocate",
    "ficlonerange",
    "fideduperange",
    "ftruncate",
    "ioctl",
    "open",
    "pwrite",
    "pwritev",
    "truncate",
    "write",
)
"""Whatever else they do: open is among them for O_TRUNC, ioctl for FICLONE."""


def layout_errnos(*errnos: str) -> dict[str, frozenset[str]]:
    """Return these errnos for each of the calls, as :attr:`Policy.errnos` wants them."""
    return dict.fromkeys(LAYOUT_CALLS, frozenset(errnos))
