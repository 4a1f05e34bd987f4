"""The codec: what goes in comes out, and what the protocol does not have is refused with its path."""

import importlib
import pkgutil
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Literal, NamedTuple

import cattrs
import msgpack  # type: ignore[import-untyped]  # msgpack ships no annotations
import pytest
from hypothesis import given
from hypothesis import strategies as st

import longpin.messages
from longpin.messages import codec
from longpin.messages.codec import ArrivalHash, CodecError, Encoder, decode, make_converter
from longpin.messages.envelope import KINDS, Awake, Done, Envelope, Message, kind_name, message
from longpin.messages.strict import problems


class Colour(IntEnum):
    RED = 1
    BLUE = 4


class Shape(StrEnum):
    ROUND = "round"
    FLAT = "flat"


class Span(NamedTuple):
    start: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Leaf:
    value: int | str | bytes | None


@dataclass(frozen=True, slots=True)
class Chain:
    next: "Chain | None"


@message
class CodecNothing(Message):
    pass


@message
class CodecPrimitives(Message):
    number: int
    share: float
    name: str
    data: bytes
    flag: bool


@message
class CodecCompound(Message):
    colour: Colour
    shape: Shape | None
    spans: tuple[Span, ...]
    pair: tuple[int, str]
    nothing: tuple[()]
    leaf: Leaf
    either: int | str | None
    mode: Literal["lazy", "racy", 3]


@message
class CodecChain(Message):
    chain: Chain | None


@message
class CodecAny(Message):
    value: Any


class Stranger(NamedTuple):
    value: int


INTS = st.integers(-(2**63), 2**64 - 1)
TEXT = st.text(max_size=8)
FLOATS = st.floats(allow_nan=False)
SPANS = st.builds(Span, INTS, TEXT)
LEAVES = st.builds(Leaf, INTS | TEXT | st.binary(max_size=4) | st.none())
BODIES = st.one_of(
    st.just(CodecNothing()),
    st.builds(Done, INTS),
    st.builds(CodecPrimitives, INTS, FLOATS | INTS, TEXT, st.binary(max_size=8), st.booleans()),
    st.builds(
        CodecCompound,
        st.sampled_from(Colour),
        st.none() | st.sampled_from(Shape),
        st.lists(SPANS, max_size=4).map(tuple),
        st.tuples(INTS, TEXT),
        st.just(()),
        LEAVES,
        INTS | TEXT | st.none(),
        st.sampled_from(["lazy", "racy", 3]),
    ),
    st.integers(0, 5).map(lambda depth: CodecChain(chain_of(depth))),
)
ENVELOPES = st.builds(Envelope, TEXT, TEXT, BODIES, st.integers(-(2**31), 2**31), TEXT)

PRIMITIVES = [1, 0.5, "name", b"data", True]
COMPOUND = [4, "flat", [[1, "a"]], [2, "b"], [], ["leaf"], None, "lazy"]


def chain_of(depth: int) -> Chain | None:
    chain = None
    for _ in range(depth):
        chain = Chain(chain)
    return chain


def packed(kind: str, fields: Any) -> bytes:
    name = kind_name(globals()[kind]) if kind in globals() else kind
    payload: bytes = msgpack.packb([1, "process:1", "file:1", 0, "", name, fields])
    return payload


def with_field(fields: list[Any], index: int, value: Any) -> list[Any]:
    return [*fields[:index], value, *fields[index + 1 :]]


@given(st.integers(0, 2**63), ENVELOPES)
def test_what_goes_in_comes_out_with_the_same_types_and_bytes(number: int, envelope: Envelope) -> None:
    payload = Encoder().encode(number, envelope)
    again, found = decode(payload)
    assert (again, found) == (number, envelope)
    assert repr(found) == repr(envelope)  # equality alone would let 1, 1.0, True and an enum pass for each other
    assert Encoder().encode(again, found) == payload


def test_every_message_of_the_protocol_can_be_read() -> None:
    for module in pkgutil.iter_modules(longpin.messages.__path__):
        importlib.import_module(f"longpin.messages.{module.name}")
    protocol = {name: cls for name, cls in KINDS.items() if cls.__module__.startswith("longpin.")}
    assert "Done" in protocol
    for name in protocol:
        # No message has 99 fields: the answer says how many it has, after every annotation was understood.
        with pytest.raises(CodecError, match=rf"^{name}: expected \d+ fields?, found 99$"):
            decode(packed(name, [0] * 99))


@pytest.mark.parametrize(
    ("kind", "fields", "line"),
    [
        ("CodecPrimitives", with_field(PRIMITIVES, 0, "7"), "CodecPrimitives.number: expected int, found str"),
        ("CodecPrimitives", with_field(PRIMITIVES, 0, 7.0), "CodecPrimitives.number: expected int, found float"),
        ("CodecPrimitives", with_field(PRIMITIVES, 0, True), "CodecPrimitives.number: expected int, found bool"),
        ("CodecPrimitives", with_field(PRIMITIVES, 0, None), "CodecPrimitives.number: expected int, found None"),
        ("CodecPrimitives", with_field(PRIMITIVES, 1, True), "CodecPrimitives.share: expected float, found bool"),
        ("CodecPrimitives", with_field(PRIMITIVES, 1, "1"), "CodecPrimitives.share: expected float, found str"),
        ("CodecPrimitives", with_field(PRIMITIVES, 2, b"n"), "CodecPrimitives.name: expected str, found bytes"),
        ("CodecPrimitives", with_field(PRIMITIVES, 3, "d"), "CodecPrimitives.data: expected bytes, found str"),
        ("CodecPrimitives", with_field(PRIMITIVES, 4, 1), "CodecPrimitives.flag: expected bool, found int"),
        ("CodecPrimitives", PRIMITIVES[:4], "CodecPrimitives: expected 5 fields, found 4"),
        ("CodecPrimitives", [*PRIMITIVES, 1], "CodecPrimitives: expected 5 fields, found 6"),
        ("CodecNothing", [0], "CodecNothing: expected 0 fields, found 1"),
        ("Done", [], "Done: expected 1 field, found 0"),  # a field with a default is written too
        ("CodecCompound", with_field(COMPOUND, 0, 2), "CodecCompound.colour: expected one of 1, 4, found 2"),
        ("CodecCompound", with_field(COMPOUND, 0, True), "CodecCompound.colour: expected one of 1, 4, found True"),
        ("CodecCompound", with_field(COMPOUND, 0, 1.0), "CodecCompound.colour: expected one of 1, 4, found 1.0"),
        (
            "CodecCompound",
            with_field(COMPOUND, 1, "x" * 99),
            f"CodecCompound.shape: expected one of 'round', 'flat', found '{'x' * 39}…",
        ),
        ("CodecCompound", with_field(COMPOUND, 2, "abc"), "CodecCompound.spans: expected an array, found str"),
        ("CodecCompound", with_field(COMPOUND, 2, [[1, "a"], [1, 2]]), "CodecCompound.spans[1].label: expected str, "),
        ("CodecCompound", with_field(COMPOUND, 2, [[1]]), "CodecCompound.spans[0]: expected 2 fields, found 1"),
        ("CodecCompound", with_field(COMPOUND, 3, [1]), "CodecCompound.pair: expected 2 items, found 1"),
        ("CodecCompound", with_field(COMPOUND, 3, ["a", "b"]), "CodecCompound.pair[0]: expected int, found str"),
        ("CodecCompound", with_field(COMPOUND, 4, [1]), "CodecCompound.nothing: expected 0 items, found 1"),
        ("CodecCompound", with_field(COMPOUND, 5, 1), "CodecCompound.leaf: expected 1 field, found int"),
        (
            "CodecCompound",
            with_field(COMPOUND, 5, [1.5]),
            "CodecCompound.leaf.value: expected int or str or bytes or None, found float",
        ),
        ("CodecCompound", with_field(COMPOUND, 6, True), "CodecCompound.either: expected int or str or None, found"),
        ("CodecCompound", with_field(COMPOUND, 7, "eager"), "CodecCompound.mode: expected one of 'lazy', 'racy', 3,"),
        ("CodecCompound", with_field(COMPOUND, 7, 3.0), "CodecCompound.mode: expected one of 'lazy', 'racy', 3, found"),
        ("CodecCompound", with_field(COMPOUND, 7, []), "CodecCompound.mode: expected one of 'lazy', 'racy', 3, found"),
        ("CodecGone", [], "kind: unknown message 'CodecGone'"),
        ("a\nb", [], r"kind: unknown message 'a\nb'"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected(kind: str, fields: list[Any], line: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode(packed(kind, fields))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_the_fields_that_these_tests_damage_are_right_before() -> None:
    assert decode(packed("CodecPrimitives", PRIMITIVES))[1].body == CodecPrimitives(1, 0.5, "name", b"data", True)
    assert decode(packed("CodecCompound", COMPOUND))[1].body.spans == (Span(1, "a"),)


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (b"", "not a msgpack record"),
        (b"\xc1", "not a msgpack record"),
        (packed("Done", [1])[:-1], "not a msgpack record"),
        (packed("Done", [1]) + b"\x00", "not a msgpack record"),
        (b"\xdd\xff\xff\xff\xff", "not a msgpack record"),
        (b"\x97" + b"\xdd\x7f\xff\xff\xff" * 1000, "not a msgpack record"),
        (b"\x91" * 5000, "not a msgpack record"),
        (b"\x81\x01\x02", "not a msgpack record"),
        (b"\xd6\xff\x00\x00\x00\x00", "not a msgpack record"),
        (b"\xa1\xff", "not a msgpack record"),
        (b"\x07", "expected an array of 7 parts"),
        (b"\x91\x07", "expected an array of 7 parts"),
        (msgpack.packb(["1", "a", "b", 0, "", "Done", [1]]), "number: expected int, found str"),
        (msgpack.packb([True, "a", "b", 0, "", "Done", [1]]), "number: expected int, found bool"),
        (msgpack.packb([1, None, "b", 0, "", "Done", [1]]), "src: expected str, found None"),
        (msgpack.packb([1, "a", "b", 0, "", "Done", 1]), "fields: expected an array, found int"),
    ],
)
def test_bytes_that_are_no_arrival_are_refused(payload: bytes, line: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode(payload)
    assert str(caught.value).startswith(line)
    assert len(str(caught.value)) <= 200


@given(st.binary(max_size=64))
def test_any_bytes_are_an_arrival_or_a_codec_error(payload: bytes) -> None:
    with pytest.raises(CodecError):
        decode(payload)


def test_nesting_deeper_than_python_allows_is_refused() -> None:
    nested: Any = None
    for _ in range(900):
        nested = [nested]
    with pytest.raises(CodecError, match=r"^CodecChain: nested too deep$"):
        decode(packed("CodecChain", [nested]))


def test_a_mistake_far_down_costs_no_more_than_its_depth() -> None:
    nested: Any = "wrong"
    for _ in range(60):  # a decoder that tries each level twice would need 2**60 steps
        nested = [nested]
    with pytest.raises(CodecError, match=r"^CodecChain\.chain(\.next){60}: expected 1 field, found str$"):
        decode(packed("CodecChain", [nested]))


def test_a_value_that_cannot_be_written_is_named_and_leaves_the_encoder_usable() -> None:
    encoder = Encoder()
    good = Envelope("process:1", "file:1", CodecPrimitives(1, 0.5, "n", b"d", True), 3)
    before = encoder.encode(1, good)
    for body, line in [
        (good.body.__class__(1, 0.5, object(), b"", True), "CodecPrimitives.name: object cannot be written"),
        (CodecPrimitives(2**64, 0.5, "", b"", True), "CodecPrimitives.number: "),
        (CodecPrimitives(1, 0.5, "\udc80", b"", True), "CodecPrimitives.name: "),
        (CodecAny(Leaf(1)), ""),
        (CodecAny({1, 2}), "CodecAny.value: set cannot be written"),
        (CodecAny((1, (2, Leaf))), "CodecAny.value: type cannot be written"),
    ]:
        if not line:
            encoder.encode(1, good._replace(body=body))
            continue
        with pytest.raises(TypeError) as caught:
            encoder.encode(1, good._replace(body=body))
        assert str(caught.value).startswith(line)
        assert encoder.encode(1, good) == before


def test_only_messages_can_be_sent() -> None:
    with pytest.raises(TypeError, match=r"\.Stranger is not a message$"):
        Encoder().encode(1, Envelope("a", "b", Stranger(1)))


def test_a_field_must_say_what_it_holds() -> None:
    with pytest.raises(cattrs.StructureHandlerNotFoundError, match="cannot be Any"):
        decode(packed("CodecAny", [1]))


def test_a_tuple_longer_than_the_limit_is_refused() -> None:
    with pytest.raises(CodecError, match="max_array_len"):
        decode(packed("CodecCompound", [[0] * (codec.MAX_ITEMS + 1)]))


def test_the_hash_is_sha256_over_the_payloads() -> None:
    running = ArrivalHash()
    running.update(b"a")
    running.update(b"bc")
    assert running.hexdigest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@dataclass(frozen=True)
class Inner:
    size: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    inner: list[Inner]
    ratio: float
    table: dict[str, int]
    shape: Shape = Shape.ROUND


def test_the_converter_makes_classes_from_tables() -> None:
    found = {"inner": [{"size": 1, "names": ["a"]}], "ratio": 2, "table": {"k": 1}, "shape": "flat"}
    assert make_converter().structure(found, Outer) == Outer([Inner(1, ("a",))], 2, {"k": 1}, Shape.FLAT)


def test_the_converter_reports_every_mistake_with_its_path() -> None:
    found = {
        "inner": [{"size": "7", "names": "abc"}, {"names": [1, "b", 2]}, 5],
        "ratio": None,
        "table": {"k": True},
        "shape": 1,
        "colour": "red",
        "a\nb": 1,
    }
    with pytest.raises(cattrs.ClassValidationError) as caught:
        make_converter().structure(found, Outer)
    assert sorted(problems(caught.value, "x")) == [
        ("x.'a\\nb'", "not known"),
        ("x.colour", "not known"),
        ("x.inner[0].names", "expected an array, found str"),
        ("x.inner[0].size", "expected int, found str"),
        ("x.inner[1].names[0]", "expected str, found int"),
        ("x.inner[1].names[2]", "expected str, found int"),
        ("x.inner[1].size", "missing"),
        ("x.inner[2]", "expected a table, found int"),
        ("x.ratio", "expected float, found None"),
        ("x.shape", "expected one of 'round', 'flat', found 1"),
        ("x.table['k']", "expected int, found bool"),
    ]


def test_a_value_wrong_as_a_whole_has_the_path_it_was_given() -> None:
    with pytest.raises(TypeError) as caught:
        make_converter().structure([1], Outer)
    assert problems(caught.value, "x") == [("x", "expected a table, found list")]


def test_mistakes_are_not_collected_without_end() -> None:
    with pytest.raises(cattrs.IterableValidationError) as caught:
        make_converter().structure(["a"] * 10_000, tuple[int, ...])
    assert len(problems(caught.value, "x")) == 20


def test_the_plain_messages_are_the_ones_of_the_envelope() -> None:
    assert decode(Encoder().encode(5, Envelope("a", "b", Awake(), -2, "lease"))) == (
        5,
        Envelope("a", "b", Awake(), -2, "lease"),
    )


def test_a_message_of_ones_own_may_have_any_name() -> None:
    """Two test modules may each have a Put, beside the one of longpin."""
    longpins = importlib.import_module("longpin.messages.fs.file").Put

    @message
    class Put(Message):
        value: int

    assert KINDS["Put"] is longpins
    envelope = Envelope("a", "b", Put(7))
    assert decode(Encoder().encode(1, envelope)) == (1, envelope)
    with pytest.raises(TypeError, match=r"two messages are named Put: in longpin\.messages\.fs\.file and in"):
        message(type("Put", (Message,), {"__module__": "longpin.elsewhere"}))
