"""A run as text: the picture that ``run`` and ``replay`` draw, and since when a violation was inevitable."""

import io

from rich.console import Console
from rich.text import Text as RichText

from longpin.runner.failures.inevitable import LastChoice
from longpin.runner.report.observation import last_lines
from longpin.runner.report.picture import Picture
from longpin.runner.show.model import ShownRun, message_text

HEIGHT = 25
"""Lines of the screen; nothing here depends on it, but rich looks for a terminal where it is not told."""


class PlainText:
    """Writes text."""

    def write(self, run: ShownRun) -> bytes:
        """Return the picture."""
        console = Console(
            file=io.TextIOWrapper(io.BytesIO(), encoding=run.encoding, errors="backslashreplace"),
            width=run.width,
            height=HEIGHT,
            force_terminal=False,
            color_system=None,
            highlight=False,
            markup=False,
            emoji=False,
        )
        with console.capture() as capture:
            _RunPicture(console).draw_run(run)
        return capture.get().encode(run.encoding, "backslashreplace")


class _RunPicture(Picture):
    """Draws a run that is shown."""

    def draw_run(self, run: ShownRun) -> None:
        """Draw it."""
        self._header(run.result)
        self._time_line(run.result)
        self._verdict(run.result)
        if run.inevitable is not None:
            self._say("", str(run.inevitable))
            if run.inevitable.choice is not None:
                for line in choice_lines(run.inevitable.since, run.inevitable.choice):
                    self._say("", line)
        for line in last_lines(run.result, run.again):
            self.console.print(RichText(line), soft_wrap=True)


def choice_lines(since: int, choice: LastChoice) -> list[str]:
    """Return in words what the last choice was that could have avoided a violation."""
    return [
        f"the last choice that could have avoided it: arrival {since} was {message_text(choice.taken)}",
        f"{message_text(choice.instead)} could have arrived instead",
    ]
