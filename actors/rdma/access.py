"""The access bits of a registration: which there are, and which of them write [2.6 step 1]."""

import errno

from longpin.actors.constants import (
    IBV_ACCESS_FLUSH_PERSISTENT,
    IBV_ACCESS_LOCAL_WRITE,
    IBV_ACCESS_MW_BIND,
    IBV_ACCESS_OPTIONAL_RANGE,
    IBV_ACCESS_REMOTE_ATOMIC,
    IBV_ACCESS_REMOTE_WRITE,
)
from longpin.actors.conversation import KernelError

ACCESS_SUPPORTED = (IBV_ACCESS_FLUSH_PERSISTENT << 1) - 1 | IBV_ACCESS_OPTIONAL_RANGE
"""IB_ACCESS_SUPPORTED: every access bit there is."""
ACCESS_WRITES = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_MW_BIND
"""The access bits with which a device may write [code: ib_access_writable]."""


def writes_memory(access: int) -> bool:
    """Return whether a device may write to memory that is registered so."""
    return bool(access & ACCESS_WRITES)


def check_access(access: int) -> None:
    """Fail with EINVAL for access bits that contradict each other or that nobody knows [2.6 step 1]."""
    remote = access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)
    if (remote and not access & IBV_ACCESS_LOCAL_WRITE) or access & ~ACCESS_SUPPORTED:
        raise KernelError(errno.EINVAL)
