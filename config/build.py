"""Machine, storage and policy of a scenario: from the tables of the file to the schema, every value checked."""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, TypeVar

from longpin.actors.kernel.generation import Version
from longpin.actors.kernel.nfs_server import LayoutType, NfsServer, OnTimeout
from longpin.actors.mm.ram import MOST_FRAMES
from longpin.actors.parameters import ParameterValue, expected_value, fits
from longpin.actors.policies import find_policy, name_in_file
from longpin.actors.policies.proposal import KERNEL, proposal_parameters, read_kernel, read_proposal
from longpin.actors.process.program import Op
from longpin.config.expressions import read_size
from longpin.config.folders import MOST_FOLDERS, TooManyError, starting_folders
from longpin.config.positions import Path
from longpin.config.problems import shown
from longpin.config.report import ProblemList
from longpin.config.schema import (
    ALL_RULES,
    RULES,
    USES,
    InitialFile,
    MachineSettings,
    PolicyChoice,
    ProcessSpec,
)
from longpin.config.structure import PolicyText, ScenarioTable, Size
from longpin.messages.rdma.device import RdmaDevice

MOST_SECONDS = 1_000_000_000
MOST_THREADS = 1024
MOST_FENCES = 1000
"""At most three minutes apart, they go on for two days."""
E = TypeVar("E", bound=StrEnum)
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
    huge_size, huge_pages = _huge_pages(report, table, page_size)
    kernel = _kernel(report, given.kernel)
    if kernel and KERNEL in dict(policy.parameters):
        report.add(("machine", "kernel"), "the kernel once, here or with the policy", "it in both")
    switches = bool(given.hypervisor), bool(given.vfio)
    return MachineSettings(
        page_size, float(seconds), bool(given.uverbs_async_delay), huge_size, huge_pages, *switches, kernel
    )


def _huge_pages(report: ProblemList, table: ScenarioTable, page_size: int) -> tuple[int, int]:
    """Return the size of huge pages, and how many there are."""
    given, usual = table.machine, 512 * page_size
    huge = size(report, ("machine", "huge_page_size"), given.huge_page_size, usual, page_size, 2 * page_size, 1 << 30)
    if huge & (huge - 1):
        report.add(("machine", "huge_page_size"), "a power of two", shown(huge))
        huge = usual
    most = MOST_FRAMES * page_size // huge
    return huge, size(report, ("machine", "huge_pages"), given.huge_pages, 0, page_size, 0, most)


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


def build_devices(report: ProblemList, table: ScenarioTable) -> tuple[RdmaDevice, ...]:
    """Return the RDMA devices; one named rxe0 if the file has none."""
    taken: set[str] = set()
    made = [
        RdmaDevice(
            name(report, ("device", index), given.name, taken),
            iommu=given.iommu is not False,
            revocable=given.revocable is not False,
            on_demand=given.on_demand,
            names_owner=given.names_owner is not False,
            removable=bool(given.removable),
            disassociates=given.disassociates is not False,
        )
        for index, given in enumerate(table.device)
    ]
    return tuple(made) or (RdmaDevice("rxe0"),)


def build_nfsd(report: ProblemList, table: ScenarioTable) -> NfsServer:
    """Return the NFS server."""
    given = table.nfsd

    def number(key: str, value: int | None, most: int) -> int:
        return size(report, ("nfsd", key), value, 0, 0, 0, most)

    def word(key: str, value: str | None, kind: type[E]) -> E | None:
        words = [member.value for member in kind]
        if value is not None and value not in words:
            found = shown(value) + report.suggest(value, words)
            report.add(("nfsd", key), f"one of {', '.join(words)}", found)
            return None
        return None if value is None else kind(value)

    return NfsServer(
        number("threads", given.threads, MOST_THREADS),
        word("on_timeout", given.on_timeout, OnTimeout),
        word("layout_type", given.layout_type, LayoutType) or LayoutType.SCSI,
        number("fence_failures", given.fence_failures, MOST_FENCES),
        number("fence_retries", given.fence_retries, MOST_FENCES),
    )


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
        report.add(("holds",), f"at least one of the rules {', '.join(ALL_RULES)}", "none")
    for index, rule in enumerate(table.holds or ()):
        if rule not in ALL_RULES:
            report.add(("holds", index), f"one of the rules {', '.join(ALL_RULES)}", shown(rule))
    return RULES if table.holds is None else tuple(rule for rule in ALL_RULES if rule in table.holds)


def build_shows(report: ProblemList, table: ScenarioTable, processes: Iterable[ProcessSpec]) -> tuple[str, ...]:
    """Return the uses that some schedule must show, each once; lines say of each what it takes."""
    said = {use for op in operations_of(processes) for use, _ in op.uses}
    for index, use in enumerate(table.shows or ()):
        if use not in USES:
            report.add(("shows", index), f"one of the uses {', '.join(USES)}", shown(use))
        elif use not in said:
            report.add(("shows", index), f"a line that says what it takes, such as # {use} -> ok", "none")
    return tuple(use for use in USES if use in (table.shows or ()))


def build_violates(
    report: ProblemList, table: ScenarioTable, holds: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the rules that a run is expected to break, and kernels on which it is others."""

    def rules(path: Path, given: Iterable[str]) -> tuple[str, ...]:
        for index, rule in enumerate(given):
            if rule not in holds:
                report.add((*path, index), f"one of the rules that must hold, {', '.join(holds)}", shown(rule))
        return tuple(rule for rule in holds if rule in given)

    for kernel in table.violates_on:
        if kernel not in set(Version):
            found = shown(kernel) + report.suggest(kernel, [str(version) for version in Version])
            report.add(("violates_on", kernel), f"one of the kernels {', '.join(Version)}", found)
    on = sorted((kernel, rules(("violates_on", kernel), given)) for kernel, given in table.violates_on.items())
    return rules(("violates",), table.violates or ()), tuple(on)


def operations_of(processes: Iterable[ProcessSpec]) -> Iterator[Op]:
    """Yield every call in the text of programs and handlers."""
    for spec in processes:
        for program in (spec.program, *(handler for _, handler in spec.on_signal)):
            yield from program.operations()


_NOT_LOADED = "the option --policy with this, as a class in a file is given there and nowhere else"


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
    if name_in_file(text):
        return PolicyChoice(problem=report.problem(path, _NOT_LOADED, shown(text)))
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
