"""Kinds of memory, pinners and operations at random: no internal error, books that balance, stamps that are right.

2,000 small worlds by default, one run each; ``pytest -m heavy tests/model/test_random_pinners.py`` plays 100,000 (ten
minutes). A failure shows the smallest program that still fails in the same way.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from model.random_pinners import MEMORY, PINNERS, Story, must_hold, play, scenario_of
from model.test_random_programs import check_books

from longpin.actors.kernel.generation import Version
from longpin.actors.mm.mm import Mm
from longpin.actors.policies import POLICIES
from longpin.actors.process.users import Users
from longpin.config.loader import parse_scenario
from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.runner.settings import Settings

BLOCK = 250
"""Seeds in one test of the default suite."""
SLICE = 1_000
"""Seeds in one heavy test."""


def broken_by(story: Story, scenario: Scenario, settings: Settings) -> str:
    """Run a scenario and return what is wrong, without numbers; empty: nothing."""
    try:
        result, engine = play(scenario, settings)
        check_books(engine)
    except Exception as error:  # noqa: BLE001 - whatever an actor raises is what is looked for
        return re.sub(r"\d+", "#", f"{type(error).__name__}: {error}")
    rules = {violation.rule for violation in result.violations}
    wrong = sorted(rules & (must_hold(story, settings) | {"O6", "O7"}))
    if not result.waiting and not rules & {"O6"}:
        for actor in engine.actors.values():
            match actor:
                case Mm(pinned_vm=pinned) if pinned:
                    wrong.append(f"{pinned} pages are charged")
                case Users(locked_vm=locked) if any(locked.values()):
                    wrong.append(f"users are charged: {locked}")
    return ", ".join(wrong)


def smaller(text: str) -> Iterator[str]:
    """Yield the scenario without one of its processes, or without one of the lines of a program."""
    head, *processes = text.split("[[process]]\n")
    for process in processes[1:]:
        name = process.split('"')[1]
        others = [one for one in processes if one is not process]
        yield re.sub(rf'^.*"{name}".*\n', "", "[[process]]\n".join([head, *others]), flags=re.MULTILINE)
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if "(" in line:
            yield "\n".join(lines[:number] + lines[number + 1 :])


def shrink(story: Story, text: str, settings: Settings) -> str:
    """Return a smallest scenario that fails in the same way, first in first out if that will do."""

    def wrong_with(text: str, settings: Settings) -> str:
        try:
            return broken_by(story, parse_scenario(text, "pinners.toml"), settings)
        except ScenarioError:
            return ""

    wrong = wrong_with(text, settings)
    plain = replace(settings, oracle="fifo", timers="lazy")
    settings = plain if wrong_with(text, plain) == wrong else settings
    while (less := next((one for one in smaller(text) if wrong_with(one, settings) == wrong), None)) is not None:
        text = less
    return f"{wrong}\nunder {settings.policy_name}, {settings.oracle} {settings.seed}, {settings.timers}\n{text}"


def check(seeds: range) -> Counter[str]:
    """Run these programs; return how many pinned what."""
    pinned = Counter[str]()
    for seed in seeds:
        story, scenario, settings = scenario_of(seed)
        if broken_by(story, scenario, settings):
            pytest.fail(f"seed {seed}: {shrink(story, scenario.text, settings)}")
        pinned.update(story.pinners)
    return pinned


@pytest.mark.parametrize("block", range(8))
def test_random_programs_of_pinners(block: int) -> None:
    assert set(check(range(block * BLOCK, (block + 1) * BLOCK))) == set(PINNERS)


@pytest.mark.heavy
@pytest.mark.parametrize("block", range(98))
def test_many_random_programs_of_pinners(block: int) -> None:
    check(range(2_000 + block * SLICE, 2_000 + (block + 1) * SLICE))


def test_every_kind_of_memory_is_pinned_by_every_pinner_under_every_policy_and_kernel() -> None:
    """All pairs of the first two, and what they run on."""
    stories = [Story(seed) for seed in range(2_000)]
    kinds = {id(memory): name for name, memory in MEMORY.items()}
    pairs = {(kinds[id(story.memory)], pinner) for story in stories for pinner in story.pinners}
    assert pairs == {(memory, pinner) for memory in MEMORY for pinner in PINNERS}
    settings = [scenario_of(seed)[2] for seed in range(300)]
    assert {one.policy for one in settings} == set(POLICIES)
    assert {one.parameters.get("kernel") for one in settings} >= set(Version)


LONG = """name = "x"
[[file]]
path = "/pmem/a"
size = "3 * PAGE"
[[process]]
name = "app"
program = '''
f = open("/pmem/a", O_RDWR)
b = mmap(3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0)
load(b, 4)
p = pipe()
vmsplice(pipe_w, b, 10)
munmap(b, 3 * PAGE)
fsync(f)
truncate("/pmem/a", 0)
read(p, 5)
'''
[[process]]
name = "other"
program = '''
stat("/pmem/a")
'''
"""


def test_a_failure_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What 6.12 does with a page that a pipe has of a file which nobody maps, as if that had to be right."""
    story = Story(0)
    settings = Settings("P0", "intended", {"kernel": "6.12"}, oracle="random", seed=3)
    assert not must_hold(story, settings)
    assert broken_by(story, parse_scenario(LONG, "x.toml"), settings) == ""
    monkeypatch.setitem(globals(), "must_hold", lambda _story, _settings: {"O1", "O2"})
    told = shrink(story, LONG, settings)
    assert told.startswith("O2\nunder P0:intended,kernel=6.12, fifo 3, lazy\n")
    assert [line for line in told.split("\n") if "(" in line] == [
        'f = open("/pmem/a", O_RDWR)',
        "b = mmap(3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0)",
        "p = pipe()",
        "vmsplice(pipe_w, b, 10)",
        "munmap(b, 3 * PAGE)",
        'truncate("/pmem/a", 0)',
        "read(p, 5)",
    ]
    assert "other" not in told
