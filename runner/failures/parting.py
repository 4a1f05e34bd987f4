"""A trace, and the same decisions under another policy: how far they go together, and what they come to.

What is followed is the scenario that the trace holds, in the words of each policy if it is told in roles. The trace of
a failure that was made small has it in the calls of one policy; beside it stand the scenario as it was told, and the
decisions for that.
"""

import dataclasses
import io
import os
import tempfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from itertools import islice, zip_longest
from typing import Any, BinaryIO, NamedTuple, cast

from longpin.config.dialect import find_dialect
from longpin.config.loader import in_dialect, parse_scenario
from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.messages.codec import decode
from longpin.messages.envelope import Address, Envelope
from longpin.messages.trace import Header, TraceReader
from longpin.runner.events import Observer
from longpin.runner.failures.answers import AnsweredApart, message_text, question_apart
from longpin.runner.failures.other import AsFarAs
from longpin.runner.failures.schedule import Follower
from longpin.runner.oracles.replay import shown
from longpin.runner.own_policy.source import PolicySource
from longpin.runner.result import Result, Verdict
from longpin.runner.run import INTERRUPTED, MOST_IN_MEMORY, read_header, replay, run
from longpin.runner.settings import Settings
from longpin.runner.usage import UsageError


@dataclasses.dataclass(frozen=True, slots=True)
class Parting:
    """Where two runs of the same decisions part: the first arrival that differs."""

    arrival: int
    """Its number, from 1."""
    recorded: str
    """What arrives in the trace, for people; empty: nothing, as nothing can happen any more."""
    other: str
    """What arrives under the other policy."""
    question: AnsweredApart | None
    """What the policies answered differently before; None: nothing that had to do with it."""
    cause: str
    """Why they part if no question is the reason; empty if it is, or nobody knows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Beside:
    """What a trace shows, and how far the same decisions went along with it under another policy."""

    recorded: Result
    """The trace, judged by the rules under its own policy."""
    alike: int
    """So many arrivals are the same, byte by byte, from the first on."""
    followed: int
    """The number of the last decision that could be followed; a trace has as many as arrivals."""
    until: int
    """The number of the arrival that it was under the other policy: the kernel may take steps between."""
    parting: Parting | None
    """None: they do not part, or the trace was cut short before they do."""
    retold: bool
    """The trace is of a scenario whose roles were written out; what was followed is that scenario as it was told."""


class OtherPolicy(NamedTuple):
    """A policy to follow decisions under."""

    source: PolicySource | None
    """Its file; None: it is one of longpin's."""
    name: str
    preset: str
    parameters: Mapping[str, Any]

    def settings(self, header: Header) -> Settings:
        """Return how the decisions of a trace are followed under it."""
        racy = header.timers == "racy" or header.engine == "threads"  # what threads did is followed with racy timers
        return Settings(
            self.name,
            self.preset,
            dict(self.parameters),
            oracle=AsFarAs.name,
            seed=header.seed,
            timers="racy" if racy else "lazy",
            source=self.source,
        )


def follow_trace(
    trace: str | os.PathLike[str] | BinaryIO,
    other: OtherPolicy,
    source: PolicySource | None = None,
    observers: Iterable[Observer] = (),
) -> tuple[Result, Beside | None]:
    """Follow the decisions of a trace under another policy as far as they go, then first in, first out, to the end.

    Args:
        trace: the file, by its name or open for reading.
        other: the policy.
        source: the file of the trace's own policy, if that is a class in a file.
        observers: called with each event of the run under the other policy as it happens.

    Returns:
        The run under the other policy, judged by the rules under it, and what the trace shows beside it. If the trace
        cannot be replayed under its own policy, or not to its end, that replay, and None.

    Raises:
        UsageError: the scenario of the trace cannot be run under the policy.
        TraceError: as :func:`longpin.runner.run.replay`.
        InternalError: a bug in longpin.

    """
    reader = TraceReader(trace)
    told, own, _ = read_header(reader, source)
    told, followed = _as_told(reader, trace, told, own, other)
    recorded = replay(followed, source=source)
    _name(recorded, trace)
    if recorded.verdict is Verdict.DIVERGED or recorded.reason.startswith(INTERRUPTED):
        return recorded, None
    settings = other.settings(reader.header)
    proposal = settings.make_proposal()
    try:
        scenario = in_dialect(told, settings.policy, settings.preset)
    except ScenarioError as error:
        why = f"the scenario of the trace cannot be run under {proposal.name}: {error.problems[0]}"
        raise UsageError("{}: ", "policy", why=why) from None
    with tempfile.SpooledTemporaryFile(MOST_IN_MEMORY, prefix="longpin-") as spooled:
        written = cast("BinaryIO", spooled)
        with closing(_senders(followed)) as decisions:
            oracle = AsFarAs(decisions, settings.seed)
            result = run(scenario, settings, written, oracle, observers)
        alike, here, there = _compared(followed, written)
    _name(result, trace)
    parting = None
    if here is not None or there is not None:
        with closing(_senders(followed)) as decisions:
            both = (told, own), (scenario, settings)
            by = {envelope.src for envelope in (here, there) if envelope is not None}
            question = question_apart(*both, islice(decisions, oracle.followed), alike, by)
        cause = "" if question is not None else _cause(*both)
        parting = Parting(alike + 1, *_told_apart(here, there), question, cause)
    return result, Beside(recorded, alike, oracle.followed, oracle.until, parting, followed is not trace)


def _name(result: Result, trace: str | os.PathLike[str] | BinaryIO) -> None:
    result.trace = os.fspath(trace) if isinstance(trace, str | os.PathLike) else ""


def _as_told(
    reader: TraceReader,
    trace: str | os.PathLike[str] | BinaryIO,
    scenario: Scenario,
    own: Settings,
    other: OtherPolicy,
) -> tuple[Scenario, str | os.PathLike[str] | BinaryIO]:
    """Return a scenario that can be told in the dialect of the other policy, and a trace of it.

    They are those of the trace, unless its roles were written out, in words that are not the other policy's. Then they
    are those of the scenario as it was told, of which the trace knows the decisions.
    """
    header = reader.header
    if not header.told or _words(own.policy, own.preset) == _words(other.name, other.preset):
        return scenario, trace
    own.make_proposal()  # a policy in a file may add names that programs use
    try:
        told = in_dialect(parse_scenario(header.told, header.scenario_name), own.policy, own.preset)
    except ScenarioError as error:
        raise reader.error(0, f"the scenario as it was told in the header: {error.problems[0]}") from None
    written = io.BytesIO()
    run(told, own, written, Follower(header.told_decisions.split("\n"), own.seed))
    return told, written


def _words(policy: str, preset: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return what the roles stand for under a policy."""
    dialect = find_dialect(policy, preset)
    return {} if dialect is None else {name: (its.signature, its.lines) for name, its in dialect.roles.items()}


def _senders(trace: str | os.PathLike[str] | BinaryIO) -> Generator[Address]:
    """Yield the decisions of a trace that was replayed."""
    with closing(iter(TraceReader(trace))) as records:
        for _, payload in records:
            yield decode(payload)[1].src


def _compared(
    recorded: str | os.PathLike[str] | BinaryIO, other: BinaryIO
) -> tuple[int, Envelope | None, Envelope | None]:
    """Return how many arrivals of two traces are alike, and what arrives next in each.

    Nothing does if a trace is at its end; and in neither, if one was cut short there.
    """
    readers, alike = (TraceReader(recorded), TraceReader(other)), 0
    with closing(iter(readers[0])) as records, closing(iter(readers[1])) as others:
        for pair in zip_longest(records, others):
            if any(it is None and not reader.complete for it, reader in zip(pair, readers, strict=True)):
                break
            here, there = pair
            if here is None or there is None or here[1] != there[1]:
                return alike, _envelope(here), _envelope(there)
            alike += 1
    return alike, None, None


def _envelope(record: tuple[int, bytes] | None) -> Envelope | None:
    return None if record is None else decode(record[1])[1]


def _told_apart(here: Envelope | None, there: Envelope | None) -> tuple[str, str]:
    """Return two messages for people, in full only if that is where they differ."""
    brief = ["" if it is None else message_text(it) for it in (here, there)]
    if brief[0] != brief[1] or here is None or there is None:
        return brief[0], brief[1]
    return shown(here), shown(there)


def _cause(recorded: tuple[Scenario, Settings], other: tuple[Scenario, Settings]) -> str:
    """Return why two runs part if no question is the reason; empty: nobody knows."""
    (told, own), (_, its) = recorded, other
    if told.dialect and _words(own.policy, own.preset) != _words(its.policy, its.preset):
        return "their programs differ: each tells the roles of the scenario in the dialect of its policy"
    return ""
