"""A forked child has resource limits of its own [getrlimit(2)]."""

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner import api
from longpin.runner.exploration import table
from longpin.runner.result import Verdict

SCENARIO = """\
name = "limits"
policy = "P0"
[[process]]
name = "parent"
program = '''
fork("child")
open("/", O_PATH)       # -> 3
waitpid(-1)
'''
[[process]]
name = "child"
start = "fork"
program = '''
setrlimit(RLIMIT_NOFILE, 3)
open("/", O_PATH)       # -> EMFILE
'''
"""


def test_every_schedule_has_a_child_that_limits_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "IDLE_ACTORS", 1)  # so that actors are made again from what they were made with
    assert api.explore(parse_scenario(SCENARIO, "limits.toml"), method="states").verdict is Verdict.HOLDS
