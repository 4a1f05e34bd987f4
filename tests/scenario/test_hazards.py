"""Hazards read from code: exploration finds each where no order is pinned, and none is left where it is closed.

``docs/hazards.md`` tells the story of each. ``pytest -m heavy tests/scenario/test_hazards.py`` adds the largest.
"""

from importlib import resources
from typing import Any

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner.exploration import Exploration, explore
from longpin.runner.result import Verdict
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

STRAY = "writes inode:/pmem/data through its pin, "
DEVICE = """
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""
REGISTER = "mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)\n"


def explored(text: str, policy: str, *, racy: bool = False, method: str = "dpor", **parameters: Any) -> Exploration:
    name, _, preset = policy.partition(":")
    scenario = parse_scenario(text, "hazard.toml")
    subject = Subject(scenario, Settings.of(scenario, policy=name, preset=preset, parameters=parameters))
    return explore(subject.build, check=subject.check, always=subject.always, method=method, racy=racy)


def shipped(name: str) -> str:
    return (resources.files("longpin.config") / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")


def programs(head: str = "", /, **of: str) -> str:
    """Return a scenario of a file /f of two pages."""
    parts = [f'name = "hazard"\n{head}\n[[file]]\npath = "/f"\nsize = "2 * PAGE"']
    return "\n".join(parts + [f"[[process]]\nname = \"{name}\"\nprogram = '''{text}'''" for name, text in of.items()])


def assert_found(result: Exploration, rule: str, site: str, within: int) -> None:
    (failure,) = result.failures
    assert (failure.broken.rule, failure.broken.site) == (rule, site)
    assert result.executions <= within


def assert_absent(result: Exploration) -> None:
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


# munmap, then truncate, with the scan of Linux 5.4.


def test_truncate_takes_unmapped_pages_from_under_the_device() -> None:
    text = shipped("unmapped-pin")
    assert_found(explored(text, "P1:as_posted"), "O1", STRAY + "a free block", 1_000)
    assert_absent(explored(text, "P1:intended", method="states"))


def test_so_it_does_under_layout_leases() -> None:
    result = explored(shipped("unmapped-pin"), "P5:as_posted", method="states")
    assert_found(result, "O1", STRAY + "now of inode:/pmem/accounts", 500)


def test_a_scan_that_always_looks_is_enough_under_layout_leases() -> None:
    assert_absent(explored(shipped("unmapped-pin"), "P5:intended", method="states"))


def test_a_mapping_that_stays_is_no_help_to_a_process_that_is_killed() -> None:
    """Nobody calls munmap in late-pin; exit unmaps before it releases the device's file [1.1]."""
    text = shipped("late-pin")
    assert "munmap" not in text
    assert_found(explored(text, "P1:as_posted", method="states"), "O1", STRAY + "a free block", 100)


# A pin that succeeds on a breaking lease.


@pytest.mark.parametrize("preset", ["as_posted", "intended"])
@pytest.mark.parametrize("racy", [False, True])
def test_a_breaking_lease_lets_its_holder_pin(preset: str, racy: bool) -> None:
    """The intended preset asks for the caller's own lease, not for one that is not being broken."""
    result = explored(shipped("breaking-lease-pin"), f"P5:{preset}", racy=racy)
    assert_found(result, "O7", "ibv_reg_mr of app: success", 50)


@pytest.mark.parametrize("racy", [False, True])
def test_a_check_for_active_leases_refuses_it(racy: bool) -> None:
    text = shipped("breaking-lease-pin")
    assert_absent(explored(text, "P5:intended", racy=racy, method="states", lease_check="active_only"))


# Late expiry.


@pytest.mark.parametrize("preset", ["as_posted", "intended"])
@pytest.mark.parametrize("racy", [False, True])
def test_an_overdue_lease_lets_its_holder_pin(preset: str, racy: bool) -> None:
    result = explored(shipped("overdue-lease-pin"), f"P5:{preset}", racy=racy)
    assert_found(result, "O7", "ibv_reg_mr of app: success", 500)


@pytest.mark.parametrize("preset", ["as_posted", "intended"])
def test_whoever_looks_first_is_refused(preset: str) -> None:
    """F_GETLEASE notices what is overdue, so the pin is refused after it; if the clock is late it notices nothing."""
    looks = shipped("overdue-lease-pin").replace("sleep(60)\n", "sleep(60)\nfcntl(fd, F_GETLEASE)\n")
    assert_absent(explored(looks, f"P5:{preset}", method="states"))
    assert_found(explored(looks, f"P5:{preset}", racy=True), "O7", "ibv_reg_mr of app: success", 500)


def test_a_check_for_active_leases_refuses_an_overdue_one() -> None:
    text = shipped("overdue-lease-pin")
    assert_absent(explored(text, "P5:intended", method="states", lease_check="active_only"))


@pytest.mark.heavy
def test_a_check_for_active_leases_refuses_an_overdue_one_whenever_timers_fire() -> None:
    """With racy timers it takes the most states of these."""
    text = shipped("overdue-lease-pin")
    assert_absent(explored(text, "P5:intended", racy=True, method="states", lease_check="active_only"))


# Others.


@pytest.mark.parametrize("preset", ["as_posted", "intended"])
@pytest.mark.parametrize("racy", [False, True])
def test_a_lease_that_is_taken_again_is_lost_all_the_same(preset: str, racy: bool) -> None:
    result = explored(shipped("lease-retaken"), f"P5:{preset}", racy=racy)
    assert_found(result, "O7", "fcntl of app: success", 50)


def test_anybody_may_pin_under_somebody_elses_lease() -> None:
    """The prose wants the caller's own lease [V1-0, H4]."""
    text = programs(
        holder='fd = open("/f", O_RDWR)\nfcntl(fd, F_SETLEASE, F_LAYOUT)\npause()\n',
        other=DEVICE + REGISTER.rstrip() + "  # -> EPERM\n",
    )
    assert_found(explored(text, "P5:as_posted"), "O7", "ibv_reg_mr of other: success", 50)
    assert_absent(explored(text, "P5:intended"))


def test_truncate_waits_for_pages_it_does_not_touch() -> None:
    """Linux 5.4 and the kernels that were measured wait for any pinned page of the file [2.5]."""
    text = programs(app=DEVICE + REGISTER + "pause()\n", truncater='truncate("/f", PAGE)\n')
    assert_found(explored(text, "P1:as_posted"), "O3", "truncate of truncater waits for a pin", 100)
    assert_absent(explored(text, "P1:intended"))


def test_without_a_break_time_truncate_waits_for_ever() -> None:
    """lease-break-time 0 is for ever [2.3.3, H9]."""
    ignores = DEVICE + "sigaction(SIGIO, SIG_IGN)\nfcntl(fd, F_SETLEASE, F_LAYOUT)\npause()\n"
    truncates = 'truncate("/f", 0)\n'
    never = programs("[machine]\nlease_break_time = 0", app=ignores, truncater=truncates)
    assert_found(explored(never, "P5:intended"), "O3", "truncate of truncater waits for a lease", 50)
    assert_absent(explored(programs(app=ignores, truncater=truncates), "P5:intended"))


def test_who_closes_an_unlinked_file_last_waits_for_its_own_pins() -> None:
    """Linux 6.18 and 7.2 hang so; the order of two closes decides [2.5, H7]."""
    app = DEVICE + REGISTER + 'label("pinned")\nmunmap(buf, PAGE)\nclose(fd)\nclose(ctx)\n'
    unlinker = 'wait_for("pinned")\nunlink("/f")\n'
    text = programs(app=app, unlinker=unlinker)
    assert_found(explored(text, "P1:intended"), "O3", "close of app waits for a pin", 50)
    assert_absent(explored(text, "P1:as_posted"))
    device_first = app.replace("close(fd)\nclose(ctx)\n", "close(ctx)\nclose(fd)\n")
    assert_absent(explored(programs(app=device_first, unlinker=unlinker), "P1:intended"))
