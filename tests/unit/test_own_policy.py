"""A policy of somebody's own, a class in a file: how it is named, read, checked and asked."""

import errno
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from longpin.actors.policies import OWN, POLICIES, constants, find_policy, name_in_file, split_name
from longpin.actors.policies.base import Policy
from longpin.actors.policies.layout_lease_v1 import LayoutLeaseV1
from longpin.actors.policies.proposal import Proposal, read_proposal
from longpin.config.expectations import read_expectations
from longpin.config.loader import load_scenario, parse_scenario
from longpin.config.problems import ScenarioError
from longpin.runner.failures.found import configuration_hash
from longpin.runner.judging.invariants.errnos import applicable, kernel_of
from longpin.runner.own_policy.checks import HOOKS, PolicyError
from longpin.runner.own_policy.source import MOST_BYTES, PolicySource, read_source, register
from longpin.runner.run import run
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

HEAD = """\
from dataclasses import dataclass
from typing import ClassVar
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import *
from longpin.actors.policies.layout_lease_v1 import LayoutLeaseV1
from longpin.actors.policies.views import *
"""
CLASS = "@dataclass(frozen=True, slots=True)\nclass Own(LayoutLeaseV1):\n"
FIRST = 9
"""The first line in the class."""

SCENARIO = """
name = "own"
policy = "P5"
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "a"
program = '''
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)
truncate("/f", 0)
'''
"""


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    before = dict(OWN)
    yield
    OWN.clear()
    OWN.update(before)


def own(body: str = "    pass\n", name: str = "own.py:Own") -> PolicySource:
    return PolicySource(name, (HEAD + CLASS + body).encode())


def subject(source: PolicySource, scenario: str = SCENARIO) -> Subject:
    register(source)
    policy, preset, parameters = read_proposal(source.name)
    return Subject(parse_scenario(scenario, "own.toml"), Settings(policy.name, preset, parameters, source=source))


# Names.


@pytest.mark.parametrize(
    ("text", "name", "preset", "rest"),
    [
        ("P5", "P5", None, []),
        ("P5:intended,a=b", "P5", "intended", ["a=b"]),
        ("own.py:Own", "own.py:Own", None, []),
        ("own.py:Own:as_posted,x=1,y=2", "own.py:Own", "as_posted", ["x=1", "y=2"]),
        ("a,b:c d/own.py:Own,x=1", "a,b:c d/own.py:Own", None, ["x=1"]),
        ("own.py:Own:", "own.py:Own", "", []),
        ("own.py:A:B:C", "own.py:A", "B:C", []),
        ("own.py", "own.py", None, []),
    ],
)
def test_a_name_is_split(text: str, name: str, preset: str | None, rest: list[str]) -> None:
    assert split_name(text) == (name, preset, rest)
    assert name_in_file(text) == (name if ".py:" in text else "")


def test_a_name_is_looked_up_and_nothing_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_bytes(own().data)
    for reading in (find_policy, read_proposal, lambda text: Proposal.make(text, "intended", {})):
        with pytest.raises(ValueError, match="a class in a file is given with --policy, and nowhere else, found 'own"):
            reading("own.py:Own")
    assert "own.py:Own" not in POLICIES
    kind = register(own())
    assert find_policy("own.py:Own:as_posted") == (kind, "as_posted")
    with pytest.raises(ValueError, match="expected a policy"):
        find_policy("OWN.py:Own")


def test_it_is_called_as_it_was_written_whatever_it_inherits() -> None:
    kind = register(own(name="a, b/own.py:Own"))
    assert (kind.name, kind.alias, kind.summary) == ("a, b/own.py:Own", "", "the class Own")
    assert (LayoutLeaseV1.name, LayoutLeaseV1.alias) == ("P5", "flv1")
    proposal = Proposal.make("a, b/own.py:Own", "intended", {"lease_check": "active_only", "kernel": "6.1"})
    assert proposal.name == "a, b/own.py:Own:intended,lease_check=active_only,kernel=6.1"
    policy, preset, parameters = read_proposal(proposal.name)
    assert Proposal.make(policy.name, preset, parameters) == proposal
    assert Proposal.make(policy.name, preset, proposal.parameters) == proposal
    assert kernel_of(proposal.name) == "6.1"


def test_a_docstring_is_its_summary() -> None:
    assert register(own('    """As P5.\n\n    More.\n    """\n')).summary == "As P5."


def test_what_is_expected_of_its_base_is_not_expected_of_it() -> None:
    parts = read_expectations("# P5 -> 0; own.py:Own:intended -> 1; own.py:Own on 6.1 -> 2; own.py:Own -> 3", {})
    for name, wanted in [
        ("own.py:Own:intended", 1),
        ("./x y/own.py:Own:intended", 1),
        ("own.py:Own:as_posted", 3),
        ("own.py:Own:as_posted,kernel=6.1", 2),
        ("other.py:Own:intended", None),
        ("P5:intended", 0),
    ]:
        if name_in_file(name):
            register(own(name=name_in_file(name)))
        found = applicable(parts, name)
        assert (found and found.outcomes[0]) == wanted, name


def test_a_name_can_mean_another_text_later() -> None:
    one = subject(own())
    other = subject(own('    kernels = LayoutLeaseV1.kernels | {"intended": "6.1"}\n'))
    assert kernel_of("own.py:Own:intended") == "6.1"
    assert type(one.blueprint.kernel.policy) is not type(other.blueprint.kernel.policy)
    assert one.settings.make_proposal().kernel == "ideal"
    assert kernel_of("own.py:Own:intended") == "ideal"
    assert register(one.settings.source or own()) is type(one.blueprint.kernel.policy), "a text is executed once"


def test_its_constants_are_names_of_programs() -> None:
    register(own('    constants = {"fcntl.arg": {"F_OWN": 77}}\n'))
    assert constants()["F_OWN"] == 77


# What scenarios say.


@pytest.mark.parametrize("line", ['policy = "own.py:Own"', '[policy]\nname = "own.py:Own"\nlease_check = "bogus"'])
def test_a_scenario_names_a_file_and_loads_none(line: str) -> None:
    register(own())
    text = SCENARIO.replace('policy = "P5"', line)
    scenario = parse_scenario(text, "x.toml")
    with pytest.raises(ScenarioError, match=r"^x.toml:\d: policy.*: expected the option --policy.*found 'own.py:Own'$"):
        Settings.of(scenario)
    assert Settings.of(scenario, policy="P1", preset="intended", parameters={}).policy_name == "P1:intended"


# Reading.


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("none.py:Own", "none.py: no such file"),
        ("folder.py:Own", "folder.py: not a file"),
        ("fifo.py:Own", "fifo.py: not a file"),
        ("zero.py:Own", "zero.py: not a file"),
        ("big.py:Own", f"big.py: larger than any policy (at most {MOST_BYTES} bytes)"),
        ("file.py/own.py:Own", "file.py/own.py: cannot be read: Not a directory"),
        ("file.py:9", "file.py: expected the name of a class after the colon, found '9'"),
        ("file.py:class", "file.py: expected the name of a class after the colon, found 'class'"),
        ("file.py:A B", "file.py: expected the name of a class after the colon, found 'A B'"),
    ],
)
def test_what_is_no_file(name: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo.py")
    Path("folder.py").mkdir()
    Path("file.py").touch()
    Path("zero.py").symlink_to("/dev/zero")
    Path("big.py").write_bytes(b"#" * 10_000_000)
    with pytest.raises(PolicyError) as caught:
        read_source(name)
    assert str(caught.value) == wrong


@pytest.mark.parametrize("path", ["a\0b.py", "a\nb.py", "a\udcffb.py"])
def test_a_path_that_no_report_could_show(path: str) -> None:
    with pytest.raises(PolicyError, match="expected the name of a file that can be printed"):
        read_source(f"{path}:Own")


# Checking.

A_STATE = "@dataclass(frozen=True, slots=True)\nclass Memory(PolicyState):\n    seen: list\n"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("x = (", "own.py:1: '(' was never closed"),
        ("\nraise ValueError('no\\nway')", "own.py:2: raised ValueError: no way"),
        ("raise SystemExit(3)", "own.py:1: raised SystemExit: 3"),
        ("-" * 200_000 + "1", "own.py:1: not Python: it is nested too deeply"),
        ("x\0", "own.py:1: "),
        ("\nimport os", "own.py:2: imports os: a policy may import"),
        ("from . import other", "own.py:1: imports .: a policy may import"),
        ("from longpin.actors.policies.base import Policy, nothing", "own.py:1: raised ImportError: cannot import"),
        ("print(open('x'))", "own.py:1: uses open: a hook is a function of its arguments"),
        ("def f():\n    global x\n    x = 1", "own.py:2: assigns the global variable x"),
        ("class Owner: pass", "own.py: there is no class Own in it"),
        (
            HEAD + CLASS.replace("Own", "Owner") + "    pass",
            "own.py: there is no class Own in it (did you mean Owner?)",
        ),
        (HEAD + "Own = LayoutLeaseV1", "own.py: there is no class Own in it"),
        ("\nclass Own: pass", "own.py:2: Own is not a subclass of Policy"),
        (HEAD + "class Own(LayoutLeaseV1): pass", "own.py:7: Own can be changed: expected @dataclass(frozen=True"),
        (HEAD + CLASS.replace(", slots=True", "") + "    pass", "own.py:8: Own can be given attributes"),
        (HEAD + CLASS + "    name: str = 'x'", "own.py:9: name would be a parameter"),
        (HEAD + CLASS + "    seen: tuple = ()", "own.py:9: seen: expected a parameter of type bool, int"),
        (HEAD + CLASS + "    often: int = 'x'", "own.py:9: often: expected an integer as default, found 'x'"),
        (HEAD + CLASS + "    kernel: int = 1", "own.py:9: kernel: a parameter cannot have this name"),
        (HEAD + CLASS.replace("LayoutLeaseV1", "Policy") + "    often: int", "own.py:9: often: expected a default"),
        (HEAD + CLASS + "    presets = {'as_posted': {}}", "own.py:9: presets: expected a dict with at least"),
        (
            HEAD + CLASS + "    presets = {'intended': {'lease_chek': 'own_tgid'}}",
            "own.py:9: presets: intended sets lease_chek",
        ),
        (
            HEAD + CLASS + "    presets = {'intended': {'lease_check': 'x'}}",
            "own.py:9: presets: intended: lease_check: exp",
        ),
        (
            HEAD + CLASS + "    presets = {'intended': {}, 'new': {}}",
            "own.py:8: kernels: expected a Version for the preset new",
        ),
        (HEAD + CLASS + "    errnos = {'open': {'ENOTHING'}}", "own.py:9: errnos: open: there is no errno ENOTHING"),
        (HEAD + CLASS + "    errnos = 7", "own.py:8: what Own says of itself cannot be read: 'int' object"),
        (HEAD + CLASS + "    constants = {'a.b': {'O_RDWR': 7}}", "own.py:9: constants: O_RDWR is 2, found 7"),
        (
            HEAD + CLASS + "    state = 7",
            "own.py:9: Own.state: expected a frozen dataclass that is a PolicyState, found 7",
        ),
        (HEAD + A_STATE + CLASS + "    state = Memory([])", "own.py:12: Own.state can be changed: unhashable"),
        (
            HEAD + CLASS + "    def pin_gates(self): pass",
            "own.py:9: pin_gates is none of the hooks of Policy, and would",
        ),
        (
            HEAD + CLASS + "    def on_brake(self): pass",
            "own.py:9: on_brake is none of the hooks of Policy, and would never be",
        ),
        (
            HEAD + CLASS + "    def pin_gate(self, view): pass",
            "own.py:9: pin_gate: expected a method that takes (self, request",
        ),
        (HEAD + CLASS + "    def __post_init__(self): raise SystemExit(0)", "own.py:9: raised SystemExit: 0"),
        (HEAD + CLASS + "    pin_gate = 7", "own.py:9: pin_gate: expected a method, found a int"),
        (
            HEAD + CLASS + "    async def pin_gate(self, request, view): pass",
            "own.py:9: pin_gate: expected a method that returns its answer, found a coroutine",
        ),
        (
            HEAD + CLASS + "    def pin_gate(self, request, view): yield",
            "own.py:9: pin_gate: expected a method that returns its answer, found a generator",
        ),
    ],
)
def test_a_text_that_is_no_policy(text: str, wrong: str) -> None:
    source = PolicySource("own.py:Own", text.encode())
    modules = set(sys.modules)
    with pytest.raises(PolicyError) as caught:
        register(source)
    assert str(caught.value).startswith(wrong)
    assert "\n" not in str(caught.value)
    assert "own.py:Own" not in OWN
    assert not [name for name in set(sys.modules) - modules if name.startswith("longpin_policy")]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("    def pin_gate(self, request, view):\n        SEEN.append(1)\n        return Allow()\n", "changes a list"),
        ("    def lease_type(self, lease):\n        return next(COUNT)\n", "answers 1 and, asked the same again, 2"),
    ],
)
def test_a_hook_that_remembers(body: str, wrong: str) -> None:
    text = HEAD + "from itertools import count\nSEEN = []\nCOUNT = count(1)\n" + CLASS + body
    with pytest.raises(PolicyError, match=f"^own.py:12: .*_.* {wrong}.*: a hook is a function of its arguments$"):
        register(PolicySource("own.py:Own", text.encode()))


def test_a_hook_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the main thread and in an actor's, and where another hook asks it."""
    body = "    def lease_type(self, lease):\n        while lease is None:\n            pass\n        return 0\n"
    body += "    def on_vma_open(self, mapping, copy, view):\n        return self.lease_type(None)\n"
    monkeypatch.setattr("longpin.runner.own_policy.hooks.TRIES", 0)
    asked: Any = register(PolicySource("own.py:Own", (HEAD + CLASS + body).encode()))()
    monkeypatch.setattr("longpin.runner.own_policy.bounds.MOST_SECONDS", 0.05)
    wrong = r"^own.py:1[0-9]: {} has not come to an end after 0.05 s of CPU time$"
    with ThreadPoolExecutor(1) as other:
        ways: list[Callable[..., Any]] = [lambda hook, *facts: hook(*facts), lambda *asks: other.submit(*asks).result()]
        for call in ways:
            with pytest.raises(PolicyError, match=wrong.format("lease_type")):
                call(asked.lease_type, None)
            with pytest.raises(PolicyError, match=wrong.format("on_vma_open")):
                call(asked.on_vma_open, None, None, None)
    assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL


def test_a_file_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longpin.runner.own_policy.bounds.MOST_SECONDS", 0.05)
    for text in ("\nwhile True: pass", HEAD + CLASS + "    def lease_type(self, lease):\n        while True: pass"):
        with pytest.raises(PolicyError, match=r"^own.py:\d+: it has not come to an end after 0.05 s of CPU time$"):
            register(PolicySource("own.py:Own", text.encode()))


def test_super_means_the_base_class() -> None:
    kind = register(own("    def read_lease(self, arg):\n        return super().read_lease(arg)\n"))
    assert kind().read_lease(16) == LayoutLeaseV1().read_lease(16)


# Asking.


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("return {}['x']", "own.py:10: change_gate raised KeyError: 'x'"),
        ("raise SystemExit(0)", "own.py:10: change_gate raised SystemExit: 0"),
        ("return self.lease_type(1)", "own.py:10: change_gate raised AttributeError: 'int' object has no"),
        ("return None", "own.py:9: change_gate answered None, expected Proceed or Fail or BreakLeases or "),
        ("return Fail('EBUSY')", "own.py:9: change_gate answered Fail(errno='EBUSY'), expected Proceed or Fail"),
        ("return Fail(99999)", "own.py:9: change_gate answered Fail(... whose errno Linux does not have"),
        ("return Scan()", "own.py:9: change_gate answered Scan(... but it was shown what a scan has found"),
        ("return WaitFor(())", "own.py:9: change_gate answered WaitFor(... which names nothing"),
        ("return Revoke(())", "own.py:9: change_gate answered Revoke(... which names nothing"),
        ("return DropLease(('x',))", "own.py:9: change_gate answered DropLease(... but there are no such leases"),
        ("return Allow()", "own.py:9: change_gate answered Allow("),
    ],
)
def test_a_hook_that_answers_nonsense(body: str, wrong: str) -> None:
    built = subject(own(f"    def change_gate(self, change, view):\n        {body}\n"))
    with pytest.raises(Exception, match="PolicyError") as caught:
        run(built.scenario, built.settings)
    assert isinstance(caught.value.__cause__, PolicyError)
    start, _, end = wrong.partition("...")
    assert str(caught.value.__cause__).startswith(start)
    assert end in str(caught.value.__cause__)


def test_a_mistake_in_a_helper_of_an_inherited_hook_is_the_policys() -> None:
    kind = register(own("    def lease_type(self, lease):\n        return 1 // (lease - lease)\n"))
    with pytest.raises(PolicyError, match=r"^own.py:10: lease_type raised ZeroDivisionError"):
        kind().lease_type(1)  # type: ignore[arg-type]


def test_every_hook_that_is_not_the_base_rule_is_looked_at() -> None:
    kind = register(own())
    changed = {name for name in HOOKS if getattr(kind, name) is not getattr(LayoutLeaseV1, name)}
    assert changed == {name for name in HOOKS if getattr(LayoutLeaseV1, name) is not getattr(Policy, name)}
    assert {"pin_gate", "change_gate"} <= changed < set(HOOKS)


@pytest.mark.parametrize("scenario", ["zombie-lease", "holders-are-killed", "layout-lease-ignored"])
def test_no_answer_of_longpins_own_is_taken_for_a_mistake(scenario: str) -> None:
    """A class that changes nothing does what its base does."""
    for name, base in POLICIES.items():
        derived = CLASS.replace("LayoutLeaseV1", "Base")
        text = f"{HEAD}from {base.__module__} import {base.__name__} as Base\n{derived}    pass"
        source = PolicySource(f"{name}.py:Own", text.encode())
        register(source)
        for preset in base.presets:
            settings = Settings(name, preset)
            one, other = (
                run(load_scenario(scenario), its)
                for its in (settings, replace(settings, policy=source.name, source=source))
            )
            assert one.hash == other.hash, (name, preset)


# Elsewhere.


def test_another_process_needs_no_file(tmp_path: Path) -> None:
    body = "    def change_gate(self, change, view):\n        return Fail(16)\n    errnos = {'truncate': {'EBUSY'}}\n"
    built = subject(own(body, "nowhere/own.py:Own"))
    script = "import pickle, sys; from longpin.runner.run import run; s = pickle.load(sys.stdin.buffer); "
    script += "print(run(s.scenario, s.settings).calls[-1].errno, s.settings.policy_name)"
    done = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps(built), capture_output=True, check=True, cwd=tmp_path
    )
    assert done.stdout.decode().split() == [errno.errorcode[16], "nowhere/own.py:Own:intended"]


def test_the_hash_is_of_the_file_and_part_of_what_is_searched() -> None:
    one, other = subject(own()), subject(own("    pass  # the same, in other words\n"))
    assert (one.settings.source or own()).sha256 != (other.settings.source or own()).sha256
    hashes = {configuration_hash(its.scenario, its.settings) for its in (one, other)}
    assert len(hashes) == 2
    assert configuration_hash(one.scenario, replace(one.settings, seed=7)) in hashes
