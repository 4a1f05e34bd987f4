"""Searches that prune: what one of them leaves out must be found elsewhere."""

import pytest
from model import random_footprints
from model.test_parallel import Ends, explored_by_leaves

from longpin.runner.exploration import Exploration, Method, Reason
from longpin.runner.exploration.budget import Budget
from longpin.runner.exploration.dpor import Dpor


def ends(seed: int, *, footprints: bool) -> set[object]:
    """Return what a random program comes to in all its schedules."""
    explorer = Ends(random_footprints.program(seed), footprints=footprints)
    path, result = explorer.new_path(), Exploration(Method.DPOR)
    search = Dpor(path, lambda: explorer.judge_path(path, result), result, Budget())
    assert search.run() is Reason.COMPLETE
    assert result.blocked == 0
    return explorer.ends()


def test_a_race_that_a_sleeper_covers_in_one_schedule_is_reversed_in_another() -> None:
    """The sleeper does not occur in the wakeup sequence; in a later schedule something comes before it."""
    wanted = ends(22164, footprints=False)
    assert len(wanted) == 13
    assert ends(22164, footprints=True) == wanted


@pytest.mark.parametrize("leaf", [1, 2, 5])
def test_leaves_reverse_it_too(leaf: int) -> None:
    explorer = Ends(random_footprints.program(22164))
    explored_by_leaves(explorer, leaf)
    assert explorer.ends() == ends(22164, footprints=False)
