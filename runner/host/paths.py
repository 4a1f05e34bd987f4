"""The paths of a scenario on this machine: they begin in the folder of its files, in which its processes work.

The kernel looks at a path itself, name by name, so that its errnos are its own. Two things are done here, because a
scenario must not get out of its folder: a ``..`` is taken off together with the name before it, after a look whether
that is a folder, and through ``/proc/self/fd`` it reaches descriptors of the program: there are no others.
"""

from typing import NamedTuple

from longpin.actors.process.process_state import MOST_FDS
from longpin.messages.fs.paths import PATH_MAX, in_proc, names
from longpin.runner.machine.agent_libc import CONTROL
from longpin.runner.machine.processes import HostError

FIRST_FD = 3
"""The first descriptor that is a program's own."""
NOBODY = MOST_FDS
"""A descriptor that no process has."""


class HostPath(NamedTuple):
    """A path as a process here gives it to the kernel."""

    path: str
    folders: tuple[str, ...] = ()
    """What must be a folder before: each is followed by ``..`` in the path of the scenario."""


def host_path(path: str) -> HostPath:
    """Translate a path.

    Raises:
        HostError: it leads out of a folder behind a descriptor.

    """
    if not path or len(path.encode()) >= PATH_MAX:
        return HostPath(path)  # the kernel refuses it unseen
    if (found := in_proc(path)) is not None:
        if ".." in names(found.rest):
            raise HostError(f"no .. behind a name in /proc/self/fd on the host engine, found {path!r}")
        own = found.fd is None or FIRST_FD <= found.fd < CONTROL
        return HostPath(f"/proc/self/fd/{found.name if own else NOBODY}{found.rest}")
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
