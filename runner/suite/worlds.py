"""Tests of worlds of one's own actors: a function that builds a world becomes a test of every schedule of it.

pytest is not imported: without it a test is a function that raises AssertionError, or unittest's SkipTest.
"""

import inspect
import os
import shlex
import sys
import unittest
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from longpin.messages.envelope import Envelope
    from longpin.runner.engines.stepped import SteppedEngine
    from longpin.runner.exploration.result import Exploration, Failure
    from longpin.runner.sampling.result import Campaign

MOST_ROWS = 200
"""Arrivals of a story; of a longer one the first and the last are shown."""


class ScenarioWarning(UserWarning):
    """What is no mistake in a scenario but says less than it seems to."""


class Following:
    """What the tests of a run follow in place of a search, if its command line says so."""

    decisions: Sequence[str] | None = None


def explored(**options: Any) -> Callable[[Callable[..., object]], Callable[..., None]]:
    """Make a test of a function that builds a world: every schedule is run, as :func:`longpin.runner.explore` does.

    The first parameter of the function is the world; others are what pytest gives it, such as fixtures. The test fails
    if a schedule breaks what must hold, and if not all were run.

    Args:
        options: those of :func:`longpin.runner.explore`, such as ``check``, ``always``, ``racy`` and ``seconds``.

    """

    def judge(build: Callable[[Any], object]) -> None:
        from longpin.runner.exploration import explore

        _judge_exploration(build, explore(build, **options), options)

    return _test_of(judge, options)


def sampled(**options: Any) -> Callable[[Callable[..., object]], Callable[..., None]]:
    """Make a test of a function that builds a world: many schedules are run, as :func:`longpin.runner.stress` does.

    It fails if one of them breaks what must hold, and is skipped otherwise, as samples prove nothing.

    Args:
        options: those of :func:`longpin.runner.stress`, such as ``check``, ``runs``, ``strategies`` and ``seed``.

    """

    def judge(build: Callable[[Any], object]) -> None:
        from longpin.runner.sampling import stress

        _judge_campaign(build, stress(build, **options), options)

    return _test_of(judge, options)


def _test_of(
    judge: Callable[[Callable[[Any], object]], None], options: dict[str, Any]
) -> Callable[[Callable[..., object]], Callable[..., None]]:
    def decorate(function: Callable[..., object]) -> Callable[..., None]:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        place = int(bool(parameters) and parameters[0].name == "self")
        if len(parameters) <= place:
            raise TypeError(f"{function.__qualname__}: expected a function whose first parameter is the world")
        world = parameters.pop(place).name

        def test(*args: object, **given: object) -> None:

            def build(made: object) -> None:
                function(*args, **{world: made}, **given)

            if Following.decisions is None:
                judge(build)
            else:
                _follow(build, Following.decisions, options)

        update_wrapper(test, function)
        del test.__wrapped__  # type: ignore[attr-defined]  # pytest would look there for parameters
        test.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=parameters, return_annotation=None
        )
        return test

    return decorate


def _judge_exploration(build: Callable[[Any], object], found: "Exploration", options: dict[str, Any]) -> None:
    from longpin.runner.exploration import Reason
    from longpin.runner.result import Verdict

    if found.reason is Reason.INTERRUPTED:
        raise KeyboardInterrupt
    looked = f"{found.states:,} states" if found.states else f"{found.executions:,} schedules"
    if found.failures:
        _fail(_story(build, found.failures[0], f"found after {looked}", options))
    if found.verdict is Verdict.VIOLATED:
        _fail(f"no schedule shows {', '.join(found.unshown)}; all of {looked} were run")
    if found.verdict is Verdict.UNDETERMINED:
        lacking = f"no schedule shows {', '.join(found.missing)}" if found.missing else ""
        why = found.inconclusive or lacking
        _fail(f"undetermined: {found.reason.value}{f', but {why}' if why else ''}; {looked} were run")


def _judge_campaign(build: Callable[[Any], object], found: "Campaign", options: dict[str, Any]) -> None:
    from longpin.runner.sampling.result import CampaignReason

    if found.reason is CampaignReason.INTERRUPTED:
        raise KeyboardInterrupt
    if found.failures:
        first = found.failures[0]
        by = f"found by {first.strategy} with seed {first.seed}, run {first.run:,}"
        _fail(_story(build, first, by, {**options, "seed": first.seed}))
    _skip(f"samples prove nothing: {found.runs:,} runs, {found.distinct:,} distinct traces")


def _fail(text: str) -> NoReturn:
    """Fail without a traceback: it would lead through longpin."""
    if (pytest := sys.modules.get("pytest")) is not None:
        pytest.fail(text, pytrace=False)
    raise AssertionError(text)


def _skip(text: str) -> NoReturn:
    if (pytest := sys.modules.get("pytest")) is not None:
        pytest.skip(text)
    raise unittest.SkipTest(text)


def _follow(build: Callable[[Any], object], decisions: Sequence[str], options: dict[str, Any]) -> None:
    """Make the one run that decisions name; what must hold is looked at, and may raise."""
    from longpin.runner.engines.engine import InternalError
    from longpin.runner.exploration import replay

    check = options.get("check")
    try:
        world = replay(build, decisions, **_of_a_replay(options), always=options.get("always"))
    except InternalError as error:
        raise (error.__cause__ or error) from None
    if check is not None:
        check(world)


def _of_a_replay(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("racy", "seed") if key in options}


def _story(build: Callable[[Any], object], failure: "Failure", by: str, options: dict[str, Any]) -> str:
    """Return what is wrong, every arrival until then, and the option that makes this run again."""
    node = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    again = ["pytest", *filter(None, (node,)), "--longpin-replay", " ".join(failure.decisions)]
    rows = [failure.what, "", *_arrivals(build, failure.decisions, options), "", by]
    return "\n".join([*rows, shlex.join(again)])


def _arrivals(build: Callable[[Any], object], decisions: Sequence[str], options: dict[str, Any]) -> list[str]:
    from longpin.runner.engines.stepped import SteppedEngine
    from longpin.runner.exploration.replay import Decisions
    from longpin.runner.report.rows import printable

    rows: list[str] = []

    def note(number: int, envelope: "Envelope") -> None:
        rows.append(printable(f"{number:>5}  {envelope.src or 'outside'} -> {envelope.dst}: {envelope.body}"))

    of_a_replay = _of_a_replay(options)
    world = SteppedEngine(Decisions(decisions, of_a_replay.get("seed", 0)), **of_a_replay)
    world.record = note
    build(world)
    try:
        world.run()
    except Exception as error:  # noqa: BLE001 - it is what failed; the arrivals up to there are wanted
        rows.append(f"       {type(error.__cause__ or error).__name__}")
    half = MOST_ROWS // 2
    hidden = len(rows) - 2 * half
    return rows if hidden <= 0 else [*rows[:half], f"       {hidden} more", *rows[-half:]]


def world(oracle: str = "fifo", seed: int = 0, *, racy: bool = False) -> "SteppedEngine":
    """Return an empty world whose order an oracle chooses, a key of :data:`longpin.runner.oracles.ORACLES`."""
    from longpin.runner.engines.stepped import SteppedEngine
    from longpin.runner.oracles import ORACLES
    from longpin.runner.usage import require_one_of

    require_one_of("oracle", oracle, ORACLES)
    return SteppedEngine(ORACLES[oracle](seed), racy=racy, seed=seed)
