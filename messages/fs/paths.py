"""Paths, as path_resolution(7) has them, without symbolic links: every process works in ``/``."""

from typing import NamedTuple

NAME_MAX = 255
"""Bytes of one name."""
PATH_MAX = 4096
"""Bytes of a path with the NUL that ends it."""

_DESCRIPTORS = ("proc", "self", "fd")


def names(path: str) -> list[str]:
    """Return what stands between the slashes of a path; ``.`` and ``..`` too."""
    return [name for name in path.split("/") if name]


def passed(path: str) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return the highest places from which ``..`` leads a path back, and where it leads; each as names from ``/`` on.

    This is by the text alone, so it is right where all that something follows are folders.
    """
    at: list[str] = []
    left: list[tuple[str, ...]] = []
    for name in names(path):
        if name == ".." and at:
            while left and left[-1][: len(at)] == tuple(at):
                left.pop()  # it is in this one
            left.append(tuple(at))
            at.pop()
        elif name not in (".", ".."):
            at.append(name)
    return left, tuple(at)


def normal(path: str) -> str:
    """Return the shortest spelling of a path."""
    return "/" + "/".join(passed(path)[1])


class InProc(NamedTuple):
    """A path that leads through ``/proc/self/fd``."""

    name: str
    fd: int | None
    """The descriptor; None where the name is no number of one."""
    rest: str
    """What follows its name, from the slash on."""


def in_proc(path: str) -> InProc | None:
    """Return what a path names in ``/proc/self/fd``; None if it does not lead there."""
    if _DESCRIPTORS[0] not in path:
        return None
    at: tuple[str, ...] = ()
    start = 0
    while start < len(path):
        slash = path.find("/", start)
        end = len(path) if slash < 0 else slash
        name = path[start:end]
        if at == _DESCRIPTORS and name not in ("", ".", ".."):
            known = name.isascii() and name.isdecimal() and len(name) < 10 and name == str(int(name))
            return InProc(name, int(name) if known else None, path[end:])
        at = at[:-1] if name == ".." else at if name in ("", ".") else (*at, name)
        start = end + 1
    return None
