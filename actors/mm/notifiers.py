"""MMU notifiers: drivers that have copied page table entries are told of every change of them [1.10.3].

As in Linux's ``mmu_interval_notifier`` a change is bracketed. Before it the driver has its device use the entries no
more; until it has ended the driver copies none. So what was in an entry can be freed after the change. Who changes
entries does it inside :meth:`Notifiers.around`.
"""

import errno
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.conversation import Call, Conversation, KernelError, Wait, WaitQueue, WaitsFor
from longpin.actors.mm.address_space import AddressSpace
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.notifier import AddNotifier, InvalidateEnd, InvalidateStart, RemoveNotifier

R = TypeVar("R")

Range = tuple[int, int]
"""Addresses, the second is the first that is not in it."""


class Notifier(NamedTuple):
    """Who is told of changes."""

    driver: Address
    name: Address
    first: int
    last: int


def at_once(change: Callable[[], R]) -> Conversation[R]:
    """Return a conversation that makes a change without waiting for anybody."""
    return change()
    yield


class Notifiers(ActorPart):
    """Who follows the page table of a memory map."""

    def __init__(self, actor: Actor, space: AddressSpace) -> None:
        self.actor = actor
        self.space = space
        self.notifiers: list[Notifier] = []
        """In the order in which they were added, in which they are told."""
        self.changing = 0
        """How many changes are under way."""
        self.waiters = WaitQueue()
        """Who waits until there are none, to be told of all."""
        self.gone = False
        """No process has the memory map any more (mmget_not_zero)."""

    @handles(AddNotifier)
    def add(self, request: AddNotifier, src: Address) -> Conversation[Done]:
        """Add a driver; it is told of each change that begins from now on [mmu_interval_notifier_insert]."""
        while self.changing:
            reason = WaitsFor("lock", self.actor.address, "changes of the page table to end")
            yield self.waiters.sleep(reason, Wait.UNINTERRUPTIBLE)
        self.notifiers.append(Notifier(src, request.name, request.first, request.last))
        return DONE

    @handles(RemoveNotifier)
    def remove(self, request: RemoveNotifier, _src: Address) -> Done:
        """Remove a driver."""
        self.notifiers = [notifier for notifier in self.notifiers if notifier.name != request.name]
        return DONE

    def around(self, ranges: Iterable[Range], change: Conversation[R]) -> Conversation[R]:
        """Change page table entries, with drivers told before and after."""
        pages = [(start // self.space.page_size, (end - 1) // self.space.page_size) for start, end in ranges]
        told = [
            (notifier, max(first, notifier.first), min(last, notifier.last))
            for notifier in self.notifiers
            for first, last in pages
            if first <= notifier.last and notifier.first <= last
        ]
        self.changing += 1
        for notifier, first, last in told:
            yield Call(notifier.driver, InvalidateStart(notifier.name, first, last))
        error: KernelError | None = None
        try:
            result = yield from change
        except KernelError as caught:
            error = caught
        for notifier, _, _ in told:
            yield Call(notifier.driver, InvalidateEnd(notifier.name))
        self.changing -= 1
        if not self.changing:
            self.waiters.wake_all(self.actor)
        if error is not None:
            raise error
        return result

    def check(self) -> None:
        """Fail with EINVAL where the process has gone [mmget_not_zero]."""
        if self.gone:
            raise KernelError(errno.EINVAL)
