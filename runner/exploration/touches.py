"""What a suspended conversation touches when it goes on, which a reply or a wake-up has as its footprint."""

from longpin.actors.conversation import Task
from longpin.messages.envelope import Footprint

GOING_ON = Footprint.of(reads=[("conversation",)])
"""The footprint of a reply in a conversation that touches nothing: an interrupt is not passed on once it has ended."""


def touches(task: Task) -> Footprint | None:
    """Return what a conversation has said last, or else what the request touches that it answers; None: everything."""
    if task.step is not None:
        return task.step.footprint()
    if not task.call or task.request is None:
        return None
    declared = task.request.footprint()
    return GOING_ON if declared is not None and not any(declared) else declared
