"""The machine a log is thought to come from, as a scenario without programs: files, folders, lease-break-time."""

import json
from typing import Any, Final

from longpin.config.loader import parse_scenario
from longpin.config.schema import Scenario
from longpin.config.writer import write_scenario
from longpin.runner.judge_log.surroundings import GuessedFile
from longpin.runner.judge_log.translated import Translated

PAGE: Final = 4096
MOST_PAGES: Final = 1_000_000
SPARE_PAGES: Final = 4096
"""Pages beyond those of the files there are: for what the log writes."""


def tables(translated: Translated, *, break_time: float = 45) -> dict[str, Any]:
    """Return the machine and the files of a scenario, as tables of its file."""
    files = [_file(facts) for facts in translated.surroundings.files.values() if _was_there(facts)]
    pages = sum((file["size"] + PAGE - 1) // PAGE for file in files)
    return {
        "machine": {"lease_break_time": break_time},
        "pmem": [{"name": "disk", "blocks": min(MOST_PAGES, pages + SPARE_PAGES), "dax": False, "mount": "/"}],
        **({"file": files} if files else {}),
    }


def scene(translated: Translated, *, break_time: float = 45) -> Scenario:
    """Return the machine as a scenario of which no program is run."""
    about = translated.surroundings
    program = "".join(f"access({quoted(path)})\n" for path in sorted(about.files))
    program += "".join(f"mkdir({quoted(path)})\n" for path, there in sorted(about.folders.items()) if not there)
    document = {
        "name": "log",
        "policy": "P0",
        **tables(translated, break_time=break_time),
        "process": [{"name": "nobody", "program": program or "getpid()\n"}],
    }
    return parse_scenario(write_scenario(document), translated.log.name)


def quoted(path: str) -> str:
    """Return a path as a program has it."""
    return json.dumps(path)


def _was_there(facts: GuessedFile) -> bool:
    return bool(facts.existed)


def _file(facts: GuessedFile) -> dict[str, Any]:
    size = min(facts.size or 0, MOST_PAGES // 4 * PAGE)
    return {
        "path": facts.path,
        "size": size,
        "uid": facts.uid or 0,
        "mode": facts.mode if facts.mode is not None else 0o666,
    }
