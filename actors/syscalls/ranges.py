"""Calls on ranges of memory: what may be done with it, what is advised of it, what is locked [1.8]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import (
    MADV_REMOVE,
    MS_ASYNC,
    MS_INVALIDATE,
    MS_SYNC,
    PROGRAM_CONSTANTS,
    PROT_READ,
    PROT_WRITE,
)
from longpin.actors.conversation import Call, Conversation, KernelError, Uninterruptible
from longpin.actors.mm.address_space import TASK_SIZE
from longpin.actors.syscalls.declaration import Declarations, Flags, OneOf, Section, libc
from longpin.messages.mm.ranges import LockPages, Madvise, Mprotect, Msync

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.MEMORY)
syscall = CALLS.declare

ADVICE = tuple(
    f"MADV_{name}"
    for name in [
        "NORMAL",
        "RANDOM",
        "SEQUENTIAL",
        "WILLNEED",
        "DONTNEED",
        "FREE",
        "REMOVE",
        "DONTFORK",
        "DOFORK",
        "MERGEABLE",
        "UNMERGEABLE",
        "HUGEPAGE",
        "NOHUGEPAGE",
        "DONTDUMP",
        "DODUMP",
        "WIPEONFORK",
        "KEEPONFORK",
        "COLD",
        "PAGEOUT",
        "POPULATE_READ",
        "POPULATE_WRITE",
        "DONTNEED_LOCKED",
    ]
)
_KNOWN_ADVICE = {PROGRAM_CONSTANTS[name] for name in ADVICE}
_ALL = 1 << 64


@syscall(
    "mprotect(addr: size_t, length: size_t, prot: int)",
    "mprotect(2)",
    returns="0",
    partial="code is not executed",
    allowed={"prot": Flags(("PROT_NONE", "PROT_READ", "PROT_WRITE"))},
    libc=libc("int mprotect(addr, length, prot)", "sys/mman.h"),
)
def mprotect(process: "Process", addr: int, length: int, prot: int) -> Conversation[int]:
    """mprotect(2)."""
    page = process.kernel.page_size
    if addr % page:
        raise KernelError(errno.EINVAL)
    if length == 0:
        return 0
    end = addr + process.kernel.pages(length) * page
    if end >= _ALL:
        raise KernelError(errno.ENOMEM)
    if prot & ~(PROT_READ | PROT_WRITE):
        raise KernelError(errno.EINVAL)
    yield Uninterruptible(process.memory(), Mprotect(addr, min(end, TASK_SIZE + page), prot))
    return 0


@syscall(
    "madvise(addr: size_t, length: size_t, advice: int)",
    "madvise(2)",
    returns="0. `MADV_DONTNEED` drops pages, `MADV_REMOVE` makes a hole in the file, `MADV_DONTFORK` and "
    "`MADV_WIPEONFORK` say what a child gets, `MADV_POPULATE_READ` and `_WRITE` fault in; the others are hints",
    partial="the advice that stands in constants",
    allowed={"advice": OneOf(ADVICE)},
    errnos={"ETXTBSY": "fallocate(2), which MADV_REMOVE calls"}
    | dict.fromkeys(("EINTR", "EOPNOTSUPP", "ENODEV"), "fallocate(2)"),
    libc=libc("int madvise(addr, length, advice)", "sys/mman.h"),
)
def madvise(process: "Process", addr: int, length: int, advice: int) -> Conversation[int]:
    """madvise(2); MADV_REMOVE waits as fallocate(2) does, and a signal ends that."""
    page = process.kernel.page_size
    end = addr + process.kernel.pages(length) * page
    if advice not in _KNOWN_ADVICE or addr % page or end >= _ALL:
        raise KernelError(errno.EINVAL)
    if length == 0:
        return 0
    wanted = Madvise(addr, min(end, TASK_SIZE + page), advice, process.caller)
    yield (Call if advice == MADV_REMOVE else Uninterruptible)(process.memory(), wanted)
    return 0


@syscall(
    "mlock(addr: size_t, length: size_t)",
    "mlock(2)",
    returns="0; pages of FS-DAX are there anyway, and are not locked",
    libc=libc("int mlock(addr, length)", "sys/mman.h"),
)
def mlock(process: "Process", addr: int, length: int) -> Conversation[int]:
    """mlock(2)."""
    if process.memlock == 0:
        raise KernelError(errno.EPERM)
    return _lock(process, addr, length, lock=True)


@syscall(
    "munlock(addr: size_t, length: size_t)",
    "mlock(2)",
    returns="0",
    libc=libc("int munlock(addr, length)", "sys/mman.h"),
)
def munlock(process: "Process", addr: int, length: int) -> Conversation[int]:
    """munlock(2)."""
    return _lock(process, addr, length, lock=False)


def _lock(process: "Process", addr: int, length: int, *, lock: bool) -> Conversation[int]:
    page = process.kernel.page_size
    start = addr - addr % page
    end = start + process.kernel.pages(length + addr % page) * page
    if end >= _ALL:
        raise KernelError(errno.EINVAL)
    if start < end:
        wanted = LockPages(start, min(end, TASK_SIZE + page), lock, process.memlock)
        yield Uninterruptible(process.memory(), wanted)
    return 0


@syscall(
    "msync(addr: size_t, length: size_t, flags: int)",
    "msync(2)",
    returns="0; what was stored is in the file already",
    libc=libc("int msync(addr, length, flags)", "sys/mman.h"),
)
def msync(process: "Process", addr: int, length: int, flags: int) -> Conversation[int]:
    """msync(2)."""
    page = process.kernel.page_size
    both = MS_ASYNC | MS_SYNC
    if flags & ~(both | MS_INVALIDATE) or addr % page or flags & both == both:
        raise KernelError(errno.EINVAL)
    end = addr + process.kernel.pages(length) * page
    if end >= _ALL:
        raise KernelError(errno.ENOMEM)
    if addr < end:
        yield Uninterruptible(process.memory(), Msync(addr, min(end, TASK_SIZE + page), flags))
    return 0
