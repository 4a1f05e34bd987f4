"""``longpin show SCENARIO --as c``: a C file that compiles without a warning, runs, and says what came of it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from longpin.config.loader import load_scenario, parse_scenario, shipped_scenarios
from longpin.runner.c_source.text import CNames, c_string, in_comment
from longpin.runner.c_source.write import write_c
from longpin.runner.commands.cli import main
from longpin.runner.races.generate import generate

COMPILER = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler: none of cc, gcc, clang in PATH")

HEAD = """
name = "test"
policy = "P0"
[machine]
lease_break_time = 1
[[file]]
path = "/d/f"
size = "2 * PAGE"
"""


def compiled(text: str, folder: Path) -> Path:
    """Compile C as a reader of a mail would, with warnings as errors."""
    source, program = folder / "race.c", folder / "race"
    source.write_text(text, encoding="ascii")
    command = [str(COMPILER), "-Wall", "-Wextra", "-Werror", "-O2", "-o", str(program), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return program


def ran(text: str, folder: Path, seconds: float = 0.5) -> tuple[int, list[str]]:
    """Compile a scenario and run it; return its exit status and what it says."""
    program = compiled(write_c(parse_scenario(text, "test.toml")), folder)
    done = subprocess.run([program, str(seconds)], capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def process(name: str, program: str, more: str = "") -> str:
    return f"[[process]]\nname = \"{name}\"\nprogram = '''\n{program}\n'''\n{more}\n"


NASTY = '?\x3f/ "quoted" \\ \\n %s %n \0 \x01 \x7f \u00e9 \u202e */ /* ?\x3f> 7\x008'


def test_a_string_arrives_as_it_is(tmp_path: Path) -> None:
    for text in (NASTY, "", "\\", "\x00" + "1" * 9):
        literal = c_string(text)
        length = len(text.encode())
        program = (
            f"#include <stdio.h>\nint main(void) {{ return fwrite({literal}, 1, {length}, stdout) != {length}; }}\n"
        )
        done = subprocess.run([compiled(program, tmp_path)], capture_output=True, timeout=20)
        assert done.stdout == text.encode()
        assert "??" not in literal
        assert literal.isascii()


@pytest.mark.parametrize("text", [NASTY, "*/ int x; /*", "a\\", "?\x3f/", "x\n*/\ny", "\u2028*/"])
def test_a_comment_cannot_be_ended(text: str, tmp_path: Path) -> None:
    line = in_comment(text)
    assert "*/" not in line
    assert line.isascii()
    assert line.isprintable()
    compiled(f"/* {line}\n */\nint main(void) {{ return 0; }}\n", tmp_path)


def test_names_are_identifiers_and_none_is_given_twice() -> None:
    names = CNames("v_")
    found = [names[name] for name in ("a-b", "a.b", "a_b", "int", "\u00e9", "\u00e8", "a-b")]
    assert found == ["v_a_b", "v_a_b__2", "v_a_b__3", "v_int", "v__", "v____2", "v_a_b"]


def test_text_of_a_scenario_is_never_code(tmp_path: Path) -> None:
    nasty = '*/ @FILES@ \\" ?\x3f/ @EXECUTED@ %s'
    text = f'name = "x {nasty}"\nsummary = "{nasty}"\nsource = "{nasty}"\npolicy = "P0"\n' + (
        '[[file]]\npath = "/*/ @PATIENCE@ %n ?\x3f/x"\n'
        + process(
            "a.b-c", 'label("@FILES@ */", 3)\nwait_for("@FILES@ */")  # -> 3\nstat("/*/ @PATIENCE@ %n ?\x3f/x")  # -> 0'
        )
    )
    status, lines = ran(text, tmp_path)
    assert status == 0
    assert lines[-1] == "as expected"
    assert lines[2] == 'a.b-c          12 stat("/*/ @PATIENCE@ %n ?\x3f/x") = 0'


EVERY_CALL = process(
    "p",
    """
a = open("/d/f", O_RDWR)                       # -> 3
open("/d/none", O_RDONLY)                      # -> ENOENT
open("/d/new", O_RDWR | O_CREAT | O_EXCL)      # -> 4
b = dup(a)                                     # -> 5
dup2(a, 9)                                     # -> 9
write(a, b"he\\x00llo??/")                      # -> 9
lseek(a, 1 * 1)                                # -> 1
x = read(a, 4)                                 # -> b"e\\x00ll"
write(a, x)                                    # -> 4
read(a, a - b)                                 # -> EFAULT (2^64 - 1 bytes)
ftruncate(a, 2 * PAGE)                         # -> 0
truncate("/d/f", 100)                          # -> 0
stat("/d/f")                                   # -> 100
link("/d/f", "/d/g")                           # -> 0
rename("/d/g", "/d/h")                         # -> 0
unlink("/d/h")                                 # -> 0
mkdir("/d/e")                                  # -> 0
mkdir("/d/m", 0o700)                           # -> 0
chmod("/d/f", 0o600)                           # -> 0
utimes("/d/f")                                 # -> 0
access("/d/f", R_OK | W_OK)                    # -> 0
fallocate(a, FALLOC_FL_KEEP_SIZE, 0, PAGE)     # -> 0
fsync(a)                                       # -> 0
flock(a, LOCK_EX | LOCK_NB)                    # -> 0
r = pipe()                                     # -> 6
write(pipe_w, "xyz")                           # -> 3
read(r, 10)                                    # -> b"xyz"
execve("/d/f")                                 # -> EACCES
fcntl(a, F_SETLEASE, F_LAYOUT)                 # -> EINVAL
fcntl(a, F_SETSIG, SIGUSR1)                    # -> 0
fcntl(a, F_SETOWN, 0 - 100)                    # -> 0
fcntl(a, F_GETOWN)                             # -> -100
fcntl(a, F_SETOWN, 0 - 2147483648)             # -> EINVAL
fcntl(a, F_SETOWN, 12345)                      # -> ESRCH
fcntl(a, F_SETOWN_EX, F_OWNER_PID, 100)        # -> 0
fcntl(a, F_GETOWN_EX)                          # -> 100
fcntl(a, F_SETFL, O_APPEND)                    # -> 0
fcntl(a, F_DUPFD, 20)                          # -> 20
m = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0)
store(m, "mapped")                             # -> 0
load(m, 6)                                     # -> b"mapped"
munmap(m, PAGE)                                # -> 0
for i in range(3):
    lseek(a, i * 10)
lseek(a, i)                                    # -> 2
getpid()                                       # -> 100
sigprocmask(SIG_BLOCK, SIGUSR2)                # -> 0
kill("p", SIGUSR2)                             # -> 0
sigtimedwait()                                 # -> SIGUSR2
sigtimedwait()                                 # -> EAGAIN
sigaction(SIGTERM, SIG_IGN)                    # -> 0
sigaction(SIGUSR1, SIG_HANDLER, SA_RESTART)    # -> 0
kill(100, SIGUSR1)                             # -> 0
lseek(a, si_signo)                             # -> 10
n = fork("child")                              # -> 10001
d = recv_fd()                                  # -> ok
label("mine", n)                               # -> 0
sleep(0)                                       # -> 0
wait_for("theirs")                             # -> 7
kill("child", 0)                               # -> 0
send_fd(n, d)                                  # -> 0
exit(3)
""",
    "on_signal.SIGUSR1 = '''\ngetpid()  # -> 100\n'''",
) + process(
    "child",
    """
send_fd("p", a)                                # -> 0
wait_for("mine")                               # -> 10001
recv_fd(MSG_DONTWAIT)
label("theirs", 7)
pause()                                        # -> hangs
""",
    'start = "fork"',
)


def test_every_call_is_made_and_judged(tmp_path: Path) -> None:
    status, lines = ran(HEAD + EVERY_CALL, tmp_path)
    assert lines[-1] == "as expected", "\n".join(lines)
    assert status == 0
    assert any(line.startswith("child") and line.endswith("sleeps for ever") for line in lines)
    assert any(line.startswith("p ") and line.endswith("exits with 3") for line in lines)


def test_what_is_not_as_expected_is_said_and_so_is_what_was_not_reached(tmp_path: Path) -> None:
    wrong = process("p", 'open("/d/f", O_RDONLY)  # -> EACCES\npause()\nclose(3)  # -> 0')
    status, lines = ran(HEAD + wrong, tmp_path)
    assert status == 1
    assert lines[-3].startswith('line 12: expected EACCES: p              12 open("/d/f", O_RDONLY) = 3')
    assert lines[-2:] == ["line 14 was not reached: close(3)", "not as expected"]
    status, lines = ran(HEAD + process("p", "pause()  # -> hangs\nclose(3)  # -> 0"), tmp_path)
    assert (status, lines[-1]) == (3, "not played to its end")
    status, lines = ran(HEAD + process("p", "close(3)  # P5 -> ok; P0 -> EBADF"), tmp_path)
    assert (status, lines[-1]) == (0, "as expected")
    status, lines = ran(HEAD + process("p", "close(3)  # P5 -> ok"), tmp_path)
    assert (status, lines[-1]) == (0, "nothing was expected")


@pytest.mark.parametrize("outcome", ["0", "hangs"])
def test_what_a_call_returns_that_stops_its_process_is_not_known(outcome: str, tmp_path: Path) -> None:
    status, lines = ran(HEAD + process("p", f"kill(100, SIGSTOP)  # -> {outcome}"), tmp_path)
    assert (status, lines[-1]) == (3, "not played to its end")
    assert "p            is stopped" in lines


def test_exec_keeps_variables_and_what_does_not_close_on_exec(tmp_path: Path) -> None:
    first = """
a = open("/d/f", O_RDWR)                       # -> 3
b = open("/d/f", O_RDONLY | O_CLOEXEC)         # -> 4
sigaction(SIGUSR2, SIG_IGN)                    # -> 0
exec("other")                                  # -> hangs
"""
    second = """
lseek(a, a)                                    # -> 3
lseek(b, 0)                                    # -> EBADF
getpid()                                       # -> 100
kill(100, SIGUSR2)                             # -> 0
kill(100, SIGUSR1)                             # -> 0
"""
    handler = "on_signal.SIGUSR1 = 'lseek(a, 5)  # -> 5'\n"
    text = HEAD + process("p", first) + process("other", second, 'start = "fork"\n' + handler)
    status, lines = ran(text, tmp_path)
    assert (status, lines[-1]) == (0, "as expected"), "\n".join(lines)


LEASE = (
    process(
        "holder",
        """
a = open("/d/f", O_RDONLY)
fcntl(a, F_SETSIG, SIGIO)
fcntl(a, F_SETLEASE, F_RDLCK)                  # -> 0
fork("child")
label("leased")
wait_for("told")
""",
        """on_signal.SIGIO = '''
fcntl(si_fd, F_SETLEASE, F_UNLCK)              # -> 0
label("told")
'''""",
    )
    + process("child", "wait_for('told')\nexit(4)", 'start = "fork"')
    + process("writer", 'wait_for("leased")\nopen("/d/f", O_WRONLY)  # -> blocks, ok\npause()  # -> hangs')
)


def test_a_lease_is_broken_in_a_handler_and_ends_are_told(tmp_path: Path) -> None:
    status, lines = ran(HEAD + LEASE, tmp_path)
    assert (status, lines[-1]) == (0, "as expected"), "\n".join(lines)
    assert any("I/O possible, si_fd 3" in line for line in lines)
    assert [line.split(None, 1)[1] for line in lines if line.split()[0] == "child"][-1] == "exits with 4"
    assert [line.split(None, 1)[1] for line in lines if line.split()[0] == "writer"][-1] == "sleeps for ever"


def test_verbs_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    text = write_c(load_scenario("layout-lease-answered"))
    compiled(text, tmp_path)
    assert "Left out: verbs need an RDMA device" in text
    assert "#define F_LAYOUT 16" in text
    assert "ibv_" not in "".join(line for line in text.splitlines() if "CALL(" in line)


@pytest.mark.parametrize("name", ["late-pin", "close-fork-kill", "stray-dma"])
def test_shipped_scenarios_compile(name: str, tmp_path: Path) -> None:
    compiled(write_c(load_scenario(name)), tmp_path)


@pytest.mark.heavy
@pytest.mark.parametrize("name", shipped_scenarios())
def test_every_shipped_scenario_compiles(name: str, tmp_path: Path) -> None:
    compiled(write_c(load_scenario(name)), tmp_path)


@pytest.mark.heavy
def test_random_scenarios_compile(tmp_path: Path) -> None:
    for index in range(100):
        compiled(write_c(parse_scenario(generate(2, index), "x.toml")), tmp_path)


# The command.


def show(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["show", *arguments])


def test_it_is_written_to_standard_output_or_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "race.c"
    printed = show("lease-shared", "--as", "c")
    written = show("lease-shared", "--as", "c", "-o", str(file))
    assert printed.exit_code == written.exit_code == 0
    assert printed.stdout == file.read_text() == write_c(load_scenario("lease-shared"))
    assert not written.output


def test_a_file_that_cannot_be_written_keeps_what_it_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "race.c"
    file.write_text("mine")

    def full(_path: Path, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    refused = show("lease-shared", "--as", "c", "-o", str(file))
    assert (refused.exit_code, refused.stderr) == (2, f"longpin: {file}: cannot be written: No space left on device\n")
    assert (file.read_text(), list(tmp_path.iterdir())) == ("mine", [file])


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    scenario = tmp_path / "mine.toml"
    scenario.write_text(HEAD + process("p", "pause()"))
    for arguments in (
        ["no-such", "--as", "c"],
        [str(scenario), "--as", "c", "-o", str(scenario)],
        [str(scenario), "--as", "c", "-o", str(tmp_path / "none" / "x.c")],
    ):
        refused = show(*arguments)
        assert refused.exit_code == 2
        assert len(refused.stderr.splitlines()) == 1
    assert scenario.read_text().startswith(HEAD)
    assert show(str(scenario), "--as", "rust").exit_code == 2
