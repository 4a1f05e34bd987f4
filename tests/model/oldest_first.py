"""An actor of whose state it is a part in which order its conversations were suspended."""

from collections.abc import Iterator

from longpin.actors.base import Actor, Engine
from longpin.actors.conversation import Effect, Task
from longpin.messages.envelope import Address, Envelope


class OldestFirst(Actor):
    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.order: list[Task] = []

    def suspend(self, task: Task, effect: Effect) -> int:
        number = super().suspend(task, effect)
        self.order = [other for other in self.order if other is not task]
        self.order.append(task)
        return number

    def oldest_first(self) -> Iterator[Task]:
        return (task for task in self.order if self.suspended(task.number) is task)

    def on_receive(self, message: Envelope) -> None:
        super().on_receive(message)
        self.order = list(self.oldest_first())
