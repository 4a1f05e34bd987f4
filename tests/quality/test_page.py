"""The page of a matrix: as text, and as a browser shows it."""

import dataclasses
import json
import re
import shlex
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, WHY_NOT, Browser, browser
from small_matrix import COLUMNS, HOSTILE, small_matrix, wanted

from longpin.actors.policies import OWN
from longpin.runner.events import ProcessName
from longpin.runner.matrix.cell import Column, columns_of
from longpin.runner.matrix.matrix import Matrix, explore_matrix
from longpin.runner.report.page import diagram, embedded, write_page
from longpin.runner.report.page.kinds import RuleKind, kind_of
from longpin.runner.report.rows import printable
from longpin.runner.result import Result, Verdict

BROKEN = "H8-shared, P1:intended, lazy timers: violated, O1', safety, not as expected, explained, explored"
VOID = {"meta", "link", "br", "input"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("with a space")


@pytest.fixture(scope="module")
def matrix(folder: Path) -> Matrix:
    return small_matrix(folder)


@pytest.fixture(scope="module")
def page(matrix: Matrix, folder: Path) -> Path:
    return write_page(matrix, folder)


class Parsed(HTMLParser):
    """The elements of a page, each with its attributes and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[int] = []
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for place in self.open:
            self.elements[place][2].append(data)

    def texts(self, tag: str, **wanted: str) -> list[str]:
        return [
            "".join(text)
            for name, attributes, text in self.elements
            if name == tag and all(attributes.get(key.rstrip("_")) == value for key, value in wanted.items())
        ]


@pytest.fixture(scope="module")
def parsed(page: Path) -> Parsed:
    return Parsed(page.read_text(encoding="utf-8"))


def data_of(page: Path) -> dict[str, Any]:
    (text,) = Parsed(page.read_text(encoding="utf-8")).texts("script", id="data")
    found: dict[str, Any] = json.loads(text)
    return found


def cell_of(page: Path, hazard: str, column: str) -> dict[str, str]:
    """Return what a cell says when it is opened."""
    data = data_of(page)
    names = ("verdict", "column", "timers", "symbol", "head", "what", "bounds", "how", "expected", "because", "note")
    for number, _, *texts in data["cells"]:
        said = dict(zip((*names, "command"), (data["strings"][text] for text in texts), strict=True))
        if data["hazards"][number]["file"] == hazard and said["column"] == column:
            return said
    raise AssertionError((hazard, column))


def test_every_cell_has_its_place(parsed: Parsed) -> None:
    columns = [f"{column.policy}:{column.preset}" for column in COLUMNS]
    assert parsed.texts("th", scope="colgroup") == ["P0", "P1", "P10"]
    assert [attributes["colspan"] for _, attributes, _ in parsed.elements if attributes.get("scope") == "colgroup"] == [
        *("1", "2", "1")
    ]
    assert parsed.texts("span", class_="preset") == ["intended", "as_posted", "intended", "intended"]
    links = [attributes for name, attributes, _ in parsed.elements if name == "a"]
    labels = [str(link["aria-label"]) for link in links]
    assert [label.partition(", lazy timers: ")[0] for label in labels] == [
        f"{hazard}, {column}" for hazard in ("H8-shared", "U1-device-writes") for column in columns
    ]
    assert [(link["id"], link["href"]) for link in links] == [(f"m{n}", f"#c{n}") for n in range(8)]
    assert labels[2] == BROKEN
    assert parsed.texts("th", scope="row") == ["lazy", "lazy"]


def test_a_verdict_is_told_by_signs_and_words(parsed: Parsed) -> None:
    cells = ["".join(text) for name, attributes, text in parsed.elements if name == "a" and "aria-label" in attributes]
    assert cells == ["✓", "✓", "✗*▲O1'", "✓=", "✗★U1", "✓U1", "✓U1=", "?"]
    tags = parsed.texts("span", class_="tag")
    assert {"▲ safety O1'", "∞ liveness O3", "§ administration O4", "★ use U1", "◆ other O7"} <= set(tags)


@pytest.mark.parametrize(
    ("rules", "kind"),
    [
        (("O1", "O1'", "O2"), RuleKind.SAFETY),
        (("O3",), RuleKind.LIVENESS),
        (("O4", "O8"), RuleKind.ADMINISTRATION),
        (("O5", "O6", "O7"), RuleKind.OTHER),
        (("U1", "U2", "U3"), RuleKind.USE),
    ],
)
def test_kinds_of_rules(rules: tuple[str, ...], kind: RuleKind) -> None:
    assert {kind_of(rule) for rule in rules} == {kind}


def test_a_hazard_says_what_should_happen_and_in_whose_words(parsed: Parsed) -> None:
    assert "Should: Nobody writes there." in parsed.texts("p", class_="should")
    assert f"source {printable(HOSTILE)}" in parsed.texts("cite")
    assert f"words {printable(HOSTILE)}source {printable(HOSTILE)}" in parsed.texts("blockquote")


def test_no_text_is_taken_for_markup(page: Path, parsed: Parsed) -> None:
    names = [name for name, _, _ in parsed.elements]
    assert (names.count("script"), names.count("style"), names.count("img")) == (2, 1, 0)
    assert not [key for _, attributes, _ in parsed.elements for key in attributes if key.startswith("on")]
    assert cell_of(page, "H8-shared", "P1:intended")["because"] == f"because {printable(HOSTILE)}"
    assert "\u202e" not in page.read_text(encoding="utf-8")
    assert "<" not in parsed.texts("script", id="data")[0]


def test_the_page_needs_nothing_else(page: Path, parsed: Parsed) -> None:
    for name, attributes, _ in parsed.elements:
        assert "src" not in attributes
        assert str(attributes.get("href", "#")).startswith("#") or (name, attributes["href"]) == ("link", "data:,")
    (style,), (script,) = parsed.texts("style"), parsed.texts("script")[1:]
    assert "@import" not in style
    assert "url(" not in style
    (policy,) = (a["content"] for _, a, _ in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    for source in (style, script):
        assert f"'sha256-{b64encode(sha256(source.encode()).digest()).decode()}'" in policy


def test_the_same_cells_are_the_same_bytes(page: Path, matrix: Matrix, folder: Path) -> None:
    before = page.read_bytes()
    again = dataclasses.replace(matrix, seconds=matrix.seconds + 1, resumed=2, page="elsewhere")
    assert write_page(again, folder).read_bytes() == before
    resumed = explore_matrix(wanted(), folder)
    assert resumed.resumed == 2
    resumed.cells = list(matrix.cells)
    assert write_page(resumed, folder).read_bytes() == before


def test_a_proof_says_its_bounds(page: Path) -> None:
    said = cell_of(page, "H8-shared", "P0:intended")
    assert said["head"] == "Proved: no schedule breaks a rule"
    assert re.match(r"all of \d+ states \(\d+ of them at rest\), so every order", said["bounds"])
    assert "timers lazy: time moves only when nothing else can happen" in said["bounds"]
    said = cell_of(page, "H8-shared", "P10:intended")
    assert said["how"].startswith("Inferred from P0:intended: everything that was asked there is answered alike here")


def test_a_violation_says_what_and_how_to_see_it(page: Path, folder: Path) -> None:
    said = cell_of(page, "H8-shared", "P1:intended")
    assert said["head"].startswith("Violated: a schedule breaks ▲ O1' (safety), no snapshot corruption")
    assert said["what"].startswith("the device writes block 0 of pmem:pmem0")
    assert said["expected"].startswith("Not as expected: the documents lead one to expect that O3 is violated")
    *words, trace = shlex.split(said["command"])
    assert words == ["longpin", "replay"]
    assert Path(trace).parent == folder / "traces"
    assert Path(trace).is_file()


def test_a_use_is_told_as_one(page: Path) -> None:
    head = cell_of(page, "U1-device-writes", "P0:intended")["head"]
    assert head == "Violated: no schedule shows ★ U1 (use), a registration and its I/O can succeed"
    assert cell_of(page, "U1-device-writes", "P1:intended")["head"].startswith("Proved: a schedule shows ★ U1 (use)")


def test_undetermined_says_why(page: Path) -> None:
    said = cell_of(page, "U1-device-writes", "P10:intended")
    assert said["head"].startswith("Undetermined")
    assert said["what"] == f"60 s are over {printable(HOSTILE)}"
    assert "that was not all; an exploration may take 60 s" in said["bounds"]


def rows_of(data: dict[str, Any], number: int) -> list[tuple[int, str, str, str, list[list[str]]]]:
    """Return the rows of a diagram: arrival, text, from whom, to whom, and what changed."""
    its, strings = data["diagrams"][number], data["strings"]
    lanes = [strings[lane] for lane in its["lanes"]]
    found = []
    for arrival, _, step in its["rows"]:
        text, _, source, target, _, _, *changes = data["steps"][step]
        told = [[strings[part] for part in change] for change in changes]
        found.append((arrival, strings[text], lanes[source], lanes[target], told))
    return found


def test_a_diagram_says_who_does_what_to_whom_and_what_it_changes(page: Path) -> None:
    data = data_of(page)
    number = data["cells"][2][1]
    rows = rows_of(data, number)
    own, both = "page 0 of inode:/pmem/data", "page 0 of inode:/pmem/data and page 0 of inode:/pmem/snapshot"
    block = "block 0 of pmem:pmem0"
    pin = next(row for row in rows if row[1].startswith("mr:100.1 pins"))
    assert pin[2:] == ("mr:100.1", "pmem:pmem0", [[block, own, f"{own}, pinned by mr:100.1"]])
    clone = next(row for row in rows if "FICLONE" in row[1])
    assert clone[2:4] == ("backup (101)", "kernel")
    later = [change for row in rows for change in row[4] if row[0] >= clone[0]]
    assert [block, f"{own}, pinned by mr:100.1", f"{both}, pinned by mr:100.1"] in later
    assert ["size of inode:/pmem/snapshot", "0 bytes", "4096 bytes"] in later
    write = next(row for row in rows if row[1].startswith("device writes b'<b>'"))
    assert write[4] == [[f"content of {block}", "", "b'<b>'"]]
    (place, told), *_ = data["diagrams"][number]["broken"]
    assert rows[place] == write
    assert data["strings"][told].startswith("O1' does not hold: the device writes block 0")
    arrivals = [row[0] for row in rows]
    assert arrivals == sorted(arrivals)


def test_a_long_diagram_says_what_it_leaves_out(
    matrix: Matrix, folder: Path, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows_of(data_of(page), 0)
    monkeypatch.setattr(diagram, "MOST_ROWS", 10)
    try:
        data = data_of(write_page(matrix, folder))
        assert data["diagrams"][0]["hidden"] == len(whole) - 10
        assert rows_of(data, 0) == whole[:5] + whole[-5:]
    finally:
        monkeypatch.undo()
        write_page(matrix, folder)


def test_a_page_does_not_grow_beyond_measure(matrix: Matrix, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MOST_BYTES", 0)
    try:
        page = write_page(matrix, folder)
        assert len(data_of(page)["diagrams"]) == 1
        said = cell_of(page, "U1-device-writes", "P1:intended")
        assert said["note"].startswith("The page would become too large")
        assert said["command"].startswith("longpin replay ")
    finally:
        monkeypatch.undo()
        write_page(matrix, folder)


def test_a_schedule_that_cannot_be_read_is_told(matrix: Matrix, tmp_path: Path) -> None:
    page = write_page(matrix, tmp_path)
    said = cell_of(page, "H8-shared", "P1:intended")
    assert said["note"].startswith("The schedule cannot be shown: ")
    assert said["command"] == ""
    assert data_of(page)["diagrams"] == []


MINE = """
from dataclasses import dataclass

from longpin.actors.policies.wait import WaitForIdle


@dataclass(frozen=True, slots=True)
class Mine(WaitForIdle):
    pass
"""


@pytest.fixture
def registry() -> Iterator[None]:
    before = dict(OWN)
    yield
    OWN.clear()
    OWN.update(before)


def test_a_schedule_of_a_policy_in_a_file_is_shown_where_it_was_inferred_from_too(
    tmp_path: Path, registry: None
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    own = f"{path}:Mine"
    columns = [*columns_of(f"{own}:intended"), Column("P1", "intended")]
    some = dataclasses.replace(wanted(), hazards=wanted().hazards[:1], columns=columns)
    matrix = explore_matrix(some, tmp_path)
    assert [cell.how.value for cell in matrix.cells] == ["explored", "inferred"]
    page = write_page(matrix, tmp_path)
    for column in (f"{own}:intended", "P1:intended"):
        said = cell_of(page, "H8-shared", column)
        assert said["note"].startswith(f"A schedule of {own}:intended")
        assert said["command"].endswith(f"--policy {shlex.quote(own)}")
    assert len(data_of(page)["diagrams"]) == 1


def test_what_was_not_reached_is_told(matrix: Matrix, tmp_path: Path) -> None:
    some = dataclasses.replace(matrix, cells=[cell for cell in matrix.cells if cell.use], interrupted=True)
    parsed = Parsed(write_page(some, tmp_path).read_text(encoding="utf-8"))
    assert parsed.texts("td", class_="missing first") == ["·"] * 3
    assert "4 not reached" in parsed.texts("p", class_="counts")[0]
    assert len(data_of(tmp_path / "matrix.html")["cells"]) == 4


def test_many_processes_share_a_lane() -> None:
    names = [ProcessName("app", pid) for pid in range(100, 112)]
    result = Result(Verdict.HOLDS, "", "s", "P1:intended", "stepped", "fifo", "lazy", 0, processes=names)
    lanes = diagram.diagram_of(result).lanes
    assert lanes == (*(f"app ({pid})" for pid in range(100, 107)), "5 other processes", "kernel")


# In a browser.


@pytest.fixture(scope="module")
def shown(page: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(WHY_NOT)
    with browser() as its:
        yield its


WIDTHS = pytest.mark.parametrize("width", [1280, 400])


def focus(shown: Browser) -> str:
    return str(shown.value("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"))


@WIDTHS
def test_it_loads_alone(shown: Browser, page: Path, width: int) -> None:
    shown.open(page.as_uri(), width)
    assert shown.value("document.querySelectorAll('td > a').length") == 8
    assert shown.value("document.documentElement.scrollWidth <= innerWidth")
    assert shown.requests() == [page.as_uri()]
    assert shown.complaints() == []


@WIDTHS
def test_a_cell_opens_by_keyboard_and_shows_its_diagram(shown: Browser, page: Path, width: int) -> None:
    shown.open(page.as_uri(), width)
    for _ in range(20):
        shown.press("Tab")
        if "timers: " in focus(shown):
            break
    assert focus(shown).startswith("H8-shared, P0:intended, lazy timers")
    way = {
        "ArrowDown": "U1-device-writes, P0:intended",
        "End": "U1-device-writes, P10:intended",
        "ArrowLeft": "U1-device-writes, P1:intended",
        "Home": "U1-device-writes, P0:intended",
        "ArrowRight": "U1-device-writes, P1:as_posted",
        "ArrowUp": "H8-shared, P1:as_posted",
    }
    for key, cell in way.items():
        shown.press(key)
        assert focus(shown).startswith(f"{cell}, lazy timers")
    shown.press("ArrowRight")
    assert focus(shown) == BROKEN
    shown.press("Enter")
    assert focus(shown) == "P1:intended, H8 · shared, timers lazy"
    assert not shown.value("document.getElementById('matrix').checkVisibility()")
    rows = "document.querySelectorAll('.run tbody tr').length"
    assert shown.value(rows) > 10
    assert shown.value("[...document.querySelectorAll('.run tbody svg')].every((svg) => svg.clientHeight > 10)")
    inside = """[...document.querySelectorAll('.run .arrow')].every((arrow) => {
      const [cell, its] = [arrow.closest('td').getBoundingClientRect(), arrow.getBoundingClientRect()];
      return its.left >= cell.left && its.right <= cell.right && its.top >= cell.top && its.bottom <= cell.bottom;
    })"""
    assert shown.value("document.querySelectorAll('.run .arrow').length") > 10
    assert shown.value(inside)
    assert "O1' does not hold" in shown.value("document.querySelector('.run .broken').textContent")
    assert shown.value("document.getElementById('command').textContent").startswith("longpin replay '")
    assert shown.value("document.documentElement.scrollWidth <= innerWidth")
    shown.press("Escape")
    assert focus(shown) == BROKEN
    assert shown.value("document.getElementById('matrix').checkVisibility()")
    assert shown.complaints() == []


def test_what_is_opened_is_text(shown: Browser, page: Path) -> None:
    shown.open("about:blank", 1280)
    shown.open(f"{page.as_uri()}#c2", 1280)
    said = shown.value("document.getElementById('cell').textContent")
    for text in (f"because {printable(HOSTILE)}", f"words {printable(HOSTILE)}", "device writes b'<b>' to block 0"):
        assert text in said
    assert shown.value("document.querySelectorAll('#cell img, #cell b b').length") == 0
    assert shown.complaints() == []


def test_it_prints_and_is_as_before(shown: Browser, page: Path) -> None:
    shown.open("about:blank", 1280)
    shown.open(f"{page.as_uri()}#c2", 1280)
    width = "document.querySelector('.run td.lanes').clientWidth"
    before = shown.value(width)
    assert shown.pdf().startswith(b"%PDF-")
    assert shown.value(width) == before
    assert shown.complaints() == []
