"""O3: a call may wait for ever only where the policy says so [semantics 3]. Here: every call that hangs is named.

A call is a chain of conversations. The chain is followed to the sleep or the lock at its end, and from there to who
could end it: the holders of a lease, of a pin, or of a lock, and what those wait for.
"""

from collections.abc import Iterator
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.actors.conversation import Call, Sleeping, Task, WaitsFor
from longpin.actors.inode import Inode
from longpin.actors.lease import Lease
from longpin.actors.locks import Hold
from longpin.actors.pmem import Pmem
from longpin.actors.process import Process
from longpin.messages.envelope import Address
from longpin.runner.invariants.base import Invariant

USER_WAITS = {"signal", "descriptor", "completion", "timer"}
"""Sleeps a program asks for; that nobody ends them is its own affair."""


class Liveness(Invariant):
    """When nothing can happen any more, no call is under way, but those that wait for what a user may never do."""

    rule: ClassVar[str] = "O3"
    summary: ClassVar[str] = "liveness: no call waits for ever; the chain of what waits for what is named"
    source: ClassVar[str] = "semantics 3; Chinner 2019-02-06 [S3]"

    def quiet(self) -> None:
        """Follow the call of every process that still has one."""
        for process in [actor for actor in self.engine.actors.values() if isinstance(actor, Process)]:
            if process.main is None or process.main.finished:
                continue
            sleeper, task = self._end_of_chain(process, process.main)
            effect = task.waits_for
            if not (isinstance(effect, Sleeping) and effect.reason.kind in USER_WAITS):
                doing = "exit" if process.exiting else f"line {process.calls[-1].op.line}, {process.calls[-1].op.text}"
                chain = " ".join(self._explain(sleeper, task, set()))
                self.violate(self.engine.arrivals, f"{process.name} hangs in {doing}: it waits for {chain}")

    def _end_of_chain(self, actor: Actor, task: Task) -> tuple[Actor, Task]:
        """Follow calls to the conversation that waits for something else than a reply."""
        while isinstance(task.waits_for, Call):
            callee = self.engine.actors[task.waits_for.dst]
            inner = callee.tasks.get((actor.address, task.waits_for.number))
            if inner is None:
                return actor, task
            actor, task = callee, inner
        return actor, task

    def _explain(self, actor: Actor, task: Task, seen: set[int]) -> Iterator[str]:
        """Yield the clauses that say what a conversation waits for."""
        effect = task.waits_for
        if isinstance(effect, Hold):
            holder = effect.lock.holds[0].task
            assert holder is not None
            yield f"{effect.lock.name}, held by the call of {self._caller(holder)}"
            if task.number not in seen:
                seen.add(task.number)
                inner_actor, inner = self._end_of_chain(actor, holder)
                yield ", which waits for"
                yield from self._explain(inner_actor, inner, seen)
        elif isinstance(effect, Sleeping):
            yield effect.reason.detail
            yield from self._holders(effect.reason)
        elif isinstance(effect, Call):
            yield f"an answer of {effect.dst} to {effect.body}"

    def _caller(self, task: Task) -> str:
        process = self.engine.actors.get(task.src)
        return process.name if isinstance(process, Process) else task.src

    def _holders(self, reason: WaitsFor) -> Iterator[str]:
        """Yield who could end the sleep."""
        actor = self.engine.actors.get(reason.target)
        if isinstance(actor, Lease):
            yield f"({self._users(actor.ofd)})"
            yield self._administrator(actor.inode)
        elif isinstance(actor, Pmem):
            pin = actor.pins[reason.number][0]
            inode, _ = actor.owners[reason.number]
            files = [process for process in self._processes() if pin.context in {f.backing for f in process.fds.values()}]
            names = ", ".join(process.name for process in files) or "no process"
            yield f"(in {pin.context}, whose descriptor is held by {names})"
            yield self._administrator(inode)

    def _administrator(self, address: Address) -> str:
        inode = self.engine.actors[address]
        assert isinstance(inode, Inode)
        pmem = self.engine.actors[inode.pmem]
        assert isinstance(pmem, Pmem)
        pins = tuple(pin for block in inode.pages.values() for pin in pmem.pins.get(block, ()))
        listed = self.policy.admin_list(inode.lease_views(), pins)
        return f"; an administrator sees {'; '.join(listed) if listed else 'nobody to blame'}"

    def _users(self, ofd: Address) -> str:
        users = []
        for process in self._processes():
            fds = [str(fd) for fd, file in process.fds.items() if file.ofd == ofd]
            if fds:
                users.append(f"{process.name} has it as fd {', '.join(fds)}")
            elif any(mapping.file.ofd == ofd for mapping in process.mm.mappings):
                users.append(f"{process.name} maps it")
        return "; ".join(users) or f"no process has {ofd}"

    def _processes(self) -> list[Process]:
        return [actor for actor in self.engine.actors.values() if isinstance(actor, Process) and not actor.dead]
