"""Sleepers on leases miss no wake-up, whatever the order of messages."""

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner.result import Verdict
from longpin.runner.run import Settings, run

TWO_LEASES_EXPIRE = """
name = "two-leases-expire"
[[file]]
path = "/pmem/data"
size = "PAGE"
[[process]]
name = "first"
program = '''
sigaction(SIGIO, SIG_IGN)
fd = open("/pmem/data", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)       # -> 0
label("first")
wait_for("written")
'''
[[process]]
name = "second"
program = '''
sigaction(SIGIO, SIG_IGN)
fd = open("/pmem/data", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)       # -> 0
label("second")
wait_for("written")
'''
[[process]]
name = "writer"
program = '''
wait_for("first")
wait_for("second")
open("/pmem/data", O_WRONLY)         # -> blocks, ok
label("written")
'''
"""


@pytest.mark.parametrize("seed", range(150))
def test_two_leases_that_expire_together(seed: int) -> None:
    """The second one becomes overdue while the waiter removes the first: it must not go back to sleep."""
    scenario = parse_scenario(TWO_LEASES_EXPIRE, "two-leases-expire")
    result = run(scenario, Settings.of(scenario, oracle="random", seed=seed))
    assert result.verdict is Verdict.HOLDS, (result.reason, result.violations)
