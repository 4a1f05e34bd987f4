"""Arguments are cut to the width that the kernel takes [docs/scenario.md]; what each line returns was measured."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.parameter import C_TYPES

Play = Callable[..., Any]

HIGH = 1 << 32


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.sampled_from(sorted(C_TYPES)))
def test_an_integer_becomes_what_c_makes_of_it(value: int, name: str) -> None:
    width = C_TYPES[name]
    cut = width.cut(value)
    assert (cut - value) % (1 << width.bits) == 0
    least = -(1 << (width.bits - 1)) if width.signed else 0
    assert least <= cut < least + (1 << width.bits)


def test_what_is_no_integer_is_left_alone() -> None:
    for parameter in (p for signature in SYSCALLS.values() for p in signature.parameters):
        assert parameter.cut("text") == "text"
        assert parameter.cut(b"data") == b"data"


@pytest.mark.parametrize("call", sorted(SYSCALLS))
def test_every_descriptor_has_32_bits(call: str) -> None:
    for parameter in SYSCALLS[call].parameters:
        if parameter.name in ("fd", "oldfd", "newfd", "context"):
            assert parameter.width.bits == 32
        if parameter.is_path:
            assert parameter.types == (str,)


def test_descriptors_flags_and_modes(play: Play) -> None:
    play(
        "P1",
        a=f"""
fd = open("/f", O_RDWR + {HIGH})         # -> 3
write(fd + {HIGH}, "abc")                # -> 3
lseek(fd + {HIGH}, 1)                    # -> 1
read(fd + {HIGH}, 2)                     # -> b"bc"
dup(fd + {HIGH})                         # -> 4
dup2({HIGH} + 3, {HIGH} + 9)             # -> 9
fsync({HIGH} + 9)                        # -> 0
ftruncate({HIGH} + 9, PAGE)              # -> 0
fallocate(fd + {HIGH}, {HIGH}, 0, PAGE)  # -> 0
mmap(PAGE, PROT_READ + {HIGH}, MAP_SHARED + {HIGH}, fd + {HIGH}, 0)  # -> ok
close({HIGH} + 4)                        # -> 0
close(-1)                                # -> EBADF
access("/f", {HIGH} + 4)                 # -> 0
access("/f", 8)                          # -> EINVAL
access("/none", 8)                       # -> EINVAL (before the path)
new = open("/new", O_RDWR | O_CREAT, 65536 + 0o600)
setuid({HIGH} + 7)                       # -> 0
open("/new", O_RDONLY)                   # -> EACCES
""",
    )


def test_what_fcntl_takes_is_an_int(play: Play) -> None:
    play(
        "P1",
        a=f"""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, {HIGH})            # -> 0 (F_RDLCK)
fcntl(fd, F_GETLEASE)                    # -> F_RDLCK
fcntl(fd, F_SETLEASE + {HIGH}, {HIGH} + 2)  # -> 0 (F_UNLCK)
fcntl(fd, F_SETSIG, {HIGH} + 10)         # -> 0
fcntl(fd, F_GETSIG)                      # -> 10
fcntl(fd, F_SETSIG, -1)                  # -> EINVAL
fcntl(fd, F_SETOWN, {HIGH} + 100)        # -> 0
fcntl(fd, F_GETOWN)                      # -> 100
fcntl(fd, F_SETOWN, {HIGH} - 100)        # -> 0 (a group)
fcntl(fd, F_GETOWN)                      # -> -100
""",
    )


def test_owners_have_32_bits_and_minus_one_is_nobody(play: Play) -> None:
    play(
        "P1",
        head='[[file]]\npath = "/f"\nmode = 0o600',
        a=f"""
chown("/f", -1)                          # -> 0 (unchanged)
chown("/f", {HIGH} - 1)                  # -> 0 (the same)
chown("/f", {HIGH} + 7)                  # -> 0
chmod("/f", 65536 + 0o400)               # -> 0
setfsuid(-1)                             # -> 0 (nobody: unchanged)
setfsuid({HIGH} + 7)                     # -> 0
setfsuid(0)                              # -> 7
setuid(-1)                               # -> EINVAL
setuid({HIGH} + 7)                       # -> 0
open("/f", O_RDONLY)                     # -> 3
open("/f", O_WRONLY)                     # -> EACCES
chown("/f", -1)                          # -> 0
""",
    )


def test_who_does_not_own_a_file_may_change_nothing_of_it(play: Play) -> None:
    play(
        "P1",
        details={"a": "uid = 1000"},
        a="""
chown("/f", -1)                          # -> 0
chown("/f", 0)                           # -> EPERM (though it is root's)
""",
    )


def test_sizes_have_64_bits_without_a_sign(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
r = open("/f", O_RDONLY)
w = open("/f", O_WRONLY)
read(fd, -1)                             # -> EFAULT (no buffer is so large)
read(w, -1)                              # -> EBADF
mmap(-1, PROT_READ, MAP_SHARED, fd, 0)   # -> ENOMEM
mmap(-1, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0)  # -> ENOMEM (before the access mode)
mmap(PAGE, PROT_READ, MAP_SHARED, fd, -PAGE)  # -> EOVERFLOW
mmap(PAGE, PROT_READ, MAP_SHARED, fd, -1)     # -> EINVAL
mmap(PAGE, PROT_READ, MAP_SHARED, fd, 9223372036854767616)      # -> ok
mmap(2 * PAGE, PROT_READ, MAP_SHARED, fd, 9223372036854767616)  # -> EOVERFLOW
""",
    )
