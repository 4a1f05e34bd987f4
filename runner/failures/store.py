"""The folder of failures: for each a JSON file that says what broke and how it was found, and a trace beside it.

The JSON file holds the decisions for the scenario as it was searched, which is not in it: a failure is tried again only
with the same configuration. The trace is that of the shrunk failure and holds the shrunk scenario. Files are written
under another name and then renamed, the trace first, so that there is never a JSON file without a whole trace.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from longpin.config.schema import Scenario
from longpin.messages.strict import STRUCTURE_ERRORS, make_converter, problems
from longpin.runner.exploration.result import BrokenRule
from longpin.runner.failures.found import FoundFailure, configuration_hash
from longpin.runner.failures.schedule import Schedule
from longpin.runner.files import write_atomically
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

FORMAT: Literal["longpin-failure"] = "longpin-failure"
NUMBER: Literal[1] = 1
"""Changes when a record does."""

MOST_BYTES = 16 << 20
"""The largest JSON file that is read."""

_LONGEST_NAME = 80
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """How large a failure is."""

    processes: int
    operations: int
    """Calls in the text of programs and signal handlers."""
    decisions: int
    """Arrivals until the rule does not hold."""
    preemptions: int

    @classmethod
    def of(cls, scenario: Scenario, schedule: Schedule) -> "Size":
        """Return the size of a schedule of a scenario."""
        every = [
            its for spec in scenario.processes for its in (spec.program, *(handler for _, handler in spec.on_signal))
        ]
        operations = sum(len(program.operations()) for program in every)
        return cls(len(scenario.processes), operations, len(schedule.decisions), len(schedule.preempting))


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What a JSON file holds."""

    format: Literal["longpin-failure"]
    number: Literal[1]
    longpin: str
    """The version that wrote it."""
    scenario: str
    """The scenario's name."""
    configuration: str
    """:func:`~longpin.runner.failures.found.configuration_hash`."""
    policy: str
    """As :attr:`longpin.actors.policies.proposal.Proposal.name` writes it, for people; the hash counts."""
    timers: str
    rule: str
    site: str
    what: str
    by: str
    seed: int
    """The seed of the run that was found, and of the actors' random numbers."""
    decisions: list[str]
    """For the scenario as it was searched."""
    before: Size
    after: Size
    """Of the shrunk failure."""
    end: str
    """Why it was not made smaller."""
    trace: str
    """The name of the file beside this one that shows the shrunk failure."""
    policy_sha256: str = ""
    """Of the file of the policy, if it is a class in a file."""


_converter = make_converter()


class RecordError(Exception):
    """A file is no record; the text is one line."""


def stem(found: FoundFailure) -> str:
    """Return the name of a failure's files, without what they end in: the same for the same failure, every time."""
    return stem_of(found.scenario, found.settings, found.broken.rule, found.broken.site)


def stem_of(scenario: Scenario, settings: Settings, what: str, site: str = "") -> str:
    """Return the name of files about what a schedule of a scenario shows: a rule at a site, or a use.

    It has no character that a shell would make something of: O1' is written O1p.
    """
    same = f"{configuration_hash(scenario, settings)}\n{what}\n{site}"
    digits = hashlib.sha256(same.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    name = _UNFIT.sub("-", scenario.name)[:_LONGEST_NAME].strip("-.") or "scenario"
    return "-".join((name, what.replace("'", "p"), digits))


def write_record(path: Path, record: Record) -> None:
    """Write a JSON file.

    Raises:
        OSError: it cannot be written.

    """
    text = json.dumps(dataclasses.asdict(record), indent=1)
    write_atomically(path, lambda temporary: temporary.write_text(text + "\n", encoding="ascii"))


def read_record(path: Path) -> Record:
    """Read a JSON file; nothing in it is executed, and all of it is checked.

    Raises:
        RecordError: it cannot be read, or it is something else or damaged.

    """
    try:
        if not path.is_file():
            raise RecordError(f"{path}: not a file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise RecordError(f"{path}: larger than any failure")
        made = _parsed(path, data)
        if not isinstance(made, dict) or made.get("format") != FORMAT:
            raise RecordError(f"{path}: not a failure that longpin kept")
        if made.get("number") != NUMBER:
            raise RecordError(f"{path}: a format this longpin does not read, number {made.get('number')!r}")
        record = _converter.structure(made, Record)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from None
    except STRUCTURE_ERRORS as error:
        where, sentence = problems(error, "failure")[0]
        raise RecordError(f"{path}: damaged, {where}: {sentence}") from None
    if Path(record.trace).name != record.trace:
        raise RecordError(f"{path}: damaged, the trace is not a file beside it")
    return record


def _parsed(path: Path, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):  # of an integer with thousands of digits too
        raise RecordError(f"{path}: damaged, not JSON") from None


def records(folder: Path, tell: Callable[[str], object]) -> Iterator[Record]:
    """Yield what is kept in a folder, by name; ``tell`` gets a line for each file that is something else.

    Raises:
        OSError: the folder cannot be read; one that does not exist holds nothing.

    """
    if not folder.exists():
        return
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json":
            try:
                yield read_record(path)
            except RecordError as error:
                tell(str(error))


def known(folder: str | os.PathLike[str], subject: Subject, tell: Callable[[str], object]) -> list[FoundFailure]:
    """Return the failures of this configuration that are kept in a folder.

    Args:
        folder: where; it need not exist.
        subject: scenario and settings; the seed does not matter.
        tell: gets one line for each file that looks like a failure and is none.

    Raises:
        OSError: the folder cannot be read.

    """
    configuration = configuration_hash(subject.scenario, subject.settings)
    return [_found(record, subject) for record in records(Path(folder), tell) if record.configuration == configuration]


def _found(record: Record, subject: Subject) -> FoundFailure:
    settings: Settings = dataclasses.replace(subject.settings, seed=record.seed)
    broken = BrokenRule(record.what, record.rule, record.site)
    return FoundFailure(subject.scenario, settings, broken, tuple(record.decisions), record.by)
