"""Paths of conformance programs: every one leads to something in the program's own folder, whatever it is made of.

A path is written as it is given to the kernel, relative to that folder, with two shorthands: ``@x1`` at its beginning
is ``/proc/self/fd/N`` of the descriptor named x1, and ``a{255}`` or ``(./){20}`` repeats a character or a group.
"""

import re
from collections.abc import Callable

from longpin.messages.fs.paths import names

NO_FD = "none"
"""Stands for a descriptor that is not open, instead of a descriptor's name."""
LONGEST = 4200
"""Bytes of a path; the kernel takes 4095."""

_REPEATED = re.compile(r"(?:\(([A-Za-z0-9_./-]*)\)|([A-Za-z0-9_.-]))\{(\d{1,4})\}", re.ASCII)
_WRITTEN = re.compile(r"(?:@([A-Za-z0-9_][A-Za-z0-9_.-]{0,63}))?([A-Za-z0-9_./-]*)", re.ASCII)
_LONGEST_TEXT = 600
"""Characters of a path as it is written with its shorthands; longer ones can be written with more of them."""


def expand(text: str) -> str:
    """Return a path with what is repeated written out."""
    return _REPEATED.sub(lambda found: (found[1] if found[1] is not None else found[2]) * int(found[3]), text)


def descriptor(text: str) -> str | None:
    """Return the name of the descriptor that a path begins with; None if it begins in the folder."""
    found = _WRITTEN.match(text)
    return found[1] if found is not None else None


def is_path(value: object) -> bool:
    """Whether a value is a path that leads nowhere but into the folder.

    There are no links to follow in the folder, so a path stays there if, by its names alone, it is never above it. The
    emulator's processes work in its root, where ``proc`` has a meaning that it does not have in the folder.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        return False
    found = _WRITTEN.fullmatch(expand(value))
    if found is None or len(found[2]) > LONGEST:
        return False
    through_descriptor, rest = found[1] is not None, found[2]
    if rest and through_descriptor != rest.startswith("/"):
        return False
    depth = 0
    for name in names(rest):
        if name == "..":
            depth -= 1
        elif name != ".":
            depth += 1
        if depth < 0 or name == "proc" or (name == ".." and through_descriptor):
            return False
    return True


def resolve(text: str, number_of: Callable[[str], int]) -> str:
    """Return a path as the kernel takes it, with the numbers of descriptors."""
    fd = descriptor(text)
    rest = expand(text if fd is None else text[len(fd) + 1 :])
    return rest if fd is None else f"/proc/self/fd/{number_of(fd)}{rest}"
