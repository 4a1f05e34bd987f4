"""Verbs: calls on an RDMA device [1.10, 2.6]."""

import errno
from dataclasses import replace
from typing import TYPE_CHECKING

from longpin.actors.constants import (
    IBV_ACCESS_ON_DEMAND,
    IBV_ADVISE_MR_FLAG_FLUSH,
    IBV_REREG_MR_CHANGE_ACCESS,
    IBV_REREG_MR_CHANGE_PD,
    IBV_REREG_MR_CHANGE_TRANSLATION,
    O_RDWR,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.mm.gup import pin_user_pages, unpin_user_pages
from longpin.actors.rdma.access import check_access, writes_memory
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.files import open_device
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import NO_TERMS, PinTerms
from longpin.messages.mm.mm import Registration
from longpin.messages.process.labels import VerbsObject
from longpin.messages.process.process import File
from longpin.messages.rdma.verbs import (
    AllocPd,
    DestroyObject,
    FindObject,
    ObjectKind,
    OfDevice,
    OnDemandBuffer,
    Register,
)
from longpin.messages.rdma.windows import AdviseMr, FindMemory, MemoryFound, Reregister

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.VERBS, on_host=False)
syscall = CALLS.declare

REREG_FLAGS = IBV_REREG_MR_CHANGE_TRANSLATION | IBV_REREG_MR_CHANGE_PD | IBV_REREG_MR_CHANGE_ACCESS
MOST_PAGES = (1 << 32) - 1
"""Pages of the largest region [code: ib_umem_get]."""


def context_of(process: "Process", fd: int) -> Address:
    """Return the uverbs context behind a descriptor."""
    file = process.file(fd)
    if file.kind != "uverbs":
        raise KernelError(errno.EINVAL)
    return file.backing


def use(process: "Process", thing: VerbsObject, kind: ObjectKind) -> VerbsObject:
    """Check that a handle is of a kind and that the process has its context open, under whatever number [1.10]."""
    if thing.kind != kind:
        raise KernelError(errno.EINVAL)
    if not any(file.backing == thing.context and file.kind == "uverbs" for file in process.fds.values()):
        raise KernelError(errno.EBADF)
    return thing


@syscall(
    "ibv_open_device(name: str)",
    "ibv_open_device(3)",
    returns="a descriptor of the device, the context of what follows",
    errnos={"ENODEV": "semantics 1.10", "EMFILE": "open(2)"},
)
def ibv_open_device(process: "Process", name: str) -> Conversation[int]:
    """Open the device; returns the descriptor of its uverbs file, which owns all that is made through it."""
    device = next((device for device in process.kernel.devices if device.name == name), None)
    if device is None:
        raise KernelError(errno.ENODEV)
    process.reserve(1)
    context = yield from open_device(process, device)
    ofd = f"file:{process.identity}.{process.count('file')}"
    process.spawn(OpenFileDescription, ofd, context, "uverbs", O_RDWR)
    return process.install(File(ofd, context, "uverbs"))


@syscall(
    "ibv_alloc_pd(context: int)",
    "ibv_alloc_pd(3)",
    returns="a protection domain",
    errnos={"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10", "EIO": "semantics 1.10"},
)
def ibv_alloc_pd(process: "Process", fd: int) -> Conversation[VerbsObject]:
    """ibv_alloc_pd(3)."""
    context = context_of(process, fd)
    handle = (yield Call(context, AllocPd())).handle
    return VerbsObject(ObjectKind.PD, fd, handle, context)


@syscall(
    "ibv_dealloc_pd(pd: handle)",
    "ibv_alloc_pd(3)",
    returns="0",
    errnos={
        "EBADF": "semantics 1.10",
        "EBUSY": "semantics 1.10",
        "EINVAL": "semantics 1.10",
        "EIO": "semantics 1.10",
    },
)
def ibv_dealloc_pd(process: "Process", pd: VerbsObject) -> Conversation[int]:
    """ibv_dealloc_pd(3): EBUSY while something is in it."""
    yield Call(use(process, pd, ObjectKind.PD).context, DestroyObject(ObjectKind.PD, pd.handle))
    return 0


@syscall(
    "ibv_reg_mr(pd: handle, addr: size_t, length: size_t, access: uint)",
    "ibv_reg_mr(3)",
    returns="a memory region, its pages pinned. Access bits: `IBV_ACCESS_LOCAL_WRITE`, `_REMOTE_WRITE`, "
    "`_REMOTE_READ`, `_REMOTE_ATOMIC`, `_MW_BIND`, `_ZERO_BASED`, `_HUGETLB`, `_FLUSH_GLOBAL`, `_FLUSH_PERSISTENT`, "
    "`_RELAXED_ORDERING`; with `_ON_DEMAND` none is pinned, if the device does without pins",
    errnos={
        "EBADF": "semantics 1.10",
        "EFAULT": "semantics 2.6 step 5",
        "EINTR": "semantics 2.6",
        "EINVAL": "semantics 2.6 steps 1 to 3",
        "EIO": "semantics 1.10",
        "ENOMEM": "semantics 2.6 step 4",
        "EOPNOTSUPP": "semantics 4.0",
        "EPERM": "semantics 2.6 step 3",
    },
)
def ibv_reg_mr(process: "Process", pd: VerbsObject, addr: int, length: int, access: int) -> Conversation[VerbsObject]:
    """ibv_reg_mr(3)."""
    return (yield from register(process, pd, addr, length, access, NO_TERMS))


def register(
    process: "Process", pd: VerbsObject, addr: int, length: int, access: int, terms: PinTerms
) -> Conversation[VerbsObject]:
    """Charge and pin a buffer, and publish the region [2.6]; all or nothing. ``terms`` need not name the device."""
    context = use(process, pd, ObjectKind.PD).context
    check_access(access)
    found: OfDevice = yield Call(context, FindObject(ObjectKind.PD, pd.handle))
    on_demand = access & IBV_ACCESS_ON_DEMAND
    if on_demand and not process.kernel.pages_on_demand(found.device):
        raise KernelError(process.kernel.generation.on_demand_errno.number)
    first, pages = _pages(process, addr, length)
    if on_demand:  # neither charged nor pinned
        region = _region(process)
        buffer = process.buffer(first, pages)
        nothing = Registration(region, context, buffer.mm, 0, (), (), ())
        umem = OnDemandBuffer(first, pages, buffer.caller)
        made = Register(pd.handle, nothing, addr - first, length, access, umem, addr)
        return VerbsObject(ObjectKind.MR, pd.fd, (yield Call(context, made)).handle, context)
    registration = yield from _pin(process, context, first, pages, access, terms._replace(device=found.device))
    try:
        made = Register(pd.handle, registration, addr - first, length, access, address=addr)
        handle = (yield Call(context, made)).handle
    except KernelError:
        yield from unpin_user_pages(process.kernel, registration)
        raise
    return VerbsObject(ObjectKind.MR, pd.fd, handle, context)


def _region(process: "Process") -> Address:
    """Return a name by which pages know a region that is to be."""
    return f"mr:{process.identity}.{process.count('mr')}"


def _pages(process: "Process", addr: int, length: int) -> tuple[int, int]:
    """Return the address of the first page of a buffer and how many it has; EINVAL for none and too many."""
    page_size = process.kernel.page_size
    first = addr - addr % page_size
    pages = process.kernel.pages(addr + length - first)
    if length == 0 or pages > MOST_PAGES or first + pages * page_size >= 1 << 64:
        raise KernelError(errno.EINVAL)
    return first, pages


def _pin(
    process: "Process", context: Address, first: int, pages: int, access: int, terms: PinTerms
) -> Conversation[Registration]:
    """Pin pages as they may be accessed: for writing, if they may be written to [2.6 step 5]."""
    writes = writes_memory(access)
    forced = not writes and not process.kernel.generation.read_only_pins
    region, buffer = _region(process), process.buffer(first, pages)
    return (
        yield from pin_user_pages(
            process.kernel, buffer, region, context, write=writes or forced, force=forced, terms=terms
        )
    )


@syscall(
    "ibv_dereg_mr(mr: handle)",
    "ibv_reg_mr(3)",
    returns="0",
    errnos={
        "EBADF": "semantics 1.10",
        "EBUSY": "ibv_reg_mr(3): a memory window is bound",
        "EINVAL": "semantics 1.10",
        "EIO": "semantics 1.10",
    },
)
def ibv_dereg_mr(process: "Process", mr: VerbsObject) -> Conversation[int]:
    """ibv_dereg_mr(3), by any process that holds the uverbs file [1.10]."""
    yield Call(use(process, mr, ObjectKind.MR).context, DestroyObject(ObjectKind.MR, mr.handle))
    return 0


@syscall(
    "ibv_rereg_mr(mr: handle, flags: uint, [pd: handle|none], [addr: size_t], [length: size_t], [access: uint])",
    "ibv_rereg_mr(3)",
    returns="0; `IBV_REREG_MR_CHANGE_PD`, `_CHANGE_ACCESS` and `_CHANGE_TRANSLATION` say what of the rest counts. "
    "Other memory is charged and pinned before that of the region is let go of, and so are the same pages if they were "
    "pinned for reading and may be written to now",
    errnos={
        "EBADF": "semantics 1.10",
        "EBUSY": "semantics 1.10: a memory window is bound",
        "EFAULT": "semantics 2.6 step 5",
        "EINTR": "semantics 2.6",
        "EINVAL": "semantics 1.10",
        "EIO": "semantics 1.10",
        "ENOMEM": "semantics 2.6 step 4",
        "EOPNOTSUPP": "semantics 1.10: a region that is paged on demand, or is to be; 4.0",
        "EPERM": "semantics 2.6 step 3",
    },
)
def ibv_rereg_mr(
    process: "Process",
    mr: VerbsObject,
    flags: int,
    pd: VerbsObject | None = None,
    addr: int = 0,
    length: int = 0,
    access: int = 0,
) -> Conversation[int]:
    """ibv_rereg_mr(3): all or nothing, and the keys stay [code: ib_uverbs_rereg_mr, mlx5_ib_rereg_user_mr]."""
    context = use(process, mr, ObjectKind.MR).context
    moves, changes = flags & IBV_REREG_MR_CHANGE_TRANSLATION, flags & IBV_REREG_MR_CHANGE_ACCESS
    if not flags or flags & ~REREG_FLAGS or (moves and not (addr and length)) or (access and not changes):
        raise KernelError(errno.EINVAL)
    domain = 0
    if flags & IBV_REREG_MR_CHANGE_PD:
        if pd is None or use(process, pd, ObjectKind.PD).context != context:
            raise KernelError(errno.EINVAL)
        domain = pd.handle
    if changes:
        check_access(access)
    found: MemoryFound = yield Call(context, FindMemory(mr.handle))
    if (moves and found.on_demand) or access & IBV_ACCESS_ON_DEMAND:
        raise KernelError(errno.EOPNOTSUPP)
    request = Reregister(mr.handle, domain, access if changes else -1)
    if not moves and (found.on_demand or found.writable or not writes_memory(access)):
        yield Call(context, request)
        return 0
    if not moves:
        addr, length = found.address, found.length
    device: OfDevice = yield Call(context, FindObject(ObjectKind.MR, mr.handle))
    first, pages = _pages(process, addr, length)
    rights = access if changes else found.access
    registration = yield from _pin(process, context, first, pages, rights, NO_TERMS._replace(device=device.device))
    moved = replace(request, registration=registration, offset=addr - first, length=length, address=addr)
    try:
        yield Call(context, moved)
    except KernelError:
        yield from unpin_user_pages(process.kernel, registration)
        raise
    return 0


@syscall(
    "ibv_advise_mr(pd: handle, advice: uint, flags: uint, mr: handle, offset: size_t, length: size_t)",
    "ibv_advise_mr(3)",
    returns="0; the device has the pages of a region that is paged on demand before it needs them: "
    "`IBV_ADVISE_MR_ADVICE_PREFETCH`, `_PREFETCH_WRITE`, or `_PREFETCH_NO_FAULT`, those that are present. With "
    "`IBV_ADVISE_MR_FLAG_FLUSH` it has them when the call returns, else some time, or not",
    errnos={
        "EBADF": "semantics 1.10",
        "EFAULT": "ibv_advise_mr(3)",
        "EINVAL": "ibv_advise_mr(3)",
        "EIO": "semantics 1.10",
        "EOPNOTSUPP": "ibv_advise_mr(3)",
        "EPERM": "semantics 1.10.3: a region that may not be written to",
    },
    partial="one range",
)
def ibv_advise_mr(
    process: "Process", pd: VerbsObject, advice: int, flags: int, mr: VerbsObject, offset: int, length: int
) -> Conversation[int]:
    """ibv_advise_mr(3)."""
    context = use(process, pd, ObjectKind.PD).context
    if use(process, mr, ObjectKind.MR).context != context or flags & ~IBV_ADVISE_MR_FLAG_FLUSH:
        raise KernelError(errno.EINVAL)
    flush = bool(flags & IBV_ADVISE_MR_FLAG_FLUSH)
    yield Call(context, AdviseMr(pd.handle, mr.handle, advice, flush, offset, length))
    return 0
