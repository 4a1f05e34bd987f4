"""P10 ODP: nothing is pinned, and the device faults as the CPU does [semantics 4.11; k54, S3, V2-0].

There is nothing for a policy to decide in it: ``IBV_ACCESS_ON_DEMAND`` pins nothing, so no gate is asked, and the
memory map tells the device of every change before a block is freed. It is what is left where pins are refused.
"""

from dataclasses import dataclass
from typing import ClassVar

from longpin.actors.policies.reject import Reject


@dataclass(frozen=True, slots=True)
class OnDemandPaging(Reject):
    """Pins are refused as they are today; who wants RDMA registers memory with IBV_ACCESS_ON_DEMAND."""

    name: ClassVar[str] = "P10"
    alias: ClassVar[str] = "odp"
    summary: ClassVar[str] = "long-term pins are refused; a device with on-demand paging needs none, so nobody waits"
    source: ClassVar[str] = "Chinner, 2019-02-06 [S3]; Weiny, RFC v2, 2019-08-09 [V2-0]; Linux 5.4 umem_odp.c [k54]"
