"""Reports: each form in which conclusions are shown is one file that implements :class:`Report`.

The forms are ``console.py``, ``as_json.py`` and ``junit.py``. What each verb says is a file of its own, which the forms
share: ``picture.py`` (run, replay), ``parting.py`` (replay under another policy), ``exploration.py``, ``campaign.py``,
``failure.py``, ``conform.py``, ``races.py``.
"""

from typing import Protocol

from longpin.runner.conclusions import Conclusion


class Report(Protocol):
    """A form in which what a verb has come to is shown."""

    def show(self, conclusion: Conclusion) -> None:
        """Show it, whichever verb it is of.

        Raises:
            OSError: it cannot be written.

        """


__all__ = ["Conclusion", "Report"]
