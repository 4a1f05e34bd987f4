"""Reads scenario files: TOML in, a checked :class:`~longpin.config.schema.Scenario` out, or every mistake at once."""

import re
import sys
import tomllib
from bisect import bisect_left
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from longpin.config.build import (
    build_devices,
    build_folders,
    build_holds,
    build_machine,
    build_nfsd,
    build_policy,
    build_shows,
    build_violates,
    operations_of,
)
from longpin.config.dialect import find_dialect, has_roles, write_out
from longpin.config.pinner import REGION, find_pinner, with_pinner
from longpin.config.problems import Problem, ScenarioError, closest, shown
from longpin.config.processes import build_processes
from longpin.config.report import ProblemList
from longpin.config.schema import EXPECTATIONS_RULE, ProcessSpec, Scenario
from longpin.config.storage import build_dax, build_files, build_pmem, build_tmpfs, build_video
from longpin.config.structure import oversized, structure
from longpin.config.writer import write_scenario

__all__ = [
    "Problem",
    "ScenarioError",
    "in_dialect",
    "load_scenario",
    "parse_scenario",
    "pinned_by",
    "shipped_scenarios",
    "without_roles",
]

MOST_BYTES = 1 << 20
"""The largest scenario file."""

STANDARD_INPUT = "-"
_SUFFIX = ".toml"
_SCENARIO_FILE = re.compile(r"[^.]+\.toml")
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_LONG_NUMBER = re.compile(rf"[0-9](?:_?[0-9]){{{sys.get_int_max_str_digits() or 1}}}[0-9_]*+")
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\\\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")
"""A key of so many parts that tomllib's work, which grows with their square, would not end."""


def load_scenario(name_or_path: str) -> Scenario:
    """Return the scenario in a file, or the shipped one of that name; ``-`` is standard input.

    An argument with a slash, one that ends in ``.toml`` and one that names an existing file are paths.

    Raises:
        ScenarioError: the file cannot be read, there is no such shipped scenario, or the scenario has mistakes.

    """
    try:
        is_path = "/" in name_or_path or name_or_path.endswith(_SUFFIX) or Path(name_or_path).is_file()
        filename = name_or_path if is_path else f"{name_or_path}{_SUFFIX}"
        if name_or_path == STANDARD_INPUT:
            filename = "standard input"
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        elif is_path:
            path = Path(name_or_path)
            if path.is_fifo() or path.is_char_device():  # they could wait for ever
                raise _error(
                    name_or_path, f"a regular file, or {STANDARD_INPUT} for standard input", "a pipe or a device"
                )
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        else:
            shipped = _shipped()
            if name_or_path not in shipped:
                found = shown(name_or_path) + closest(name_or_path, shipped)
                names = ", ".join(shipped_scenarios())
                raise _error(
                    name_or_path, f"a file, one of the scenarios {names}, or a hazard (longpin list hazards)", found
                )
            data = shipped[name_or_path].read_bytes()
    except OSError as error:
        raise _error(name_or_path, "a readable file", f"an error ({error.strerror})") from error
    except ValueError as error:
        raise _error(ascii(name_or_path), "the name of a file", f"an error ({error})") from error
    if len(data) > MOST_BYTES:
        raise _error(filename, f"at most {MOST_BYTES} bytes", "more")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(filename, "text in UTF-8", f"the byte {data[error.start]:#04x}", line) from error
    return parse_scenario(text, filename)


def shipped_scenarios() -> list[str]:
    """Return the names of the scenarios that come with the package, sorted."""
    return sorted(_in_folder("scenarios"))


def in_dialect(scenario: Scenario, policy: str, preset: str) -> Scenario:
    """Return a scenario with its roles in the dialect of a policy; one without roles as it is.

    Raises:
        ScenarioError: the policy has no dialect, or the scenario has mistakes in this one.

    """
    if scenario.dialect in ("", f"{policy}:{preset}"):
        return scenario
    return parse_scenario(scenario.text, scenario.filename, (policy, preset))


def without_roles(scenario: Scenario) -> Scenario:
    """Return a scenario in whose text the roles are written out, in the dialect in which it is."""
    if not scenario.dialect:
        return scenario
    policy, _, preset = scenario.dialect.rpartition(":")
    document = tomllib.loads(scenario.text)
    dialect = find_dialect(policy, preset)
    for process in document["process"]:
        for programs in (process, process.get("on_signal", {})):
            for key, source in programs.items():
                if isinstance(source, str) and (key == "program" or programs is not process):
                    programs[key] = write_out(source, ((1, 1),), dialect).source
    return parse_scenario(write_scenario(document), scenario.filename)


def pinned_by(scenario: Scenario, pinner: str) -> Scenario:
    """Return a scenario in which another pinner stands for its memory regions, its roles written out.

    Raises:
        KeyError: there is no such pinner.
        ScenarioError: the pinner has no call for one that a program makes.

    """
    if pinner == REGION:
        return scenario
    document = with_pinner(tomllib.loads(without_roles(scenario).text), find_pinner(pinner))
    return parse_scenario(write_scenario(document), scenario.filename)


def parse_scenario(text: str, filename: str, speaker: tuple[str, str] | None = None) -> Scenario:
    """Read the text of a scenario file; ``filename`` is for messages.

    ``speaker`` is the policy, with its preset, in whose dialect roles are written out, if it is not the file's own.

    A byte order mark, with which some editors begin a file, is left out: TOML has no word for it.

    Raises:
        ScenarioError: with every mistake in the text; of mistakes in the TOML itself, the first.

    """
    text = text.removeprefix("\ufeff")
    document = _parse_toml(text, filename)
    report = ProblemList(filename, text, document)
    for misfit in oversized(document):
        report.add(misfit.path, misfit.expected, misfit.found)
    report.raise_if_any()
    table, misfits = structure(document)
    for misfit in misfits:
        report.add(misfit.path, misfit.expected, misfit.found)
    if table.name is None or not table.name.strip() or not table.name.isprintable():
        found = "none" if table.name is None else shown(table.name)
        report.add(("name",), "a name for the scenario, on one line", found)
    policy = build_policy(report, table.policy)
    machine = build_machine(report, table, policy)
    pmem = build_pmem(report, table, machine.page_size)
    tmpfs = build_tmpfs(report, table, pmem)
    dax = build_dax(report, table, machine.page_size)
    video = build_video(report, table, machine.page_size)
    files = build_files(report, table, pmem, tmpfs, [*dax, *video], machine.page_size)
    holds = build_holds(report, table)
    policy_name, preset = speaker or (policy.name, policy.preset)
    sources = [source for given in table.process for source in (given.program or "", *given.on_signal.values())]
    roles = any(map(has_roles, sources))
    dialect = find_dialect(policy_name, preset) if roles else None
    processes = build_processes(report, table, machine.page_size, dialect)
    shows = build_shows(report, table, processes)
    violates, violates_on = build_violates(report, table, holds)
    scenario = Scenario(
        name=table.name or "",
        source=table.source or "",
        summary=table.summary or "",
        policy=policy,
        machine=machine,
        pmem=pmem,
        dax=dax,
        tmpfs=tmpfs,
        video=video,
        nfsd=build_nfsd(report, table),
        devices=build_devices(report, table),
        files=files,
        folders=build_folders(report, files, processes),
        processes=processes,
        holds=holds,
        text=text,
        warnings=(*_warnings(filename, processes, holds), *_warnings_of_uses(filename, processes, shows)),
        shows=shows,
        violates=violates,
        violates_on=violates_on,
        unreached=bool(table.unreached),
        dialect=f"{policy_name}:{preset}" if roles else "",
        filename=filename,
    )
    report.raise_if_any()
    return scenario


def _warnings(filename: str, processes: tuple[ProcessSpec, ...], holds: tuple[str, ...]) -> tuple[str, ...]:
    """Return a warning if lines say what a call must do and no rule judges that."""
    if EXPECTATIONS_RULE in holds:
        return ()
    lines = {
        op.line: spec.name
        for spec in processes
        for program in (spec.program, *(handler for _, handler in spec.on_signal))
        for op in program.operations()
        if op.expectations
    }
    if not lines:
        return ()
    first = min(lines)
    more = f" ({len(lines)} lines in all)" if len(lines) > 1 else ""
    unjudged = f"what this line expects is not judged: {EXPECTATIONS_RULE} is not in holds"
    return (f"{filename}:{first}: process.{lines[first]}: warning: {unjudged}{more}",)


def _warnings_of_uses(filename: str, processes: tuple[ProcessSpec, ...], shows: tuple[str, ...]) -> Iterator[str]:
    """Yield a warning for each use of which lines say what it takes, and that nobody asks for."""
    first: dict[str, int] = {}
    for op in operations_of(processes):
        for use, _ in op.uses:
            first[use] = min(op.line, first.get(use, op.line))
    for use, line in sorted(first.items()):
        if use not in shows:
            yield f"{filename}:{line}: warning: what {use} takes is not looked at: {use} is not in shows"


def _parse_toml(text: str, filename: str) -> dict[str, Any]:
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise _error(filename, "text that UTF-8 can hold", "half of a surrogate pair", line) from error
    if length > MOST_BYTES:
        raise _error(filename, f"at most {MOST_BYTES} bytes", "more")
    if long_key := _LONG_KEY.search(text):
        line = text.count("\n", 0, long_key.start()) + 1
        raise _error(filename, "keys of at most 32 parts", "a longer one", line)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise _error(filename, "TOML", "an error (nested too deeply)") from error
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _TOML_PLACE.search(message)
        line, column = 1, None
        if place and place[1]:
            line, column = int(place[1]), int(place[2])
        elif place:
            line = text.count("\n") + 1
        raise _error(filename, "TOML", f"an error ({_TOML_PLACE.sub('', message)})", line, column) from error
    except ValueError as error:
        number = _first_long_number(text)
        line, column = text.count("\n", 0, number.start()) + 1, number.start() - text.rfind("\n", 0, number.start())
        expected = f"an integer of at most {sys.get_int_max_str_digits()} digits"
        raise _error(filename, expected, "a longer one", line, column) from error


def _first_long_number(text: str) -> re.Match[str]:
    """Return the first integer in a TOML text that Python refuses to read for its length; there is one.

    What looks like one may stand in a string or a comment. Up to and with the first that is one the text fails in the
    same way, and so it does up to every later one.
    """
    found = list(_LONG_NUMBER.finditer(text))
    return found[bisect_left(found, True, key=lambda number: _fails_by_length(text[: number.end()]))]


def _fails_by_length(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    except ValueError:
        return True
    return False


def _error(filename: str, expected: str, found: str, line: int = 1, column: int | None = None) -> ScenarioError:
    return ScenarioError([Problem(filename, line, column, "scenario", expected, found)])


def _shipped() -> dict[str, Traversable]:
    """Return the scenarios that come with the package, hazards included, by name."""
    return _in_folder("hazards") | _in_folder("scenarios")


def _in_folder(folder: str) -> dict[str, Traversable]:
    entries = (resources.files("longpin.config") / folder).iterdir()
    return {entry.name.removesuffix(_SUFFIX): entry for entry in entries if _SCENARIO_FILE.fullmatch(entry.name)}
