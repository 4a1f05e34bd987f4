"""One sampled run: a strategy and a seed choose a schedule, and what must hold is looked at."""

from collections.abc import Sequence
from typing import NamedTuple

from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.explorer import Build, Check
from longpin.runner.exploration.replay import Always, Collector, Decisions, Looker, Marks
from longpin.runner.exploration.result import NO_MARKS, BrokenRule, Inconclusive, PropertyViolation, same
from longpin.runner.oracles import ORACLES
from longpin.runner.oracles.base import Oracle, Profile
from longpin.runner.sampling.memory import StepMemory, UnrememberableError
from longpin.runner.sampling.trace import NO_TRACE, trace_number

COMPARE_EVERY = 512
"""Every so many remembered runs one is also made on the stepped engine, and compared; of the first ones more."""

MOST_JUDGED = 100_000
"""Worlds at rest whose judgement is kept; then all are forgotten."""


class SampleJudgement(NamedTuple):
    """What is to be said of a run."""

    broken: BrokenRule | None = None
    inconclusive: str = ""
    marks: frozenset[str] = NO_MARKS
    """What the check said is to be seen in the world at rest."""


class SampledRun(NamedTuple):
    """What came of one run."""

    judgement: SampleJudgement
    trace: int
    """The number of its trace; NO_TRACE if it did not come to rest."""
    arrived: list[Envelope]
    marks: frozenset[str]
    """What is to be seen in it, at its end too."""

    def same_as(self, other: "SampledRun") -> bool:
        """Return whether the same arrived, broke and was to be seen."""
        return (
            self.trace == other.trace
            and self.arrived == other.arrived
            and self.marks == other.marks
            and self.judgement.inconclusive == other.judgement.inconclusive
            and same(self.judgement.broken, other.judgement.broken)
        )

    @property
    def decisions(self) -> tuple[Address, ...]:
        """Return whose oldest message arrived, arrival by arrival."""
        return tuple([envelope.src for envelope in self.arrived])


class Plan(NamedTuple):
    """What all runs of a campaign have in common; :func:`longpin.runner.sampling.stress` says what each is."""

    build: Build
    strategies: tuple[str, ...]
    profile: Profile
    check: Check | None
    always: Always | None
    racy: bool
    most: int
    remember: bool
    marks: Marks | None = None
    most_bytes: int | None = None
    """What a process may have resident and still remember; None: anything."""


class Sampler:
    """Makes runs of one world."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.remember = plan.remember
        """Whether handlers are looked up: until that turns out to be impossible, or useless."""
        self.memory: StepMemory | None = None
        """What handlers did, since it was last begun."""
        self.remembered = 0
        """Runs made from memory."""
        self._judged: dict[tuple[int, ...], SampleJudgement] = {}
        """By the numbers that the states of the actors have in the memory."""

    def strategy(self, seed: int) -> str:
        """Return who chooses in the run of this seed."""
        return self.plan.strategies[seed % len(self.plan.strategies)]

    def run(self, seed: int) -> SampledRun:
        """Make the run of this seed.

        Raises:
            InternalError: the actors do not do the same thing twice, share state, or send to somebody who does not
                exist.

        """
        if not self.remember:
            return self.on_the_engine(self.oracle(seed), seed)
        try:
            run = self._from_memory(seed)
        except UnrememberableError:
            self._forget()
            return self.on_the_engine(self.oracle(seed), seed)
        self.remembered += 1
        compare = self.remembered & (self.remembered - 1) == 0 or self.remembered % COMPARE_EVERY == 0
        if compare and not run.same_as(self.on_the_engine(self.oracle(seed), seed)):
            raise InternalError(
                f"the run of {self.strategy(seed)} with seed {seed} differs when handlers run and when what they did "
                "before is remembered: actors share state, or use what is not in their messages"
            )
        return run

    def oracle(self, seed: int) -> Oracle:
        """Return who chooses in the run of this seed, ready to begin."""
        return ORACLES[self.strategy(seed)](seed, self.plan.profile)

    def on_the_engine(self, oracle: Oracle, seed: int) -> SampledRun:
        """Run on the stepped engine."""
        engine = SteppedEngine(oracle, racy=self.plan.racy, seed=seed)
        log: dict[int, Envelope] = {}
        engine.record = log.__setitem__
        if self.plan.always is not None:
            engine.observers.append(Looker(engine, self.plan.always))
        seen: set[str] = set()
        if self.plan.marks is not None:
            collector = Collector(engine, self.plan.marks)
            engine.observers.append(collector)
            seen = collector.found
        self.plan.build(engine)
        broken, quiet = None, False
        try:
            quiet = engine.run(self.plan.most)
        except (PropertyViolation, AssertionError) as violation:
            broken = BrokenRule.by(violation)
        except InternalError as error:
            if error.__cause__ is None:
                raise
            broken = BrokenRule.by(error.__cause__)
        arrived = list(log.values())
        if not quiet:
            return SampledRun(SampleJudgement(broken), NO_TRACE, arrived, frozenset(seen))
        judgement = self._ask(engine)
        return SampledRun(judgement, trace_number(arrived), arrived, judgement.marks | seen)

    def confirm(self, broken: BrokenRule, decisions: Sequence[Address], seed: int) -> None:
        """Carry out the decisions of a failing run on the stepped engine.

        Raises:
            InternalError: what failed does not fail there.

        """
        if not same(self.on_the_engine(Decisions(decisions, seed), seed).judgement.broken, broken):
            raise InternalError(f"not repeatable: {broken.what}")

    def _from_memory(self, seed: int) -> SampledRun:
        memory = self.memory
        if memory is None or memory.full:
            self._judged.clear()
            plan = self.plan
            memory = self.memory = StepMemory(
                plan.build, plan.always, plan.marks, racy=plan.racy, most_bytes=plan.most_bytes
            )
        oracle = self.oracle(seed)
        oracle.new_execution()
        arrived: list[Envelope] = []
        ended = memory.run(oracle, self.plan.most, arrived)
        if not ended.quiet:
            broken = None if ended.failure is None else BrokenRule.by(ended.failure)
            return SampledRun(SampleJudgement(broken), NO_TRACE, arrived, ended.marks)
        judgement = self._judge(ended.states, arrived, seed)
        return SampledRun(judgement, trace_number(arrived), arrived, judgement.marks | ended.marks)

    def _judge(self, states: tuple[int, ...], arrived: list[Envelope], seed: int) -> SampleJudgement:
        """Return what the check says of a world at rest; it is asked once for each combination of actors' states."""
        if self.plan.check is None:
            return SampleJudgement()
        if (known := self._judged.get(states)) is None:
            if len(self._judged) >= MOST_JUDGED:
                self._judged.clear()
            decisions = [envelope.src for envelope in arrived]
            engine = SteppedEngine(Decisions(decisions, seed), racy=self.plan.racy, seed=seed)
            self.plan.build(engine)
            engine.run()
            known = self._judged[states] = self._ask(engine)
        return known

    def _ask(self, engine: SteppedEngine) -> SampleJudgement:
        if self.plan.check is None:
            return SampleJudgement()
        try:
            found = self.plan.check(engine)
        except Inconclusive as why:
            return SampleJudgement(inconclusive=str(why), marks=why.marks)
        except (PropertyViolation, AssertionError) as violation:
            return SampleJudgement(BrokenRule.by(violation))
        return SampleJudgement(marks=found) if isinstance(found, frozenset) else SampleJudgement()

    def _forget(self) -> None:
        """Let the stepped engine do everything from now on."""
        self.remember = False
        self.memory = None
        self._judged.clear()
