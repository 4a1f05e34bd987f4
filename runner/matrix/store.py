"""The folder of a matrix: a file for each row that is done, and the counterexamples.

A row is done when all of its cells are known; its file is written whole, after the files that it names. What is done is
not done again by the same code with the same bounds.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from cattrs.errors import ClassValidationError

from longpin.messages.envelope import Address
from longpin.messages.strict import STRUCTURE_ERRORS, make_converter
from longpin.runner.failures.store import RecordError, read_record
from longpin.runner.files import write_atomically
from longpin.runner.matrix.cell import MatrixCell
from longpin.runner.matrix.row import RowResult, RowTask

ROWS, TRACES = "rows", "traces"
"""Folders in the folder of a matrix."""


class MatrixFolder:
    """Where a matrix is kept."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.rows = self.folder / ROWS
        self.traces = self.folder / TRACES

    def find(self, task: RowTask) -> RowResult | None:
        """Return what was done before of a row, None: nothing, or not by this code and with these bounds."""
        try:
            kept = json.loads(self._file(task).read_text(encoding="utf-8"))
            if kept["identity"] != identity(task):
                return None
            cells = tuple(make_converter().structure(cell, MatrixCell) for cell in kept["cells"])
            files = {cell.trace: b"" for cell in cells if cell.trace}
            if not all((self.traces / name).is_file() for name in files):
                return None
            return RowResult(cells, {}, int(kept["explorations"]), int(kept["questions"]))
        except (OSError, ValueError, KeyError, TypeError, ClassValidationError, *STRUCTURE_ERRORS):
            return None

    def keep(self, task: RowTask, result: RowResult) -> None:
        """Keep what was done of a row.

        Raises:
            OSError: it cannot be written.

        """
        for folder in (self.rows, self.traces):
            folder.mkdir(parents=True, exist_ok=True)
        for name, data in result.files.items():
            _write(self.traces / name, data)
        row = {
            "identity": identity(task),
            "explorations": result.explorations,
            "questions": result.questions,
            "cells": [asdict(cell) for cell in result.cells],
        }
        _write(self._file(task), json.dumps(row, indent=1).encode())

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

    def _file(self, task: RowTask) -> Path:
        return self.rows / f"{Path(task.name).stem}.{task.timers}.{identity(task)[:12]}.json"


def identity(task: RowTask) -> str:
    """Return what a row is: a SHA-256 over everything that its verdicts depend on, the code included; in hex."""
    what: list[Any] = [code_sha256(), task.text, asdict(task.expected), task.timers, task.seconds, task.sharing]
    for column in task.columns:
        settings = column.settings(task.timers, task.expected.kernel)
        what += [settings.policy, settings.preset, settings.make_proposal().parameters, settings.policy_sha256]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


@cache
def code_sha256() -> str:
    """Return the SHA-256 over the modules and data of the package that can change a verdict, in hex."""
    digest = hashlib.sha256()
    for room in ("actors", "messages", "config", "runner"):
        for path, entry in sorted(_texts(resources.files(f"longpin.{room}"), room)):
            digest.update(path.encode() + b"\0" + entry.read_bytes() + b"\0")
    return digest.hexdigest()


def _texts(folder: Traversable, name: str) -> Iterable[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            yield from _texts(entry, path)
        elif entry.name.endswith((".py", ".toml")) and not entry.name.endswith(".expected.toml"):
            yield path, entry


def _write(path: Path, data: bytes) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(data))
