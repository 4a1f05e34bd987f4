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

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from longpin.runner.exploration.commuting import Commuting
from longpin.runner.exploration.nodes import ABSENT, Global, Nodes
from longpin.runner.exploration.senders import Senders
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

    def __init__(self, table: Table, nodes: Nodes, commuting: Commuting, *, racy: bool) -> None:
        self.table = table
        self.nodes = nodes
        self.commuting = commuting
        self.racy = racy
        self.senders = Senders(table, nodes)
        self._changed = False
        self._inbox: list[int] = []
        """By receiver: the bit set of all messages to it."""
        self._messages = 0
        self._learned = (0, 0)
        """Of how many steps and actors that is known."""
        self._asked: dict[tuple[int, int], Prospect] = {}
        """By an actor's state and the messages it may receive there."""
        self._worked_out: list[dict[tuple[int, int], Prospect]] = []
        """The same by actor, as far as they follow from all steps of it that are known."""
        self._chosen: dict[Global, list[int]] = {}
        """The last choices: chains often run together."""
        self._before: dict[tuple[int, int], Prospect] = {}
        """Answers given in this pass when less was known, that were not asked for since."""
        self._known = 0
        """How many steps the table had when the answers were last thrown away."""

    def begin(self) -> None:
        """Begin a pass, with what is known now."""
        self._changed = False
        self._asked.clear()
        self._before.clear()
        self._chosen.clear()
        self._known = self.table.computed
        self.senders.begin()
        self.commuting.begin()

    @property
    def changed(self) -> bool:
        """Whether an answer that was given in this pass is another one now."""
        return self._changed or self.senders.changed

    def proved(self) -> bool:
        """Return whether every answer of this pass would be given again."""
        known = -1
        while not self.changed and known < self.table.computed:  # to find that out may take steps that are new
            known = self.table.computed
            self._learn()
            for answers in (self._asked, self._before):
                if any(self._prospect(*question) != answer for question, answer in answers.items()):
                    self._changed = True
            if not self.commuting.proved():
                self._changed = True
            self.senders.prove()
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
            self.senders.refresh()
        self._learn()
        nodes, receiver = self.nodes, self.table.receiver
        arrivals: dict[int, list[int]] = {}
        under_way: list[Sender] = []
        for process in processes:
            if process == ALARM_ACTOR:
                tick = state[ALARM_ACTOR] - 1
                to = receiver[tick]
                under_way.append((process, to, 1 << tick, (to,)))
            else:
                node = state[process]
                to = receiver[nodes.head[node]]
                under_way.append((process, to, nodes.messages[node], nodes.receivers[node]))
            arrivals.setdefault(to, []).append(process)
        if len(arrivals) > 1:
            for process, to, _, _ in under_way:
                if len(arrivals[to]) == 1 and self._is_alone(process, to, state, under_way):
                    return [process]
        for sender in under_way:
            if sender[0] != ALARM_ACTOR and self._commutes(sender, state, under_way):
                return [sender[0]]
        for to in sorted(arrivals, key=lambda to: len(arrivals[to])) if len(arrivals) > 1 else ():
            if self._nothing_else_gets_to(to, state, under_way):
                return arrivals[to]
        return processes

    def _is_alone(self, process: int, to: int, state: Global, senders: list[Sender]) -> bool:
        """Return whether it is easy to tell that nobody else gets to a receiver before a sender."""
        if self.senders.only(process, to, state[WORLD_ACTOR]):
            return True
        busy = self._busy(state, (other for other, _, _, _ in senders if other != process))
        return self.senders.leave_alone(to, state, busy, 1 << process)

    def _busy(self, state: Global, senders: Iterable[int]) -> int:
        """Return the bit set of the actors to which somebody has something under way."""
        busy = 0
        for sender in senders:
            if sender == ALARM_ACTOR:
                busy |= 1 << self.table.receiver[state[ALARM_ACTOR] - 1]
            else:
                busy |= self.nodes.busy[state[sender]]
        return busy

    def _commutes(self, sender: Sender, state: Global, senders: list[Sender]) -> bool:
        """Return whether the oldest message of a sender commutes with all that can get to its receiver before it."""
        process, to, _, _ = sender
        nodes = self.nodes
        if self.racy and self.table.addresses[to] == self.table.alarm_owner:  # time may come to it, unsent
            return False
        message, local = nodes.head[state[process]], nodes.state[state[to]]
        heads = sum(1 << nodes.head[state[other]] for other, its, _, _ in senders if its == to and other > ALARM_ACTOR)
        if self.commuting.quarrels(local, message, heads):
            return False
        step = self.commuting.step(local, message)
        self._learn()
        if step.failure is not None:
            return False
        return self._tells_nobody(step.sends, to, state, senders) and self._commutes_with_all(
            sender, state, senders, message, local
        )

    def _commutes_with_all(
        self, sender: Sender, state: Global, senders: list[Sender], message: int, local: int
    ) -> bool:
        process, to, _, _ = sender
        with suppress(LookupError):
            others = self.senders.may_ever_get(to, state, process) & self._inbox[to]
            if self.commuting.knows(local, message, others):
                return True
        under_way, to_look_at = 0, list[int]()
        for other, _, messages, receivers in senders:
            if other != process:
                under_way |= messages
                to_look_at += receivers
        others = self._spread(state, under_way, to_look_at, stopped=1 << process) & self._inbox[to]
        commutes = self.commuting.ask(local, message, others)
        self._learn()
        return commutes

    def _tells_nobody(self, sends: tuple[int, ...], sender: int, state: Global, senders: list[Sender]) -> bool:
        """Return whether nothing else can get to the receivers of some messages that ``sender`` sends, for now."""
        table = self.table
        told: dict[int, int] = {}
        for message in sends:
            if table.envelopes[message].call == 0:  # may be sent twice
                return False
            told[table.receiver[message]] = told.get(table.receiver[message], 0) | 1 << message
        if sender in told:
            return False
        busy = self._busy(state, (other for other, _, _, _ in senders))
        under_way, to_look_at = 0, list[int]()
        for _, _, messages, receivers in senders:
            under_way |= messages
            to_look_at += receivers
        for who, messages in told.items():
            answer = -table.envelopes[messages.bit_length() - 1].call
            if self.senders.leave_alone(who, state, busy, 0, answer):
                continue
            awaited = self._inbox[who] & ~messages
            if self._spread(state, under_way, to_look_at, still=1 << who, awaited=awaited) & awaited:
                return False
        return True

    def _nothing_else_gets_to(self, receiver: int, state: Global, senders: list[Sender]) -> bool:
        """Return whether no message can get to a receiver before one of those that can arrive there now."""
        under_way, stopped, to_look_at = 0, 0, list[int]()
        for process, to, messages, receivers in senders:
            if to == receiver:
                stopped |= 1 << process
            else:
                under_way |= messages
                to_look_at += receivers
        awaited = self._inbox[receiver]
        return not self._spread(state, under_way, to_look_at, stopped=stopped, awaited=awaited) & awaited

    def _spread(
        self, state: Global, under_way: int, receivers: list[int], *, stopped: int = 0, still: int = 0, awaited: int = 0
    ) -> int:
        """Return what may be under way at some time, if some messages are and may be received in any order and number.

        Args:
            under_way: the bit set of these messages.
            receivers: who they are for.
            stopped: the bit set of actors that send nothing.
            still: the bit set of actors that receive nothing.
            awaited: messages of which one is enough to know.

        """
        inbox, local = self._inbox, self.nodes.state
        to_look_at, futures = list(receivers), self.senders.futures
        looked: dict[int, int] = {}
        children: dict[int, list[int]] = {}
        while to_look_at and not under_way & awaited:
            actor = to_look_at.pop()
            messages = under_way & inbox[actor]
            if looked.get(actor) == messages or still >> actor & 1:
                continue
            looked[actor] = messages
            node = state[actor] if actor < len(state) else ABSENT
            for origin in (local[node],) if node else tuple(children.get(actor, ())):
                received = messages & (futures.get(origin) or self.senders.future(origin))[1]
                prospect = self._asked.get((origin, received)) or self._ask(origin, received)
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
        return under_way

    def _ask(self, state: int, messages: int) -> Prospect:
        """Return what an actor may do from a state on, and note that this was asked."""
        answer = self._asked[state, messages] = self._prospect(state, messages)
        if self._before.pop((state, messages), answer) != answer:
            self._changed = True
        return answer

    def _prospect(self, state: int, messages: int) -> Prospect:
        """Return what an actor may do from a state on that may receive some messages, by the steps known."""
        known = self._worked_out[self.table.owner[state]]
        if (answer := known.get((state, messages))) is None:
            answer = known[state, messages] = self._work_out(state, messages)
        return answer

    def _work_out(self, state: int, messages: int) -> Prospect:
        steps, receiver = self.table.steps, self.table.receiver
        sends, receivers, spawned = 0, dict[int, None](), dict[Spawned, None]()
        reached = [state]
        known = {state}
        for origin in reached:
            for message, step in steps[origin].items():
                if not messages >> message & 1 or step.failure is not None:
                    continue
                if self.racy and step.alarm >= 0 and not messages >> step.alarm & 1:
                    return self._work_out(state, messages | 1 << step.alarm)
                for sent in step.sends:
                    sends |= 1 << sent
                    receivers[receiver[sent]] = None
                if step.spawned:
                    spawned |= dict.fromkeys(step.spawned)
                if step.state not in known:
                    known.add(step.state)
                    reached.append(step.state)
        return Prospect(sends, tuple(receivers), tuple(spawned))

    def _learn(self) -> None:
        """Take note of what was computed."""
        if self._learned == (noted := (len(self.table.log), len(self.table.addresses))):
            return
        for state, _, _ in self.table.log[self._learned[0] :]:
            if (actor := self.table.owner[state]) < len(self._worked_out):
                self._worked_out[actor].clear()
        self._worked_out += [{} for _ in range(len(self.table.addresses) - len(self._worked_out))]
        self._learned = noted
        self.senders.learn()
        self._inbox += [0] * (len(self.table.addresses) - len(self._inbox))
        for message in range(self._messages, len(self.table.envelopes)):
            self._inbox[self.table.receiver[message]] |= 1 << message
        self._messages = len(self.table.envelopes)
