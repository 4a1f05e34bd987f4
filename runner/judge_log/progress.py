"""How far each thread is: what began after something else was over in the log does so in the model."""

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Conversation, WaitQueue, WaitsFor
from longpin.messages.envelope import DONE, Address, Done, Footprint, Message, message

PROGRESS = "progress"
"""The address of the one actor that knows."""


@message
class StepReached(Message):
    """A thread has taken a step."""

    tid: int
    step: int

    def footprint(self) -> Footprint:
        """Its thread."""
        return Footprint.of(writes=[("thread", self.tid)])


@message
class AwaitStep(Message):
    """Wait until a thread has taken a step."""

    tid: int
    step: int

    def footprint(self) -> Footprint:
        """Its thread; those who wait do not meet."""
        return Footprint.of(adds=[("thread", self.tid)])


class Progress(Actor):
    """The last step of each thread, and who waits for one."""

    def __init__(self, engine: Engine, address: Address, tids: tuple[int, ...]) -> None:
        super().__init__(engine, address)
        self.steps = dict.fromkeys(tids, -1)
        self.waiters: dict[int, dict[Address, WaitQueue]] = {tid: {} for tid in tids}

    @handles(StepReached)
    def reached(self, news: StepReached, _src: Address) -> None:
        """Note a step, and let those look who wait for it."""
        self.steps[news.tid] = max(news.step, self.steps[news.tid])
        waiters, self.waiters[news.tid] = self.waiters[news.tid], {}
        for _, queue in sorted(waiters.items()):
            queue.wake_all(self)

    @handles(AwaitStep)
    def wait(self, wanted: AwaitStep, src: Address) -> Conversation[Done]:
        """Sleep until the step has been taken."""
        while self.steps[wanted.tid] < wanted.step:
            queue = self.waiters[wanted.tid].setdefault(src, WaitQueue())
            yield queue.sleep(WaitsFor("label", self.address, f"step {wanted.step} of {wanted.tid}"))
        return DONE
