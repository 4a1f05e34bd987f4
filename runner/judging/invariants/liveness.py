"""O3: a call may wait for ever only where the policy says so [semantics 3]. Here every call that hangs is named."""

from collections.abc import Iterator
from typing import ClassVar

from longpin.runner.judging.invariants.base import Actors, Finding, Invariant
from longpin.runner.judging.waiting import WaitForGraph

KERNEL_WAITS = {"lease", "pin", "spin", "lock", "device"}
"""Waits a program did not ask for. Whether pause, wait_for and their like ever return is no kernel's affair."""


class Liveness(Invariant):
    """When nothing can happen any more, no call waits for a lease, a pin, a lock or a device."""

    rule: ClassVar[str] = "O3"
    summary: ClassVar[str] = "liveness: no call waits for ever; the chain of what waits for what is named"
    source: ClassVar[str] = "semantics 3; Chinner 2019-02-06 [S3]"

    def quiet(self, actors: Actors) -> Iterator[Finding]:
        """Look at every process that still waits."""
        for waiting in WaitForGraph(actors, self.policy).waiting():
            if waiting.kind in KERNEL_WAITS:
                what = "spins for a pin" if waiting.kind == "spin" else f"waits for a {waiting.kind}"
                site = f"{waiting.call} of {waiting.process} {what}"
                yield self.found(site, f"hangs for ever: {waiting}")
