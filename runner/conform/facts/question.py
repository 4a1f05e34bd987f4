"""Questions about kernels, a JSON object a line, and the answers that real kernels gave to some of them."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from longpin.actors.kernel.generation import Version

_TEXTS = ("case", "fs", "op", "kernel")
STANDARD_INPUT = "-"
_KEYS = {"id", "case", "fs", "op", "kernel", "how", "answered", "observed", "errno"}
_RELEASE = re.compile(r"\d+\.\d+")


class QuestionError(Exception):
    """A line that is no question: one line that says where and what was expected."""


@dataclass(frozen=True, slots=True)
class KernelAnswer:
    """What a kernel did, in the words of those who wrote it down."""

    observed: Any
    errno: str | None = None
    also: Mapping[str, Any] = field(default_factory=dict)
    """What else was looked at."""


@dataclass(frozen=True, slots=True)
class KernelQuestion:
    """What was done, and on which kernel."""

    id: str
    case: str
    fs: str
    op: str
    kernel: str
    """The release, such as ``6.1.0-56-amd64``."""
    how: str = ""
    recorded: KernelAnswer | None = None
    """What that kernel did; None: nobody has told."""

    @property
    def version(self) -> Version | None:
        """Return the generation of Linux; None: there is none of that version here."""
        found = _RELEASE.match(self.kernel)
        return next((version for version in Version if found and version.value == found[0]), None)

    @property
    def situation(self) -> tuple[str, ...]:
        """Return what it is told by where it has no id."""
        return self.case, self.fs, self.op, self.kernel, self.how

    def __str__(self) -> str:
        how = f" ({self.how})" if self.how else ""
        return f"{self.case}, {self.fs}, Linux {self.kernel}: {self.op}{how}"


def read_questions(file: Path, recorded: Path | None = None) -> list[KernelQuestion]:
    """Read the questions of a file; ``recorded`` has answers of kernels, which are joined by what was asked.

    Raises:
        QuestionError: a line is no question, or two lines ask the same, or a file cannot be read.

    """
    questions = list(_parsed(file))
    if not questions:
        raise QuestionError(f"{file}: expected a question a line, found none")
    told: dict[tuple[str, ...], KernelAnswer] = {}
    for question in _parsed(recorded) if recorded is not None else ():
        if question.recorded is not None:
            told[question.situation] = question.recorded
    return [replace(question, recorded=question.recorded or told.get(question.situation)) for question in questions]


def _parsed(file: Path) -> Iterator[KernelQuestion]:
    seen: dict[str, int] = {}
    try:
        data = sys.stdin.buffer.read() if str(file) == STANDARD_INPUT else file.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise QuestionError(f"{file}: expected a readable file, found an error ({why})") from None
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            for question in _questions(line, f"{file}:{number}", str(number)):
                if question.id in seen:
                    first = seen[question.id]
                    raise QuestionError(f"{file}:{number}: expected an id of its own, found that of line {first}")
                seen[question.id] = number
                yield question


def _questions(line: bytes, place: str, number: str) -> Iterator[KernelQuestion]:
    """Yield what a line asks of each of its kernels."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise QuestionError(f"{place}: expected a JSON object, found an error ({_shortened(str(error))})") from None
    if not isinstance(row, dict):
        raise QuestionError(f"{place}: expected a JSON object, found {_shortened(json.dumps(row))}")
    kernels = row.get("kernel")
    if isinstance(kernels, list) and kernels and all(isinstance(kernel, str) for kernel in kernels):
        row["kernel"] = kernels[0]
    else:
        kernels = [kernels]
    for key in (*_TEXTS, "how", "id"):
        value = row.get(key, None if key in _TEXTS else "")
        if not isinstance(value, str):
            found = "none" if key not in row else _shortened(json.dumps(value))
            raise QuestionError(f"{place}: {key}: expected text, found {found}")
    recorded = None
    if "observed" in row:
        errno = row.get("errno")
        if errno is not None and not isinstance(errno, str):
            raise QuestionError(f"{place}: errno: expected text or null, found {_shortened(json.dumps(errno))}")
        if row["observed"] is None:
            raise QuestionError(f"{place}: observed: expected what was seen, found null")
        recorded = KernelAnswer(row["observed"], errno, {key: its for key, its in row.items() if key not in _KEYS})
    texts = {key: row[key] for key in ("case", "fs", "op")}
    name = row.get("id") or number
    for kernel in kernels:
        own = name if len(kernels) == 1 else f"{name}, {kernel}"
        yield KernelQuestion(id=own, kernel=kernel, how=row.get("how", ""), recorded=recorded, **texts)


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
