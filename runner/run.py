"""The verbs ``run`` and ``replay``: from a scenario or a trace to a result."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from typing import BinaryIO, cast

import longpin
from longpin.actors.policies import name_in_file
from longpin.actors.policies.proposal import Proposal
from longpin.config.loader import in_dialect, parse_scenario
from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.messages.codec import ArrivalHash, Encoder
from longpin.messages.envelope import Envelope
from longpin.messages.trace import Header, Told, TraceError, TraceReader, TraceWriter, text_sha256
from longpin.runner.engines.allowance import Allowance, not_quiet, run_threads_within, run_within
from longpin.runner.engines.profile import profile_of
from longpin.runner.engines.stepped import ArrivalObserver, SteppedEngine
from longpin.runner.engines.threads import ThreadsEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.events import Observer
from longpin.runner.judging.judge import Judge
from longpin.runner.oracles import NO_PROFILE, ORACLES, Oracle
from longpin.runner.oracles.replay import Divergence, Replay
from longpin.runner.own_policy.source import PolicySource, register
from longpin.runner.result import Result, Verdict
from longpin.runner.settings import Settings
from longpin.runner.shell import command
from longpin.runner.trace_file import TraceFile

QUIET = "nothing can happen any more"

INTERRUPTED = "interrupted"
"""What the reason of a result begins with if Ctrl-C ended it."""

MOST_IN_MEMORY = 16 << 20
"""Bytes of the record of a run on threads that are held in memory; a longer one goes into a temporary file."""


def run(
    scenario: Scenario,
    settings: Settings,
    trace: str | os.PathLike[str] | BinaryIO | None = None,
    oracle: Oracle | None = None,
    observers: Iterable[Observer] = (),
    told: Told | None = None,
) -> Result:
    """Run a scenario, writing its trace as it goes.

    A trace that cannot be written is told by :attr:`~longpin.runner.result.Result.not_kept`; the run goes on.

    Args:
        scenario: what to run.
        settings: how to run it.
        trace: a file, which is created; one that is there is replaced when the new one is whole
            (:mod:`longpin.runner.trace_file`). Or a binary file, which stays open.
        oracle: who chooses the order on the stepped engine, instead of the one that ``settings`` names.
        observers: called with each event as it happens; on threads after the run, when it is judged. What one raises
            ends the run.
        told: what the scenario was made of when its roles were written out, for the trace.

    Raises:
        TraceError: an open file cannot be written; or a run on threads cannot be recorded in the folder for temporary
            files, and so not be judged.
        InternalError: a bug in longpin.

    """
    if oracle is not None:
        settings = dataclasses.replace(settings, oracle=oracle.name)
    proposal = settings.make_proposal()
    scenario = in_dialect(scenario, settings.policy, settings.preset)
    header = header_of(scenario, settings, proposal)
    if told is not None:
        header = dataclasses.replace(header, told=told.text, told_decisions="\n".join(told.decisions))
    blueprint = Blueprint(scenario, proposal)
    recorder: AbstractContextManager[TraceFile | TraceWriter | None] = nullcontext()
    if isinstance(trace, str | os.PathLike):
        recorder = TraceFile(trace, header)
    elif trace is not None:
        recorder = TraceWriter(trace, header)
    with recorder as kept:
        if settings.engine == "threads":
            result = _run_threads(settings, blueprint, header, kept, observers)
        else:
            result = _run_stepped(scenario, settings, blueprint, proposal, oracle, kept, observers)
    if isinstance(kept, TraceFile) and isinstance(trace, str | os.PathLike):
        result.trace, result.not_kept = os.fspath(trace), kept.not_kept
    return result


def _run_stepped(
    scenario: Scenario,
    settings: Settings,
    blueprint: Blueprint,
    proposal: Proposal,
    oracle: Oracle | None,
    kept: TraceFile | TraceWriter | None,
    observers: Iterable[Observer],
) -> Result:
    """Run on the stepped engine, and judge meanwhile."""
    racy = settings.timers == "racy"
    if oracle is None:
        strategy = ORACLES[settings.oracle]
        oracle = strategy(settings.seed, profile_of(blueprint.build, racy=racy) if strategy.profiled else NO_PROFILE)
    engine = SteppedEngine(oracle, racy=racy, seed=settings.seed)
    judge = Judge(scenario, settings, engine, proposal, observers)
    encoder, hashed, allowance = Encoder(), ArrivalHash(), Allowance()

    def record(number: int, envelope: Envelope) -> None:
        payload = encoder.encode(number, envelope)
        hashed.update(payload)
        allowance.count(envelope)
        if kept is not None:
            kept.append(payload)
            kept.flush()

    engine.record = record
    blueprint.build(engine)
    try:
        quiet = run_within(engine, allowance)
        if quiet:
            result = judge.result(None, QUIET)
        else:
            stopped = not_quiet(engine.arrivals, judge.chronicle.results())
            result = judge.result(Verdict.UNDETERMINED, stopped)
    except KeyboardInterrupt:
        quiet = False
        result = judge.result(Verdict.UNDETERMINED, f"{INTERRUPTED} after arrival {engine.arrivals}")
    if kept is not None:
        kept.close(complete=quiet)
    result.hash = hashed.hexdigest()
    return result


def _run_threads(
    settings: Settings,
    blueprint: Blueprint,
    header: Header,
    kept: TraceFile | TraceWriter | None,
    observers: Iterable[Observer],
) -> Result:
    """Run on threads into a trace that has no name, so that nothing is left of it, and judge that by replaying it."""
    with tempfile.SpooledTemporaryFile(MOST_IN_MEMORY, prefix="longpin-") as spooled:
        file = cast("BinaryIO", spooled)
        with TraceWriter(file, header) as writer:
            encoder, allowance, payload = Encoder(), Allowance(), b""

            def record(number: int, envelope: Envelope) -> None:
                nonlocal payload
                payload = encoder.encode(number, envelope)
                allowance.count(envelope)
                writer.append(payload)
                if kept is not None:
                    kept.append(payload)

            def flush() -> None:
                writer.flush()
                if kept is not None:
                    kept.flush()

            engine = ThreadsEngine(record, flush, time_scale=settings.time_scale, seed=settings.seed)
            with closing(engine):
                blueprint.build(engine)
                try:
                    quiet = run_threads_within(engine, allowance)
                    stopped = f"not quiet after {allowance.seconds:g} s"
                except KeyboardInterrupt:
                    quiet, stopped = False, f"{INTERRUPTED} after arrival {engine.arrivals}"
            writer.close(complete=quiet)
            if kept is not None:
                if kept.arrivals is not None and kept.arrivals < writer.arrivals:
                    kept.append(payload)  # it was interrupted between the two
                kept.close(complete=quiet)
        result = replay(file, observers=observers, source=settings.source)
    if engine.arrivals > allowance.arrivals:
        stopped = not_quiet(engine.arrivals, result.calls)
    if not quiet and result.verdict is Verdict.UNDETERMINED:
        result.reason = stopped
    return result


def header_of(scenario: Scenario, settings: Settings, proposal: Proposal) -> Header:
    """Return what a trace of this run begins with."""
    return Header(
        longpin=longpin.__version__,
        scenario_name=scenario.name,
        scenario=scenario.text,
        scenario_sha256=text_sha256(scenario.text),
        policy=settings.policy,
        preset=settings.preset,
        parameters=proposal.parameters,
        engine=settings.engine,
        oracle=settings.oracle if settings.engine == "stepped" else "",
        seed=settings.seed,
        timers=settings.timers,
        policy_sha256=settings.policy_sha256,
    )


def replay(
    trace: str | os.PathLike[str] | BinaryIO,
    until: int | None = None,
    observers: Iterable[Observer] = (),
    rules: tuple[str, ...] | None = None,
    source: PolicySource | None = None,
    look: Callable[[SteppedEngine], ArrivalObserver] | None = None,
) -> Result:
    """Follow a trace on the stepped engine, comparing every arrival, and judge it.

    Args:
        trace: the file, by its name or open for reading.
        until: stop after this many arrivals; the verdict is then undetermined, unless a rule is violated by then.
        observers: called with each event as it happens; what one raises ends the replay.
        rules: what it is judged by, names from :data:`~longpin.config.schema.RULES`; None: what its scenario asks for.
        source: the file of the policy, for a trace of a policy that is a class in a file; another path will do, another
            text will not.
        look: given the world before its first arrival, returns who looks at it after each.

    Raises:
        TraceError: the file cannot be read, is damaged, its header does not make sense, or ``source`` is not the file
            of its policy.
        InternalError: a bug in longpin.

    """
    reader = TraceReader(trace)
    scenario, settings, proposal = read_header(reader, source)
    if rules is not None:
        scenario = dataclasses.replace(scenario, holds=rules)
    hashed = ArrivalHash()

    def payloads() -> Generator[bytes]:
        with closing(iter(reader)) as records:
            for _, payload in records:
                yield payload
                hashed.update(payload)

    with closing(payloads()) as recorded:
        oracle = Replay(recorded, settings.seed, until)
        engine = SteppedEngine(oracle, racy=True, seed=settings.seed)
        judge = Judge(scenario, settings, engine, proposal, observers)
        Blueprint(scenario, proposal).build(engine)
        if look is not None:
            engine.observers.append(look(engine))
        result = _follow(reader, oracle, engine, judge)
    result.hash = hashed.hexdigest()
    if isinstance(trace, str | os.PathLike):
        result.trace = os.fspath(trace)
    return result


def _follow(reader: TraceReader, oracle: Replay, engine: SteppedEngine, judge: Judge) -> Result:
    """Let the engine follow a trace up to the first difference, and return what it shows."""
    try:
        quiet = engine.run()
        if quiet:
            oracle.expect_end()
    except KeyboardInterrupt:
        return judge.result(Verdict.UNDETERMINED, f"{INTERRUPTED} after arrival {engine.arrivals}")
    except Divergence as divergence:
        return judge.result(Verdict.DIVERGED, f"{divergence}. {_likely_causes(reader)}")
    if oracle.count == oracle.until and not quiet:
        return judge.result(Verdict.UNDETERMINED, f"stopped after arrival {oracle.until}, as asked")
    if not reader.complete:
        return judge.result(Verdict.UNDETERMINED, reader.end)
    if not quiet:
        sender = engine.ready[0]
        reason = f"the trace is complete, but {sender.address} has sent more: {sender.outbox[0].body}"
        return judge.result(Verdict.DIVERGED, f"{reason}. {_likely_causes(reader)}")
    return judge.result(None, QUIET)


def _source_of(reader: TraceReader, given: PolicySource | None) -> PolicySource | None:
    """Return the file of the policy under the name that the trace has for it; None if it is one of longpin's."""
    header = reader.header
    if bool(name_in_file(header.policy)) != bool(header.policy_sha256):
        raise reader.error(0, "the policy in the header: only a class in a file has a hash")
    if not header.policy_sha256:
        if given is not None:
            raise reader.error(0, f"it is of {header.policy}, which is no class in a file: leave --policy out")
        return None
    wanted = PolicySource(header.policy, b"")
    its = f"{wanted.class_name} in {wanted.path} (SHA-256 {header.policy_sha256})"
    if given is None:
        option = command("replay", "TRACE", "--policy", header.policy).partition("TRACE ")[2]
        raise reader.error(0, f"it is of the policy {its}; nothing is executed unless the file is given: {option}")
    if given.class_name != wanted.class_name:
        raise reader.error(0, f"it is of the policy {its}, not of {given.class_name}")
    if given.sha256 != header.policy_sha256:
        raise reader.error(0, f"it is of the policy {its}; {given.path} differs (SHA-256 {given.sha256})")
    return PolicySource(header.policy, given.data)


def read_header(reader: TraceReader, given: PolicySource | None) -> tuple[Scenario, Settings, Proposal]:
    """Return what a trace ran.

    Args:
        reader: of the trace.
        given: the file of its policy, if that is a class in a file.

    Raises:
        TraceError: no longpin would have written the header, or ``given`` is not the file.

    """
    header = reader.header
    source = _source_of(reader, given)
    try:
        if source is not None:
            register(source)  # it may add names that programs use
        scenario = parse_scenario(header.scenario, header.scenario_name)
        settings = Settings(
            header.policy,
            header.preset,
            header.parameters,
            header.engine,
            header.oracle,
            header.seed,
            header.timers,
            source=source,
        )
        proposal = settings.make_proposal()
        return in_dialect(scenario, settings.policy, settings.preset), settings, proposal
    except ScenarioError as error:
        raise reader.error(0, f"the scenario in the header: {error.problems[0]}") from None
    except (ValueError, TypeError) as error:
        raise reader.error(0, f"the policy in the header: {error}") from None


def _likely_causes(reader: TraceReader) -> str:
    version = reader.header.longpin
    if version != longpin.__version__:
        return (
            f"The trace was written by longpin {version}, this is {longpin.__version__}: the actors behave differently."
        )
    return (
        "Likely causes: the actors or the policy were changed since; the trace was edited; "
        "or an actor uses something that is not in its messages: a clock, a set's order, an object's identity."
    )


__all__ = ["Settings", "TraceError", "replay", "run"]
