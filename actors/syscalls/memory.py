"""Calls on memory: mappings, loads and stores, and get_user_pages."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import MAP_SHARED, PROT_READ, PROT_WRITE, SIGBUS, SIGSEGV
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.machine import MOST_BYTES, MOST_SIZE
from longpin.actors.locks import Hold
from longpin.actors.mm.address_space import TASK_SIZE, Mapping, Pte
from longpin.actors.syscalls.declaration import Declarations, Flags, OneOf, Section, libc
from longpin.actors.syscalls.files import as_bytes
from longpin.messages.fs.file import MapFile, Ref, Release
from longpin.messages.fs.inode import Fault, SplitMapping
from longpin.messages.mm.pmem import ZERO_PAGE, Load, Store

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.MEMORY)
syscall = CALLS.declare


MAP_TYPE, MAP_SHARED_VALIDATE = 0xF, 3
"""The bits of the flags that say which kind of mapping it is, and the other value that is a shared one."""


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
    page = process.kernel.page_size
    if offset % page:
        raise KernelError(errno.EINVAL)
    file = process.file(fd)
    if length == 0:
        raise KernelError(errno.EINVAL)
    length = process.kernel.pages(length) * page
    if process.mm.top + length > TASK_SIZE:
        raise KernelError(errno.ENOMEM)
    if file.kind == "file" and offset // page > (MOST_SIZE - length) // page:
        raise KernelError(errno.EOVERFLOW)
    if flags & MAP_TYPE not in (MAP_SHARED, MAP_SHARED_VALIDATE):
        raise KernelError(errno.EINVAL)
    number = process.mm.next_number()
    yield Call(file.ofd, MapFile(number, prot, flags, process.address, fd, process.caller))
    return process.mm.add(length, prot, flags, file, offset // page, number).start


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
    for mapping in process.mm.overlapping(addr, end):
        number = 0
        if mapping.start < addr and end < mapping.end:  # two are left, and each holds the file
            number = process.mm.next_number()
            yield Call(mapping.file.ofd, Ref())
            yield Call(mapping.inode, SplitMapping(process.address, mapping.number, number))
        if mapping.start < addr or end < mapping.end:
            process.mm.cut(mapping, max(addr, mapping.start), min(end, mapping.end), number)
        elif (yield from process.unmap(mapping)):
            yield Call(mapping.file.ofd, Release(exiting=False))
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
    data = b""
    while length > 0:
        hold, pte, part = yield from _touch(process, addr, length, write=False)
        with hold:
            if pte.block == ZERO_PAGE:
                data += bytes(part)
            else:
                inside = addr % process.kernel.page_size
                data += (yield Call(pte.pmem, Load(pte.block, inside, part))).data
        addr, length = addr + part, length - part
    return data


@syscall("store(addr: long, data: bytes|str)", "", returns="a CPU store", errnos={"EFAULT": "semantics 1.8"})
def store(process: "Process", addr: int, data: bytes | str) -> Conversation[int]:
    """Write memory, page by page."""
    left = as_bytes(data)
    while left:
        hold, pte, part = yield from _touch(process, addr, len(left), write=True)
        with hold:
            inside = addr % process.kernel.page_size
            yield Call(pte.pmem, Store(pte.block, inside, left[:part]))
        addr, left = addr + part, left[part:]
    return 0


def _touch(process: "Process", addr: int, length: int, *, write: bool) -> Conversation[tuple[Hold, Pte, int]]:
    """Make a page accessible to the CPU; the page table lock is held on return, so it stays so."""
    mapping = process.mm.find(addr)
    if mapping is None or not mapping.prot & (PROT_WRITE if write else PROT_READ | PROT_WRITE):
        raise process.fault_signal(SIGSEGV)
    try:
        hold, pte = yield from resolve(process, mapping, process.mm.page_of(mapping, addr), write=write)
    except KernelError as error:
        raise (process.fault_signal(SIGBUS) if error.errno == errno.EFAULT else error) from None
    inside = addr % process.kernel.page_size
    return hold, pte, min(length, process.kernel.page_size - inside)


def resolve(process: "Process", mapping: Mapping, page: int, *, write: bool) -> Conversation[tuple[Hold, Pte]]:
    """Find a page table entry, faulting until there is one; returns with the page table lock held [1.9]."""
    while True:
        hold: Hold = yield process.page_table_lock.exclusive()
        pte = process.mm.page_table.get((mapping.number, page))
        if pte is not None and (pte.writable or not write):
            return hold, pte
        hold.drop()
        yield Call(mapping.inode, Fault(mapping.number, page, write))
