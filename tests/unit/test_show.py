"""``longpin show``: each form holds what happened, as who reads that form finds it."""

import html
import json
import re
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from command_line import Done, longpin
from quality.json_output import valid
from quality.test_own_policy_option import POLICY, STORY

from longpin.config.hazard import shipped_hazards
from longpin.config.loader import shipped_scenarios
from longpin.messages.trace import TraceReader, TraceWriter
from longpin.runner.report.page import diagram
from longpin.runner.report.page.diagram import diagram_of
from longpin.runner.show import FORMS, ShownRun, form_of
from longpin.runner.show.as_mermaid import MOST_LANES
from longpin.runner.show.as_ndjson import MOST_INTEGER
from longpin.runner.show.as_shiviz import EXPRESSION
from longpin.runner.show.model import read_run

NASTY = "%% end; #quot; <b>\\n&"

SMALL = f"""
name = "small"
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
label("{NASTY}")
sleep(1.5)
wait_for("cut")
'''
[[process]]
name = "other"
program = '''
wait_for("{NASTY}")
truncate("/f", 0)
label("cut")
'''
"""


def show(folder: Path, *words: str) -> Done:
    return longpin(folder, "show", *words, COLUMNS="100", NO_COLOR="1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("show")
    (folder / "small.toml").write_text(SMALL)
    assert longpin(folder, "run", "small.toml", "--trace", "small.trace").returncode == 1
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> ShownRun:
    return read_run(folder / "small.trace", seconds=20)


# The model.


def test_the_model_has_every_arrival_of_the_trace(run: ShownRun, folder: Path) -> None:
    reader = TraceReader(folder / "small.trace")
    assert len(run.arrivals) == len(list(reader)) == run.result.arrivals
    assert [arrival.number for arrival in run.arrivals] == list(range(1, len(run.arrivals) + 1))


def test_what_is_sent_was_sent_by_who_got_something_then(run: ShownRun) -> None:
    by_number = {arrival.number: arrival for arrival in run.arrivals}
    for arrival in run.arrivals:
        assert 0 <= arrival.sent < arrival.number
        if arrival.sent and arrival.src not in ("world", "alarm"):
            maker = by_number[arrival.sent]
            assert arrival.src == maker.dst or run.born[arrival.src] == arrival.sent
    ticks = [arrival for arrival in run.arrivals if arrival.src == "alarm"]
    assert [by_number[tick.sent].dst for tick in ticks] == ["clock"]


def test_changes_are_those_of_the_receiver_and_nothing_else_is_told(run: ShownRun) -> None:
    assert sum(len(arrival.changes) for arrival in run.arrivals) == len(run.changes)
    for change in run.changes:
        assert run.arrivals[change.arrival - 1].dst == change.actor
    said = [
        f"{change.subject}: {change.before}->{change.after}" for arrival in run.arrivals for change in arrival.changes
    ]
    assert "descriptor 4 of app: ->file:100.2" in said
    assert "block 0 of pmem:pmem0: page 0 of inode:/f->page 0 of inode:/f, pinned by mr:100.1" in said
    assert not [line for line in said if line.endswith("->")]


# The command.


def test_a_trace_and_its_scenario_are_the_same_run(folder: Path) -> None:
    traced = json.loads(show(folder, "small.trace", "--as", "json").stdout)
    ran = json.loads(show(folder, "small.toml", "--as", "json").stdout)
    told = ("trace", "failure")
    assert {key: value for key, value in traced.items() if key not in told} == {
        key: value for key, value in ran.items() if key not in told
    }
    assert traced["failure"]["replay"] == "longpin replay small.trace"
    assert ran["failure"]["replay"] == "longpin run small.toml --oracle fifo --seed 0 --timers lazy"


def test_text_is_what_run_prints_and_since_when(folder: Path) -> None:
    ran = longpin(folder, "run", "small.toml", COLUMNS="100", NO_COLOR="1").stdout
    shown = show(folder, "small.toml")
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert [line for line in lines if "inevitable" in line] == [
        "O3 is inevitable from the start: every schedule violates it"
    ]
    assert [line for line in lines if "inevitable" not in line] == ran.splitlines()


def test_the_document_shows_what_is_printed(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "seeing.md").read_text()
    (told,) = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert told in show(tmp_path, "seal-broken-by-munmap").stdout


@pytest.mark.heavy
@pytest.mark.parametrize("name", [*shipped_scenarios(), *shipped_hazards()])
def test_every_shipped_story_has_every_form(name: str, tmp_path: Path) -> None:
    longpin(tmp_path, "run", name, "--trace", "it.trace")
    run = read_run(tmp_path / "it.trace", seconds=20)
    assert (run.inevitable is None) == (not run.result.violations)
    for form in FORMS:
        assert form_of(form).write(run), form
    assert len(read_log(form_of("shiviz").write(run).decode())) == run.result.arrivals


@pytest.mark.parametrize("form", [form for form in FORMS if form != "perfetto"])
def test_every_form_is_written_to_a_file_as_to_standard_output(form: str, folder: Path) -> None:
    file = folder / f"out.{form}"
    done = show(folder, "small.trace", "--as", form, "-o", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    printed = show(folder, "small.trace", "--as", form).stdout
    if form != "text":  # which is as wide as there is room
        assert file.read_text(encoding="utf-8") == printed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["small.trace", "--seed", "3"], "--seed is for a scenario"),
        (["small.trace", "--timers", "racy"], "--timers is for a scenario"),
        (["small.trace", "--policy", "P2"], "expected FILE.py:CLASS"),
        (["small.toml", "--as", "c", "--policy", "P1"], "--policy"),
        (["small.toml", "--as", "c", "--seed", "1"], "--seed"),
        (["no-such"], "no-such"),
        (["small.toml", "--as", "json", "-o", "small.toml"], "would be overwritten"),
        (["small.trace", "--as", "json", "-o", "none/x"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line(words: list[str], says: str, folder: Path) -> None:
    done = show(folder, *words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr
    assert not done.stdout


def test_a_policy_in_a_file_is_given_with_its_trace(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(POLICY)
    (tmp_path / "own.toml").write_text(STORY)
    own = ("--policy", "busy.py:Busy")
    assert longpin(tmp_path, "run", "own.toml", *own, "--trace", "own.trace").returncode == 0
    ran = valid("show", show(tmp_path, "own.toml", *own, "--json").stdout)
    traced = valid("show", show(tmp_path, "own.trace", *own, "--json").stdout)
    assert ran["hash"] == traced["hash"]
    assert traced["policy"] == "busy.py:Busy:intended"
    refused = show(tmp_path, "own.trace")
    assert refused.returncode == 2
    assert "nothing is executed unless the file is given: --policy busy.py:Busy" in refused.stderr


@pytest.mark.parametrize("left", [0, 1, 40])
def test_what_is_left_of_a_run_that_was_killed_has_every_form(left: int, folder: Path) -> None:
    reader = TraceReader(folder / "small.trace")
    with TraceWriter(folder / "cut.trace", reader.header) as writer:
        for _, payload in islice(reader, left):
            writer.append(payload)
        writer.close(complete=False)
    run = read_run(folder / "cut.trace", seconds=1)
    assert len(run.arrivals) == left
    assert run.inevitable is None
    for form in FORMS:
        assert form_of(form).write(run) or (form, left) == ("ndjson", 0)


def test_a_damaged_trace_is_one_line(folder: Path) -> None:
    data = (folder / "small.trace").read_bytes()
    (folder / "bad.trace").write_bytes(data[:3000] + b"\xff" + data[3001:])
    done = show(folder, "bad.trace", "--as", "json")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


# JSON, and JSON in lines.


@pytest.mark.parametrize("what", ["small.trace", "small.toml", "layout-lease-ignored"])
def test_the_object_is_what_its_schema_says(what: str, folder: Path) -> None:
    found = valid("show", show(folder, what, "--json").stdout)
    assert len(found["messages"]) == found["arrivals"]
    assert {message["dst"] for message in found["messages"]} <= {actor["address"] for actor in found["actors"]}
    assert (found["inevitable"] is None) == (found["verdict"] != "violated")
    assert show(folder, what, "--json", "--as", "svg").returncode == 2


def test_the_last_choice_is_told(folder: Path) -> None:
    found = valid("show", show(folder, "seal-broken-by-munmap", "--json").stdout)["inevitable"]
    assert found == {
        "rule": "O1",
        "since": 137,
        "known": True,
        "why": None,
        "taken": "FreeBlocks from inode:/pmem/data to pmem:pmem0 (the file system frees block 0 of pmem:pmem0)",
        "instead": (
            "Dma from qp:100.1.3 to pmem:pmem0 (device writes b'from the NIC' to block 0 of pmem:pmem0, pinned by "
            "mr:100.1 as page 0 of inode:/pmem/data)"
        ),
    }


def test_lines_of_json_have_the_same_keys_and_nothing_that_tlc_does_not_read(run: ShownRun) -> None:
    lines = [json.loads(line) for line in form_of("ndjson").write(run).decode("ascii").splitlines()]
    assert len(lines) == len(run.arrivals)
    assert len({tuple(line) for line in lines}) == 1

    def look(value: Any) -> None:
        assert value is not None
        assert not isinstance(value, float)
        if isinstance(value, int):
            assert abs(value) <= MOST_INTEGER
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(part)

    for line in lines:
        look(line)
    assert max(line["ms"] for line in lines) == 1500
    told = [event for line in lines for event in line["events"]]
    assert 'app (100): fd = open("/f", O_RDWR) -> 4' in told


# Mermaid.

PARTICIPANT = re.compile(r"    (?:actor|participant) (L\d+) as ([^#;\n]|#\w+;)+")
MESSAGE = re.compile(r"    (L\d+)(?:->>|-->>|-\)|--\))(L\d+): ([^#;<>\n]|#\w+;)+")
NOTE = re.compile(r"    Note over (L\d+)(?:,(L\d+))?: ([^#;<>\n]|#\w+;)+")


def test_mermaid_is_a_sequence_diagram_in_which_no_text_is_taken_for_markup(run: ShownRun) -> None:
    comment, head, *lines = form_of("mermaid").write(run).decode().splitlines()
    assert comment.startswith("%% small under P1:intended: violated")
    assert head == "sequenceDiagram"
    lanes = [match[1] for line in lines if (match := PARTICIPANT.fullmatch(line))]
    assert lanes == [f"L{number}" for number in range(len(lanes))]
    said = []
    for line in lines[len(lanes) :]:
        match = MESSAGE.fullmatch(line) or NOTE.fullmatch(line)
        assert match, line
        assert {match[1], match[2] or match[1]} <= set(lanes)
        said.append(
            html.unescape(re.sub(r"#(\d+|\w+);", lambda its: f"&{'#' * its[1].isdigit()}{its[1]};", line)).split(
                ": ", 1
            )[1]
        )
    rows = [f"{row.arrival}. {row.text}" for row in diagram_of(run.result).rows]
    assert [text for text in said if text in rows] == rows
    assert any("%% end#59; #35;quot#59; #lt;b#gt;" in line for line in lines)


def test_mermaid_refuses_what_nobody_could_read(tmp_path: Path) -> None:
    many = "\n".join(f'[[process]]\nname = "p{n}"\nprogram = "exit()"\n' for n in range(MOST_LANES))
    (tmp_path / "many.toml").write_text(f'name = "many"\n{many}')
    done = show(tmp_path, "many.toml", "--as", "mermaid")
    assert done.returncode == 2
    assert done.stderr == "longpin: --as mermaid: 61 lanes side by side could not be read: mermaid has 60\n"


# SVG.


def test_a_picture_is_well_formed_and_says_every_row(run: ShownRun) -> None:
    drawn = form_of("svg").write(run).decode()
    root = ElementTree.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    for row in diagram_of(run.result).rows:
        assert any(text.startswith(row.text[:60]) for text in texts), row.text
    assert any(text.startswith("✗ O3 does not hold") for text in texts)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        *("svg", "title", "style", "rect", "text", "line", "path", "circle")
    }
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on") or "href" in key]


def test_a_long_picture_says_what_it_leaves_out(run: ShownRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = len(diagram_of(run.result).rows)
    monkeypatch.setattr(diagram, "MOST_ROWS", 6)
    drawn = form_of("svg").write(run).decode()
    assert f"{whole - 6} rows are left out here" in drawn


# ShiViz.


def read_log(text: str) -> list[tuple[str, dict[str, int], str]]:
    """Return the entries of a log as ShiViz reads them: by the expression in its first line."""
    expression, delimiter, log = text.split("\n", 2)
    assert (expression, delimiter) == (EXPRESSION, "")
    found = list(re.finditer(expression.replace("(?<", "(?P<"), log.strip()))
    assert sum(len(match[0]) + 1 for match in found) == len(log)  # nothing lies between them
    return [(match["host"], json.loads(match["clock"]), match["event"]) for match in found]


def test_vector_clocks_are_as_shiviz_wants_them_and_say_who_knew_of_whom(run: ShownRun) -> None:
    entries = read_log(form_of("shiviz").write(run).decode())
    assert len(entries) == len(run.arrivals)
    last: dict[str, dict[str, int]] = {}
    for (host, clock, event), arrival in zip(entries, run.arrivals, strict=True):
        before = last.get(host, {})
        assert clock[host] == before.get(host, 0) + 1
        assert all(clock.get(other, 0) >= count for other, count in before.items())
        if arrival.sent:  # whoever sent it, what was known there is known here
            told = entries[arrival.sent - 1][1]
            assert all(clock[other] >= count for other, count in told.items())
        for other, count in clock.items():  # nobody knows of what has not happened
            assert count <= (clock[host] if other == host else last[other][other])
        last[host] = clock
        assert event.startswith(f"{arrival.number}. {arrival.message} from {arrival.src}")


# Perfetto.


def test_perfetto_has_a_track_an_actor_and_an_arrow_a_message(run: ShownRun) -> None:
    protos = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    trace = protos.Trace()
    trace.ParseFromString(form_of("perfetto").write(run))
    names = {
        packet.track_descriptor.uuid: packet.track_descriptor.name
        for packet in trace.packet
        if packet.HasField("track_descriptor")
    }
    assert {"world", *run.born, *map(str, run.result.processes)} <= set(names.values())
    assert len(set(names)) == len(names)
    open_slices: dict[int, list[str]] = {}
    begins: list[Any] = []
    at: dict[int, int] = {}
    for packet in trace.packet:
        if not packet.HasField("track_event"):
            continue
        event = packet.track_event
        assert event.track_uuid in names
        assert at.get(event.track_uuid, 0) <= packet.timestamp
        at[event.track_uuid] = packet.timestamp
        if event.type == protos.TrackEvent.TYPE_SLICE_BEGIN:
            open_slices.setdefault(event.track_uuid, []).append(event.name)
            begins.append((packet.timestamp, names[event.track_uuid], event))
        else:
            open_slices[event.track_uuid].pop()
    assert not any(open_slices.values())
    sent = {flow: (time, track) for time, track, event in begins for flow in event.flow_ids}
    arrived = {flow: (time, track) for time, track, event in begins for flow in event.terminating_flow_ids}
    assert set(arrived) == {arrival.number for arrival in run.arrivals} == set(sent)
    for arrival in run.arrivals:
        assert arrived[arrival.number][1] == arrival.dst
        assert sent[arrival.number][0] < arrived[arrival.number][0]
    calls = [event.name for _, track, event in begins if track == "app (100)"]
    assert 'fd = open("/f", O_RDWR)' in calls


def test_without_the_package_perfetto_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "perfetto.trace_builder.proto_builder", None)
    done = show(folder, "small.trace", "--as", "perfetto", "-o", "x")
    assert done.returncode == 2
    assert done.stderr == (
        "longpin: --as perfetto: the package perfetto is not installed: pip install longpin[perfetto]\n"
    )
