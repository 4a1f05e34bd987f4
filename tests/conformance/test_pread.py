"""pread(2) and pwrite(2) in the emulator, in real processes, in C and in random programs. Each line was measured."""

import shutil
import subprocess
from pathlib import Path

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner.c_source.write import write_c
from longpin.runner.conform.check import Agreement, check_one
from longpin.runner.conform.emulated import EmulatedRunner
from longpin.runner.conform.generate import generate
from longpin.runner.conform.host import HostRunner
from longpin.runner.conform.program import ConformProgram, make_op
from longpin.runner.host.run import run_on_host
from longpin.runner.result import Verdict
from longpin.runner.run import Settings, run

COMPILER = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)

SCENARIO = parse_scenario(
    """
name = "offsets"
policy = "P0"
holds = ["O7"]
[[file]]
path = "/f"
[[process]]
name = "a"
program = '''
mkdir("/d")
fd = open("/f", O_RDWR)                  # -> 3
w = open("/f", O_WRONLY)
r = open("/f", O_RDONLY)
d = open("/d", O_RDONLY)
path = open("/f", O_PATH)
none = open("/f", O_ACCMODE)
end = open("/f", O_RDWR | O_APPEND)
out = pipe()
write(fd, "hello")                       # -> 5
pread(99, 1, -1)                         # -> EINVAL (before the descriptor)
pread(99, 1, 0)                          # -> EBADF
pread(path, 1, 0)                        # -> EBADF
pread(w, 1, 0)                           # -> EBADF
pread(none, 1, 0)                        # -> EBADF
pread(d, 1, 0)                           # -> EISDIR
pread(d, 1, 9223372036854775807)         # -> EINVAL (the range before the folder)
lseek(d, 9223372036854775807)            # -> 9223372036854775807
read(d, 1)                               # -> EINVAL
read(d, 0)                               # -> EISDIR
pread(out, 1, 0)                         # -> ESPIPE
pread(pipe_w, 1, 0)                      # -> ESPIPE (before the access mode)
pread(fd, 3, 1)                          # -> b"ell"
pread(fd, 3, 5)                          # -> b""
pread(fd, 0, 100)                        # -> b""
pread(fd, 10, 9223372036854775807)       # -> EINVAL
pwrite(r, "x", -1)                       # -> EINVAL
pwrite(r, "x", 0)                        # -> EBADF
pwrite(d, "x", 0)                        # -> EBADF
pwrite(none, "x", 0)                     # -> EBADF
pwrite(out, "x", 0)                      # -> ESPIPE
pwrite(fd, "XY", 1)                      # -> 2
pwrite(fd, "Z", 10)                      # -> 1 (behind a hole)
pwrite(fd, "", 100)                      # -> 0
pwrite(fd, "x", 9223372036854775807)     # -> EINVAL
pwrite(end, "A", 0)                      # -> 1 (at the end, whatever the offset)
data = pread(fd, 100, 0)                 # -> b"hXYlo\\x00\\x00\\x00\\x00\\x00ZA"
pwrite(fd, data, 4096)                   # -> 12
stat("/f")                               # -> 4108
write(fd, "!")                           # -> 1
pread(fd, 2, 4)                          # -> b"o!" (the position was 5 still)
pread(fd, 4611686018427387904, 0)        # -> EFAULT (more than an address space)
pread(fd, 100000, 4107)                  # -> b"A"
pread(fd, -1, 0)                         # -> EFAULT (2^64 - 1 bytes)
'''
""",
    "offsets.toml",
)


def test_in_the_emulator() -> None:
    assert run(SCENARIO, Settings.of(SCENARIO)).verdict is Verdict.HOLDS


def test_in_a_real_process() -> None:
    assert run_on_host(SCENARIO, "offsets.toml").verdict is Verdict.HOLDS


@pytest.mark.skipif(COMPILER is None, reason="no C compiler: none of cc, gcc, clang in PATH")
def test_in_a_c_program(tmp_path: Path) -> None:
    (tmp_path / "race.c").write_text(write_c(SCENARIO), encoding="ascii")
    subprocess.run(
        [str(COMPILER), "-Wall", "-Wextra", "-Werror", "-O2", "-o", "race", "race.c"], cwd=tmp_path, check=True
    )
    done = subprocess.run([tmp_path / "race", "0.5"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_in_programs_of_conformance(host: HostRunner) -> None:
    """The random ones have both; the numbers that are cut or refused reach the kernel as they are."""
    made = {op.op for index in range(100) for op in generate(1, index).ops}
    assert {"pread", "pwrite"} <= made
    program = ConformProgram(
        "offsets",
        (
            make_op("*", "create", path="f"),
            make_op("A", "open", {"path": "f", "flags": "O_RDWR", "as": "x"}),
            make_op("A", "pwrite", fd="x", data=3, offset=8190),
            make_op("A", "pread", fd="x+2^32", count=5, offset=8189),
            make_op("A", "pread", fd="x", count=(1 << 64) - 1, offset=0),
            make_op("A", "pwrite", fd="x", data=1, offset=-(1 << 63)),
        ),
    )
    assert check_one(program, host, EmulatedRunner()).agreement is Agreement.AGREES
