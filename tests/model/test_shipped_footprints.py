"""What shipped messages declare is true: they commute, and leaving out orders that commute changes nothing.

``pytest -m heavy tests/model/test_shipped_footprints.py`` compares ten times as many pairs, and the ends of shipped
scenarios of up to 100,000 executions under every policy, with lazy and with racy timers (about half an hour).
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest
from model.footprint_walks import (
    CALLS,
    CHOICES,
    SHIPPED,
    Pair,
    Walker,
    crowd,
    declared,
    fenced,
    meetings,
    of_policies,
    of_programs,
    registering,
    subject,
    subjects,
    touched,
)
from model.test_random_programs import make_scenario
from shipped import some_shipped

from longpin.actors.constants import O_CREAT, O_TMPFILE, PROGRAM_CONSTANTS
from longpin.actors.mm.pmem import Pmem
from longpin.config.loader import load_scenario, parse_scenario
from longpin.messages.envelope import Awake, Done, Envelope, Footprint, Message
from longpin.messages.fs.directory import MAKES, Unlink
from longpin.messages.fs.file import SetSignal
from longpin.messages.fs.inode import Flock
from longpin.messages.mm.memory import AwaitIdle, PinFrames, Unpin
from longpin.messages.mm.pmem import BlockRun
from longpin.messages.process.labels import AwaitLabel
from longpin.runner.exploration import FootprintError, Method, Reason, explore
from longpin.runner.exploration.activations import ActivationPath
from longpin.runner.exploration.budget import Budget, EndlessError
from longpin.runner.exploration.dpor import Dpor
from longpin.runner.exploration.path import Path
from longpin.runner.exploration.result import Exploration
from longpin.runner.exploration.table import Table
from longpin.runner.judging.judge import unplayed
from longpin.runner.subject import Subject

KINDS = list(CALLS)
PLAIN = [choice for choice in CHOICES if choice[0] in ("P0", "P1", "P5")]
"""Under which ordinary programs get far."""
INTENDED = [choice for choice in CHOICES if choice[1] == "intended"]


Plan = Iterator[tuple[Subject, str, bool]]
"""A world, the kind of actor that is kept busy, and whether timers are racy."""


def plan(*, rounds: int, every: int, crowds: int, programs: int) -> Plan:
    """Yield the walks: one in ``every`` of the subjects, crowds, and random programs that test the emulated kernel."""
    for turn in range(rounds):
        for number, subject_ in enumerate(subjects(every)):
            yield subject_, KINDS[(number + turn) % len(KINDS)], bool((number + turn) % 2)
        yield subject(of_programs("waits for pins"), "P1", "intended"), "pmem:", False
        for _ in range(3):
            yield subject(of_programs("clones"), "P1", "intended"), "pmem:", False
        yield subject(load_scenario("two-pins-one-truncate"), "P1", "intended"), "mm:", False
        for _ in range(5):
            yield subject(of_programs("stopped"), "P1", "intended"), "process:", False
        for choice in INTENDED:  # a description is let go while its lease is broken
            yield subject(of_programs("the end of a lease"), *choice), "file:", False
    for seed in range(crowds):
        kind = KINDS[seed % len(KINDS)]
        turn = seed // len(KINDS)
        yield subject(crowd(seed, kind), *PLAIN[-1 - turn % len(PLAIN)]), kind, bool(turn % 2)
    for seed in range(programs):
        scenario = parse_scenario(make_scenario(seed), f"{seed}.toml")
        yield subject(scenario, *CHOICES[seed % len(CHOICES)]), KINDS[seed % len(KINDS)], bool(seed // 6 % 2)
    for subject_, kind in [*meetings()] * 4:
        yield subject_, kind, False
    for turn in range(rounds):
        for subject_ in of_policies():
            for kind in ("inode:", "uverbs:", "file:", "inode:"):
                yield subject_, kind, bool(turn % 2)
        for _ in range(4):
            yield touched(), "pmem:", False
            yield fenced(), "pmem:", True
        for _ in range(6):
            yield registering(), "uverbs:", False
            yield registering(), "pmem:", False


def compare(walks: Plan) -> Counter[Pair]:
    """Return how often each pair of message classes was delivered in both orders, each time in another state."""
    compared = Counter[Pair]()
    for number, (subject_, kind, racy) in enumerate(walks):
        walker = Walker(subject_.build, racy=racy)
        walker.walk(random.Random(number), kind)
        compared += walker.compared
    return compared


def classes(pairs: Iterable[Pair]) -> set[str]:
    """Return the message classes in pairs; a reply counts for the request."""
    return {name.removesuffix("...") for pair in pairs for name in pair}


def check_pairs(compared: Counter[Pair], least: int) -> None:
    """See that enough was compared, and every class that declares something."""
    listing = "\n".join(f"{count:6} {one} {other}" for (one, other), count in compared.most_common())
    assert compared.total() >= least, listing
    assert declared() <= classes(compared), f"never compared: {sorted(declared() - classes(compared))}\n{listing}"


def test_messages_commute_as_they_declare() -> None:
    check_pairs(compare(plan(rounds=1, every=len(SHIPPED) * len(CHOICES) // 33 | 1, crowds=48, programs=2)), 5_000)


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_many_more_messages_commute_as_they_declare() -> None:
    check_pairs(compare(plan(rounds=4, every=1, crowds=240, programs=80)), 50_000)


def test_flags_that_may_make_a_file() -> None:
    making = {name for name, flag in PROGRAM_CONSTANTS.items() if name.startswith("O_") and flag & MAKES}
    assert making == {"O_CREAT", "O_TMPFILE"}
    assert MAKES & ~(O_CREAT | O_TMPFILE) == 0


def test_references_are_dropped_in_one_order() -> None:
    """Comparisons do not see in which order keys entered a dict; who is woken first must not depend on it."""
    woken = []
    for order in ((0, 1), (1, 0)):
        table = Table(lambda world: world.spawn(Pmem, "pmem:0", 2, 4096, [("inode:i", BlockRun(0, 0, 2))]))
        pins = [PinFrames((block,), "inode:i", block, longterm=True, owner="mr:1", context="c") for block in order]
        waits = [AwaitIdle(block, killable=True, interruptible=True) for block in (0, 1)]
        state = table.first[0].state
        for number, request in enumerate([*pins, *waits, Unpin("mr:1")], 1):
            step = table.step(state, table.message(Envelope("client", "pmem:0", request, number)))
            state = step.state
        woken.append([table.envelopes[sent] for sent in step.sends])
    assert [type(envelope.body) for envelope in woken[0]] == [Done, Awake, Awake]
    assert woken[0] == woken[1]


def nothing(_message: Message) -> Footprint:
    """Lie."""
    return Footprint()


LIARS = [(SetSignal, "file:"), (Flock, "inode:"), (PinFrames, "pmem:"), (AwaitLabel, "labels"), (Unlink, "directory")]


@pytest.mark.parametrize(("kind", "busy"), LIARS)
def test_a_lie_of_a_shipped_message_is_caught(kind: type[Message], busy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "footprint", nothing)
    walks = [(subject(crowd(seed, busy), "P1", "intended"), busy, False) for seed in range(40)]
    with pytest.raises(FootprintError, match=rf"{kind.__name__}\(.* declare to commute, but"):
        compare(iter(walks))


def test_a_lie_is_caught_while_exploring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of the shipped scenario wait for one label."""
    build = subject(load_scenario("truncate-waits"), "P1", "intended").build
    assert explore(build, method="dpor", verify=True).complete
    monkeypatch.setattr(AwaitLabel, "footprint", nothing)
    with pytest.raises(FootprintError, match="a schedule that must exist does not"):
        explore(build, method="dpor")
    with pytest.raises(FootprintError, match=r"^labels: .*'registered'.* declare to commute, but"):
        explore(build, method="dpor", verify=True)


class Outcomes(NamedTuple):
    """What the schedules of a world come to."""

    ends: set[object]
    """The states of all actors at rest."""
    findings: set[tuple[str, str]]
    """Rules that do not hold, and where."""
    unplayed: bool
    """Some schedule is not played to its end."""


def outcomes(subject_: Subject, *, racy: bool, footprints: bool, most: int) -> Outcomes | None:
    """Explore completely; None: there are more than ``most`` executions, or one without an end."""
    findings = set[tuple[str, str]]()
    rules = subject_.rules
    table = Table(
        subject_.build,
        always=lambda actor, envelope: findings.update((f.rule, f.site) for f in rules.after(actor, envelope)),
    )
    path = ActivationPath(table, racy=racy) if footprints else Path(table, racy=racy)
    rests = set[tuple[int, ...]]()

    def judge() -> None:
        rest = tuple(path.local)
        if rest not in rests and path.decisions() is not None:
            rests.add(rest)

    result = Exploration(Method.DPOR)
    try:
        if Dpor(path, judge, result, Budget(most)).run() is not Reason.COMPLETE:
            return None
    except EndlessError:
        return None
    assert result.blocked == 0
    ends, stuck = set[object](), False
    for rest in rests:
        present = [(table.addresses[actor], state) for actor, state in enumerate(rest) if state >= 0]
        ends.add(tuple(sorted((address, table.form(state)) for address, state in present)))
        actors = {address: table.actor(state) for address, state in present}
        findings |= {(found.rule, found.site) for found in rules.quiet(actors)}
        stuck = stuck or bool(unplayed(rules.waiting(actors)))
    assert not table.opaque
    return Outcomes(ends, findings, stuck)


def check_outcomes(subject_: Subject, *, racy: bool, most: int) -> bool:
    """Compare what there is with footprints and without; False: it is too large for that."""
    wanted = outcomes(subject_, racy=racy, footprints=False, most=most)
    if wanted is not None:
        assert outcomes(subject_, racy=racy, footprints=True, most=most) == wanted
    return wanted is not None


@pytest.mark.parametrize("name", some_shipped(12, 1))
def test_footprints_change_no_end_of_a_shipped_scenario(name: str) -> None:
    scenario = load_scenario(name)
    own = scenario.policy.name, scenario.policy.preset
    small = [
        check_outcomes(subject(scenario, *choice), racy=False, most=300) for choice in dict.fromkeys((own, *INTENDED))
    ]
    if not any(small):
        pytest.skip("it is too large to be explored without footprints in a second")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("lease-shared", marks=pytest.mark.heavy),
        pytest.param("layout-lease-answered", marks=pytest.mark.heavy),
        "layout-lease-as-written",
        "stray-dma",
    ],
)
def test_footprints_change_no_end_with_racy_timers(name: str) -> None:
    scenario = load_scenario(name)
    assert check_outcomes(subject(scenario, scenario.policy.name, scenario.policy.preset), racy=True, most=13_000)


@pytest.mark.heavy
@pytest.mark.parametrize("timers", ["lazy", "racy"])
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", SHIPPED)
def test_footprints_change_no_end_under_any_policy(name: str, choice: tuple[str, str], timers: str) -> None:
    if not check_outcomes(subject(load_scenario(name), *choice), racy=timers == "racy", most=100_000):
        pytest.skip("too large to be explored without footprints")


EXECUTIONS = {
    "exits": (24, 1),
    "files of their own": (216, 1),
    "labels": (222, 4),
    "one description": (172, 16),
    "regions of their own": (24, 4),
    "stats": (216, 1),
    "names": (1_908, 318),
    "the end of a lease": (600, 292),
}
"""Without footprints and with them, under P1."""


@pytest.mark.parametrize("about", EXECUTIONS)
def test_footprints_save_orders_and_change_no_end(about: str) -> None:
    subject_ = subject(of_programs(about), "P1", "intended")
    without, with_ = EXECUTIONS[about]
    assert check_outcomes(subject_, racy=False, most=without + 1)
    assert explore(subject_.build, method="dpor", footprints=False).executions == without
    assert explore(subject_.build, method="dpor").executions == with_
