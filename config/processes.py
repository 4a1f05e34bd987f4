"""The processes of a scenario: their programs, and what one program may refer to in another."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, NamedTuple

from longpin.actors.constants import PROGRAM_CONSTANTS, SIGNALS, signal_name, signal_number
from longpin.actors.process.pending import UNBLOCKABLE
from longpin.actors.process.program import Program
from longpin.config.build import name, size, uid
from longpin.config.dialect import Dialect, write_out
from longpin.config.expressions import MOST
from longpin.config.notation import CALL_VARIABLES, Facts, Mention, parse_program
from longpin.config.positions import Path
from longpin.config.problems import Problem, shown
from longpin.config.program_text import ProgramText
from longpin.config.report import ProblemList
from longpin.config.schema import CAPABILITIES, ProcessSpec
from longpin.config.structure import ProcessEntry, ScenarioTable

Start = Literal["now", "fork", "thread"]
_DEFAULT = ProcessSpec("", Program())
_OF_PROCESSES = ("on_signal", "uid", "capabilities", "memlock", "sigpending")
"""What threads have in common: it is said of their process."""
_A_VALUE = "a variable assigned before, or a constant"


@dataclass(slots=True)
class _Draft:
    """What has been read of a process."""

    path: Path
    name: str
    start: Start
    main: Facts = field(default_factory=Facts)
    handlers: dict[str, Facts] = field(default_factory=dict)
    """By signal name."""

    def programs(self) -> list[tuple[Path, Facts]]:
        """Return every program of the process with its place."""
        handlers = [((*self.path, "on_signal", signal), facts) for signal, facts in self.handlers.items()]
        return [((*self.path, "program"), self.main), *handlers]


def build_processes(
    report: ProblemList, table: ScenarioTable, page_size: int, dialect: Dialect | None = None
) -> tuple[ProcessSpec, ...]:
    """Return the processes, every program read and every name in it accounted for; roles are those of ``dialect``."""
    taken: set[str] = set()
    drafts: list[_Draft] = []
    specs: list[ProcessSpec] = []
    for index, given in enumerate(table.process):
        path = ("process", index)
        draft = _Draft(path, name(report, path, given.name, taken), _start(report, path, given))
        drafts.append(draft)
        specs.append(_spec(report, draft, given, _Reading(page_size, dialect)))
    if all(draft.start != "now" for draft in drafts):
        report.add((), 'at least one [[process]] with start = "now"', "none")
    _check_references(report, drafts)
    return tuple(specs)


def _spec(report: ProblemList, draft: _Draft, given: ProcessEntry, reading: "_Reading") -> ProcessSpec:
    path = draft.path
    page_size = reading.page_size
    if given.program is None:
        report.add((*path, "program"), "a program", "none")
    program = _program(report, (*path, "program"), given.program or "", reading, draft.main)
    handlers: list[tuple[int, Program]] = []
    for signal, source in given.on_signal.items():
        place = (*path, "on_signal", signal)
        facts = draft.handlers[signal] = Facts()
        handler = _program(report, place, source, reading, facts)
        signo = signal_number(signal)
        if signo is None:
            found = shown(signal) + report.suggest(signal, SIGNALS)
            report.add(place, f"one of the signals {', '.join(SIGNALS)}, or SIGRTMIN + 1 and so on", found)
        elif signo in UNBLOCKABLE:
            report.add(place, "a signal that can be handled", signal)
        elif signo in dict(handlers):
            report.add(place, "one handler for each signal", f"another one for {signal_name(signo)}")
        else:
            handlers.append((signo, handler))
    return ProcessSpec(
        name=draft.name,
        program=program,
        on_signal=tuple(sorted(handlers, key=lambda pair: pair[0])),
        uid=uid(report, (*path, "uid"), given.uid),
        capabilities=_capabilities(report, path, given),
        memlock=size(report, (*path, "memlock"), given.memlock, _DEFAULT.memlock, page_size, 0, MOST),
        sigpending=size(report, (*path, "sigpending"), given.sigpending, _DEFAULT.sigpending, page_size, 0, MOST),
        start=draft.start,
    )


def _start(report: ProblemList, path: Path, given: ProcessEntry) -> Start:
    match given.start:
        case "fork":
            return "fork"
        case "thread":
            for key in _OF_PROCESSES:
                if getattr(given, key) not in (None, {}):
                    report.add(
                        (*path, key), 'no such key with start = "thread": a thread has what its process has', key
                    )
            return "thread"
        case None | "now":
            return "now"
    report.add((*path, "start"), '"now", "fork" or "thread"', shown(given.start))
    return "now"


def _capabilities(report: ProblemList, path: Path, given: ProcessEntry) -> tuple[str, ...] | None:
    for index, capability in enumerate(given.capabilities or ()):
        if capability not in CAPABILITIES:
            found = shown(capability) + report.suggest(capability, CAPABILITIES)
            report.add((*path, "capabilities", index), f"one of {', '.join(CAPABILITIES)}", found)
    return None if given.capabilities is None else tuple(sorted(set(given.capabilities)))


class _Reading(NamedTuple):
    """What the meaning of a program depends on outside of it."""

    page_size: int
    dialect: Dialect | None


def _program(report: ProblemList, path: Path, source: str, reading: _Reading, facts: Facts) -> Program:
    written = write_out(source, report.positions.line_starts(path), reading.dialect)
    where = report.where(path)
    for row, column, expected, found in written.misused:
        line, first = ProgramText(source, report.positions.line_starts(path)).place(row, column)
        report.add_all([Problem(report.filename, line, first, where, expected, found)])
    program, problems = parse_program(
        written.source,
        filename=report.filename,
        where=where,
        starts=written.starts,
        origins=written.origins,
        page_size=reading.page_size,
        facts=facts,
    )
    report.add_all(problems)
    return program


def _check_references(report: ProblemList, drafts: list[_Draft]) -> None:
    """Check what programs name outside of themselves: processes, labels, variables and handlers."""
    names = {draft.name: draft for draft in drafts}
    labels = set[str]().union(*(facts.labels for draft in drafts for _, facts in draft.programs()))
    forkers: defaultdict[str, list[_Draft]] = defaultdict(list)
    for draft in drafts:
        made = {mention.text: None for _, facts in draft.programs() for mention in (*facts.forks, *facts.threads)}
        for child in made:
            forkers[child].append(draft)
    for draft in drafts:
        inherited = _ancestors(draft, forkers)
        variables = set[str]().union(*(facts.assigned for parent in inherited for _, facts in parent.programs()))
        signals = {signal_number(signal) for parent in (draft, *inherited) for signal in parent.handlers}
        for path, facts in draft.programs():
            check = _Check(report, path)
            usable = {*variables, *CALL_VARIABLES, *(() if facts is draft.main else draft.main.assigned)}
            for mention in facts.foreign:
                if mention.text not in usable:
                    known = chain(usable, facts.assigned, PROGRAM_CONSTANTS, ["PAGE"])
                    wanted = mention.takes if mention.text.isupper() and mention.takes else _A_VALUE
                    check.unknown(mention, wanted, known)
            for start, mention in [*(("fork", m) for m in facts.forks), *(("thread", m) for m in facts.threads)]:
                if mention.text not in names or names[mention.text].start != start:
                    children = [name for name, other in names.items() if other.start == start]
                    check.unknown(mention, f'a process with start = "{start}"', children)
                elif mention.text in {draft.name, *(parent.name for parent in inherited)}:
                    check.wrong(mention, "a process that does not fork this one", f"{shown(mention.text)}, without end")
            for mention in facts.peers:
                if mention.text not in names or names[mention.text].start == "thread":
                    processes = [name for name, other in names.items() if other.start != "thread"]
                    check.unknown(mention, "the name of a process", processes)
            for mention in facts.waits:
                if mention.text not in labels:
                    check.unknown(mention, "a label that some program sets", labels)
            for signal, mention in facts.handled:
                if signal not in signals:
                    check.wrong(mention, f"a handler, on_signal.{signal_name(signal)}", "none")
    for draft in drafts:
        if draft.start != "now" and draft.name not in forkers:
            call, wanted = ("fork", "a process that some program forks")
            if draft.start == "thread":
                call, wanted = ("clone", "a thread that some program makes")
            report.add((*draft.path, "start"), wanted, f"no {call}({shown(draft.name)})")


def _ancestors(child: _Draft, forkers: Mapping[str, Sequence[_Draft]]) -> list[_Draft]:
    """Return the processes that fork a process, and those that fork them: it starts with a copy of what they have."""
    found: dict[str, _Draft] = {}
    todo = [child]
    while todo:
        for parent in forkers.get(todo.pop().name, ()):
            if parent is not child and parent.name not in found:
                found[parent.name] = parent
                todo.append(parent)
    return list(found.values())


class _Check:
    """Reports what is wrong with one program."""

    def __init__(self, report: ProblemList, path: Path) -> None:
        self._report, self._where = report, report.where(path)

    def wrong(self, mention: Mention, expected: str, found: str) -> None:
        problem = Problem(
            self._report.filename, mention.line, mention.column, self._where, expected, found + mention.origin
        )
        self._report.add_all([problem])

    def unknown(self, mention: Mention, expected: str, known: Iterable[str]) -> None:
        self.wrong(mention, expected, shown(mention.text) + self._report.suggest(mention.text, known))
