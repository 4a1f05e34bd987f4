"""PCT on chains: priorities belong to chains of causally related messages, not to senders.

Ozkan, Majumdar, Niksic, Befrouei, Weissenbacher, "Randomized testing of distributed systems with probabilistic
guarantees", OOPSLA 2018. A message is above the one whose handling sent it, and above the one its sender sent before.

1. A message that becomes its sender's oldest is put into a chain (:mod:`longpin.runner.oracles.chains`).
2. Every chain gets a random priority, higher than all in 4.
3. The message whose chain has the highest priority arrives.
4. At d - 1 points, drawn independently, the chain that would go on gets priority i instead, where i is the number of
   the draw.

With at most w messages that are not ordered, and at most n points, a bug of depth d shows with probability
1 / (w^2 * n^(d-1)) or more. A client, the requests it sends one after the other and their answers are one chain, so w
counts conversations where PCT counts actors.

Deviations: a point is a step of :mod:`longpin.runner.oracles.pct`, which also says where n is from; the paper draws
from all messages in the order of 1. The order of two messages in a sender's outbox is taken as given, although another
schedule may turn it round. d is drawn from 1 to 5 unless it is given. An alarm that is set again while it is armed
keeps the place of its tick.
"""

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.messages.envelope import Address
from longpin.runner.oracles.base import BoundedStrategy
from longpin.runner.oracles.chains import Chains, Element


class Pctcp(BoundedStrategy):
    """Priorities of chains, lowered at d - 1 choices."""

    name: ClassVar[str] = "pctcp"

    def new_execution(self) -> None:
        """Draw the choices at which a priority is lowered."""
        self._chains = Chains()
        self._priorities: list[float] = []
        """Of each chain; from 0 up to 1 when it begins, below 0 once lowered."""
        self._oldest: dict[Address, Element] = {}
        """The oldest message of each sender."""
        self._causes: dict[Address, deque[Element | None]] = {}
        """For each message in a sender's outbox, the arrival that it was sent in; None: it was there at the start."""
        self._arrived: dict[Address, Element] = {}
        """What last arrived from each sender."""
        self._last: Element | None = None
        """What arrived last."""
        self._choices = 0
        self._lowered = self._draw_lowered(self._draw_depth())

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose the chain of highest priority."""
        oldest = self._oldest
        for actor in ready:
            causes = self._causes.get(actor.address)
            if causes is None:
                causes = self._causes[actor.address] = deque()
            for _ in range(len(actor.outbox) - len(causes)):
                causes.append(self._last)
            if actor.address not in oldest:
                self._insert(actor.address, causes[0])
        best = 0
        if len(ready) > 1:
            self._choices += 1
            best = self._highest(ready)
            for priority in self._lowered.get(self._choices, ()):
                self._priorities[oldest[ready[best].address].chain] = priority
                best = self._highest(ready)
        address = ready[best].address
        self._arrived[address] = self._last = oldest.pop(address)
        self._causes[address].popleft()
        return best

    def _insert(self, address: Address, cause: Element | None) -> None:
        """Put the oldest message of a sender into a chain."""
        below = (cause, self._arrived.get(address))
        element = self._oldest[address] = self._chains.insert([one for one in below if one is not None])
        if element.chain == len(self._priorities):
            self._priorities.append(self._random.random())

    def _highest(self, ready: Sequence[Actor]) -> int:
        priorities, oldest = self._priorities, self._oldest
        best, highest = 0, float("-inf")
        for index, actor in enumerate(ready):
            priority = priorities[oldest[actor.address].chain]
            if priority > highest:
                best, highest = index, priority
        return best
