"""The page of a run: as text, and as a browser shows it, at the width of a screen and of a phone."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, WHY_NOT, Browser, browser
from command_line import longpin
from quality.test_page import Parsed

from longpin.runner.report.rows import printable
from longpin.runner.show import ShownRun, as_html, form_of
from longpin.runner.show.model import read_run

HOSTILE = "</script><img src=http://example.org/x onerror=alert(1)>&amp;\u202e`$verdict"

RACE = f'''
name = "race"
source = "{HOSTILE}"
summary = "{HOSTILE}"
policy = "P3:intended"
''' + (
    Path(__file__).resolve().parents[2] / "config" / "scenarios" / "seal-broken-by-munmap.toml"
).read_text().partition('policy = "P3:intended"')[2].replace('"from the NIC"', '"<b>"')

WIDTHS = (1280, 400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("with a space")
    (folder / "race.toml").write_text(RACE)
    assert longpin(folder, "run", "race.toml", "--trace", "race.trace").returncode == 1
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> ShownRun:
    return read_run(folder / "race.trace", seconds=20)


@pytest.fixture(scope="module")
def page(run: ShownRun, folder: Path) -> Path:
    path = folder / "race.html"
    path.write_bytes(form_of("html").write(run))
    return path


@pytest.fixture(scope="module")
def parsed(page: Path) -> Parsed:
    return Parsed(page.read_text(encoding="utf-8"))


def data_of(parsed: Parsed) -> dict[str, Any]:
    (text,) = parsed.texts("script", id="data")
    found: dict[str, Any] = json.loads(text)
    return found


# As text.


def test_no_text_is_taken_for_markup(page: Path, parsed: Parsed) -> None:
    names = [name for name, _, _ in parsed.elements]
    assert (names.count("script"), names.count("style"), names.count("img")) == (2, 1, 0)
    assert not [key for _, attributes, _ in parsed.elements for key in attributes if key.startswith("on")]
    assert printable(HOSTILE) in parsed.texts("cite")
    assert "\u202e" not in page.read_text(encoding="utf-8")
    assert "<" not in parsed.texts("script", id="data")[0]


def test_the_page_needs_nothing_else(parsed: Parsed) -> None:
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


def test_the_same_run_is_the_same_bytes(run: ShownRun, page: Path, folder: Path) -> None:
    assert form_of("html").write(run) == page.read_bytes()
    assert form_of("html").write(read_run(folder / "race.trace", seconds=20)) == page.read_bytes()


def test_it_has_every_arrival_with_what_changed(run: ShownRun, parsed: Parsed) -> None:
    data = data_of(parsed)
    say = data["strings"]
    assert data["first"] == 1
    assert len(data["arrivals"]) == len(run.arrivals)
    for arrival, (time, src, dst, message, call, sent, _, changes) in zip(run.arrivals, data["arrivals"], strict=True):
        assert (arrival.time, arrival.call, arrival.sent) == (time, call, sent)
        assert (printable(arrival.src), printable(arrival.dst), arrival.message) == (say[src], say[dst], say[message])
        assert [tuple(say[text] for text in change) for change in changes] == [tuple(its) for its in arrival.changes]
    remarks = [(at, kind, say[text]) for at, kind, text in data["remarks"]]
    assert [(at, kind) for at, kind, _ in remarks] == [(137, "since"), (138, "broken")]
    assert remarks[0][2] == "O1 is inevitable since arrival 137: every way on violates it"


def test_who_sees_no_script_sees_the_verdict(parsed: Parsed) -> None:
    said = " ".join(parsed.texts("div", class_="verdict"))
    assert "O1 at arrival 138: the device writes block 0" in said
    assert "the last choice that could have avoided it: arrival 137 was FreeBlocks" in said
    assert "Dma from qp:100.1.3 to pmem:pmem0 (device writes b'<b>' to block 0" in said


def test_of_a_long_run_there_is_a_window_and_the_page_says_so(run: ShownRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_html, "MOST_ARRIVALS", 20)
    shown = Parsed(form_of("html").write(run).decode())
    last = len(run.arrivals)
    assert shown.texts("p", class_="window") == [
        f"The run has {last} arrivals. This page shows those from 129 to 148; --at N shows others."
    ]
    data = data_of(shown)
    assert (data["first"], len(data["arrivals"])) == (129, 20)
    assert [row[0] for row in data["story"]["rows"]] == [
        row[0] for row in data["story"]["rows"] if 129 <= row[0] <= 148
    ]
    for at, first in ((1, 1), (50, 41), (last, last - 19)):
        monkeypatch.setattr(run, "at", at)
        assert data_of(Parsed(form_of("html").write(run).decode()))["first"] == first


# As a browser shows it.


@pytest.fixture(scope="module")
def screen() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(WHY_NOT)
    with browser() as its:
        yield its


SELECTED = "document.querySelector('[aria-selected=true]')"
NUMBER = f"Number({SELECTED}.querySelector('.at').textContent)"
HASH = """new Promise((done) => {{
  const look = () => location.hash === '#{}' ? done(true) : setTimeout(look, 20);
  look();
}})"""


@pytest.mark.parametrize("width", WIDTHS)
def test_keys_go_from_step_to_step(screen: Browser, page: Path, width: int) -> None:
    screen.open("about:blank", width)
    screen.open(page.as_uri(), width)
    assert screen.requests() == [page.as_uri()]
    first = screen.value(NUMBER)
    screen.press("ArrowDown")
    second = screen.value(NUMBER)
    assert second > first
    assert screen.value(HASH.format(second))
    screen.press("j")
    assert screen.value(NUMBER) > second
    for key in ("ArrowUp", "k"):
        screen.press(key)
    assert screen.value(NUMBER) == first
    screen.press("PageDown")
    assert screen.value(f"{SELECTED}.id") == "step-10"
    screen.press("PageUp")
    screen.press("c")
    assert "Δ" in screen.value(f"{SELECTED}.textContent")
    assert screen.value("document.querySelectorAll('#step .changes li').length") > 0
    screen.press("v")
    assert screen.value(f"{SELECTED}.textContent").startswith("✗ O1 does not hold")
    screen.press("End")
    last = screen.value("document.querySelector('[role=option]').getAttribute('aria-setsize')")
    assert screen.value(f"{SELECTED}.getAttribute('aria-posinset')") == last
    screen.press("Home")
    assert screen.value(NUMBER) == first
    screen.press("m")
    assert screen.value("document.getElementById('messages').checked")
    assert screen.value("document.getElementById('count').textContent") == "205 steps"
    assert screen.value(NUMBER) == first
    assert screen.complaints() == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_link_leads_to_a_step(screen: Browser, page: Path, width: int) -> None:
    screen.open("about:blank", width)
    screen.open(f"{page.as_uri()}#137", width)
    assert screen.value(NUMBER) == 137
    said = screen.value("document.getElementById('step').textContent")
    assert "FreeBlocks from inode:/pmem/data to pmem:pmem0, sent in arrival 134" in said
    assert "block 0 of pmem:pmem0: page 0 of inode:/pmem/data, pinned by mr:100.1 → free, pinned by mr:100.1" in said
    box = screen.value(
        f"(() => {{ const its = {SELECTED}.getBoundingClientRect(), all = document.getElementById('steps')"
        ".getBoundingClientRect(); return its.top >= all.top - 1 && its.bottom <= all.bottom + 1; })()"
    )
    assert box
    # One that no step of the story begins with is found among all messages.
    screen.value("location.hash = '#134'; new Promise((done) => setTimeout(done))")
    assert screen.value(NUMBER) == 134
    assert screen.value("document.getElementById('messages').checked")
    screen.value("document.querySelector('#step a').click(); new Promise((done) => setTimeout(done))")
    assert screen.value(NUMBER) < 134
    assert screen.complaints() == []


def test_filters_leave_what_one_actor_or_call_has_to_do_with(screen: Browser, page: Path) -> None:
    screen.open("about:blank", 1280)
    screen.open(page.as_uri(), 1280)
    pick = """(() => {{
      const its = document.getElementById('{}');
      its.value = '{}';
      its.dispatchEvent(new Event('change'));
    }})()"""
    shown = "[...document.querySelectorAll('.step:not(.broken):not(.since) .said')].map((its) => its.textContent)"
    screen.value(pick.format("call", "munmap"))
    assert screen.value(shown) == ["munmap(buf, PAGE) → 0"]
    screen.press("Escape")
    screen.value(pick.format("actor", "mr:100.1"))
    assert screen.value(shown)
    assert all("mr:100.1" in text or "DMA" in text for text in screen.value(shown))
    screen.value(pick.format("actor", "process:101"))
    assert not [text for text in screen.value(shown) if text.startswith("ibv_")]
    assert screen.value("document.getElementById('count').textContent").startswith("13 of ")
    assert screen.complaints() == []


def test_the_line_of_the_scenario_that_is_carried_out_stands_out(screen: Browser, page: Path) -> None:
    screen.open("about:blank", 1280)
    screen.open(f"{page.as_uri()}#101", 1280)
    assert screen.value("document.querySelector('#scenario .now').textContent").startswith("munmap(buf, PAGE)")


def test_what_is_shown_is_text(screen: Browser, page: Path) -> None:
    screen.open("about:blank", 1280)
    screen.open(f"{page.as_uri()}#138", 1280)
    assert "b'<b>'" in screen.value("document.getElementById('step').textContent")
    assert screen.value("document.querySelectorAll('img, #step b b').length") == 0
    assert screen.complaints() == []


def test_shiviz_finds_every_entry_of_a_log(screen: Browser, run: ShownRun) -> None:
    """It splits off the first two lines and matches the rest with the first, in JavaScript."""
    screen.open("about:blank", 1280)
    log = json.dumps(form_of("shiviz").write(run).decode())
    found = screen.value(
        f"""(() => {{
          const [expression, delimiter, ...rest] = {log}.split('\\n');
          const found = [...rest.join('\\n').trim().matchAll(new RegExp(expression, 'g'))];
          return found.map(({{ groups: its }}) => [its.host, JSON.parse(its.clock)[its.host], its.event]);
        }})()"""
    )
    assert len(found) == len(run.arrivals)
    counts: dict[str, int] = {}
    for (host, count, event), arrival in zip(found, run.arrivals, strict=True):
        counts[host] = counts.get(host, 0) + 1
        assert count == counts[host]
        assert event.startswith(f"{arrival.number}. ")


AXE = resources.files("axe_core_python") / "axe.min.js"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_and_labels_pass_axe(screen: Browser, page: Path, width: int, scheme: str) -> None:
    screen.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        screen.open("about:blank", width)
        screen.open(f"{page.as_uri()}#137", width)
        screen.value(AXE.read_text(encoding="utf-8") + ";undefined")
        for view in ("story", "messages"):
            found = screen.value(
                "axe.run().then((found) => ({ wrong: found.violations.map((its) => [its.id, its.nodes.map((node) => "
                "node.html)]), passed: found.passes.map((its) => its.id) }))"
            )
            assert found["wrong"] == [], view
            assert {"color-contrast", "aria-required-children", "label"} <= set(found["passed"])
            screen.press("m")
    finally:
        screen.ask("Emulation.setEmulatedMedia", features=[])


def test_axe_finds_what_is_wrong(screen: Browser, page: Path) -> None:
    screen.open("about:blank", 1280)
    screen.open(page.as_uri(), 1280)
    screen.value(
        "document.querySelector('h1').style.color = '#ccc'; document.querySelector('label').replaceWith("
        "document.getElementById('actor'))"
    )
    screen.value(AXE.read_text(encoding="utf-8") + ";undefined")
    wrong = screen.value("axe.run().then((found) => found.violations.map((its) => its.id))")
    assert {"color-contrast", "select-name"} <= set(wrong)


LONG = """
name = "long"
policy = "P0"
[[file]]
path = "/f"
size = "PAGE"
""" + "".join(
    f"[[process]]\nname = \"{name}\"\nprogram = '''\nfd = open(\"/f\", O_RDWR)\nfor i in range(480):\n    {call}\n'''\n"
    for name, call in (("a", 'write(fd, "x")'), ("b", "lseek(fd, 0)\n    read(fd, 1)"))
)


def test_ten_thousand_arrivals_stay_fluid(screen: Browser, tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(LONG)
    done = longpin(tmp_path, "show", "long.toml", "--as", "html", "-o", "long.html")
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "long.html").read_text()
    (all_,) = re.findall(r"([\d,]+) arrivals; hash", text)
    assert 9_500 < int(all_.replace(",", "")) <= as_html.MOST_ARRIVALS
    screen.open("about:blank", 1280)
    screen.open((tmp_path / "long.html").as_uri(), 1280)
    screen.press("m")
    screen.press("End")
    assert screen.value("document.querySelectorAll('.step').length") < 100  # what is in sight, and no more
    took = screen.value(
        """(() => {
          const begun = performance.now();
          for (let i = 0; i < 300; i++) {
            dispatchEvent(new KeyboardEvent('keydown', { key: i % 3 ? 'ArrowUp' : 'PageUp' }));
          }
          document.body.offsetHeight;
          return (performance.now() - begun) / 300;
        })()"""
    )
    assert took < 100, f"{took} ms a step"  # 2 on a machine with nothing else to do; drawing all of them takes seconds
    assert screen.complaints() == []
