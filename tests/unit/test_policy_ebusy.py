"""P2, EBUSY instead of revocation: each defining sentence of docs/policies.md, P2, as a small scenario.

The rows of the event matrix, with a page that is pinned for long, are the tests whose names begin with ``row``.
"""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, DEVICE, LOOPBACK, OPEN, pinned
from unit.programs import REGISTER_REMOTE as REGISTER

from longpin.actors.fs.inode import Inode

Play = Callable[..., Any]

PINNED = DEVICE + LOOPBACK + REGISTER + "label('pinned')\n"
HANDLED = "on_signal.SIGBUS = 'getpid()'"
WRITES = "ibv_post_send(qp, IBV_WR_RDMA_WRITE, 'from the NIC', mr, 0)      # -> 0\nsleep(1)\n"
CLONED = """
fd = open("/f", O_RDWR)
pwrite(fd, "one", 0)
pwrite(fd, "two", PAGE)
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)                                           # -> 0
"""
READ_PIN = """
ro = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, ro, PAGE, IBV_ACCESS_REMOTE_READ)           # -> ok (a block that both files have)
"""


# Changes, by others and by who has pinned.


CHANGES = """
truncate("/f", 0)                                               # -> EBUSY
ftruncate(fd, 100)                                              # -> EBUSY (page 0 is zeroed there)
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)                # -> EBUSY
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)                # -> EBUSY
fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, PAGE)                    # -> EBUSY
open("/f", O_RDWR | O_TRUNC)                                    # -> EBUSY
"""


@pytest.mark.parametrize("file_system", ["xfs", "ext4"])
def test_row_change_of_the_pinned_range(play: Play, file_system: str) -> None:
    """By another process, at once, and by the holder of the pin."""
    run = play(
        "P2",
        head=f'[[pmem]]\nname = "p"\nfile_system = "{file_system}"\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        a=PINNED + CHANGES + "wait_for('done')\nibv_dereg_mr(mr)\ntruncate('/f', 0)                      # -> 0\n",
        b="wait_for('pinned')\nfd = open('/f', O_RDWR)\n" + CHANGES + "label('done')\n",
    )
    assert pinned(run) == 0


def test_row_change_of_another_range(play: Play) -> None:
    play(
        "P2",
        a=DEVICE
        + "mr = ibv_reg_mr(pd, buf + 2 * PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok (page 2)\n"
        + "label('pinned')\nwait_for('done')\n",
        b="""
wait_for("pinned")
fd = open("/f", O_RDWR)
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * PAGE)            # -> 0 (before it)
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, PAGE)         # -> EBUSY
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)                # -> EBUSY (it would move)
truncate("/f", 3 * PAGE)                                        # -> 0 (behind it)
truncate("/f", 8 * PAGE)                                        # -> 0
truncate("/f", PAGE)                                            # -> EBUSY
label("done")
""",
    )


def test_a_file_with_a_pinned_page_fails_as_a_whole_where_the_range_is_not_looked_at(play: Play) -> None:
    for parameter, answer in (("true", "0"), ("false", "EBUSY")):
        play(
            f"P2:intended,range_exact={parameter}",
            a=PINNED + "wait_for('done')\n",
            b=f"wait_for('pinned')\ntruncate('/f', 3 * PAGE)                # -> {answer}\nlabel('done')\n",
        )


def test_row_write_that_changes_no_layout(play: Play) -> None:
    play(
        "P2",
        a=PINNED + "pwrite(fd, 'x', 0)                                          # -> 1\nwait_for('done')\n",
        b="wait_for('pinned')\nfd = open('/f', O_RDWR)\npwrite(fd, 'y', 0)              # -> 1\nlabel('done')\n",
    )


# Copies on write.


def test_row_write_that_must_copy(play: Play) -> None:
    """Only of the page that is pinned; a pin is of the block, so the other file cannot be written there either."""
    play(
        "P2",
        details={"a": HANDLED},
        a=CONTEXT
        + CLONED
        + READ_PIN
        + """
rw = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
pwrite(fd, "x", 0)                                              # -> EBUSY
pwritev(fd, rw, 3, 0)                                           # -> EBUSY
store(rw, "x")                                                  # -> EFAULT
load(rw, 3)                                                     # -> b'one'
pwrite(c, "x", PAGE)                                            # -> 1 (page 1 is pinned nowhere)
store(rw + PAGE, "x")                                           # -> 0
pwrite(c, "x", 0)                                               # -> EBUSY
""",
    )


def test_a_copy_is_made_as_soon_as_the_pin_is_gone(play: Play) -> None:
    play(
        "P2",
        a=CONTEXT
        + CLONED
        + READ_PIN
        + """
pwrite(fd, "x", 0)                                              # -> EBUSY
ibv_dereg_mr(mr)
pwrite(fd, "x", 0)                                              # -> 1
pread(c, 3, 0)                                                  # -> b'one'
""",
    )


def test_a_copy_may_move_the_page_from_under_the_device_instead(play: Play) -> None:
    """The hazard H8, with the device writing to what is the clone's alone: the parameter that says so."""
    play(
        "P2:intended,cow_action=move",
        violates=["O1"],
        a=CONTEXT
        + LOOPBACK
        + CLONED
        + READ_PIN
        + """
out = open("/out", O_RDWR | O_CREAT)
ftruncate(out, PAGE)
to = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0)
local = ibv_reg_mr(pd, to, PAGE, IBV_ACCESS_LOCAL_WRITE)        # -> ok
pwrite(fd, "new", 0)                                            # -> 3
ibv_post_send(qp, IBV_WR_RDMA_READ, local, mr, 0, 3)            # -> 0
sleep(1)
load(to, 3)                                                     # -> b'one' (not what the file has)
""",
    )


@pytest.mark.parametrize(("action", "store"), [("move", "0"), ("ebusy", "EFAULT")])
def test_a_store_that_copies_does_as_write(play: Play, action: str, store: str) -> None:
    play(
        f"P2:intended,cow_action={action}",
        seeds=(0,),
        details={"a": HANDLED},
        a=CONTEXT
        + CLONED
        + READ_PIN
        + "rw = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n"
        + f"store(rw, 'x')                                                  # -> {store}\n",
    )


def test_a_write_behind_the_end_copies_the_last_page_to_zero_it(play: Play) -> None:
    """The tail is part of what changes, though no byte is written there [H22]; ftruncate likewise."""
    play(
        "P2",
        head='[[file]]\npath = "/f"\nsize = 100',
        a=CONTEXT
        + """
fd = open("/f", O_RDWR)
pwrite(fd, "one", 0)
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)                                           # -> 0
"""
        + READ_PIN
        + """
pwrite(fd, "x", 2 * PAGE)                                       # -> EBUSY
ftruncate(fd, 2 * PAGE)                                         # -> EBUSY
ibv_dereg_mr(mr)
pwrite(fd, "x", 2 * PAGE)                                       # -> 1
pread(c, 3, 0)                                                  # -> b'one'
""",
    )


def test_a_write_that_copies_takes_its_data_from_memory_of_the_same_file(play: Play) -> None:
    """The mmap lock is not held any more when the buffer faults."""
    play(
        "P2",
        a=CLONED
        + """
rw = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
pwritev(fd, rw + PAGE, 3, 0)                                    # -> 3
pread(fd, 3, 0)                                                 # -> b'two'
pread(c, 3, 0)                                                  # -> b'one'
""",
    )


def test_a_full_device_has_room_for_part_of_a_copy(play: Play) -> None:
    """What is not copied is not written: with one block left the first page is, then nothing is."""
    play(
        "P2",
        head='[[pmem]]\nname = "p"\nblocks = 3\n[[file]]\npath = "/f"\nsize = "2 * PAGE"',
        a=CLONED
        + """
rw = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)
pwritev(fd, rw, 2 * PAGE, 0)                                    # -> PAGE
pwritev(fd, rw, 2 * PAGE, PAGE)                                 # -> ENOSPC
pwrite(fd, "x", PAGE)                                           # -> ENOSPC
pread(c, 3, PAGE)                                               # -> b'two'
""",
    )


# Clones.


@pytest.mark.parametrize("kernel", ["ideal", "6.1", "6.18"])
def test_row_clone_of_the_file(play: Play, kernel: str) -> None:
    """Also on a kernel that looks at no page of what does not move: the next write would move it."""
    play(
        f"P2:intended,kernel={kernel}",
        a=PINNED + "wait_for('done')\n",
        b="""
wait_for("pinned")
fd = open("/f", O_RDWR)
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)                                           # -> EBUSY
g = open("/g", O_RDWR | O_CREAT)
pwrite(g, "g", 0)
ftruncate(g, 4 * PAGE)
ioctl(fd, FICLONE, g)                                           # -> EBUSY (nor may it lose its blocks)
label("done")
""",
    )


def test_a_part_that_is_not_pinned_can_be_cloned(play: Play) -> None:
    play(
        "P2",
        a=PINNED
        + """
c = open("/c", O_RDWR | O_CREAT)
ficlonerange(c, fd, 0, PAGE, 0)                                 # -> EBUSY
ficlonerange(c, fd, PAGE, PAGE, 0)                              # -> 0
""",
    )


# Files nobody maps or names any more.


def test_row_unmap_and_truncate(play: Play) -> None:
    """The scan of Linux 5.4 misses what nobody maps, and so the suggestion would have been none at all [H6]."""
    unmaps = PINNED + "munmap(buf, 4 * PAGE)\nlabel('unmapped')\nwait_for('done')\n" + WRITES
    ends = "label('done')\n"
    play("P2", a=unmaps, b="wait_for('unmapped')\ntruncate('/f', 0)                # -> EBUSY\n" + ends)
    play(
        "P2:as_posted",
        violates=["O1"],
        a=unmaps,
        b="wait_for('unmapped')\ntruncate('/f', 0)                           # -> 0\n" + ends,
    )


def test_row_unlink_and_last_close(play: Play) -> None:
    """As without a policy: the name goes, and the last free waits, or does not look on 5.4 [H7]."""
    program = PINNED + "munmap(buf, 4 * PAGE)\nunlink('/f')                            # -> 0\nclose(fd)\n"
    play("P2:as_posted", violates=["O1"], a=program + WRITES)
    play("P2:intended,kernel=6.18", violates=["O3"], a=program)


def test_row_the_process_dies_and_another_has_the_device(play: Play) -> None:
    """Pins stay: nobody who maps or opens the file has them, and the veto goes on [H10]."""
    run = play(
        "P2",
        details={"b": 'start = "fork"'},
        a=PINNED + "fork('b')\n",
        b="wait_for('over')\n",
        c="""
wait_for("pinned")
sleep(1)
truncate("/f", 0)                                               # -> EBUSY
label("over")
sleep(1)
truncate("/f", 0)                                               # -> 0
""",
    )
    assert pinned(run) == 0


# Who can tell pins apart; who can veto.


def test_a_short_pin_is_waited_for_and_mistaken_where_kinds_are_not_known(play: Play) -> None:
    """vmsplice holds a page until the pipe is read [H15, K1b]."""
    program = (
        OPEN + "r = pipe()\nvmsplice(pipe_w, buf, 100)                                # -> 100\nlabel('in the pipe')\n"
    )
    waits = "wait_for('in the pipe')\ntruncate('/f', 0)                                     # -> "
    play("P2", a=program + "sleep(2)\nread(r, 100)\nsleep(1)\n", b=waits + "blocks, 0\n")
    play("P2:intended,pin_kind_known=false", a=program + "sleep(2)\n", b=waits + "EBUSY\n")


def test_who_may_only_read_can_veto(play: Play) -> None:
    """Nobody is listed, and nothing ends it but the end of the registration [H10]."""
    run = play(
        "P2",
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\nmode = 0o644',
        details={"reader": "uid = 1000"},
        reader=CONTEXT
        + """
fd = open("/f", O_RDWR)                                         # -> EACCES
fd = open("/f", O_RDONLY)                                       # -> ok
ro = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, ro, PAGE, IBV_ACCESS_REMOTE_READ)           # -> ok
label("pinned")
sleep(1000)
""",
        owner="wait_for('pinned')\ntruncate('/f', 0)                       # -> EBUSY\nsleep(500)\n"
        "truncate('/f', 0)                                           # -> EBUSY\n",
    )
    assert run.taken("reader") == [], "and it hears nothing"
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    assert inode.kernel.policy.admin_list(inode.layout_view(())) == ()


def test_other_file_systems_memory_is_never_looked_at(play: Play) -> None:
    """Pins of the page cache are of copies, so a clone and a copy go through."""
    play(
        "P2:intended,kernel=6.1",
        head='[[pmem]]\nname = "p"\ndax = false\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        a=PINNED
        + """
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)                                           # -> 0
pwrite(fd, "x", 0)                                              # -> 1
truncate("/f", 0)                                               # -> 0
""",
    )
