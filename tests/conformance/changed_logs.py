"""Logs with one answer changed: a return value, an errno or a signal."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from longpin.runner.judge_log.script import Returns, Takes
from longpin.runner.judge_log.translated import Translated

RESULT = re.compile(r"(?P<before>.*\)\s+= )(?P<value>-?\d+<.*>(?:\(deleted\))?|-?0x[0-9a-f]+|-?\d+)(?P<rest>.*)")
SIGNAL = re.compile(r"(?P<before>.*--- )(?P<name>SIG\w+)(?P<info> \{si_signo=)SIG\w+(?P<rest>.*)")
ERRORS = ("EACCES (Permission denied)", "EBUSY (Device or resource busy)", "ENOSPC (No space left on device)")
SIGNALS = ("SIGUSR1", "SIGUSR2", "SIGTERM", "SIGIO", "SIGHUP")


@dataclass(frozen=True)
class Change:
    """One answer of a log that was changed."""

    line: int
    kind: str
    """``value``, ``errno`` or ``signal``."""
    text: str
    """The whole log."""
    before: str
    after: str


def changes(translated: Translated, choice: random.Random) -> Iterator[Change]:
    """Yield changes of answers that are judged, in random order."""
    steps = [step for image in translated.images.values() for step in image.steps]
    told = [step for step in steps if isinstance(step, (Returns, Takes)) and 0 < step.line <= len(translated.log.lines)]
    choice.shuffle(told)
    for step in told:
        line = translated.log.lines[step.line - 1]
        made = _signal(line, choice) if isinstance(step, Takes) else _answer(line, choice)
        if made is not None:
            kind, changed = made
            lines = [*translated.log.lines[: step.line - 1], changed, *translated.log.lines[step.line :]]
            yield Change(step.line, kind, "\n".join(lines) + "\n", line, changed)


def _signal(line: str, choice: random.Random) -> tuple[str, str] | None:
    match = SIGNAL.fullmatch(line)
    if match is None:
        return None
    other = choice.choice([name for name in SIGNALS if name != match["name"]])
    return "signal", f"{match['before']}{other}{match['info']}{other}{match['rest']}"


def _answer(line: str, choice: random.Random) -> tuple[str, str] | None:
    match = RESULT.fullmatch(line)
    if match is None:
        return None
    value, rest = match["value"], match["rest"]
    if failed := re.match(r" (E[A-Z]+) \([^)]*\)", rest):
        if failed[1].startswith("ERESTART"):
            return None
        if choice.random() < 0.5:
            return "errno", f"{match['before']}0{rest[failed.end() :]}"
        other = choice.choice([error for error in ERRORS if not error.startswith(failed[1])])
        return "errno", f"{match['before']}-1 {other}{rest[failed.end() :]}"
    if choice.random() < 0.5:
        rest = re.sub(r"^ \([^)]*\)", "", rest)
        return "errno", f"{match['before']}-1 {choice.choice(ERRORS)}{rest}"
    number, _, name = value.partition("<")
    changed = str(int(number, 0) + choice.randint(1, 3))
    return "value", f"{match['before']}{changed}{'<' + name if name else ''}{rest}"
