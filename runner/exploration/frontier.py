"""The points of an exploration that several searchers share, and what is left to explore there.

Optimal DPOR (``dpor.py``) explores the leaves of wakeup trees one after the other. It need not.
A wakeup sequence ends where everybody has woken who was asleep when it was planned, so beyond a *leaf* nobody sleeps,
and who explores from there needs to know nothing of the others. What such a search finds out about points *before* its
leaf are wakeup sequences, to be put into the trees there if no equivalent schedule has a branch: as the search would do
itself. Leaves can be explored in any order, in any process, and each trace still belongs to exactly one.

1. Leaf 0 is the whole exploration. A leaf is handed out as a :class:`LeafTask`: the prefix that leads there, and the
   sleep sets of the points on the way, against which a search checks the sequences it finds.
2. A search gives up after a number of arrivals (:class:`Grain`). Its :class:`LeafReport` holds the stack of points it
   stood on: sleep sets, and branches not taken. The first of them become points here, and the leaves of the branches
   there, which are the large ones, new leaves. The rest of the stack stays together as one more: a search goes on
   there. Nothing is explored twice.
3. Reports are applied in the order of the leaves' numbers. What a search finds depends on its task alone, and a
   sequence that a task did not know to be planned is recognised here. So leaves, their numbers, and all totals are the
   same for one searcher and for many.

The order in which branches entered a point decides who sleeps below whom: below a branch sleep those before it. So a
branch stays there when it is done, only what was below it is forgotten.

Deviation from L. Lång and K. Sagonas, "Parallel Graph-Based Stateless Model Checking", ATVA 2020, who share the trees
of all points between workers: here only leaves travel, with a budget each, and applying in order makes it repeatable.
"""

from itertools import pairwise
from typing import NamedTuple

from longpin.runner.exploration.keys import Book, Packer, Pair, Tree, Unpacker, Vocabulary
from longpin.runner.exploration.wakeup import Branch, Sequence

GIVEN = 4
"""Leaves that a search gives away at least, if it has them, before what is left stays together."""


ENOUGH = 32
"""With fewer leaves left, those that are new are cut sooner: whoever has nothing to do then waits less long."""

SOONER = 8


class Grain(NamedTuple):
    """How large leaves are. Work is counted and not timed, so that they are the same wherever they are explored."""

    arrivals: int = 60_000
    """A search that has not come to the end of its leaf by then gives back what is left of it: some 2 s of one core."""
    schedules: int = 10
    """So many schedules as long as the way to the leaf are explored even so: that way is gone for each leaf again."""


class LeafTask(NamedTuple):
    """A leaf to explore, in the words of its vocabulary."""

    prefix: tuple[Pair, ...]
    """The events that lead to the leaf."""
    sleep: tuple[tuple[Pair, ...], ...]
    """For each point before the leaf: who sleeps there.

    What is planned there besides is not told: to filter what is found by it would take longer than to do so here.
    """
    stack: tuple[tuple[tuple[Pair, ...], Tree], ...]
    """For the leaf and each point after it: who sleeps, and the branches, as in a report."""
    vocabulary: Vocabulary
    arrivals: int
    """After how many of them to give back what is left."""


class LeafReport(NamedTuple):
    """What came of a leaf, in values that msgpack keeps as they are."""

    executions: int
    blocked: int
    events: int
    impossible: int
    untold: int
    inconclusive: str
    endless: bool
    guess: float
    """How many executions there are below the leaf, from the branches found so far."""
    failure: tuple[str, str, str, tuple[str, ...]] | None
    """What is wrong, the rule, the site, and the decisions."""
    outside: tuple[tuple[int, tuple[int, ...], tuple[int, ...], tuple[bytes, ...]], ...]
    """Sequences for points before the leaf: the depth of the point, processes, places, and clocks as bytes."""
    stack: tuple[tuple[tuple[Pair, ...], Tree], ...]
    """For the leaf and each point after it, if something is left: who sleeps, and the branches.

    The first branch of each but the last leads to the next point.
    """
    vocabulary: Vocabulary
    marks: tuple[str, ...]
    """What is to be seen in some schedule of the leaf that can really happen, sorted."""
    witnesses: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """For each mark of which a schedule is wanted the decisions of the first that shows it, sorted."""


class TreeNode:
    """A point, and the event that leads there."""

    __slots__ = ("branches", "depth", "leaf", "left", "parent", "place", "process", "sleep")

    def __init__(self, parent: "TreeNode | None", process: int, place: int) -> None:
        self.parent = parent
        self.process = process
        self.place = place
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.sleep: dict[int, int] = {}
        """Who sleeps here already when the first branch is taken."""
        self.branches: list[TreeNode] = []
        self.leaf = False
        """A search that began here or before sees to it that nothing is missing below."""
        self.left = 0
        """How many leaves at or below it are not explored."""

    def path(self) -> "list[TreeNode]":
        """Return the nodes from the start to this one."""
        nodes = [self]
        while (parent := nodes[-1].parent) is not None:
            nodes.append(parent)
        nodes.reverse()
        return nodes


class Leaf(NamedTuple):
    """What is to be explored from a node."""

    node: TreeNode
    stack: list[tuple[list[Pair], list[Branch]]]
    """The points that a search stood on, from the node on; empty: nothing was explored from there."""
    arrivals: int


class _Events:
    """The events of a sequence that was told."""

    def __init__(self, book: Book, processes: list[int], places: list[int], clocks: list[int]) -> None:
        self.conflicts = book.conflicts
        self.process = processes
        self.place = places
        self.clock = clocks


class Frontier:
    """All that is left of one exploration."""

    def __init__(self, grain: Grain | None = None) -> None:
        self.grain = grain or Grain()
        self.book = Book()
        self.leaves: dict[int, Leaf] = {}
        """By number: the leaves that are not explored."""
        self.count = 0
        """How many leaves there have been."""
        self.root = TreeNode(None, -1, -1)
        self._enter(self.root)

    def task(self, number: int) -> LeafTask:
        """Return what a searcher needs to know of a leaf."""
        leaf, stack, arrivals = self.leaves[number]
        packer, path = Packer(self.book), leaf.path()
        sleep = []
        for node, child in pairwise(path):
            position = node.branches.index(child)
            before = [(branch.process, branch.place) for branch in node.branches[:position]]
            sleep.append(packer.pairs([*node.sleep.items(), *before]))
        prefix = packer.pairs((node.process, node.place) for node in path[1:])
        points = [(packer.pairs(asleep), packer.tree(branches)) for asleep, branches in stack]
        points = points or [(packer.pairs(leaf.sleep.items()), ())]
        return LeafTask(prefix, tuple(sleep), tuple(points), packer.vocabulary(), arrivals)

    def apply(self, number: int, report: LeafReport) -> None:
        """Take over what came of a leaf; to be called in the order of the leaves' numbers."""
        leaf = self.leaves.pop(number).node
        unpacker, path = Unpacker(self.book, report.vocabulary), leaf.path()
        for depth, processes, places, clocks in report.outside:
            events = _Events(
                self.book,
                [unpacker.processes[process] for process in processes],
                [unpacker.places[place] for place in places],
                [int.from_bytes(clock, "little") for clock in clocks],
            )
            self._insert(path[depth], path[depth + 1], Sequence(events, list(range(len(processes)))))
        stack = [(unpacker.pairs(sleep), unpacker.tree(tree)) for sleep, tree in report.stack]
        self._unfold(leaf, stack)
        self._finished(leaf)

    def _unfold(self, node: TreeNode, stack: list[tuple[list[Pair], list[Branch]]]) -> None:
        """Let the points of a stack become points here until enough leaves are given away."""
        most = self.count + GIVEN
        for index, (sleep, branches) in enumerate(stack):
            if self.count >= most:
                self._enter(node, stack[index:])
                return
            node.sleep = dict(sleep)
            onward = None
            if index < len(stack) - 1:
                onward = self._child(node, branches[0])
                onward.leaf = True
            for branch in branches if onward is None else branches[1:]:
                self._grow(node, branch)
            node = onward or node

    def _insert(self, node: TreeNode, child: TreeNode, sequence: Sequence) -> None:
        """Plan a sequence that a search below ``child`` found for ``node``, unless it is covered."""
        position = node.branches.index(child)
        asleep = [*node.sleep.items(), *((branch.process, branch.place) for branch in node.branches[:position])]
        if any(sequence.may_begin_with(process, place) for process, place in asleep):
            return
        if (found := sequence.find(node.branches[position + 1 :])) is None:
            return
        last, _ = found
        node = last or node
        chain: list[Branch] = []
        for process, place in zip(reversed(sequence.processes), reversed(sequence.places), strict=True):
            chain = [Branch(process, place, chain)]
        self._grow(node, chain[0])

    def _grow(self, node: TreeNode, branch: Branch) -> None:
        """Add a branch with all below it."""
        child = self._child(node, branch)
        if branch.leaf:
            self._enter(child)
        for below in branch.branches:
            self._grow(child, below)

    def _child(self, node: TreeNode, branch: Branch) -> TreeNode:
        child = TreeNode(node, branch.process, branch.place)
        awake = self.book.conflicts[branch.place]
        asleep = [*node.sleep.items(), *((other.process, other.place) for other in node.branches)]
        child.sleep = {process: place for process, place in asleep if not awake >> place & 1}
        node.branches.append(child)
        return child

    def _enter(self, node: TreeNode, stack: list[tuple[list[Pair], list[Branch]]] | None = None) -> None:
        node.leaf = True
        most, schedules = self.grain
        arrivals = max(
            most // SOONER if len(self.leaves) < ENOUGH else most, schedules * (node.depth + len(stack or []))
        )
        self.leaves[self.count] = Leaf(node, stack or [], arrivals)
        self.count += 1
        for above in node.path():
            above.left += 1

    def _finished(self, leaf: TreeNode) -> None:
        for node in reversed(leaf.path()):
            node.left -= 1
            if not node.left and node.leaf:
                node.branches.clear()
