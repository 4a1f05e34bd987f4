"""Calls on memory in the emulator, in real processes and in C: the same scenario. Each line was measured."""

import shutil
import subprocess
from pathlib import Path

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner.c_source.write import write_c
from longpin.runner.host.run import run_on_host
from longpin.runner.result import Verdict
from longpin.runner.run import Settings, run

COMPILER = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)

SCENARIO = parse_scenario(
    """
name = "memory"
policy = "P0"
holds = ["O7"]
[[file]]
path = "/f"
size = "2 * PAGE"
[[process]]
name = "a"
program = '''
fd = open("/f", O_RDWR)
r = open("/f", O_RDONLY)
mmap(0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)                     # -> EINVAL
mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1)                  # -> EINVAL
mmap(PAGE, PROT_READ, MAP_PRIVATE, -1, 0)                                  # -> EBADF
mmap(PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0)                                # -> EINVAL (no type)
mmap(PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0)          # -> EINVAL
mmap(PAGE, PROT_READ, MAP_SHARED_VALIDATE | 2097152, fd, 0)                # -> EOPNOTSUPP (nobody knows it)
mmap(PAGE, PROT_READ, MAP_SHARED | 2097152, fd, 0)                         # -> ok
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0)                       # -> EACCES
x = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)
load(x, 2)                                                                 # -> b"\\x00\\x00"
store(x, "anonymous")                                                      # -> 0
munmap(x + 2 * PAGE, PAGE)                                                 # -> 0
mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0, x)              # -> EEXIST
y = mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, x + 2 * PAGE)         # -> ok
mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, x + 1)                    # -> EINVAL
p = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)
store(p, "mine")                                                           # -> 0
pread(fd, 4, 0)                                                            # -> b"\\x00\\x00\\x00\\x00"
ftruncate(fd, 0)                                                           # -> 0
ftruncate(fd, 2 * PAGE)                                                    # -> 0
load(p, 4)                                                                 # -> b"\\x00\\x00\\x00\\x00"
store(p, "mine")                                                           # -> 0
madvise(p, PAGE, MADV_DONTNEED)                                            # -> 0
load(p, 4)                                                                 # -> b"\\x00\\x00\\x00\\x00"
madvise(p + 1, PAGE, MADV_DONTNEED)                                        # -> EINVAL
madvise(p, PAGE, MADV_REMOVE)                                              # -> EACCES
madvise(x, PAGE, MADV_REMOVE)                                              # -> EINVAL
s = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(s, "file")                                                           # -> 0
msync(s, PAGE, MS_SYNC)                                                    # -> 0
msync(s, PAGE, MS_SYNC | MS_ASYNC)                                         # -> EINVAL
madvise(s, PAGE, MADV_REMOVE)                                              # -> 0
pread(fd, 4, 0)                                                            # -> b"\\x00\\x00\\x00\\x00"
o = mmap(PAGE, PROT_READ, MAP_SHARED, r, 0)
mprotect(o, PAGE, PROT_READ | PROT_WRITE)                                  # -> EACCES
mprotect(o + 1, PAGE, PROT_READ)                                           # -> EINVAL
mprotect(x, PAGE, PROT_READ)                                               # -> 0
load(x, 9)                                                                 # -> b"anonymous"
mprotect(x, PAGE, PROT_READ | PROT_WRITE)                                  # -> 0
store(x, "A")                                                              # -> 0
munmap(y, PAGE)                                                            # -> 0
mprotect(x, 3 * PAGE, PROT_READ | PROT_WRITE)                              # -> ENOMEM
mlock(x, PAGE)                                                             # -> 0
madvise(x, PAGE, MADV_DONTNEED)                                            # -> EINVAL
msync(x, PAGE, MS_INVALIDATE)                                              # -> EBUSY
munlock(x, PAGE)                                                           # -> 0
m = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
store(m + PAGE, "moves")                                                   # -> 0
mremap(m, 2 * PAGE, 0, 0)                                                  # -> EINVAL
mremap(m, 2 * PAGE, PAGE, MREMAP_FIXED, x)                                 # -> EINVAL
m = mremap(m, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE)
load(m + PAGE, 5)                                                          # -> b"moves"
m = mremap(m, 64 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, x)
load(x + PAGE, 5)                                                          # -> b"moves"
mremap(m, PAGE, PAGE, 0)                                                   # -> ok
munmap(m, 2 * PAGE)                                                        # -> 0
mremap(m, PAGE, PAGE, 0)                                                   # -> EFAULT
'''
""",
    "memory.toml",
)


def test_in_the_emulator() -> None:
    result = run(SCENARIO, Settings.of(SCENARIO))
    assert result.verdict is Verdict.HOLDS, result.violations


def test_in_a_real_process() -> None:
    result = run_on_host(SCENARIO, "memory.toml")
    assert result.verdict is Verdict.HOLDS, result.violations


@pytest.mark.skipif(COMPILER is None, reason="no C compiler: none of cc, gcc, clang in PATH")
def test_in_a_c_program(tmp_path: Path) -> None:
    (tmp_path / "race.c").write_text(write_c(SCENARIO), encoding="ascii")
    subprocess.run(
        [str(COMPILER), "-Wall", "-Wextra", "-Werror", "-O2", "-o", "race", "race.c"], cwd=tmp_path, check=True
    )
    done = subprocess.run([tmp_path / "race", "0.5"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
