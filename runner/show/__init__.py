"""Shows a run: one model of it (``model.py``), and for each form in which it is written one file with a :class:`Form`.

The model has what is read off a run for all forms: rows and lanes (:mod:`longpin.runner.report.rows`,
:mod:`longpin.runner.report.page.diagram`), every arrival with where it was sent, and what it changed.
"""

from importlib import import_module
from typing import Protocol

from longpin.runner.show.cannot import CannotShowError
from longpin.runner.show.model import ShownRun

FORMS = {
    "text": "PlainText",
    "html": "Html",
    "svg": "Svg",
    "mermaid": "Mermaid",
    "perfetto": "Perfetto",
    "shiviz": "ShiViz",
    "ndjson": "NdJson",
    "json": "Json",
    "c": "C",
}
"""The class of each form, in ``as_NAME.py``; imported when it is asked for."""


class Form(Protocol):
    """A form in which a run is shown."""

    def write(self, run: ShownRun) -> bytes:
        """Return the run as the bytes of one file.

        Raises:
            CannotShowError: it cannot be shown so, and why.

        """


def form_of(name: str) -> Form:
    """Return the form with a name of :data:`FORMS`."""
    form: Form = getattr(import_module(f"longpin.runner.show.as_{name}"), FORMS[name])()
    return form


__all__ = ["FORMS", "CannotShowError", "Form", "ShownRun", "form_of"]
