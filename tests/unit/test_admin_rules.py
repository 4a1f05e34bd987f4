"""Rules about whom the kernel shows and signals: O4 attribution, O5 signal sanity, O8 an administrator's power."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from unit.programs import DEVICE, REGISTER

from longpin.config.loader import load_scenario, parse_scenario
from longpin.runner import api
from longpin.runner.judging.invariants.holding import pins_of
from longpin.runner.result import Verdict

Play = Callable[..., Any]

LAYOUT = "fcntl(fd, F_SETLEASE, F_LAYOUT)                                # -> 0\n"
EXCLUSIVE = "fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> 0\n"
CHILD = 'start = "fork"'
HANDLER = "on_signal.SIGIO = '''pass_ = getpid()'''"

ADMIN = """
wait_for("ready")
list_holders("/f")
kill_holders("/f", SIGKILL)
sleep(1)
list_holders("/f")
"""
"""List, kill, look again."""


def holds(*rules: str) -> str:
    """Return the head of a scenario that asks for these rules."""
    listed = ", ".join(f'"{rule}"' for rule in rules)
    return f'holds = [{listed}]\n[[file]]\npath = "/f"\nsize = "4 * PAGE"\n'


def test_o4_holds_where_the_policy_lists_everybody_who_can_drop_a_pin(play: Play) -> None:
    play(
        "P6",
        head=holds("O4"),
        details={"child": CHILD},
        a=DEVICE + EXCLUSIVE + REGISTER + 'fork("child")\nlabel("ready")\npause()\n',
        child="pause()",
        admin=ADMIN,
    )


def test_o4_is_violated_where_the_device_was_passed_and_only_leases_are_listed(play: Play) -> None:
    run = play(
        "P5",
        head=holds("O4"),
        violates={"O4"},
        a=DEVICE + LAYOUT + REGISTER + 'send_fd("b", ctx)\npause()\n',
        b='recv_fd()\nlabel("ready")\npause()\n',
        admin='wait_for("ready")\nlist_holders("/f")\n',
    )
    (violation,) = run.result.violations
    assert violation.site == "b can drop a pin of inode:/f and is not listed"
    assert violation.detail == (
        "page 0 of inode:/f is pinned by mr:100.1 of uverbs:100.1, which b (101) can drop; "
        "an administrator finds process 100, and not b"
    )


def test_o4_is_violated_by_a_descriptor_that_is_on_its_way_in_a_socket(play: Play) -> None:
    run = play(
        "P6",
        head=holds("O4"),
        violates={"O4"},
        a=DEVICE + EXCLUSIVE + REGISTER + 'send_fd("b", ctx)\nlabel("ready")\n',
        b="pause()\n",
        admin='wait_for("ready")\nsleep(1)\nlist_holders("/f")\n',
    )
    assert "an administrator finds nobody, and not b" in run.details()


def test_o4_is_judged_of_pins_that_a_call_waits_for_for_ever(play: Play) -> None:
    waits = 'wait_for("ready")\ntruncate("/f", 0)\n'
    pinned = DEVICE + REGISTER + 'label("ready")\npause()\n'
    run = play("P1", head=holds("O4"), violates={"O4"}, a=pinned, admin=waits)
    assert "a (100) can drop; an administrator finds nobody, and not a" in run.details()
    play("P1", head=holds("O4"), a=DEVICE + REGISTER + 'label("ready")\n', admin=waits)


def test_o4_is_silent_about_pins_that_are_in_nobodys_way(play: Play) -> None:
    play("P1", head=holds("O4"), a=DEVICE + REGISTER + "pause()\n", admin='stat("/f")\n')


def test_o8_holds_where_all_who_keep_a_pin_are_listed(play: Play) -> None:
    play(
        "P6",
        head=holds("O8", "O7"),
        details={"child": CHILD},
        a=DEVICE + EXCLUSIVE + REGISTER + 'fork("child")\nlabel("ready")\npause()\n',
        child="close(fd)\nmunmap(buf, 4 * PAGE)\npause()",
        admin=ADMIN + 'truncate("/f", 0)                                     # -> 0\n',
    )


def test_o8_is_violated_where_the_one_who_was_passed_the_device_lives_on(play: Play) -> None:
    run = play(
        "P5",
        head=holds("O8"),
        violates={"O8"},
        a=DEVICE + LAYOUT + REGISTER + 'send_fd("b", ctx)\npause()\n',
        b='recv_fd()\nlabel("ready")\npause()\n',
        admin=ADMIN,
    )
    (violation,) = run.result.violations
    assert violation.site == "a pin of inode:/f is left"
    assert violation.detail == (
        "admin has killed all who were listed for inode:/f (100); page 0 is still pinned by mr:100.1 of uverbs:100.1"
    )


PASSED = f"""
name = "passed-meanwhile"
policy = "P6"
{holds("O7", "O8")}
[[process]]
name = "a"
program = '''
{DEVICE}{EXCLUSIVE}{REGISTER}label("pinned")
send_fd("b", ctx)
'''
[[process]]
name = "b"
program = '''
recv_fd()
pause()
'''
[[process]]
name = "admin"
program = '''
wait_for("pinned")
for i in range(1):
    kill_holders("/f", SIGKILL)
    sleep(1)
'''
"""
"""The device is passed on while the administrator's program reads one process after the other."""
UNTIL_NOBODY_IS_LISTED = PASSED.replace("range(1)", "range(2)").replace(
    "    sleep(1)\n", '    sleep(1)\nlist_holders("/f")  # -> 0\ntruncate("/f", 0)  # -> 0\n'
)


@pytest.mark.heavy
def test_o8_is_violated_where_the_administrator_looks_once(tmp_path: Path) -> None:
    found = api.explore(parse_scenario(PASSED, "passed.toml"), failures=tmp_path, shrink=0.001)
    assert found.kept is not None
    assert found.kept.violation.rule == "O8"


@pytest.mark.heavy
def test_o8_holds_where_the_administrator_goes_on_until_nobody_is_listed() -> None:
    """Some 100,000 states."""
    found = api.explore(parse_scenario(UNTIL_NOBODY_IS_LISTED, "passed.toml"), method="states")
    assert found.verdict is Verdict.HOLDS


@pytest.mark.parametrize("oracle", ["fifo", "random", "pct"])
def test_o8_holds_in_some_orders_where_the_administrator_goes_on(oracle: str) -> None:
    for seed in range(3):
        assert api.run(parse_scenario(UNTIL_NOBODY_IS_LISTED, "passed.toml"), oracle=oracle, seed=seed).violations == []


def test_o8_is_violated_where_nobody_is_listed(play: Play) -> None:
    run = play("P1", head=holds("O8"), violates={"O8"}, a=DEVICE + REGISTER + 'label("ready")\npause()\n', admin=ADMIN)
    assert "for inode:/f, nobody; page 0 is still pinned" in run.details()


def test_o8_is_about_what_was_there_when_it_was_killed(play: Play) -> None:
    play(
        "P6",
        head=holds("O8", "O4"),
        a=DEVICE + EXCLUSIVE + REGISTER + 'label("ready")\npause()\n',
        late='wait_for("killed")\n' + DEVICE + EXCLUSIVE + REGISTER + "pause()\n",
        admin=ADMIN + 'label("killed")\n',
    )
    play(
        "P6",
        head=holds("O8"),
        a=DEVICE + EXCLUSIVE + REGISTER + 'label("ready")\npause()\n',
        admin='wait_for("ready")\nkill_holders("/f", SIGCHLD)\n',
    )


def test_o8_is_violated_by_an_exclusive_lease_that_is_shared_with_nobody_listed(play: Play) -> None:
    run = play(
        "P6",
        head=holds("O8"),
        violates={"O8"},
        details={"child": CHILD},
        a=DEVICE + EXCLUSIVE + 'fork("child")\nlabel("ready")\npause()\n',
        child="pause()\n",
        admin=ADMIN,
    )
    assert "lease:100.2 still fails every change" in run.details()


@pytest.mark.parametrize("keeps", ["", "close(fd)\n", "munmap(buf, 4 * PAGE)\n"])
def test_o5_holds_for_who_has_a_descriptor_or_a_mapping(play: Play, keeps: str) -> None:
    play(
        "P5",
        head=holds("O5"),
        details={"child": CHILD, "a": HANDLER},
        a='fd = open("/f", O_RDWR)\nbuf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n'
        + LAYOUT
        + 'fork("child")\n'
        + keeps
        + 'label("ready")\npause()\n',
        child="pause()",
        b='wait_for("ready")\ntruncate("/f", 0)\n',
    )


def test_o5_is_violated_by_a_signal_to_who_has_nothing_left(play: Play) -> None:
    programs = {
        "a": 'fd = open("/f", O_RDWR)\nbuf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n'
        + LAYOUT
        + 'fork("child")\nclose(fd)\nmunmap(buf, PAGE)\nmunmap(buf + PAGE, 3 * PAGE)\nlabel("ready")\npause()\n',
        "child": "pause()",
        "b": 'wait_for("ready")\ntruncate("/f", 0)\n',
    }
    details = {"child": CHILD, "a": HANDLER}
    run = play("P5", head=holds("O5"), violates={"O5"}, details=details, **programs)
    (violation,) = run.result.violations
    assert violation.site == "SIGIO to a, which has nothing of file:100.1"
    assert violation.detail == (
        "file:100.1 has the kernel send SIGIO to a (100), which has no descriptor of it, no mapping and no device"
    )
    asked = play("P5", head=holds("O1"), details=details, **programs)
    assert asked.result.warnings[-1] == f"warning: O5 was not asked for: {violation.detail}"


def test_o5_counts_a_device_for_the_file_it_may_have_pinned(play: Play) -> None:
    play(
        "P5",
        head=holds("O5"),
        details={"child": CHILD, "a": HANDLER},
        a=DEVICE + LAYOUT + REGISTER + 'fork("child")\nclose(fd)\nmunmap(buf, 4 * PAGE)\nlabel("ready")\npause()\n',
        child="pause()",
        b='wait_for("ready")\ntruncate("/f", 0)\n',
    )


def test_o5_is_not_about_signals_of_processes(play: Play) -> None:
    play("P5", head=holds("O5"), details={"a": HANDLER}, a="pause()\n", b='sleep(1)\nkill("a", SIGIO)\n')


@pytest.mark.parametrize(
    ("policy", "take", "leases", "pins"),
    [
        ("P1", "", 0, 1),
        ("P2", "", 0, 1),
        ("P5", LAYOUT, 0, 1),
        ("P6", EXCLUSIVE, 1, 1),
        ("P8", LAYOUT, 0, 0),
    ],
)
def test_in_the_way_is_what_the_policy_would_fail_or_wait_for(
    play: Play, policy: str, take: str, leases: int, pins: int
) -> None:
    """P5's lease goes in time and its pin stays; under P8 the kernel sees to both."""
    run = play(policy, head=holds("O1"), a=DEVICE + take + REGISTER + "pause()\n", b="pause()\n")
    inode, other = run.engine.actors["inode:/f"], run.engine.actors["process:101"]
    found = inode.in_the_way(other.caller, pins_of(inode, run.engine.actors))
    assert (len(found.leases), len(found.pins)) == (leases, pins)


def test_a_registration_that_can_be_revoked_is_in_nobodys_way(play: Play) -> None:
    register = "mr = ibv_reg_mr_lease(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok\n"
    run = play("P9", head=holds("O7"), a=DEVICE + register + "pause()\n", b="pause()\n")
    inode, other = run.engine.actors["inode:/f"], run.engine.actors["process:101"]
    found = inode.in_the_way(other.caller, pins_of(inode, run.engine.actors))
    assert (found.leases, found.pins, len(found.broken)) == ((), (), 1)


@pytest.mark.parametrize("method", ["dpor", "states"])
def test_searches_find_what_runs_find(method: Literal["dpor", "states"], tmp_path: Path) -> None:
    scenario = load_scenario("holders-are-killed")
    found = api.explore(scenario, "P5", method=method, failures=tmp_path, shrink=0.001)
    assert found.kept is not None
    assert found.kept.violation.rule in ("O4", "O8")
    if method == "dpor":
        assert api.explore(scenario, method=method).verdict is Verdict.HOLDS
