"""What a policy for layouts leaves as it is, so that a kernel without it can be asked: ordinary leases and mappings."""

from longpin.actors.policies.base import Policy
from longpin.actors.policies.views import LeaseKind
from longpin.runner.conform.memory_ops import MAP_FLAGS
from longpin.runner.conform.ops import LEASE_TYPES, bits, number_in
from longpin.runner.conform.program import ConformOp, ConformProgram


def asks_for_layout(program: ConformProgram, policy: Policy) -> bool:
    """Return whether an op is, to this policy, about a layout: a lease of one, or a mapping with a flag of its own."""
    return any(_asks(op, policy) for op in program.ops)


def _asks(op: ConformOp, policy: Policy) -> bool:
    if op.op == "setlease":
        request = policy.read_lease(number_in(op.args["type"], LEASE_TYPES))
        return request is not None and request.kind is LeaseKind.LAYOUT
    own = policy.constants.get("mmap.flags", {}).values()
    return op.op == "map" and any(flag & bits(op.args["flags"], MAP_FLAGS) for flag in own)
