"""The calls that change where the data of a file lie, for policies that fail them."""

LAYOUT_CALLS = (
    "truncate",
    "ftruncate",
    "open",
    "fallocate",
    "write",
    "pwrite",
    "pwritev",
    "copy_file_range",
    "ficlonerange",
    "fideduperange",
    "ioctl",
)
"""Whatever else they do: open is among them for O_TRUNC, ioctl for FICLONE."""


def layout_errnos(*errnos: str) -> dict[str, frozenset[str]]:
    """Return these errnos for each of the calls, as :attr:`Policy.errnos` wants them."""
    return dict.fromkeys(LAYOUT_CALLS, frozenset(errnos))
