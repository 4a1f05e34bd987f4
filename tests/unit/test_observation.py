"""The line to grep that every verb ends with."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from longpin import api
from longpin.runner.commands import cli
from longpin.runner.matrix.cell import CellVerdict, How, MatrixCell
from longpin.runner.report.observation import Observation, observation_of, observation_of_cell

HANGS = """\
name = "it hangs"
policy = "P1"
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
truncate("/f", 0)
'''
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hangs.toml").write_text(HANGS)
    return tmp_path


def longpin(*words: str) -> Result:
    return CliRunner().invoke(cli.main, words, catch_exceptions=False)


WORDS = [
    ("run pin-refused", "pin-refused P0:intended holds - 0/1 run lazy"),
    ("run pin-refused --engine threads", "pin-refused P0:intended holds - 0/1 run -"),
    ("run hangs.toml", "it_hangs P1:intended violated O3 1/1 run lazy"),
    ("run hangs.toml --timers racy --policy P1:as_posted", "it_hangs P1:as_posted violated O3 1/1 run racy"),
    ("explore lease-shared --max-executions 3", "lease-shared P5:intended undetermined - 0/3 schedules lazy"),
    ("explore pin-refused --workers 1", "pin-refused P0:intended holds - 0/4 schedules lazy"),
    ("explore hangs.toml --method states", "it_hangs P1:intended violated O3 1/1 states lazy"),
    (
        "explore uses-of-a-registration --policy P0 --workers 1",
        "uses-of-a-registration P0:intended violated U1,U2,U3 0/2 schedules lazy",
    ),
    ("stress lease-shared --runs 7 --workers 1", "lease-shared P5:intended undetermined - 0/7 samples lazy"),
    ("stress hangs.toml --runs 7 --all --workers 1", "it_hangs P1:intended violated O3 7/7 samples lazy"),
    ("stress hangs.toml --runs 2 --all --engine threads", "it_hangs P1:intended violated O3 2/2 samples -"),
]


@pytest.mark.parametrize(("line", "words"), WORDS, ids=[line for line, _ in WORDS])
def test_every_verb_ends_with_it_and_what_failed_with_the_line_that_replays_it(line: str, words: str) -> None:
    text, found = longpin(*line.split()).stdout, json.loads(longpin(*line.split(), "--json").stdout)
    last = text.splitlines()
    if found["verdict"] == "violated" and " 0/" not in words:
        assert last.pop().startswith("longpin ")
    assert last[-1] == f"Observation {words}"
    assert text.count("Observation ") == 1
    if "explore hangs" not in line:  # the second time a kept failure is tried, and nothing is searched
        assert found["observation"] == last[-1]


def test_a_failure_that_was_kept_is_one_schedule_that_was_looked_at() -> None:
    first, second = (longpin("explore", "hangs.toml", "--workers", "1").stdout.splitlines()[-2:] for _ in range(2))
    assert re.fullmatch(r"Observation it_hangs P1:intended violated O3 1/\d+ schedules lazy", first[0])
    assert second == ["Observation it_hangs P1:intended violated O3 1/1 schedules lazy", first[1]]


def test_a_replay_says_what_the_run_has_said() -> None:
    ran, replayed = longpin("run", "hangs.toml", "--trace", "t"), longpin("replay", "t")
    assert ran.stdout.splitlines()[-2:] == replayed.stdout.splitlines()[-2:]
    under = longpin("replay", "t", "--policy", "P2").stdout.splitlines()
    assert under[-1] == "Observation it_hangs P2:intended holds - 0/1 run lazy"


def test_junit_has_it_too() -> None:
    longpin("explore", "hangs.toml", "--workers", "1", "--junit", "r.xml")
    suite = ET.parse("r.xml").getroot()
    (value,) = (one.get("value") for one in suite.iter("property") if one.get("name") == "observation")
    (failure,) = suite.iter("failure")
    assert failure.text is not None
    assert failure.text.splitlines()[-2] == value
    assert failure.text.splitlines()[-1].startswith("longpin replay ")


def test_it_is_eight_words_whatever_is_in_a_name() -> None:
    told = str(Observation("a\tb c\x1b[m", "my file.py:P:x", "holds", (), 0, 3, "schedules", ""))
    assert told == r"Observation a_b_c\x1b[m my_file.py:P:x holds - 0/3 schedules -"


def test_the_document_shows_what_is_printed() -> None:
    told = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text().splitlines()
    explored = (
        api.explore("layout-lease-answered", timers="racy", shrink=0),
        api.explore("layout-lease-answered"),
        api.explore("uses-of-a-registration", "P0"),
    )
    shown = [line for line in told if line.startswith("Observation ")]
    assert shown[1:] == [str(observation_of(one)) for one in explored]


def test_cells() -> None:
    cell = MatrixCell("P5", "intended", "H8", "racy", CellVerdict.PROVED, executions=4, states=99)
    assert str(observation_of_cell(cell)) == "Observation H8 P5:intended holds - 0/99 states racy"
    inferred = MatrixCell("P5", "d1", "H8", "lazy", CellVerdict.VIOLATED, rule="O1", how=How.INFERRED, executions=4)
    assert str(observation_of_cell(inferred)) == "Observation H8 P5:d1 violated O1 0/0 schedules lazy"
    followed = MatrixCell("P5", "d1", "H8", "lazy", CellVerdict.VIOLATED, rule="O1", how=How.FOLLOWED, executions=1)
    assert str(observation_of_cell(followed)) == "Observation H8 P5:d1 violated O1 1/1 schedules lazy"
    use = MatrixCell("P5", "d1", "U1", "lazy", CellVerdict.VIOLATED, use="U1", rule="U1", executions=7)
    assert str(observation_of_cell(use)) == "Observation U1 P5:d1 violated U1 0/7 schedules lazy"


def test_the_matrix_says_it_of_each_cell_and_last_of_all() -> None:
    words = ["matrix", "--hazard", "H8-write-that-copies", "--policy", "P5:intended", "--timers", "lazy"]
    text = longpin(*words, "--workers", "1").stdout.splitlines()
    cell, total = (line for line in text if line.startswith("Observation "))
    assert re.fullmatch(r"Observation H8-write-that-copies P5:intended violated O1 1/\d+ \w+ lazy", cell)
    assert total == "Observation matrix - holds - 0/1 cells -"
    assert (text[0], text[-1]) == (cell, total)
    found = json.loads(longpin(*words, "--json").stdout)
    assert (found["observation"], found["cells"][0]["observation"]) == (total, cell)


def test_a_matrix_that_is_not_as_expected_ends_with_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MatrixCell, "expected", False)
    words = ["matrix", "--hazard", "H8-write-that-copies", "--policy", "P5:intended", "--timers", "lazy"]
    text = longpin(*words, "--workers", "1").stdout.splitlines()
    assert text[-2] == "Observation matrix - violated - 1/1 cells -"
    assert text[-1].startswith("longpin replay longpin-matrix/traces/H8-write-that-copies-O1-")
