"""How a scenario that is no pass is told: the story that a console would show, and one line for summaries."""

import io
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from longpin.runner.conclusions import Searched

_NARROWEST, _USUAL = 80, 120
"""Columns of a story: at least, and where there is no terminal."""


class SearchFailed(Exception):
    """A rule is violated, or what was to be proved is not."""

    def __init__(self, searched: "Searched", notices: Sequence[str] = ()) -> None:
        self.text, self.summary = "\n".join((*notices, _text(searched))), _summary(searched)
        super().__init__(self.summary)


class Crash(NamedTuple):
    """What pytest takes for its summary and for JUnit: where it is, and what in one line."""

    path: str
    lineno: int
    message: str


class StoryText:
    """What pytest shows of a failure: text as it is."""

    def __init__(self, text: str, path: str, summary: str) -> None:
        self.text = text
        self.reprcrash = Crash(path, 1, summary)

    def toterminal(self, writer: Any) -> None:
        """Write it, as pytest asks for it."""
        for line in self.text.splitlines():
            writer.line(line)

    def __str__(self) -> str:
        return self.text


def was_interrupted(searched: "Searched") -> bool:
    """Return whether Ctrl-C ended the search, before there was a failure or while it was made smaller."""
    from longpin.runner.conclusions import Explored
    from longpin.runner.exploration import Reason
    from longpin.runner.failures.effort import ShrinkEnd
    from longpin.runner.sampling.result import CampaignReason

    if searched.kept is not None:
        return searched.kept.record.end == ShrinkEnd.INTERRUPTED.value
    if isinstance(searched, Explored):
        return searched.exploration is not None and searched.exploration.reason is Reason.INTERRUPTED
    return searched.campaign is not None and searched.campaign.reason is CampaignReason.INTERRUPTED


def _text(searched: "Searched") -> str:
    """Return the story, the observation, and last the line that replays it."""
    from rich.console import Console

    from longpin.runner.report.console import ConsoleReport

    width = max(_NARROWEST, shutil.get_terminal_size((_USUAL, 25)).columns)
    plain: dict[str, Any] = {"color_system": None, "highlight": False, "markup": False, "emoji": False}
    console, text = Console(file=io.StringIO(), width=width, height=25, **plain), io.StringIO()
    ConsoleReport(console, text).show(searched)
    return text.getvalue().rstrip("\n")


def _summary(searched: "Searched") -> str:
    """Return in one line why it is no pass."""
    from longpin.runner.conclusions import Explored
    from longpin.runner.report import exploration

    if searched.kept is not None:
        return f"{searched.kept.found.broken.rule}: {searched.kept.found.broken.what}"
    if isinstance(searched, Explored) and searched.exploration is not None:
        return f"{searched.verdict.value}: {exploration.reason(searched, searched.exploration)}"
    return searched.verdict.value
