"""What the five documents claim: docs/documents.md is written from ``tests/data/documents.toml``, and each line runs.

``python tests/scenario/test_claims.py --write`` writes the page anew.
"""

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from longpin.actors.policies.proposal import read_proposal
from longpin.config.loader import load_scenario
from longpin.runner.exploration import explore
from longpin.runner.run import Settings, run
from longpin.runner.subject import Subject

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "documents.md"
HEAD = """# The documents, claim by claim

What five documents of 2017 to 2019 say about pins of FS-DAX, in our words, and the run that shows it. *Shown* means
that the emulated kernel does what is claimed, or that what is claimed to go wrong does; *contradicted* that it does
not, and why. The sources are in [sources.md](sources.md); who says something that is not the author is named. A
scenario with a slash is a file of the repository. `holds` is exit status 0; a rule, as in
[semantics 3](semantics.md), is one that is violated, exit status 1. Lines of the scenarios say what each call does
under each policy.

This page is written from `tests/data/documents.toml`, and every line of it is run by `tests/scenario/test_claims.py`.
"""


@dataclass(frozen=True)
class Claim:
    """A line of the page."""

    claim: str
    verb: str
    scenario: str
    policy: str
    result: str
    says: str

    @property
    def path(self) -> str:
        return str(ROOT / self.scenario) if "/" in self.scenario else self.scenario


def documents() -> list[tuple[str, str, list[Claim]]]:
    """Return the documents: id, title and claims."""
    data = tomllib.loads((ROOT / "tests" / "data" / "documents.toml").read_text(encoding="utf-8"))
    return [(its["id"], its["title"], [Claim(**claim) for claim in its["claim"]]) for its in data["document"]]


def page() -> str:
    """Return the page."""

    def lines() -> Iterator[str]:
        yield HEAD
        for name, title, claims in documents():
            yield f"## {name}: {title}\n"
            yield "| claim | shown by | result | |\n|---|---|---|---|"
            for its in claims:
                command = f"`longpin {its.verb} {its.scenario} --policy {its.policy}`"
                yield f"| {its.claim} | {command} | {its.result} | {its.says} |"
            yield ""

    return "\n".join(lines())


def test_the_page_is_what_the_data_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


CLAIMS = [claim for _, _, claims in documents() for claim in claims]


@pytest.mark.parametrize("claim", CLAIMS, ids=[f"{claim.verb} {claim.scenario} {claim.policy}" for claim in CLAIMS])
def test_a_claim(claim: Claim) -> None:
    scenario = load_scenario(claim.path)
    kind, preset, parameters = read_proposal(claim.policy)
    settings = Settings.of(scenario, policy=kind.name, preset=preset, parameters=parameters)
    result = run(scenario, settings)
    if claim.verb == "run":
        found = sorted({violation.rule for violation in result.violations})
        assert (", ".join(found) or str(result.verdict)) == claim.result, result.violations
        return
    subject = Subject(scenario, settings)
    explored = explore(
        subject.build, always=subject.always, check=subject.check, marks=subject.marks, wanted=subject.wanted
    )
    assert (str(explored.verdict) if not explored.failures else explored.failures[0].broken.rule) == claim.result


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    sys.exit(PAGE.read_text(encoding="utf-8") != page())
