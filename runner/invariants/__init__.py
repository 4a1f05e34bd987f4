"""The rules that must hold, one file each: observers of arrivals and of the state of actors [semantics 3]."""

from longpin.runner.invariants.base import Invariant
from longpin.runner.invariants.errnos import ExpectedOutcomes
from longpin.runner.invariants.leaks import NoLeaks
from longpin.runner.invariants.liveness import Liveness
from longpin.runner.invariants.stray_dma import NoStrayDma

INVARIANTS: dict[str, type[Invariant]] = {
    invariant.rule: invariant for invariant in (NoStrayDma, Liveness, NoLeaks, ExpectedOutcomes)
}
"""Every rule by its name in the specification."""
