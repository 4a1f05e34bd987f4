"""What is cut from a scenario, how it is written again, and what counts as simpler."""

import tomllib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longpin.actors.base import Actor
from longpin.config.loader import load_scenario, parse_scenario, shipped_scenarios
from longpin.config.problems import ScenarioError
from longpin.config.writer import Document, write_scenario
from longpin.messages.envelope import Envelope
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.failures import simplify
from longpin.runner.failures.hunt import renumbered
from longpin.runner.failures.schedule import Follower, Schedule
from longpin.runner.failures.shrink import sort_key
from longpin.runner.failures.statements import replaced, statements, terms, tidy, unrolled, weight, without

PROGRAM = """\
fd = open("/f", O_RDWR)   # -> ok
for i in range(4):
    write(fd, "x")
    lseek(fd, 2 * PAGE + i)
close(fd)
"""

SCENARIO = """\
name = "small"

[machine]
lease_break_time = 10

[[device]]
name = "rxe0"

[[file]]
path = "/f"
size = "4 * PAGE"

[[process]]
name = "parent"
program = '''
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
fork("child")
label("ready")
'''
on_signal.SIGIO = '''
munmap(buf, 4 * PAGE)
'''

[[process]]
name = "child"
start = "fork"
program = '''
close(fd)
'''

[[process]]
name = "other"
program = '''
wait_for("ready")
kill("parent", SIGIO)
'''
"""

VALUES = st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False) | st.lists(st.text())
TABLES = st.dictionaries(st.text(), VALUES, max_size=3)


def document() -> Document:
    return tomllib.loads(SCENARIO)


def programs(made: Document) -> dict[str, str]:
    return {process["name"]: process["program"] for process in made["process"]}


def loads(made: Document) -> bool:
    try:
        parse_scenario(write_scenario(made), "small.toml")
    except ScenarioError:
        return False
    return True


@given(st.dictionaries(st.text(), VALUES | TABLES | st.lists(TABLES | TABLES.map(lambda t: {"in": t}), min_size=1)))
def test_what_is_written_is_read_again(made: Document) -> None:
    text = write_scenario(made)
    assert tomllib.loads(text) == made


def test_a_value_no_scenario_has_is_refused() -> None:
    with pytest.raises(TypeError, match="a NoneType is nothing a scenario file holds"):
        write_scenario({"name": None})


@pytest.mark.parametrize("name", shipped_scenarios())
def test_a_scenario_written_again_says_the_same(name: str) -> None:
    scenario = load_scenario(name)
    again = parse_scenario(write_scenario(tomllib.loads(scenario.text)), scenario.name)

    def said(made: Any) -> list[Any]:
        every = [its for spec in made.processes for its in (spec.program, *(program for _, program in spec.on_signal))]
        return [[(op.text, op.expectations) for op in program.operations()] for program in every]

    assert said(again) == said(scenario)
    assert (again.machine, again.pmem, again.files, again.policy) == (
        scenario.machine,
        scenario.pmem,
        scenario.files,
        scenario.policy,
    )


def test_statements() -> None:
    found = statements(PROGRAM)
    assert [(it.first, it.last, it.call, it.target) for it in found] == [
        (0, 0, "open", "fd"),
        (1, 3, "", "i"),
        (2, 2, "write", ""),
        (3, 3, "lseek", ""),
        (4, 4, "close", ""),
    ]
    assert found[1].is_loop
    assert "fd" in found[1].names
    assert statements("f(") == []


def test_cutting_statements() -> None:
    assert without(PROGRAM, {1, 4}) == 'fd = open("/f", O_RDWR)   # -> ok\n'
    assert unrolled(PROGRAM, 1).splitlines()[1:4] == ['write(fd, "x")', "lseek(fd, 2 * PAGE + i)", "close(fd)"]
    assert tidy("\n    # why\n    f(1)  # -> 0\n\n    for i in range(2):\n        g(i)\n") == (
        "f(1)  # -> 0\nfor i in range(2):\n    g(i)\n"
    )


def test_terms_have_simpler_ones() -> None:
    found = {term.text: term for term in terms('f("é", 4 * PAGE, A | B, 20)')}
    assert found["4 * PAGE"].simpler == ("PAGE",)
    assert found["A | B"].simpler == ("A", "B")
    assert found["4"].simpler == ("0", "1", "2", "3")
    assert found["20"].simpler == ("0", "1", "10")
    text = 'f("é", 4 * PAGE, 20)'
    its = {term.text: term for term in terms(text)}
    assert replaced(text, {its["20"]: "1", its["4 * PAGE"]: "PAGE"}) == 'f("é", PAGE, 1)'
    assert list(terms("f(")) == []
    assert [weight(text) for text in ("4 * PAGE", "PAGE", "A | B", "0", "(")] == [5, 1, 2, 0, 0]


def test_a_process_goes_with_what_names_it_and_waits_for_it() -> None:
    made = list(simplify.fewer_processes(document()))
    assert [sorted(programs(one)) for one in made] == [["child", "parent"], ["other", "parent"], ["child", "other"]]
    assert all(map(loads, made[:2]))
    assert "fork" not in programs(made[1])["parent"]
    # Without the parent nobody sets the label, and there is nobody to signal.
    assert programs(made[2])["other"] == ""


def test_a_statement_goes_with_what_uses_it() -> None:
    first = list(simplify.fewer_statements_with_users(document()))[-1]
    assert programs(first)["parent"] == 'fork("child")\nlabel("ready")\n'
    assert programs(first)["child"] == ""
    assert first["process"][0]["on_signal"]["SIGIO"] == ""
    assert loads(first)


def test_a_handler_and_tables_go() -> None:
    (made,) = simplify.fewer_handlers(document())
    assert "on_signal" not in made["process"][0]
    kinds = [sorted(one) for one in simplify.fewer_tables(document())]
    everything = ["device", "file", "machine", "name", "process"]
    assert kinds == [[kind for kind in everything if kind != gone] for gone in ("file", "device", "machine")]


def test_a_length_is_made_smaller_in_all_places_at_once() -> None:
    made = [one for one in simplify.smaller_everywhere(document()) if one["file"][0]["size"] == "PAGE"]
    assert made
    assert "mmap(PAGE," in programs(made[0])["parent"]
    assert made[0]["process"][0]["on_signal"]["SIGIO"] == "munmap(buf, PAGE)\n"


def test_every_candidate_of_a_shipped_scenario_loads_or_is_refused_in_words() -> None:
    made = tomllib.loads(load_scenario("layout-lease-answered").text)
    outcomes = [loads(candidate) for one_pass in simplify.PASSES for candidate in one_pass(made)]
    assert {True, False} == set(outcomes)


def test_candidates_leave_the_document_as_it_is() -> None:
    made = document()
    for one_pass in simplify.PASSES:
        list(one_pass(made))
    assert made == document()


LESS = [
    ('size = "4 * PAGE"', 'size = "PAGE"'),
    ("lease_break_time = 10", ""),
    ("PROT_READ | PROT_WRITE", "PROT_READ"),
    ('kill("parent", SIGIO)\n', ""),
    ('[[device]]\nname = "rxe0"\n', ""),
]


@pytest.mark.parametrize(("before", "after"), LESS)
def test_what_is_simpler(before: str, after: str) -> None:
    text = SCENARIO.replace(before, after)
    assert text != SCENARIO
    less, more = (sort_key(parse_scenario(its, "small.toml"), Schedule()) for its in (text, SCENARIO))
    assert less < more


def test_a_number_is_not_simpler_because_it_is_written_shorter() -> None:
    bytes_ = parse_scenario(SCENARIO.replace('"4 * PAGE"', "9999"), "small.toml")
    assert len(bytes_.text) < len(SCENARIO)
    assert sort_key(parse_scenario(SCENARIO, "small.toml"), Schedule()) < sort_key(bytes_, Schedule())


def test_a_simpler_scenario_counts_more_than_a_simpler_schedule() -> None:
    scenario = parse_scenario(SCENARIO, "small.toml")
    fewer = parse_scenario(SCENARIO.replace('kill("parent", SIGIO)\n', ""), "small.toml")
    plain, wild = Schedule(("world",)), Schedule(("world",) * 9, (3, 4), 5)
    assert sort_key(fewer, wild) < sort_key(scenario, plain) < sort_key(scenario, wild)


def test_addresses_follow_their_processes() -> None:
    before = parse_scenario(SCENARIO, "small.toml")
    text = SCENARIO.replace('name = "other"', 'name = "first"').replace('"parent", SIGIO', '"parent", SIGIO')
    extra = "[[process]]\nname = \"zero\"\nprogram = '''\nsleep(1)\n'''\n\n[[process]]\nname = \"parent\""
    now = parse_scenario(text.replace('[[process]]\nname = "parent"', extra), "small.toml")
    decisions = ("world", "process:100", "file:10001.2", "mr:100.1", "inode:/f", "process:101")
    # "other" is no more: its number stays.
    assert renumbered(decisions, before, now) == (
        "world",
        "process:101",
        "file:10101.2",
        "mr:101.1",
        "inode:/f",
        "process:101",
    )


class Chooser:
    """Asks a follower as the stepped engine does."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.engine = SteppedEngine(follower)

    def choose(self, sends: Iterable[tuple[str, str]]) -> str:
        ready = []
        for source, to in sends:
            actor = Actor(self.engine, source)
            actor.outbox.append(Envelope(source, to, None))
            ready.append(actor)
        index = self.follower.next_arrival(ready)
        assert index is not None
        return ready[index].address


def test_a_follower_lets_the_receiver_go_on_then_the_sender_then_anybody() -> None:
    chooser = Chooser(Follower(["a"]))
    assert chooser.choose([("x", "y"), ("a", "b")]) == "a"
    assert chooser.choose([("x", "y"), ("a", "c"), ("b", "d")]) == "b"
    assert chooser.choose([("x", "y"), ("b", "e")]) == "b"
    assert chooser.choose([("x", "y"), ("z", "y")]) == "x"
    assert chooser.follower.preempting == []
    assert chooser.follower.switches == 2


def test_a_follower_skips_what_cannot_go_and_counts_preemptions() -> None:
    chooser = Chooser(Follower(["a", "nobody", "x"]))
    assert chooser.choose([("x", "y"), ("a", "b")]) == "a"
    assert chooser.choose([("x", "y"), ("b", "d")]) == "x"
    assert chooser.follower.preempting == [1]


def test_a_follower_puts_a_preemption_off() -> None:
    chooser = Chooser(Follower(["a", "x"], later=frozenset({1})))
    assert chooser.choose([("x", "y"), ("a", "b")]) == "a"
    assert chooser.choose([("x", "y"), ("b", "d")]) == "b"
    assert chooser.choose([("x", "y")]) == "x"
    assert chooser.follower.preempting == []
