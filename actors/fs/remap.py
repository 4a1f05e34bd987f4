"""What remap_file_range may do to which bytes, worked out from two sizes. It knows no actor [2.5]."""

import errno
from typing import NamedTuple

from longpin.actors.conversation import KernelError
from longpin.actors.kernel.machine import MOST_SIZE
from longpin.messages.fs.remap import RemapPlan

MOST_DEDUPED = 1 << 30
"""Bytes that one FIDEDUPERANGE compares at the most [code: vfs_dedupe_file_range]."""


class Sizes(NamedTuple):
    """Of the two files, in bytes."""

    source: int
    target: int


def bytes_to_remap(plan: RemapPlan, sizes: Sizes, page_size: int) -> int:
    """Return how many bytes may be remapped, before any data are compared [code: generic_remap_checks].

    Raises:
        KernelError: EINVAL for what does not begin with a block, does not end with one or with the file, lies beyond
            the end of the source, or overlaps with the target; EFBIG for a target beyond the largest size.

    """
    length = plan.length
    if not length:
        if plan.dedupe or plan.source_offset == sizes.source:
            return 0
        if plan.source_offset > sizes.source:
            raise KernelError(errno.EINVAL)
        length = sizes.source - plan.source_offset
    if plan.source_offset % page_size or plan.target_offset % page_size:
        raise KernelError(errno.EINVAL)
    target_end = plan.target_offset + length
    if plan.dedupe and (
        plan.source_offset + length > sizes.source or plan.target_offset >= sizes.target or target_end > sizes.target
    ):
        raise KernelError(errno.EINVAL)
    if plan.source_offset >= sizes.source:
        raise KernelError(errno.EINVAL)
    count = min(length, sizes.source - plan.source_offset)
    if plan.target_offset >= MOST_SIZE:
        raise KernelError(errno.EFBIG)
    count = min(count, MOST_SIZE - plan.target_offset)
    to_the_end = plan.source_offset + count == sizes.source
    if to_the_end and (not plan.dedupe or plan.target_offset + count == sizes.target):
        blocks = -(-count // page_size) * page_size
    else:
        count -= count % page_size
        blocks = count
    if plan.source == plan.target and abs(plan.target_offset - plan.source_offset) < blocks:
        raise KernelError(errno.EINVAL)
    if count != length and not plan.shorten:
        raise KernelError(errno.EINVAL)
    return count


def whole_blocks(plan: RemapPlan, count: int, target_size: int, page_size: int) -> int:
    """Return ``count`` without a last block that is only part of one in the target [code: generic_remap_check_len].

    Raises:
        KernelError: less will not do: EINVAL, or EBADE for a deduplication.

    """
    part = count % page_size
    if not part or plan.target_offset + count >= target_size:
        return count
    if plan.shorten:
        return count - part
    raise KernelError(errno.EBADE if plan.dedupe else errno.EINVAL)
