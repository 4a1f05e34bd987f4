"""Where files end: 2^63 - 1 bytes. Each answer is Linux 6.18's on XFS [2.5]."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

MOST = (1 << 63) - 1
TOP = (1 << 63) - 4096
"""Where the last whole page of the largest file would begin."""


def test_no_range_is_inserted_beyond_it(play: Play) -> None:
    play(
        "P1",
        a=f"""
fd = open("/f", O_RDWR)
write(fd, "abc")
fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, {TOP})            # -> EFBIG
fallocate(fd, FALLOC_FL_INSERT_RANGE, 4 * PAGE, {TOP})     # -> EFBIG (the size before the offset)
fallocate(fd, FALLOC_FL_INSERT_RANGE, 1, {TOP} - PAGE)     # -> EINVAL (alignment before the size)
fallocate(fd, FALLOC_FL_INSERT_RANGE, 4 * PAGE, PAGE)      # -> EINVAL
stat("/f")                                                 # -> 16384
ftruncate(fd, {TOP})                                       # -> 0
fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PAGE)             # -> EFBIG
fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, {TOP})            # -> EFBIG
stat("/f")                                                 # -> {TOP}
ftruncate(fd, {TOP} - PAGE)                                # -> 0
fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 2 * PAGE)         # -> EFBIG
fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PAGE)             # -> 0
stat("/f")                                                 # -> {TOP}
lseek(fd, PAGE)
read(fd, 3)                                                # -> b"abc"
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)           # -> 0
stat("/f")                                                 # -> {TOP - 4096}
lseek(fd, 0)
read(fd, 3)                                                # -> b"abc"
""",
    )


def test_blocks_move_to_the_last_pages_there_are(play: Play) -> None:
    play(
        "P1",
        a=f"""
fd = open("/f", O_RDWR)
lseek(fd, PAGE)
write(fd, "second")
ftruncate(fd, 2 * PAGE)
fallocate(fd, FALLOC_FL_INSERT_RANGE, PAGE, {TOP} - 2 * PAGE)  # -> 0
stat("/f")                                                 # -> {TOP}
lseek(fd, {TOP} - PAGE)
read(fd, 6)                                                # -> b"second"
fallocate(fd, FALLOC_FL_INSERT_RANGE, PAGE, PAGE)          # -> EFBIG
""",
    )


@pytest.mark.parametrize(
    "mode",
    [
        "0",
        "FALLOC_FL_KEEP_SIZE",
        "FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE",
        "FALLOC_FL_ZERO_RANGE",
        "FALLOC_FL_COLLAPSE_RANGE",
        "FALLOC_FL_INSERT_RANGE",
    ],
)
def test_no_range_ends_beyond_it(play: Play, mode: str) -> None:
    inside = "EINVAL" if "COLLAPSE" in mode or "INSERT" in mode else "0"
    play(
        "P1",
        a=f"""
fd = open("/f", O_RDWR)
fallocate(fd, {mode}, {MOST}, 1)                           # -> EFBIG
fallocate(fd, {mode}, 1, {MOST})                           # -> EFBIG
fallocate(fd, {mode}, {TOP}, PAGE)                         # -> EFBIG
fallocate(fd, {mode}, {MOST} - 1, 1)                       # -> {inside}
fallocate(fd, {mode}, {TOP} - PAGE, PAGE)                  # -> {inside}
end = open("/f", O_RDONLY)
fallocate(end, {mode}, {MOST}, 1)                          # -> EBADF
fallocate(end, {mode}, {MOST}, 0)                          # -> EINVAL
pipe()
fallocate(pipe_w, {mode}, {MOST}, 1)                       # -> ESPIPE
""",
    )


def test_what_is_written_there_is_short_or_refused(play: Play) -> None:
    """An offset for the last byte there must be (EINVAL); with O_APPEND the end of the file decides (EFBIG)."""
    play(
        "P1",
        a=f"""
fd = open("/f", O_RDWR)
end = open("/f", O_RDWR | O_APPEND)
lseek(fd, {MOST})                                          # -> {MOST}
write(fd, "abc")                                           # -> EINVAL
write(fd, "")                                              # -> 0
read(fd, 1)                                                # -> EINVAL
read(fd, 0)                                                # -> b""
lseek(fd, {MOST} - 3)
write(fd, "abcd")                                          # -> EINVAL
write(fd, "abc")                                           # -> 3
stat("/f")                                                 # -> {MOST}
lseek(fd, {MOST} - 3)
read(fd, 3)                                                # -> b"abc"
write(end, "x")                                            # -> EFBIG
ftruncate(fd, {MOST} - 2)                                  # -> 0
write(end, "wxyz")                                         # -> 2 (as much as there is room for)
stat("/f")                                                 # -> {MOST}
truncate("/f", {MOST})                                     # -> 0
ftruncate(fd, -1)                                          # -> EINVAL
truncate("/f", -1)                                         # -> EINVAL
""",
    )


def test_a_truncate_takes_the_last_page_of_the_largest_file_from_who_maps_it(play: Play) -> None:
    """With pages of 512 bytes a file has 2^54 of them."""
    play(
        "P1",
        head='[machine]\npage_size = 512\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        a=f"""
fd = open("/f", O_RDWR)
ftruncate(fd, {MOST - 511})                                # -> 0
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, {MOST - 1023}) # -> ok
load(buf, 1)                                               # -> ok
ftruncate(fd, 0)                                           # -> 0
sigaction(SIGBUS, SIG_DFL)
label("truncated")
load(buf, 1)                                               # -> blocks (it never returns: SIGBUS)
""",
    )
