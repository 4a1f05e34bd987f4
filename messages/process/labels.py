"""Order between processes that a scenario states itself: ``label("x")`` and ``wait_for("x")``."""

from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message

LABELS = "labels"
"""The address of the board of labels."""


class VerbsObject(NamedTuple):
    """What a verb returns: a handle into a uverbs context, reached through a descriptor."""

    kind: str
    """``pd``, ``mr``, ``mw``, ``cq``, ``srq``, ``qp`` or ``event``; ``layout`` of a pNFS client."""
    fd: int
    """The descriptor of the uverbs file in the process that made it."""
    handle: int
    context: Address
    address: Address = ""
    """The queue pair's or the layout's own address; empty for the others."""


class Value(NamedTuple):
    """A value a program can hold; one field is set, or none."""

    number: int | None = None
    text: str | None = None
    data: bytes | None = None
    verbs: VerbsObject | None = None


@message
class PostLabel(Message):
    """Set a label, with a value for those who wait for it."""

    name: str
    value: Value

    def footprint(self) -> Footprint:
        """The label and who waits for it."""
        return Footprint.of(writes=[("label", self.name)])


@message
class AwaitLabel(Message):
    """Wait until a label is set."""

    name: str

    def footprint(self) -> Footprint:
        """The label; those who wait for it do not meet."""
        return Footprint.of(adds=[("label", self.name)])


@message
class LabelValue(Message):
    """The value a label was set with."""

    value: Value
