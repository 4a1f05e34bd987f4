"""Calls on files and descriptors that are not made as the C library declares them."""

import re
from collections.abc import Callable
from typing import Final

from longpin.actors.constants import (
    F_DUPFD,
    F_DUPFD_CLOEXEC,
    F_GETFD,
    F_GETOWN_EX,
    F_OWNER_PGRP,
    F_OWNER_PID,
    F_OWNER_TID,
    F_SETFD,
    F_SETLEASE,
    F_SETOWN_EX,
    O_CREAT,
    O_TRUNC,
    O_WRONLY,
)
from longpin.actors.process.program import Name
from longpin.runner.judge_log.calling import LEFT_OUT, STANDARD, Beyond, Calling, ModelCall, Modelled, Translation, op
from longpin.runner.judge_log.strace_values import Described, LoggedText, Struct, Value, Word
from longpin.runner.judge_log.words import number, signal_of

MOST_BYTES: Final = 65536
"""What one read or write of the model moves at most."""
BREAK_TIME: Final = "/proc/sys/fs/lease-break-time"

_HARMLESS_FLAGS: Final = 0o4010000 | 0o10000 | 0o100000 | 0o400 | 0o1000000 | 0o400000 | 0o20000
"""O_SYNC, O_DSYNC, O_LARGEFILE, O_NOCTTY, O_NOATIME, O_NOFOLLOW, O_ASYNC."""
_KNOWN_COMMANDS: Final = {
    "F_DUPFD": F_DUPFD,
    "F_DUPFD_CLOEXEC": F_DUPFD_CLOEXEC,
    "F_GETFD": F_GETFD,
    "F_SETFD": F_SETFD,
    "F_GETFL": 3,
    "F_SETFL": 4,
    "F_SETOWN": 8,
    "F_GETOWN": 9,
    "F_SETSIG": 10,
    "F_GETSIG": 11,
    "F_SETOWN_EX": F_SETOWN_EX,
    "F_GETOWN_EX": F_GETOWN_EX,
    "F_SETLEASE": F_SETLEASE,
    "F_GETLEASE": 1025,
}
_OF_DESCRIPTORS: Final = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD}
_OWNER_TYPES: Final = {"F_OWNER_TID": F_OWNER_TID, "F_OWNER_PID": F_OWNER_PID, "F_OWNER_PGRP": F_OWNER_PGRP}
_REOPENED: Final = re.compile(r"/proc/(?:self|\d+|thread-self)/fd/(\d+)")


def data(calling: Calling, place: int) -> bytes:
    """Return as many bytes as a call writes: those that the log shows, and zeroes."""
    count = calling.number(place + 1)
    value = calling.args[place]
    shown = value.data if isinstance(value, LoggedText) else b""
    return shown[:count].ljust(min(count, MOST_BYTES), b"\0")


def _open(calling: Calling) -> Translation:
    return _open_at(calling, None, 0)


def _openat(calling: Calling) -> Translation:
    return _open_at(calling, 0, 1)


def _open_at(calling: Calling, folder: int | None, name: int) -> Translation:
    call = calling.call
    flags = O_CREAT | O_WRONLY | O_TRUNC if call.name == "creat" else calling.number(name + 1)
    text = calling.args[name] if name < len(calling.args) else None
    path = calling.path(name, folder)
    if isinstance(text, LoggedText) and (again := _REOPENED.fullmatch(text.text)):
        path = (
            f"/proc/self/fd/{again[1]}"
            if call.made is not None and calling.surroundings.matters(call.made.name)
            else None
        )
    if path is None:
        made = call.made
        return LEFT_OUT if made is None else calling.place([made.number], close_on_exec="O_CLOEXEC" in call.text)
    mode = calling.number(name + 2, 0o666) if flags & O_CREAT else 0o666
    return calling.modelled("open", path, flags & ~_HARMLESS_FLAGS, *([mode] if flags & O_CREAT else []))


def _close(calling: Calling) -> Translation:
    return calling.modelled("close", calling.number(0)) if calling.is_held(0) else LEFT_OUT


def _dup(calling: Calling) -> Translation:
    if calling.is_held(0):
        return calling.modelled("dup", calling.number(0))
    made = calling.call.made
    return LEFT_OUT if made is None else calling.place([made.number])


def _dup2(calling: Calling) -> Translation:
    old, new = calling.number(0), calling.number(1)
    close_on_exec = calling.call.name == "dup3" and "O_CLOEXEC" in calling.words(2)
    if new <= STANDARD:
        return Beyond("a file that matters becomes a standard descriptor") if calling.matters(0) else LEFT_OUT
    if not calling.is_held(0):
        if calling.call.failed:
            return LEFT_OUT
        placed = (
            ModelCall(op("open", "/", 0o10000000, line=calling.call.begins, target="spare")),
            ModelCall(op("dup2", Name("spare"), new, line=calling.call.begins), value=new),
            ModelCall(op("close", Name("spare"), line=calling.call.begins), value=0),
        )
        return Modelled(placed)
    pieces = [calling.piece("dup2", old, new)]
    if close_on_exec and not calling.call.failed:
        pieces.append(calling.piece("fcntl", new, F_SETFD, 1, value=0))
    return Modelled(tuple(pieces))


def _fcntl(calling: Calling) -> Translation:
    word = next(iter(calling.words(1)), "")
    command = _KNOWN_COMMANDS.get(word)
    if command is None:
        about_leases = "DELEG" in word or word.startswith("0x4")
        return Beyond(f"fcntl {word} is not modelled") if calling.matters(0) and about_leases else LEFT_OUT
    if command in _OF_DESCRIPTORS:
        if not calling.is_held(0):
            made = calling.call.made
            return LEFT_OUT if made is None else _duplicated(calling, made.number, command)
    elif not (calling.matters(0) or calling.is_bad(0)):
        return LEFT_OUT
    fd = calling.number(0)
    if command in (F_SETOWN_EX, F_GETOWN_EX):
        owner = calling.args[2] if len(calling.args) > 2 else None
        if not isinstance(owner, Struct):
            return LEFT_OUT if not calling.call.failed else calling.modelled("fcntl", fd, command, 0, 0)
        kind, pid = _owner(owner.fields.get("type")), number(owner.fields.get("pid", Word("0")))
        if command == F_SETOWN_EX:
            return calling.modelled("fcntl", fd, command, kind, pid)
        return calling.modelled("fcntl", fd, command, value=pid, variables=(("owner_type", kind),))
    if command == 10:
        return calling.modelled("fcntl", fd, command, signal_of(calling.args[2]))
    more = [calling.number(2) & ~0o4120000 if command == 4 else calling.number(2)] if len(calling.args) > 2 else []
    return calling.modelled("fcntl", fd, command, *more)


def _duplicated(calling: Calling, made: int, command: int) -> Translation:
    """Take the number of a duplicate of what the model does not have."""
    line = calling.call.begins
    return Modelled(
        (
            ModelCall(op("open", "/", 0o10000000, line=line, target="spare")),
            ModelCall(op("fcntl", Name("spare"), command, calling.number(2), line=line), value=made),
            ModelCall(op("close", Name("spare"), line=line), value=0),
        )
    )


def _owner(value: Value | None) -> int:
    if isinstance(value, Word) and value.word in _OWNER_TYPES:
        return _OWNER_TYPES[value.word]
    return number(value or Word("0"))


def _at(name: str, *names: int, mode: int | None = None, flags: int | None = None) -> Callable[[Calling], Translation]:
    """Return what translates a call that takes a folder before each name."""

    def translate(calling: Calling) -> Translation:
        paths = [calling.path(place, place - 1) for place in names]
        if not any(paths):
            return LEFT_OUT
        if "AT_REMOVEDIR" in calling.call.text:
            return LEFT_OUT
        if flags is not None and (given := [word for word in calling.words(flags) if word not in ("0", "AT_EACCESS")]):
            return Beyond(f"{calling.call.name} with {'|'.join(given)} is not modelled")
        every = [
            calling.surroundings.resolve(calling.call.tid, calling.call, place - 1, place) or "" for place in names
        ]
        return calling.modelled(name, *every, *([calling.number(mode)] if mode is not None else []))

    return translate


def _on_fd(name: str, argument: int | None = None) -> Callable[[Calling], Translation]:
    """Return what translates a call on a descriptor that the model makes by a path."""

    def translate(calling: Calling) -> Translation:
        if not calling.matters(0):
            return LEFT_OUT
        more = [] if argument is None else [calling.number(argument)]
        return calling.modelled(name, f"/proc/self/fd/{calling.number(0)}", *more)

    return translate


def _utimensat(calling: Calling) -> Translation:
    if len(calling.args) > 1 and not isinstance(calling.args[1], LoggedText):
        return _on_fd("utimes")(calling)
    path = calling.path(1, 0)
    return LEFT_OUT if path is None else calling.modelled("utimes", path)


def _stat(calling: Calling) -> Translation:
    """Look at a size: the other calls of the family are left out."""
    about = calling.args[1] if len(calling.args) > 1 else None
    path = calling.path(0)
    if path is None or not isinstance(about, Struct) or "st_size" not in about.fields:
        return LEFT_OUT
    return calling.modelled("stat", path, value=number(about.fields["st_size"]))


def _move(name: str, *more: int) -> Callable[[Calling], Translation]:
    """Return what translates a read or a write; the model moves at most 64 KiB at once, so it makes several."""

    def translate(calling: Calling) -> Translation:
        if not (calling.matters(0) or calling.is_bad(0)):
            return _break_time(calling) if name == "write" else LEFT_OUT
        fd, count, total = calling.number(0), calling.number(2), calling.call.value
        rest = [calling.number(place) for place in more]
        writes = name in ("write", "pwrite")
        if count <= MOST_BYTES or calling.call.failed or total is None:
            what = data(calling, 1) if writes else min(count, MOST_BYTES)
            return calling.modelled(name, fd, what, *rest)
        pieces, done = [], 0
        while done < max(total, 1):
            part = min(MOST_BYTES, count - done)
            given = bytes(part) if writes else part
            pieces.append(calling.piece(name, fd, given, *(at + done for at in rest), value=min(part, total - done)))
            done += part
        return Modelled(tuple(pieces))

    return translate


def _break_time(calling: Calling) -> Translation:
    """Set fs.lease-break-time."""
    target, text = calling.args[0], calling.args[1]
    if not (isinstance(target, Described) and target.name == BREAK_TIME and isinstance(text, LoggedText)):
        return LEFT_OUT
    if calling.call.failed or not text.data.strip().isdigit():
        return LEFT_OUT
    return calling.modelled("set_lease_break_time", int(text.data), value=0)


def _lseek(calling: Calling) -> Translation:
    if not (calling.matters(0) or calling.is_bad(0)):
        return LEFT_OUT
    if "SEEK_SET" in calling.words(2):
        return calling.modelled("lseek", calling.number(0), calling.number(1))
    if calling.call.failed or calling.call.value is None or "SEEK_DATA" in calling.call.text:
        return LEFT_OUT
    return calling.modelled("lseek", calling.number(0), calling.call.value)  # where it ends


def _ioctl(calling: Calling) -> Translation:
    words = calling.words(1)
    if not calling.matters(0):
        return LEFT_OUT
    if {"FICLONE", "BTRFS_IOC_CLONE"} & set(words):
        return calling.modelled("ioctl", calling.number(0), 0x40049409, calling.number(2))
    if calling.call.errno == "ENOTTY" or any(word.startswith(("TC", "TIO", "FIO", "FS_IOC_FIEMAP")) for word in words):
        return LEFT_OUT
    return Beyond(f"ioctl {'|'.join(words)} is not modelled")


def _vectors(name: str) -> Callable[[Calling], Translation]:
    """Return what translates a read or a write of several buffers as one of what was moved."""

    def translate(calling: Calling) -> Translation:
        if not calling.matters(0):
            return LEFT_OUT
        total = calling.call.value
        if calling.call.failed or total is None or total > MOST_BYTES:
            return Beyond(f"{calling.call.name} on a file that matters is not modelled")
        rest = [calling.number(3)] if calling.call.name.startswith("p") else []
        return calling.modelled(name, calling.number(0), bytes(total) if "write" in name else total, *rest)

    return translate


def _copy_file_range(calling: Calling) -> Translation:
    if not (calling.matters(0) or calling.matters(2)):
        return LEFT_OUT
    if not (calling.matters(0) and calling.matters(2)):
        return Beyond("copy_file_range with a file that does not matter")
    if "NULL" not in calling.words(1) or "NULL" not in calling.words(3):
        return Beyond("copy_file_range with offsets is not modelled here")
    return calling.modelled("copy_file_range", calling.number(0), None, calling.number(2), None, calling.number(4))


def _rename2(calling: Calling) -> Translation:
    return _at("rename", 1, 3, flags=4)(calling)


def _access(calling: Calling) -> Translation:
    path = calling.path(0)
    return LEFT_OUT if path is None else calling.modelled("access", path, calling.number(1))


CALLS: Final[dict[str, Callable[[Calling], Translation]]] = {
    "open": _open,
    "creat": _open,
    "openat": _openat,
    "close": _close,
    "dup": _dup,
    "dup2": _dup2,
    "dup3": _dup2,
    "fcntl": _fcntl,
    "fcntl64": _fcntl,
    "read": _move("read"),
    "write": _move("write"),
    "pread64": _move("pread", 3),
    "pwrite64": _move("pwrite", 3),
    "readv": _vectors("read"),
    "writev": _vectors("write"),
    "preadv": _vectors("pread"),
    "pwritev": _vectors("pwrite"),
    "lseek": _lseek,
    "ioctl": _ioctl,
    "copy_file_range": _copy_file_range,
    "unlinkat": _at("unlink", 1, flags=2),
    "renameat": _at("rename", 1, 3),
    "renameat2": _rename2,
    "mkdirat": _at("mkdir", 1, mode=2),
    "linkat": _at("link", 1, 3, flags=4),
    "fchmodat": _at("chmod", 1, mode=2),
    "fchownat": _at("chown", 1, mode=2, flags=4),
    "faccessat": _at("access", 1, mode=2),
    "faccessat2": _at("access", 1, mode=2, flags=3),
    "access": _access,
    "utimensat": _utimensat,
    "fchmod": _on_fd("chmod", 1),
    "fchown": _on_fd("chown", 1),
    "fchown32": _on_fd("chown", 1),
    "fsetxattr": _on_fd("setxattr"),
    "stat": _stat,
}
"""By system call."""
