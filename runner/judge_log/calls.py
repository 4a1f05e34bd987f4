"""Which calls of the model a logged call stands for.

Most follow from what a call declares of the function of the C library that makes it
(:mod:`longpin.actors.syscalls.declaration`): the arguments of the system call are those of the function. The others
have an entry in a table of :mod:`.calls_files`, :mod:`.calls_sockets`, :mod:`.calls_memory`, :mod:`.calls_processes`
or :mod:`.calls_signals`.
"""

from typing import Final

from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Syscall
from longpin.runner.judge_log import calls_files, calls_memory, calls_processes, calls_signals, calls_sockets
from longpin.runner.judge_log.calling import LEFT_OUT, Beyond, Calling, Translation
from longpin.runner.judge_log.problems import LogError
from longpin.runner.judge_log.strace_values import Array, Described, LoggedText, Struct, Value

_OWN = calls_files.CALLS | calls_sockets.CALLS | calls_memory.CALLS | calls_processes.CALLS | calls_signals.CALLS

_NAMES: Final = {
    "pread64": "pread",
    "pwrite64": "pwrite",
    "ftruncate64": "ftruncate",
    "truncate64": "truncate",
    "chown32": "chown",
    "lchown": "chown",
    "setuid32": "setuid",
    "setfsuid32": "setfsuid",
}
"""System calls whose names are not those of the C library."""

_DECLARED: Final[dict[str, Syscall]] = {
    call.libc.function: call for call in SYSCALLS.values() if call.libc is not None and call.libc.function not in _OWN
}

_HARMLESS: Final = frozenset(
    {
        "access",
        "chdir",
        "epoll_ctl",
        "faccessat",
        "faccessat2",
        "fadvise64",
        "fanotify_mark",
        "fchdir",
        "fdatasync",
        "fgetxattr",
        "flistxattr",
        "fstat",
        "fstat64",
        "fstatat64",
        "fstatfs",
        "getdents",
        "getdents64",
        "getxattr",
        "inotify_add_watch",
        "kcmp",
        "listxattr",
        "lstat",
        "lstat64",
        "msync",
        "newfstatat",
        "poll",
        "ppoll",
        "process_mrelease",
        "pselect6",
        "readahead",
        "readlink",
        "readlinkat",
        "rmdir",
        "select",
        "stat",
        "stat64",
        "statfs",
        "statx",
        "sync_file_range",
    }
)
"""Calls that only look at a file that matters, or at what is not modelled of it."""

_ELSEWHERE: Final = frozenset(
    {
        "capset",
        "chroot",
        "close_range",
        "io_submit",
        "io_uring_enter",
        "mount",
        "open_by_handle_at",
        "personality",
        "pidfd_getfd",
        "pivot_root",
        "process_vm_writev",
        "ptrace",
        "seccomp",
        "setfsgid",
        "setns",
        "setregid",
        "setresuid",
        "setreuid",
        "umount2",
        "unshare",
    }
)
"""Calls after which names, rights, descriptors or memory may be other than the log says."""


def translate(calling: Calling) -> Translation:
    """Return what a call stands for.

    Raises:
        LogError: an argument is not what strace prints there.

    """
    call = calling.call
    if call.name in _ELSEWHERE and not call.failed and not _keeps_rights(calling):
        return Beyond(f"{call.name} changes what the rest of the log means")
    try:
        if (own := _OWN.get(call.name)) is not None:
            return own(calling)
        if (declared := _DECLARED.get(_NAMES.get(call.name, call.name))) is not None:
            return _as_declared(calling, declared)
    except LogError as error:
        if touches(calling):
            return Beyond(f"{call.name}: {error}")
    if call.made is not None:
        return calling.place([call.made.number], close_on_exec="CLOEXEC" in call.text)
    if touches(calling) and call.name not in _HARMLESS:
        return Beyond(f"{call.name} on a file that matters is not modelled")
    return LEFT_OUT


def _keeps_rights(calling: Calling) -> bool:
    """Return whether a call that sets ids sets what they are: glibc and sudo do."""
    given = [argument for argument in calling.args if not isinstance(argument, (LoggedText, Array, Struct))]
    if not calling.call.name.startswith(("setre", "setfsgid")):
        return False
    return "gid" in calling.call.name or all(str(getattr(argument, "word", "")) == "-1" for argument in given)


def touches(calling: Calling) -> bool:
    """Return whether an argument names a file that matters, or memory it is mapped in."""

    def inside(value: Value) -> bool:
        match value:
            case Described(name=name):
                return calling.surroundings.matters(name)
            case Array(items=items):
                return any(map(inside, items))
            case Struct(fields=fields):
                return any(map(inside, fields.values()))
            case LoggedText():
                return calling.surroundings.matters(value.text)
            case _:
                return False

    return any(map(inside, calling.args))


def _as_declared(calling: Calling, declared: Syscall) -> Translation:
    """Return a call whose arguments stand where the C library's function has them."""
    made = declared.libc
    assert made is not None
    given: dict[str, int | str | bytes] = {}
    inside = not any(parameter.is_path or "fd" in parameter.kinds for parameter in declared.parameters)
    kinds = {parameter.name: parameter.kinds for parameter in declared.parameters}
    for place, argument in enumerate(made.arguments):
        if argument.role in ("literal", "length", "buffer"):
            continue
        if argument.role == "path":
            path = calling.path(place)
            inside = inside or path is not None
            found = calling.surroundings.resolve(calling.call.tid, calling.call, None, place)
            given[argument.text] = found if found is not None else ""
        elif argument.role == "data":
            given[argument.text] = calls_files.data(calling, place)
        else:
            if "fd" in kinds.get(argument.text, ()):
                inside = inside or calling.matters(place) or calling.is_bad(place)
            given[argument.text] = calling.number(place)
    if not inside:
        return LEFT_OUT
    return calling.modelled(declared.name, *(given[p.name] for p in declared.parameters if p.name in given))
