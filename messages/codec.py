"""Arrivals as bytes and back: the encoder, the decoder, and the hash over them.

An arrival is written as a msgpack array ``[number, src, dst, call, slept, kind, fields]``: the number of the arrival,
the parts of its :class:`~longpin.messages.envelope.Envelope`, the name of the message class, and the values of its
fields in the order in which they are declared. The annotations of the fields are the format: what they do not allow
is refused.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, get_type_hints

import cattrs
import msgpack  # type: ignore[import-untyped]  # msgpack ships no annotations
from cattrs.errors import ClassValidationError

from longpin.messages.envelope import KINDS, Envelope, kind_name
from longpin.messages.strict import STRUCTURE_ERRORS, Hook, Part, array, found, is_dataclass, noted, problems, shown
from longpin.messages.strict import make_converter as make_converter

MAX_ITEMS = 1 << 16
"""The most values one tuple in an arrival may hold. msgpack sets memory aside for a tuple before it reads its values,
and tuples nest, so the length a file claims must be bounded by more than the size of the file."""


class CodecError(Exception):
    """Bytes that are no arrival: one line, ``Truncate.length: expected int, found str``."""


def _fields_array(annotation: type, converter: cattrs.Converter) -> Hook:
    """Make a dataclass from the values of its fields, all of them, in order."""
    names = [field.name for field in dataclasses.fields(annotation)]
    count = f"{len(names)} field{'' if len(names) == 1 else 's'}"

    @cache  # looked up at first use: a class may hold itself
    def parts() -> tuple[list[Part], list[Any]]:
        hints = get_type_hints(annotation)
        fields = [Part(name, hints[name], converter.get_structure_hook(hints[name])) for name in names]
        return fields, [field.annotation for field in fields]

    def structure(value: Any, _: Any) -> Any:
        fields, annotations = parts()
        items = array(value, count, len(names))
        if list(map(type, items)) == annotations:  # nearly every message holds nothing but primitives
            return annotation(*items)
        done: list[Any] = []
        try:
            for item, (_, wanted, hook) in zip(items, fields, strict=True):
                done.append(item if type(item) is wanted else hook(item, wanted))
        except STRUCTURE_ERRORS as error:
            # One mistake is enough to refuse an arrival.
            wrong = noted(error, fields[len(done)], annotation)
            raise ClassValidationError(f"While structuring {annotation.__name__}", [wrong], annotation) from None
        return annotation(*done)

    return structure


def _refuse(annotation: Any, _: cattrs.Converter) -> Hook:
    raise cattrs.StructureHandlerNotFoundError(
        "a field of a message cannot be Any: nothing says how to read it", annotation
    )


_converter = make_converter()
_converter.register_structure_hook_factory(is_dataclass, _fields_array)
_converter.register_structure_hook_factory(lambda annotation: annotation is Any, _refuse)

_ENVELOPE = {"number": int, "src": str, "dst": str, "call": int, "slept": str, "kind": str, "fields": list}
_ENVELOPE_TYPES = list(_ENVELOPE.values())


def decode(payload: bytes) -> tuple[int, Envelope]:
    """Return the number of an arrival and its envelope.

    Nothing is executed and nothing is converted: a message comes out equal to the one that went in.

    Raises:
        CodecError: the bytes are not an arrival, or name a message or hold a value the protocol does not have.

    """
    try:
        parts = msgpack.unpackb(
            payload, max_array_len=min(len(payload), MAX_ITEMS), max_map_len=0, max_ext_len=0, strict_map_key=True
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise CodecError(f"not a msgpack record: {type(error).__name__}: {error}"[:200]) from None
    if type(parts) is not list or len(parts) != len(_ENVELOPE):
        raise CodecError(f"expected an array of {len(_ENVELOPE)} parts, found another msgpack value")
    if list(map(type, parts)) != _ENVELOPE_TYPES:
        pairs = zip(parts, _ENVELOPE.items(), strict=True)
        value, (name, kind) = next(pair for pair in pairs if type(pair[0]) is not pair[1][1])
        raise CodecError(f"{name}: expected {'an array' if kind is list else kind.__name__}, found {found(value)}")
    number, src, dst, call, slept, name, fields = parts
    if name not in KINDS:
        raise CodecError(f"kind: unknown message {shown(name)}")
    cls = KINDS[name]
    hook = _converter.get_structure_hook(cls)
    try:
        return number, Envelope(src, dst, hook(fields, cls), call, slept)
    except RecursionError:
        raise CodecError(f"{cls.__name__}: nested too deep") from None
    except (TypeError, ValueError, cattrs.BaseValidationError) as error:
        path, sentence = problems(error, cls.__name__)[0]
        raise CodecError(f"{path}: {sentence}") from None


Writer = tuple[str, Callable[[Any], tuple[Any, ...]]]
"""The kind of a message class, and a function from a message to the tuple of its field values."""

_writers: dict[type, Writer] = {}


def _make_writer(cls: type) -> Writer:
    name = kind_name(cls)
    if KINDS.get(name) is not cls:
        raise TypeError(f"{cls.__module__}.{cls.__qualname__} is not a message")
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]  # every message is a dataclass
    if len(names) > 1:
        return name, attrgetter(*names)
    if names:
        only = attrgetter(names[0])
        return name, lambda body: (only(body),)
    return name, lambda _: ()


def _nested(value: object) -> tuple[Any, ...]:
    """Take what msgpack does not know: a dataclass inside a message is written as the tuple of its field values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    raise TypeError(f"{type(value).__name__} cannot be written")


class Encoder:
    """Writes arrivals as bytes.

    Not thread-safe: it keeps one buffer for all it writes. Give each thread, or each lock, its own.
    """

    __slots__ = ("_pack",)

    def __init__(self) -> None:
        self._pack = msgpack.Packer(default=_nested, buf_size=1024).pack

    def encode(self, number: int, envelope: Envelope) -> bytes:
        """Return the payload of one arrival.

        Raises:
            TypeError: the body is not a message, or a field holds a value that cannot be written.

        """
        src, dst, body, call, slept = envelope
        cls = type(body)
        kind, values = _writers.get(cls) or _writers.setdefault(cls, _make_writer(cls))
        try:
            packed: bytes = self._pack((number, src, dst, call, slept, kind, values(body)))
        except (TypeError, ValueError, OverflowError):
            raise self._blame(number, envelope) from None
        return packed

    def _blame(self, number: int, envelope: Envelope) -> TypeError:
        """Find the field that cannot be written."""
        parts = {"number": number, "src": envelope.src, "dst": envelope.dst, "call": envelope.call}
        parts["slept"] = envelope.slept
        kind = type(envelope.body).__name__
        parts |= {f.name: getattr(envelope.body, f.name) for f in dataclasses.fields(envelope.body)}
        for name, value in parts.items():
            try:
                self._pack(value)
            except (TypeError, ValueError, OverflowError) as error:
                return TypeError(f"{kind}.{name}: {error}")
        return TypeError(f"{kind}: cannot be written")


class ArrivalHash:
    """The running SHA-256 over the payloads of a run, by which two runs are compared."""

    __slots__ = ("_sha", "update")

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self.update: Callable[[bytes], None] = self._sha.update
        """Take in the next payload. A payload ends itself, so no separator is needed."""

    def hexdigest(self) -> str:
        """Return the hash of the payloads so far, 64 hexadecimal digits."""
        return self._sha.hexdigest()
