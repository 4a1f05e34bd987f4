"""A run as a C program: the programs of its scenario make their calls on a real kernel, in the order of the run."""

from longpin.runner.c_source.order import RunOrder
from longpin.runner.c_source.write import write_c
from longpin.runner.show.model import ShownRun


class C:
    """Writes C."""

    def write(self, run: ShownRun) -> bytes:
        """Return the file. What an unmodified kernel does not offer is left out, and a comment says so."""
        result = run.result
        about = [f"A run under {result.policy}: {result.verdict.value}. {result.reason}."]
        about += [f"{found.rule} at arrival {found.arrival}: {found.detail}." for found in result.violations]
        lasts = {arrival.dst: arrival.number for arrival in run.arrivals}

        def effect(arrival: int) -> int:
            """Return where the reply that arrives, or the reply that led to it, comes from: who was asked last."""
            its = run.arrivals[arrival - 1]
            while its.call < 0 and its.src != its.dst and its.sent:
                its = run.arrivals[its.sent - 1]
            return its.number

        def last(pid: int) -> int:
            return lasts.get(f"process:{pid}", 0)

        return write_c(run.scenario, RunOrder(tuple(result.events), tuple(about), effect, last)).encode("ascii")
