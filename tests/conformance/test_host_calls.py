"""The same program on the kernel of this machine and in the emulator: every call must return the same.

No lease is taken here, and everything is in one process, so nothing depends on time or on order.
"""

import os

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner.host.run import run_on_host
from longpin.runner.run import Settings
from longpin.runner.run import run as run_emulated

FILES = """
[[file]]
path = "/f"
size = "2 * PAGE"
[[file]]
path = "/g"
[[file]]
path = "/own"
uid = 1000
mode = 0o400
"""
MADE_AGAIN = 'x = open("/f", O_RDWR | O_CREAT)\nclose(x)\nx = open("/g", O_RDWR | O_CREAT)\nclose(x)'


def longest(length: int, name: str) -> str:
    """Return a path of so many bytes that leads to a name in the root."""
    return "/." * ((length - len(name) - 1) // 2) + "/" * ((length - len(name) - 1) % 2) + f"/{name}"


PATHS = [
    "/f", "/d", "/", "/new", "/new/", "/f/", "/d/", "/f/.", "/f/..", "/f/x", "/d/../f", "/d/.", "/d/..", "//f", "/../f",
    "f", "./f", "", ".", "/d/x", "/d/x/", "/none/../x", "/" + "a" * 255, "/" + "a" * 256, "/f/" + "a" * 256,
    longest(4095, "f"), longest(4096, "f"), longest(4095, "new"),
]  # fmt: skip
DESCRIPTORS = [
    f"/proc/self/fd/{name}" for name in ("3", "4", "5", "7", "8", "9", "99", "x", "03", "3/", "7/", "7/x", "3/x", "99/")
]
ON_PATHS = [
    'stat("{0}")', 'access("{0}", W_OK)', 'access("{0}", 8)', 'chmod("{0}", 0o777)', 'chown("{0}", 0)', 'utimes("{0}")',
    'setxattr("{0}")', 'truncate("{0}", 100)', 'execve("{0}")', 'open("{0}", O_CREAT | O_DIRECTORY)',
    'x = open("{0}", O_RDONLY)\nclose(x)', 'x = open("{0}", O_RDWR)\nclose(x)', 'x = open("{0}", O_ACCMODE)\nclose(x)',
    'x = open("{0}", O_PATH | O_RDWR | O_CREAT)\nclose(x)', 'x = open("{0}", O_TMPFILE | O_RDWR, 0o600)\nclose(x)',
    'x = open("{0}", O_RDWR | O_CREAT | O_EXCL)\nclose(x)\nx = open("{0}", O_RDWR | O_CREAT)\nclose(x)',
    f'link("/g", "{{0}}")\nlink("{{0}}", "/made")\nunlink("{{0}}")\nunlink("/made")\n{MADE_AGAIN}',
    f'rename("/g", "{{0}}")\nrename("{{0}}", "/g")\n{MADE_AGAIN}',
    'rename("/e", "{0}")\nrename("{0}", "/e")\nmkdir("{0}")\nmkdir("/e")\nmkdir("/d")',
]  # fmt: skip

OPENED = """
fd = open("/f", O_RDWR)
gone = open("/gone", O_RDWR | O_CREAT)
unlink("/gone")
r = pipe()
mkdir("/d")
mkdir("/e")
dir = open("/d", O_RDONLY)
path = open("/f", O_PATH)
dirpath = open("/d", O_PATH)
"""

HIGH = 1 << 32
LOCKS = [
    f"flock({fd}, {how})"
    for fd in ("fd", "r", "x", "dir", "path", "99")
    for how in (0, 1, 3, 4, 8, 9, 12, 16, 32, 33, 64, 96, 256, -1, HIGH)
]
COMMANDS = [
    f"fcntl({fd}, {cmd}, {arg})"
    for fd in ("fd", "path", "99")
    for cmd in ("F_SETSIG", "F_GETSIG")
    for arg in (0, 65, -1, HIGH, HIGH + 10)
]
NUMBERS = f"""
x = open("/f", O_ACCMODE)
r = open("/f", O_RDONLY)
w = open("/f", O_WRONLY)
read(fd, -1)
read(w, -1)
read(dir, -1)
read(dir, 1)
read(x, 1)
read(fd + {HIGH}, 2)
write(dir, "x")
write(x, "x")
lseek(dir, 5)
lseek(dir, -1)
lseek(5, 0)
ftruncate(dir, 0)
ftruncate(5, 0)
ftruncate(r, 0)
ftruncate(99, -1)
fallocate(fd, {HIGH}, 0, 10)
fallocate(fd, 0, 9223372036854775807, 1)
fallocate(dir, 0, 0, 10)
fallocate(5, 0, 0, 10)
fallocate(6, 0, 0, 10)
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 2 * PAGE)
fsync(dir)
fsync(5)
fsync(path)
dup(-1)
dup2(fd, -1)
dup2(fd, 1024)
dup2({HIGH} + 3, {HIGH} + 30)
close({HIGH} + 30)
close(30)
chown("/f", -1)
chown("/f", {HIGH} + 7)
chmod("/f", 65536 + 0o644)
setfsuid(-1)
setfsuid({HIGH} + 7)
utimes("/f")
open("/f", O_RDWR + {HIGH})
setfsuid(0)
setuid(-1)
mmap(-1, PROT_READ, MAP_SHARED, r, 0)
mmap(-1, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0)
mmap(0, PROT_READ, MAP_SHARED, r, 0)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0)
mmap(PAGE, PROT_READ, MAP_SHARED, r, -PAGE)
mmap(PAGE, PROT_READ, MAP_SHARED, r, -1)
mmap(PAGE, PROT_READ, MAP_SHARED, 99, 1)
mmap(PAGE, PROT_READ, MAP_SHARED, 99, 0)
mmap(PAGE, PROT_READ, MAP_SHARED, x, 0)
mmap(PAGE, PROT_READ, MAP_SHARED, path, 0)
mmap(PAGE, PROT_READ, MAP_SHARED, dir, 0)
mmap(2 * PAGE, PROT_READ, MAP_SHARED, r, 9223372036854767616)
"""
MEMORY = """
buf = mmap(8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "head")
munmap(buf, 0)
munmap(buf + 1, PAGE)
munmap(buf, -1)
munmap(buf + 3 * PAGE, PAGE)
munmap(buf + 3 * PAGE, 1)
munmap(buf + 2 * PAGE, PAGE + 1)
munmap(buf + 7 * PAGE, PAGE)
load(buf, 4)
munmap(buf, 8 * PAGE)
munmap(buf, 8 * PAGE)
munmap(0, PAGE)
munmap(-PAGE, PAGE)
munmap(140737488351232, PAGE)
"""
TO_OTHERS = """
send_fd(999, 99)
send_fd(999, fd)
send_fd(100, 99)
send_fd(100, path)
recv_fd()
recv_fd(MSG_DONTWAIT)
"""
BY_ANOTHER = """
chmod("/f", 0o666)
chown("/f", -1)
chown("/f", 0)
chown("/own", 1000)
utimes("/own")
setxattr("/own")
utimes("/f")
mkdir("/d")
chmod("/d", 0o500)
open("/d/x", O_CREAT | O_RDWR)
mkdir("/d/x")
link("/own", "/d/y")
rename("/own", "/d/y")
chmod("/d", 0o600)
stat("/d/x")
open("/d", O_RDONLY)
chmod("/d", 0o300)
open("/d", O_RDONLY)
open("/d", O_PATH)
open("/d/x", O_CREAT | O_RDWR)
chmod("/", 0o700)
utimes("/")
rename("/d", "/z")
access("/z", R_OK)
r = pipe()
chown("/proc/self/fd/3", 0)
open("/g", O_ACCMODE)
unlink("/g")
"""


def compare(program: str, more: str = "") -> None:
    """Run a program here and there."""
    text = f"name = \"x\"\npolicy = \"P0\"\n{FILES}\n[[process]]\nname = \"a\"\nprogram = '''\n{program}\n'''\n{more}"
    scenario = parse_scenario(text, "x.toml")
    here, there = run_on_host(scenario, "x.toml"), run_emulated(scenario, Settings.of(scenario))
    lines = text.splitlines()
    found = [
        [(call.line, lines[call.line - 1], call.errno or call.ret) for call in result.calls] for result in (here, there)
    ]
    assert len(found[0]) == len(found[1])
    different = [(one, other) for one, other in zip(*found, strict=True) if one != other and "= mmap" not in one[1]]
    assert not different
    assert not here.violations, "an errno that no manual page has"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_every_call_on_every_kind_of_path() -> None:
    compare(OPENED + "\n".join(call.format(path) for call in ON_PATHS for path in (*PATHS, *DESCRIPTORS)))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_numbers_that_no_call_expects_and_any_pages() -> None:
    compare(OPENED + NUMBERS + MEMORY + TO_OTHERS + "\n".join([*LOCKS, *COMMANDS]))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_another_user_may_do() -> None:
    compare(BY_ANOTHER, "uid = 1000")
