"""Questions: what a policy is asked while a world is explored decides which other policies are the same system."""

import pickle
from dataclasses import dataclass

import pytest

from longpin.actors.policies.decisions import Allow, OnDeadline, RemoveLease, ZapMappings
from longpin.actors.policies.layout_lease_v1 import LayoutLeaseV1
from longpin.actors.policies.proposal import Proposal
from longpin.actors.policies.views import LayoutView, LeaseView
from longpin.config.loader import load_scenario
from longpin.messages.fs.mapping import PinRequest
from longpin.runner.exploration import Exploration, explore
from longpin.runner.exploration.questions import Log, Question, first_difference
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

SCENARIO = "layout-lease-ignored"


def subject(policy: str = "P5", preset: str = "intended", log: Log | None = None, **parameters: object) -> Subject:
    scenario = load_scenario(SCENARIO)
    settings = Settings.of(scenario, policy=policy, preset=preset)
    settings.parameters.update(parameters)
    return Subject(scenario, settings, log)


def explored(its: Subject) -> Exploration:
    return explore(its.build, method="states", check=its.check, always=its.always, workers=None)


def proposal_of(its: Subject) -> Proposal:
    return its.settings.make_proposal()


@pytest.fixture(scope="module")
def asked() -> Log:
    log = Log()
    its = subject(log=log)
    plain = explored(subject())
    noted = explored(its)
    assert noted.complete
    assert (noted.states, noted.executions, noted.marks) == (plain.states, plain.executions, plain.marks)
    return log


def test_a_policy_answers_itself_alike(asked: Log) -> None:
    assert len({question.hook for question in asked.answers}) > 5
    assert first_difference(asked.answers, proposal_of(subject())) is None


def test_a_parameter_that_nothing_asks_for_makes_no_difference(asked: Log) -> None:
    """Whether an active lease is needed is not asked, as nobody pins while one is being broken."""
    other = subject(lease_check="active_only")
    assert first_difference(asked.answers, proposal_of(other)) is None
    assert explored(other).states == explored(subject()).states


@pytest.mark.parametrize("policy", ["P0", "P1", "P2", "P6", "P8", "P10"])
def test_another_policy_differs_in_a_question_that_was_asked(asked: Log, policy: str) -> None:
    question = first_difference(asked.answers, proposal_of(subject(policy)))
    assert question is not None
    assert question.ask(proposal_of(subject(policy))) != asked.answers[question]


def test_the_questions_of_one_schedule_are_fewer(asked: Log) -> None:
    log = Log()
    its = subject(log=log)
    log.begin()
    explore(its.build, method="naive", always=its.always, max_executions=1)
    lately = log.lately()
    assert lately
    assert lately.keys() <= asked.answers.keys()
    assert all(asked.answers[question] == answer for question, answer in lately.items())


def test_what_a_hook_asks_of_itself_is_no_question() -> None:
    log = Log()
    outer, inner = Question("pin_gate", ()), Question("state", ())
    log.ask(outer, lambda: log.note(inner, 1))
    assert list(log.answers) == [outer]


def test_questions_are_noted_in_one_process() -> None:
    with pytest.raises(ValueError, match="one process"):
        pickle.dumps(subject(log=Log()))


def test_a_field_of_the_kernel_that_is_read_is_a_question(asked: Log) -> None:
    """A fault looks whether a page table entry has a reference; nobody shares blocks."""
    read = {question.facts[0] for question in asked.answers if question.hook == "kernel"}
    assert "idle_needs_unmapped" in read
    assert "clone_waits" not in read
    question = first_difference(asked.answers, proposal_of(subject(idle_needs_unmapped=True)))
    assert question == Question("kernel", ("idle_needs_unmapped",))
    assert first_difference(asked.answers, proposal_of(subject(clone_waits=False))) is None


@dataclass(frozen=True, slots=True)
class AtTheDeadline(LayoutLeaseV1):
    zaps: bool = False

    def on_deadline(self, lease: LeaseView, view: LayoutView) -> OnDeadline:
        return OnDeadline((ZapMappings() if self.zaps else RemoveLease(),))


def test_two_kinds_of_decision_are_two_answers() -> None:
    """Both are tuples of nothing, and so equal: one takes the lease away, and the other leaves it."""
    drops, zaps = (Proposal.of(AtTheDeadline(zaps=zaps)) for zaps in (False, True))
    question = Question("on_deadline", (None, None, ()))
    answers = {question: question.ask(drops)}
    assert answers[question] == question.ask(zaps)
    assert first_difference(answers, drops) is None
    assert first_difference(answers, zaps) == question


@dataclass(frozen=True, slots=True)
class LooksItUp(LayoutLeaseV1):
    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow:
        assert all(self.errnos[call] and call in self.errnos for call in self.errnos)
        assert len([*self.calls, *self.proc_files]) == len(self.calls) + len(self.proc_files)
        return Allow()


def test_a_policy_whose_questions_are_noted_can_look_at_all_it_adds() -> None:
    log = Log()
    noted = log.noted(Proposal.of(LooksItUp()))
    question = Question("pin_gate", (None, None, ()))
    assert question.ask(noted) == Allow()
    assert list(log.answers) == [question]
    assert dict(noted.policy.errnos) == dict(LooksItUp.errnos)
    assert first_difference(log.answers, Proposal.of(LooksItUp())) is None
