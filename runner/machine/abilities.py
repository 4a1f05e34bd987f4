"""What programs this host can run, found out by trying, and why it cannot run the others."""

import ctypes
import errno
import fcntl
import os
import platform
import resource
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from longpin.actors.constants import FICLONE
from longpin.runner.machine.agent_libc import LIBC, PAGE
from longpin.runner.machine.agent_signals import SYSTEM_CALLS
from longpin.runner.machine.agent_uring import why_not
from longpin.runner.machine.proc_files import LEASE_BREAK_TIME, LEASES_ENABLE, LOCKS, file_system

FALLOCATE_MODES: dict[str, int] = {
    "ALLOC": 0,
    "KEEP_SIZE": 1,
    "PUNCH_HOLE": 3,  # FALLOC_FL_PUNCH_HOLE must come with FALLOC_FL_KEEP_SIZE
    "COLLAPSE": 8,
    "ZERO": 16,
    "INSERT": 32,
    "UNSHARE": 64,
}
"""Modes of fallocate(2)."""

DEFAULT_BREAK_TIME = 45
"""Seconds of lease-break-time that a program starts with."""


@dataclass(frozen=True, slots=True)
class HostAbilities:
    """What the kernel, the file system and our rights allow; each reason is a sentence, empty if nothing is missing."""

    kernel: str
    """The release, such as 6.18.44."""
    fs: str
    """The type of the file system the programs run on."""
    leases: str
    """Why no lease can be taken at all."""
    root: str
    """Why a process cannot change its user, a file's owner, or read what its mode forbids."""
    break_time: str
    """Why lease-break-time cannot be set."""
    executable: str
    """Why nothing can be executed in the folder."""
    tmpfile: str
    """Why O_TMPFILE cannot be opened."""
    signals: str
    """Why no process can set signals as it likes."""
    xattr: str
    """Why a file can have no extended attribute."""
    limits: str
    """Why no process can raise a limit that it has lowered."""
    reflink: str
    """Why files cannot share blocks."""
    io_uring: str
    """Why there is no io_uring."""
    fallocate: frozenset[str]
    """The modes of fallocate(2) that the file system has."""


def probe(folder: Path) -> HostAbilities:
    """Find out what can be run in a folder."""
    root = "" if os.geteuid() == 0 and _may_change_user() else "needs root (CAP_SETUID, CAP_CHOWN, CAP_DAC_OVERRIDE)"
    fs = file_system(folder)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        inside = Path(name)
        return HostAbilities(
            kernel=platform.release(),
            fs=fs,
            leases=_why_no_leases(inside),
            root=root,
            break_time=_why_no_break_time(),
            executable="the folder is mounted noexec" if os.statvfs(inside).f_flag & os.ST_NOEXEC else "",
            tmpfile=_why_not(lambda: os.close(os.open(inside, os.O_TMPFILE | os.O_RDWR)), "O_TMPFILE"),
            signals="" if SYSTEM_CALLS else f"it is not known how to call rt_sigaction on {platform.machine()}",
            xattr=_why_not(lambda: os.setxattr(inside, "user.longpin", b"x"), "user extended attributes"),
            limits="" if _may_raise_limits() else "needs the right to raise limits (CAP_SYS_RESOURCE)",
            reflink=_why_not(lambda: _clone(inside), "FICLONE"),
            io_uring=why_not(),
            fallocate=frozenset(_fallocate_modes(inside)),
        )


def _why_not(attempt: Callable[[], object], what: str) -> str:
    try:
        attempt()
    except OSError as error:
        return f"the file system has no {what}: {error.strerror}"
    return ""


def _why_no_leases(folder: Path) -> str:
    """Take a lease to see whether one can be had."""
    if not LOCKS.is_file():
        return f"no {LOCKS} here: fcntl(2) leases need a Linux kernel with /proc mounted"
    try:
        if LEASES_ENABLE.read_text().strip() != "1":
            return "leases are disabled: fs.leases-enable is 0"
    except OSError as error:
        return f"{LEASES_ENABLE}: {error.strerror}"
    with (folder / "lease").open("x+b") as made, Path(made.name).open("rb") as file:
        made.close()
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            return f"no lease can be taken on a file in {folder.parent}: {error.strerror}"
        return "" if str(os.fstat(file.fileno()).st_ino) in LOCKS.read_text() else f"{LOCKS} does not show leases here"


def _why_no_break_time() -> str:
    try:
        LEASE_BREAK_TIME.open("r+").close()  # nothing is written: it may be in use by another run
    except OSError as error:
        return f"{LEASE_BREAK_TIME} cannot be written: {error.strerror}"
    return ""


def _may_change_user() -> bool:
    """Whether root has its capabilities: in a container it may not."""
    child = os.fork()
    if not child:
        os._exit(0 if LIBC.setfsuid(65534) == 0 and LIBC.setuid(65534) == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _may_raise_limits() -> bool:
    child = os.fork()
    if not child:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
            resource.setrlimit(resource.RLIMIT_NOFILE, (101, 101))
        except (OSError, ValueError):
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _clone(folder: Path) -> None:
    with (folder / "one").open("xb") as one, (folder / "other").open("xb") as other:
        one.write(bytes(PAGE))
        one.flush()
        with Path(one.name).open("rb") as source:
            fcntl.ioctl(other.fileno(), FICLONE, source.fileno())


def _fallocate_modes(folder: Path) -> Iterator[str]:
    block = ctypes.c_long(PAGE)
    with (folder / "space").open("x+b") as file:
        for name, mode in FALLOCATE_MODES.items():
            file.truncate(4 * PAGE)
            done = LIBC.fallocate(file.fileno(), mode, ctypes.c_long(0), block)
            if done == 0 or ctypes.get_errno() not in (errno.EOPNOTSUPP, errno.ENOSYS):
                yield name
