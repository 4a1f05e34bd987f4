"""The folders a scenario begins with: programs need not make those above the names they use."""

from collections.abc import Iterable, Iterator

from longpin.actors.constants import O_CREAT
from longpin.actors.process.program import Const, Op
from longpin.actors.syscalls import SYSCALLS
from longpin.config.schema import InitialFile, ProcessSpec
from longpin.messages.fs.paths import NAME_MAX, PATH_MAX, in_proc, names, normal

MOST_FOLDERS = 10_000


class TooManyError(Exception):
    """The paths of a scenario go through more than :data:`MOST_FOLDERS` folders."""


def starting_folders(files: Iterable[InitialFile], processes: Iterable[ProcessSpec]) -> tuple[str, ...]:
    """Return the folders there are before the first call, each after the one it is in.

    They are those that a path in the scenario goes through, except what a program makes itself, and what is in that.

    Raises:
        TooManyError: there are too many.

    """
    paths = [file.path for file in files]
    found = dict.fromkeys(folder for path in paths for folder in _through(path))
    ops = [op for process in processes for op in _operations(process)]
    made = {*paths, *(normal(path) for op in ops for path in _made(op))}
    for op in ops:
        for path in _literals(op):
            for folder in _through(path):
                above = folder.rpartition("/")[0]
                if folder not in made and (not above or above in found):
                    found[folder] = None
                if len(found) > MOST_FOLDERS:
                    raise TooManyError
    return tuple(found)


def _operations(process: ProcessSpec) -> Iterator[Op]:
    for program in (process.program, *(handler for _, handler in process.on_signal)):
        yield from program.operations()


def _made(op: Op) -> Iterator[str]:
    """Yield the paths that a call makes; open(2) does with O_CREAT."""
    for parameter, arg in zip(SYSCALLS[op.call].parameters, op.args, strict=False):
        makes = parameter.is_made or (parameter.is_path and _creates(op))
        if makes and isinstance(path := getattr(arg, "value", None), str):
            yield path


def _creates(op: Op) -> bool:
    """Return whether a call has O_CREAT where it takes it."""
    call = SYSCALLS[op.call]
    takes = {name for name, constants in call.allowed.items() if "O_CREAT" in constants.names}
    for parameter, arg in zip(call.parameters, op.args, strict=False):
        if parameter.name in takes and isinstance(arg, Const) and isinstance(arg.value, int):
            return bool(arg.value & O_CREAT)
    return False


def _literals(op: Op) -> Iterator[str]:
    """Yield what may be a path in a call: what stands where one is expected, and text that a label carries."""
    parameters = SYSCALLS[op.call].parameters
    sets_label = any("new label" in parameter.kinds for parameter in parameters)
    for parameter, arg in zip(parameters, op.args, strict=False):
        may_be = parameter.is_path or (sets_label and "str" in parameter.kinds)
        if may_be and isinstance(arg, Const) and isinstance(arg.value, str):
            yield arg.value


def _through(path: str) -> Iterator[str]:
    """Yield the folders that a path goes through; none where there can be no folder."""
    if len(path.encode()) >= PATH_MAX or in_proc(path) is not None:
        return
    at = ""
    for name in names(path)[:-1]:
        if len(name.encode()) > NAME_MAX:
            return
        if name == "..":
            at = at.rpartition("/")[0]
        elif name != ".":
            at += f"/{name}"
            yield at
