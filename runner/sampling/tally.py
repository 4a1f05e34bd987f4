"""From runs to a campaign: what is counted, in the order of the runs, wherever they were made."""

from array import array
from typing import NamedTuple

from longpin.messages.envelope import Address
from longpin.runner.exploration.result import BrokenRule, Key, key_of
from longpin.runner.sampling.result import Campaign, FailingRun, StrategyRow
from longpin.runner.sampling.sample import SampledRun
from longpin.runner.sampling.trace import MOST_STRATEGIES, NO_TRACE, Traces


class Shown(NamedTuple):
    """A run that broke something."""

    seed: int
    broken: BrokenRule
    decisions: tuple[Address, ...]
    trace: bytes = b""
    """Its trace file, if it was made on threads."""


class Batch:
    """What is kept of consecutive runs, in a form that is small to send: most runs leave a number."""

    def __init__(self, first: int) -> None:
        self.first = first
        """The seed of the first of them; each has the next."""
        self.traces = array("Q")
        """By run: the number of its trace, NO_TRACE if it did not come to rest."""
        self.broken: list[tuple[int, Key]] = []
        """The seed of every run that broke something, and what."""
        self.shown: dict[Key, Shown] = {}
        """The first of them for each failure."""
        self.endless = 0
        self.unjudged = 0
        self.inconclusive = ""
        self.marks: set[str] = set()
        """What is to be seen in any of them."""
        self.events = 0
        self.seconds = 0.0
        """How long they took, by which the next batch is planned."""

    def add(self, seed: int, run: SampledRun, trace: bytes = b"") -> None:
        """Note the next run."""
        broken, inconclusive, _ = run.judgement
        self.marks |= run.marks
        self.traces.append(run.trace)
        self.events += len(run.arrived)
        if broken is not None:
            key = key_of(broken)
            self.broken.append((seed, key))
            if key not in self.shown:
                self.shown[key] = Shown(seed, broken, run.decisions, trace)
        elif run.trace == NO_TRACE:
            self.endless += 1
        if inconclusive:
            self.unjudged += 1
            self.inconclusive = self.inconclusive or inconclusive


class CampaignTally:
    """Counts batches into a campaign; they come in the order of their runs."""

    def __init__(self, strategies: tuple[str, ...], seed: int) -> None:
        names = list(dict.fromkeys(strategies))
        if not names:
            raise ValueError("no strategy is given")
        if len(names) > MOST_STRATEGIES:
            raise ValueError(f"{len(names)} strategies: {MOST_STRATEGIES} at most")
        self.campaign = Campaign(seed, by_strategy=[StrategyRow(name) for name in names])
        self._turns = [names.index(name) for name in strategies]
        """Whose turn it is, as a place in the table, by the seed modulo its length."""
        self._traces = Traces()

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        campaign, traces, turns, broken = self.campaign, self._traces, self._turns, dict(batch.broken)
        for seed, trace in enumerate(batch.traces, batch.first):
            turn = turns[seed % len(turns)]
            row = campaign.by_strategy[turn]
            row.runs += 1
            campaign.runs += 1
            if trace != NO_TRACE and traces.add(trace, turn):
                row.distinct += 1
            if (key := broken.get(seed)) is not None:
                self._note(key, batch.shown[key], row)
        campaign.endless += batch.endless
        campaign.unjudged += batch.unjudged
        campaign.inconclusive = campaign.inconclusive or batch.inconclusive
        campaign.marks |= batch.marks
        campaign.events += batch.events
        campaign.distinct, campaign.once = traces.distinct, traces.once
        campaign.counted, campaign.capped = traces.counted, traces.full

    def _note(self, key: Key, shown: Shown, row: StrategyRow) -> None:
        """Note a run that broke something; it is the last one counted."""
        campaign = self.campaign
        if not any(key in other.found for other in campaign.by_strategy):
            campaign.failures.append(
                FailingRun(shown.broken, shown.decisions, row.name, shown.seed, campaign.runs, row.runs, shown.trace)
            )
        row.broken += 1
        row.found.setdefault(key, row.runs)
