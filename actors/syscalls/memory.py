"""Calls on memory: mappings, and loads and stores of the CPU. What they do is done by the memory map."""

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING

from longpin.actors.constants import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_HUGETLB,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
)
from longpin.actors.conversation import Call, Conversation, KernelError, Uninterruptible
from longpin.actors.kernel.machine import MOST_BYTES
from longpin.actors.mm.address_space import NO_FILE, TASK_SIZE
from longpin.actors.syscalls.declaration import ArgumentRefusal, Declarations, Flags, Given, Section, libc
from longpin.actors.syscalls.files import as_bytes
from longpin.messages.fs.file import Release
from longpin.messages.mm.mm import Faulted, LoadBytes, Mmap, Munmap, StoreBytes
from longpin.messages.mm.ranges import Mremap
from longpin.messages.process.process import File

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.MEMORY)
syscall = CALLS.declare


NOT_MODELLED = {"MAP_GROWSDOWN": 0x100, "MAP_32BIT": 0x40}
"""Flags of mmap(2) that mean something which is not there; others that nobody knows are ignored, or refused."""


def _flags_not_modelled(given: Given) -> ArgumentRefusal | None:
    """Refuse flags that would mean something, and an address that is needed and not given."""
    flags = given["flags"]
    if not isinstance(flags, int):
        return None
    for name, value in NOT_MODELLED.items():
        if flags & value:
            return ArgumentRefusal("flags", "flags that are supported", name)
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) and "addr" not in given:
        return ArgumentRefusal("", "an address behind the offset, where the mapping is to be", "none")
    return None


@syscall(
    "mmap(length: size_t, prot: int, flags: int, fd: fd, offset: size_t, [addr: size_t])",
    "mmap(2)",
    returns="an address; flags: one of `MAP_SHARED`, `MAP_PRIVATE`, `MAP_SHARED_VALIDATE`, and any of `MAP_ANONYMOUS`, "
    "`MAP_FIXED`, `MAP_FIXED_NOREPLACE`, `MAP_LOCKED`, `MAP_POPULATE`, `MAP_NONBLOCK`, `MAP_NORESERVE`, `MAP_STACK`, "
    "`MAP_SYNC`, `MAP_HUGETLB` with `MAP_HUGE_2MB` or `MAP_HUGE_1GB`. The address it is wanted at stands "
    "last, and can be left out",
    errnos={"EOPNOTSUPP": "mmap(2), MAP_SHARED_VALIDATE in DESCRIPTION"},
    partial="without `MAP_GROWSDOWN`, `MAP_32BIT`; code is not executed",
    allowed={"prot": Flags(("PROT_NONE", "PROT_READ", "PROT_WRITE"))},
    refuses=_flags_not_modelled,
)
def mmap(
    process: "Process", length: int, prot: int, flags: int, fd: int, offset: int, addr: int = 0
) -> Conversation[int]:
    """mmap(2), of a file or of none [1.8]."""
    if offset % process.kernel.page_size:
        raise KernelError(errno.EINVAL)
    file = NO_FILE if flags & MAP_ANONYMOUS else process.file(fd)
    if length == 0 or (flags & MAP_HUGETLB and not flags & MAP_ANONYMOUS and file.kind != "hugetlb"):
        raise KernelError(errno.EINVAL)
    wanted = Mmap(length, prot, flags, file, offset, fd, process.caller, process.memlock, addr)
    mapped = yield Uninterruptible(process.memory(), wanted)
    address: int = mapped.address
    process.mapped.add(address, address + process.kernel.pages(length) * process.kernel.page_size, file)
    yield from release(mapped.releases)
    return address


def release(files: Iterable[File]) -> Conversation[None]:
    """Release open file descriptions of which a mapping that is gone held the last reference."""
    for file in files:
        yield Call(file.ofd, Release(exiting=False))


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
    unmapped = yield Uninterruptible(process.memory(), Munmap(addr, end))
    process.mapped.remove(addr, end)
    yield from release(unmapped.releases)
    return 0


@syscall(
    "mremap(addr: size_t, old_length: size_t, length: size_t, flags: int, [new_addr: size_t])",
    "mremap(2)",
    returns="the address; flags: `MREMAP_MAYMOVE`, `MREMAP_FIXED` with the new address, `MREMAP_DONTUNMAP`",
)
def mremap(
    process: "Process", addr: int, old_length: int, length: int, flags: int, new_addr: int = 0
) -> Conversation[int]:
    """mremap(2): another length, another place, or both [1.8]."""
    page = process.kernel.page_size
    old, new = process.kernel.pages(old_length) * page, process.kernel.pages(length) * page
    moves = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)
    if flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) or addr % page or not 0 < new <= TASK_SIZE:
        raise KernelError(errno.EINVAL)
    if (moves and not flags & MREMAP_MAYMOVE) or (flags & MREMAP_DONTUNMAP and old != new):
        raise KernelError(errno.EINVAL)
    if flags & MREMAP_FIXED:
        overlap = addr < new_addr + new and new_addr < addr + old
        if new_addr % page or new_addr > TASK_SIZE - new or overlap:
            raise KernelError(errno.EINVAL)
    wanted = Mremap(addr, old, new, flags, new_addr, process.memlock)
    mapped = yield Uninterruptible(process.memory(), wanted)
    address: int = mapped.address
    process.mapped.move(addr, addr + old, address, address + new, stays=bool(flags & MREMAP_DONTUNMAP))
    yield from release(mapped.releases)
    return address


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
