"""Interchangeable actors: with them or without, a search comes to the same worlds, and to the same failures."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from model.random_actors import Hop, Hopper, Rule
from model.test_marks import told

from longpin.actors.base import Actor, handles
from longpin.actors.clock import Clock
from longpin.actors.process.process import Process
from longpin.config.loader import parse_scenario
from longpin.messages.clock import CLOCK
from longpin.messages.envelope import Address, Done, Envelope
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration import Exploration, Inconclusive, Method, PropertyViolation, explore
from longpin.runner.exploration.path import Path
from longpin.runner.exploration.symmetry import AsymmetryError, Symmetry
from longpin.runner.exploration.table import Table
from longpin.runner.result import Verdict
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Build = Callable[[Any], None]

MEMBERS = ("m0", "m1", "m2")


def program(seed: int) -> tuple[Build, int]:
    """Return a random program in which some actors have the same rules, and how many. They need not be alike."""
    rng = random.Random(seed)
    count = rng.choice((2, 2, 3))
    members, servers = MEMBERS[:count], ("s0", "s1")
    kinds = ["send"] * 3 + ["answer"] * 2 + ["spawn"] + ["arm"] * (seed % 3 == 0)
    others = [*servers, *(members[:1] if seed % 8 == 0 else ())]

    def rules(kinds: list[str]) -> dict[int, tuple[Rule, ...]]:
        some = [(rng.choice((0, 1, 2, 2)), rng.choice(kinds), rng.choice(others), rng.randrange(3)) for _ in range(6)]
        return {tag: tuple(rng.sample(some, rng.randint(0, 2))) for tag in range(3)}

    of_members, of_servers = rules(kinds), {name: rules(kinds[:5]) for name in servers}
    first = Hop(rng.randint(1, 2), rng.randrange(3))

    def build(world: Any) -> None:
        world.spawn(Clock, CLOCK)
        for name in servers:
            world.spawn(Hopper, name, of_servers[name])
        for name in members:
            world.spawn(Hopper, name, of_members)
        for name in members:
            world.tell(name, first)

    return build, count


def ends(build: Build, count: int, *, racy: bool) -> tuple[Exploration, set[object]]:
    """Match states; return the result and all worlds at rest."""
    found = set[object]()

    def look(engine: SteppedEngine) -> None:
        found.add(tuple(sorted((name, vars(actor).get("total")) for name, actor in engine.actors.items())))

    groups = [MEMBERS[:count]]
    result = explore(build, method="states", check=look, marks=told, racy=racy, interchangeable=groups)
    assert result.complete, result.failures
    return result, found


def check_seed(seed: int) -> tuple[bool, bool]:
    """Compare one program; return whether its actors were interchangeable, and whether that saved a state."""
    build, count = program(seed)
    racy = seed % 2 == 0
    alone, wanted = ends(build, 0, racy=racy)
    together, found = ends(build, count, racy=racy)
    assert found == wanted
    assert together.marks == alone.marks
    assert together.states <= alone.states
    return bool(together.interchangeable), together.states < alone.states


def test_random_programs() -> None:
    """Some are asymmetric: one member is told from the others."""
    seen = [check_seed(seed) for seed in range(300)]
    symmetric, smaller = (sum(column) for column in zip(*seen, strict=True))
    assert 150 < symmetric < len(seen)
    assert smaller > 20


@pytest.mark.heavy
def test_many_random_programs() -> None:
    for seed in range(1000, 11_000):
        check_seed(seed)


class Recorder(Actor):
    """Remembers who has sent it something, and tells one of them."""

    def __init__(self, engine: Any, address: Address) -> None:
        super().__init__(engine, address)
        self.heard: tuple[Address, ...] = ()

    @handles(Done)
    def hear(self, _body: Done, src: Address) -> None:
        self.heard += (src,)
        if src == "m0":
            self.send("other", Done())


class Sender(Actor):
    """Sends two messages to the recorder."""

    @handles(Done)
    def begin(self, _body: Done, _src: Address) -> None:
        self.send("recorder", Done())
        self.send("recorder", Done())


class Other(Actor):
    """Says nothing."""

    @handles(Done)
    def hear(self, _body: Done, _src: Address) -> None:
        pass


def recording(world: Any) -> None:
    world.spawn(Recorder, "recorder")
    world.spawn(Other, "other")
    for name in MEMBERS:
        world.spawn(Sender, name)
        world.tell(name, Done())


def heard(engine: SteppedEngine) -> frozenset[str]:
    """Return a mark that one order shows, and no other; one of them cannot be judged."""
    recorder = engine.actors["recorder"]
    assert isinstance(recorder, Recorder)
    mark = " ".join(recorder.heard)
    if mark == "m0 m0 m1 m1 m2 m2":
        raise Inconclusive("the first order", frozenset({mark}))
    return frozenset({mark})


def test_what_the_pilot_run_found_survives_an_asymmetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """States are tried after the pilot run, with interchangeable actors that are none; then schedules go on."""
    whole = explore(recording, method="dpor", check=heard)
    assert len(whole.marks) == whole.executions == 90
    assert whole.verdict is Verdict.UNDETERMINED
    for name, value in (("PILOT_EXECUTIONS", 20), ("PILOT_STATES", 10), ("FEW_EXECUTIONS", 0)):
        monkeypatch.setattr(f"longpin.runner.exploration.search.{name}", value)
    result = explore(recording, check=heard, shows=whole.marks, interchangeable=[MEMBERS])
    assert (result.method, result.executions, "10 states" in result.why) == (Method.DPOR, 90, True)
    assert (result.marks, result.inconclusive) == (whole.marks, whole.inconclusive)
    assert result.witnesses.keys() == whole.marks


def test_a_pilot_run_hears_of_actors_before_states_are_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table knows addresses of files that nobody has opened yet: whose images they are shows later."""
    subject = subject_of(text(USER, USER))
    at_once = explored(subject, symmetry=True)

    def heard_before(build: Any, **options: Any) -> Table:
        """Return a table that has looked up a whole schedule."""
        table = Table(build, **options)
        path = Path(table, racy=False)
        while (process := path.ready({})) >= 0:
            path.push(process)
        return table

    monkeypatch.setattr("longpin.runner.exploration.explorer.Table", heard_before)
    later = explored(subject, symmetry=True)
    assert later.interchangeable == at_once.interchangeable == subject.interchangeable
    assert (later.states, later.marks, later.verdict) == (at_once.states, at_once.marks, at_once.verdict)


USER = """
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_RDLCK)
"""


MAPPER = 'fd = open("/f", O_RDWR)\nbuf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n'
ASKER = 'fd = open("/f", O_RDWR)\nr = fcntl(fd, F_SETLEASE, F_WRLCK)\n'


def text(*programs: str, more: str = "") -> str:
    processes = (f"[[process]]\nname = \"p{number}\"\nprogram = '''{one}'''\n" for number, one in enumerate(programs))
    head = 'name = "f"\nsource = "a test"\nsummary = "alike"\npolicy = "P1"\n'
    return head + more + '[[file]]\npath = "/f"\nsize = "PAGE"\n' + "".join(processes)


def explored(subject: Subject, *, symmetry: bool, **options: Any) -> Exploration:
    groups = subject.interchangeable if symmetry else ()
    given: dict[str, Any] = {"check": subject.check, "always": subject.always, "marks": subject.marks} | options
    return explore(subject.build, method="states", interchangeable=groups, **given)


def subject_of(content: str) -> Subject:
    scenario = parse_scenario(content, "f.toml")
    return Subject(scenario, Settings.of(scenario))


def test_processes_alike_are_not_told_apart() -> None:
    subject = subject_of(text(MAPPER, MAPPER, 'truncate("/f", 0)\n'))
    assert subject.interchangeable == (("process:100", "process:101"),)
    alone, together = explored(subject, symmetry=False), explored(subject, symmetry=True)
    assert together.interchangeable == subject.interchangeable
    assert (together.verdict, together.marks) == (alone.verdict, alone.marks)
    assert together.states < 0.7 * alone.states


@pytest.mark.parametrize("who", ["process:100", "process:101"])
def test_a_rule_may_name_one_of_them(who: str) -> None:
    """Of a world at rest: each image is judged, by a schedule of its own."""
    subject = subject_of(text(ASKER, ASKER))

    def check(engine: SteppedEngine) -> None:
        process = engine.actors[who]
        assert isinstance(process, Process)
        if process.leader.variables["r"] == -1:
            raise PropertyViolation(f"{who} got no lease")

    alone, together = explored(subject, symmetry=False, check=check), explored(subject, symmetry=True, check=check)
    assert together.interchangeable
    assert (together.verdict, alone.verdict) == (Verdict.VIOLATED, Verdict.VIOLATED)
    assert together.failures[0].broken == alone.failures[0].broken


def test_a_rule_about_steps_that_names_one_tells_them_apart() -> None:
    subject = subject_of(text(ASKER, ASKER))

    def always(actor: object, _envelope: Envelope) -> None:
        if isinstance(actor, Process) and actor.pid == 101 and actor.leader.variables.get("r") == -1:
            raise PropertyViolation("it got no lease")

    result = explored(subject, symmetry=True, always=always)
    assert not result.interchangeable
    assert result.verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    "third", ['kill("p0", SIGTERM)\n', 'kill("p1", SIGTERM)\n', 'fd = open("/f", O_RDWR)\nsend_fd("p0", fd)\n']
)
def test_who_names_one_tells_them_apart(third: str) -> None:
    subject = subject_of(text(USER, USER, third))
    alone, together = explored(subject, symmetry=False), explored(subject, symmetry=True)
    assert not together.interchangeable
    assert (together.states, together.verdict, together.marks) == (alone.states, alone.verdict, alone.marks)


WINNER = """
fd = open("/f", O_RDWR)
flock(fd, LOCK_EX)  # -> optional
ftruncate(fd, 1)
getpid()  # -> ok
pause()
"""


def test_a_line_that_one_of_them_reaches_another_one_reaches_in_an_image() -> None:
    """Only the winner comes to the line, and that may be either of them."""
    subject = subject_of(text(WINNER, WINNER, 'truncate("/f", 1)\n', more='holds = ["O7"]\n'))
    alone, together = explored(subject, symmetry=False), explored(subject, symmetry=True)
    assert together.interchangeable
    assert set(subject.wanted) <= alone.marks == together.marks


def test_programs_that_differ_in_more_than_their_place_are_not_alike() -> None:
    assert not subject_of(text(USER, USER.replace("RDWR", "RDONLY"))).interchangeable
    assert not subject_of(text(USER, USER + "getpid()\n")).interchangeable


def test_actors_that_begin_in_different_ways() -> None:
    subject = subject_of(text(USER, USER))
    with pytest.raises(AsymmetryError):
        Symmetry(Table(subject.build), [("process:100", "inode:/f")])
    with pytest.raises(AsymmetryError, match="wait to be started"):
        Symmetry(Table(subject.build), [("clock", "labels")])
