"""What is asked of the file of a policy and of its class before a world may depend on it.

A policy is a value and its hooks are functions of their arguments. That cannot be proven of somebody's Python, but what
goes against it most often can be found: other modules, global variables, fields that can be assigned.
"""

import ast
import difflib
import keyword
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from enum import StrEnum
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from traceback import extract_tb
from types import FunctionType
from typing import Any, Self, get_type_hints

from longpin.actors.constants import ERRNOS, PROGRAM_CONSTANTS
from longpin.actors.kernel.generation import Version
from longpin.actors.parameters import expected_value, fits, parameter_types
from longpin.actors.policies import DEFAULT_PRESET, POLICIES
from longpin.actors.policies.base import Policy
from longpin.actors.policies.views import PolicyState

MAY_IMPORT = (
    "__future__",
    "abc",
    "collections",
    "collections.abc",
    "dataclasses",
    "enum",
    "errno",
    "functools",
    "itertools",
    "math",
    "operator",
    "typing",
    "longpin.actors.constants",
    "longpin.actors.kernel.file_system",
    "longpin.actors.kernel.generation",
)
MAY_IMPORT_FROM = ("longpin.actors.policies.", "longpin.messages.")
"""What the file of a policy may import: nothing by which it could reach an actor, a file or a clock.

Nor another file of its author's, of which the hash would say nothing, and which a worker process would not have.
"""

IMPURE = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "exit", "globals", "hash", "id", "input", "open", "quit"}
)
"""Functions by which an answer could depend on something that is no argument."""

HOOKS = tuple(name for name, value in vars(Policy).items() if isinstance(value, FunctionType) and name[0] != "_")
"""The methods of a policy that the kernel asks."""


class PolicyError(Exception):
    """A policy that somebody gave is wrong: its file, its class, or an answer of it. The text is one line."""

    @classmethod
    def by(cls, path: str, error: BaseException, where: str) -> Self:
        """Return what an exception says that came out of the file, with the line of the file; ``where`` is a hook."""
        if isinstance(error, SyntaxError) and error.filename == path:
            return cls(f"{path}:{error.lineno or 1}: {error.msg}")
        line = next((frame.lineno for frame in reversed(extract_tb(error.__traceback__)) if frame.filename == path), 1)
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return cls(f"{path}:{line}: {where}{' ' if where else ''}raised {' '.join(text.split())}")


class TimeSpentError(BaseException):
    """A file has not come to an end in time; no ``except Exception`` in it takes this."""


def check_text(path: str, data: bytes) -> ast.Module:
    """Return the syntax tree of a policy's file.

    Raises:
        PolicyError: it is not Python, or does what no policy may: the first such place.

    """
    try:
        tree = ast.parse(data, path)
    except SyntaxError as error:
        raise PolicyError(f"{path}:{error.lineno or 1}: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise PolicyError(f"{path}:1: not Python: {str(error) or 'it is nested too deeply'}") from None
    for node in ast.walk(tree):
        if wrong := _impurity(node):
            raise PolicyError(f"{path}:{getattr(node, 'lineno', 1)}: {wrong}")
    return tree


def _impurity(node: ast.AST) -> str:
    """Return what a policy may not do, if this is it."""
    imported: list[str] = []
    match node:
        case ast.Import():
            imported = [alias.name for alias in node.names]
        case ast.ImportFrom():
            imported = ["." * node.level + (node.module or "")]
        case ast.Global():
            return f"assigns the global variable {node.names[0]}: a hook is a function of its arguments"
        case ast.Name(id=name, ctx=ast.Load()) if name in IMPURE:
            return f"uses {name}: a hook is a function of its arguments"
    for module in imported:
        if module not in MAY_IMPORT and not module.startswith(MAY_IMPORT_FROM):
            known = ", ".join(name for name in MAY_IMPORT if "longpin" not in name)
            return f"imports {module}: a policy may import what longpin's own do, from {known}"
    return ""


def lines_of(tree: ast.Module, class_name: str) -> dict[str, int]:
    """Return the lines of a class, under ``""``, and of what is assigned and defined in it."""
    lines: dict[str, int] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            lines = {"": node.lineno}
            for inner in node.body:
                match inner:
                    case (
                        ast.FunctionDef(name=name)
                        | ast.AsyncFunctionDef(name=name)
                        | ast.AnnAssign(target=ast.Name(id=name))
                    ):
                        lines[name] = inner.lineno
                    case ast.Assign(targets=[ast.Name(id=name)]):
                        lines[name] = inner.lineno
    return lines


def find_class(path: str, name: str, namespace: Mapping[str, Any], tree: ast.Module) -> type[Policy]:
    """Return the class of this name.

    Raises:
        PolicyError: the file defines no such class, or it is no policy.

    """
    defined = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    found = namespace.get(name)
    if name not in defined or not isinstance(found, type):
        offered = [word for word in defined if _is_policy(namespace.get(word))]
        known = f"; it has {', '.join(offered[:10])}" if offered else ""
        raise PolicyError(f"{path}: there is no class {name} in it{_meant(name, offered)}{known}")
    if not _is_policy(found):
        raise PolicyError(f"{path}:{lines_of(tree, name)['']}: {name} is not a subclass of {Policy.__name__}")
    policy: type[Policy] = found
    return policy


def _is_policy(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Policy)


def _meant(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def check_class(path: str, policy: type[Policy], tree: ast.Module) -> None:
    """Check that a policy and what it remembers are values, and that it says of itself what every policy says.

    Raises:
        PolicyError: the first thing that is wrong.

    """
    lines = lines_of(tree, policy.__name__)
    try:
        name, wrong = next(iter(_mistakes(policy)), ("", ""))
    except Exception as error:  # noqa: BLE001 - what is no mapping where one is expected, for example
        name, wrong = "", f"what {policy.__name__} says of itself cannot be read: {' '.join(str(error).split())}"
    if wrong:
        raise PolicyError(f"{path}:{lines.get(name, lines[''])}: {wrong}")


def _mistakes(policy: Any) -> Iterable[tuple[str, str]]:
    """Yield what is wrong with a class, and the name whose line shows it."""
    name = policy.__name__
    parameters = vars(policy).get("__dataclass_params__")
    if parameters is None or not parameters.frozen or not parameters.eq:
        yield "", f"{name} can be changed: expected @dataclass(frozen=True, slots=True) above it"
        return
    if policy.__dictoffset__:  # its objects have a __dict__
        yield "", f"{name} can be given attributes: expected @dataclass(frozen=True, slots=True) above it"
    yield from _wrong_hooks(policy)
    yield from _wrong_parameters(policy)
    yield from _wrong_words(policy)
    state: Any = policy.state
    made = vars(type(state)).get("__dataclass_params__")
    if not isinstance(state, PolicyState) or made is None or not made.frozen:
        yield "state", f"{name}.state: expected a frozen dataclass that is a PolicyState, found {state!r}"
    for what, value in (("", policy()), ("state", state)):
        try:
            hash(value)
        except TypeError as error:
            yield what, f"{name}{what and '.'}{what} can be changed: {error}"


_LATER = {CO_COROUTINE: "coroutine", CO_ASYNC_GENERATOR: "generator", CO_GENERATOR: "generator"}
"""Functions that do nothing yet when they are called."""


def _wrong_hooks(policy: type[Policy]) -> Iterable[tuple[str, str]]:
    for name, value in vars(policy).items():
        if name in HOOKS:
            asked = getattr(Policy, name)
            if not isinstance(value, FunctionType):
                yield name, f"{name}: expected a method, found a {type(value).__name__}"
            elif _arity(value) != _arity(asked):
                expected = ", ".join(asked.__code__.co_varnames[: _places(asked)])
                yield name, f"{name}: expected a method that takes ({expected}), as that of Policy does"
            elif kind := next((kind for flag, kind in _LATER.items() if value.__code__.co_flags & flag), ""):
                yield name, f"{name}: expected a method that returns its answer, found a {kind}"
        elif isinstance(value, FunctionType) and not hasattr(Policy, name) and _looks_like_a_hook(name):
            yield name, f"{name} is none of the hooks of Policy, and would never be asked{_meant(name, HOOKS)}"


def _looks_like_a_hook(name: str) -> bool:
    close = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.8)
    return name[0] != "_" and (name.endswith("_gate") or name.startswith("on_") or bool(close))


def _places(function: FunctionType) -> int:
    return function.__code__.co_argcount + function.__code__.co_kwonlyargcount


def _arity(function: FunctionType) -> tuple[int, frozenset[str]]:
    """Return how many arguments a function takes by position, and which by name."""
    code = function.__code__
    return code.co_argcount, frozenset(code.co_varnames[code.co_argcount : _places(function)])


def _wrong_parameters(policy: type[Policy]) -> Iterable[tuple[str, str]]:
    said = {name for name in vars(Policy) if name in get_type_hints(Policy)}
    for field in fields(policy):
        if field.name in said:
            yield field.name, f"{field.name} would be a parameter: annotate it as ClassVar, as Policy does"
        elif not field.name.isidentifier() or keyword.iskeyword(field.name) or field.name == "kernel":
            yield field.name, f"{field.name}: a parameter cannot have this name"
        elif field.default is MISSING:
            yield field.name, f"{field.name}: expected a default value"
    try:
        types = parameter_types(policy)
    except Exception as error:  # noqa: BLE001 - an annotation may be any expression
        yield "", f"the type of a parameter cannot be told: {error}"
        return
    for field in fields(policy):
        kind = types[field.name]
        plain = field.default.value if isinstance(field.default, StrEnum) else field.default
        if not (kind in (bool, int, float, str) or (isinstance(kind, type) and issubclass(kind, StrEnum))):
            yield field.name, f"{field.name}: expected a parameter of type bool, int, float, str or a StrEnum"
        elif not fits(plain, kind):
            yield field.name, f"{field.name}: expected {expected_value(kind)} as default, found {field.default!r}"


def _wrong_words(policy: Any) -> Iterable[tuple[str, str]]:
    """Look at what a policy says of itself: presets, kernels, errnos, constants."""
    types = parameter_types(policy)
    if not isinstance(policy.presets, dict) or DEFAULT_PRESET not in policy.presets:
        yield "presets", f"presets: expected a dict with at least the preset {DEFAULT_PRESET!r}"
        return
    for preset, given in policy.presets.items():
        if not isinstance(preset, str) or not preset.isidentifier() or preset != preset.casefold():
            yield "presets", f"presets: expected a name in lower case, found {preset!r}"
        if policy.kernels.get(preset) not in set(Version):
            yield "kernels", f"kernels: expected a Version for the preset {preset}"
        for name, value in given.items():
            if name not in types:
                yield "presets", f"presets: {preset} sets {name}, which is no parameter{_meant(str(name), types)}"
            elif not fits(value, types[name]):
                yield "presets", f"presets: {preset}: {name}: expected {expected_value(types[name])}, found {value!r}"
    for call, names in policy.errnos.items():
        for word in names:
            if word not in ERRNOS:
                yield "errnos", f"errnos: {call}: there is no errno {word}{_meant(str(word), ERRNOS)}"
    taken = PROGRAM_CONSTANTS | {name: value for its in POLICIES.values() for name, value in _named(its).items()}
    for name, value in _named(policy).items():
        if taken.get(name, value) != value or type(value) is not int:
            yield "constants", f"constants: {name} is {taken.get(name, 'to be an integer')}, found {value!r}"


def _named(policy: type[Policy]) -> dict[str, int]:
    return {name: value for added in policy.constants.values() for name, value in added.items()}


def name_class(policy: type[Policy], name: str) -> None:
    """Let a policy have the name under which it is found, and nothing of the names that it inherits."""
    own, text = vars(policy), policy.__doc__ or ""
    said = "" if text.startswith(f"{policy.__name__}(") else text.strip().partition("\n")[0]
    policy.name, policy.alias = name, ""
    policy.summary = own.get("summary") or said or f"the class {policy.__name__}"
    policy.source = own.get("source") or name
    # The decorator has made another class of the one that the methods know as theirs; super() asks for theirs.
    for method in own.values():
        if isinstance(method, FunctionType):
            for word, cell in zip(method.__code__.co_freevars, method.__closure__ or (), strict=True):
                if word == "__class__":
                    cell.cell_contents = policy
