"""Which files a log is about, and what is known of them from before it began.

A file *matters* if somebody does to it what others can notice by more than its data: takes a lease, changes it or its
name, maps it to be shared. Files that are only opened and read, as every program does with its libraries, are left out.
"""

import posixpath
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from longpin.runner.judge_log.strace_lines import LoggedCall, StraceLog, calls_in
from longpin.runner.judge_log.strace_values import Described, LoggedText, Struct, Value, Word
from longpin.runner.judge_log.threads import LoggedWorld
from longpin.runner.judge_log.words import number

SHARED_MEMORY: Final = "/dev/shm/"  # noqa: S108 a mount point, no temporary file of ours
OTHER_TREES: Final = ("/proc/", "/sys/", "/dev/", "/memfd:", "/SYSV", "/anon_hugepage")
"""What is there is no file of a file system that the model has; but for those below ``/dev/shm``."""

ON_FD: Final = frozenset({"ftruncate", "ftruncate64", "fallocate", "flock", "write", "pwrite64", "fchmod", "fchown"})
ON_PATH: Final = {
    "truncate": (0,),
    "truncate64": (0,),
    "unlink": (0,),
    "rename": (0, 1),
    "link": (0, 1),
    "chmod": (0,),
    "chown": (0,),
    "utimes": (0,),
}
"""Calls that make the files matter which they name, and the places of the names."""
AT: Final = {
    "unlinkat": ((0, 1),),
    "renameat": ((0, 1), (2, 3)),
    "renameat2": ((0, 1), (2, 3)),
    "linkat": ((0, 1), (2, 3)),
    "fchmodat": ((0, 1),),
    "fchownat": ((0, 1),),
    "utimensat": ((0, 1),),
}
"""The same for calls that take a folder with each name."""
_LEASES: Final = ("F_SETLEASE", "F_GETLEASE", "F_SETDELEG", "F_GETDELEG")
_CHANGING: Final = ("O_CREAT", "O_TRUNC")


@dataclass(slots=True)
class GuessedFile:
    """What a log says of a file as it was before."""

    path: str
    existed: bool | None = None
    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    touched: bool = False
    """It was written to: what is said of its size from then on is about later."""


@dataclass(slots=True)
class LogFiles:
    """The files that matter."""

    files: dict[str, GuessedFile] = field(default_factory=dict)
    folders: dict[str, bool] = field(default_factory=dict)
    """Folders above files that matter which a program makes, or tries to, and whether they were there before."""
    cwd: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    """From which line on each thread is known to work where."""
    parents: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Which thread made each, and on which line."""

    def matters(self, path: str) -> bool:
        """Return whether a path leads to a file that matters."""
        path = path.rstrip("/")
        return path in self.files or path in self.folders

    def resolve(self, tid: int, call: LoggedCall, folder: int | None, name: int) -> str | None:
        """Return the path that arguments of a call name; None: it cannot be told."""
        text = call.args[name] if name < len(call.args) else None
        if not isinstance(text, LoggedText):
            return None
        base = "/"
        if folder is None:
            base = self.works_in(tid, call.begins)
        elif isinstance(at := call.args[folder], Described):
            base = at.name
        return resolved(base, text.text)

    def works_in(self, tid: int, line: int) -> str:
        """Return the working directory of a thread; where the log does not tell, ``/``."""
        known = self.cwd.get(tid, [])
        if at := bisect_right(known, (line, "\U0010ffff")):
            return known[at - 1][1]
        if tid in self.parents:
            return self.works_in(*self.parents[tid])
        return known[0][1] if known else "/"

    def end_of_read(self, call: LoggedCall) -> int | None:
        """Return up to which byte of a file a call has read; reads at the position are taken for the first of all."""
        if call.failed or not call.value or call.name not in ("read", "pread64", "lseek"):
            return None
        if call.name == "lseek":
            return call.value if "SEEK_END" in call.text else None
        return (number(call.args[3], 0) if call.name == "pread64" else 0) + call.value


def resolved(base: str, path: str) -> str:
    """Return a path in its shortest spelling; one that ends with a slash still does, for it must be a folder."""
    joined = posixpath.normpath(posixpath.join(base, path)) if path else base
    return "/" + joined.lstrip("/") + "/" * (path.endswith("/") and joined != "/")


def paths_of(surroundings: LogFiles, call: LoggedCall) -> Iterator[str]:
    """Yield the paths that a call names, of those that may make them matter."""
    if call.name in ("open", "creat"):
        places: tuple[tuple[int | None, int], ...] = ((None, 0),)
    elif call.name == "openat":
        places = ((0, 1),)
    elif call.name in AT:
        places = AT[call.name]
    else:
        places = tuple((None, place) for place in ON_PATH.get(call.name, ()))
    for folder, name in places:
        if (path := surroundings.resolve(call.tid, call, folder, name)) is not None:
            yield path.rstrip("/")


def read_surroundings(log: StraceLog, world: LoggedWorld) -> LogFiles:
    """Return the files that matter, and what is known of them."""
    found = LogFiles()
    found.parents = {tid: (thread.parent, thread.born) for tid, thread in world.threads.items() if thread.parent}
    _note_folders(found, log)
    for call in calls_in(log.entries):
        for path in () if call.errno == "EISDIR" else _mattering(found, call):
            if not path.startswith(OTHER_TREES) or path.startswith(SHARED_MEMORY):
                found.files.setdefault(path, GuessedFile(path))
    _join_names(found, log)
    _note_made_folders(found, log)
    for path in list(found.files):
        if path in found.folders or any(other.startswith(f"{path}/") for other in found.files):
            del found.files[path]
    for call in calls_in(log.entries):
        _learn(found, call)
    return found


def _note_folders(found: LogFiles, log: StraceLog) -> None:
    for call in calls_in(log.entries):
        at = call.args[0] if call.args else None
        if isinstance(at, Described) and at.word == "AT_FDCWD":
            found.cwd[call.tid].append((call.begins, at.name))
        elif call.name == "chdir" and not call.failed and (path := found.resolve(call.tid, call, None, 0)) is not None:
            found.cwd[call.tid].append((call.begins, path))
        elif call.name == "fchdir" and not call.failed and isinstance(at, Described):
            found.cwd[call.tid].append((call.begins, at.name))


def _note_made_folders(found: LogFiles, log: StraceLog) -> None:
    for call in calls_in(log.entries):
        folder, name = (None, 0) if call.name == "mkdir" else (0, 1)
        if call.name in ("mkdir", "mkdirat") and (path := found.resolve(call.tid, call, folder, name)) is not None:
            found.files.pop(path, None)
            if any(file.startswith(f"{path}/") for file in found.files):
                found.folders.setdefault(path, call.errno == "EEXIST")


def _mattering(found: LogFiles, call: LoggedCall) -> Iterator[str]:
    """Yield the files that a call makes matter."""
    first = call.args[0] if call.args else None
    words = {part for value in call.args if isinstance(value, Word) for part in value.parts}
    name = first.name if isinstance(first, Described) and first.name.startswith("/") and first.number > 2 else None
    if name is not None:
        changes = call.name in ON_FD or (call.name.startswith("fcntl") and words & set(_LEASES))
        if changes or (call.name == "ioctl" and words & {"FICLONE", "BTRFS_IOC_CLONE", "FICLONERANGE"}):
            yield name
    mapped = call.args[4] if call.name in ("mmap", "mmap2") and len(call.args) > 4 else None
    shared = words & {"MAP_SHARED", "MAP_SHARED_VALIDATE"} and "PROT_WRITE" in words
    if shared and isinstance(mapped, Described) and mapped.name.startswith("/"):
        yield mapped.name
    if call.name in ("open", "openat", "creat"):
        if call.name == "creat" or (words & set(_CHANGING) and not words & {"O_DIRECTORY", "O_TMPFILE"}):
            yield from _opened(found, call)
    elif (call.name in ON_PATH or call.name in AT) and "AT_REMOVEDIR" not in words:
        yield from paths_of(found, call)


def _opened(found: LogFiles, call: LoggedCall) -> Iterator[str]:
    yield from paths_of(found, call)
    if call.made is not None and call.made.name.startswith("/"):
        yield call.made.name


def _join_names(found: LogFiles, log: StraceLog) -> None:
    """A file matters by all of its names: those it is renamed to, and those that lead to it by way of links."""
    more = True
    while more:
        more = False
        for call in calls_in(log.entries):
            if call.errno or call.name not in ("rename", "renameat", "renameat2", "link", "linkat", "open", "openat"):
                continue
            paths = list(paths_of(found, call))
            if call.made is not None:
                paths.append(call.made.name)
            if any(path in found.files for path in paths):
                for path in paths:
                    if path not in found.files:
                        found.files[path] = GuessedFile(path)
                        more = True


def _learn(found: LogFiles, call: LoggedCall) -> None:
    """Take note of what a call says of files as they were before the log."""
    first = call.args[0] if call.args else None
    words = {part for value in call.args if isinstance(value, Word) for part in value.parts}
    for path in paths_of(found, call):
        facts = found.files.get(path)
        if facts is None or facts.existed is not None or facts.touched:
            continue
        if call.errno == "ENOENT" or (
            call.name in ("rename", "link", "renameat", "renameat2", "linkat")
            and path not in list(paths_of(found, call))[:-1]
        ):
            facts.existed = False
        elif "O_CREAT" in words or call.name == "creat":
            facts.existed = call.errno not in ("", "ENOENT") if call.errno else False
        elif not call.errno:
            facts.existed = True
    facts = found.files.get(first.name) if isinstance(first, Described) else None
    if facts is None:
        return
    if call.name in ("write", "pwrite64", "ftruncate", "ftruncate64", "fallocate"):
        facts.touched = True
    if not facts.touched and (end := found.end_of_read(call)) is not None:
        facts.size = max(facts.size or 0, end)
    for value in call.args:
        if isinstance(value, Struct) and "st_size" in value.fields and not facts.touched:
            facts.size = facts.size if facts.size is not None else number(value.fields["st_size"])
            facts.mode = _mode(value.fields.get("st_mode"))


def _mode(value: Value | None) -> int | None:
    if not isinstance(value, Word):
        return None
    return next((int(part, 8) for part in value.parts if part.isdecimal()), None)
