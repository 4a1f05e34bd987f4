"""How many runs there still are to make, how many of them at once, and when to tell how far it is."""

import time
from collections.abc import Iterable, Iterator

from longpin.runner.events import Observer, SearchAdvanced, tell, tell_result
from longpin.runner.sampling.result import Campaign, CampaignReason
from longpin.runner.sampling.tally import Batch

BATCH_SECONDS = 0.1
"""How long a batch should take, so that progress can be told often."""

FIRST_BATCH = 4
"""Runs in the first batch; later ones become larger at most fourfold."""

TELL_EVERY = 0.2
"""Seconds between two events that tell how far it is."""


class CampaignPace:
    """The budget of a campaign, spent in batches, and who is told how far it is."""

    def __init__(
        self,
        campaign: Campaign,
        runs: int | None,
        seconds: float | None,
        observers: Iterable[Observer] = (),
    ) -> None:
        if runs is not None and runs < 0:
            raise ValueError(f"{runs} runs: at least 0")
        self.campaign = campaign
        self.runs = runs
        self.observers = tuple(observers)
        self._failures = 0
        """How many failures observers were told."""
        self.started = time.monotonic()
        self.told = 0.0
        """When they were told last how far it is, in seconds since the beginning."""
        self.until = None if seconds is None else self.started + seconds
        # Where the time is limited, a run that takes long is not made four times before anybody looks at the watch.
        self.size = FIRST_BATCH if seconds is None else 1

    def batches(self) -> Iterator[tuple[int, int]]:
        """Yield the first seed and the number of runs of each batch, as long as there is time."""
        planned = 0
        while (left := self.size if self.runs is None else self.runs - planned) > 0 and not self.late():
            count = min(self.size, left)
            yield self.campaign.seed + planned, count
            planned += count

    def passed(self) -> float:
        """Return the seconds since the campaign began."""
        return time.monotonic() - self.started

    def late(self) -> bool:
        """Return whether the time allowed is spent."""
        return self.until is not None and time.monotonic() >= self.until

    def learn(self, batch: Batch) -> None:
        """Plan further batches after one that is done."""
        fitting = int(len(batch.traces) * BATCH_SECONDS / max(batch.seconds, 1e-6))
        self.size = max(1, min(4 * self.size, fitting))

    def tell(self) -> None:
        """Tell of new failures, and how far it is, if it is time to."""
        passed = self.campaign.seconds = self.passed()
        for failure in self.campaign.failures[self._failures :]:
            self._failures += 1
            tell(self.observers, failure.found())
        if passed - self.told >= TELL_EVERY:
            self.told = passed
            tell(self.observers, self._advanced())

    def end(self) -> None:
        """Note how long it took, and tell observers how far it came."""
        self.campaign.seconds = self.passed()
        tell_result(self.observers, [self._advanced()])

    def _advanced(self) -> SearchAdvanced:
        now = self.campaign
        return SearchAdvanced(now.runs, now.events, 0, now.distinct, self.runs or 0)

    def reason(self) -> CampaignReason:
        """Return why there are no more batches."""
        return CampaignReason.RUNS if self.campaign.runs == self.runs else CampaignReason.SECONDS
