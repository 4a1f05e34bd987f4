"""Machine, storage and policy of a scenario: from the tables of the file to the schema, every value checked."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from longpin.actors.kernel.file_system import FILE_SYSTEMS
from longpin.actors.parameters import ParameterValue, expected_value, fits
from longpin.actors.policies import find_policy
from longpin.actors.policies.proposal import KERNEL, proposal_parameters, read_kernel, read_proposal
from longpin.config.expressions import MOST, read_size
from longpin.config.folders import MOST_FOLDERS, TooManyError, starting_folders
from longpin.config.positions import Path
from longpin.config.problems import listed, shown
from longpin.config.report import ProblemList
from longpin.config.schema import RULES, Device, InitialFile, MachineSettings, PmemSet, PolicyChoice, ProcessSpec
from longpin.config.structure import PolicyText, ScenarioTable, Size
from longpin.messages.fs.paths import NAME_MAX, PATH_MAX, in_proc, names, normal

MOST_BLOCKS = 1_000_000
"""Blocks of a pmem set, and of all sets of a scenario together."""
MOST_SECONDS = 1_000_000_000
_MOST_UID = (1 << 32) - 2
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def size(
    report: ProblemList, path: Path, value: Size | None, default: int, page_size: int, least: int, most: int
) -> int:
    """Return a size-like number within bounds; report it and return ``default`` where it is not."""
    if value is None:
        return default
    try:
        number = read_size(value, page_size) if isinstance(value, str) else value
    except ValueError as error:
        report.add(path, str(error).removeprefix("expected "), shown(value))
        return default
    if least <= number <= most:
        return number
    report.add(path, f"a number from {least} to {most}", shown(number))
    return default


def uid(report: ProblemList, path: Path, value: int | None) -> int:
    """Return a user id; 0 where none is given or it is out of range."""
    return size(report, path, value, 0, 0, 0, _MOST_UID)


def name(report: ProblemList, path: Path, value: str | None, taken: set[str]) -> str:
    """Return the name of a process, block set or device, entered in ``taken``; an unfit one is reported."""
    if value is None:
        report.add((*path, "name"), "a name", "none")
    elif not _NAME.fullmatch(value):
        report.add((*path, "name"), "a name of 1 to 64 letters, digits, '_', '.' and '-'", shown(value))
    elif value in taken:
        report.add((*path, "name"), "a name no other table of this kind has", shown(value))
    else:
        taken.add(value)
    return value or ""


def build_machine(report: ProblemList, table: ScenarioTable, policy: PolicyChoice) -> MachineSettings:
    """Return the machine that follows a policy, which may name the kernel itself."""
    default, given = MachineSettings(), table.machine
    page_size = size(
        report, ("machine", "page_size"), given.page_size, default.page_size, default.page_size, 512, 65536
    )
    if page_size & (page_size - 1):
        report.add(("machine", "page_size"), "a power of two from 512 to 65536", shown(page_size))
        page_size = default.page_size
    seconds = default.lease_break_time if given.lease_break_time is None else given.lease_break_time
    # Compared before it is made a float, which a huge integer would not fit; not-a-number fails it too.
    if not 0 <= seconds <= MOST_SECONDS:
        report.add(("machine", "lease_break_time"), f"seconds from 0 to {MOST_SECONDS}", shown(seconds))
        seconds = default.lease_break_time
    kernel = _kernel(report, given.kernel)
    if kernel and KERNEL in dict(policy.parameters):
        report.add(("machine", "kernel"), "the kernel once, here or with the policy", "it in both")
    return MachineSettings(page_size, float(seconds), bool(given.uverbs_async_delay), kernel)


def _kernel(report: ProblemList, text: str | None) -> tuple[tuple[str, ParameterValue], ...]:
    """Return the parameters of a kernel that is named."""
    if text is None:
        return ()
    try:
        return tuple(sorted(read_kernel(text).items()))
    except ValueError as error:
        expected, _, _ = str(error).replace(": expected ", " to be ").removeprefix("expected ").partition(", found ")
        report.add(("machine", "kernel"), expected, shown(text))
        return ()


def build_pmem(report: ProblemList, table: ScenarioTable, page_size: int) -> tuple[PmemSet, ...]:
    """Return the block sets; one named pmem0 if the file has none."""
    taken: set[str] = set()
    made = []
    before = 0
    for index, given in enumerate(table.pmem):
        path = ("pmem", index)
        blocks = size(report, (*path, "blocks"), given.blocks, PmemSet("").blocks, page_size, 1, MOST_BLOCKS)
        file_system = PmemSet("").file_system if given.file_system is None else given.file_system
        if file_system not in FILE_SYSTEMS:
            found = shown(file_system) + report.suggest(file_system, FILE_SYSTEMS)
            report.add((*path, "file_system"), f"one of the file systems {', '.join(FILE_SYSTEMS)}", found)
        made.append(PmemSet(name(report, path, given.name, taken), blocks, file_system))
        if before <= MOST_BLOCKS < before + blocks:
            expected = f"at most {MOST_BLOCKS} blocks in all pmem sets together"
            report.add((*path, "blocks"), expected, f"{blocks} after {before} in the sets before it")
        before += blocks
    return tuple(made) or (PmemSet("pmem0"),)


def build_devices(report: ProblemList, table: ScenarioTable) -> tuple[Device, ...]:
    """Return the RDMA devices; one named rxe0 if the file has none."""
    taken: set[str] = set()
    made = [Device(name(report, ("device", index), given.name, taken)) for index, given in enumerate(table.device)]
    return tuple(made) or (Device("rxe0"),)


def build_files(
    report: ProblemList, table: ScenarioTable, pmem: tuple[PmemSet, ...], page_size: int
) -> tuple[InitialFile, ...]:
    """Return the files, after a check that their pages fit the block sets."""
    left = {entry.name: entry.blocks for entry in pmem}
    paths: dict[str, int] = {}
    made = []
    for index, given in enumerate(table.file):
        path: Path = ("file", index)
        pmem_name = pmem[0].name if given.pmem is None else given.pmem
        length = size(report, (*path, "size"), given.size, 0, page_size, 0, MOST)
        if (problem := _problem_of_path(given.path, paths)) is not None:
            report.add((*path, "path"), problem, "none" if given.path is None else shown(given.path))
        paths.setdefault(given.path or "", index)
        if pmem_name in left:
            pages = -(-length // page_size)
            if pages > left[pmem_name]:
                found = f"{pages} pages where {left[pmem_name]} blocks of {pmem_name} are left"
                report.add((*path, "size"), "a file that fits its pmem set", found)
            left[pmem_name] -= min(pages, left[pmem_name])
        else:
            found = shown(pmem_name) + report.suggest(pmem_name, left)
            report.add((*path, "pmem"), f"one of the pmem sets {listed(left)}", found)
        owner = uid(report, (*path, "uid"), given.uid)
        mode = InitialFile("", "").mode if given.mode is None else given.mode
        if not 0 <= mode <= 0o7777:
            report.add((*path, "mode"), "permission bits from 0 to 0o7777", shown(mode))
        made.append(InitialFile(given.path or "", pmem_name, length, owner, mode))
    _check_nesting(report, paths)
    return tuple(made)


def _problem_of_path(path: str | None, taken: Collection[str]) -> str | None:
    """Return what was expected instead of the path of a file; None if it will do."""
    if path is None or not path.startswith("/") or not path.isprintable() or len(path.encode()) >= PATH_MAX:
        return f"an absolute path of at most {PATH_MAX - 1} bytes"
    if path == "/" or normal(path) != path:
        return "a path of a file, without //, ., .. or a slash at its end"
    if any(len(part.encode()) > NAME_MAX for part in names(path)):
        return f"names of at most {NAME_MAX} bytes between the slashes"
    if in_proc(path) is not None:
        return "a path outside of /proc/self/fd"
    return "a path no other file has" if path in taken else None


def _check_nesting(report: ProblemList, paths: Mapping[str, int]) -> None:
    """Report files that would have to be in another file."""
    for path, index in paths.items():
        above = path.rpartition("/")[0]
        while above:
            if above in paths:
                report.add(("file", index, "path"), f"a path that is not below the file {shown(above)}", shown(path))
                break
            above = above.rpartition("/")[0]


def build_folders(
    report: ProblemList, files: Iterable[InitialFile], processes: Iterable[ProcessSpec]
) -> tuple[str, ...]:
    """Return the folders there are from the start."""
    try:
        return starting_folders(files, processes)
    except TooManyError:
        report.add((), f"paths that go through at most {MOST_FOLDERS} folders", "more")
        return ()


def build_holds(report: ProblemList, table: ScenarioTable) -> tuple[str, ...]:
    """Return the rules that must hold, each once, in the order of the specification; there is at least one."""
    if table.holds == []:
        report.add(("holds",), f"at least one of the rules {', '.join(RULES)}", "none")
    for index, rule in enumerate(table.holds or ()):
        if rule not in RULES:
            report.add(("holds", index), f"one of the rules {', '.join(RULES)}", shown(rule))
    return RULES if table.holds is None else tuple(rule for rule in RULES if rule in table.holds)


def build_policy(report: ProblemList, given: PolicyText | None) -> PolicyChoice:
    """Return the policy, its preset, and the parameters the scenario sets."""
    default = PolicyChoice()
    if given is None:
        return default
    table: dict[str, Any] = {"name": given} if isinstance(given, str) else dict(given)
    path: Path = ("policy",) if isinstance(given, str) else ("policy", "name")
    for key in ("name", "preset"):
        if not isinstance(table.get(key, ""), str):
            report.add(("policy", key), "a string", shown(table[key]))
            return default
    text: str = table.pop("name", default.name)
    preset: str | None = table.pop("preset", None)
    try:
        if isinstance(given, str):
            policy, named_preset, table = read_proposal(text)
        else:
            policy, named_preset = find_policy(text)
    except ValueError as error:
        expected, _, _ = str(error).replace(": expected ", " to be ").removeprefix("expected ").partition(", found ")
        report.add(path, expected, shown(text))
        return default
    if preset is not None and preset.casefold() not in policy.presets:
        report.add(("policy", "preset"), f"one of the presets {', '.join(policy.presets)}", shown(preset))
    elif preset is not None and ":" in text and preset.casefold() != named_preset:
        report.add(("policy", "preset"), f"the preset once, {named_preset}, or no preset in the name", shown(preset))
    known = proposal_parameters(policy)
    for key, value in table.items():
        if key not in known:
            expected = f"one of the parameters of {policy.name}: {', '.join(known)}"
            report.add(("policy", key), expected, shown(key) + report.suggest(key, known))
        elif not fits(value, known[key]):
            report.add(("policy", key), expected_value(known[key]), shown(value))
    parameters: list[tuple[str, ParameterValue]] = sorted(table.items())
    return PolicyChoice(policy.name, named_preset if preset is None else preset.casefold(), tuple(parameters))
