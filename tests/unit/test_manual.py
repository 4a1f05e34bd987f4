"""What helps with the command line: the manual page, the versions, and what a shell completes."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from command_line import longpin

from longpin.messages.trace import FORMAT
from longpin.runner.commands import cli
from longpin.runner.commands.manual import page

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_in_the_wheel_is_made_from_the_help() -> None:
    told = (ROOT / "docs" / "longpin.1").read_text(encoding="utf-8")
    assert told == page(cli.main), "run python -m longpin.runner.commands.manual docs/longpin.1"


def test_the_page_has_every_command_and_every_option() -> None:
    text = page(cli.main).replace("\\-", "-")
    for name, command in cli.main.commands.items():
        section = text.partition(f".SS longpin {name} ")[2].partition("\n.SS ")[0]
        assert section, name
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert re.search(rf"^\.B .*{re.escape(option.opts[0])}\b", section, re.MULTILINE), option.opts


def test_nothing_in_a_help_text_is_a_request_or_an_escape() -> None:
    @click.group(help="'quoted\n\n.TH x")
    def group() -> None: ...

    @group.command(help=r"a \fB b")
    @click.option("--x", help=".PP")
    def verb(x: str) -> None: ...

    lines = page(group).splitlines()
    assert {r"\&'quoted", r"\&.TH x", r"a \efB b", r"\&.PP"} <= set(lines)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff formats the page")
def test_groff_has_nothing_to_say_of_it() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", str(ROOT / "docs" / "longpin.1")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "EXIT" in done.stdout.replace("\b", "") or "E\bE" in done.stdout


def test_versions_of_what_a_trace_depends_on(tmp_path: Path) -> None:
    done = longpin(tmp_path, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    first, formats, python, *packages = done.stdout.splitlines()
    assert first == f"longpin, version {version('longpin')}"
    assert formats.startswith(f"trace format {FORMAT}, ")
    assert python.startswith("python 3.")
    assert packages == [f"{name} {version(name)}" for name in ("pykka", "msgpack", "cattrs")]


def completed(*words: str) -> list[tuple[str, str]]:
    shell = BashComplete(cli.main, {}, "longpin", "_LONGPIN_COMPLETE")
    return [(item.type, item.value) for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_completion_knows_scenarios_hazards_and_policies() -> None:
    assert completed("run", "layout-lease-ig") == [("plain", "layout-lease-ignored"), ("file", "layout-lease-ig")]
    assert ("plain", "H8-write-that-copies") in completed("explore", "H8-")
    assert ("plain", "pin-refused") in completed("check", "a.toml", "pin")
    assert completed("stress", "--policy", "P1:i") == [("plain", "P1:intended"), ("file", "P1:i")]
    assert ("plain", "P5:lt0") in completed("matrix", "--policy", "P5")
    assert completed("ru") == [("plain", "run")]
    assert completed("run", "--timers", "r") == [("plain", "racy")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_line_that_switches_it_on_prints_a_script(shell: str) -> None:
    told = (ROOT / "docs" / "command-line.md").read_text()
    assert f"_LONGPIN_COMPLETE={shell}_source longpin" in told
    program = Path(sys.executable).with_name("longpin")
    environment = {**os.environ, "_LONGPIN_COMPLETE": f"{shell}_source"}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=True)
    assert f"_LONGPIN_COMPLETE={shell}_complete" in done.stdout
