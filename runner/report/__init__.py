"""Reports: a protocol fed with facts, and one file for each form a result is shown in."""

from typing import Protocol

from longpin.runner.result import Result


class Report(Protocol):
    """A form in which a result is shown."""

    def show(self, result: Result) -> None:
        """Show it.

        Raises:
            OSError: it cannot be written.

        """


__all__ = ["Report"]
