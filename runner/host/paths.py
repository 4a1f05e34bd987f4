"""The paths of a scenario on this machine: they begin in the folder of its files, in which its processes work.

The kernel looks at a path itself, name by name, so that its errnos are its own. Two things are done here, because a
scenario must not get out of its folder: a ``..`` is taken off together with the name before it, after a look whether
that is a folder, and only descriptors that are the program's own are reached through ``/proc/self/fd``.
"""

from typing import NamedTuple

from longpin.messages.paths import PATH_MAX, in_proc, names
from longpin.runner.conform.agent import CONTROL
from longpin.runner.conform.processes import HostError

FIRST_FD = 3
"""The first descriptor that is a program's own."""


class HostPath(NamedTuple):
    """A path as a process here gives it to the kernel."""

    path: str
    folders: tuple[str, ...] = ()
    """What must be a folder before: each is followed by ``..`` in the path of the scenario."""


def host_path(path: str) -> HostPath:
    """Translate a path.

    Raises:
        HostError: it leads through a descriptor that is not the program's, or out of a folder behind one.

    """
    if not path or len(path.encode()) >= PATH_MAX:
        return HostPath(path)  # the kernel refuses it unseen
    if (found := in_proc(path)) is not None:
        if found.fd is not None and not FIRST_FD <= found.fd < CONTROL:
            raise HostError(f"only descriptors from {FIRST_FD} to {CONTROL - 1} are a program's own, found {path!r}")
        if ".." in names(found.rest):
            raise HostError(f"no .. behind a name in /proc/self/fd on the host engine, found {path!r}")
        return HostPath(f"/proc/self/fd/{found.name}{found.rest}")
    kept: list[str] = []
    folders = []
    for name in names(path):
        if name == "..":
            folders += [f"{'/'.join(kept)}/"] if kept else []
            del kept[-1:]
        elif name != ".":
            kept.append(name)
    last = names(path)[-1:]
    if not kept or last in ([".."], ["."]):
        return HostPath("/".join([*kept, "."]), tuple(folders))
    return HostPath("/".join(kept) + "/" * path.endswith("/"), tuple(folders))
