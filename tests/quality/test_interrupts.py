"""Ctrl-C at any moment of the start: one line, exit status 130, for every verb. Started in the background: nothing.

The signal comes when a module is about to be imported: no test waits for a moment.
"""

import subprocess
import sys
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[1] / "data" / "kernel_leases.jsonl"

SCRIPT = """
import importlib.abc, os, signal, sys

at, module, *sys.argv[1:] = sys.argv[1:]
signal.signal(signal.SIGINT, signal.SIG_IGN if module == "ignored" else signal.default_int_handler)


class Interrupter(importlib.abc.MetaPathFinder):
    imports = 0

    def find_spec(self, name, path=None, target=None):
        Interrupter.imports += 1
        if Interrupter.imports == int(at):
            os.kill(os.getpid(), signal.SIGINT)


if module == "count":
    from longpin.runner.commands import startup

    def ready(*modules):
        for module in modules:
            __import__(module)
        print(Interrupter.imports, flush=True)
        os._exit(0)

    startup.ready = ready
import longpin.__main__

sys.meta_path.insert(0, Interrupter())
longpin.__main__.main()
"""

VERBS = {
    "run": ["run"],
    "threads": ["run", "--engine", "threads"],
    "host": ["run", "--engine", "host"],
    "replay": ["replay", "t.trace"],
    "explore": ["explore"],
    "stress": ["stress"],
    "conform": ["conform", "--recorded", str(RECORDED)],
    "live": ["conform", "--live", "--random", "1"],
    "races": ["conform", "--races", "--random", "1"],
}


def start(folder: Path, verb: list[str], at: int, how: str = "at") -> subprocess.CompletedProcess[str]:
    """Run a command; SIGINT comes with import number ``at``, counted from the first after the entry point's own."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, str(script), str(at), how, *verb],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("verb", VERBS)
def test_an_interrupt_while_modules_are_imported_is_one_line(verb: str, tmp_path: Path) -> None:
    if verb == "replay":
        assert start(tmp_path, ["run", "--trace", "t.trace"], 0).returncode == 0
    imports = int(start(tmp_path, VERBS[verb], 0, "count").stdout)
    for at in range(1, imports, imports // 2):
        done = start(tmp_path, VERBS[verb], at)
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "longpin: interrupted\n"), at


@pytest.mark.parametrize("module", ["longpin", "longpin.runner.commands.cli"])
def test_run_as_a_module_too(module: str, tmp_path: Path) -> None:
    """A module named ``click`` in the way sends the signal."""
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    command = (
        "import os, signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", command, "-m", module, "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "longpin: interrupted\n")


def test_started_with_the_signal_ignored_it_stays_ignored(tmp_path: Path) -> None:
    """So a shell starts what runs in the background of a script, and what it does then is not the terminal's affair."""
    done = start(tmp_path, ["run", "--json"], 5, "ignored")
    assert (done.returncode, done.stderr) == (0, "")


LATE = """
import atexit, os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
import longpin.__main__

longpin.__main__.main()
"""


@pytest.mark.parametrize(("verb", "status"), [(["run"], 0), (["run", "truncate-waits"], 1), (VERBS["conform"], 0)])
def test_an_interrupt_after_the_verdict_does_not_change_the_exit_status(verb: list[str], status: int) -> None:
    done = subprocess.run([sys.executable, "-c", LATE, *verb], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout
