"""munmap(2) of any pages, mapped or not [1.8]: what is left stays mapped and holds the file, pins are not touched."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longpin.actors.fs.inode import Inode
from longpin.actors.mm.address_space import AddressSpace, Pte
from longpin.messages.mm.memory import PageFrame
from longpin.messages.process.process import File

Play = Callable[..., Any]

PAGE = 4096


def test_a_part_of_a_mapping(play: Play) -> None:
    run = play(
        "P1",
        details={"a": "on_signal.SIGSEGV = 'getpid()'"},
        a="""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "head")
store(buf + PAGE, "second")
store(buf + 3 * PAGE, "tail")
close(fd)
munmap(buf, 1)                      # -> 0 (the head: a length counts in pages)
load(buf, 1)                        # -> EFAULT
load(buf + PAGE, 6)                 # -> b"second"
munmap(buf + 2 * PAGE, PAGE)        # -> 0 (the middle: there are two mappings now)
load(buf + 2 * PAGE, 1)             # -> EFAULT
load(buf + 3 * PAGE, 4)             # -> b"tail"
store(buf + 3 * PAGE, "TAIL")       # -> 0
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)      # -> EAGAIN (pages 1 and 3 are mapped by a writer)
munmap(buf + 3 * PAGE, PAGE)        # -> 0
fcntl(fd, F_SETLEASE, F_RDLCK)      # -> EAGAIN (page 1 is)
munmap(buf, 4 * PAGE)               # -> 0 (over the holes)
munmap(buf, 4 * PAGE)               # -> 0 (nothing is there)
fcntl(fd, F_SETLEASE, F_RDLCK)      # -> 0
lseek(fd, 3 * PAGE)
read(fd, 4)                         # -> b"TAIL"
""",
    )
    assert run.taken("a") == ["SIGSEGV: its handler runs"] * 2


def test_several_mappings_at_once(play: Play) -> None:
    play(
        "P1",
        details={"a": "on_signal.SIGSEGV = 'getpid()'"},
        a="""
fd = open("/f", O_RDWR)
one = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
two = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
three = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE)
store(three + PAGE, "end")
munmap(one + PAGE, three - one)     # -> 0 (a tail, a whole one, a head, and what is between)
load(one, 1)                        # -> ok
load(one + PAGE, 1)                 # -> EFAULT
load(two, 1)                        # -> EFAULT
load(three, 1)                      # -> EFAULT
load(three + PAGE, 3)               # -> b"end"
""",
    )


def test_what_is_no_range_of_pages(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
munmap(buf, 0)                      # -> EINVAL
munmap(buf + 1, PAGE)               # -> EINVAL
munmap(buf, -1)                     # -> EINVAL
munmap(buf, -PAGE)                  # -> EINVAL
munmap(-PAGE, PAGE)                 # -> EINVAL
munmap(0, PAGE)                     # -> 0
munmap(140737488351232, PAGE)       # -> EINVAL (where addresses end)
munmap(140737488347136, PAGE)       # -> 0
munmap(140737488347136, 2 * PAGE)   # -> EINVAL
munmap(68719476736, PAGE)           # -> 0
load(buf, 1)                        # -> ok (it is there yet)
""",
    )


def test_pins_stay_and_a_hole_cannot_be_registered(play: Play) -> None:
    run = play(
        "P1",
        a="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)
munmap(buf + PAGE, 2 * PAGE)        # -> 0
ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)        # -> EFAULT
ibv_reg_mr(pd, buf + PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> EFAULT
other = ibv_reg_mr(pd, buf + 3 * PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> ok
label("registered")
sleep(5)
ibv_dereg_mr(other)                 # -> 0
ibv_dereg_mr(mr)                    # -> 0
""",
        truncater='wait_for("registered")\ntruncate("/f", 3 * PAGE)  # -> blocks, 0\n',
    )
    assert run.returned("truncater") == 5


def test_a_truncate_reaches_what_is_left(play: Play) -> None:
    """The file knows both pieces: their entries are zapped, and the next access finds the end of the file."""
    play(
        "P1",
        details={"a": "on_signal.SIGBUS = 'getpid()'"},
        a="""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
load(buf, 1)
load(buf + 3 * PAGE, 1)             # -> ok
munmap(buf + PAGE, 2 * PAGE)
ftruncate(fd, PAGE)
load(buf, 1)                        # -> ok
load(buf + 3 * PAGE, 1)             # -> EFAULT
""",
    )


def test_a_child_has_the_pieces(play: Play) -> None:
    run = play(
        "P1",
        details={"child": "start = 'fork'\non_signal.SIGSEGV = 'getpid()'"},
        a="""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
munmap(buf + PAGE, PAGE)
fork("child")
munmap(buf, 4 * PAGE)
close(fd)
label("parent let go")
""",
        child="""
wait_for("parent let go")
close(fd)
load(buf, 1)                        # -> ok
load(buf + PAGE, 1)                 # -> EFAULT
munmap(buf + 2 * PAGE, PAGE)        # -> 0
load(buf + 3 * PAGE, 1)             # -> ok
more = open("/f", O_RDONLY)
fcntl(more, F_SETLEASE, F_RDLCK)    # -> EAGAIN
munmap(buf, 4 * PAGE)               # -> 0
fcntl(more, F_SETLEASE, F_RDLCK)    # -> 0
""",
    )
    for played in run.schedules:
        for actor in played.engine.actors.values():
            assert not isinstance(actor, Inode) or not actor.view().mappings


@pytest.mark.parametrize("preset", ["as_posted", "intended"])
def test_one_page_left_is_a_mapping(play: Play, preset: str) -> None:
    """As posted a truncate looks at pins only while somebody maps the file [H6]."""
    holder = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
munmap(buf, 3 * PAGE)
label("registered")
sleep(5)
ibv_dereg_mr(mr)
"""
    run = play(f"P1:{preset}", a=holder, truncater='wait_for("registered")\ntruncate("/f", 0)  # -> blocks, 0\n')
    assert run.returned("truncater") == 5


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(1, 6)), max_size=8), st.sets(st.integers(0, 11)))
def test_every_page_is_where_it_was_or_gone(cuts: list[tuple[int, int]], touched: set[int]) -> None:
    space = AddressSpace(PAGE)
    file = File("file:1", "inode:/f", "file")
    start = space.add(12 * PAGE, 3, 1, file, 5, space.next_number()).start
    for page in touched:
        space.page_table[start // PAGE + page] = Pte(PageFrame("pmem:0", page), writable=True)
    left = set(range(12))
    for first, count in cuts:
        for mapping in space.overlapping(start + first * PAGE, start + (first + count) * PAGE):
            begin, end = max(start + first * PAGE, mapping.start), min(start + (first + count) * PAGE, mapping.end)
            if (begin, end) == (mapping.start, mapping.end):
                space.remove(mapping)
            else:
                space.cut(mapping, begin, end, space.next_number())
        left -= set(range(first, first + count))
    assert [m.start for m in space.mappings] == sorted(m.start for m in space.mappings)
    assert len({m.number for m in space.mappings}) == len(space.mappings)
    for page in range(12):
        found = space.find(start + page * PAGE)
        assert (found is not None) == (page in left)
        if found is not None:
            assert space.page_of(found, start + page * PAGE) == 5 + page
            entry = space.page_table.get(start // PAGE + page)
            assert (entry is not None and entry.frame.number == page) == (page in touched)
    assert len(space.page_table) == len(touched & left)
