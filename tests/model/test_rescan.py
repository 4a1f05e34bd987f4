"""Whoever changes a layout looks again after every wait, at the file as it is then."""

from longpin.config.loader import parse_scenario
from longpin.runner.run import Settings, run

PINNED_MEANWHILE = """
name = "pinned-meanwhile"
policy = "P1:intended"
[[pmem]]
name = "pmem0"
blocks = 2
[[file]]
path = "/pmem/data"
size = "PAGE"
[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/pmem/data", O_RDWR)
ftruncate(fd, 4 * PAGE)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
label("ready")
sleep(1)
m2  = ibv_reg_mr(pd, buf + 3 * PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)    # -> ok
ibv_dereg_mr(mr)
pause()
'''
[[process]]
name = "truncater"
program = '''
wait_for("ready")
truncate("/pmem/data", 0)      # -> hangs
'''
"""


def test_a_page_allocated_and_pinned_during_the_wait_is_found() -> None:
    """The second pin lies behind what was the last page of the file when truncate began."""
    scenario = parse_scenario(PINNED_MEANWHILE, "pinned-meanwhile")
    result = run(scenario, Settings.of(scenario))
    assert [violation.rule for violation in result.violations] == ["O3"]
    assert "mr:100.2" in result.violations[0].detail
