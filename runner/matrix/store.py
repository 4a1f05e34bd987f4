"""The folder of a matrix: a file for each row that is done, and the counterexamples.

A row is done when all of its cells are known; its file is written whole, after the files that it names. What is done is
not done again by the same code with the same bounds.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from longpin.messages.envelope import Address
from longpin.messages.strict import STRUCTURE_ERRORS, make_converter
from longpin.messages.trace import TraceError, TraceReader
from longpin.runner.failures.store import RecordError, read_record
from longpin.runner.files import write_atomically
from longpin.runner.matrix.row import RowResult, RowTask

ROWS, TRACES = "rows", "traces"
"""Folders in the folder of a matrix."""

SHOWING = ("runner/report/", "runner/commands/")
"""Modules that show verdicts and change none."""

R = TypeVar("R")


class MatrixFolder:
    """Where a matrix is kept."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.rows = self.folder / ROWS
        self.traces = self.folder / TRACES

    def find(self, kind: type[R], task: RowTask, what: str = "") -> R | None:
        """Return what was done before of a row, None: nothing, or not by this code and with these bounds.

        Args:
            kind: what it is: a dataclass.
            task: the row.
            what: what was done with it, where that is not in the task.

        """
        try:
            kept = json.loads(self._file(task, what).read_text(encoding="utf-8"))
            if kept["identity"] != identity(task, what):
                return None
            if not all(_is_whole(self.traces / name) for name in kept["files"]):
                return None
            row = make_converter().structure(kept["row"], kind)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, *STRUCTURE_ERRORS):
            return None
        if isinstance(row, RowResult) and not _is_of(row, task, kept["files"]):
            return None
        return row

    def keep(self, task: RowTask, row: Any, files: Mapping[str, bytes], what: str = "") -> None:
        """Keep what was done of a row, and the files that belong to it.

        Raises:
            OSError: it cannot be written.

        """
        for folder in (self.rows, self.traces):
            folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            _write(self.traces / name, data)
        assert is_dataclass(row)
        kept = {"identity": identity(task, what), "files": sorted(files), "row": asdict(row)}  # type: ignore[arg-type]
        _write(self._file(task, what), json.dumps(kept, indent=1).encode())

    def counterexamples(self) -> Mapping[str, list[tuple[str, tuple[Address, ...]]]]:
        """Return the counterexamples that are kept, by hazard: the policy, and the decisions."""
        found: dict[str, list[tuple[str, tuple[Address, ...]]]] = {}
        for path in sorted(self.traces.glob("*.json")):
            try:
                record = read_record(path)
            except RecordError:
                continue
            found.setdefault(record.scenario, []).append((record.policy, tuple(record.decisions)))
        return found

    def _file(self, task: RowTask, what: str) -> Path:
        return self.rows / f"{Path(task.name).stem}.{task.timers}.{identity(task, what)[:12]}.json"


def identity(task: RowTask, what: str = "") -> str:
    """Return what a row is: a SHA-256 over everything that its verdicts depend on, the code included; in hex."""
    all_of_it: list[Any] = [
        code_sha256(),
        task.text,
        asdict(task.expected),
        task.timers,
        task.seconds,
        task.sharing,
        task.pinner,
        what,
    ]
    for column in task.columns:
        settings = column.settings(task.timers, task.expected.kernel)
        all_of_it += [settings.policy, settings.preset, settings.make_proposal().parameters, settings.policy_sha256]
    return hashlib.sha256(json.dumps(all_of_it, sort_keys=True).encode()).hexdigest()


@cache
def code_sha256() -> str:
    """Return the SHA-256 over the modules and data of the package that can change a verdict, in hex."""
    digest = hashlib.sha256()
    for room in ("actors", "messages", "config", "runner"):
        for path, entry in sorted(_texts(resources.files(f"longpin.{room}"), room)):
            if not path.startswith(SHOWING):
                digest.update(path.encode() + b"\0" + entry.read_bytes() + b"\0")
    return digest.hexdigest()


def _texts(folder: Traversable, name: str) -> Iterable[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            yield from _texts(entry, path)
        elif entry.name.endswith((".py", ".toml")) and not entry.name.endswith(".expected.toml"):
            yield path, entry


def _is_whole(path: Path) -> bool:
    """Return whether a record, or a trace, can be read to its end."""
    try:
        if path.suffix == ".json":
            read_record(path)
            return True
        reader = TraceReader(path)
        for _ in reader:
            pass
    except (RecordError, TraceError):
        return False
    return reader.complete


def _is_of(row: RowResult, task: RowTask, files: Iterable[str]) -> bool:
    """Return whether a row has the cells that are asked for, and names no other files than those it was kept with."""
    wanted = [column.settings(task.timers, task.expected.kernel).policy_name for column in task.columns]
    return [cell.column for cell in row.cells] == wanted and {cell.trace for cell in row.cells} <= {"", *files}


def _write(path: Path, data: bytes) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(data))
