"""A verdict as JUnit XML, for continuous integration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never
from xml.etree import ElementTree as ET

from longpin.runner.conclusions import (
    Compared,
    Conclusion,
    Explored,
    LogJudged,
    Predicted,
    Raced,
    RanAll,
    Replayed,
    Searched,
    Stressed,
    Tabulated,
    Vectors,
)
from longpin.runner.files import replace_file
from longpin.runner.report.observation import last_lines, observation_of
from longpin.runner.report.rows import printable
from longpin.runner.result import Judged, Result, ShownUse, Verdict

_WIDTH = 120
"""Columns that programs beside each other fill."""


class JunitReport:
    """Writes what a verb has come to as one test case of a JUnit file.

    Args:
        path: the file.

    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def show(self, conclusion: Conclusion) -> None:
        """Write it.

        Raises:
            OSError: it cannot be written.

        """
        name, said, seconds, properties = _case(conclusion)
        told = "\n".join((said, *last_lines(conclusion)))
        properties = {"observation": str(observation_of(conclusion)), **properties}
        write_junit(self.path, conclusion.verb, name, conclusion.verdict, told, seconds, properties)


def _case(conclusion: Conclusion) -> tuple[str, str, float, dict[str, str]]:
    """Return the name of the test case, what is said of it, how long it took, and its properties."""
    match conclusion:
        case Result():
            violations = [f"{violation.rule}: {violation.detail}" for violation in conclusion.violations]
            properties = _properties(conclusion.policy, conclusion.judged, conclusion.warnings, conclusion.uses)
            said = "\n".join(violations or [conclusion.reason])
            return f"{conclusion.scenario} {conclusion.policy}", said, 0.0, properties
        case Replayed():
            return _case(conclusion.result)
        case Explored() | Stressed():
            scenario, policy = conclusion.subject.scenario, conclusion.subject.settings.policy_name
            properties = _properties(policy, conclusion.subject.rules.judged, conclusion.warnings, conclusion.uses)
            return f"{scenario.name} {policy}", _found(conclusion), conclusion.seconds, properties
        case Compared():
            from longpin.runner.report import conform

            policy = conclusion.about.policy
            return f"programs {policy}", "\n".join(conform.lines(conclusion, _WIDTH)), conclusion.seconds, {}
        case LogJudged():
            from longpin.runner.report import log

            return f"log {conclusion.name}", "\n".join(log.lines(conclusion)), conclusion.judgement.seconds, {}
        case Raced():
            from longpin.runner.report import races

            return "free runs", "\n".join(races.lines(conclusion.series)), conclusion.seconds, {}
        case Predicted():
            from longpin.runner.report import facts

            return "questions", "\n".join(facts.lines(conclusion)), conclusion.seconds, {}
        case Tabulated():
            from longpin.runner.report import matrix

            found = conclusion.matrix
            return "hazards and proposals", "\n".join(matrix.lines(found)), found.seconds, {}
        case Vectors():
            from longpin.runner.report import survey

            return "parameter vectors", "\n".join(survey.lines(conclusion.found)), conclusion.found.seconds, {}
        case RanAll():
            from longpin.runner.report import shipped

            return "shipped scenarios", "\n".join(shipped.lines(conclusion)), conclusion.seconds, {}
        case _:
            assert_never(conclusion)


def _found(searched: Searched) -> str:
    """Return what failed, or what is known after nothing did."""
    if searched.kept is not None:
        broken = searched.kept.found.broken
        return f"{broken.rule}: {broken.what}"
    if isinstance(searched, Explored):
        from longpin.runner.report import exploration

        return "\n".join(exploration.lines(searched))
    from longpin.runner.report import campaign

    return "\n".join(campaign.lines(searched))


def _properties(policy: str, judged: Judged, warnings: Sequence[str], uses: Sequence[ShownUse]) -> dict[str, str]:
    shown = {"uses": "; ".join(map(str, uses))} if uses else {}
    return shown | {
        "policy": policy,
        "rules": ", ".join(judged.rules),
        "not_asked": ", ".join(judged.not_asked),
        "warnings": "; ".join(warnings),
    }


def write_junit(
    path: Path,
    command: str,
    name: str,
    verdict: Verdict,
    what: str,
    seconds: float,
    properties: Mapping[str, str] | None = None,
) -> None:
    """Write one test case: a violated rule is a failure, and what is not proved is an error, never a pass.

    Args:
        path: the file.
        command: the verb, which is the name of the suite.
        name: the scenario and the policy.
        verdict: how it ended.
        what: why, for people.
        seconds: how long it took.
        properties: what it was judged by, and what else is to be said of it.

    Raises:
        OSError: it cannot be written.

    """
    failed, unknown = verdict is Verdict.VIOLATED, verdict not in (Verdict.VIOLATED, Verdict.HOLDS)
    counts = {"tests": "1", "failures": str(int(failed)), "errors": str(int(unknown)), "time": f"{seconds:.3f}"}
    suite = ET.Element("testsuite", {"name": f"longpin {command}"} | counts)
    if properties:
        listed = ET.SubElement(suite, "properties")
        for key, value in properties.items():
            ET.SubElement(listed, "property", name=key, value=printable(value))
    case = ET.SubElement(suite, "testcase", classname=f"longpin.{command}", name=printable(name), time=counts["time"])
    if verdict is Verdict.HOLDS:
        ET.SubElement(case, "system-out").text = _printable_lines(what)
    else:
        first = printable(what.partition("\n")[0])
        told = ET.SubElement(case, "failure" if failed else "error", message=first, type=verdict.value)
        told.text = _printable_lines(what)
    text = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    replace_file(path, text)


def _printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.splitlines())
