"""``@explored`` and ``@sampled``: what becomes of a function that builds a world."""

import inspect
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longpin.actors.base import Actor, handles
from longpin.actors.conversation import Call, Conversation
from longpin.messages.envelope import Address, Done, Message, message
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.suite.worlds import Following, world
from longpin.runner.usage import UsageError
from longpin.testing import ScenarioWarning, explored, sampled


@message
class Get(Message):
    """Ask for the value."""


@message
class Put(Message):
    """Replace the value; a message of longpin has this name, too."""

    value: int


class Register(Actor):
    value = 0

    @handles(Get)
    def get(self, _body: Get, _src: Address) -> Done:
        return Done(self.value)

    @handles(Put)
    def put(self, body: Put, _src: Address) -> None:
        self.value = body.value


class Adder(Actor):
    @handles(Done)
    def begin(self, _body: Done, _src: Address) -> Conversation[None]:
        seen = yield Call("register", Get())
        self.send("register", Put(seen.value + 1))


def start(made: Any, *names: str) -> None:
    made.spawn(Register, "register")
    for name in names:
        made.spawn(Adder, name)
        made.tell(name, Done())


def both_count(made: SteppedEngine) -> None:
    register = made.actors["register"]
    assert register.value == 2, f"an update was lost in {register!r}"  # type: ignore[attr-defined]


@explored(check=both_count)
def lost(made: Any) -> None:
    start(made, "a", "b")


@explored(check=both_count)
def one_by_one(made: Any) -> None:
    made.spawn(Register, "register")
    made.spawn(Adder, "a")
    made.tell("a", Done())
    made.tell("a", Done())


@sampled(check=both_count, runs=100)
def lost_in_samples(made: Any) -> None:
    start(made, "a", "b")


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    yield lambda decisions: monkeypatch.setattr(Following, "decisions", decisions.split())
    monkeypatch.undo()


@pytest.mark.parametrize("test", [lost, lost_in_samples])
def test_a_failure_lists_every_arrival_and_can_be_made_again(test: Any, follow: Any) -> None:
    """What failed has an address in its text, which is another one each time."""
    with pytest.raises(pytest.fail.Exception) as failed:
        test()
    lines = str(failed.value).splitlines()
    assert re.match(r"AssertionError: an update was lost in <.*Register object at 0x", lines[0])
    arrivals = [line for line in lines if re.match(r" +\d+  \w+ -> \w+: ", line)]
    assert arrivals[-1].endswith(": Put(value=1)")
    assert re.match(rf"pytest \S+{re.escape(Path(__file__).name)}::\S+ --longpin-replay ", lines[-1])
    decisions = lines[-1].partition(" --longpin-replay ")[2].strip("'")
    assert len(decisions.split()) == len(arrivals)
    follow(decisions)
    with pytest.raises(AssertionError, match="an update was lost"):
        test()
    follow("world a register a world b register b")
    test()


def test_what_holds_in_every_order_passes() -> None:
    @explored(check=both_count)
    def counted(made: Any) -> None:
        made.spawn(Register, "register")
        made.tell("register", Put(2))

    counted()


def test_what_is_not_complete_fails_and_samples_are_skipped() -> None:
    @explored(max_executions=1)
    def cut(made: Any) -> None:
        start(made, "a", "b")

    @explored(wanted=["never"], marks=lambda *_: frozenset())
    def lacking(made: Any) -> None:
        start(made, "a")

    @sampled(runs=7)
    def sample(made: Any) -> None:
        start(made, "a", "b")

    with pytest.raises(
        pytest.fail.Exception, match=r"undetermined: the number of executions allowed is spent; 1 sched"
    ):
        cut()
    with pytest.raises(pytest.fail.Exception, match=r"undetermined: .*, but no schedule shows never"):
        lacking()
    with pytest.raises(pytest.skip.Exception, match=r"samples prove nothing: 7 runs, \d distinct traces"):
        sample()


def test_other_parameters_are_those_of_the_test() -> None:
    @pytest.mark.heavy
    @explored()
    def built(made: Any, tmp_path: Path, number: int = 1) -> None:
        """What it is for."""
        start(made, *"ab"[:number])
        assert tmp_path == Path("x")

    assert list(inspect.signature(built).parameters) == ["tmp_path", "number"]
    assert (built.__name__, built.__doc__) == ("built", "What it is for.")
    built(tmp_path=Path("x"), number=2)

    class TestMethods:
        @explored()
        def test_it(self, made: Any) -> None:
            start(made)
            assert isinstance(self, TestMethods)

    TestMethods().test_it()
    assert list(inspect.signature(TestMethods.test_it).parameters) == ["self"]
    with pytest.raises(TypeError, match="expected a function whose first parameter is the world"):
        explored()(lambda: None)


def test_a_world_in_one_order() -> None:
    made = world()
    start(made, "a")
    assert made.run()
    assert made.actors["register"].value == 1  # type: ignore[attr-defined]
    assert world("random", 3, racy=True).racy
    with pytest.raises(UsageError):
        world("best")


def test_without_pytest_they_are_functions() -> None:
    script = (
        "import sys, unittest\nfrom longpin.testing import explored, sampled\n"
        "assert 'pytest' not in sys.modules and 'longpin.runner.exploration' not in sys.modules\n"
        "explored()(lambda world: None)()\n"
        "try: explored(wanted=['never'])(lambda world: None)()\nexcept AssertionError as failed: print(failed)\n"
        "try: sampled(runs=2)(lambda world: None)()\nexcept unittest.SkipTest as skipped: print(skipped)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    undetermined, skipped = done.stdout.splitlines()
    assert undetermined.startswith("undetermined: ")
    assert skipped.startswith("samples prove nothing: 2 runs")


def test_a_warning_is_a_category_of_its_own() -> None:
    assert issubclass(ScenarioWarning, UserWarning)
    with pytest.warns(ScenarioWarning):
        warnings.warn(ScenarioWarning("x"), stacklevel=1)
