"""Conclusions for people, on a console."""

from collections.abc import Iterable
from typing import TextIO, assert_never

from rich.console import Console

from longpin.runner.conclusions import (
    Compared,
    Conclusion,
    Explored,
    LogJudged,
    Predicted,
    Raced,
    RanAll,
    Replayed,
    Searched,
    Stressed,
    Tabulated,
    Vectors,
)
from longpin.runner.report.observation import last_lines, observations_of
from longpin.runner.report.picture import Picture
from longpin.runner.report.rows import printable
from longpin.runner.result import Result


class ConsoleReport:
    """Writes what a verb has come to to a console.

    Args:
        console: where to; its width and its colours are used.
        file: what the report is written to when it is complete.
        again: the command that shows a run again; printed last if a rule is violated.
        advice: a sentence to stand before that, or nothing.

    """

    def __init__(self, console: Console, file: TextIO, again: str = "", advice: str = "") -> None:
        self.console = console
        self.file = file
        self.again = again
        self.advice = advice

    def show(self, conclusion: Conclusion) -> None:
        """Write it. A console would end the program when its reader has gone, so it only draws on it.

        Raises:
            OSError: it cannot be written.

        """
        parts = text_of(map(str, observations_of(conclusion)))
        last = last_lines(conclusion, self.again)
        self.file.write(parts + self._text(conclusion) + text_of(last))
        self.file.flush()

    def _text(self, conclusion: Conclusion) -> str:
        match conclusion:
            case Result():
                return self._run(conclusion)
            case Replayed(result, None):
                return self._run(result)
            case Replayed(result, beside):
                from longpin.runner.report.parting import PartingPicture

                assert beside is not None
                with self.console.capture() as capture:
                    PartingPicture(self.console).draw_both(result, beside)
                return capture.get()
            case Explored():
                from longpin.runner.report import exploration

                return self._failure(conclusion) if conclusion.kept else _stripped(exploration.lines(conclusion))
            case Stressed():
                from longpin.runner.report import campaign

                told = campaign.lines(conclusion) if conclusion.kept is None else []
                if conclusion.every and conclusion.campaign is not None:
                    told = [*campaign.table(conclusion.campaign.by_strategy), *told]
                return _stripped(told) + (self._failure(conclusion) if conclusion.kept else "")
            case Compared():
                from longpin.runner.report import conform

                return text_of(conform.lines(conclusion, self.console.width))
            case Raced():
                from longpin.runner.report import races

                return text_of(races.lines(conclusion.series))
            case Predicted():
                from longpin.runner.report import facts

                return text_of(facts.lines(conclusion))
            case Tabulated():
                from longpin.runner.report import matrix

                return text_of(matrix.lines(conclusion.matrix))
            case Vectors():
                from longpin.runner.report import survey

                return text_of(survey.lines(conclusion.found))
            case RanAll():
                from longpin.runner.report import shipped

                return text_of(shipped.lines(conclusion))
            case LogJudged():
                from longpin.runner.report import log

                return text_of(log.lines(conclusion))
            case _:
                assert_never(conclusion)

    def _run(self, result: Result) -> str:
        with self.console.capture() as capture:
            Picture(self.console).draw(result, self.advice)
        return capture.get()

    def _failure(self, conclusion: Searched) -> str:
        from longpin.runner.report.failure import FailurePicture

        assert conclusion.kept is not None
        with self.console.capture() as capture:
            FailurePicture(self.console).draw_failure(conclusion.kept, conclusion.subject.rules.judged)
        return capture.get()


def text_of(lines: Iterable[str]) -> str:
    """Return lines as text in which nothing can steer a terminal."""
    return "".join(f"{printable(line)}\n" for line in lines)


def _stripped(lines: Iterable[str]) -> str:
    return text_of(line.rstrip() for line in lines)
