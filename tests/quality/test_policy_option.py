"""A policy that is given means exactly what it says, and wherever one is named that name can be pasted back."""

import json
import shlex
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from longpin.messages.trace import TraceReader
from longpin.runner.commands import cli
from longpin.runner.failures.store import read_record

OWN = "P5:intended,lease_check=active_only"
SCENARIO = """\
name = "own-parameters"
[policy]
name = "P5"
preset = "intended"
lease_check = "active_only"
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "holder"
program = '''
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)
label("leased")
wait_for("tried")
'''
[[process]]
name = "other"
program = '''
wait_for("leased")
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)   # P5:intended -> EPERM
label("tried")
'''
"""
"""Somebody else's lease lets it pin, unless ``lease_check`` is the ``own_tgid`` of the preset."""

BROKEN = SCENARIO.replace("P5:intended -> EPERM", "-> EBUSY")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(SCENARIO)
    Path("broken.toml").write_text(BROKEN)
    return tmp_path


def longpin(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, env={"COLUMNS": "100"})


def registered(result: Result) -> str:
    """Return how the registration ended."""
    (call,) = [call for call in json.loads(result.stdout)["calls"] if call["call"] == "ibv_reg_mr"]
    return str(call["errno"])


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("given", "named", "ends"),
    [
        (None, OWN, "None"),
        (OWN, OWN, "None"),
        ("P5:intended", "P5:intended", "EPERM"),
        ("P5", "P5:intended", "EPERM"),
        ("P5:as_posted", "P5:as_posted", "None"),
        ("P5:as_posted,lease_check=own_tgid", "P5:as_posted,lease_check=own_tgid", "EPERM"),
        ("P5:intended,lease_check=own_tgid", "P5:intended", "EPERM"),
    ],
)
def test_no_parameter_of_the_scenario_survives_the_option(given: str | None, named: str, ends: str) -> None:
    options = [] if given is None else ["--policy", given]
    made = longpin("run", "own.toml", "--json", "--trace", "t.trace", *options)
    assert (json.loads(made.stdout)["policy"], registered(made)) == (named, ends)
    for verb in (["run", "own.toml"], ["explore", "own.toml", "--workers", "1"], ["stress", "own.toml", "--runs", "8"]):
        shown = longpin(*verb, *options)
        assert f"\npolicy: {named}" in shown.stdout, shown.stderr
        assert json.loads(longpin(*verb, *options, "--json").stdout)["policy"] == named
    replayed = longpin("replay", "t.trace", "--json")
    assert (json.loads(replayed.stdout)["policy"], registered(replayed)) == (named, ends)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("given", [None, "P5:as_posted,evict_waits=true", "P5:intended"])
def test_what_repeats_a_failure_names_the_policy_in_full(given: str | None) -> None:
    options = [] if given is None else ["--policy", given]
    named = given or OWN
    failed = longpin("run", "broken.toml", *options)
    again = longpin(*shlex.split(failed.stdout.splitlines()[-1])[1:])
    assert failed.exit_code == 1
    assert again.stdout == failed.stdout
    assert f"policy: {named}: " in again.stdout
    found = longpin("explore", "broken.toml", "--workers", "1", "--junit", "junit.xml", *options)
    assert f"under {named}, timers lazy" in " ".join(found.stdout.split())
    replayed = longpin(*shlex.split(found.stdout.splitlines()[-1])[1:])
    assert replayed.exit_code == 1
    assert f"policy: {named}: " in replayed.stdout
    (case,) = ET.parse("junit.xml").getroot().iter("testcase")
    assert str(case.get("name")).endswith(f" {named}")
    (record,) = [read_record(path) for path in Path("longpin-failures").glob("*.json")]
    assert record.policy == named
    (trace,) = Path("longpin-failures").glob("*.trace")
    assert f'policy = "{named}"' in TraceReader(trace).header.scenario


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, f"{OWN},kernel=6.12,evict_waits=true"),
        ("P5:intended", "P5:intended"),
        ("P5:intended,kernel=6.1", "P5:intended,kernel=6.1"),
        ("P5:as_posted,kernel=5.4,evict_waits=false", "P5:as_posted"),
    ],
)
def test_the_machines_kernel_is_named_with_the_scenarios_own_policy_and_no_other(given: str | None, named: str) -> None:
    Path("own.toml").write_text(SCENARIO + '[machine]\nkernel = "6.12,evict_waits=true"\n')
    options = [] if given is None else ["--policy", given]
    made = longpin("run", "own.toml", "--json", "--trace", "t.trace", *options)
    assert json.loads(made.stdout)["policy"] == named
    assert json.loads(longpin("replay", "t.trace", "--json").stdout)["policy"] == named
    assert json.loads(longpin("run", "own.toml", "--json", "--policy", named).stdout)["policy"] == named
    Path("broken.toml").write_text(Path("broken.toml").read_text() + '[machine]\nkernel = "6.12,evict_waits=true"\n')
    found = longpin("explore", "broken.toml", "--workers", "1", *options)
    assert found.exit_code == 1
    (trace,) = Path("longpin-failures").glob("*.trace")
    assert json.loads(longpin("replay", str(trace), "--json").stdout)["policy"] == named


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("verb", ["run", "explore", "stress"])
@pytest.mark.parametrize(
    "given", ["P5,lease_check=nobody", "P5:lease_check=own_tgid", "P5,odd=1", "P5,", "P5:intended,evict_waits=yes"]
)
def test_a_mistake_is_one_line(verb: str, given: str) -> None:
    result = longpin(verb, "own.toml", "--policy", given)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith("longpin: --policy: ")
