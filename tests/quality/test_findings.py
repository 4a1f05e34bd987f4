"""docs/findings.md is what a whole matrix shows."""

import itertools
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from longpin.config.hazard import is_named, shipped_hazards
from longpin.config.readings import disputed_questions
from longpin.runner.commands import cli
from longpin.runner.matrix.cell import columns_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "findings.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
COMMANDS = list(dict.fromkeys(re.findall(r"`(longpin [^`]+)`", TEXT)))
_, _, MEANT = TEXT.partition("## Where a proposal as it was meant breaks a rule\n")
OWN_FAILURES = re.findall(
    r"^\| \w+ \| [\w-]+ \| (\S+) \| [\w, ]+ \| .* \| `(longpin explore [^`]+)` \|$",
    MEANT.partition("\n## ")[0],
    re.MULTILINE,
)


def test_every_command_asks_for_what_there_is() -> None:
    assert len(COMMANDS) > 50
    assert len(OWN_FAILURES) > 20
    for command in COMMANDS:
        _, verb, *words = shlex.split(command)
        assert verb in ("explore", "matrix")
        if verb == "explore":
            assert words[0] in shipped_hazards()
        for option, value in itertools.pairwise(words):
            if option == "--policy":
                assert columns_of(value)
            if option == "--hazard":
                assert any(is_named(name, [value]) for name in shipped_hazards())


def test_every_question_has_readings_or_says_why_not() -> None:
    for question in disputed_questions():
        assert question.asks.endswith("?")
        assert bool(question.readings) == bool(question.hazards) != bool(question.why)
        for hazard in question.hazards:
            assert any(is_named(name, [hazard]) for name in shipped_hazards()), hazard
        for reading in question.readings:
            assert len(columns_of(reading.policy)) == 1


def explored(command: str, folder: Path) -> tuple[int, str]:
    words = [*shlex.split(command)[1:], "--workers", "1", "--shrink", "1", "--failures", str(folder)]
    result = CliRunner().invoke(cli.main, words)
    return result.exit_code, result.output


@pytest.mark.parametrize(("rule", "command"), OWN_FAILURES[::12])
def test_what_a_proposal_breaks_it_breaks(rule: str, command: str, tmp_path: Path) -> None:
    status, output = explored(command, tmp_path)
    assert status == 1
    assert re.search(rf"\b{re.escape(rule)}(?![\w'])", output)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("rule", "command"), OWN_FAILURES)
def test_all_that_a_proposal_breaks_it_breaks(rule: str, command: str, tmp_path: Path) -> None:
    status, output = explored(command, tmp_path)
    assert status == 1
    assert re.search(rf"\b{re.escape(rule)}(?![\w'])", output)


@pytest.mark.heavy
@pytest.mark.timeout(7200)
def test_the_document_is_what_is_found(tmp_path: Path) -> None:
    found = tmp_path / "findings.md"
    words = ["matrix", "--out", str(tmp_path / "matrix"), "--findings", str(found)]
    assert CliRunner().invoke(cli.main, words).exit_code in (0, 3)

    def body(text: str) -> str:
        return re.sub(r"[\d,]+ explorations", "N explorations", text.partition("\n## ")[2])

    assert body(found.read_text(encoding="utf-8")) == body(TEXT)
