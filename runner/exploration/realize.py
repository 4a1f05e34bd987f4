"""From a partial order to an order of arrivals that a single outbox for each actor allows, if there is one.

A search over the choices of the stepped engine itself: the oldest message of some outbox arrives, if all that
happened before it has arrived. What is sent goes to the end of the receiver's outbox. A choice that lets an actor
handle first what should have come second leads to an outbox whose oldest message must wait for a younger one: the
search turns back.
"""

from typing import NamedTuple

NEVER = -1
"""A message that was sent and did not arrive: it keeps those behind it in the outbox."""


LOOKS_AT_MOST = 200_000
"""Positions looked at before the search gives up."""


class UntoldError(Exception):
    """It takes too long to tell whether a schedule can happen."""


class Arrival(NamedTuple):
    """An event, seen from its sender."""

    sender: int
    clock: int
    """The bit set of the events that must come before it, and itself."""
    sends: list[int]
    """What its handler sent, as the events in which it arrived."""


def realize(
    arrivals: list[Arrival], receivers: list[int], first: dict[int, list[int]], wanted: int, *, lazy: bool
) -> list[int] | None:
    """Return events in an order in which they can arrive, until all of ``wanted`` have; None: there is none.

    Args:
        arrivals: the events.
        receivers: the receiver of each.
        first: what is in outboxes at the start.
        wanted: a bit set of events, with all that happened before them.
        lazy: the alarm, whose events no outbox holds, goes off only when nothing else can happen.

    Raises:
        UntoldError: it takes too long to tell.

    """
    alarms = set(range(len(arrivals))) - {e for a in arrivals for e in a.sends}
    alarms -= {event for sent in first.values() for event in sent}
    start = tuple(sorted((actor, tuple(sent)) for actor, sent in first.items() if sent))
    tried: set[tuple[int, tuple[tuple[int, tuple[int, ...]], ...]]] = set()
    stack = [(0, start, ())]  # type: list[tuple[int, tuple[tuple[int, tuple[int, ...]], ...], tuple[int, ...]]]
    while stack:
        done, boxes, order = stack.pop()
        if done & wanted == wanted:
            return list(order)
        if (done, boxes) in tried:
            continue
        tried.add((done, boxes))
        if len(tried) > LOOKS_AT_MOST:
            raise UntoldError
        heads = [box[0] for _, box in boxes if box[0] != NEVER]
        heads += [event for event in alarms if not done >> event & 1 and (not boxes or not lazy)]
        for event in sorted(heads, reverse=True):
            arrival = arrivals[event]
            if not arrival.clock & ~done & ~(1 << event):
                after = dict(boxes)
                if event not in alarms:
                    after[arrival.sender] = after[arrival.sender][1:]
                receiver = receivers[event]
                after[receiver] = after.get(receiver, ()) + tuple(arrival.sends)
                left = tuple(sorted((actor, box) for actor, box in after.items() if box))
                stack.append((done | 1 << event, left, (*order, event)))
    return None
