"""Damaged and edited traces and scenarios through the whole of replay and run: a plain answer, whatever is wrong.

A trace is refused, or its replay says where it differs, or is cut short; two arrivals that have nothing to do with each
other may change places. A scenario that still loads runs to a verdict.
"""

import dataclasses
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any
from zlib import crc32

import msgpack  # type: ignore[import-untyped]  # msgpack ships no annotations
import pytest
from shipped import some_shipped

from longpin.config.loader import ScenarioError, load_scenario, parse_scenario
from longpin.messages.codec import Encoder, decode
from longpin.messages.envelope import Envelope
from longpin.messages.frames import CHAIN_START, MAGIC
from longpin.messages.trace import TraceError, TraceReader, TraceWriter, text_sha256
from longpin.runner.engines import allowance
from longpin.runner.result import Result, Verdict
from longpin.runner.run import Settings, replay, run

MUTATIONS_OF_A_KIND = 18
MOST_MEMORY = 30_000_000
"""Bytes a replay may take at its peak; what is not damaged takes a tenth."""

NAME = "layout-lease-answered"


@dataclasses.dataclass
class Recorded:
    """A trace in parts, to be put together again."""

    header: dict[str, Any]
    arrivals: list[Envelope]
    result: Result

    def payloads(self) -> list[bytes]:
        """Return header, arrivals and nothing else."""
        encoder = Encoder()
        numbered = enumerate(self.arrivals, 1)
        return [msgpack.packb(self.header), *(encoder.encode(number, envelope) for number, envelope in numbered)]


def framed(payloads: list[bytes]) -> bytes:
    """Return a file of valid frames, whatever is in them."""
    content, crc = MAGIC, CHAIN_START
    for payload in payloads:
        crc = crc32(payload, crc)
        content += msgpack.packb((crc, payload))
    return content


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    scenario = load_scenario(NAME)
    result = run(scenario, Settings.of(scenario, oracle="random", seed=5), tmp_path / "own")
    reader = TraceReader(tmp_path / "own")
    arrivals = [decode(payload)[1] for _, payload in reader]
    return Recorded(dataclasses.asdict(reader.header), arrivals, result)


def flipped(recorded: Recorded, chance: random.Random) -> bytes:
    content = bytearray(framed(recorded.payloads()))
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def cut(recorded: Recorded, chance: random.Random) -> bytes:
    content = framed(recorded.payloads())
    return content[: chance.randrange(len(content))]


def records_swapped_in_the_file(recorded: Recorded, chance: random.Random) -> bytes:
    header, *frames = (framed([payload])[len(MAGIC) :] for payload in recorded.payloads())
    first, second = chance.sample(range(len(frames)), 2)
    frames[first], frames[second] = frames[second], frames[first]
    return b"".join([MAGIC, header, *frames])


def payloads_swapped(recorded: Recorded, chance: random.Random) -> bytes:
    header, *payloads = recorded.payloads()
    first, second = chance.sample(range(len(payloads)), 2)
    payloads[first], payloads[second] = payloads[second], payloads[first]
    return framed([header, *payloads])


def arrivals_swapped(recorded: Recorded, chance: random.Random) -> bytes:
    first, second = chance.sample(range(len(recorded.arrivals)), 2)
    arrivals = recorded.arrivals
    arrivals[first], arrivals[second] = arrivals[second], arrivals[first]
    return framed(recorded.payloads())


def arrival_lost(recorded: Recorded, chance: random.Random) -> bytes:
    del recorded.arrivals[chance.randrange(len(recorded.arrivals))]
    return framed(recorded.payloads())


def arrival_repeated(recorded: Recorded, chance: random.Random) -> bytes:
    arrivals = recorded.arrivals
    arrivals.insert(chance.randrange(len(arrivals)), chance.choice(arrivals))
    return framed(recorded.payloads())


def envelope_edited(recorded: Recorded, chance: random.Random) -> bytes:
    arrivals = recorded.arrivals
    index = chance.randrange(len(arrivals))
    other = chance.choice(arrivals)
    field = chance.choice(["src", "dst", "call", "body", "slept"])
    value: Any = "elsewhere" if field == "slept" else getattr(other, field)
    arrivals[index] = arrivals[index]._replace(**{field: value})
    return framed(recorded.payloads())


def body_edited(recorded: Recorded, chance: random.Random) -> bytes:
    header, *payloads = recorded.payloads()
    index = chance.randrange(len(payloads))
    parts = msgpack.unpackb(payloads[index])
    values = parts[-1]
    strange: list[Any] = [None, -1, 2**64 - 1, "", "process:100", b"x", [], [[[]]], 1.5, True]
    if values:
        values[chance.randrange(len(values))] = chance.choice(strange)
    else:
        values.append(chance.choice(strange))
    payloads[index] = msgpack.packb(parts)
    return framed([header, *payloads])


def record_made_up(recorded: Recorded, chance: random.Random) -> bytes:
    header, *payloads = recorded.payloads()
    payloads[chance.randrange(len(payloads))] = chance.choice(
        [chance.randbytes(chance.randrange(40)), b"\x97" + b"\x91" * 5000]
    )
    return framed([header, *payloads])


def header_edited(recorded: Recorded, chance: random.Random) -> bytes:
    header = recorded.header
    scenario = mutated(header["scenario"], chance)
    header |= chance.choice(
        [
            {"policy": "P1"},
            {"policy": "P9"},
            {"preset": "as_posted"},
            {"preset": ""},
            {"parameters": header["parameters"] | {"lease_check": 5}},
            {"parameters": header["parameters"] | {"no_such": True}},
            {"parameters": dict.fromkeys(header["parameters"], "")},
            {"parameters": {}},
            {"parameters": []},
            {"oracle": "\x1b[31m\n"},
            {"engine": "dream"},
            {"timers": "racy"},
            {"seed": 2**64 - 1},
            {"seed": -1},
            {"seed": "1"},
            {"longpin": "99.0"},
            {"format": 2},
            {"format": 5},
            {"format": 0},
            {"scenario_name": "\x1b[31m\n"},
            {"scenario": "\x00", "scenario_sha256": text_sha256("\x00")},
            {"scenario": "x = 1"},
            {"extra": 1},
            {"scenario": scenario, "scenario_sha256": text_sha256(scenario)},
        ]
    )
    return framed(recorded.payloads())


MUTATIONS: list[Callable[[Recorded, random.Random], bytes]] = [
    flipped, cut, records_swapped_in_the_file, payloads_swapped, arrivals_swapped, arrival_lost, arrival_repeated,
    envelope_edited, body_edited, record_made_up, header_edited,
]  # fmt: skip


def outcome(path: Path) -> Result | TraceError:
    """Replay; anything but a result with a reason, or a refusal in one line, fails the test."""
    try:
        result = replay(path)
    except TraceError as error:
        refusal = error
    else:
        assert result.reason
        return result
    assert str(refusal).startswith(f"{path}: ")
    assert str(refusal).isprintable()
    return refusal


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_a_mutated_trace_is_refused_or_its_replay_says_what_is_wrong(
    mutate: Callable[[Recorded, random.Random], bytes], recorded: Recorded, tmp_path: Path
) -> None:
    path = tmp_path / "mutated"
    ends = Counter[str]()
    tracemalloc.start()
    for seed in range(MUTATIONS_OF_A_KIND):
        own = Recorded(dict(recorded.header), list(recorded.arrivals), recorded.result)
        path.write_bytes(mutate(own, random.Random(f"{mutate.__name__} {seed}")))
        found = outcome(path)
        ends[type(found).__name__ if isinstance(found, TraceError) else found.verdict] += 1
        if isinstance(found, Result) and mutate is not header_edited:
            # Without its footer a trace never holds: at best it ends early.
            assert found.verdict in (Verdict.DIVERGED, Verdict.UNDETERMINED)
            if found.verdict is Verdict.DIVERGED:
                assert f"arrival {found.arrivals + 1}" in found.reason
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_MEMORY
    assert ends["TraceError"] + ends["diverged"] > MUTATIONS_OF_A_KIND // 3 or mutate is cut


def test_the_parts_put_together_are_the_trace(recorded: Recorded, tmp_path: Path) -> None:
    (tmp_path / "again").write_bytes(framed(recorded.payloads()))
    again = replay(tmp_path / "again")
    assert again.verdict is Verdict.UNDETERMINED  # it has no footer
    assert again.hash == recorded.result.hash
    assert again.calls == recorded.result.calls


def independent(first: Envelope, second: Envelope) -> bool:
    """Whether two arrivals, one right after the other, concern different actors, and neither brings the other about."""
    return first.dst not in (second.dst, second.src) and first.src != second.src


def with_neighbours(name: str) -> bool:
    """Whether a scenario has several processes: what one does by itself has one order."""
    return len(load_scenario(name).processes) > 1


@pytest.mark.parametrize("most", [6, pytest.param(1000, marks=pytest.mark.heavy, id="all")])
@pytest.mark.parametrize("name", some_shipped(3, among=with_neighbours))
def test_independent_neighbours_may_change_places(name: str, most: int, tmp_path: Path) -> None:
    scenario = load_scenario(name)
    original = run(scenario, Settings.of(scenario, oracle="random", seed=2), tmp_path / "trace")
    reader = TraceReader(tmp_path / "trace")
    arrivals = [decode(payload)[1] for _, payload in reader]
    swaps = [index for index in range(len(arrivals) - 1) if independent(*arrivals[index : index + 2])]
    assert len(swaps) > 5
    for index in sorted(random.Random(name).sample(swaps, min(most, len(swaps)))):
        order = [*arrivals[:index], arrivals[index + 1], arrivals[index], *arrivals[index + 2 :]]
        encoder = Encoder()
        with TraceWriter(tmp_path / "swapped", reader.header) as writer:
            for number, envelope in enumerate(order, 1):
                writer.append(encoder.encode(number, envelope))
        swapped = replay(tmp_path / "swapped")
        assert swapped.verdict is original.verdict, (index, swapped.reason)
        assert sorted(map(repr, swapped.calls)) == sorted(map(repr, original.calls))
        assert swapped.hash != original.hash


def mutated(text: str, chance: random.Random) -> str:
    """Change a scenario so that it often still is one: words for other words, lines lost, repeated and moved."""
    lines = text.split("\n")
    for _ in range(chance.randint(1, 4)):
        one, other = chance.choices(range(len(lines)), k=2)
        match chance.randrange(6):
            case 0:
                lines[one], lines[other] = lines[other], lines[one]
            case 1:
                lines.insert(one, lines[other])
            case 2:
                del lines[one]
                lines.append("")
            case 3:
                call = chance.choice([line for line in lines if "(" in line] or [""])
                lines.insert(one, call.partition("#")[0])
            case 4:
                number = chance.choice(["0", "1", "-1", "3", "PAGE", "9223372036854775807"])
                lines[one] = lines[one].replace(chance.choice(["0", "4", "fd", "4 * PAGE"]), number)
            case _:
                words = [
                    word.strip("(),") for line in lines for word in line.partition("#")[0].split() if len(word) > 1
                ]
                lines[one] = lines[one].replace(chance.choice(words), chance.choice(words))
    return "\n".join(lines)


@pytest.mark.parametrize("texts", [30, pytest.param(200, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("name", some_shipped(4, 1))
def test_a_mutated_scenario_is_refused_or_runs_to_a_verdict(
    name: str, texts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "MOST_ARRIVALS", 6_000)  # some never end
    text = (resources.files("longpin.config") / "scenarios" / f"{name}.toml").read_text()
    ends = Counter[str]()
    for seed in range(texts):
        changed = mutated(text, random.Random(f"{name} {seed}"))
        try:
            scenario = parse_scenario(changed, "mutated.toml")
        except ScenarioError:
            ends["refused"] += 1
            continue
        for oracle in ("fifo", "random"):
            result = run(scenario, Settings.of(scenario, oracle=oracle, timers="racy", seed=seed), tmp_path / "trace")
            assert replay(tmp_path / "trace").hash == result.hash
            unshown = "never reached" in result.reason or bool(scenario.shows)  # a use is shown by a search
            ends["not reached" if unshown else result.verdict] += 1
    assert ends["refused"] > texts // 10
    assert ends["holds"] + ends["violated"] + ends["not reached"] >= texts // 6
