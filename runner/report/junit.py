"""A verdict as JUnit XML, for continuous integration."""

from pathlib import Path
from xml.etree import ElementTree as ET

from longpin.runner.failures.store import write_atomically
from longpin.runner.report.rows import printable
from longpin.runner.result import Verdict


def write_junit(path: Path, command: str, name: str, verdict: Verdict, what: str, seconds: float) -> None:
    """Write one test case: a violated rule is a failure, and what is not proved is an error, never a pass.

    Args:
        path: the file.
        command: the verb, which is the name of the suite.
        name: the scenario and the policy.
        verdict: how it ended.
        what: why, for people.
        seconds: how long it took.

    Raises:
        OSError: it cannot be written.

    """
    failed, unknown = verdict is Verdict.VIOLATED, verdict not in (Verdict.VIOLATED, Verdict.HOLDS)
    counts = {"tests": "1", "failures": str(int(failed)), "errors": str(int(unknown)), "time": f"{seconds:.3f}"}
    suite = ET.Element("testsuite", {"name": f"longpin {command}"} | counts)
    case = ET.SubElement(suite, "testcase", classname=f"longpin.{command}", name=printable(name), time=counts["time"])
    if verdict is not Verdict.HOLDS:
        first = printable(what.partition("\n")[0])
        told = ET.SubElement(case, "failure" if failed else "error", message=first, type=verdict.value)
        told.text = "\n".join(printable(line) for line in what.splitlines())
    text = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    if path.exists() and not path.is_file():
        path.write_bytes(text)  # a pipe or a device: it stays what it is
    else:
        write_atomically(path.resolve(), lambda temporary: temporary.write_bytes(text))
