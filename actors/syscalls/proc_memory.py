"""What a process reads of its own memory in /proc: how much is pinned and locked, and where a page lies [2.9]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.messages.mm.proc import MemoryStatus, Pagemap, ReadPagemap, ReadStatus

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.ADMINISTRATION, on_host=False)
syscall = CALLS.declare


@syscall(
    "proc_status(field: str)",
    "proc_pid_status(5)",
    returns="a line of `/proc/self/status`, in kB: `VmPin`, what is pinned and charged, or `VmLck`, what is locked",
    partial="the two lines",
)
def proc_status(process: "Process", field: str) -> Conversation[int]:
    """Read /proc/self/status.

    Raises:
        KernelError: EINVAL, there is no such line here.

    """
    status: MemoryStatus = yield Call(process.memory(), ReadStatus())
    pages = {"VmPin": status.pinned, "VmLck": status.locked}.get(field)
    if pages is None:
        raise KernelError(errno.EINVAL)
    return pages * process.kernel.page_size // 1024


@syscall(
    "pagemap(addr: size_t)",
    "proc_pid_pagemap(5)",
    returns="an entry of `/proc/self/pagemap`, as bytes: the memory in which a page lies and the number of its frame, "
    '`b""` if no page is there, or for others than uid 0, who are shown no frames',
    partial="the frame",
)
def pagemap(process: "Process", addr: int) -> Conversation[bytes]:
    """Read /proc/self/pagemap."""
    found: Pagemap = yield Call(process.memory(), ReadPagemap(addr))
    if found.frame is None or process.credentials.uid:
        return b""
    return f"{found.frame.memory} {found.frame.number}".encode()
