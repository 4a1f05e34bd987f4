"""The strict converter: plain data (from msgpack or TOML) to annotated classes, with every mistake and its path."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import cattrs
from cattrs.cols import is_namedtuple
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, make_mapping_structure_fn

Hook = Callable[[Any, Any], Any]
"""What cattrs calls to structure a value: value, annotation -> object."""

STRUCTURE_ERRORS = (TypeError, ValueError, cattrs.BaseValidationError)
"""What a hook raises for a value it refuses."""

_MOST_ERRORS = 20
"""How many mistakes in one array are collected before the rest of it is left unread."""


def found(value: object) -> str:
    """Say what a value is where something else was expected."""
    return "None" if value is None else type(value).__name__


def shown(value: object, most: int = 40) -> str:
    """Return a value as one short line."""
    text = repr(value) if isinstance(value, str | bytes | int | float | None) else type(value).__name__
    return text if len(text) <= most else text[:most] + "…"


def _expected(annotation: Any) -> str:
    if annotation is NoneType:
        return "None"
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(map(_expected, get_args(annotation)))
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


class Part(NamedTuple):
    """A field or an item: where it is, what it must be, and who sees to it."""

    name: str | int
    annotation: Any
    hook: Hook


def noted(error: Exception, part: Part, owner: Any) -> Exception:
    """Write on an error where it was found, as cattrs does."""
    kind = AttributeValidationNote if isinstance(part.name, str) else IterableValidationNote
    error.add_note(kind(f"Structuring {part.name} of {owner}", part.name, part.annotation))  # type: ignore[arg-type]
    return error


def _structure_parts(values: Iterable[Any], parts: Iterable[Part], owner: Any) -> list[Any]:
    """Structure each value by its part and raise all the errors together."""
    done: list[Any] = []
    errors: list[Exception] = []
    for value, part in zip(values, parts, strict=False):
        try:
            done.append(part.hook(value, part.annotation))
        except STRUCTURE_ERRORS as error:
            errors.append(noted(error, part, owner))
            if len(errors) >= _MOST_ERRORS:
                break
    if errors:
        group = ClassValidationError if is_namedtuple(owner) else IterableValidationError
        raise group(f"While structuring {owner}", errors, owner)
    return done


def array(value: Any, wanted: str, length: int | None = None) -> Sequence[Any]:
    """Return a value that must be a list or tuple, perhaps of one length."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"expected {wanted}, found {found(value)}")
    if length is not None and len(value) != length:
        raise ValueError(f"expected {wanted}, found {len(value)}")
    return value


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Enum)


@cache
def _enum(annotation: Any) -> Hook:
    if not _is_enum(annotation):
        raise cattrs.StructureHandlerNotFoundError(f"{annotation} is neither a primitive nor an enum", annotation)
    members: list[Enum] = list(annotation)
    types = {type(member.value) for member in members}

    def structure(value: Any, _: Any) -> Any:
        try:
            if type(value) in types:  # True would be found under 1
                return annotation(value)
        except ValueError:
            pass
        names = ", ".join(shown(member.value) for member in members[:12])
        raise ValueError(f"expected one of {names}, found {shown(value)}")

    return structure


def _primitive(kind: type) -> Hook:
    accepted = (float, int) if kind is float else (kind,)

    def structure(value: Any, wanted: Any) -> Any:
        if wanted is not kind:  # cattrs goes by the base classes, and an IntEnum is an int
            return _enum(wanted)(value, wanted)
        # An int stays an int where a float is asked for, so that what is written again has the same bytes.
        if type(value) not in accepted:
            raise TypeError(f"expected {_expected(kind)}, found {found(value)}")
        return value

    return structure


def _sequence(annotation: Any, converter: cattrs.Converter) -> Hook:
    """``list[X]``, ``tuple[X, ...]`` and ``tuple[X, Y]``."""
    made, arguments = get_origin(annotation), get_args(annotation)
    if made is list or arguments[1:] == (...,):
        item = arguments[0]
        hook = converter.get_structure_hook(item)

        def structure_all(value: Any, _: Any) -> Any:
            items = array(value, "an array")
            return made(_structure_parts(items, (Part(index, item, hook) for index in range(len(items))), annotation))

        return structure_all
    items = () if arguments == ((),) else arguments
    parts = [Part(index, item, converter.get_structure_hook(item)) for index, item in enumerate(items)]

    def structure_each(value: Any, _: Any) -> Any:
        return tuple(_structure_parts(array(value, f"{len(parts)} items", len(parts)), parts, annotation))

    return structure_each


def _named_tuple(annotation: Any, converter: cattrs.Converter) -> Hook:
    hints = get_type_hints(annotation)
    parts = [Part(name, hints[name], converter.get_structure_hook(hints[name])) for name in annotation._fields]

    def structure(value: Any, _: Any) -> Any:
        return annotation(*_structure_parts(array(value, f"{len(parts)} fields", len(parts)), parts, annotation))

    return structure


def _literal(annotation: Any, _: cattrs.Converter) -> Hook:
    values = {(type(value), value) for value in get_args(annotation)}

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, str | bytes | int | None) or (type(value), value) not in values:
            names = ", ".join(shown(value) for value in get_args(annotation))
            raise ValueError(f"expected one of {names}, found {shown(value)}")
        return value

    return structure


_PRIMITIVES = (int, float, str, bytes, bool, NoneType)


def _is_plain_union(annotation: Any) -> bool:
    """Whether it is a union of primitives and at most one other type, so that a value says which one it is."""
    others = [member for member in get_args(annotation) if member not in _PRIMITIVES]
    return get_origin(annotation) in (Union, UnionType) and len(others) <= 1


def _union(annotation: Any, converter: cattrs.Converter) -> Hook:
    members = get_args(annotation)
    plain = {member for member in members if member in _PRIMITIVES}
    if float in plain:
        plain.add(int)
    other = next((member for member in members if member not in _PRIMITIVES), None)
    hook = converter.get_structure_hook(other) if other is not None else None

    def structure(value: Any, _: Any) -> Any:
        if type(value) in plain:
            return value
        if hook is None:
            raise TypeError(f"expected {_expected(annotation)}, found {found(value)}")
        return hook(value, other)

    return structure


def _table(annotation: Any, hook: Hook) -> Hook:
    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected a table, found {found(value)}")
        return hook(value, annotation)

    return structure


def _has_origin(*origins: Any) -> Callable[[Any], bool]:
    return lambda annotation: get_origin(annotation) in origins


def is_dataclass(annotation: Any) -> bool:
    """Whether an annotation is a dataclass."""
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def make_converter() -> cattrs.Converter:
    """Return a converter that structures plain data and changes none of it.

    An int must be an int: not ``"7"``, not 7.0, not True; a float may be written as an int. A dataclass is made from a
    mapping without unknown keys, ``list``, ``tuple`` and NamedTuple from a list or tuple of the right length, an enum
    or a Literal from a value of the same type. A union may hold primitives and one other type.

    All mistakes are collected: the converter raises cattrs' ``ClassValidationError`` or ``IterableValidationError``,
    which :func:`problems` turns into paths, or the TypeError or ValueError of a value that is wrong as a whole.
    An annotation it cannot check raises ``StructureHandlerNotFoundError``.
    """
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    for kind in _PRIMITIVES:
        converter.register_structure_hook(kind, _primitive(kind))

    # cattrs asks the latest registered first.
    @converter.register_structure_hook_factory(is_dataclass)
    def fields(annotation: Any, converter: cattrs.Converter) -> Hook:
        return _table(annotation, make_dict_structure_fn(annotation, converter, _cattrs_forbid_extra_keys=True))

    @converter.register_structure_hook_factory(_has_origin(dict))
    def mapping(annotation: Any, converter: cattrs.Converter) -> Hook:
        return _table(annotation, make_mapping_structure_fn(annotation, converter))

    converter.register_structure_hook_factory(_has_origin(list, tuple), _sequence)
    converter.register_structure_hook_factory(is_namedtuple, _named_tuple)

    @converter.register_structure_hook_factory(_is_enum)
    def enum(annotation: Any, _: cattrs.Converter) -> Hook:
        return _enum(annotation)

    converter.register_structure_hook_factory(_has_origin(Literal), _literal)
    converter.register_structure_hook_factory(_is_plain_union, _union)
    return converter


def problems(error: BaseException, path: str) -> list[tuple[str, str]]:
    """Return what a converter's error says, as pairs of path (``path.field[0]``) and sentence."""
    found: list[tuple[str, str]] = []
    if isinstance(error, ClassValidationError | IterableValidationError):
        noted, rest = error.group_exceptions()
        for inner, note in noted:
            step = f".{note.name}" if isinstance(note, AttributeValidationNote) else f"[{shown(note.index)}]"
            found += [(path + step, "missing")] if isinstance(inner, KeyError) else problems(inner, path + step)
        for inner in rest:
            found += problems(inner, path)
    elif isinstance(error, ForbiddenExtraKeysError):
        names = sorted(map(str, error.extra_fields))[:_MOST_ERRORS]
        found += [(f"{path}.{n if n.isidentifier() else shown(n)}"[:200], "not known") for n in names]
    else:
        found.append((path, str(error)))
    return found
