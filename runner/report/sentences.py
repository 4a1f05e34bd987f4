"""Events in English: one sentence each, without when it happens and to which process."""

from collections.abc import Iterable
from itertools import groupby
from typing import assert_never

from longpin.actors.constants import signal_name
from longpin.runner.events import (
    AsyncEventQueued,
    BlocksFreed,
    BlocksPinned,
    BlocksUnpinned,
    CallEntered,
    CallReturned,
    ClockAdvanced,
    DmaDone,
    Event,
    FailureFound,
    LeaseBroken,
    LeaseRemoved,
    LeaseTimedOut,
    LockContended,
    ProcessExited,
    RegionRevoked,
    SearchAdvanced,
    ShrinkAdvanced,
    SignalDelivered,
    SignalGenerated,
    SleepBegun,
)
from longpin.runner.result import returned

ACTIONS = {
    "handler": "its handler runs",
    "ignored": "it is ignored",
    "stopped": "it stops the process",
    "terminated": "it kills",
}
"""What becomes of a signal."""


def sentence(event: Event) -> str:
    """Return what happens, in English."""
    match event:
        case CallEntered():
            return event.op.text
        case CallReturned():
            return f"{event.op.call} returns {returned(event.ret, event.errno)}"
        case SleepBegun():
            return f"{_who_waits(event)}waits for {event.waits_for.detail}"
        case LockContended():
            return f"{_who_waits(event)}waits for {event.lock}"
        case SignalGenerated():
            return f"{signal_name(event.signo)} from {event.sender}"
        case SignalDelivered():
            descriptor = f" (si_fd {event.si_fd})" if event.si_fd >= 0 else ""
            return f"{signal_name(event.signo)}{descriptor}: {ACTIONS[event.action]}"
        case ProcessExited():
            if event.signo:
                return f"killed by {signal_name(event.signo)}"
            return "is killed by a signal" if event.status is None else f"exits with {event.status}"
        case LeaseBroken():
            return f"{event.lease} is broken ({event.level}), {event.seconds:g} s to answer"
        case LeaseTimedOut():
            return f"{event.lease} is overdue ({event.level})"
        case LeaseRemoved():
            return f"{event.lease} is gone"
        case BlocksPinned():
            return f"{event.region} pins {spans(event.blocks)} of {event.pmem}"
        case BlocksUnpinned():
            return f"{event.region} unpins its blocks"
        case RegionRevoked():
            within = f", within {event.seconds:g} s" if event.seconds else ""
            pinned = "" if event.unpin else " and stays pinned"
            return f"{event.region} is taken from {event.context}{within}{pinned}"
        case AsyncEventQueued():
            return f"who has {event.context} open is told: the lease of {event.region} is broken"
        case BlocksFreed():
            return f"the file system frees {spans(event.blocks)} of {event.pmem}"
        case DmaDone():
            verb = "reads" if event.data is None else f"writes {event.data!r} to"
            how = "entered as" if event.region.startswith("m2p:") else "pinned by"
            pinned = f"{how} {event.region}" + (f" as page {event.page} of {event.inode}" if event.inode else "")
            return f"device {verb} block {event.block} of {event.pmem}, {pinned}"
        case ClockAdvanced():
            return f"it is {event.time:g} s now"
        case SearchAdvanced():
            return f"{event.runs:,} runs, {event.arrivals:,} arrivals"
        case FailureFound():
            return f"{event.rule or 'a check'} does not hold: {event.what}"
        case ShrinkAdvanced():
            return f"made smaller in {event.runs:,} runs: {event.size}"
        case _:
            assert_never(event)


def _who_waits(event: SleepBegun | LockContended) -> str:
    return "exit " if event.exiting else ""


def spans(blocks: Iterable[int]) -> str:
    """Return block numbers as ``blocks 0-3, 7``."""
    ordered = sorted(set(blocks))
    groups = [[block for _, block in run] for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    shown = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in groups)
    return f"block{'s' if len(ordered) > 1 else ''} {shown}"
