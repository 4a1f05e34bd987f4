"""What /proc tells about a process that does not answer, and about leases."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LEASE_BREAK_TIME = Path("/proc/sys/fs/lease-break-time")
"""Seconds a holder has; proc_sys_fs(5)."""
LEASES_ENABLE = Path("/proc/sys/fs/leases-enable")
"""1 where leases can be taken; proc_sys_fs(5)."""
LOCKS = Path("/proc/locks")
"""Every lock and lease; proc_locks(5)."""
MOST_READINGS = 20
"""How often a file that others change all the time is read before it is taken as it is."""
PIECE = 4096 - 256
"""The kernel hands out a page of a file in /proc at once, in whole lines; with fewer bytes than this it was all."""


class Look(NamedTuple):
    """One look at a process."""

    state: str
    """S: interruptible sleep, D: uninterruptible, R: running, Z or X: dead; proc_pid_stat(5)."""
    call: str
    """The system call it sleeps in and that call's first argument; empty if it sleeps in none, or none can be seen."""
    channel: str
    """The kernel function it sleeps in, empty if that cannot be seen."""


def look(pid: int) -> Look:
    """Look at a process; one that is gone has state X."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return Look("X", "", "")
    words = _read(pid, "syscall").split()
    # "running", or the call's number and its arguments, or -1 for a sleep outside of any call (a page fault).
    call = " ".join(words[:2]) if len(words) > 2 and words[0] != "-1" else ""
    channel = _read(pid, "wchan").strip()
    return Look(state, call, "" if channel == "0" else channel)


def pending_mask(pid: int) -> int:
    """Return the signals that are pending for a process: bit 0 for signal 1, and so on."""
    mask = 0
    for bits in re.findall(r"^(?:Sig|Shd)Pnd:\s*([0-9a-f]+)$", _read(pid, "status"), re.MULTILINE):
        mask |= int(bits, 16)
    return mask


class Status(NamedTuple):
    """What /proc/PID/status says; proc_pid_status(5)."""

    state: str
    """As in :class:`Look`; T: stopped."""
    pending: int
    """The signals that are pending: bit 0 for signal 1, and so on."""
    switches: int
    """How often the process came off its CPU: if the number is the same, it has not run in between."""


def status(pid: int) -> Status | None:
    """Look at a process; None if it is gone."""
    words = dict(line.partition(":")[::2] for line in _read(pid, "status").splitlines())
    if not words:
        return None
    switches = int(words["voluntary_ctxt_switches"]) + int(words["nonvoluntary_ctxt_switches"])
    return Status(words["State"].strip()[:1], int(words["SigPnd"], 16) | int(words["ShdPnd"], 16), switches)


def exit_code(pid: int) -> int | None:
    """Return how a zombie ended, as wait(2) tells it; None if it cannot be seen."""
    words = _read(pid, "stat").rpartition(") ")[2].split()
    return int(words[-1]) if words and words[0] == "Z" else None


def _read(pid: int, name: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_text()
    return ""


class LeaseLine(NamedTuple):
    """A line of /proc/locks that is a lease."""

    state: str
    kind: str
    pid: int
    device: tuple[int, int]
    inode: int


def leases() -> list[LeaseLine]:
    """Read the leases of the whole machine.

    What the kernel hands out in one piece is as it was at one moment. A longer file comes piece by piece: a line can
    come twice, or not at all, if somebody else's lock comes or goes meanwhile. So it is read until two readings agree.
    """
    text, whole = _read_locks()
    for _ in range(0 if whole else MOST_READINGS):
        before, (text, whole) = text, _read_locks()
        if whole or text == before:
            break
    return list(_leases_in(text))


def _read_locks() -> tuple[str, bool]:
    """Return the file, and whether it came in one piece."""
    with LOCKS.open("rb", buffering=0) as file:
        data = file.read(1 << 20)  # not to the end: asked for more, the kernel would look again
        if whole := len(data) < PIECE:
            return data.decode(), whole
        return (data + file.read()).decode(), whole


def _leases_in(text: str) -> Iterator[LeaseLine]:
    # 1: LEASE  ACTIVE    READ  4711 fd:00:1234 0 EOF; proc_locks(5)
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 6 and words[1] == "LEASE":
            major, minor, inode = words[5].split(":")
            yield LeaseLine(words[2], words[3], int(words[4]), (int(major, 16), int(minor, 16)), int(inode))


def file_system(folder: Path) -> str:
    """Return the type of the file system that holds a folder, such as ext4; empty if /proc does not tell."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    best = ("", "")
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            own, _, filesystem = line.partition(" - ")
            words = own.split()
            point = words[4]
            inside = str(folder.resolve()) == point or str(folder.resolve()).startswith(point.rstrip("/") + "/")
            if words[2] == wanted and (inside or not best[1]):
                best = (
                    max(best, (point, filesystem.split()[0]), key=lambda item: len(item[0]))
                    if inside
                    else ("", filesystem.split()[0])
                )
    return best[1]
