"""Names of processes and places that mean the same to every searcher.

A searcher numbers what it meets in the order in which it meets it, so its numbers mean nothing to another one. What
searchers tell each other holds *keys* instead, in values that msgpack keeps as they are: a process of a
:class:`~longpin.runner.exploration.path.Path` is an address, an activation the chain of sends that led to it. A
:class:`Packer` writes each key once and then its index.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from longpin.messages.envelope import Address, Footprint
from longpin.runner.exploration.places import Places, block_of
from longpin.runner.exploration.wakeup import Branch

ProcessKey = Address | tuple[int, ...]
PlaceKey = tuple[Any, ...]
"""The receiver's address, the footprint as sorted tuples or nothing, and the keys of the plain places of the block."""

Vocabulary = tuple[tuple[ProcessKey, ...], tuple[PlaceKey, ...]]
Pair = tuple[int, int]
"""A process and a place, by their index in a vocabulary."""

Tree = tuple[tuple[int, int, Any], ...]
"""Branches: process, place, and the branches below."""


class KeyNames(Protocol):
    """Who numbers processes and places."""

    def key(self, process: int) -> ProcessKey:
        """Return the key of a process."""

    def known(self, key: ProcessKey) -> int:
        """Return the number of a process, a new one if it was not heard of."""

    def place_key(self, place: int) -> PlaceKey:
        """Return the key of a place."""

    def known_place(self, key: PlaceKey) -> int:
        """Return the number of a place, a new one if it was not heard of."""


def place_key(places: Places, place: int, addresses: Sequence[Address]) -> PlaceKey:
    """Return the key of a place; ``addresses`` says what its numbers of actors mean."""
    receiver, footprint, block = places.parts[place]
    touched = None if footprint is None else tuple(tuple(sorted(parts, key=repr)) for parts in footprint)
    sent = tuple(sorted((place_key(places, other, addresses) for other in block), key=repr))
    return addresses[receiver], touched, sent


def known_place(places: Places, key: PlaceKey, actor: Callable[[Address], int]) -> int:
    """Return the number of a place; ``actor`` numbers actors."""
    receiver, touched, sent = key
    plain = places.number(actor(receiver), None if touched is None else Footprint(*map(frozenset, touched)))
    return places.with_block(plain, block_of(known_place(places, other, actor) for other in sent))


class Book:
    """Numbers for a searcher that has no world of its own."""

    def __init__(self) -> None:
        self._places = Places()
        self.conflicts = self._places.conflicts
        """By place: the bit set of the places it conflicts with."""
        self._processes: dict[ProcessKey, int] = {}
        self._keys: list[ProcessKey] = []
        self._actors: dict[Address, int] = {}
        self._addresses: list[Address] = []
        self._known: dict[PlaceKey, int] = {}

    def key(self, process: int) -> ProcessKey:
        """Return the key of a process."""
        return self._keys[process]

    def known(self, key: ProcessKey) -> int:
        """Return the number of a process, a new one if it was not heard of."""
        if (number := self._processes.setdefault(key, len(self._keys))) == len(self._keys):
            self._keys.append(key)
        return number

    def place_key(self, place: int) -> PlaceKey:
        """Return the key of a place."""
        return place_key(self._places, place, self._addresses)

    def known_place(self, key: PlaceKey) -> int:
        """Return the number of a place, a new one if it was not heard of."""
        if (place := self._known.get(key)) is None:
            place = self._known[key] = known_place(self._places, key, self._actor)
        return place

    def plain(self, place: int) -> int:
        """Return the plain place of a place."""
        return self._places.plain[place]

    def _actor(self, address: Address) -> int:
        if (number := self._actors.setdefault(address, len(self._addresses))) == len(self._addresses):
            self._addresses.append(address)
        return number


class Packer:
    """Replaces numbers by indices into a vocabulary that it collects."""

    def __init__(self, names: KeyNames) -> None:
        self._names = names
        self._processes: dict[int, int] = {}
        self._places: dict[int, int] = {}

    def process(self, number: int) -> int:
        """Return the index of a process."""
        return self._processes.setdefault(number, len(self._processes))

    def place(self, number: int) -> int:
        """Return the index of a place."""
        return self._places.setdefault(number, len(self._places))

    def pairs(self, pairs: Iterable[Pair]) -> tuple[Pair, ...]:
        """Return processes and places by their indices."""
        return tuple((self.process(process), self.place(place)) for process, place in pairs)

    def tree(self, branches: Sequence[Any]) -> Tree:
        """Return branches by their indices; what is beyond a leaf is nobody else's affair."""
        return tuple(
            (self.process(branch.process), self.place(branch.place), () if branch.leaf else self.tree(branch.branches))
            for branch in branches
        )

    def vocabulary(self) -> Vocabulary:
        """Return the keys."""
        return tuple(map(self._names.key, self._processes)), tuple(map(self._names.place_key, self._places))


class Unpacker:
    """Replaces indices by numbers again."""

    def __init__(self, names: KeyNames, vocabulary: Vocabulary) -> None:
        self.processes = [names.known(key) for key in vocabulary[0]]
        self.places = [names.known_place(key) for key in vocabulary[1]]

    def pairs(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Return processes and places by their numbers."""
        return [(self.processes[process], self.places[place]) for process, place in pairs]

    def tree(self, tree: Tree) -> list[Branch]:
        """Return branches by their numbers."""
        return [Branch(self.processes[p], self.places[q], self.tree(below)) for p, q, below in tree]
