"""Answers to questions about kernels: each situation is played on the emulated kernel of that generation."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from longpin.actors.kernel.generation import Version
from longpin.actors.policies.proposal import Proposal
from longpin.config.loader import ScenarioError, parse_scenario
from longpin.config.schema import Scenario
from longpin.config.situation import Play, SituationRun, Situations
from longpin.config.situation_text import SituationError
from longpin.runner.conform.facts.forms import NotSeenError, has_forms, write
from longpin.runner.conform.facts.played import Played, UnplayedError
from longpin.runner.conform.facts.question import KernelAnswer, KernelQuestion

POLICY, PRESET = "P0", "intended"
"""What every Linux does: long-term pins of FS-DAX are refused."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, and what the emulated kernel has to say."""

    question: KernelQuestion
    answer: KernelAnswer | None
    """None: it is out of scope."""
    out_of_scope: str = ""
    """Why it has no answer."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """What else was seen, by the key under which it is recorded."""

    def as_line(self) -> dict[str, Any]:
        """Return it as it is written down."""
        if self.answer is None:
            return {"id": self.question.id, "out_of_scope": self.out_of_scope}
        return {"id": self.question.id, "observed": self.answer.observed, "errno": self.answer.errno}


@lru_cache(maxsize=64)
def _read(text: str) -> Scenario:
    """Read what is played; the same is played on several kernels."""
    return parse_scenario(text, "situation")


@lru_cache(maxsize=len(Version))
def proposal_of(version: Version) -> Proposal:
    """Return what the kernel of a version does."""
    return Proposal.make(POLICY, PRESET, {"kernel": version})


def answer(question: KernelQuestion, situations: Situations) -> Answered:
    """Play what a question asks for, and write down what is seen.

    Raises:
        SituationError: a shipped situation is wrong.
        InternalError: an actor failed.

    """
    if (version := question.version) is None:
        known = ", ".join(version.value for version in Version if version is not Version.IDEAL)
        return Answered(question, None, f"there is no generation of Linux {question.kernel}, but of {known}")
    play = situations.find(question.case, question.fs, question.op)
    if play is None:
        return Answered(question, None, f"no situation for {question.case} on {question.fs}: {question.op}")
    also: dict[str, Any] = {}
    try:
        found, reason = None, play.out_of_scope
        for number, run in enumerate(play.runs):
            if not _counts(number, run, play, question):
                continue
            played = Played(_read(run.scenario), run.marks, proposal_of(version))
            also |= _also(run, played)
            if not number and play.out_of_scope:
                reason = str(write(play.out_of_scope, played))
            elif not number:
                found = _written(play, played)
        return Answered(question, found, reason, also)
    except ScenarioError as error:
        raise SituationError(f"{question}:\n{error}") from error
    except (UnplayedError, NotSeenError) as error:
        return Answered(question, None, str(error))


def _counts(number: int, run: SituationRun, play: Play, question: KernelQuestion) -> bool:
    """Return whether a run is needed: the first is the answer, others are for what somebody has looked at, too."""
    if not number and (not play.out_of_scope or has_forms(play.out_of_scope)):
        return True
    return question.recorded is not None and bool(run.also.keys() & question.recorded.also.keys())


def _written(play: Play, played: Played) -> KernelAnswer:
    failed = next((name for name in play.errno.split() if played.call(name).failed), None)
    errno = None if failed is None else write(f"{{word {failed}}}", played)
    return KernelAnswer(write(play.observed, played), errno)


def _also(run: SituationRun, played: Played) -> dict[str, Any]:
    """Return what else is seen; not all can be, whatever comes of a call."""
    found = {}
    for key, tree in run.also.items():
        with suppress(NotSeenError):
            found[key] = write(tree, played)
    return found
