"""Command lines that people paste into a shell."""

import shlex


def command(*words: str) -> str:
    """Return a command line to paste into a shell."""
    return shlex.join(["longpin", *words])
