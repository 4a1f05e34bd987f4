"""preadv(2) and pwritev(2): copies, and with O_DIRECT transfers of a device that has the buffer pinned meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

HEAD = """
[[pmem]]
name = "pmem0"

[[pmem]]
name = "disk"
mount = "/disk"
dax = false

[[tmpfs]]
mount = "/tmp"

[[file]]
path = "/f"
size = "4 * PAGE"

[[file]]
path = "/disk/g"
size = "4 * PAGE"

[[file]]
path = "/tmp/h"
size = "4 * PAGE"
"""
MAPPED = """
f = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0)
"""


@pytest.mark.parametrize("name", ["/f", "/disk/g", "/tmp/h"])
@pytest.mark.parametrize("direct", ["", " | O_DIRECT"])
def test_bytes_go_there_and_come_back(play: Play, name: str, direct: str) -> None:
    short = "EFAULT" if direct and name == "/disk/g" else "4096"  # a device does all of it, or it fails [meas 6.18]
    play(
        "P0",
        head=HEAD,
        a=f"""
fd = open("{name}", O_RDWR{direct})
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
store(buf + PAGE - 2, "abcd")
pwritev(fd, buf, 2 * PAGE, PAGE)                                   # -> 8192
pread(fd, 6, 2 * PAGE - 3)                                         # -> b"\\0abcd\\0"
preadv(fd, buf + 2 * PAGE, 2 * PAGE, PAGE)                         # -> 8192
load(buf + 3 * PAGE - 2, 4)                                        # -> b"abcd"
preadv(fd, buf, 4 * PAGE, 3 * PAGE)                                # -> 4096
preadv(fd, buf, PAGE, 4 * PAGE)                                    # -> 0
pwritev(fd, buf + 2 * PAGE, 2 * PAGE, 4 * PAGE)                    # -> 8192
stat("{name}")                                                     # -> 24576
preadv(fd, 4096, PAGE, 0)                                          # -> EFAULT
preadv(fd, buf + 3 * PAGE, 2 * PAGE, 0)                            # -> {short}
pwritev(fd, 4096, PAGE, 0)                                         # -> EFAULT
preadv(fd, buf, PAGE, -1)                                          # -> EINVAL
preadv(fd, buf, 0, 0)                                              # -> 0
""",
    )


def test_a_device_moves_whole_sectors(play: Play) -> None:
    play(
        "P0",
        head=HEAD,
        a="""
fd = open("/disk/g", O_RDWR | O_DIRECT)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
preadv(fd, buf + 1, 512, 0)                                        # -> EINVAL
preadv(fd, buf, 511, 0)                                            # -> EINVAL
pwritev(fd, buf, 512, 1)                                           # -> EINVAL
pwritev(fd, buf + 512, 512, 1024)                                  # -> 512
open("/", O_RDONLY | O_DIRECTORY | O_DIRECT)                       # -> EINVAL
open("/f", O_RDWR | O_DIRECT)                                      # -> ok
""",
    )


def test_a_device_and_the_page_cache_see_the_same(play: Play) -> None:
    play(
        "P0",
        head=HEAD,
        a="""
fd = open("/disk/g", O_RDWR)
map = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(map, "cached")
direct = open("/disk/g", O_RDWR | O_DIRECT)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
preadv(direct, buf, PAGE, 0)                                       # -> 4096
load(buf, 6)                                                       # -> b"cached"
store(buf, "direct")
pwritev(direct, buf, PAGE, 0)                                      # -> 4096
load(map, 6)                                                       # -> b"direct"
""",
    )


@pytest.mark.parametrize("verb", ["preadv", "pwritev"])
def test_a_truncate_of_the_buffer_s_file_waits_for_the_device(play: Play, verb: str) -> None:
    """It succeeds in any order; the device never writes into what was freed, which is O1."""
    play(
        "P0",
        head=HEAD,
        a=f"""
{MAPPED}
fd = open("/disk/g", O_RDWR | O_DIRECT)
label("mapped")
{verb}(fd, buf, 2 * PAGE, 0)
""",
        b="""
wait_for("mapped")
truncate("/f", 0)                                                  # -> 0
""",
    )


@pytest.mark.parametrize(("known", "possible"), [("true", {"0"}), ("false", {"0", "ETXTBSY"})])
def test_who_takes_it_for_a_long_pin_fails_a_truncate(play: Play, known: str, possible: set[str]) -> None:
    """K1b: the bias test cannot tell direct I/O from a pin for RDMA."""
    run = play(
        f"P5:as_posted,pin_kind_known={known}",
        head=HEAD,
        seeds=range(60),
        a=f"""
{MAPPED}
fd = open("/disk/g", O_RDWR | O_DIRECT)
label("mapped")
preadv(fd, buf, 2 * PAGE, 0)
""",
        b="""
wait_for("mapped")
truncate("/f", 0)
""",
    )
    found = {call.errno or "0" for each in run.schedules for call in each.result.calls if call.call == "truncate"}
    assert found == possible
