"""What conformance programs exercise: kinds of ops, and of what came of them, each with how it is recognised.

How often programs that were recorded with ``longpin conform --live --random 2000 --seed 1 --record FILE`` do:

python tests/conformance/kinds.py FILE
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from longpin.runner.conform.ops import INT_MIN, signal_name, signal_number, split_wide
from longpin.runner.conform.outcome import OpResult
from longpin.runner.conform.paths import NO_FD, descriptor, expand
from longpin.runner.conform.program import ConformOp, ConformProgram, load_programs

STOPS = ("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU")
REALTIME = ("SIG32", "SIG33", "SIGRT0", "SIGRT1", "SIGRT2")
IGNORED_BY_DEFAULT = ("SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH")
WIDE = 1 << 32
TRANSFERS = ("vmsplice", "preadv", "pwritev")


def _signal(op: ConformOp) -> str:
    return signal_name(signal_number(op.args["sig"])) if "sig" in op.args else ""


def _paths(op: ConformOp) -> list[str]:
    """Return the paths of an op as they are written."""
    return [op.args[name] for name in ("path", "to") if isinstance(op.args.get(name), str) and op.proc != "*"]


def _path(matches: Callable[[str], bool]) -> Callable[[ConformOp], bool]:
    return lambda op: op.op != "sendfd" and any(matches(path) for path in _paths(op))


def _names(path: str) -> list[str]:
    return expand(path).split("/")


def _flags(op: ConformOp) -> set[str]:
    return set(op.args["flags"].split("|")) if op.op in ("open", "reopen") else set()


def _is_wide(value: Any) -> bool:
    return (isinstance(value, int) and not -WIDE < value < WIDE) or (isinstance(value, str) and value.endswith("+2^32"))


def _one(op: str, matches: Callable[[dict[str, Any]], bool] = lambda _: True) -> Callable[[ConformOp], bool]:
    return lambda found: found.op == op and found.proc != "*" and matches(dict(found.args))


OPS: dict[str, Callable[[ConformOp], bool]] = {
    # Signals and children.
    "kill of a process": _one("kill", lambda a: isinstance(a["pid"], str) and not a["pid"].startswith("-")),
    "kill of a group": _one("kill", lambda a: a["pid"] == 0 or str(a["pid"]).startswith("-")),
    "kill without a signal": _one("kill", lambda a: a["sig"] == 0),
    "kill with a number that is no signal": _one("kill", lambda a: a["sig"] in (65, -1)),
    "a real-time signal": lambda op: op.op == "kill" and _signal(op) in REALTIME,
    "a signal ignored by default": lambda op: op.op == "kill" and _signal(op) in IGNORED_BY_DEFAULT,
    "a signal that stops": lambda op: op.op == "kill" and _signal(op) in STOPS,
    "SIGCONT": lambda op: op.op == "kill" and _signal(op) == "SIGCONT",
    "SIGKILL": lambda op: op.op == "kill" and _signal(op) == "SIGKILL",
    "SIG_IGN": _one("sigaction", lambda a: a["action"] == "SIG_IGN"),
    "SIG_DFL": _one("sigaction", lambda a: a["action"] == "SIG_DFL"),
    "a handler": _one("sigaction", lambda a: a["action"] == "SIG_HANDLER"),
    "a handler with SA_RESTART": _one("sigaction", lambda a: "SA_RESTART" in a.get("flags", "")),
    "SA_NOCLDSTOP": _one("sigaction", lambda a: "SA_NOCLDSTOP" in a.get("flags", "")),
    "SA_NOCLDWAIT": _one("sigaction", lambda a: "SA_NOCLDWAIT" in a.get("flags", "")),
    "sigaction of what cannot be set": _one("sigaction", lambda a: a["sig"] in ("SIGKILL", "SIGSTOP", 0, 65, -1)),
    "SIG_BLOCK": _one("sigprocmask", lambda a: a["how"] == "SIG_BLOCK"),
    "SIG_UNBLOCK": _one("sigprocmask", lambda a: a["how"] == "SIG_UNBLOCK"),
    "SIG_SETMASK": _one("sigprocmask", lambda a: a["how"] == "SIG_SETMASK"),
    "sigprocmask with how 3": _one("sigprocmask", lambda a: a["how"] == 3),
    "sigtimedwait": _one("sigtimedwait"),
    "sigwaitinfo": _one("sigwaitinfo"),
    "sigsuspend": _one("sigsuspend"),
    "ppoll": _one("ppoll", lambda a: "ms" not in a),
    "ppoll that does not wait": _one("ppoll", lambda a: "ms" in a),
    "pause": _one("pause"),
    "nanosleep of a negative time": _one("nanosleep", lambda a: a["seconds"] < 0),
    "nanosleep of a fraction": _one("nanosleep", lambda a: a["seconds"] % 1 != 0),
    "waitpid of a child": _one("waitpid", lambda a: isinstance(a["pid"], str) and not a["pid"].startswith("-")),
    "waitpid of any child": _one("waitpid", lambda a: a["pid"] == -1),
    "waitpid of a group": _one("waitpid", lambda a: a["pid"] == 0 or str(a["pid"]).startswith("-")),
    "WNOHANG": _one("waitpid", lambda a: "WNOHANG" in str(a.get("options", ""))),
    "WUNTRACED": _one("waitpid", lambda a: "WUNTRACED" in str(a.get("options", ""))),
    "WCONTINUED": _one("waitpid", lambda a: "WCONTINUED" in str(a.get("options", ""))),
    "waitpid with other options": _one("waitpid", lambda a: isinstance(a.get("options"), int)),
    "RLIMIT_SIGPENDING": _one("setrlimit", lambda a: a["resource"] == "RLIMIT_SIGPENDING"),
    "RLIMIT_NOFILE": _one("setrlimit", lambda a: a["resource"] == "RLIMIT_NOFILE"),
    "sigtimedwait with a time": _one("sigtimedwait", lambda a: a.get("seconds", 0) > 0),
    # Descriptors and owners.
    "F_DUPFD": _one("dupfd", lambda a: not a.get("cloexec")),
    "F_DUPFD_CLOEXEC": _one("dupfd", lambda a: bool(a.get("cloexec"))),
    "F_DUPFD from a number that is none": _one("dupfd", lambda a: a["least"] in (-1, 1024)),
    "F_GETFD": _one("getfd"),
    "F_SETFD": _one("setfd"),
    "F_GETFL": _one("getfl"),
    "F_SETFL": _one("setfl"),
    "F_OWNER_TID": _one("setownex", lambda a: a["type"] == "TID"),
    "F_OWNER_PID": _one("setownex", lambda a: a["type"] == "PID"),
    "F_OWNER_PGRP": _one("setownex", lambda a: a["type"] == "PGRP"),
    "F_SETOWN_EX of no type": _one("setownex", lambda a: a["type"] in (3, -1)),
    "F_GETOWN_EX": _one("getownex"),
    # Threads.
    "a thread": _one("thread"),
    "the end of a thread": _one("threadexit"),
    "gettid": _one("gettid"),
    "tgkill": _one("tgkill"),
    # Numbers.
    "F_SETOWN of a process": _one("setown", lambda a: isinstance(a["pid"], str) and a["pid"][0] not in "-0"),
    "F_SETOWN of a group": _one("setown", lambda a: str(a["pid"]).startswith("-") and isinstance(a["pid"], str)),
    "F_SETOWN of nobody": _one("setown", lambda a: "nobody" in str(a["pid"])),
    "F_SETOWN of 0": _one("setown", lambda a: a["pid"] in (0, "0")),
    "F_SETOWN of INT_MIN": _one("setown", lambda a: a["pid"] in (INT_MIN, INT_MIN + WIDE)),
    "F_SETSIG of SIGCHLD": _one("setsig", lambda a: a["sig"] == "SIGCHLD"),
    "F_SETSIG of a deadly signal": _one("setsig", lambda a: a["sig"] in ("SIGHUP", "SIGTERM")),
    "F_SETSIG of no signal": _one("setsig", lambda a: a["sig"] in (65, -1)),
    "F_SETLEASE with more bits than an int": _one("setlease", lambda a: _is_wide(a["type"])),
    "F_SETLEASE of no type": _one("setlease", lambda a: a["type"] in (3, 16)),
    "F_SETSIG with more bits than an int": _one("setsig", lambda a: _is_wide(a["sig"])),
    "F_SETOWN with more bits than an int": _one("setown", lambda a: _is_wide(a["pid"])),
    "a descriptor with more bits than an int": lambda op: _is_wide(op.args.get("fd")),
    "a descriptor that is not open": lambda op: split_wide(str(op.args.get("fd", "")))[0] == NO_FD,
    "a user with more bits than an int": lambda op: "uid" in op.args and not -1 <= op.args["uid"] < WIDE,
    "the user -1": lambda op: op.args.get("uid") in (-1, WIDE - 1),
    "a mode with more bits than 16": lambda op: op.op in ("chmod", "mkdir") and op.args.get("mode", 0) >= 1 << 16,
    "access with other modes": _one("access", lambda a: "mode" in a),
    "flock with other bits": _one(
        "flock", lambda a: a["how"] in ("MAND|READ", "NB") or (isinstance(a["how"], int) and not _is_wide(a["how"]))
    ),
    "flock with more bits than an int": _one("flock", lambda a: _is_wide(a["how"])),
    "a negative length": lambda op: op.op in ("truncate", "ftruncate") and op.args["len"] < 0,
    "lseek to a negative place": _one("lseek", lambda a: a["offset"] < 0),
    "read of more than there can be": _one("read", lambda a: a.get("count", 0) >= 1 << 47),
    "dup2 to a number beyond the limit": _one("dup2", lambda a: a["to"] >= 1024),
    "fallocate of nothing, or before the file": _one(
        "fallocate", lambda a: a.get("len", 1) <= 0 or a.get("offset", 0) < 0
    ),
    "fallocate beyond the largest size": _one("fallocate", lambda a: a.get("offset", 0) + a.get("len", 0) > 1 << 62),
    "INSERT_RANGE": _one("fallocate", lambda a: a["mode"] == "INSERT"),
    "INSERT_RANGE beyond the largest size": _one(
        "fallocate", lambda a: a["mode"] == "INSERT" and a.get("offset", 0) + a.get("len", 0) > 1 << 62
    ),
    "COLLAPSE_RANGE": _one("fallocate", lambda a: a["mode"] == "COLLAPSE"),
    # Memory.
    "munmap": _one("munmap", lambda a: 0 < a["count"] < 1 << 30),
    "munmap of nothing, or too much": _one("munmap", lambda a: a["count"] == 0 or a["count"] >= 1 << 30),
    "munmap before a mapping": _one("munmap", lambda a: a["first"] < 0),
    "mmap of nothing, or too much": _one("mmap", lambda a: a.get("pages", 1) == 0 or a.get("pages", 1) >= 1 << 30),
    "memfd_create": _one("memfd"),
    "MFD_EXEC or MFD_NOEXEC_SEAL": _one(
        "memfd", lambda a: bool({"MFD_EXEC", "MFD_NOEXEC_SEAL"} & {*a.get("flags", "").split("|")})
    ),
    "vmsplice": _one("vmsplice"),
    "vmsplice of nothing": _one("vmsplice", lambda a: a["len"] == 0),
    "vmsplice of more than a page": _one("vmsplice", lambda a: a["len"] > 4096),
    "preadv": _one("preadv"),
    "pwritev": _one("pwritev"),
    "preadv or pwritev before a file, or beyond what there can be": lambda op: (
        op.op in ("preadv", "pwritev") and not 0 <= op.args["at"] < 1 << 62
    ),
    "a buffer that does not begin a page": lambda op: bool(op.args.get("inside")),
    "read of data": _one("read_data"),
    "load": _one("load"),
    "store": _one("store"),
    # Flags and paths.
    "O_DIRECT": lambda op: "O_DIRECT" in _flags(op),
    "O_PATH": lambda op: "O_PATH" in _flags(op),
    "O_TMPFILE": lambda op: "O_TMPFILE" in _flags(op),
    "O_DIRECTORY": lambda op: "O_DIRECTORY" in _flags(op) and "O_CREAT" not in _flags(op),
    "O_CREAT": lambda op: "O_CREAT" in _flags(op),
    "O_CREAT with O_EXCL": lambda op: {"O_CREAT", "O_EXCL"} <= _flags(op),
    "O_CREAT with O_DIRECTORY": lambda op: {"O_CREAT", "O_DIRECTORY"} <= _flags(op),
    "O_NOFOLLOW": lambda op: "O_NOFOLLOW" in _flags(op),
    "access mode 3": lambda op: {"O_WRONLY", "O_RDWR"} <= _flags(op),
    "a path with .": _path(lambda path: "." in _names(path) and path != "."),
    "the folder itself": _path(lambda path: path == "."),
    "a path with ..": _path(lambda path: ".." in _names(path)),
    "a path with //": _path(lambda path: "//" in path),
    "a path with a slash at its end": _path(lambda path: path.endswith("/") and path != "/"),
    "no path": _path(lambda path: not path),
    "a path in a folder": _path(lambda path: _names(path)[0] == "d" and len(_names(path)) == 2),
    "a path through what is not there": _path(lambda path: path.startswith("nowhere/")),
    "a name of 255 bytes": _path(lambda path: path == "n{255}"),
    "a name of 256 bytes": _path(lambda path: path == "n{256}"),
    "a path of 4095 bytes": _path(lambda path: len(expand(path)) == 4095),
    "a path of 4096 bytes or more": _path(lambda path: len(expand(path)) >= 4096),
    "/proc/self/fd/N": _path(lambda path: descriptor(path) not in (None, NO_FD)),
    "/proc/self/fd/N with more names": _path(lambda path: descriptor(path) not in (None, NO_FD) and "/" in path),
    "/proc/self/fd of a number that is not open": _path(lambda path: descriptor(path) == NO_FD),
}
"""Kinds of ops by name."""


class Before:
    """What stood before an op: as much of it as kinds of results ask for."""

    def __init__(self) -> None:
        self.last = OpResult()
        self.overdue = False
        """A lease was being broken when lease-break-time ran out, and has not been looked at since."""
        self.ended: set[str] = set()
        """The processes that have ended, reaped or not."""
        self.asleep: set[str] = set()
        """The processes whose calls have not returned."""

    def note(self, op: ConformOp, result: OpResult) -> None:
        """Take note of an op."""
        self.ended |= result.killed.keys()
        self.asleep -= {call.proc for call in result.unblocked} | result.killed.keys()
        self.asleep |= {op.proc} if result.blocked else set()
        if result.skipped is None and op.op == "exit":
            self.ended.add(op.proc)
        if result.skipped is None and op.op == "kill" and op.proc == "*":
            self.ended.add(op.args["proc"])
        self.overdue = op.op == "sleep" and any(lock.state == "BREAKING" for lock in self.last.locks)
        self.last = result


def _after_expiry(*ops: str) -> Callable[[ConformOp, OpResult, Before], bool]:
    return lambda op, result, before: op.op in ops and before.overdue and result.skipped is None


def _skips(why: str) -> Callable[[ConformOp, OpResult, Before], bool]:
    return lambda _op, result, _before: result.skipped == why


def _read(matches: Callable[[Any], bool]) -> Callable[[ConformOp, OpResult, Before], bool]:
    return lambda _op, result, _before: any(matches(signal) for read in result.signals.values() for signal in read)


def _new(pending: dict[str, tuple[str, ...]], before: dict[str, tuple[str, ...]]) -> set[tuple[str, str]]:
    return {(proc, name) for proc, names in pending.items() for name in names} - {
        (proc, name) for proc, names in before.items() for name in names
    }


RESULTS: dict[str, Callable[[ConformOp, OpResult, Before], bool]] = {
    "a signal stays pending": lambda _o, r, b: bool(_new(r.pending, b.last.pending)),
    "two signals pending for one process": lambda _o, r, _b: any(len(names) > 1 for names in r.pending.values()),
    "what is pending is thrown away": lambda o, r, b: (
        o.op == "sigaction" and not r.handled and bool(_new(b.last.pending, r.pending))
    ),
    "a handler runs": lambda _o, r, _b: bool(r.handled),
    "handlers of two signals in one op": lambda _o, r, _b: any(len(set(names)) > 1 for names in r.handled.values()),
    "one handler twice in one op": lambda _o, r, _b: any(len(set(names)) < len(names) for names in r.handled.values()),
    "a signal ends a process": lambda _o, r, _b: bool(r.killed),
    "a process stops": lambda _o, r, b: bool(set(r.stopped) - set(b.last.stopped)),
    "a process goes on": lambda _o, r, b: bool(set(b.last.stopped) - set(r.stopped) - set(r.killed)),
    "a stopped process is not asked": _skips("proc stopped"),
    "a signal ends a wait with EINTR": lambda _o, r, _b: any(call.errno == "EINTR" for call in r.unblocked),
    "a call is made again after a handler": lambda _o, r, b: bool(
        (b.asleep & r.handled.keys()) - {call.proc for call in r.unblocked} - r.killed.keys()
    ),
    "a wait for signals ends": lambda _o, r, _b: any(str(call.ret).startswith("SIG") for call in r.unblocked),
    "SIGCHLD is read": _read(lambda signal: signal.sig == "SIGCHLD"),
    "CLD_EXITED": _read(lambda signal: signal.si_code == "CLD_EXITED"),
    "CLD_KILLED": _read(lambda signal: signal.si_code == "CLD_KILLED"),
    "CLD_STOPPED": _read(lambda signal: signal.si_code == "CLD_STOPPED"),
    "CLD_CONTINUED": _read(lambda signal: signal.si_code == "CLD_CONTINUED"),
    "a lease tells by F_SETSIG": _read(lambda signal: signal.si_code in ("POLL_MSG", "SI_SIGIO")),
    "a lease tells by SIGCHLD": _read(lambda signal: signal.si_code == "SI_SIGIO"),
    "SIGCHLD has a handler": lambda _o, r, _b: any("SIGCHLD" in names for names in r.handled.values()),
    "waitpid reaps": lambda o, r, _b: o.op == "waitpid" and isinstance(r.ret, str),
    "waitpid sleeps": lambda o, r, _b: o.op == "waitpid" and r.blocked,
    "waitpid has nobody to wait for": lambda o, r, _b: o.op == "waitpid" and r.errno == "ECHILD",
    "kill of nobody": lambda o, r, _b: o.op == "kill" and r.errno == "ESRCH",
    "kill without a right": lambda o, r, _b: o.op == "kill" and r.errno == "EPERM",
    "kill of a zombie": lambda o, r, b: o.op == "kill" and o.args.get("pid") in b.ended and r.ret == 0,
    "kill of one that is gone": lambda o, r, b: o.op == "kill" and o.args.get("pid") in b.ended and r.errno == "ESRCH",
    "F_SETOWN of a zombie": lambda o, r, b: o.op == "setown" and o.args["pid"] in b.ended and r.ret == 0,
    "F_SETOWN reads back 0": lambda o, r, _b: o.op == "getown" and r.ret == 0,
    "F_SETOWN of nobody fails": lambda o, r, _b: o.op == "setown" and r.errno == "ESRCH",
    "F_SETOWN fails with EINVAL": lambda o, r, _b: o.op == "setown" and r.errno == "EINVAL",
    "no descriptor is left": lambda _o, r, _b: r.errno == "EMFILE",
    "a buffer that is not there": lambda o, r, _b: o.op in TRANSFERS and r.errno == "EFAULT",
    "a buffer that ends early": lambda o, r, _b: (
        o.op in ("vmsplice", "pwritev") and isinstance(r.ret, int) and 0 < r.ret < o.args["len"]
    ),
    "a pipe without room for a page": lambda o, r, _b: o.op == "vmsplice" and r.errno == "EAGAIN",
    "a transfer with what has no pages or no places": lambda o, r, _b: (
        o.op in TRANSFERS and r.errno in ("EBADF", "ESPIPE")
    ),
    "a direct transfer": lambda o, r, _b: o.op in TRANSFERS and o.args["fd"] == "d" and r.ret == o.args["len"] > 0,
    "ftruncate after a lease-break-time": _after_expiry("ftruncate"),
    "rename after a lease-break-time": _after_expiry("rename"),
    "open after a lease-break-time": _after_expiry("open", "reopen"),
    "another op after a lease-break-time": _after_expiry(
        "setlease", "getlease", "truncate", "link", "unlink", "chmod", "stat"
    ),
}
"""Kinds of what came of ops by name."""


def kinds_of_ops(program: ConformProgram) -> Iterator[str]:
    """Yield the kinds of a program's ops; with a result, of those that were tried."""
    results = program.result.results if program.result is not None else [OpResult()] * len(program.ops)
    for op, result in zip(program.ops, results, strict=True):
        if result.skipped is None:
            yield from (kind for kind, matches in OPS.items() if matches(op))


def kinds_of_results(program: ConformProgram) -> Iterator[str]:
    """Yield the kinds of what came of a program's ops."""
    assert program.result is not None
    before = Before()
    for op, result in zip(program.ops, program.result.results, strict=True):
        yield from (kind for kind, matches in RESULTS.items() if matches(op, result, before))
        before.note(op, result)


def programs_by_kind(kinds: Iterable[Iterable[str]]) -> dict[str, int]:
    """Return in how many programs each kind occurs."""
    found: dict[str, int] = dict.fromkeys([*OPS, *RESULTS], 0)
    for of_program in kinds:
        for kind in set(of_program):
            found[kind] += 1
    return found


def main() -> None:
    """Print in how many programs of a recorded file each kind occurs, among the ops that were tried."""
    programs = load_programs(Path(sys.argv[1]))
    found = programs_by_kind([*kinds_of_ops(program), *kinds_of_results(program)] for program in programs)
    for kind, number in found.items():
        sys.stdout.write(f"{number:6} {kind}\n")


if __name__ == "__main__":
    main()
