"""What is in the way of a layout change under a policy, as things are: which leases, which pins.

It is found by asking the policy what it would answer if each thing it names were gone, one after the other. Hooks are
functions of their arguments, so nothing happens.
"""

from typing import NamedTuple

from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import (
    BreakLeases,
    DropLease,
    Fail,
    KillHolders,
    Proceed,
    Revoke,
    Scan,
    SendSignals,
    WaitFor,
)
from longpin.actors.policies.views import Change, LayoutView, LeaseView
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import Pin

MOST_QUESTIONS = 1000
"""Far more than leases and pins can be named one after the other; a policy that names none would be asked for ever."""


class Obstacles(NamedTuple):
    """What a change would fail because of, or wait for."""

    leases: tuple[Address, ...]
    """Those that would fail it."""
    pins: tuple[Pin, ...]
    broken: tuple[Address, ...] = ()
    """Leases that would be broken: for these it would wait."""


def obstacles(policy: Policy, change: Change, view: LayoutView, pins: tuple[Pin, ...]) -> Obstacles:
    """Return what is in the way of a change: leases that would be broken or fail it, pins likewise.

    Args:
        policy: who is asked.
        change: what somebody would like to do.
        view: the inode, with no pins shown.
        pins: those of its pages.

    """
    found = Obstacles((), ())
    seen = view._replace(pins=None)
    for _ in range(MOST_QUESTIONS):
        decision = policy.change_gate(change, seen)
        if isinstance(decision, SendSignals) or (isinstance(decision, BreakLeases) and not decision.wait):
            decision = decision.then
        shown, seen = seen.pins, seen._replace(pins=None)
        match decision:
            case Scan():
                seen = seen._replace(pins=pins)
            case BreakLeases(leases=leases) | DropLease(leases=leases):
                broken = [lease for lease in seen.leases if _is_named(lease, leases)]
                if isinstance(decision, BreakLeases):
                    found = found._replace(broken=(*found.broken, *(lease.address for lease in broken)))
                    pins = _without_revoked(policy, broken, seen, pins)
                seen = _without(seen, broken)
            case Revoke():
                pins = tuple(pin for pin in pins if not _takes(decision, pin))
            case KillHolders(pins=busy):  # what they hold goes with them
                pins = tuple(pin for pin in pins if pin not in busy)
            case WaitFor(pins=busy):
                found = found._replace(pins=(*found.pins, *busy))
                pins = tuple(pin for pin in pins if pin not in busy)
            case Fail() if shown:
                return found._replace(pins=(*found.pins, *_that_fail(policy, change, seen, shown)))
            case Fail():
                refusing = [lease for lease in seen.leases if _fails(policy, change, seen._replace(leases=(lease,)))]
                if not refusing:
                    return found
                found = found._replace(leases=(*found.leases, *(lease.address for lease in refusing)))
                seen = _without(seen, refusing)
            case Proceed():
                return found
    return found


def _is_named(lease: LeaseView, leases: tuple[Address, ...] | None) -> bool:
    return lease.layout if leases is None else lease.address in leases


def _without(view: LayoutView, leases: list[LeaseView]) -> LayoutView:
    return view._replace(leases=tuple(lease for lease in view.leases if lease not in leases))


def _without_revoked(
    policy: Policy, broken: list[LeaseView], view: LayoutView, pins: tuple[Pin, ...]
) -> tuple[Pin, ...]:
    """Return the pins that are left when the time of these leases is over: the kernel may take some away by itself."""
    revoked = [
        action
        for lease in broken
        if policy.on_break(lease).work
        for action in policy.on_deadline(lease, view).actions
        if isinstance(action, Revoke)
    ]
    return tuple(pin for pin in pins if not any(_takes(action, pin) for action in revoked))


def _takes(action: Revoke, pin: Pin) -> bool:
    """Return whether a pin goes when its registration, or all of its context, is taken from the device."""
    named = (
        registration.context == pin.context if action.whole_context else registration.address == pin.owner
        for registration in action.registrations
    )
    return action.unpin and any(named)


def _that_fail(policy: Policy, change: Change, view: LayoutView, pins: tuple[Pin, ...]) -> tuple[Pin, ...]:
    """Return the pins of which each alone fails the change; all, if it takes several."""
    alone = tuple(pin for pin in pins if _fails(policy, change, view._replace(pins=(pin,))))
    return alone or pins


def _fails(policy: Policy, change: Change, view: LayoutView) -> bool:
    decision = policy.change_gate(change, view)
    if isinstance(decision, SendSignals) or (isinstance(decision, BreakLeases) and not decision.wait):
        decision = decision.then
    return isinstance(decision, Fail)
