"""Interchangeable actors: worlds that differ only in who is who are one state.

A permutation of actors that leaves every step what it is (an automorphism) leaves every schedule what it is, so of the
states that it takes to one another one is enough (C. N. Ip, D. L. Dill, "Better verification through symmetry", Formal
Methods in System Design 9, 1996).

Nobody says what a permutation makes of a state or a message: addresses and numbers are anywhere in them. It follows
from where they come from. The image of an actor's first state is the first state of its image; the image of what a step
leads to, sends and creates is what the image of the step leads to, sends and creates. So the images of two
interchangeable processes' states are known as soon as both have done the same thing, and that a permutation is no
automorphism shows when two steps that must be images of one another differ: one fails, sends something else, sends to
somebody else, or in another order. Then :class:`AsymmetryError` says so, and who asked searches again without. A rule
that names one of the actors is one such difference; rules about worlds at rest are asked of every image.

The world starts actors in one order, which is no automorphism. So an interchangeable actor has its first message in
its own outbox, as if it were started at any time. Nothing is lost by that, and nothing won as long as nobody but the
world sends to an actor that has not begun: then it may as well have been started before. If somebody does, that is an
asymmetry, too.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, permutations, product

from longpin.messages.envelope import Address
from longpin.runner.exploration.nodes import ABSENT, Global, Nodes
from longpin.runner.exploration.table import ALARM_ACTOR, WORLD_ACTOR, ComputedStep, Table

MEMBERS_AT_MOST = 5
"""Members of a group that are interchanged; every permutation of them is tried, and 120 are enough."""


class AsymmetryError(Exception):
    """Two actors cannot be interchanged, and by what that shows."""


class _Swap:
    """One permutation, of two actors, and what it makes of everything they do: its own inverse."""

    def __init__(self, table: Table, one: int, other: int) -> None:
        self.table = table
        self.actors: dict[int, int] = {WORLD_ACTOR: WORLD_ACTOR, ALARM_ACTOR: ALARM_ACTOR}
        self.states: dict[int, int] = {}
        self.messages: dict[int, int] = {}
        first = {created.actor: created for created in table.first}
        for actor, created in first.items():
            image = first[{one: other, other: one}.get(actor, actor)]
            _pair(self.actors, actor, image.actor, "actors")
            self._sent(created.sends, image.sends)
            _pair(self.states, created.state, image.state, "states")
        for message in table.told:
            image_of = self.actors[table.receiver[message]]
            (sent,) = (told for told in table.told if table.receiver[told] == image_of)
            _pair(self.messages, message, sent, "messages")

    def learn(self, step: ComputedStep, image: ComputedStep) -> None:
        """Take note of what two steps led to that are images of one another."""
        if type(step.failure) is not type(image.failure) or len(step.spawned) != len(image.spawned):
            raise AsymmetryError(f"{step.failure or image.failure or 'somebody is created'}, but only of one of them")
        _pair(self.states, step.state, image.state, "states")
        for created, other in zip(step.spawned, image.spawned, strict=True):
            _pair(self.actors, created.actor, other.actor, "actors")
            _pair(self.states, created.state, other.state, "states")
            self._sent(created.sends, other.sends)
        self._sent(step.sends, image.sends)
        if min(step.alarm, image.alarm) >= 0:
            self._sent((step.alarm,), (image.alarm,))
        elif step.alarm != image.alarm:
            raise AsymmetryError("one sets the alarm, and the other does not")

    def _sent(self, messages: Sequence[int], images: Sequence[int]) -> None:
        if len(messages) != len(images):
            raise AsymmetryError("one sends more than the other")
        receiver = self.table.receiver
        for message, image in zip(messages, images, strict=True):
            _pair(self.actors, receiver[message], receiver[image], "actors")
            _pair(self.messages, message, image, "messages")


def _pair(images: dict[int, int], one: int, other: int, what: str) -> None:
    """Make two things images of one another."""
    if images.setdefault(one, other) != other or images.setdefault(other, one) != one:
        raise AsymmetryError(f"two {what} would have one image")


class Permutation:
    """One permutation of the whole group, by the swaps it is made of."""

    def __init__(self, swaps: tuple[_Swap, ...]) -> None:
        self.swaps = swaps

    def actor(self, actor: int) -> int:
        """Return the image of an actor."""
        for swap in self.swaps:
            actor = swap.actors[actor]
        return actor

    def state(self, state: int) -> int:
        """Return the image of an actor's state."""
        for swap in self.swaps:
            state = swap.states[state]
        return state

    def message(self, message: int) -> int:
        """Return the image of a message."""
        for swap in self.swaps:
            message = swap.messages[message]
        return message


class Symmetry:
    """The permutations of a world's interchangeable actors.

    Raises:
        AsymmetryError: they begin in ways that differ.

    """

    def __init__(self, table: Table, groups: Iterable[Sequence[Address]]) -> None:
        self.table = table
        told = {table.receiver[message]: message for message in table.told}
        if len(told) != len(table.told):
            raise AsymmetryError("the world tells somebody more than one thing")
        first = {created.actor: created for created in table.first}
        self.groups = [[table.actors[address] for address in group[:MEMBERS_AT_MOST]] for group in groups]
        self.starts: dict[int, int] = {}
        """The first message of each interchangeable actor."""
        self._begin: dict[int, int] = {}
        """The same by its first state."""
        for actor in (actor for group in self.groups for actor in group):
            if actor not in told or first[actor].sends:
                raise AsymmetryError(f"{table.addresses[actor]} does not wait to be started")
            self.starts[actor] = told[actor]
            self._begin[first[actor].state] = told[actor]
        self.swaps = [_Swap(table, one, other) for group in self.groups for one, other in pairwise(group)]
        self.every = list(self._permutations())
        """All permutations, the one that changes nothing first."""
        self._learned: set[tuple[int, int]] = set()

    def _permutations(self) -> Iterator[Permutation]:
        """Go through all permutations, each made of swaps of neighbours, as bubble sort makes it."""
        swaps = iter(self.swaps)
        neighbours = [[next(swaps) for _ in pairwise(group)] for group in self.groups]
        for orders in product(*(permutations(range(len(group))) for group in self.groups)):
            used: list[_Swap] = []
            for order, mine in zip(map(list, orders), neighbours, strict=True):
                for end in range(len(order) - 1, 0, -1):
                    for place in range(end):
                        if order[place] > order[place + 1]:
                            order[place], order[place + 1] = order[place + 1], order[place]
                            used.append(mine[place])
            yield Permutation(tuple(used))

    def learn(self, state: int, message: int, step: ComputedStep) -> None:
        """Take note of a step that was taken, and work out its images.

        Raises:
            AsymmetryError: it has none.

        """
        left = [(state, message, step)]
        while left:
            state, message, step = left.pop()
            if (state, message) in self._learned:
                continue
            self._learned.add((state, message))
            if self._begin.get(state, message) != message:
                raise AsymmetryError("somebody sends to an actor that has not begun")
            for swap in self.swaps:
                image = swap.states[state], swap.messages[message]
                other = self.table.step(*image)
                swap.learn(step, other)
                if image not in self._learned:
                    left.append((*image, other))

    def knows(self, state: int, message: int) -> bool:
        """Return whether a state and a message have images: the table may have others, of searches before."""
        return all(state in swap.states and message in swap.messages for swap in self.swaps)

    def marks(self, state: int, message: int) -> frozenset[str]:
        """Return what is to be seen in a step that was learned or in one of its images, which other schedules take."""
        images = ((permutation.state(state), permutation.message(message)) for permutation in self.every)
        return frozenset().union(*(self.table.step(*image).marks for image in images))

    def decisions(self, actors: Iterable[int]) -> Iterator[int]:
        """Tell who is let go from who is where interchangeable actors start themselves: the world starts them.

        Those that it starts before are started then, too.
        """
        place = {message: number for number, message in enumerate(self.table.told)}
        waiting = dict(self.starts)
        others = iter([place[message] for message in self.table.told if message not in waiting.values()])
        done = 0
        for actor in actors:
            if actor != WORLD_ACTOR and actor not in waiting:
                yield actor
                continue
            upto = place[waiting.pop(actor)] if actor in waiting else next(others)
            for _ in range(done, upto + 1):
                yield WORLD_ACTOR
            done = max(done, upto + 1)


class Representatives:
    """Of the states that permutations take to one another, finds one."""

    def __init__(self, symmetry: Symmetry, nodes: Nodes) -> None:
        self.symmetry = symmetry
        self.nodes = nodes
        self.images: list[dict[int, int]] = [{ABSENT: ABSENT} for _ in symmetry.every]
        """By permutation: the image of each node."""
        self.actors: list[dict[int, int]] = [{} for _ in symmetry.every]
        """By permutation: the image of each actor that was met; the table may have heard of others in a pilot run."""
        self._colours: dict[int, int] = {}
        """The least image of each node of an interchangeable actor."""
        self._sorting: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        """The permutations that sort the actors of each group, by the ranks of their nodes."""
        members = [actor for group in symmetry.groups for actor in group]
        self._members = [tuple(map(permutation.actor, members)) for permutation in symmetry.every]
        """By permutation: the images of the interchangeable actors; the first are the actors themselves."""
        self._numbers = {images: number for number, images in enumerate(self._members)}

    def start(self) -> Global:
        """Return the state in which interchangeable actors have their first messages themselves."""
        table, number = self.symmetry.table, self.nodes.number
        starts = self.symmetry.starts
        state: list[int] = [ABSENT] * len(table.addresses)
        state[WORLD_ACTOR] = number(-1, tuple(message for message in table.told if message not in starts.values()))
        for created in table.first:
            own = starts.get(created.actor)
            state[created.actor] = number(created.state, created.sends if own is None else (own,))
        return tuple(state)

    def find(self, state: Global) -> tuple[Global, int]:
        """Return the representative of a state, and the number of the permutation that takes the state there."""
        ranks = []
        for group in self.symmetry.groups:
            colours = [self._colour(state[actor]) for actor in group]
            order = sorted(set(colours))
            ranks.append(tuple(order.index(colour) for colour in colours))
        key = tuple(ranks)
        candidates = self._sorting.get(key) or self._sort(key)
        if len(candidates) == 1:
            chosen = candidates[0]
            return (self.image(chosen, state) if chosen else state), chosen
        return min((self.image(candidate, state), candidate) for candidate in candidates)

    def image(self, number: int, state: Global) -> Global:
        """Return the image of a state under a permutation."""
        actors, images = self.actors[number], self.images[number]
        image = [ABSENT] * len(self.symmetry.table.addresses)
        for actor, node in enumerate(state):
            if node:
                if actor == ALARM_ACTOR:
                    image[actor] = self.symmetry.every[number].message(node - 1) + 1
                else:
                    if actor not in actors:
                        actors[actor] = self.actor(number, actor)
                    image[actors[actor]] = images[node] if node in images else self._image(number, node)
        return tuple(image)

    def actor(self, number: int, actor: int) -> int:
        """Return the image of an actor that exists under a permutation."""
        return self.symmetry.every[number].actor(actor)

    def undo(self, way: Sequence[int], permutation: int) -> tuple[list[int], int]:
        """Return who was let go on a way, whose permutations are undone, and the one by which its end is named.

        Args:
            way: actors, and permutations as negative numbers where a state gave way to its image.
            permutation: by which the beginning is named.

        """
        actors = []
        for entry in way:
            if entry < 0:
                permutation = self._compose(permutation, self._inverse(-entry))
            else:
                actors.append(self.actor(permutation, entry))
        return actors, permutation

    def _compose(self, then: int, first: int) -> int:
        """Return the number of the permutation that is one after another."""
        outer = dict(zip(self._members[0], self._members[then], strict=True))
        return self._numbers[tuple(outer[actor] for actor in self._members[first])]

    def _inverse(self, number: int) -> int:
        """Return the number of the permutation that undoes one."""
        back = dict(zip(self._members[number], self._members[0], strict=True))
        return self._numbers[tuple(back[actor] for actor in self._members[0])]

    def _image(self, number: int, node: int) -> int:
        nodes, permutation = self.nodes, self.symmetry.every[number]
        state, outbox = nodes.state[node], nodes.outbox[node]
        image = nodes.number(permutation.state(state) if state >= 0 else state, tuple(map(permutation.message, outbox)))
        self.images[number][node] = image
        return image

    def _colour(self, node: int) -> int:
        if (known := self._colours.get(node)) is None:
            known = min(self._image(number, node) for number in range(len(self.images)))
            self._colours[node] = known
        return known

    def _sort(self, ranks: tuple[tuple[int, ...], ...]) -> list[int]:
        """Return the permutations that bring actors of such ranks in order."""
        flat = dict(zip(self._members[0], (rank for group in ranks for rank in group), strict=True))
        found = []
        for number, images in enumerate(self._members):
            moved = {image: flat[actor] for actor, image in zip(self._members[0], images, strict=True)}
            if all(moved[one] <= moved[other] for group in self.symmetry.groups for one, other in pairwise(group)):
                found.append(number)
        self._sorting[ranks] = found
        return found
