"""The public interface to traces: they are replayed, judged again, and followed under another policy.

As in :mod:`longpin.runner.api`, each function imports what it needs when it is called.
"""

import os
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from longpin.runner.conclusions import Replayed
from longpin.runner.events import Observer
from longpin.runner.given_policy import blaming, read_policy, source_alone
from longpin.runner.result import Result
from longpin.runner.usage import UsageError, names_of, observers_of, require_one_of, require_trace, require_whole


def replay(
    trace: str | os.PathLike[str] | BinaryIO,
    *,
    until: int | None = None,
    policy: str | None = None,
    observers: Iterable[Observer] = (),
) -> Result:
    """Follow a trace, comparing every arrival, and judge it by the rules of its scenario.

    Args:
        trace: the file, by its name or open for reading.
        until: stop after this arrival; the verdict is then undetermined, unless a rule is violated by then.
        policy: of a trace whose policy is a class in a file, this file: ``FILE.py:CLASS``.
        observers: called with each event as it happens; what one raises ends the replay.

    Raises:
        UsageError: an argument has no meaning, or the file of the policy cannot be used.
        TraceError: the trace cannot be read, is damaged, its header does not make sense, or ``policy`` is not the file
            that it was recorded with.
        PolicyError: the policy in that file does what no policy may.
        InternalError: a bug in longpin.

    """
    require_trace("trace", trace)
    require_whole("until", until, 0)
    watching = observers_of(observers)
    from longpin.runner.run import replay as replay_trace

    with blaming(policy):
        return replay_trace(trace, until, watching, source=source_alone(policy))


def judge(
    recorded: Result | str | os.PathLike[str] | BinaryIO,
    rules: Sequence[str] | None = None,
    *,
    policy: str | None = None,
    observers: Iterable[Observer] = (),
) -> Result:
    """Judge what was recorded, by the rules given instead of those that its scenario asks for.

    Args:
        recorded: a trace, by its name or open for reading, or a run that has left one.
        rules: names, such as ``O1``, at least one; None: those that hold in a scenario which names none.
        policy: as for :func:`replay`.
        observers: called with each event as it happens; what one raises ends the replay.

    Raises:
        UsageError: there is no such rule, none is given, or the run has left no trace.
        TraceError, PolicyError: as for :func:`replay`.
        InternalError: a bug in longpin.

    """
    from longpin.config.schema import ALL_RULES, RULES
    from longpin.runner.run import replay as replay_trace

    watching = observers_of(observers)
    wanted = RULES if rules is None else names_of("rules", rules)
    for rule in wanted:
        require_one_of("rules", rule, ALL_RULES)
    if not wanted:  # what was judged by nothing does not hold
        raise UsageError("{}: ", "rules", why=f"expected at least one of {', '.join(ALL_RULES)}, found none")
    if isinstance(recorded, Result):
        if not recorded.trace or recorded.not_kept:
            raise UsageError("{}: the run has left no trace; it needs {}", "recorded", "trace")
        recorded = recorded.trace
    require_trace("recorded", recorded)
    with blaming(policy):
        asked = tuple(rule for rule in ALL_RULES if rule in wanted)
        return replay_trace(recorded, None, watching, asked, source_alone(policy))


def replay_under(
    trace: str | os.PathLike[str] | BinaryIO,
    policy: str,
    *,
    own: str | None = None,
    observers: Iterable[Observer] = (),
) -> Replayed:
    """Follow the decisions of a trace under another policy as far as they go, then first in, first out, to the end.

    Args:
        trace: the file, by its name or open for reading.
        policy: as on the command line, such as ``P1:intended,kernel=6.12`` or ``FILE.py:CLASS``, which is loaded.
        own: of a trace whose policy is a class in a file, this file: ``FILE.py:CLASS``.
        observers: called with each event of the run under ``policy`` as it happens; what one raises ends it.

    Returns:
        The run under ``policy``, judged by the rules of the scenario under it, and beside it what the trace shows. If
        the trace diverges from its own replay, that replay, and nothing beside it.

    Raises:
        UsageError: an argument has no meaning, a policy cannot be used, or the scenario of the trace not under it.
        TraceError: the trace cannot be read, is damaged, its header does not make sense, or ``own`` is not the file
            that it was recorded with.
        PolicyError: a policy in a file does what no policy may.
        InternalError: a bug in longpin.

    """
    require_trace("trace", trace)
    watching = observers_of(observers)
    if not isinstance(policy, str):
        raise UsageError("{}: ", "policy", why=f"expected text, such as 'P1:intended', found {policy!r}")
    from longpin.runner.failures.parting import OtherPolicy, follow_trace

    source = source_alone(own, "own")
    other = OtherPolicy(*read_policy(policy))
    with blaming(policy):
        return Replayed(*follow_trace(trace, other, source, watching))
