"""The board of labels: where a scenario states an order between processes, and passes values out of band."""

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Conversation, WaitQueue, WaitsFor
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.process.labels import LABELS, AwaitLabel, LabelValue, PostLabel, Value


class Labels(Actor):
    """Labels that were set, and who waits for which."""

    def __init__(self, engine: Engine, address: Address = LABELS) -> None:
        super().__init__(engine, address)
        self.values: dict[str, Value] = {}
        self.waiters: dict[str, dict[Address, WaitQueue]] = {}
        """Who waits for a label, each in a queue of its own: the order in which they came means nothing."""

    @handles(PostLabel)
    def post(self, label: PostLabel, _src: Address) -> Done:
        """Set a label; set again, it has the new value."""
        self.values[label.name] = label.value
        for _, queue in sorted(self.waiters.pop(label.name, {}).items()):
            queue.wake_all(self)
        return DONE

    @handles(AwaitLabel)
    def wait(self, label: AwaitLabel, src: Address) -> Conversation[LabelValue]:
        """Sleep until the label is set."""
        while label.name not in self.values:
            queue = self.waiters.setdefault(label.name, {}).setdefault(src, WaitQueue())
            yield queue.sleep(WaitsFor("label", self.address, f"label {label.name!r}"))
        return LabelValue(self.values[label.name])
