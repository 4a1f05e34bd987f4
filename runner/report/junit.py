"""A verdict as JUnit XML, for continuous integration."""

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from longpin.runner.files import replace_file
from longpin.runner.report.rows import printable
from longpin.runner.result import Verdict


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
