"""Explore one leaf of a frontier: what a worker does."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from longpin.runner.exploration.budget import Budget, EndlessError, memory_used
from longpin.runner.exploration.dpor import Dpor, Point
from longpin.runner.exploration.explorer import Explorer
from longpin.runner.exploration.frontier import LeafReport, LeafTask
from longpin.runner.exploration.keys import Packer, Unpacker
from longpin.runner.exploration.result import Exploration, Method, Reason
from longpin.runner.exploration.wakeup import Branch


def explore_leaf(explorer: Explorer, task: LeafTask, budget: Budget, result: Exploration) -> LeafReport | None:
    """Explore from a leaf until nothing is left or what is allowed is spent.

    ``result`` grows meanwhile. None: it ended for another reason, and what was found is not the whole.

    Raises:
        InternalError, FootprintError: as ``explore``.

    """
    explorer.forget()
    path = explorer.new_path()
    unpacker = Unpacker(path, task.vocabulary)
    points = []
    for sleep, (process, place) in zip(task.sleep, unpacker.pairs(task.prefix), strict=True):
        points.append(Point(dict(unpacker.pairs(sleep)), [Branch(process, place, [])]))
        path.push(process)
    for sleep, tree in task.stack:
        if len(points) > len(task.prefix):
            path.push(points[-1].branches[0].process)
        points.append(Point(dict(unpacker.pairs(sleep)), unpacker.tree(tree)))
    dpor = Dpor(path, lambda: explorer.judge_path(path, result), result, budget, points, len(task.prefix))
    try:
        result.reason = dpor.run()
    except EndlessError:
        result.reason = Reason.ENDLESS
    if result.reason not in (Reason.COMPLETE, Reason.EXECUTIONS, Reason.VIOLATED, Reason.ENDLESS):
        return None
    return _report(explorer, path, dpor, result)


def _report(explorer: Explorer, path: Any, dpor: Dpor, result: Exploration) -> LeafReport:
    packer, guess = Packer(path), dpor.guess()
    stack = []
    if result.reason is Reason.EXECUTIONS and dpor.back():
        for point in dpor.points[dpor.root :]:
            stack.append((packer.pairs(point.sleep.items()), _tree(packer, point, last=point is dpor.points[-1])))
    outside = tuple(
        (
            told.depth,
            tuple(map(packer.process, told.processes)),
            tuple(map(packer.place, told.places)),
            tuple(clock.to_bytes(clock.bit_length() // 8 + 1, "little") for clock in told.clocks),
        )
        for told in dpor.outside.values()
    )
    failure = result.failures[0] if result.failures else None
    return LeafReport(
        result.executions,
        result.blocked,
        result.events,
        result.impossible,
        result.untold,
        explorer.inconclusive,
        result.reason is Reason.ENDLESS,
        guess,
        None if failure is None else (*failure.broken, failure.decisions),
        outside,
        tuple(stack),
        packer.vocabulary(),
        tuple(sorted(explorer.marks)),
        tuple(sorted(explorer.witnesses.items())),
    )


def _tree(packer: Packer, point: Point, *, last: bool) -> tuple[Any, ...]:
    """Return the branches of a point; what is below the one that is being followed is told by the points there."""
    if last:
        return packer.tree(point.branches)
    first, *others = point.branches
    return packer.tree([Branch(first.process, first.place, []), *others])


_explorers: dict[bytes, Explorer] = {}
"""The explorer of an exploration, with what it looked up: one at most."""


@contextmanager
def lent(setup: bytes, explorer: Explorer) -> Iterator[None]:
    """Let processes that start as copies of this one begin with what an explorer has looked up."""
    _keep(setup, explorer)
    try:
        yield
    finally:
        _explorers.clear()


def _keep(setup: bytes, explorer: Explorer) -> None:
    _explorers.clear()
    _explorers[setup] = explorer


def work(setup: bytes, task: LeafTask, memory: int | None = None) -> LeafReport:
    """Explore a leaf in a process of its own, which forgets what it looked up if it has more than ``memory`` bytes.

    Raises:
        InternalError, FootprintError: as ``explore``.

    """
    if memory is not None and memory_used() > memory:
        _explorers.clear()
    if (explorer := _explorers.get(setup)) is None:
        build, options = pickle.loads(setup)  # noqa: S301 - written by the process that started this one
        explorer = Explorer(build, **options)
        _keep(setup, explorer)
    report = explore_leaf(explorer, task, Budget(arrivals=task.arrivals), Exploration(Method.DPOR))
    assert report is not None  # a budget of arrivals is the only one
    return report
