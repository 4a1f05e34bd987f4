"""Failures are made as small as they can be, kept whole, tried first, and told with a line that shows them again."""

import dataclasses
import io
import json
import shlex
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from longpin.actors.policies import POLICIES
from longpin.config.loader import load_scenario, parse_scenario, shipped_scenarios
from longpin.config.schema import Scenario
from longpin.runner.commands.cli import main
from longpin.runner.conclusions import Explored
from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration import BrokenRule, Failure, explore
from longpin.runner.failures.effort import Limits, ShrinkEnd
from longpin.runner.failures.found import FoundFailure, configuration_hash
from longpin.runner.failures.keep import Kept, handle, keep, still_fails, try_known
from longpin.runner.failures.schedule import follow
from longpin.runner.failures.shrink import shrink
from longpin.runner.failures.store import RecordError, Size, known, read_record, stem
from longpin.runner.files import write_atomically
from longpin.runner.report import Report
from longpin.runner.report.as_json import write_json
from longpin.runner.report.console import ConsoleReport
from longpin.runner.report.failure import as_objects
from longpin.runner.result import Verdict
from longpin.runner.run import replay, run
from longpin.runner.sampling import stress
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

NOISE = """
[[pmem]]
name = "noise"

[[file]]
path = "/noise/noise"
pmem = "noise"
size = "8 * PAGE"

[[process]]
name = "noise"
on_signal.SIGUSR1 = '''
sleep(1)
'''
program = '''
n = open("/noise/noise", O_RDWR)
for i in range(3):
    write(n, "noise")
    lseek(n, i)
sleep(7)
close(n)
'''

[[process]]
name = "parent"
uid = 7
program = '''
p = open("/pmem/noise", O_RDONLY)
fork("grandchild")
read(p, 100)
kill("noise", SIGUSR1)
'''

[[process]]
name = "grandchild"
start = "fork"
program = '''
close(p)
'''
"""

LINES = {
    "pause()": "dup(fd)\nsleep(3)\nlseek(fd, 4096)\npause()",
    'wait_for("registered")\ntruncate': 'wait_for("registered")\nt = open("/pmem/data", O_RDWR)\nread(t, 9)\ntruncate',
    'label("unmapped")': 'dup(fd)\nlseek(fd, 4096)\nfor i in range(2):\n    read(fd, i)\nlabel("unmapped")',
    "2 * PAGE": "16 * PAGE",
    "\nfd  = open(": '\ne = open("/pmem/noise", O_RDONLY)\nclose(e)\nfd  = open(',
}


def hazard(name: str, timers: str = "lazy", policy: str | None = None) -> FoundFailure | None:
    """Return what a short exploration of a shipped scenario finds."""
    return found_in(load_scenario(name), timers, policy)


def found_in(scenario: Scenario, timers: str = "lazy", policy: str | None = None) -> FoundFailure | None:
    settings = Settings.of(scenario, timers=timers)
    if policy is not None:
        name, preset = policy.split(":")
        settings = Settings(name, preset, timers=timers)  # type: ignore[arg-type]
    subject = Subject(scenario, settings)
    result = explore(
        subject.build,
        method="dpor",
        check=subject.check,
        always=subject.always,
        racy=timers == "racy",
        max_executions=300,
    )
    if not result.failures:
        return None
    return FoundFailure(scenario, settings, result.failures[0].broken, result.failures[0].decisions, "explore (dpor)")


@cache
def race() -> FoundFailure:
    """Return a failure that depends on the schedule."""
    found = hazard("lease-shared", "racy")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A failure in a folder."""
    return keep(race(), tmp_path_factory.mktemp("kept"))


@pytest.fixture
def copied(kept: Kept, tmp_path: Path) -> Kept:
    """The same failure in a folder of the test's own, which tries it again instead of making it small."""
    folder = tmp_path / "copied"
    shutil.copytree(kept.json.parent, folder)
    return keep(race(), folder, progress=interrupting(0))


def noisy(name: str) -> Scenario:
    """Return a shipped scenario with processes, calls and sizes in it that have nothing to do with its hazard."""
    text = load_scenario(name).text
    for before, after in LINES.items():
        text = text.replace(before, after)
    return parse_scenario(text.replace("\n[[process]]", NOISE + "\n[[process]]", 1), f"{name}.toml")


def test_planted_noise_is_removed() -> None:
    """What remains of truncate-waits is an application that pins a page, and a truncate."""
    found = found_in(noisy("truncate-waits"))
    assert found is not None
    shrunk = shrink(found, Limits(seconds=None))
    before, after = Size.of(found.scenario, shrunk.before), Size.of(shrunk.found.scenario, shrunk.schedule)
    assert (before.processes, before.operations) == (6, 31)
    assert (after.processes, after.operations, after.preemptions) == (2, 7, 0)
    assert shrunk.found.scenario.text.endswith(
        """\
[[file]]
path = "/pmem/data"
size = "PAGE"

[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/pmem/data", O_RDWR)
buf = mmap(PAGE, PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)      # P1 -> ok; P0 -> EOPNOTSUPP; P5 -> EPERM
pause()
'''

[[process]]
name = "truncater"
program = '''
truncate("/pmem/data", 0)                             # P1 -> hangs; P0 -> 0; P5 -> 0
'''
"""
    )
    assert shrunk.end is ShrinkEnd.SIMPLEST


def test_a_race_stays_one() -> None:
    """Run plainly, what remains of a scenario is as well as the scenario was."""
    shrunk = shrink(race(), Limits(seconds=None))
    assert run(race().scenario, Settings.of(race().scenario)).verdict is Verdict.HOLDS
    assert run(shrunk.found.scenario, Settings.of(shrunk.found.scenario)).verdict is Verdict.HOLDS
    assert (shrunk.found.broken.rule, shrunk.found.broken.site) == (race().broken.rule, race().broken.site)
    assert "fcntl(fd, F_SETLEASE, F_RDLCK)" in shrunk.found.scenario.text
    assert len(shrunk.schedule.preempting) < len(shrunk.before.preempting)


@pytest.mark.parametrize("executions", [1, 40, pytest.param(200, marks=pytest.mark.heavy)])
def test_bounded_work_ends_and_repeats_itself(executions: int) -> None:
    limits = Limits(executions, None)
    one, other = shrink(race(), limits), shrink(race(), limits)
    assert one == other
    assert one.end is ShrinkEnd.EXECUTIONS
    # What one exploration of a candidate may take is known only when it has ended.
    assert one.executions <= executions + 500
    assert follow(one.found.subject(), one.found.decisions).broken == one.found.broken


def test_no_time_at_all_leaves_it_as_it_is() -> None:
    shrunk = shrink(race(), Limits(seconds=0.0))
    assert shrunk.end is ShrinkEnd.SECONDS
    assert shrunk.found.scenario == race().scenario


def interrupting(after: int) -> Callable[[int, float, str], None]:
    """Return a progress callback that is interrupted as by Ctrl-C."""
    calls = iter(range(after))

    def progress(_done: int, _total: float, _note: str) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt

    return progress


def test_interrupted_it_keeps_what_it_has(tmp_path: Path) -> None:
    shrunk = shrink(race(), Limits(seconds=None), interrupting(3))
    assert shrunk.end is ShrinkEnd.INTERRUPTED
    sizes = [Size.of(its.scenario, shrunk.before).operations for its in (race(), shrunk.found)]
    assert sizes[1] < sizes[0]
    kept = keep(race(), tmp_path, progress=interrupting(3))
    assert kept.record.end == ShrinkEnd.INTERRUPTED.value
    assert replay(kept.trace).verdict is Verdict.VIOLATED


def test_what_does_not_fail_is_not_shrunk() -> None:
    with pytest.raises(InternalError, match="not repeatable: expected 0"):
        shrink(dataclasses.replace(race(), broken=BrokenRule("expected 0", "O7", "elsewhere")))


def test_what_is_kept(kept: Kept) -> None:
    assert kept.json.name == f"{stem(race())}.json"
    assert stem(race()).startswith("lease-shared-O7-")
    assert sorted(path.name for path in kept.json.parent.iterdir()) == [kept.json.name, kept.trace.name]
    record = read_record(kept.json)
    assert record == kept.record
    assert (record.rule, record.site, record.by, record.seed) == (*race().broken[1:], "explore (dpor)", 0)
    assert record.configuration == configuration_hash(race().scenario, race().settings)
    assert tuple(record.decisions) == race().decisions
    assert record.after.operations < record.before.operations
    assert record.after.decisions < record.before.decisions == len(race().decisions)


def test_the_same_failure_is_not_shrunk_again(kept: Kept) -> None:
    before = kept.json.stat()
    again = keep(dataclasses.replace(race(), by="somebody else"), kept.json.parent, progress=interrupting(0))
    assert again.record == kept.record
    assert again.json.stat() == before
    assert again.shrunk.text == kept.shrunk.text


@pytest.mark.heavy
def test_a_trace_that_is_gone_or_damaged_is_written_again(copied: Kept) -> None:
    whole = copied.trace.read_bytes()
    for damaged in (whole[:100], whole[:-40] + b"x" * 40):
        copied.trace.write_bytes(damaged)
        assert keep(race(), copied.json.parent).record == copied.record
        assert copied.trace.read_bytes() == whole


@pytest.mark.heavy
def test_what_another_version_kept_is_shrunk_again(copied: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longpin.__version__", "0.0")
    again = keep(race(), copied.json.parent)
    assert again.record.longpin == read_record(again.json).longpin == "0.0"


def test_what_is_shown_ends_where_the_rule_is_broken_and_the_trace_goes_on(kept: Kept) -> None:
    assert kept.result.arrivals == kept.violation.arrival == kept.record.after.decisions
    whole = replay(kept.trace)
    assert whole.arrivals > kept.result.arrivals
    assert whole.violations[0] == kept.violation


def test_another_configuration_is_another_failure() -> None:
    settings, scenario = race().settings, race().scenario
    others = [
        dataclasses.replace(settings, timers="lazy"),
        dataclasses.replace(settings, preset="as_posted"),
        Settings("P1", "intended", timers="racy"),
    ]
    text = parse_scenario(scenario.text + "\n# more\n", "lease-shared.toml")
    hashes = [configuration_hash(scenario, its) for its in (settings, *others)] + [configuration_hash(text, settings)]
    assert len(set(hashes)) == 5
    assert configuration_hash(scenario, dataclasses.replace(settings, seed=7)) == hashes[0]


def test_known_failures_are_those_of_the_configuration(kept: Kept) -> None:
    told: list[str] = []
    subject = race().subject()
    assert known(kept.json.parent, subject, told.append) == [race()]
    other = Subject(race().scenario, dataclasses.replace(race().settings, timers="lazy"))
    assert known(kept.json.parent, other, told.append) == []
    assert known(kept.json.parent / "nowhere", subject, told.append) == []
    assert told == []


def test_a_known_failure_still_fails_whatever_its_decisions_became(kept: Kept) -> None:
    (found,) = known(kept.json.parent, race().subject(), pytest.fail)
    assert still_fails(found) == race()
    lenient = dataclasses.replace(
        found, decisions=("nobody", *found.decisions[:20], "process:7", *found.decisions[20:])
    )
    assert still_fails(lenient) == race()


def test_what_does_not_fail_any_more_is_said(kept: Kept) -> None:
    told: list[str] = []
    fixed = dataclasses.replace(race(), broken=BrokenRule("gone", "O1", "nowhere"))
    assert still_fails(fixed) is None
    assert try_known([fixed, race()], told.append) == race()
    assert told == [f"{stem(fixed)}: it does not fail any more; it is kept"]
    assert kept.json.exists()


DAMAGED = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "binary": lambda _: b"\xff\xfe\x00",
    "deep": lambda _: b"[" * 100_000,
    "digits": lambda data: data.replace(b'"seed": 0', b'"seed": ' + b"9" * 5000),
    "list": lambda _: b"[1, 2]",
    "foreign": lambda _: b'{"format": "other"}',
    "newer": lambda data: data.replace(b'"number": 1', b'"number": 2'),
    "type": lambda data: data.replace(b'"seed": 0', b'"seed": "0"'),
    "more": lambda data: data.replace(b'"seed": 0', b'"seed": 0, "__class__": "os.system"'),
    "less": lambda data: data.replace(b'"seed": 0,', b""),
    "path": lambda data: data.replace(b'"trace": "', b'"trace": "../'),
}  # type: dict[str, Callable[[bytes], bytes]]


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_and_foreign_files_are_named_in_a_line(kind: str, kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_bytes(kept.json.read_bytes())
    bad = tmp_path / "bad.json"
    bad.write_bytes(DAMAGED[kind](kept.json.read_bytes()))
    told: list[str] = []
    assert known(tmp_path, race().subject(), told.append) == [race()]
    assert len(told) == 1
    assert told[0].startswith(f"{bad}: ")
    assert len(told[0].splitlines()) == 1


def test_what_is_no_file_is_named_too(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    (tmp_path / "b.json").symlink_to("nowhere")
    (tmp_path / "c.json").write_bytes(b" " * (17 << 20))
    (tmp_path / "notes.txt").write_text("not mine")
    told: list[str] = []
    assert known(tmp_path, race().subject(), told.append) == []
    assert [line.rpartition("/")[2] for line in told] == [
        "a.json: not a file",
        "b.json: not a file",
        "c.json: larger than any failure",
    ]


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x.json"

    def dies(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, dies)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RecordError, match=r"x\.json: not a file"):
        read_record(path)


def test_what_cannot_be_kept_is_told_and_shown_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = keep(race(), tmp_path / "file", progress=interrupting(0))
    assert kept.not_kept == f"{tmp_path / 'file'}: cannot be written: File exists"
    assert (kept.result.verdict, kept.violation.rule) == (Verdict.VIOLATED, race().broken.rule)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_handler_that_raises_is_a_bug_and_not_kept(tmp_path: Path) -> None:
    failure = Failure(BrokenRule("KeyError: 7"), ())
    with pytest.raises(InternalError, match="KeyError: 7"):
        handle(race().subject(), failure, "explore", 0, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_failing_sample_is_kept_with_its_seed(tmp_path: Path) -> None:
    subject = race().subject()
    campaign = stress(subject.build, runs=500, seed=11, check=subject.check, always=subject.always, racy=True)
    first = campaign.failures[0]
    kept = handle(subject, first, first.strategy, first.seed, tmp_path)
    assert kept.record.seed == first.seed >= 11
    assert (kept.violation.rule, kept.violation.site) == first.broken[1:]
    assert replay(kept.trace).seed == first.seed


def printed(kept: Kept, width: int = 100) -> str:
    text = io.StringIO()
    report: Report = ConsoleReport(Console(width=width, color_system=None), text)
    report.show(Explored(kept.found.subject(), None, kept))
    return text.getvalue()


def test_the_last_line_printed_shows_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is pasted into a shell: the folder has a name that needs care."""
    monkeypatch.chdir(tmp_path)
    kept = keep(race(), "-it's a folder")
    words = shlex.split(printed(kept, width=40).splitlines()[-1])
    assert words[0] == "longpin"
    outcome = CliRunner().invoke(main, words[1:])
    assert outcome.exit_code == 1
    assert "violated: O7" in outcome.stdout
    assert race().broken.site.startswith("fcntl of child")
    assert "child: fcntl(fd, F_SETLEASE, F_UNLCK): expected 0, found EAGAIN" in " ".join(outcome.stdout.split())


def test_the_order_of_the_report(kept: Kept) -> None:
    text = printed(kept)
    said = [
        "violated: lease-shared under P5:intended, timers racy",
        "O7: errnos: a call fails only as its man page and the policy allow",
        f"at arrival {kept.violation.arrival}: ",
        "45 s",
        "what remained of the scenario:",
        'fork("child")\n',
        f"made small: {kept.record.before.decisions} -> {kept.record.after.decisions} decisions, ",
        "judged by: O1, O1', O2, O3, O6, O7\n",
        "found by: explore (dpor), seed 0\n",
        "longpin replay ",
    ]
    at = 0
    for piece in said:
        at = text.index(piece, at)
    assert len(text[at:].splitlines()) == 1


def test_the_object_for_programs(kept: Kept) -> None:
    text = io.StringIO()
    write_json(as_objects(kept), text)
    assert text.getvalue().isascii()
    assert len(text.getvalue().splitlines()) == 1
    made = json.loads(text.getvalue())
    failure, found = made["failure"], made["found"]
    assert (failure["rule"], failure["site"]) == race().broken[1:]
    assert failure["replay"] == f"longpin replay {shlex.quote(str(kept.trace))}"
    assert failure["after"]["decisions"] < failure["before"]["decisions"]
    assert parse_scenario(failure["scenario"], "x").name == "lease-shared"
    assert (found["by"], found["kept"], made["not_kept"]) == (kept.record.by, str(kept.json), None)
    lost = as_objects(kept._replace(not_kept="no space"))
    assert (lost["failure"]["trace"], lost["failure"]["replay"], lost["found"]["kept"]) == (None, None, None)
    assert lost["not_kept"] == "no space"


def replays(kept: Kept, times: int = 100) -> None:
    results = [replay(kept.trace) for _ in range(times)]
    assert {(result.verdict, result.hash) for result in results} == {(Verdict.VIOLATED, results[0].hash)}
    first = results[0].violations[0]
    assert (first.rule, first.site) == kept.found.broken[1:]


def test_a_kept_failure_replays_100_times(kept: Kept) -> None:
    replays(kept)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("timers", ["lazy", "racy"])
@pytest.mark.parametrize("policy", [f"{name}:{preset}" for name, its in POLICIES.items() for preset in its.presets])
def test_every_hazard_replays_100_times(policy: str, timers: str, tmp_path: Path) -> None:
    """What is found in shipped scenarios: ``pytest -m heavy tests/quality/test_failures.py``, minutes."""
    for name in shipped_scenarios():
        if (found := hazard(name, timers, policy)) is not None:
            kept = keep(found, tmp_path)
            assert kept.record.after.operations <= kept.record.before.operations
            replays(kept)


@pytest.mark.heavy
def test_noise_around_stray_dma_is_removed() -> None:
    """As small as what remains without the noise: ``pytest -m heavy tests/quality/test_failures.py``, a minute."""
    sizes = []
    for scenario in (load_scenario("stray-dma"), noisy("stray-dma")):
        found = found_in(scenario)
        assert found is not None
        shrunk = shrink(found, Limits(100_000, None))
        size = Size.of(shrunk.found.scenario, shrunk.schedule)
        sizes.append((size.processes, size.operations))
    assert sizes == [(2, 16), (2, 16)]
