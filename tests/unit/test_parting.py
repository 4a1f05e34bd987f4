"""The decisions of a trace under another policy: how far they are followed, where the runs part, and what is said."""

import dataclasses
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import msgpack  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result
from command_line import longpin as fresh
from quality.json_output import valid

from longpin import api
from longpin.actors.base import Actor
from longpin.config.loader import load_scenario
from longpin.messages.codec import decode
from longpin.messages.frames import CHAIN_START, MAGIC
from longpin.messages.trace import TraceReader, TraceWriter
from longpin.runner.commands import cli
from longpin.runner.exploration.result import Failure
from longpin.runner.failures.effort import Limits
from longpin.runner.failures.keep import handle
from longpin.runner.failures.other import AsFarAs, follow_elsewhere
from longpin.runner.failures.schedule import follow
from longpin.runner.run import replay, run
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

ANSWERED = "layout-lease-answered"
IGNORED = "layout-lease-ignored"
IN_ROLES = "uses-of-a-registration"
SHARED = "lease-shared"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def longpin(*arguments: str, columns: int = 120) -> Result:
    return CliRunner().invoke(cli.main, arguments, env={"COLUMNS": str(columns)})


def recorded(scenario: str, policy: str = "P5", **options: object) -> io.BytesIO:
    trace = io.BytesIO()
    api.run(scenario, policy, trace=trace, **options)  # type: ignore[arg-type]
    return trace


def senders(trace: io.BytesIO | bytes) -> list[str]:
    reader = TraceReader(io.BytesIO(trace) if isinstance(trace, bytes) else trace)
    return [decode(payload)[1].src for _, payload in reader]


def subject(scenario: str, policy: str, timers: str = "racy") -> Subject:
    loaded = load_scenario(scenario)
    return Subject(loaded, Settings.of(loaded, policy=policy, preset="intended", timers=timers))


def failure(its: Subject) -> Failure:
    found = api.explore(its.scenario, its.settings.policy, timers="racy", method="states", shrink=0).exploration
    assert found is not None
    return found.failures[0]


# What is followed.


@pytest.mark.parametrize(("engine", "timers"), [("stepped", "lazy"), ("stepped", "racy"), ("threads", None)])
def test_under_its_own_policy_a_trace_does_not_part(engine: str, timers: str | None) -> None:
    oracle = "random" if engine == "stepped" else None
    trace = recorded(IGNORED, engine=engine, timers=timers, oracle=oracle, seed=7)
    plain = api.replay(trace)
    under = api.replay_under(trace, "P5")
    assert under.beside is not None
    assert under.beside.parting is None
    assert under.beside.alike == under.beside.followed == under.beside.until == plain.arrivals
    assert under.beside.recorded == plain
    assert (under.result.hash, under.result.verdict, under.result.events) == (plain.hash, plain.verdict, plain.events)


def test_p5_and_p1_part_where_the_lease_is_asked_for() -> None:
    trace = recorded(IGNORED)
    under = api.replay_under(trace, "P1")
    result, beside = under.result, under.beside
    assert beside is not None
    parting = beside.parting
    assert parting is not None
    assert parting.question is not None
    assert (parting.question.hook, parting.question.recorded, parting.question.other) == (
        "read_lease",
        "LeaseRequest(type=0, kind=layout)",
        "nothing",
    )
    assert parting.arrival == beside.alike + 1 == parting.question.arrival + 1
    assert parting.other == "inode:/pmem/data => file:100.2: Failed(EINVAL)"
    (lease,) = [call for call in result.calls if call.call == "fcntl"]
    assert (lease.errno, beside.recorded.verdict) == ("EINVAL", api.Verdict.HOLDS)
    assert (result.verdict, result.violations[0].rule, result.policy) == (api.Verdict.VIOLATED, "O3", "P1:intended")


@pytest.mark.parametrize("policy", ["P0", "P1", "P2", "P4", "P6", "P8", "P10"])
@pytest.mark.parametrize("timers", ["lazy", "racy"])
def test_the_decisions_are_followed_up_to_one_that_cannot_be(policy: str, timers: str) -> None:
    """Up to there every decision is carried out, in that order; between them nobody but the kernel goes on."""
    for seed in range(3):
        trace = recorded(SHARED, oracle="random", timers=timers, seed=seed)
        decisions, written = senders(trace), io.BytesIO()
        its = subject(SHARED, policy, timers)
        oracle = AsFarAs(decisions)
        result = run(its.scenario, its.settings, written, oracle)
        made = senders(written)
        left = list(decisions[: oracle.followed])
        for sender in made[: oracle.until]:
            if left[:1] == [sender]:
                left.pop(0)
            else:
                assert not re.match(r"(run_queue:)?process:|alarm", sender)
        assert not left
        if oracle.followed < len(decisions):
            again = Watching(decisions)
            run(its.scenario, its.settings, None, again)
            assert again.ready
            assert decisions[oracle.followed] not in again.ready
        assert result.arrivals == len(made)


class Watching(AsFarAs):
    """Notes who could go when the decisions could not be followed any more."""

    ready: tuple[str, ...] = ()

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose."""
        index = super().next_arrival(ready)
        if self.left and not self.ready:
            self.ready = tuple(actor.address for actor in ready)
        return index


def test_a_step_more_of_the_kernel_is_no_decision() -> None:
    """P2 has a gate for faults, which takes a turn in the inode's queue; the decisions go on up to the truncate."""
    under = api.replay_under(recorded("truncate-waits", "P1"), "P2")
    beside = under.beside
    assert beside is not None
    assert beside.until > beside.followed > beside.alike
    truncate = next(
        event for event in under.result.events if isinstance(event, api.events.CallReturned) and event.errno
    )
    assert truncate.op.call == "truncate"
    assert beside.parting is not None
    assert beside.parting.question is not None
    assert beside.parting.question.hook == "change_gate"


def test_after_the_decisions_time_moves_last_and_the_first_goes_first() -> None:
    its = subject(SHARED, "P5")
    plain = dataclasses.replace(its.settings, timers="lazy")
    lazily, alone = io.BytesIO(), io.BytesIO()
    run(its.scenario, plain, lazily)
    run(its.scenario, its.settings, alone, AsFarAs(()))
    assert senders(alone) == senders(lazily)


def test_a_trace_that_was_cut_short_goes_on(folder: Path) -> None:
    whole = recorded(IGNORED)
    reader = TraceReader(whole)
    payloads = [payload for _, payload in reader]
    with TraceWriter(folder / "cut", reader.header) as writer:
        for payload in payloads[:30]:
            writer.append(payload)
        writer.close(complete=False)
    under = api.replay_under("cut", "P5")
    assert under.beside is not None
    assert (under.beside.parting, under.beside.alike, under.beside.followed) == (None, 30, 30)
    assert under.beside.recorded.verdict is api.Verdict.UNDETERMINED
    assert under.result.verdict is api.Verdict.HOLDS
    shown = longpin("replay", "cut", "--policy", "P5").stdout
    assert "alike: all 30 arrivals of the trace, which was cut short there" in shown
    assert "decisions: all 30 could be followed; from arrival 31 on first in, first out" in shown


def test_a_trace_that_diverges_says_so_and_nothing_of_another_policy() -> None:
    reader = TraceReader(recorded(IGNORED))
    payloads = [payload for _, payload in reader]
    with TraceWriter("other", dataclasses.replace(reader.header, policy="P1", parameters={})) as writer:
        for payload in payloads:
            writer.append(payload)
    under = api.replay_under("other", "P5")
    assert (under.beside, under.verdict) == (None, api.Verdict.DIVERGED)
    done = longpin("replay", "other", "--policy", "P5", "--json")
    assert (done.exit_code, valid("replay", done.stdout)["recorded"]) == (2, None)


def test_an_interrupted_run_parts_nowhere(folder: Path) -> None:
    """What was not run is no difference."""
    longpin("run", IGNORED, "--trace", "t")

    def interrupt(event: api.Event) -> None:
        if isinstance(event, api.events.BlocksPinned):
            raise KeyboardInterrupt

    under = api.replay_under("t", "P5", observers=[interrupt])
    assert under.beside is not None
    assert under.beside.parting is None
    assert under.beside.alike == under.result.arrivals < under.beside.recorded.arrivals
    assert (under.verdict, under.result.reason[:11]) == (api.Verdict.UNDETERMINED, "interrupted")


# Scenarios in roles.


def test_a_story_in_roles_is_told_in_the_words_of_each_policy() -> None:
    under = api.replay_under(recorded(IN_ROLES), "P1")
    assert under.beside is not None
    assert under.beside.parting is not None
    assert "their programs differ" in under.beside.parting.cause
    assert under.beside.parting.question is None
    calls = [{call.call for call in one.calls} for one in (under.beside.recorded, under.result)]
    assert {"fcntl", "sigwaitinfo"} <= calls[0]
    assert not {"fcntl", "sigwaitinfo"} & calls[1]
    assert not under.beside.retold


def test_a_failure_that_was_made_small_is_told_again(folder: Path) -> None:
    """Its trace has the calls of one policy; another one with other words is asked about the whole story."""
    its = subject(IN_ROLES, "P5")
    kept = handle(its, failure(its), "a test", 0, folder, Limits(executions=40))
    header = TraceReader(kept.trace).header
    assert "@" not in header.scenario
    assert header.told == its.scenario.text
    assert header.told_decisions.split("\n") == kept.record.decisions
    assert follow(its, header.told_decisions.split("\n")).broken is not None
    small = api.replay(kept.trace)
    for policy, retold in (("P5:as_posted", False), ("P1", True)):
        under = api.replay_under(kept.trace, policy)
        assert under.beside is not None
        assert under.beside.retold is retold
        assert (under.beside.recorded.hash == small.hash) is not retold
        assert under.beside.recorded.verdict is api.Verdict.VIOLATED
        assert ("fcntl" in {call.call for call in under.result.calls}) is not retold
        assert under.result.trace == str(kept.trace)
    assert "followed as it was told" in " ".join(longpin("replay", str(kept.trace), "--policy", "P1").stdout.split())


def test_what_was_told_can_be_damaged(folder: Path) -> None:
    header = dataclasses.replace(TraceReader(recorded(IN_ROLES)).header, told="name = ''", told_decisions="world")
    payloads = [payload for _, payload in TraceReader(recorded(IN_ROLES))]
    with TraceWriter("odd", header) as writer:
        for payload in payloads:
            writer.append(payload)
    assert api.replay("odd").arrivals == len(payloads)  # it needs nothing of that
    done = longpin("replay", "odd", "--policy", "P1")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "the scenario as it was told in the header: " in done.stderr


# A counterexample of another policy's.


def test_a_counterexample_of_one_policy_breaks_the_rule_under_another() -> None:
    decisions = failure(subject(SHARED, "P1")).decisions
    for policy in ("P2", "P6"):
        its = subject(SHARED, policy)
        made = follow_elsewhere(its, decisions)
        assert made.failure is not None
        assert made.decisions == tuple(senders(made.trace))
        assert replay(io.BytesIO(made.trace)).violations == made.result.violations
        broken = follow(its, made.failure.decisions).broken
        assert broken is not None
        assert broken[1:] == made.failure.broken[1:]


def test_what_cannot_be_followed_is_left_out_in_a_second_try() -> None:
    decisions, its = failure(subject(SHARED, "P8")).decisions, subject(SHARED, "P4")
    strict = run(its.scenario, its.settings, None, AsFarAs(decisions))
    assert not strict.violations
    made = follow_elsewhere(its, decisions)
    assert made.skipped
    assert made.failure is not None
    assert follow(its, made.failure.decisions).broken is not None


def test_no_rule_that_holds_is_found_violated() -> None:
    made = follow_elsewhere(subject(IGNORED, "P5", "lazy"), failure(subject(IGNORED, "P1")).decisions)
    assert made.failure is None
    assert made.result.verdict is api.Verdict.HOLDS
    assert not made.skipped


# What is shown.


def test_both_are_shown_side_by_side_or_one_below_the_other() -> None:
    longpin("run", IGNORED, "--trace", "t")
    wide, narrow = longpin("replay", "t", "--policy", "P1"), longpin("replay", "t", "--policy", "P1", columns=70)
    assert wide.exit_code == narrow.exit_code == 1
    assert wide.stdout.splitlines()[-1] == narrow.stdout.splitlines()[-1] == "longpin replay t --policy P1"
    assert max(map(len, wide.stdout.splitlines())) <= 120
    assert max(map(len, narrow.stdout.splitlines())) <= 70
    (heads,) = [line for line in wide.stdout.splitlines() if re.fullmatch(r"P5:intended +│ P1:intended", line)]
    lines = narrow.stdout.splitlines()
    assert lines.index("P5:intended") < lines.index("P1:intended")
    for shown in (wide, narrow):
        assert "alike: arrivals 1 to 23\nthey part: at arrival 24\n" in shown.stdout
        assert "decisions: 1 to 25 of 141 could be followed; from arrival 26 on first in, first out" in " ".join(
            shown.stdout.split()
        )
        assert "ctx = ibv_open_device" not in shown.stdout  # what is common is not repeated
        assert "ETXTBSY" in shown.stdout
        assert "never returns" in shown.stdout
    assert heads


def test_json_has_both() -> None:
    longpin("run", IGNORED, "--trace", "t")
    done = longpin("replay", "t", "--policy", "P1", "--json")
    found = valid("replay", done.stdout)
    plain = valid("replay", longpin("replay", "t", "--json").stdout)
    assert (done.exit_code, found["verdict"], found["policy"]) == (1, "violated", "P1:intended")
    assert found["failure"]["replay"] == "longpin replay t --policy P1"
    assert plain["recorded"] is None
    for key in ("policy", "verdict", "reason", "arrivals", "hash", "violations", "calls", "waiting"):
        assert found["recorded"][key] == plain[key]
    assert found["recorded"]["parting"]["question"]["hook"] == "read_lease"
    whole = valid("replay", longpin("replay", "t", "--policy", "P5", "--json").stdout)
    assert whole["recorded"]["parting"] is None
    assert (whole["hash"], whole["calls"]) == (plain["hash"], plain["calls"])


def test_it_is_the_same_whatever_is_hashed_how(folder: Path) -> None:
    longpin("run", ANSWERED, "--policy", "P8", "--oracle", "random", "--timers", "racy", "--trace", "t")
    told = {fresh(folder, "replay", "t", "--policy", "P9", "--json", PYTHONHASHSEED=seed).stdout for seed in "12"}
    assert len(told) == 1
    assert json.loads(told.pop())["recorded"]["parting"] is not None


def test_junit_tells_of_the_run_under_the_other_policy(folder: Path) -> None:
    from longpin.runner.report.junit import JunitReport

    JunitReport(folder / "j.xml").show(api.replay_under(recorded(IGNORED), "P1"))
    text = (folder / "j.xml").read_text()
    assert 'name="layout-lease-ignored P1:intended"' in text
    assert "<failure" in text


# Bad input.


def refused(*arguments: str) -> str:
    done = longpin("replay", *arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stdout + done.stderr
    return done.stderr


def test_bad_input_is_one_line(folder: Path) -> None:
    longpin("run", IGNORED, "--trace", "t")
    whole = Path("t").read_bytes()
    Path("damaged").write_bytes(whole[:-200] + bytes([whole[-200] ^ 1]) + whole[-199:])
    assert "damaged (checksum" in refused("damaged", "--policy", "P1")
    assert "cannot be read" in refused("nowhere", "--policy", "P1")
    assert refused("t", "--policy", "P99").startswith("longpin: --policy: ")
    assert refused("t", "--policy", "P1,odd=1").startswith("longpin: --policy: ")
    assert "expected at most one other policy, found 2" in refused("t", "--policy", "P1", "--policy", "P2")
    assert "under another policy the run goes on to its end" in refused("t", "--policy", "P1", "--until", "5")
    Path("host").write_bytes(with_engine(whole, "host"))
    assert "header.engine: expected" in refused("host", "--policy", "P1")


def with_engine(trace: bytes, engine: str) -> bytes:
    """Return the header of a trace with another engine, its checksum made right."""
    unpacker = msgpack.Unpacker(io.BytesIO(trace[len(MAGIC) :]))
    header = msgpack.unpackb(unpacker.unpack()[1]) | {"engine": engine}
    payload = msgpack.packb(header)
    return MAGIC + bytes(msgpack.packb((crc32(payload, CHAIN_START), payload)))


def test_nothing_else_makes_sense_in_python() -> None:
    with pytest.raises(api.UsageError, match="policy: expected text"):
        api.replay_under(recorded(IGNORED), None)  # type: ignore[arg-type]
    with pytest.raises(api.UsageError, match="trace: expected a file"):
        api.replay_under(3, "P1")  # type: ignore[arg-type]
    with pytest.raises(api.UsageError, match=r"own: expected FILE\.py:CLASS"):
        api.replay_under(recorded(IGNORED), "P1", own="P5")
