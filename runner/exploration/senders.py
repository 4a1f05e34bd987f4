"""Who sends to whom, in any step known: enough to tell, mostly, that nobody can reach an actor for now.

An actor moves when it receives something, so who has nothing under way to it, and whose possible senders cannot move
either, does nothing. Who can send to it is looked up, whatever the messages: those that ask it or tell it something in
any step known, and those that may answer what it waits for in its present state, which its calls name. So it is a walk
against the direction of messages, over few actors, and no look at what they would do.
"""

from collections.abc import Iterable

from longpin.runner.exploration.nodes import ABSENT, Global, Nodes
from longpin.runner.exploration.table import ALARM_ACTOR, WORLD_ACTOR, ComputedStep, Spawned, Table

NO_ACTORS = 1 << WORLD_ACTOR | 1 << ALARM_ACTOR
"""The bit set of senders that receive nothing."""


class Senders:
    """What is known of who sends to whom; it is made use of in one pass of a search."""

    def __init__(self, table: Table, nodes: Nodes) -> None:
        self.table = table
        self.nodes = nodes
        self.all: list[int] = []
        """By receiver: the bit set of who sends to it in any step known."""
        self.changed = False
        """Something that was made use of in this pass is otherwise now."""
        self._asking: list[int] = []
        """The same, without answers."""
        self._creators: list[int] = []
        """By actor: the bit set of who creates it."""
        self._steps = 0
        """Of how many steps all this is known."""
        self._relied = 0
        """The bit set of receivers of which it was made use."""
        self._born: list[list[Spawned]] = []
        """By actor: how it was created in any step known."""
        self._sends: list[int] = []
        """By an actor's state: the bit set of what it and what it creates may ever send from there on."""
        self._receives: list[int] = []
        """By an actor's state: the bit set of what they may ever receive from there on."""
        self._origins: list[list[int]] = []
        """By an actor's state: those from which a step leads to it, or creates the actor in it."""
        self.futures: dict[int, tuple[int, int]] = {}
        """The same as two, of the states for which it was asked: they stay what they were."""
        self._before: dict[int, tuple[int, int]] = {}
        """Those of which use was made when less was known."""
        self._grow()
        self._sent(WORLD_ACTOR, table.told)
        for created in table.first:
            self._sent(created.actor, created.sends)

    def begin(self) -> None:
        """Begin a pass."""
        self.learn()
        self.changed = False
        self._relied = 0
        self.futures.clear()
        self._before.clear()

    def refresh(self) -> None:
        """Work out anew from now on what actors may send: more is known."""
        for state, future in self.futures.items():
            if self._before.setdefault(state, future) != future:
                self.changed = True
        self.futures.clear()

    def prove(self) -> None:
        """Find out whether everything is still as it was when use was made of it."""
        self.learn()
        self.refresh()
        if any(self.future(state) != future for state, future in self._before.items()):
            self.changed = True

    def may_ever_get(self, receiver: int, state: Global, besides: int) -> int:
        """Return the bit set of what others than one may ever send to a receiver, and more: all that they may send.

        Raises:
            LookupError: the receiver is the clock, to which time may come.

        """
        senders, nodes, found = self.all[receiver], self.nodes, 0
        if senders >> ALARM_ACTOR & 1:
            raise LookupError(receiver)
        self._relied |= 1 << receiver
        senders &= ~(1 << besides)
        while senders:
            sender = (senders & -senders).bit_length() - 1
            senders &= senders - 1
            if node := state[sender] if sender < len(state) else ABSENT:
                found |= nodes.messages[node]
                if sender != WORLD_ACTOR:
                    found |= self.future(nodes.state[node])[0]
            else:
                self._relied |= 1 << sender
                for created in self._born[sender]:
                    found |= self.future(created.state)[0]
                    for message in created.sends:
                        found |= 1 << message
        return found

    def future(self, state: int) -> tuple[int, int]:
        """Return the bit sets of what an actor, and what it creates, may ever send from a state on, and receive."""
        if (known := self.futures.get(state)) is None:
            known = self.futures[state] = self._sends[state], self._receives[state]
        return known

    def learn(self) -> None:
        """Take note of steps that were computed."""
        table = self.table
        if self._steps == len(table.log):
            return
        self._grow()
        for state, message, step in table.log[self._steps :]:
            receiver = table.receiver[message]
            self._sent(receiver, step.sends)
            self._created(receiver, step.spawned)
            if step.alarm >= 0:
                self._sent(ALARM_ACTOR, (step.alarm,))
            self._foresee(state, message, step)
        self._steps = len(table.log)

    def _foresee(self, state: int, message: int, step: ComputedStep) -> None:
        """Add what a step sends to what may be sent from its state on, and from those that lead there."""
        sends, receives = self._sends, self._receives
        sent, received = 0, 1 << message
        for message_sent in step.sends:
            sent |= 1 << message_sent
        for created in step.spawned:
            for message_sent in created.sends:
                sent |= 1 << message_sent
        for after in (step.state, *(created.state for created in step.spawned)):
            sent |= sends[after]
            received |= receives[after]
            if state not in self._origins[after]:
                self._origins[after].append(state)
        earlier = [(state, sent, received)]
        while earlier:
            origin, sent, received = earlier.pop()
            if sent & ~sends[origin] or received & ~receives[origin]:
                sends[origin] |= sent
                receives[origin] |= received
                earlier += ((before, sends[origin], receives[origin]) for before in self._origins[origin])

    def only(self, sender: int, receiver: int, world: int) -> bool:
        """Return whether nobody else ever sends to a receiver, but for a world whose node has nothing left for it."""
        others = self.all[receiver] & ~(1 << sender)
        if others and (others != 1 << WORLD_ACTOR or receiver in self.nodes.receivers[world]):
            return False
        self._relied |= 1 << receiver
        return True

    def leave_alone(self, receiver: int, state: Global, busy: int, stopped: int, answer: int = 0) -> bool:
        """Return whether nobody can send to a receiver before it moves; False: it was not found out.

        Args:
            receiver: it receives nothing meanwhile.
            state: the state of the world.
            busy: the bit set of actors that something is under way to.
            stopped: the bit set of actors that send nothing.
            answer: a call of the receiver that is not answered meanwhile, 0 for none.

        """
        local, awaits = self.nodes.state, self.table.awaits
        still = 1 << receiver | NO_ACTORS
        met = left = 1 << receiver
        while left:
            if left & busy:
                return False
            actor = (left & -left).bit_length() - 1
            left &= left - 1
            if node := state[actor] if actor < len(state) else ABSENT:
                senders, mute = self._asking[actor], still | stopped
                for call, awaited in awaits[local[node]]:
                    if awaited < 0:
                        senders |= self.all[actor]
                    elif actor != receiver or call != answer:
                        senders |= 1 << awaited
            else:
                senders, mute = self._creators[actor], still  # who sends nothing may still create somebody who does
            left |= senders & ~met & ~mute
            met |= senders & ~mute
        self._relied |= met
        return True

    def _grow(self) -> None:
        more = [0] * (len(self.table.addresses) - len(self.all))
        for known in (self.all, self._asking, self._creators):
            known += more
        self._born += [[] for _ in more]
        more = [0] * (len(self.table.steps) - len(self._sends))
        self._sends += more
        self._receives += more
        self._origins += [[] for _ in more]

    def _sent(self, sender: int, messages: Iterable[int]) -> None:
        table = self.table
        for message in messages:
            receiver = table.receiver[message]
            self._note(self.all, receiver, sender)
            if table.envelopes[message].call >= 0:
                self._note(self._asking, receiver, sender)

    def _created(self, creator: int, spawned: Iterable[Spawned]) -> None:
        for created in spawned:
            self._note(self._creators, created.actor, creator)
            if created not in self._born[created.actor]:
                self._born[created.actor].append(created)
                self.changed = self.changed or bool(self._relied >> created.actor & 1)
            self._sent(created.actor, created.sends)

    def _note(self, known: list[int], receiver: int, sender: int) -> None:
        if not known[receiver] >> sender & 1:
            known[receiver] |= 1 << sender
            if self._relied >> receiver & 1:
                self.changed = True
