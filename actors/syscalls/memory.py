"""Calls on memory: mappings, and loads and stores of the CPU. What they do is done by the memory map."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation, KernelError, Uninterruptible
from longpin.actors.kernel.machine import MOST_BYTES
from longpin.actors.mm.address_space import TASK_SIZE
from longpin.actors.syscalls.declaration import Declarations, Flags, OneOf, Section, libc
from longpin.actors.syscalls.files import as_bytes
from longpin.messages.fs.file import Release
from longpin.messages.mm.mm import Faulted, LoadBytes, Mmap, Munmap, StoreBytes

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.MEMORY)
syscall = CALLS.declare


@syscall(
    "mmap(length: size_t, prot: int, flags: int, fd: fd, offset: size_t)",
    "mmap(2)",
    returns="an address; flags: `MAP_SHARED`",
    errnos={"EOPNOTSUPP": "mmap(2), MAP_SHARED_VALIDATE in DESCRIPTION"},
    partial="files, `MAP_SHARED`, where the kernel likes",
    allowed={"prot": Flags(("PROT_NONE", "PROT_READ", "PROT_WRITE")), "flags": OneOf(("MAP_SHARED",))},
)
def mmap(process: "Process", length: int, prot: int, flags: int, fd: int, offset: int) -> Conversation[int]:
    """mmap(2) of a file, shared [1.8]."""
    if offset % process.kernel.page_size:
        raise KernelError(errno.EINVAL)
    file = process.file(fd)
    if length == 0:
        raise KernelError(errno.EINVAL)
    wanted = Mmap(length, prot, flags, file, offset, fd, process.caller)
    address: int = (yield Uninterruptible(process.memory(), wanted)).value
    return address


@syscall(
    "munmap(addr: size_t, length: size_t)",
    "mmap(2)",
    returns="0; any pages, mapped or not",
    libc=libc("int munmap(addr, length)", "sys/mman.h"),
)
def munmap(process: "Process", addr: int, length: int) -> Conversation[int]:
    """munmap(2) of any pages, mapped or not. What is pinned stays pinned [1.9]."""
    page = process.kernel.page_size
    end = addr + process.kernel.pages(length) * page
    if addr % page or length == 0 or end > TASK_SIZE:
        raise KernelError(errno.EINVAL)
    for file in (yield Uninterruptible(process.memory(), Munmap(addr, end))).releases:
        yield Call(file.ofd, Release(exiting=False))
    return 0


@syscall(
    "load(addr: long, length: long)",
    "",
    returns="the bytes there, at most 65536; the process gets SIGSEGV or SIGBUS where a CPU load would",
    errnos={"EFAULT": "semantics 1.8", "EINVAL": "docs/scenario.md, Limits"},
)
def load(process: "Process", addr: int, length: int) -> Conversation[bytes]:
    """Read memory, page by page; SIGSEGV outside mappings, SIGBUS beyond the end of the file.

    More than 64 KiB at once is EINVAL: no CPU loads that much in one go.
    """
    if length > MOST_BYTES:
        raise KernelError(errno.EINVAL)
    loaded = yield Uninterruptible(process.memory(), LoadBytes(addr, length))
    if isinstance(loaded, Faulted):
        raise process.fault_signal(loaded.signo)
    data: bytes = loaded.data
    return data


@syscall("store(addr: long, data: bytes|str)", "", returns="a CPU store", errnos={"EFAULT": "semantics 1.8"})
def store(process: "Process", addr: int, data: bytes | str) -> Conversation[int]:
    """Write memory, page by page."""
    stored = yield Uninterruptible(process.memory(), StoreBytes(addr, as_bytes(data)))
    if isinstance(stored, Faulted):
        raise process.fault_signal(stored.signo)
    return 0
