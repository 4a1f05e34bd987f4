"""Calls that move bytes between memory, files, pipes and processes, in the emulator, in real processes and in C.

Each line was measured on Linux 6.18.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner.c_source.write import write_c
from longpin.runner.host.run import run_on_host
from longpin.runner.machine.processes import HostError
from longpin.runner.result import Verdict
from longpin.runner.run import Settings, run

COMPILER = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)

HEAD = """
name = "transfers"
policy = "P0"
holds = ["O7"]
[[file]]
path = "/f"
size = "2 * PAGE"
"""
SCENARIO = parse_scenario(
    HEAD
    + """
[[process]]
name = "a"
program = '''
fd = open("/f", O_RDWR)
r = open("/f", O_RDONLY)
w = open("/f", O_WRONLY)
d = open("/f", O_RDWR | O_DIRECT)
m = memfd_create("guest", MFD_CLOEXEC)
p = pipe()
x = mmap(5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
munmap(x + 4 * PAGE, PAGE)                             # -> 0
store(x + PAGE - 2, "abcd")
pwritev(fd, x + PAGE - 2, 4, 100)                      # -> 4
pread(fd, 4, 100)                                      # -> b"abcd"
preadv(fd, x, 3, 101)                                  # -> 3
load(x, 4)                                             # -> b"bcd\\x00"
preadv(fd, x, PAGE, 2 * PAGE - 1)                      # -> 1
preadv(fd, x, PAGE, 2 * PAGE)                          # -> 0
preadv(fd, x, 4, -1)                                # -> EINVAL
preadv(fd, x, -1, 0)                                # -> EINVAL
preadv(fd, PAGE, 4, 0)                                 # -> EFAULT
preadv(fd, PAGE, 0, 0)                                 # -> 0
preadv(fd, PAGE, 4, 3 * PAGE)                          # -> 0
preadv(fd, x + 3 * PAGE, 2 * PAGE, 0)                  # -> 4096
preadv(w, x, 4, 0)                                     # -> EBADF
preadv(p, x, 4, 0)                                     # -> ESPIPE
pwritev(r, x, 4, 0)                                    # -> EBADF
pwritev(fd, PAGE, 4, 0)                                # -> EFAULT
pwritev(fd, x + 3 * PAGE, 2 * PAGE, PAGE)              # -> 4096
pwritev(d, x, PAGE, 2 * PAGE)                          # -> 4096
preadv(d, x + 2 * PAGE, PAGE, 2 * PAGE)                # -> 4096
load(x + 2 * PAGE, 1)                                  # -> b"\\x00"
stat("/f")                                             # -> 12288
ftruncate(m, PAGE)                                     # -> 0
s = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0)
store(s, "shared")                                     # -> 0
pread(m, 6, 0)                                         # -> b"shared"
vmsplice(pipe_w, s, 6)                                 # -> 6
write(pipe_w, " and ")                                 # -> 5
vmsplice(pipe_w, x + PAGE - 2, 4)                      # -> 4
store(s, "SHARED")                                     # -> 0
read(p, 100)                                           # -> b"SHARED and abcd"
vmsplice(fd, x, 4)                                     # -> EBADF
vmsplice(fd, x, 0)                                     # -> 0
vmsplice(pipe_w, PAGE, 4)                              # -> EFAULT
vmsplice(pipe_w, x, 4 * PAGE, SPLICE_F_NONBLOCK)       # -> 16384
read(p, 65536)                                         # -> ok
label("ready", x)
wait_for("done")
load(x, 4)                                             # -> b"hers"
'''
[[process]]
name = "b"
program = '''
at = wait_for("ready")
process_vm_readv("a", PAGE, 4)                         # -> EFAULT
process_vm_readv("a", PAGE, 0)                         # -> b""
process_vm_readv(99999, PAGE, 4)                       # -> ESRCH
process_vm_writev("a", PAGE, "hers")                   # -> EFAULT
process_vm_writev("a", at, "hers")                # -> 4
process_vm_readv("a", at, 4)                      # -> b"hers"
label("done")
'''
""",
    "transfers.toml",
)


def test_in_the_emulator() -> None:
    result = run(SCENARIO, Settings.of(SCENARIO))
    assert result.verdict is Verdict.HOLDS, result.violations


def test_in_real_processes() -> None:
    result = run_on_host(SCENARIO, "transfers.toml")
    assert result.verdict is Verdict.HOLDS, result.violations


@pytest.mark.skipif(COMPILER is None, reason="no C compiler: none of cc, gcc, clang in PATH")
def test_in_a_c_program(tmp_path: Path) -> None:
    (tmp_path / "race.c").write_text(write_c(SCENARIO), encoding="ascii")
    subprocess.run(
        [str(COMPILER), "-Wall", "-Wextra", "-Werror", "-O2", "-o", "race", "race.c"], cwd=tmp_path, check=True
    )
    done = subprocess.run([tmp_path / "race", "0.5"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize(
    "call",
    [
        "vmsplice(pipe_w, 94000000000000, 4)",
        "preadv(fd, 94000000000000, 4, 0)",
        "pwritev(fd, 94000000000000, 4, 0)",
        'process_vm_readv("a", 94000000000000, 4)',
        'process_vm_writev("a", 94000000000000, "mine")',
    ],
)
def test_no_program_reaches_memory_that_is_not_its_own(call: str) -> None:
    text = f"{HEAD}[[process]]\nname = \"a\"\nprogram = '''\nfd = open(\"/f\", O_RDWR)\np = pipe()\n{call}\n'''\n"
    with pytest.raises(HostError, match=f"{call.partition('(')[0]} of memory that is not the program's own"):
        run_on_host(parse_scenario(text, "x.toml"), "x.toml")
