"""vmsplice(2), process_vm_readv(2), process_vm_writev(2): pages that are referenced for as long as a transfer takes."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

HEAD = """
[[file]]
path = "/f"
size = "16 * PAGE"
"""
OPEN = 'fd = open("/f", O_RDWR)\n'
SHARED = f"{OPEN}buf = mmap(16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n"
SHARED_READ = f"{OPEN}buf = mmap(16 * PAGE, PROT_READ, MAP_SHARED, fd, 0)\n"
PRIVATE = f"{OPEN}buf = mmap(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)\n"
PRIVATE_WRITTEN = PRIVATE + 'for i in range(16):\n    store(buf + i * PAGE, "x")\n'
ANONYMOUS = "buf = mmap(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)\n"

MEMORY = {
    "shared": (SHARED, "4096"),
    "shared, read only": (SHARED_READ, "EFAULT"),
    "private": (PRIVATE, "4096"),
    "private, one page written": (f'{PRIVATE}store(buf, "x")\n', "4096"),
    "private, all pages written": (PRIVATE_WRITTEN, "4096"),
    "anonymous": (ANONYMOUS, "4096"),
}
"""How a buffer is mapped, and what process_vm_writev(2) of a page into it returns: facts of all measured kernels."""


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.18", "7.2"])
@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("file_system", ["xfs", "ext4"])
def test_what_was_measured(play: Play, memory: str, kernel: str, file_system: str) -> None:
    lines, written = MEMORY[memory]
    play(
        f"P0,kernel={kernel}",
        head=f'[[pmem]]\nname = "p"\nfile_system = "{file_system}"\n{HEAD}',
        seeds=(),
        a=f"""
{lines}
r = pipe()
vmsplice(pipe_w, buf, 2 * PAGE)                         # -> 8192
mlock(buf, 16 * PAGE)                                   # -> 0
label("ready")
wait_for("done")
""",
        b=f"""
wait_for("ready")
process_vm_writev("a", {0x7F00_0000_0000}, "{"y" * 4096}")           # -> {written}
label("done")
""",
    )


def test_a_page_in_a_pipe_is_what_it_holds_when_it_is_read(play: Play) -> None:
    play(
        "P0",
        head=HEAD,
        a=f"""
{SHARED}
store(buf + PAGE - 2, "abcd")
r = pipe()
write(pipe_w, "before ")                                # -> 7
vmsplice(pipe_w, buf + PAGE - 2, 4)                     # -> 4
write(pipe_w, " after")                                 # -> 6
store(buf + PAGE - 2, "ABCD")
read(r, 8)                                              # -> b"before A"
read(r, 100)                                            # -> b"BCD after"
vmsplice(r, buf, 4)                                     # -> EBADF
vmsplice(fd, buf, 4)                                    # -> EBADF
vmsplice(fd, buf, 0)                                    # -> 0
vmsplice(pipe_w, buf, -1)                               # -> EINVAL
vmsplice(pipe_w, 140737488355328, 0)                    # -> EFAULT
vmsplice(pipe_w, 4096, 4)                               # -> EFAULT
vmsplice(pipe_w, 4096, 0)                               # -> 0
vmsplice(pipe_w, buf + 15 * PAGE, 2 * PAGE)             # -> 4096
""",
    )


def test_a_pipe_takes_sixteen_pages(play: Play) -> None:
    play(
        "P0",
        head=HEAD,
        a="""
buf = mmap(20 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
r = pipe()
vmsplice(pipe_w, buf, 20 * PAGE)                        # -> 65536
vmsplice(pipe_w, buf, PAGE, SPLICE_F_NONBLOCK)          # -> EAGAIN
read(r, 100)                                            # -> ok
vmsplice(pipe_w, buf, PAGE, SPLICE_F_NONBLOCK)          # -> EAGAIN
read(r, PAGE - 100)                                     # -> ok
vmsplice(pipe_w, buf, 2 * PAGE, SPLICE_F_NONBLOCK)      # -> 4096
""",
    )


def test_a_truncate_waits_until_the_pipe_is_read(play: Play) -> None:
    """Nobody pinned anything for long, and P0 waits all the same [4.0]."""
    play(
        "P0",
        head=HEAD,
        a=f"""
{SHARED}
r = pipe()
vmsplice(pipe_w, buf, 5)                                # -> 5
label("spliced")
wait_for("waits")
store(buf + PAGE, "x")                                  # -> 0
read(r, 5)                                              # -> b"\\0\\0\\0\\0\\0"
""",
        b="""
wait_for("spliced")
fork("c")
truncate("/f", 0)                                       # -> blocks, 0
""",
        c="""
sleep(1)
label("waits")
""",
        details={"c": 'start = "fork"'},
    )


@pytest.mark.parametrize("end", ["close(r)\nclose(pipe_w)", "getpid()"])
def test_what_nobody_reads_goes_with_the_pipe(play: Play, end: str) -> None:
    play("P0", head=HEAD, a=f"{SHARED}\nr = pipe()\nvmsplice(pipe_w, buf, 2 * PAGE)\n{end}\n")


def test_a_plain_reference_is_none_that_fork_minds(play: Play) -> None:
    """Measured: after fork the parent's store goes to a new page, and the pipe keeps the old one."""
    play(
        "P0",
        head=HEAD,
        a=f"""
{ANONYMOUS}
store(buf, "old")
r = pipe()
vmsplice(pipe_w, buf, 3)                                # -> 3
fork("b")
store(buf, "new")
read(r, 3)                                              # -> b"old"
""",
        b='load(buf, 3)                                 # -> b"old"',
        details={"b": 'start = "fork"'},
    )


def test_whose_memory_may_be_read(play: Play) -> None:
    play(
        "P0",
        head=HEAD,
        details={
            "user": "uid = 1000",
            "other": "uid = 1001",
            "privileged": 'uid = 1000\ncapabilities = ["CAP_LEASE"]',
            "tracer": 'uid = 1000\ncapabilities = ["CAP_SYS_PTRACE"]',
        },
        user=f'{ANONYMOUS}store(buf, "mine")\nlabel("ready")\nwait_for("done")\nwait_for("refused")\nwait_for("seen")',
        privileged=f"""
wait_for("ready")
process_vm_readv("user", {0x7F00_0000_0000}, 4)         # -> b"mine"
label("done")
wait_for("seen")
""",
        other=f"""
wait_for("ready")
process_vm_readv("user", {0x7F00_0000_0000}, 4)         # -> EPERM
process_vm_readv("user", {0x7F00_0000_0000}, 0)         # -> b"" (nobody looks whose it is)
process_vm_readv(9999, 0, 1)                            # -> ESRCH
label("refused")
""",
        tracer=f"""
wait_for("done")
process_vm_readv("user", {0x7F00_0000_0000 - 4}, 8)     # -> EFAULT
process_vm_readv("user", {0x7F00_0000_0000 + 15 * 4096}, 9000)     # -> ok
process_vm_readv("user", {0x7F00_0000_0000 + 16 * 4096}, 1)        # -> EFAULT
process_vm_writev("user", {0x7F00_0000_0000}, "his")    # -> 3
process_vm_readv("user", {0x7F00_0000_0000}, 4)         # -> b"hise"
process_vm_readv("privileged", 0, 1)                    # -> EFAULT
label("seen")
""",
    )


@pytest.mark.parametrize(("dax", "returned"), [("false", "EFAULT"), ("true", "4096")])
def test_a_direct_transfer_whose_buffer_ends_early(play: Play, dax: str, returned: str) -> None:
    """The device has moved the page that is there, and the call fails all the same; a copy returns what it could."""
    play(
        "P0",
        head=f'[[pmem]]\nname = "p"\nfile_system = "ext4"\ndax = {dax}\n{HEAD}',
        a=f"""
d = open("/f", O_RDWR | O_DIRECT)
{ANONYMOUS}
store(buf + 15 * PAGE, "x")
pwritev(d, buf + 15 * PAGE, 2 * PAGE, 0)                # -> {returned}
pread(d, 1, 0)                                          # -> b"x"
""",
    )
