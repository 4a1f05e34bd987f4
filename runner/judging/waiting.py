"""Who waits for what: the calls that are under way when nothing can happen any more, each with its wait-for chain.

A call is a chain of conversations. The chain is followed to the sleep or the lock at its end, and from there to who
could end it: the holders of a lease, of a pin, or of a lock, and what those wait for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from longpin.actors.base import Actor
from longpin.actors.conversation import Call, Sleeping, Task, Wait, WaitsFor
from longpin.actors.fs.inode import Inode
from longpin.actors.fs.lease import Lease
from longpin.actors.locks import Hold
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.pmem import Pmem
from longpin.actors.policies.base import Policy
from longpin.actors.process.process import Process
from longpin.actors.process.thread import Thread
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import Pin

_VERBS = {"spin": "spins, in state R, which not even SIGKILL ends, until nothing pins"}
"""What it does who does not wait for something, by the kind of it."""


def _kind(task: Task) -> str:
    """Return what kind of thing a conversation waits for."""
    return task.waits_for.reason.kind if isinstance(task.waits_for, Sleeping) else "lock"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A process whose call has not returned."""

    process: str
    kind: str
    """The kind of :class:`~longpin.actors.conversation.WaitsFor`, or ``lock``."""
    call: str
    doing: str
    """The call, with its line; or that the process is exiting."""
    chain: str
    """What it waits for, who holds that, and what those wait for."""
    target: Address = ""
    """The actor of which it waits for something, as :class:`~longpin.actors.conversation.WaitsFor` names it."""
    number: int = 0
    state: str = "S"
    """As ps(1) shows it: S, a signal ends the wait; D, none or only a deadly one does; R, it spins."""

    def __str__(self) -> str:
        return f"{self.process} in {self.doing}: it {_VERBS.get(self.kind, 'waits for')} {self.chain}"


def _state(task: Task) -> str:
    """Return in which state ps(1) shows who waits in a conversation."""
    if not isinstance(task.waits_for, Sleeping):
        return "D"
    if _kind(task) == "spin":
        return "R"
    return "S" if task.waits_for.wait is Wait.INTERRUPTIBLE else "D"


class WaitForGraph:
    """The wait-for chains of a quiet world."""

    def __init__(self, actors: Mapping[Address, Actor], policy: Policy) -> None:
        self.actors = actors
        self.policy = policy

    def waiting(self) -> list[Waiting]:
        """Return every process that waits, in the order in which they came into being."""
        found = []
        for process in self._processes():
            found += [self._waits(process, thread, thread.task) for thread in process.threads if thread.alive]
        return found

    def _waits(self, process: Process, thread: Thread, program: Task | None) -> Waiting:
        """Return what a thread waits for."""
        assert program is not None
        actor, task = self._end_of_chain(process, program)
        kind = _kind(task)
        call = doing = "exit"
        leaving = thread.leaving or process.exiting
        if not leaving and thread.calls:
            last = thread.calls[-1].op
            call, doing = last.call, f"line {last.line}, {last.text}"
        elif not leaving:
            call = doing = "user space"
        reason = task.waits_for.reason if isinstance(task.waits_for, Sleeping) else WaitsFor("", "", "")
        chain = "".join(self._explain(actor, task, ()))
        return Waiting(thread.name, kind, call, doing, chain, reason.target, reason.number, _state(task))

    def _processes(self) -> list[Process]:
        return [actor for actor in self.actors.values() if isinstance(actor, Process)]

    def _end_of_chain(self, actor: Actor, task: Task) -> tuple[Actor, Task]:
        """Follow calls to the conversation that waits for something else than a reply."""
        while isinstance(task.waits_for, Call):
            callee = self.actors[task.waits_for.dst]
            inner = callee.tasks.get((actor.address, task.waits_for.number))
            if inner is None:
                break
            actor, task = callee, inner
        return actor, task

    def _explain(self, actor: Actor, task: Task, seen: tuple[Task, ...]) -> Iterator[str]:
        """Yield the clauses that say what a conversation waits for."""
        effect = task.waits_for
        if isinstance(effect, Hold):
            holder = effect.lock.holds[0].task
            assert holder is not None
            yield f"{effect.lock.name}, held by the call of {self._caller(holder)}"
            if task not in seen:
                end = self._end_of_chain(actor, holder)
                yield f", which {_VERBS.get(_kind(end[1]), 'waits for')} "
                yield from self._explain(*end, (*seen, task))
        elif isinstance(effect, Sleeping):
            memory = self.actors.get(effect.reason.target)
            # What holds a page may have changed since it was waited for.
            yield memory.why_busy(effect.reason.number) if isinstance(memory, Pmem) else effect.reason.detail
            yield from self._holders(effect.reason)
        elif isinstance(effect, Call):
            yield f"an answer of {effect.dst} to {effect.body}"

    def _caller(self, task: Task) -> str:
        """Return the name of the process for which a conversation runs, through every actor that passed its call on."""
        actor = self.actors.get(task.src)
        while actor is not None and not isinstance(actor, Process):
            above = actor.suspended(task.call)
            if above is None:
                break
            task, actor = above, self.actors.get(above.src)
        if not isinstance(actor, Process):
            return task.src
        return next((thread.name for thread in actor.threads if thread.task is task), actor.name)

    def _holders(self, reason: WaitsFor) -> Iterator[str]:
        """Yield who could end the sleep."""
        actor = self.actors.get(reason.target)
        if isinstance(actor, Lease):
            yield f" ({self._users(actor.ofd)})"
            yield self._administrator(actor.inode)
        elif isinstance(actor, Pmem):
            if reason.number not in actor.pins:
                yield f" ({self._mappers(actor.address, reason.number)})"
                return
            pin = actor.pins[reason.number][0]
            inode = actor.owners.of(reason.number)[0].inode
            holders = [
                p.name
                for p in self._processes()
                if any(file.backing == pin.context and file.kind != "path" for file in p.fds.values())
            ]
            yield f" (in {pin.context}, whose descriptor is held by {', '.join(holders) or 'no process'})"
            yield self._administrator(inode)

    def _mappers(self, memory: Address, number: int) -> str:
        """Return which processes have page table entries of a frame."""
        names = [
            process.name
            for process in self._processes()
            if isinstance(mm := self.actors.get(process.mm), Mm)
            and any(pte.frame == (memory, number) for pte in mm.space.page_table.values())
        ]
        return f"mapped by {', '.join(names) or 'no process'}"

    def _administrator(self, address: Address) -> str:
        inode = self.actors.get(address)
        if not isinstance(inode, Inode):  # a folder, of which nothing is listed
            return ""
        pins: tuple[Pin, ...] = ()
        if isinstance(pmem := self.actors.get(inode.pmem), Pmem):
            runs = [range(extent.block, extent.block + extent.length) for extent in inode.view().extents]
            blocks = [block for run in runs for block in sorted(pmem.pins) if block in run]
            pins = tuple(pin for block in blocks for pin in pmem.pins[block])
        listed = [entry.text for entry in self.policy.admin_list(inode.layout_view(pins))]
        return f"; an administrator sees {'; '.join(listed) if listed else 'nobody who holds it'}"

    def _users(self, ofd: Address) -> str:
        users = []
        for process in self._processes():
            fds = [str(fd) for fd, file in process.fds.items() if file.ofd == ofd]
            if fds:
                users.append(f"{process.name} has it as fd {', '.join(fds)}")
            elif isinstance(mm := self.actors.get(process.mm), Mm) and mm.maps(ofd):
                users.append(f"{process.name} maps it")
        return "; ".join(users) or f"no process has {ofd}"
