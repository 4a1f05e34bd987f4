"""A log as the search takes it: a world whose threads have scripts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from longpin.actors.constants import SIG_HANDLER
from longpin.actors.policies.proposal import Proposal
from longpin.actors.process.process import Process
from longpin.actors.process.program import Const, Op, Program
from longpin.config.schema import CAPABILITIES, Scenario
from longpin.runner.engines.world import Blueprint, WorldEngine
from longpin.runner.judge_log.order import most_slack, with_order
from longpin.runner.judge_log.process import JudgedProcess
from longpin.runner.judge_log.progress import PROGRESS, Progress
from longpin.runner.judge_log.script import Begins, JudgedImage, Looks, Step
from longpin.runner.judge_log.translated import Translated

ALL_SIGNALS = range(1, 65)


class JudgedBlueprint(Blueprint):
    """Worlds whose processes do what a log says."""

    process: ClassVar[type[Process]] = JudgedProcess

    def __init__(
        self, scenario: Scenario, proposal: Proposal, images: Mapping[str, JudgedImage], roots: list[str]
    ) -> None:
        super().__init__(scenario, proposal)
        self.images = dict(images)
        self.started = [(images[name].number, images[name]) for name in roots]
        self.tids = tuple(sorted({image.number for image in images.values()}))

    def build(self, engine: WorldEngine) -> None:
        """Create the actors of a world and send the messages that start its processes."""
        engine.spawn(Progress, PROGRESS, self.tids)
        super().build(engine)


@dataclass(slots=True)
class LogSubject:
    """A log, and the machine it is thought to come from."""

    translated: Translated
    scenario: Scenario
    proposal: Proposal
    uid: int = 0
    slack: int | None = None
    """For how many lines a thread may have to wait for its own; None: for as many as it can be."""
    images: dict[str, JudgedImage] = field(init=False)
    lines: list[int] = field(init=False)
    """The lines that say something."""

    def __post_init__(self) -> None:
        self.images = _images(self.translated, self.uid, self._slack)
        self.lines = sorted({step.line for image in self.images.values() for step in image.script if step.line})

    @property
    def _slack(self) -> int:
        return most_slack(len(self.translated.world.threads)) if self.slack is None else self.slack

    def blueprint(self, line: int, *, look: tuple[int, int] | None = None) -> JudgedBlueprint:
        """Return a world for the log up to a line, that line included.

        Args:
            line: where the log is cut off.
            look: the number of a thread and of its step that is to be looked at instead of told.

        """
        images = {}
        for name, image in self.images.items():
            script = tuple(step for step in image.script if step.line <= line)
            if look is not None and look[0] == image.number and image.first <= look[1]:
                number = look[1] - image.first
                if number < len(image.script):
                    script = (*image.script[:number], Looks(line))
            images[name] = replace(image, script=script)
        return JudgedBlueprint(self.scenario, self.proposal, images, self.translated.roots)

    def steps_on(self, line: int) -> list[tuple[int, int, Step]]:
        """Return the steps that a line tells of: each with its thread and its number there."""
        return [
            (image.number, image.first + n, step)
            for image in self.images.values()
            for n, step in enumerate(image.script)
            if step.line == line
        ]


def _images(translated: Translated, uid: int, slack: int) -> dict[str, JudgedImage]:
    scripts: dict[int, list[Step]] = {}
    first: dict[str, int] = {}
    for name, image in translated.images.items():
        own = scripts.setdefault(image.tid, [])
        first[name] = len(own)
        own += image.steps
    ordered = with_order(scripts, _parents(scripts), slack)
    found = {}
    for name, image in translated.images.items():
        script = tuple(ordered[image.tid][first[name] : first[name] + len(image.steps)])
        not_yet = tuple(_installed(signo) for signo in ALL_SIGNALS if signo not in image.begun_with)
        found[name] = JudgedImage(
            name,
            Program(not_yet),
            tuple((signo, Program()) for signo in ALL_SIGNALS),
            uid,
            frozenset(CAPABILITIES if uid == 0 else ()),
            number=image.tid,
            group=image.tid if image.tid in translated.world.leaders else 0,
            script=script,
            handler_flags=tuple(sorted(image.handlers.items())),
            first=first[name],
        )
    return found


def _parents(scripts: Mapping[int, list[Step]]) -> dict[int, tuple[int, int]]:
    """Return who makes each thread: the thread, and its step."""
    return {
        int(str(step.op.args[0].value)): (tid, number)  # type: ignore[union-attr]
        for tid, steps in scripts.items()
        for number, step in enumerate(steps)
        if isinstance(step, Begins) and step.op.call in ("fork", "clone")
    }


def _installed(signo: int) -> Op:
    """Return a call in the text of a program that keeps a handler from being there from the start."""
    return Op(0, "", "sigaction", (Const(signo), Const(SIG_HANDLER)), None)
