"""What an administrator can see of who holds a file, and do about it: programs that read /proc, and kill(1).

Nothing here is known that is not in a file of /proc. A program such as fuser(1) reads one file after the other, so what
it comes to is no picture of one moment: a descriptor may be passed on meanwhile.
"""

import errno
from dataclasses import replace
from typing import TYPE_CHECKING

from longpin.actors.constants import SIGKILL
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.backing import kind_of
from longpin.actors.process.facts import HoldersRead, PinHolders
from longpin.actors.process.holders import able_to_unpin, listed
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.paths import follow
from longpin.actors.syscalls.processes import find
from longpin.actors.syscalls.signals import kill
from longpin.messages.envelope import Address
from longpin.messages.fs.directory import DIRECTORY
from longpin.messages.fs.listing import ListedBy, ListedFile, ListFiles, ListHolders, ShowLocks
from longpin.messages.process.descriptors import Descriptors, ListDescriptors
from longpin.messages.process.process import PROCESS_TABLE, FindGroup

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.ADMINISTRATION, on_host=False)
syscall = CALLS.declare

FILE_PINS = "file_pins"
"""The file of /proc/PID that shows pins, where a policy has it."""


@syscall(
    "proc_locks()",
    "proc_locks(5)",
    returns="the lines of `/proc/locks` that are leases, as bytes: each with the number of the process that took it, "
    "and a path where Linux has the device and the inode's number",
    partial="leases, of files; no flock(2) and record locks",
)
def proc_locks(_process: "Process") -> Conversation[bytes]:
    """Read /proc/locks: file after file, in the order of their paths."""
    files: tuple[ListedFile, ...] = (yield Call(DIRECTORY, ListFiles())).files
    lines: list[str] = []
    for inode, path in files:
        shown = yield Call(inode, ShowLocks())
        lines += [f"{line} {path} 0 EOF" for line in shown.lines]
    return "".join(f"{number}: {line}\n" for number, line in enumerate(lines, 1)).encode()


@syscall(
    "file_pins(process: process)",
    "",
    returns="`/proc/PID/file_pins` as bytes: each descriptor that owns pins, with a line for each file it has pinned, "
    "under P7 each with an unbreakable layout, and the files that were pinned without one. "
    "ENOENT where the policy adds no such file",
    errnos={
        "ENOENT": "semantics 2.9: the kernel has no such file",
        "ESRCH": "semantics 2.9",
        "EACCES": "semantics 2.9: as of /proc/PID/fd",
    },
)
def file_pins(process: "Process", target: str | int) -> Conversation[bytes]:
    """Read /proc/PID/file_pins [V2-13 to V2-18]: a descriptor owns what its device has pinned, whoever asked it to."""
    if FILE_PINS not in process.kernel.policy.proc_files:
        raise KernelError(errno.ENOENT)
    address = (yield Call(PROCESS_TABLE, find(target))).address
    shown: Descriptors = yield Call(address, ListDescriptors(process.caller))
    files: tuple[ListedFile, ...] = (yield Call(DIRECTORY, ListFiles())).files
    pinned: dict[tuple[ListedBy, Address], list[str]] = {}
    for inode, path in files:
        for entry in (yield Call(inode, ListHolders(process.caller))).entries:
            paths = pinned.setdefault((entry.by, entry.address), [])
            if path not in paths:
                paths.append(path)
    lines: list[str] = []
    for fd, file in shown.table:
        if paths := pinned.get((ListedBy.DEVICE, file.backing), []):
            lines += [f"{fd}: {_device(file.kind)}", *(f"   {path}" for path in paths)]
        if paths := pinned.get((ListedBy.DESCRIPTION, file.ofd), []):
            lines += [f"{fd}: layout", *(f"   {path}" for path in paths)]
    for owner in (address, shown.mm):
        lines += pinned.get((ListedBy.MEMORY, owner), [])
    return "".join(f"{line}\n" for line in lines).encode()


_LINKS = {"uverbs": "/dev/infiniband/uverbs0", "io_uring": "anon_inode:[io_uring]"}
"""Where entries of /proc/PID/fd lead to; others to ``/dev/KIND0``."""


def _device(kind: str) -> str:
    return _LINKS.get(kind, f"/dev/{kind}0")


@syscall(
    "list_holders(path: path)",
    "",
    returns="how many processes an administrator finds who hold the layout of a file, as fuser(1) counts: by what the "
    "policy lists in `/proc`, and who has what is listed there open. The variable `holder_pids` has their numbers, "
    "as bytes",
    errnos={"ENOENT": "semantics 2.9", "ENOTDIR": "semantics 2.9", "ENAMETOOLONG": "semantics 2.9"},
)
def list_holders(process: "Process", path: str) -> Conversation[int]:
    """Find who holds a file, as they are listed now."""
    return len((yield from _read_holders(process, path)).listed)


@syscall(
    "kill_holders(path: path, signal: int)",
    "kill(2)",
    returns="how many of them it sent a signal to, as `fuser -k` does: it lists anew, and never itself",
    errnos={
        "ENOENT": "semantics 2.9",
        "ENOTDIR": "semantics 2.9",
        "ENAMETOOLONG": "semantics 2.9",
    },
)
def kill_holders(process: "Process", path: str, signo: int) -> Conversation[int]:
    """Send a signal to each process that is listed, by its number; one that has ended meanwhile counts for none.

    Raises:
        KernelError: what kill(2) says of the first it may not signal; the others have their signal.

    """
    read = yield from _read_holders(process, path)
    sent, refused = 0, None
    for number in read.listed:
        if number == process.pid:
            continue
        try:
            yield from kill(process, number, signo)
            sent += 1
        except KernelError as error:
            if error.errno != errno.ESRCH:
                refused = refused or error
    if refused is not None:
        raise refused
    if signo == SIGKILL:
        process.killed_holders.append(replace(read, thread=None))
    return sent


def _read_holders(process: "Process", path: str) -> Conversation[HoldersRead]:
    """Read of a file what is listed, then of every process what it has open; a process it may not look into is none.

    Raises:
        KernelError: the path leads nowhere.

    """
    inode = yield from follow(process, path)
    if kind_of(inode) != "file":
        raise KernelError(errno.EINVAL)
    seen = yield Call(inode, ListHolders(process.caller))
    shown = yield from _read_descriptors(process)
    found = listed(seen.entries, shown)
    holders = tuple(PinHolders(pin, able_to_unpin(pin, shown)) for pin in seen.pins)
    process.current.variables["holder_pids"] = " ".join(map(str, found)).encode()
    read = HoldersRead(inode, found, seen.leases, holders, process.current)
    process.facts.append(read)
    return read


def _read_descriptors(process: "Process") -> Conversation[dict[Address, Descriptors]]:
    """Read /proc/PID/fd of every process that has a number and can be looked into."""
    shown: dict[Address, Descriptors] = {}
    for member in (yield Call(PROCESS_TABLE, FindGroup(-1))).members:
        try:
            shown[member] = yield Call(member, ListDescriptors(process.caller))
        except KernelError:
            continue
    return shown
