"""``longpin conform --facts``."""

import json
import time
from pathlib import Path
from typing import NoReturn

from longpin.config.situation import shipped_situations
from longpin.runner.commands import startup
from longpin.runner.commands.comparing import progress
from longpin.runner.commands.options import spare
from longpin.runner.commands.terminal import BadInput, conclude
from longpin.runner.conclusions import Predicted
from longpin.runner.conform.facts.check import FactTally, ask
from longpin.runner.conform.facts.question import QuestionError, read_questions
from longpin.runner.files import replace_file


def predict(questions: Path, recorded: Path | None, answers: Path | None, *, as_json: bool) -> NoReturn:
    """Answer all questions of a file, write the answers, show how they stand beside what kernels did, and exit.

    Raises:
        BadInput: the questions cannot be used, or the answers would be written over them.
        InternalError: a bug of longpin.

    """
    spare("--answers", answers, questions, recorded)
    try:
        asked = read_questions(questions, recorded)
    except QuestionError as error:
        raise BadInput(str(error)) from None
    startup.ready()
    started, tally, interrupted = time.monotonic(), FactTally(), False
    try:
        with progress(len(asked), tally) as advance:
            for answered in ask(asked, shipped_situations()):
                tally.add(answered)
                advance()
    except KeyboardInterrupt:
        interrupted = True
    not_kept = _write(answers, tally, interrupted=interrupted)
    seconds = time.monotonic() - started
    conclude(Predicted(tally, len(asked), seconds, interrupted=interrupted, not_kept=not_kept), as_json=as_json)


def _write(file: Path | None, tally: FactTally, *, interrupted: bool) -> str:
    """Write an answer a line, all of them or none; return why not, if they were not."""
    if file is None:
        return ""
    if interrupted:
        return f"{file}: not written, as not all questions were answered"
    lines = "".join(json.dumps(answered.as_line()) + "\n" for answered in tally.answers)
    try:
        replace_file(file, lines.encode())
    except OSError as error:
        return f"{file}: cannot be written: {error.strerror or error}"
    return ""
