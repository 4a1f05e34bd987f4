"""What a run changes, arrival by arrival, read off the actors.

An arrival changes nobody but its receiver, so only that is looked at again.
"""

from collections.abc import Iterator
from typing import NamedTuple

from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.report.page.facts import FREE, BlockFact, BlockPlace, Facts, Look, page_facts
from longpin.runner.report.sentences import spans


class StateChange(NamedTuple):
    """A thing has another state now."""

    subject: str
    before: str
    """Empty: it was not there."""
    after: str
    """Never empty: what is not there any more is gone."""


class ArrivalChange(NamedTuple):
    """What an arrival changed."""

    arrival: int
    actor: Address
    """Whose state it is."""
    change: StateChange


class Onlooker:
    """Looks at a stepped world after each arrival; :attr:`found` is what has changed so far."""

    def __init__(self, engine: SteppedEngine, look: Look = page_facts) -> None:
        self.found: list[ArrivalChange] = []
        self._engine = engine
        self._look = look
        self._seen: dict[Address, Facts] = {address: dict(look(actor)) for address, actor in engine.actors.items()}

    def arrived(self, number: int, envelope: Envelope) -> None:
        """Look at who got something, as :class:`~longpin.runner.engines.stepped.ArrivalObserver` says."""
        address = envelope.dst
        before, after = self._seen.get(address, {}), dict(self._look(self._engine.actors[address]))
        if before != after:
            self.found += [ArrivalChange(number, address, change) for change in _changes(before, after)]
            self._seen[address] = after


def _changes(before: Facts, after: Facts) -> Iterator[StateChange]:
    """Yield what differs; blocks that were alike and are alike now are told as one."""
    blocks: dict[tuple[Address, BlockFact, BlockFact], list[int]] = {}
    for thing in {**before, **after}:
        was, now = before.get(thing, ""), after.get(thing, "")
        if was == now:
            continue
        if isinstance(thing, BlockPlace):
            pair = was if isinstance(was, BlockFact) else FREE, now if isinstance(now, BlockFact) else FREE
            blocks.setdefault((thing.memory, *pair), []).append(thing.number)
        else:
            yield StateChange(str(thing), str(was), str(now) or "gone")
    for (memory, was, now), numbers in blocks.items():
        yield StateChange(f"{spans(numbers)} of {memory}", _block_words(was, numbers), _block_words(now, numbers))


def _block_words(block: BlockFact, numbers: list[int]) -> str:
    owners = [
        f"{spans(number + further for number in numbers).replace('block', 'page', 1)} of {inode}"
        for inode, further in block.owners
    ]
    pins = [f"pinned by {', '.join(block.pinned_by)}"] if block.pinned_by else []
    return ", ".join([" and ".join(owners) or "free", *pins])
