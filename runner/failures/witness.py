"""A schedule that shows a use, as a trace that replays."""

import io
import os
from pathlib import Path

from longpin.messages.envelope import Address
from longpin.runner.engines.engine import InternalError
from longpin.runner.failures.schedule import Follower
from longpin.runner.failures.store import stem_of
from longpin.runner.files import write_atomically
from longpin.runner.result import UseState
from longpin.runner.run import run
from longpin.runner.subject import Subject


def keep_witness(
    subject: Subject, use: str, decisions: tuple[Address, ...], folder: str | os.PathLike[str] | None
) -> str:
    """Carry out the decisions of a schedule that shows a use, and write its trace; return the file.

    Args:
        subject: what was explored.
        use: what is to be seen.
        decisions: whose oldest message arrives, arrival by arrival.
        folder: where the trace is written; it is created. None: nowhere, and the file is empty.

    Raises:
        InternalError: the schedule does not show it.
        OSError: the trace cannot be written.

    """
    written = io.BytesIO()
    result = run(subject.scenario, subject.settings, written, Follower(decisions, subject.settings.seed))
    if not any(one.use == use and one.state is UseState.SHOWN for one in result.uses):
        raise InternalError(f"not repeatable: a schedule that shows {use}")
    if folder is None:
        return ""
    path = Path(folder) / f"{stem_of(subject.scenario, subject.settings, use)}.trace"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write_bytes(written.getvalue()))
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    return str(path)
