"""Roles: lines that mean what the policy's dialect says, written out before anything else is read."""

import re
from pathlib import Path

import pytest

from longpin.actors.policies import POLICIES
from longpin.config.dialect import find_dialect, has_roles, write_out
from longpin.config.loader import ScenarioError, in_dialect, parse_scenario, without_roles
from longpin.config.schema import Scenario
from longpin.runner.run import Settings, replay, run
from longpin.runner.subject import Subject

PLACES = [(number, 1) for number in range(1, 20)]
STORY = """
name = "told-once"
policy = "{policy}"
[[file]]
path = "/pmem/data"
size = "2 * PAGE"
[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/pmem/data", O_RDWR)
{protect}
buf = @map(fd, 2 * PAGE)
mr = @register(pd, fd, buf, 2 * PAGE)   # P0 -> EOPNOTSUPP; -> ok
label("registered")
@await_break(ctx)
@answer(fd, mr, buf, 2 * PAGE)
'''
[[process]]
name = "admin"
program = '''
wait_for("registered")
truncate("/pmem/data", 0)   # P0 -> 0; P1 -> blocks, 0; P5 -> blocks, 0; P4 -> blocks, 0; P6 -> ETXTBSY; P8 -> blocks, 0
'''
"""


def story(policy: str = "P5:intended", protect: str = "@protect(fd)") -> Scenario:
    return parse_scenario(STORY.format(policy=policy, protect=protect), "story.toml")


def calls(scenario: Scenario) -> list[str]:
    return [op.text for op in scenario.processes[0].program.operations()]


def written(text: str, policy: str = "P5") -> list[str]:
    return write_out(text, PLACES, find_dialect(policy, "intended")).source.split("\n")


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_has_a_dialect_and_every_dialect_all_roles(name: str) -> None:
    signatures = {role.signature for role in find_dialect("P1", "intended").roles.values()}  # type: ignore[union-attr]
    for preset in POLICIES[name].presets:
        dialect = find_dialect(name, preset)
        assert dialect is not None
        assert {role.signature for role in dialect.roles.values()} == signatures
        assert {role.signature for role in dialect.roles.values() if role.returns} == {
            "map(fd, length)",
            "register(pd, fd, buf, length)",
            "map_to_read(fd, length)",
            "register_to_read(pd, fd, buf, length)",
        }


def test_the_documentation_lists_every_role() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "scenario.md").read_text()
    documented = re.findall(r"^\| `(?:\w+ = )?@([^`]+)` \|", text, re.MULTILINE)
    assert documented == [role.signature for role in find_dialect("P1", "intended").roles.values()]  # type: ignore[union-attr]


def test_a_role_stands_for_calls_and_its_result_for_theirs() -> None:
    assert written("buf = @map(fd, 4 * PAGE)") == ["buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)"]
    assert written("for i in range(2):\n    @protect(a)") == [
        "for i in range(2):",
        "    sigprocmask(SIG_BLOCK, SIGIO)",
        "    fcntl(a, F_SETSIG, SIGIO)",
        "    fcntl(a, F_SETLEASE, F_LAYOUT)",
    ]
    assert written("@map(fd, 1)") == ["mmap(1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)"]
    assert written("@protect(fd)", "P0") == [""]
    assert has_roles("  x = @map(fd, 1)")
    assert not has_roles('write(fd, "@map(fd, 1)")')


def test_what_a_line_expects_is_expected_of_its_result_or_its_last_call() -> None:
    assert written("mr = @register(pd, fd, buf, 1)  # -> ok")[-1].endswith("IBV_ACCESS_REMOTE_WRITE)  # -> ok")
    assert written("@protect(fd)  # -> 0")[1:] == [
        "fcntl(fd, F_SETSIG, SIGIO)",
        "fcntl(fd, F_SETLEASE, F_LAYOUT)  # -> 0",
    ]


@pytest.mark.parametrize("policy", ["P0", "P1", "P4", "P5", "P6", "P8"])
def test_one_story_under_every_policy(policy: str, tmp_path: Path) -> None:
    """As the file's own policy, and in place of another one; the same calls, the same run, and it replays."""
    own, other = story(policy), story()
    settings = Settings.of(other, policy=policy, preset="intended", parameters={})
    assert calls(in_dialect(other, policy, "intended")) == calls(own)
    assert calls(Subject(other, settings).scenario) == calls(own)
    trace = tmp_path / "story.trace"
    result = run(other, settings, trace)
    assert not [violation for violation in result.violations if violation.rule != "O3"], result.violations
    assert result.hash == run(own, Settings.of(own)).hash == replay(trace).hash
    assert [call.call for call in result.calls] == [call.call for call in replay(trace).calls]


def test_a_scenario_can_be_told_without_roles() -> None:
    plain = without_roles(story("P4"))
    assert not plain.dialect
    assert "@" not in plain.text
    assert calls(plain) == calls(story("P4"))
    assert without_roles(plain) is plain


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("@protekt(fd)", "story.toml:13:2: process.app.program: expected one of the roles @protect(fd), "),
        ("@protekt(fd)", "'protekt' (did you mean protect?)"),
        ("@protect(fd, 1)", "story.toml:13:2: process.app.program: expected @protect(fd), found 2 arguments"),
        ("@protect(fd", "story.toml:13:9: process.app.program: expected a role such as @protect(fd), on one line"),
        ("@protect", "expected a role such as @protect(fd), found something else"),
        (
            "x = y = @map(fd, PAGE)",
            "story.toml:13:9: process.app.program: expected a role alone on its line, or behind",
        ),
        ("store(@map(fd, PAGE), 1)", "story.toml:13:7: process.app.program: expected a role alone on its line"),
        ("for i in range(2): @protect(fd)", "story.toml:13:20: process.app.program: expected a role alone on its line"),
        (
            "x = @protect(fd)",
            "story.toml:13:5: process.app.program: expected a role that has a result; @protect(fd) has none",
        ),
        (
            "@protect(g)",
            "story.toml:13:1: process.app.program: expected a variable assigned before, or a constant, found 'g'",
        ),
        ("@protect(g)", "(in @protect, dialects/P5.toml:5)"),
        ('@protect("x")', "story.toml:13:1: process.app.program: expected a number or a variable as fd of fcntl"),
        ("@protect(" + "1," * 300 + ")", "at most 200 words and signs in a statement"),
        ("@protect(" + "(" * 300 + ")", "at most 200 words and signs in a statement"),
    ],
)
def test_a_mistake_in_a_role_is_told_with_both_places(line: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        story(protect=line)
    assert message in str(caught.value)
