"""The rules that must hold, one file each: observers of arrivals and of the state of actors [semantics 3]."""

from longpin.runner.judging.invariants.admin_power import AdminPower
from longpin.runner.judging.invariants.attribution import Attribution
from longpin.runner.judging.invariants.base import Invariant
from longpin.runner.judging.invariants.errnos import ExpectedOutcomes
from longpin.runner.judging.invariants.leaks import NoLeaks
from longpin.runner.judging.invariants.liveness import Liveness
from longpin.runner.judging.invariants.shared_dma import NoSharedDma
from longpin.runner.judging.invariants.signal_sanity import SignalSanity
from longpin.runner.judging.invariants.stale_data import NoStaleData
from longpin.runner.judging.invariants.stray_dma import NoStrayDma

INVARIANTS: dict[str, type[Invariant]] = {
    invariant.rule: invariant
    for invariant in (
        NoStrayDma,
        NoSharedDma,
        NoStaleData,
        Liveness,
        Attribution,
        SignalSanity,
        NoLeaks,
        ExpectedOutcomes,
        AdminPower,
    )
}
"""Every rule by its name in the specification."""
