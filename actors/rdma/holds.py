"""What a region lets go of beside its pages: the open file descriptions a policy made its pins hold [4.7]."""

from collections.abc import Mapping

from longpin.actors.kernel.machine import Kernel
from longpin.actors.rdma.objects import Object, Region
from longpin.messages.envelope import Address


def holds_to_drop(
    kernel: Kernel, objects: Mapping[int, Object], region: Region, _holds: tuple[Address, ...]
) -> tuple[Address, ...]:
    """Ask the policy what goes with a region, and strike it out: of this one all, of others what is named."""
    own = region.request.registration.holds
    region.keep(())
    others = [other for other in objects.values() if isinstance(other, Region) and other is not region]
    left = tuple(ofd for other in others for ofd in other.request.registration.holds)
    dropped = kernel.policy.on_unpin(own, left)
    for ofd in dropped:
        if ofd not in own:
            holder = next(other for other in others if ofd in other.request.registration.holds)
            holder.keep(tuple(kept for kept in holder.request.registration.holds if kept != ofd))
    return dropped
