"""What proposals have in common under which a lease is kept while pages are pinned under it [S5, K1, C3].

None of these functions knows a policy: they answer about leases and pins that they are shown.
"""

import errno
from enum import StrEnum

from longpin.actors.constants import SIGKILL
from longpin.actors.policies.decisions import (
    Fail,
    Listed,
    ListedBy,
    Proceed,
    Revoke,
    SendSignal,
    SendSignals,
    WaitFor,
)
from longpin.actors.policies.views import LayoutView, RegistrationView
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import Pin


class UnlockWithPins(StrEnum):
    """What becomes of a request to give a lease up while pages are pinned under it."""

    FAIL = "EBUSY"
    """It fails: a lease cannot be released while pages are pinned under it [S5]. Which errno is our guess."""
    WAIT = "block"
    """It waits for them [K1]."""
    ALLOW = "ok"
    """The lease goes, and the pins stay [V2-0]."""

    def decide(self, pins: tuple[Pin, ...]) -> Proceed | Fail | WaitFor:
        """Decide on a request to give up a lease under which these pins are."""
        if not pins or self is UnlockWithPins.ALLOW:
            return Proceed()
        return WaitFor(pins) if self is UnlockWithPins.WAIT else Fail(errno.EBUSY)


def pins_that_hold(ofd: Address, pins: tuple[Pin, ...]) -> tuple[Pin, ...]:
    """Return the pins whose registration holds an open file description."""
    return tuple(pin for pin in pins if pin.hold == ofd)


def longterm_pins_of(process: Address, pins: tuple[Pin, ...]) -> tuple[Pin, ...]:
    """Return the long-term pins that a process has made."""
    return tuple(pin for pin in pins if pin.longterm and pin.process == process)


def kill_who_pinned(pins: tuple[Pin, ...]) -> SendSignals:
    """Return the decision to kill the processes that have made pins: who closes with pins left is killed [K1]."""
    return SendSignals(tuple(dict.fromkeys(SendSignal(pin.process, SIGKILL) for pin in pins)))


def invalidate_contexts(pins: tuple[Pin, ...]) -> Revoke:
    """Return the decision to take all that was made through the devices of pins, as if they were closed [K1]."""
    taken = dict.fromkeys(RegistrationView(pin.owner, pin.context) for pin in pins)
    return Revoke(tuple(taken), whole_context=True)


DEVICE_GONE = dict.fromkeys(
    ("ibv_alloc_pd", "ibv_create_cq", "ibv_create_qp", "ibv_modify_qp", "ibv_post_send", "ibv_reg_mr"),
    frozenset({"EIO"}),
)
"""What calls add to their errnos that are made through a device which was taken as a whole, as a policy wants it."""


def listed_pins(view: LayoutView) -> tuple[Listed, ...]:
    """Return the long-term pins as /proc/PID/file_pins lists them: by the device that owns them [V2-13 to V2-18].

    What was pinned without an owner file, as by a camera, is listed with the memory it was pinned through.
    """
    return tuple(_listed(pin) for pin in view.pins or () if pin.longterm)


def _listed(pin: Pin) -> Listed:
    if not pin.has_owner_file:
        return Listed(ListedBy.MEMORY, pin.process, f"page {pin.page} pinned by {pin.process} (/proc/PID/file_pins)")
    return Listed(ListedBy.DEVICE, pin.context, f"page {pin.page} pinned through {pin.context} (/proc/PID/file_pins)")
