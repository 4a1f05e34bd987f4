"""A run as a C program: the programs of its scenario, in the order in which they made their calls."""

from longpin.runner.c_source.write import write_c
from longpin.runner.show.model import ShownRun


class C:
    """Writes C."""

    def write(self, run: ShownRun) -> bytes:
        """Return the file."""
        return write_c(run.scenario).encode("ascii")
