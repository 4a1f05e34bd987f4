"""Persistent sets: which arrivals suffice in a state of the world, as nothing else can change what they do.

A set of arrivals is *persistent* if nothing that can happen without them is in conflict with any of them (P.
Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", LNCS 1032, 1996, chapter 4). Two
arrivals are in conflict if they have one receiver: each takes the oldest message out of an outbox, changes its
receiver, and adds to the receiver's outbox, and all of these commute if the receivers differ. So all that can arrive
at a receiver r next is persistent if no other message can get to r before one of them does. A search that takes from
each state a persistent set comes to every world at rest.

What can get to r before is worked out from above: r does not move; who has its oldest message under way to r sends
nothing any more, as its outbox waits for that one; everybody else may receive whatever is under way, in any order and
any number of times, and sends what any state it then comes to sends. A child begins to send when it is made, so it is
reckoned with although the outbox of who made it is stopped. The alarm is a sender to its clock; with lazy timers it
waits until nothing else is under way.

Where only one ever sends to a receiver, or one beside the world that has nothing left for it, nothing need be worked
out: that one is stopped.

What an actor *may do* with messages is looked up among the steps that were ever computed. That is a guess that proves
itself: a pass of the search goes by what was known when it asked, and at its end every answer is worked out again. If
none has changed, the pass was right: a step that some schedule takes and no pass ever came to would be missing from
the table; leave out the steps that are missing, then what is left is a system for which the answers are exact, and the
search has come to every step that is possible in it, the first one of that schedule to be missing included.
If an answer has changed, the pass is repeated.
"""

from typing import NamedTuple

from longpin.runner.exploration.nodes import ABSENT, Global, Nodes
from longpin.runner.exploration.table import ALARM_ACTOR, WORLD_ACTOR, Spawned, Table

GROWTH = 32
"""Answers are worked out anew when the steps known have become more by one part in so many."""


CHOICES_KEPT = 1 << 15
"""States whose persistent sets are kept; some 10 MB."""

Sender = tuple[int, int, int, tuple[int, ...]]
"""Who has something under way, the receiver of its oldest message, the bit set of all, and their receivers."""


class Prospect(NamedTuple):
    """What an actor may do in some state if it may receive some messages."""

    messages: int
    """The bit set of what it may send."""
    receivers: tuple[int, ...]
    """Who that is for."""
    spawned: tuple[Spawned, ...]
    """The actors it may create."""


class PersistentSets:
    """Finds persistent sets, and knows whether those found were right."""

    def __init__(self, table: Table, nodes: Nodes, *, racy: bool) -> None:
        self.table = table
        self.nodes = nodes
        self.racy = racy
        self.changed = False
        """An answer that was given in this pass is another one now."""
        self._inbox: list[int] = []
        """By receiver: the bit set of all messages to it."""
        self._messages = 0
        self._senders: list[int] = []
        """By receiver: the bit set of those who send to it in any step known."""
        self._relied = 0
        """The bit set of the receivers of which it was made use in this pass that only one sends to them."""
        self._asked: dict[tuple[int, int], Prospect] = {}
        """By an actor's state and the messages it may receive there."""
        self._chosen: dict[Global, list[int]] = {}
        """The last choices: chains often run together."""
        self._before: dict[tuple[int, int], Prospect] = {}
        """Answers given in this pass when less was known, that were not asked for since."""
        self._known = 0
        """How many steps the table had when the answers were last thrown away."""

    def begin(self) -> None:
        """Begin a pass, with what is known now."""
        self.changed = False
        self._asked.clear()
        self._before.clear()
        self._chosen.clear()
        self._known = self.table.computed
        self._relied = 0
        self._learn_senders()

    def proved(self) -> bool:
        """Return whether every answer of this pass would be given again."""
        for answers in (self._asked, self._before):
            if any(self._prospect(*question) != answer for question, answer in answers.items()):
                self.changed = True
        self._learn_senders()
        return not self.changed

    def choose(self, state: Global, processes: list[int]) -> list[int]:
        """Return a persistent set of the processes that can be let go, the smallest found."""
        if len(processes) < 2:
            return processes
        if (chosen := self._chosen.get(state)) is None:
            if len(self._chosen) == CHOICES_KEPT:
                self._chosen.clear()
            chosen = self._chosen[state] = self._choose(state, processes)
        return chosen

    def _choose(self, state: Global, processes: list[int]) -> list[int]:
        if self.table.computed > self._known + self._known // GROWTH:
            self._known = self.table.computed
            self._before |= self._asked
            self._asked.clear()
            self._learn_senders()
        if self._messages < len(self.table.envelopes) or len(self._inbox) < len(self.table.addresses):
            self._learn_messages()
        head, receiver = self.nodes.head, self.table.receiver
        arrivals: dict[int, list[int]] = {}
        under_way: list[Sender] = []
        for process in processes:
            if process == ALARM_ACTOR:
                tick = state[ALARM_ACTOR] - 1
                to = receiver[tick]
                under_way.append((process, to, 1 << tick, (to,)))
            else:
                node = state[process]
                to = receiver[head[node]]
                under_way.append((process, to, self.nodes.messages[node], self.nodes.receivers[node]))
            arrivals.setdefault(to, []).append(process)
        if len(arrivals) == 1:
            return processes
        for process, to, _, _ in under_way:
            others = self._senders[to] & ~(1 << process) if to < len(self._senders) else -1
            if not others or (others == 1 << WORLD_ACTOR and to not in self.nodes.receivers[state[WORLD_ACTOR]]):
                self._relied |= 1 << to
                return [process]
        for to in sorted(arrivals, key=lambda to: len(arrivals[to])):
            if self._nothing_else_gets_to(to, state, under_way):
                return arrivals[to]
        return processes

    def _nothing_else_gets_to(self, receiver: int, state: Global, senders: list[Sender]) -> bool:
        """Return whether no message can get to a receiver before one of those that can arrive there now."""
        inbox, local = self._inbox, self.nodes.state
        under_way, stopped, to_look_at = 0, 0, list[int]()
        for process, to, messages, receivers in senders:
            if to == receiver:
                stopped |= 1 << process
            else:
                under_way |= messages
                to_look_at += receivers
        awaited = inbox[receiver]
        if under_way & awaited:
            return False
        looked: dict[int, int] = {}
        children: dict[int, list[int]] = {}
        while to_look_at:
            actor = to_look_at.pop()
            messages = under_way & inbox[actor]
            if looked.get(actor) == messages:
                continue
            looked[actor] = messages
            node = state[actor] if actor < len(state) else ABSENT
            for origin in (local[node],) if node else tuple(children.get(actor, ())):
                prospect = self._asked.get((origin, messages)) or self._ask(origin, messages)
                for child in prospect.spawned:
                    states = children.setdefault(child.actor, [])
                    if child.state not in states:
                        states.append(child.state)
                        looked.pop(child.actor, None)
                        to_look_at.append(child.actor)
                        for message in child.sends:
                            under_way |= 1 << message
                            to_look_at.append(self.table.receiver[message])
                if prospect.messages & ~under_way and not stopped >> actor & 1:
                    under_way |= prospect.messages
                    to_look_at += prospect.receivers
                if under_way & awaited:
                    return False
        return True

    def _ask(self, state: int, messages: int) -> Prospect:
        """Return what an actor may do from a state on, and note that this was asked."""
        answer = self._asked[state, messages] = self._prospect(state, messages)
        if self._before.pop((state, messages), answer) != answer:
            self.changed = True
        return answer

    def _prospect(self, state: int, messages: int) -> Prospect:
        """Return what an actor may do from a state on that may receive some messages, by the steps known."""
        steps, receiver = self.table.steps, self.table.receiver
        sends, receivers, spawned = 0, dict[int, None](), dict[Spawned, None]()
        reached = [state]
        known = {state}
        for origin in reached:
            for message, step in steps[origin].items():
                if not messages >> message & 1 or step.failure is not None:
                    continue
                if self.racy and step.alarm >= 0 and not messages >> step.alarm & 1:
                    return self._prospect(state, messages | 1 << step.alarm)
                for sent in step.sends:
                    sends |= 1 << sent
                    receivers[receiver[sent]] = None
                spawned |= dict.fromkeys(step.spawned)
                if step.state not in known:
                    known.add(step.state)
                    reached.append(step.state)
        return Prospect(sends, tuple(receivers), tuple(spawned))

    def _learn_senders(self) -> None:
        """Go through all steps known for who sends to whom."""
        table, before = self.table, self._senders
        senders = self._senders = [0] * len(table.addresses)
        sent = [(WORLD_ACTOR, table.told), *((created.actor, created.sends) for created in table.first)]
        for steps in table.steps:
            for message, step in steps.items():
                sent.append((table.receiver[message], step.sends))
                sent += [(created.actor, created.sends) for created in step.spawned]
                if step.alarm >= 0:
                    sent.append((ALARM_ACTOR, (step.alarm,)))
        for sender, messages in sent:
            for message in messages:
                senders[table.receiver[message]] |= 1 << sender
        if any(self._relied >> receiver & 1 and senders[receiver] != known for receiver, known in enumerate(before)):
            self.changed = True

    def _learn_messages(self) -> None:
        self._inbox += [0] * (len(self.table.addresses) - len(self._inbox))
        for message in range(self._messages, len(self.table.envelopes)):
            self._inbox[self.table.receiver[message]] |= 1 << message
        self._messages = len(self.table.envelopes)
