"""What ``--json`` prints: one object a verb, with the same keys whatever the verdict.

The files in ``schemas/`` describe them, ``docs/json.md`` explains them. What is the same thing has the same name in all
of them; what is not known, or makes no sense there, is null.
"""

import json
from importlib import resources
from typing import TextIO, assert_never

from longpin.runner.conclusions import (
    Compared,
    Conclusion,
    Explored,
    LogJudged,
    Predicted,
    Raced,
    RanAll,
    Replayed,
    Stressed,
    Tabulated,
    Vectors,
)
from longpin.runner.report.objects import Object, run_object
from longpin.runner.report.observation import observation_of
from longpin.runner.result import Result

VERBS = ("run", "run-all", "replay", "explore", "stress", "matrix", "conform", "judge", "list", "check", "show")
"""The verbs that have ``--json``, each with a schema; ``run --all`` has one of its own."""


def schema(verb: str) -> Object:
    """Return the JSON Schema (draft 2020-12) of what a verb prints."""
    text = (resources.files("longpin.runner.report") / "schemas" / f"{verb}.json").read_text(encoding="utf-8")
    found: Object = json.loads(text)
    return found


class JsonReport:
    """Writes what a verb has come to as one object.

    Args:
        file: where to.
        again: the command that shows a run again.

    """

    def __init__(self, file: TextIO, again: str = "") -> None:
        self.file = file
        self.again = again

    def show(self, conclusion: Conclusion) -> None:
        """Write it.

        Raises:
            OSError: it cannot be written.

        """
        write_json(as_object(conclusion, self.again), self.file)


def as_object(conclusion: Conclusion, again: str = "") -> Object:
    """Return the object of a verb.

    Args:
        conclusion: what it has come to.
        again: the command that shows a run again.

    """
    found = _object_of(conclusion, again)
    first = {key: found.pop(key) for key in ("verdict", "reason")}
    return {**first, "observation": str(observation_of(conclusion)), **found}


def _object_of(conclusion: Conclusion, again: str) -> Object:
    match conclusion:
        case Result():
            return run_object(conclusion, again)
        case Replayed():
            from longpin.runner.report import parting

            return run_object(conclusion.result, again) | {"recorded": parting.as_object(conclusion.beside)}
        case Explored():
            from longpin.runner.report import exploration

            return _searched(conclusion, exploration.as_object(conclusion))
        case Stressed():
            from longpin.runner.report import campaign

            return _searched(conclusion, campaign.as_object(conclusion))
        case Compared():
            from longpin.runner.report import conform

            return conform.as_object(conclusion)
        case Raced():
            from longpin.runner.report import races

            return races.as_object(conclusion.series, conclusion.seconds)
        case Predicted():
            from longpin.runner.report import facts

            return facts.as_object(conclusion)
        case Tabulated():
            from longpin.runner.report import matrix

            return matrix.as_object(conclusion.matrix)
        case Vectors():
            from longpin.runner.report import survey

            return survey.as_object(conclusion.found)
        case RanAll():
            from longpin.runner.report import shipped

            return shipped.as_object(conclusion)
        case LogJudged():
            from longpin.runner.report import log

            return log.as_object(conclusion)
        case _:
            assert_never(conclusion)


def _searched(conclusion: Explored | Stressed, found: Object) -> Object:
    """Return the object of a search with what failed and what could not be kept."""
    if conclusion.kept is not None:
        from longpin.runner.report.failure import as_objects

        found |= as_objects(conclusion.kept)
    return found | {"not_kept": conclusion.not_kept or None}


def write_json(found: Object | list[Object], file: TextIO) -> None:
    """Write an object on one line, in ASCII, so that nothing in it can steer a terminal.

    Raises:
        OSError: it cannot be written.

    """
    json.dump(found, file)
    file.write("\n")
    file.flush()
