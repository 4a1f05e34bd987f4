"""What was over before something began: the order that the lines of a log impose on the threads.

A call takes effect after the line on which it begins and before the one on which it has returned. So what began on a
later line than the one on which a step was over takes effect after it, and nothing else is known. Of that only as much
is waited for as does not follow from what was waited for before.

strace prints what stopped processes do one by one. A thread that has stopped on its way into a call may wait there for
its line while others get theirs; a signal that comes meanwhile finds it in the call. Each thread stops once until it is
let go on, and strace takes all that are there before it looks for more: so a thread waits for no more lines than there
are threads, twice. What was over before that was over while the thread was in user space.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from longpin.runner.judge_log.script import Begins, Looks, Moment, Resumes, Step

LEAST_SLACK: Final = 2
"""Lines that a thread may have to wait for its own: enough in most logs, and quicker to search with than all."""


def most_slack(threads: int) -> int:
    """Return for how many lines a thread of so many may have to wait for its own."""
    return 2 * threads


Scripts = Mapping[int, Sequence[Step]]
"""The steps of each thread, over all that it executes."""


def with_order(scripts: Scripts, parents: Mapping[int, tuple[int, int]], slack: int) -> dict[int, list[Step]]:
    """Return the scripts with what each step waits for, and with the steps marked that others wait for.

    Args:
        scripts: by thread.
        parents: for threads that others make, which one does, and its step that does.
        slack: for how many lines a thread may have to wait for its own.

    """
    return _Orderer(scripts, parents, slack).order()


class _Orderer:
    def __init__(self, scripts: Scripts, parents: Mapping[int, tuple[int, int]], slack: int) -> None:
        self._slack = slack
        self._scripts = scripts
        self._parents = parents
        self._over: dict[int, list[tuple[int, int]]] = defaultdict(list)
        """For each thread the steps that are over on lines before this one: line, number."""
        self._knows: dict[int, dict[int, int]] = defaultdict(dict)
        """For each thread, how far it knows the others to be."""
        self._snapshots: dict[Moment, dict[int, int]] = {}
        """What a thread knew when it took a step."""

    def order(self) -> dict[int, list[Step]]:
        early: dict[Moment, tuple[Moment, ...]] = {}
        after: dict[Moment, tuple[Moment, ...]] = {}
        for line, _, number, tid in self._by_line():
            step, own = self._scripts[tid][number], self._knows[tid]
            if number == 0 and tid in self._parents:
                own.update(self._snapshots.get(self._parents[tid], {}))
            if isinstance(step, (Begins, Resumes)):
                early[tid, number] = self._wait(tid, line - self._slack)
                after[tid, number] = self._wait(tid, line)
            own[tid] = number
            self._snapshots[tid, number] = dict(own)
            if not isinstance(step, Begins):
                self._over[tid].append((line, number))
        waited = {moment for waits in (*early.values(), *after.values()) for moment in waits}
        return {
            tid: [
                _marked(step, early.get((tid, n), ()), after.get((tid, n), ()), (tid, n) in waited)
                for n, step in enumerate(steps)
            ]
            for tid, steps in self._scripts.items()
        }

    def _by_line(self) -> list[tuple[int, int, int, int]]:
        """Return the steps in the order of the lines: line, rank of the thread, number, thread."""
        found = []
        for rank, (tid, steps) in enumerate(self._scripts.items()):
            last = 0
            for number, step in enumerate(steps):
                last = max(last, step.line)
                found.append((last, rank, number, tid))
        return sorted(found)

    def _wait(self, tid: int, line: int) -> tuple[Moment, ...]:
        """Return what a thread waits for of what was over before a line, and have it know that."""
        own, reached = self._knows[tid], list[tuple[int, int, int]]()
        for other, over in self._over.items():
            at = bisect_left(over, (line,))
            if other != tid and at:
                reached.append((over[at - 1][0], other, over[at - 1][1]))
        waits = []
        for _, other, number in sorted(reached, reverse=True):
            if own.get(other, -1) < number:
                waits.append((other, number))
                for third, known in self._snapshots[other, number].items():
                    own[third] = max(own.get(third, -1), known)
        return tuple(waits)


def _marked(step: Step, early: tuple[Moment, ...], after: tuple[Moment, ...], told: bool) -> Step:
    if isinstance(step, Begins):
        return replace(step, early=early, after=after)
    if isinstance(step, Resumes):
        return replace(step, early=early, after=after, told=told)
    return step if isinstance(step, Looks) else replace(step, told=told)
