"""`longpin judge`: logs of real programs, recorded or made on this machine, and logs with one answer changed."""

import json
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conformance.changed_logs import changes
from quality.json_output import valid

from longpin.actors.policies.proposal import Proposal
from longpin.config.loader import load_scenario
from longpin.runner.commands import cli
from longpin.runner.conform.generate import generate
from longpin.runner.conform.host import HostRunner
from longpin.runner.conform.program import Unsupported
from longpin.runner.judge_log.strace_lines import read_strace
from longpin.runner.judge_log.translated import Translated
from longpin.runner.judge_log.translation import translate_log
from longpin.runner.log_reading import judge_log, read_log
from longpin.runner.result import Verdict

LOGS = Path(__file__).parents[1] / "data" / "logs"
PROGRAMS = ("lease-holder", "passed-lease", "file-server")
OPTIONS = ("-f", "-ttt", "-T", "-yy", "-e", "signal=all")
LINUX = Proposal.make("P0", "intended", {})
NO_STRACE = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def longpin(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def translated(text: str) -> Translated:
    return translate_log(read_strace("changed.log", text))


def verdict(log: Translated, seconds: float = 300) -> Verdict:
    return judge_log(log, LINUX, seconds=seconds).verdict


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_a_real_program_did_is_explained(name: str) -> None:
    judged = judge_log(read_log(LOGS / f"{name}.log"), LINUX, seconds=300)
    assert (judged.verdict, judged.ended, judged.judgement.line) == (Verdict.HOLDS, None, 0)
    assert judged.judgement.explained_to == len(judged.lines)


def test_the_first_line_that_nothing_explains_is_shown_with_what_the_model_has() -> None:
    done = longpin("judge", str(LOGS / "lease-holder-changed.log"))
    assert done.exit_code == 1
    assert "first line that no order explains: 53" in done.stdout
    assert "the log: returns EAGAIN\nthe model: returns 5\n" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Observation lease-holder-changed P0:intended violated - 1/")


@pytest.mark.parametrize("name", ["lease-holder", "lease-holder-changed"])
def test_json_has_the_same_keys_whatever_the_verdict(name: str) -> None:
    found = valid("judge", longpin("judge", str(LOGS / f"{name}.log"), "--json").stdout)
    assert (found["refuted"] is None) == (found["verdict"] == "holds")


def test_a_signal_that_never_came_is_found_out() -> None:
    text = (LOGS / "lease-holder.log").read_text().replace("SIGIO {si_signo=SIGIO,", "SIGUSR1 {si_signo=SIGUSR1,")
    assert verdict(translated(text)) is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("line", "before", "after"),
    [
        (35, "F_SETLEASE, F_RDLCK) = 0", "F_SETLEASE, F_RDLCK) = -1 EAGAIN (Resource temporarily unavailable)"),
        (43, "= -1 EAGAIN (Resource temporarily unavailable)", "= 4</srv/data>"),
    ],
)
def test_another_answer_is_refused_where_it_stands(line: int, before: str, after: str) -> None:
    lines = (LOGS / "lease-holder.log").read_text().splitlines()
    place = next(n for n, text in enumerate(lines) if before in text and n + 1 >= line)
    lines[place] = lines[place].replace(before, after)
    judged = judge_log(translated("\n".join(lines)), LINUX, seconds=300)
    assert judged.verdict is Verdict.VIOLATED
    assert judged.judgement.line == place + 1


def test_what_the_model_does_not_have_ends_the_judgement() -> None:
    lines = (LOGS / "lease-holder.log").read_text().splitlines()
    place = next(n for n, text in enumerate(lines) if "F_SETLEASE, F_RDLCK" in text)
    lines[place] = lines[place].partition("fcntl")[0] + "sendfile(1<pipe:[1]>, 3</srv/data>, NULL, 4) = 4"
    judged = judge_log(translated("\n".join(lines)), LINUX, seconds=300)
    assert judged.verdict is Verdict.UNDETERMINED
    assert judged.ended == (place + 1, "sendfile on a file that matters is not modelled")


def test_the_time_can_be_spent() -> None:
    done = longpin("judge", str(LOGS / "file-server.log"), "--for", "0.001")
    assert (done.exit_code, "undetermined: the time allowed is spent" in done.stdout) == (3, True)


def test_a_log_is_written_as_a_scenario(tmp_path: Path) -> None:
    file = tmp_path / "passed.toml"
    assert longpin("judge", str(LOGS / "passed-lease.log"), "--scenario", str(file)).exit_code == 0
    scenario = load_scenario(str(file))
    assert [(process.name, process.start) for process in scenario.processes] == [
        ("p13500", "now"),
        ("p13501", "fork"),
        ("p13502", "fork"),
    ]
    assert longpin("run", str(file)).exit_code == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hello\n", "bad.log:1: expected a process, a time in seconds (strace -f -ttt) and a call, found 'hello'"),
        ("", "bad.log: expected a log of strace -f -ttt -T -yy -e signal=all, found nothing"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "bad.log").write_text(text)
    done = longpin("judge", str(tmp_path / "bad.log"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_file_that_is_not_there_and_one_that_would_be_overwritten(tmp_path: Path) -> None:
    assert longpin("judge", str(tmp_path / "none.log")).exit_code == 2
    log = tmp_path / "log"
    log.write_text((LOGS / "lease-holder.log").read_text())
    assert longpin("judge", str(log), "--scenario", str(log)).exit_code == 2
    assert log.read_text() == (LOGS / "lease-holder.log").read_text()


# On this machine.


@NO_STRACE
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_these_programs_do_here_is_explained(name: str, tmp_path: Path) -> None:
    program, log = tmp_path / name, tmp_path / f"{name}.log"
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", program, LOGS / f"{name}.c"], check=True)
    done = subprocess.run(["strace", *OPTIONS, "-o", log, program], cwd=tmp_path, capture_output=True, text=True)
    if "PTRACE" in done.stderr:
        pytest.skip(done.stderr.splitlines()[0])
    assert (done.returncode, done.stderr) == (0, "")
    judged = judge_log(read_log(log), LINUX, seconds=300)
    assert judged.verdict is Verdict.HOLDS, (judged.reason, judged.judgement, log.read_text())


def record(host: HostRunner, seed: int, index: int, log: Path) -> bool:
    """Run a random program under strace; return whether this machine can."""
    strace = subprocess.Popen(
        ["strace", *OPTIONS, "-o", log, "-p", str(host._zygote._process.pid)], stderr=subprocess.PIPE, text=True
    )
    assert strace.stderr is not None
    if "attached" not in (said := strace.stderr.readline()):
        strace.wait()
        pytest.skip(said.strip())
    try:
        host.run(generate(seed, index))
    except Unsupported:
        return False
    finally:
        strace.send_signal(signal.SIGINT)
        strace.communicate()
    return True


def judged_logs(host: HostRunner, folder: Path, seed: int, count: int) -> Iterator[tuple[str, Translated]]:
    for index in range(count):
        log = folder / f"{seed}-{index}.log"
        if record(host, seed, index, log):
            yield f"{seed}-{index}", read_log(log)


@NO_STRACE
def test_a_random_program_is_explained(host: HostRunner, tmp_path: Path) -> None:
    for name, log in judged_logs(host, tmp_path, 1, 2):
        judged = judge_log(log, LINUX, seconds=120)
        assert judged.verdict is not Verdict.VIOLATED, (name, judged.judgement)


@NO_STRACE
@pytest.mark.heavy
@pytest.mark.timeout(36_000)
def test_random_programs_are_explained_and_not_when_one_answer_is_changed(
    host: HostRunner, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Of 1,000 programs none is refused; one changed answer of each is, unless it is one the model does not judge."""
    whole, changed, explainable = Counter[str](), Counter[str](), []
    for name, log in judged_logs(host, tmp_path, 1, 1000):
        judged = judge_log(log, LINUX, seconds=120)
        whole[judged.verdict] += 1
        assert judged.verdict is not Verdict.VIOLATED, (name, judged.judgement)
        if judged.verdict is Verdict.UNDETERMINED and judged.ended is None:
            continue
        for change in changes(log, random.Random(name)):
            found = verdict(translated(change.text), 120)
            changed[found] += 1
            if found is Verdict.HOLDS:
                explainable.append((name, change.line, change.before, change.after))
            break
    record_property("judged", json.dumps({"whole": whole, "changed": changed, "explainable": explainable}))
    assert changed[Verdict.VIOLATED] > 0.8 * changed.total()
