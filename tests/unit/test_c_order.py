"""``longpin show TRACE --as c``: the programs make their calls on this kernel in the order of the run."""

import re
import subprocess
from pathlib import Path

import pytest
from command_line import longpin
from unit import test_c_source
from unit.test_c_source import HEAD, compiled, process

from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.runner.c_source import order, write
from longpin.runner.c_source.order import Numbers, RunOrder, Turn
from longpin.runner.host.offers import refuse
from longpin.runner.show import form_of
from longpin.runner.show.model import ShownRun, read_run

pytestmark = test_c_source.pytestmark


def offered(name: str) -> bool:
    """Return whether the host engine can run a shipped scenario."""
    try:
        refuse(load_scenario(name), name)
    except ScenarioError:
        return False
    return True


ON_THE_HOST = [name for name in shipped_scenarios() if offered(name)]


WAIT_FOR_PAGES = {
    *("linux-clone-spins", "linux-map-sync", "linux-pin-shows-another-file"),
    *("linux-pinned-page-ext4", "linux-pinned-page-xfs", "linux-waiting-truncate-interrupted"),
}
"""Those that expect what only FS-DAX does, which is not where the tests run."""


def traced(folder: Path, scenario: str, *options: str) -> ShownRun:
    """Run a scenario, given by its name or its text, and return its trace."""
    if "\n" in scenario:
        (folder / "test.toml").write_text(scenario)
        scenario = "test.toml"
    done = longpin(folder, "run", scenario, "--trace", "run.trace", *options)
    assert done.returncode in (0, 1, 3), done.stderr
    return read_run(folder / "run.trace")


def ran(run: ShownRun, folder: Path, seconds: float = 0.5) -> tuple[int, list[str]]:
    """Compile a run and start it; return its exit status and what it says."""
    program = compiled(form_of("c").write(run).decode("ascii"), folder)
    done = subprocess.run([program, str(seconds)], capture_output=True, text=True, timeout=100)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


WRITERS = (
    HEAD
    + "".join(
        process(
            name,
            f"""
fd = open("/d/f", O_WRONLY | O_APPEND | O_CREAT)
write(fd, "{name}")
write(fd, "{name.upper()}")
label("{name}")
""",
        )
        for name in "abc"
    )
    + process(
        "reader",
        'wait_for("a")\nwait_for("b")\nwait_for("c")\nfd = open("/d/f", O_RDONLY)\nlseek(fd, 2 * PAGE)\nread(fd, 6)',
    )
)


def test_what_is_written_in_some_order_is_written_in_that_order(tmp_path: Path) -> None:
    orders = set()
    for seed in range(4):
        run = traced(tmp_path, WRITERS, "--policy", "P0", "--oracle", "random", "--seed", str(seed))
        read = str(run.result.calls[-1].ret)
        orders.add(read)
        text = form_of("c").write(run).decode("ascii")
        program = compiled(text.replace("read(v_fd, buffer, 6)", "write(1, buffer, read(v_fd, buffer, 6))"), tmp_path)
        done = subprocess.run([program, "0.5"], capture_output=True, text=True, timeout=100)
        lines = done.stdout.splitlines()
        assert (done.returncode, lines[-2:]) == (0, ["in the order of the run", "nothing was expected"])
        assert lines[0].startswith(re.findall(r"b'(\w+)'", read)[0]), f"{read}: {lines[0]}"
        made = [line.split()[0] for line in lines if " write(" in line]
        assert "".join(made) in read.lower()
    assert len(orders) > 1


def test_a_turn_that_is_swapped_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above fails if the order is not that of the run."""
    turns_of = order.turns_of

    def others_first(scenario: Scenario, order: RunOrder, numbers: Numbers) -> list[Turn]:
        return sorted(turns_of(scenario, order, numbers), key=lambda turn: -turn.process)

    monkeypatch.setattr(write, "turns_of", others_first)
    with pytest.raises(AssertionError):
        test_what_is_written_in_some_order_is_written_in_that_order(tmp_path)


LEASE = (
    HEAD
    + process(
        "holder",
        """
sigprocmask(SIG_BLOCK, SIGIO)
fd = open("/d/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)
label("leased")
sigwaitinfo()
fcntl(fd, F_SETLEASE, F_UNLCK)
""",
    )
    + process("cutter", 'wait_for("leased")\ntruncate("/d/f", 0)')
)


def test_where_the_kernel_does_not_go_along_it_says_so(tmp_path: Path) -> None:
    status, lines = ran(traced(tmp_path, LEASE, "--policy", "P5:intended"), tmp_path)
    assert status == 3
    assert "not in the order of the run: waited for the return of sigwaitinfo()" in lines
    assert [line for line in lines if line.startswith("the run had success: ")] == [
        "the run had success: holder         15 fcntl(fd, F_SETLEASE, F_LAYOUT) = -1 (Invalid argument)"
    ]


def test_a_file_says_which_run_it_is_and_what_that_shows(tmp_path: Path) -> None:
    text = form_of("c").write(traced(tmp_path, "seal-broken-by-munmap")).decode("ascii")
    head = " ".join(text.partition("*/")[0].replace(" * ", "").split())
    assert "A run under P3:intended: violated. O1 violated." in head
    assert "O1 at arrival 138: the device writes block 0 of pmem:pmem0" in head
    assert "Left out: verbs need an RDMA device" in text


def test_of_a_run_that_was_killed_at_once_there_is_no_order(tmp_path: Path) -> None:
    run = traced(tmp_path, WRITERS, "--policy", "P0")
    run.result.events = []
    status, lines = ran(run, tmp_path)
    assert (status, lines[-2:]) == (0, ["in the order of the run", "nothing was expected"])


def test_handlers_and_forked_processes_have_their_turns(tmp_path: Path) -> None:
    status, lines = ran(traced(tmp_path, "lease-shared"), tmp_path, 1)
    assert (status, lines[-2:]) == (0, ["in the order of the run", "as expected"])


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ON_THE_HOST)
def test_shipped_scenarios_run_in_the_order_of_a_run(name: str, seed: int, tmp_path: Path) -> None:
    run = traced(tmp_path, name, "--oracle", "random", "--seed", str(seed))
    status, lines = ran(run, tmp_path, 1)
    assert status in ((1, 3) if name in WAIT_FOR_PAGES else (0,))
    assert name in WAIT_FOR_PAGES or "in the order of the run" in lines


@pytest.mark.heavy
@pytest.mark.parametrize("name", shipped_scenarios())
def test_every_shipped_run_compiles_and_ends(name: str, tmp_path: Path) -> None:
    status, lines = ran(traced(tmp_path, name), tmp_path, 1)
    assert status in (0, 1, 3)
    assert [line for line in lines if "in the order of the run" in line]
