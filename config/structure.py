"""The shape of a scenario file: which keys there are and what type each has, before anything is looked up or compared.

Every field is optional here, so that what has the wrong shape can be left out and the rest still be checked.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any, get_origin

from cattrs import Converter
from cattrs.cols import list_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)
from cattrs.gen import make_dict_structure_fn, make_mapping_structure_fn

from longpin.config.positions import Path
from longpin.config.problems import closest, shown

MOST_ENTRIES = 1000
"""Elements of an array and keys of a table: so many tables, files or processes nobody writes down or looks at."""

Size = int | str
"""A number, or an expression such as ``4 * PAGE``."""
PolicyText = str | dict[str, Any]
"""``policy = "P5:as_posted"``, or a table whose other keys are the policy's own parameters."""


Hook = Callable[[Any, Any], Any]
"""What cattrs calls a structure hook: from a value and its type to the structured value."""


@dataclass(slots=True)
class MachineTable:
    """``[machine]``."""

    page_size: Size | None = None
    lease_break_time: float | None = None
    uverbs_async_delay: bool | None = None
    huge_page_size: Size | None = None
    huge_pages: int | None = None
    hypervisor: bool | None = None
    vfio: bool | None = None
    kernel: str | None = None


@dataclass(slots=True)
class NfsServerTable:
    """``[nfsd]``."""

    threads: int | None = None
    on_timeout: str | None = None
    layout_type: str | None = None
    fence_failures: int | None = None
    fence_retries: int | None = None


@dataclass(slots=True)
class PmemTable:
    """``[[pmem]]``."""

    name: str | None = None
    blocks: Size | None = None
    file_system: str | None = None
    mount: str | None = None
    dax: bool | None = None


@dataclass(slots=True)
class TmpfsTable:
    """``[[tmpfs]]``."""

    mount: str | None = None


@dataclass(slots=True)
class DaxTable:
    """``[[dax]]``."""

    name: str | None = None
    size: Size | None = None
    align: Size | None = None


@dataclass(slots=True)
class VideoTable:
    """``[[video]]``."""

    name: str | None = None
    frame_size: Size | None = None
    framework: str | None = None


@dataclass(slots=True)
class DeviceTable:
    """``[[device]]``."""

    name: str | None = None
    iommu: bool | None = None
    revocable: bool | None = None
    on_demand: bool | None = None
    names_owner: bool | None = None
    removable: bool | None = None
    disassociates: bool | None = None


@dataclass(slots=True)
class FileTable:
    """``[[file]]``."""

    path: str | None = None
    size: Size | None = None
    pmem: str | None = None
    uid: int | None = None
    mode: int | None = None


@dataclass(slots=True)
class ProcessEntry:
    """``[[process]]``."""

    name: str | None = None
    program: str | None = None
    on_signal: dict[str, str] = field(default_factory=dict)
    uid: int | None = None
    capabilities: list[str] | None = None
    memlock: Size | None = None
    sigpending: Size | None = None
    start: str | None = None


@dataclass(slots=True)
class ScenarioTable:
    """The whole file."""

    name: str | None = None
    source: str | None = None
    summary: str | None = None
    policy: PolicyText | None = None
    holds: list[str] | None = None
    shows: list[str] | None = None
    violates: list[str] | None = None
    violates_on: dict[str, list[str]] = field(default_factory=dict)
    unreached: bool | None = None
    machine: MachineTable = field(default_factory=MachineTable)
    nfsd: NfsServerTable = field(default_factory=NfsServerTable)
    pmem: list[PmemTable] = field(default_factory=list)
    tmpfs: list[TmpfsTable] = field(default_factory=list)
    dax: list[DaxTable] = field(default_factory=list)
    video: list[VideoTable] = field(default_factory=list)
    device: list[DeviceTable] = field(default_factory=list)
    file: list[FileTable] = field(default_factory=list)
    process: list[ProcessEntry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value of the wrong shape."""

    path: Path
    expected: str
    found: str


class _WrongTypeError(Exception):
    def __init__(self, expected: str, value: object) -> None:
        super().__init__(expected)
        self.expected, self.found = expected, shown(value)


def oversized(document: dict[str, Any]) -> list[Misfit]:
    """Return every array and table of a parsed TOML document that has more entries than any scenario needs.

    Each is told at the first entry too many, and what is in it is not looked at.
    """
    found: list[Misfit] = []
    todo: list[tuple[Path, Any]] = [((), document)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, list | dict):
            if len(value) > MOST_ENTRIES:
                found.append(_too_many(path, value))
            else:
                entries = value.items() if isinstance(value, dict) else enumerate(value)
                todo += [((*path, step), entry) for step, entry in entries]
    return found


def _too_many(path: Path, value: list[Any] | dict[str, Any]) -> Misfit:
    if isinstance(value, dict):
        return Misfit((*path, list(value)[MOST_ENTRIES]), f"at most {MOST_ENTRIES} keys in a table", str(len(value)))
    kind = f"[[{path[-1]}]] tables" if isinstance(value[0], dict) else "elements in an array"
    return Misfit((*path, MOST_ENTRIES), f"at most {MOST_ENTRIES} {kind}", str(len(value)))


def structure(document: dict[str, Any]) -> tuple[ScenarioTable, list[Misfit]]:
    """Return a parsed TOML document as tables, and a list of the values of the wrong shape.

    Those values are left out, of ``document`` too.
    """
    try:
        return _CONVERTER.structure(document, ScenarioTable), []
    except BaseValidationError as error:
        misfits = list(_misfits(error, ()))
    for misfit in misfits:
        _leave_out(document, misfit.path)
    return _CONVERTER.structure(document, ScenarioTable), misfits


def _leave_out(document: dict[str, Any], path: Path) -> None:
    container: Any = document
    step: Any
    for step in path[:-1]:
        # An array with two wrong elements is left out with the first.
        if isinstance(container, dict) and step not in container:
            return
        container = container[step]
    last: Any = path[-1]
    if not isinstance(container, list):
        container.pop(last, None)
    elif len(path) == 2 and path[0] in _ARRAYS:
        # The tables after it keep their places.
        container[last] = {}
    else:
        _leave_out(document, path[:-1])


def _misfits(error: Exception, path: Path) -> Iterator[Misfit]:
    """Walk the tree of what cattrs could not structure."""
    match error:
        case ClassValidationError() | IterableValidationError():
            noted, others = error.group_exceptions()
            for inner, note in noted:
                step = note.name if isinstance(note, AttributeValidationNote) else note.index
                yield from _misfits(inner, (*path, step))
            for inner in others:
                yield from _misfits(inner, path)
        case ForbiddenExtraKeysError():
            known = [entry.name for entry in fields(error.cl)]
            for key in sorted(error.extra_fields):
                found = f"the key {shown(key)}{closest(key, known)}"
                yield Misfit((*path, key), f"one of the keys {', '.join(known)}", found)
        case _WrongTypeError():
            yield Misfit(path, error.expected, error.found)
        case _:
            raise error


def _leaf(value: Any, kind: Any) -> Any:
    """Take a value as it is or not at all: "7" is not 7, and true is not 1."""
    types, expected = _LEAVES[kind]
    if type(value) not in types:
        raise _WrongTypeError(expected, value)
    return value


def _is_generic(origin: Any, kind: Any) -> bool:
    return get_origin(kind) is origin


def _checked(expected: str, container: type, make: Callable[[Any], Hook]) -> Callable[[Any], Hook]:
    """Return ``make`` with a check that the value is a ``container``, before cattrs takes it for one."""

    def factory(kind: Any) -> Hook:
        inner = make(kind)

        def hook(value: Any, kind: Any) -> Any:
            if not isinstance(value, container):
                raise _WrongTypeError(expected, value)
            return inner(value, kind)

        return hook

    return factory


_LEAVES: dict[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a string"),
    str | None: ((str,), "a string"),
    int | None: ((int,), "an integer"),
    float | None: ((int, float), "a number"),
    bool | None: ((bool,), "true or false"),
    Size | None: ((int, str), 'an integer or an expression such as "4 * PAGE"'),
    PolicyText | None: ((str, dict), 'a policy such as "P5:intended", or a table'),
}
_ARRAYS = [entry.name for entry in fields(ScenarioTable) if get_origin(entry.type) is list]

_CONVERTER = Converter(detailed_validation=True)
# cattrs asks for plain classes before it asks predicates, so str is registered by itself.
_CONVERTER.register_structure_hook(str, _leaf)
_CONVERTER.register_structure_hook_func(lambda kind: kind in _LEAVES, _leaf)
_CONVERTER.register_structure_hook_factory(
    partial(_is_generic, list),
    _checked("an array", list, lambda kind: list_structure_factory(kind, _CONVERTER)),
)
_CONVERTER.register_structure_hook_factory(
    partial(_is_generic, dict),
    _checked("a table", dict, lambda kind: make_mapping_structure_fn(kind, _CONVERTER)),
)
_CONVERTER.register_structure_hook_factory(
    is_dataclass,
    _checked("a table", dict, lambda kind: make_dict_structure_fn(kind, _CONVERTER, _cattrs_forbid_extra_keys=True)),
)
