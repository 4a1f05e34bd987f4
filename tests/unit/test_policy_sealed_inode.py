"""P3, MAP_DIRECT v6 as a sealed inode: each defining sentence of docs/policies.md, P3, as a small scenario.

The rows of the event matrix, with a page that is pinned for long, are the tests whose names begin with ``row``.
"""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, LOOPBACK, pinned
from unit.programs import REGISTER_REMOTE as REGISTER

from longpin.actors.fs.inode import Inode
from longpin.actors.policies.decisions import ListedBy
from longpin.actors.policies.sealed_inode import Seal, SealedInode
from longpin.actors.policies.views import FileFacts, LayoutView
from longpin.config.loader import parse_scenario
from longpin.messages.fs.mapping import MappingView, Memory
from longpin.runner.exploration import explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

MAP = "buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)   # -> ok\n"
DIRECT = 'fd = open("/f", O_RDWR)\n' + MAP
PINNED = CONTEXT + LOOPBACK + DIRECT + REGISTER + "label('pinned')\n"
HANDLED = "on_signal.SIGBUS = 'getpid()'"
WRITES = "ibv_post_send(qp, IBV_WR_RDMA_WRITE, 'from the NIC', mr, 0)      # -> 0\nsleep(1)\n"


def seal(run: Any) -> int:
    """Return how many mappings seal ``/f``."""
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    state = inode.view().state
    assert isinstance(state, Seal)
    return state.mapdcount


# Who may seal what.


def test_errnos_of_mmap(play: Play) -> None:
    """EINVAL comes before the file is asked whether it may be read, EACCES before it is asked what it can do."""
    play(
        "P3",
        head="""
[[tmpfs]]
mount = "/t"
[[pmem]]
name = "p"
[[pmem]]
name = "e"
mount = "/e"
file_system = "ext4"
[[dax]]
name = "dax0.0"
[[file]]
path = "/f"
size = "PAGE"
[[file]]
path = "/e/f"
size = "PAGE"
""",
        details={"user": "uid = 1000", "able": "uid = 1000\ncapabilities = ['CAP_LINUX_IMMUTABLE']"},
        a="""
fd = open("/f", O_RDWR)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)                  # -> ok
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)         # -> ok
mmap(PAGE, PROT_READ, MAP_SHARED | MAP_DIRECT, fd, 0)           # -> EACCES
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_DIRECT, fd, 0)                 # -> EINVAL
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_DIRECT, -1, 0)  # -> EINVAL
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_DIRECT, -1, 0) # -> EINVAL
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT | 0x400000, fd, 0)                # -> EOPNOTSUPP
ro = open("/f", O_RDONLY)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, ro, 0)                  # -> EACCES
wo = open("/f", O_WRONLY)
mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_DIRECT, wo, 0)          # -> EINVAL
t = open("/t/f", O_RDWR | O_CREAT)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, t, 0)                   # -> EOPNOTSUPP
mmap(PAGE, PROT_READ, MAP_SHARED | MAP_DIRECT, t, 0)            # -> EACCES
e = open("/e/f", O_RDWR)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, e, 0)                   # -> EOPNOTSUPP
d = open("/dev/dax0.0", O_RDWR)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, d, 0)                   # -> EOPNOTSUPP
setfsuid(1000)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)                  # -> EACCES (the capability is gone)
setfsuid(0)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)                  # -> ok
""",
        user="""
fd = open("/f", O_RDWR)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)     # -> EACCES
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)           # -> ok
""",
        able="""
fd = open("/f", O_RDWR)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)     # -> ok (it owns nothing, and may not lease)
""",
    )


def test_the_count_follows_mappings_through_fork_split_and_unmap(play: Play) -> None:
    """Close and ordinary mappings are nothing to it; mremap and MAP_FIXED over it are."""
    run = play(
        "P3",
        details={"child": 'start = "fork"'},
        a=DIRECT
        + """
plain = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
munmap(plain, PAGE)
close(fd)
truncate("/f", 0)                                               # -> ETXTBSY (also by who sealed it)
munmap(buf + PAGE, PAGE)                                        # -> 0
fork("child")
munmap(buf, PAGE)
mmap(2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, buf + 2 * PAGE)
label("unmapped")
wait_for("gone")
truncate("/f", 0)                                               # -> 0
""",
        child="""
wait_for("unmapped")
truncate("/f", 8 * PAGE)                                        # -> ETXTBSY (the copies seal it)
mremap(buf, PAGE, 0, MREMAP_MAYMOVE)                            # -> EINVAL
munmap(buf, 4 * PAGE)                                           # -> 0
label("gone")
""",
    )
    assert seal(run) == 0


@pytest.mark.parametrize("end", ["exec('after')", "exit(0)", "munmap(buf, 4 * PAGE)"])
def test_the_last_mapping_goes_with_exec_exit_and_munmap(play: Play, end: str) -> None:
    after = {"after": "sleep(2)\n"} if "exec" in end else {}
    run = play(
        "P3",
        details=dict.fromkeys(after, 'start = "fork"'),
        a=DIRECT + f"truncate('/f', 0)                                          # -> ETXTBSY\n{end}\n",
        b="sleep(1)\ntruncate('/f', 0)                                          # -> 0\n",
        **after,
    )
    assert seal(run) == 0


# What it keeps from happening.


CHANGES = """
truncate("/f", 0)                                               # -> ETXTBSY
truncate("/f", 8 * PAGE)                                        # -> ETXTBSY (size, though no block would change)
ftruncate(fd, 4 * PAGE)                                         # -> ETXTBSY
open("/f", O_RDWR | O_TRUNC)                                    # -> ETXTBSY
fallocate(fd, 0, 0, PAGE)                                       # -> ETXTBSY (though the blocks are there)
fallocate(fd, FALLOC_FL_KEEP_SIZE, 8 * PAGE, PAGE)              # -> ETXTBSY
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE, PAGE)         # -> ETXTBSY
fallocate(fd, FALLOC_FL_ZERO_RANGE, 3 * PAGE, PAGE)             # -> ETXTBSY
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)                # -> ETXTBSY
fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PAGE)                  # -> ETXTBSY
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 100, PAGE)              # -> ETXTBSY (before the file system looks at the range)
fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, PAGE)                 # -> ETXTBSY (nothing is shared)
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)                                           # -> ETXTBSY (from it)
ftruncate(c, PAGE)
ioctl(fd, FICLONE, c)                                           # -> ETXTBSY (to it)
fideduperange(c, 0, PAGE, fd, 0)                                # -> ETXTBSY
fideduperange(fd, 0, PAGE, c, 0)                                # -> ETXTBSY
copy_file_range(fd, 0, c, 0, PAGE)                              # -> PAGE (by reading: no block is shared)
copy_file_range(c, 0, fd, 0, PAGE)                              # -> PAGE (written blocks are written)
pwrite(fd, "x", 4 * PAGE)                                       # -> ETXTBSY (it would grow)
pwrite(fd, "xyz", 4 * PAGE - 1)                                 # -> ETXTBSY
pwrite(fd, "x", 0)                                              # -> 1 (the blocks are written)
"""


def test_row_changes_of_the_pinned_range_and_of_others(play: Play) -> None:
    """By another process and by the holder: the seal is of the whole file, and of everybody."""
    run = play(
        "P3",
        a=PINNED + CHANGES + "wait_for('done')\n",
        b="wait_for('pinned')\nfd = open('/f', O_RDWR)\n" + CHANGES + "label('done')\n",
    )
    assert pinned(run) == 0
    assert run.taken("a") == [], "nobody is told"


def test_row_write_that_changes_no_layout(play: Play) -> None:
    play(
        "P3",
        a=PINNED + "pwrite(fd, 'x', 0)                                          # -> 1\nwait_for('done')\n",
        b="wait_for('pinned')\nfd = open('/f', O_RDWR)\npwrite(fd, 'y', 0)              # -> 1\nlabel('done')\n",
    )


def test_nothing_is_written_to_holes_and_preallocated_blocks(play: Play) -> None:
    """Not by write(2), nor through any mapping; a load of a hole needs no block."""
    sparse = '[[pmem]]\nname = "p"\n[[file]]\npath = "/f"\nsize = "PAGE"'
    for parameter, conversion, fault in (("true", "ETXTBSY", "EFAULT"), ("false", "1", "0")):
        play(
            f"P3:intended,unwritten_is_layout={parameter}",
            head=sparse,
            details={"a": HANDLED},
            a=f"""
fd = open("/f", O_RDWR)
fallocate(fd, 0, 2 * PAGE, 2 * PAGE)                            # -> 0
plain = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
{MAP}
pwrite(fd, "x", PAGE)                                           # -> ETXTBSY (a hole)
pwrite(fd, "x", 2 * PAGE)                                       # -> {conversion} (preallocated)
store(plain, "x")                                               # -> 0
store(plain + PAGE, "x")                                        # -> EFAULT
store(plain + 3 * PAGE, "x")                                    # -> {fault}
load(buf + PAGE, 1)                                             # -> ok
store(buf + PAGE, "x")                                          # -> EFAULT
load(buf, 1)                                                    # -> b'x'
munmap(buf, 4 * PAGE)
store(plain + PAGE, "x")                                        # -> 0
""",
        )


def test_row_write_that_must_copy_and_faults_of_a_shared_file(play: Play) -> None:
    """A file that shares blocks can be sealed; its MAP_DIRECT mapping cannot be touched, nor pinned."""
    play(
        "P3",
        details={"a": HANDLED},
        a=CONTEXT
        + """
fd = open("/f", O_RDWR)
pwrite(fd, "one", 0)
c = open("/c", O_RDWR | O_CREAT)
ficlonerange(c, fd, 0, PAGE, 0)                                 # -> 0 (page 0 alone)
plain = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""
        + MAP
        + """
pwrite(fd, "x", 0)                                              # -> ETXTBSY
pwrite(fd, "x", PAGE)                                           # -> 1
store(plain, "x")                                               # -> EFAULT
load(plain, 1)                                                  # -> b'o'
store(plain + PAGE, "x")                                        # -> 0
load(buf + PAGE, 1)                                             # -> EFAULT
store(buf + PAGE, "x")                                          # -> EFAULT
ibv_reg_mr(pd, buf + PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)        # -> EFAULT
pwrite(c, "x", 0)                                               # -> 1 (the other file is not sealed)
store(buf + PAGE, "x")                                          # -> EFAULT (XFS's flag stays)
fiemap(fd)                                                      # -> ok (who looks finds out)
store(buf + PAGE, "x")                                          # -> 0
""",
    )


def test_a_file_that_is_not_on_dax_can_be_sealed_and_not_touched(play: Play) -> None:
    play(
        "P3",
        head='[[pmem]]\nname = "p"\ndax = false\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        details={"a": HANDLED},
        a=DIRECT
        + """
load(buf, 1)                                                    # -> EFAULT
truncate("/f", 0)                                               # -> ETXTBSY
munmap(buf, 4 * PAGE)
truncate("/f", 0)                                               # -> 0
""",
    )


# Pins.


def test_only_map_direct_mappings_can_be_pinned_unless_nobody_looks(play: Play) -> None:
    for policy, answer in (("P3", "EOPNOTSUPP"), ("P3:as_posted", "ok")):
        play(
            policy,
            a=CONTEXT
            + DIRECT
            + f"""
plain = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, plain, PAGE, IBV_ACCESS_LOCAL_WRITE)             # -> {answer}
private = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
ibv_reg_mr(pd, private, PAGE, IBV_ACCESS_LOCAL_WRITE)           # -> ok
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
""",
        )


@pytest.mark.parametrize("policy", ["P3", "P3:as_posted"])
def test_row_unmap_and_truncate(play: Play, policy: str) -> None:
    """The seal goes with the mapping though the device goes on: the hazard H1, by design."""
    play(
        policy,
        violates=["O1"],
        a=PINNED + "munmap(buf, 4 * PAGE)\nlabel('unmapped')\nwait_for('done')\n" + WRITES,
        b="wait_for('unmapped')\ntruncate('/f', 0)                              # -> 0\nlabel('done')\n",
    )


def test_what_waits_once_the_seal_is_gone_is_a_parameter(play: Play) -> None:
    """Those who only mind short pins free blocks under the device; who minds all waits for ever [H9]."""
    program = PINNED + "munmap(buf, 4 * PAGE)\nlabel('unmapped')\nsleep(2)\nibv_dereg_mr(mr)\n"
    for waits, answer in (("nothing", "0"), ("short_pins", "0"), ("all_pins", "blocks, 0")):
        run = play(
            f"P3:intended,unsealed_waits_for={waits}",
            a=program,
            b=f"wait_for('unmapped')\ntruncate('/f', 0)                           # -> {answer}\n",
        )
        assert run.returned("b") == (2.0 if waits == "all_pins" else 0.0)


def test_a_short_pin_in_a_file_without_a_seal_is_waited_for(play: Play) -> None:
    """As posted nobody looks, for the kernels of 2017 did not."""
    program = """
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
r = pipe()
vmsplice(pipe_w, buf, 100)                                      # -> 100
label("in the pipe")
sleep(2)
read(r, 100)
"""
    for policy, answer, violated in (("P3", "blocks, 0", []), ("P3:as_posted", "0", ["O2"])):
        play(
            policy,
            violates=violated,
            a=program,
            b=f"wait_for('in the pipe')\ntruncate('/f', 0)            # -> {answer}\n",
        )


def test_row_unlink_and_last_close(play: Play) -> None:
    """The mapping keeps the file; then it is as without a policy [H7]."""
    program = PINNED + "unlink('/f')                                    # -> 0\nclose(fd)\nload(buf, 1)\n"
    unmaps = program + "munmap(buf, 4 * PAGE)\n"
    play("P3", a=program + WRITES + "ibv_dereg_mr(mr)\n")
    play("P3:as_posted", violates=["O1"], a=unmaps + WRITES)
    play("P3:intended,kernel=6.18", violates=["O3"], a=unmaps)


def test_row_the_process_dies_and_another_has_the_device(play: Play) -> None:
    """The seal was its mapping's; what it pinned stays pinned, and is taken from under the device."""
    play(
        "P3",
        violates=["O1"],
        details={"b": 'start = "fork"'},
        a=PINNED + "fork('b')\n",
        b="munmap(buf, 4 * PAGE)\nlabel('over')\nwait_for('truncated')\n" + WRITES,
        c="wait_for('over')\nsleep(1)\ntruncate('/f', 0)                        # -> 0\nlabel('truncated')\n",
    )


def test_a_child_keeps_the_seal_of_a_process_that_dies(play: Play) -> None:
    play(
        "P3",
        details={"b": 'start = "fork"'},
        a=PINNED + "fork('b')\n",
        b="wait_for('refused')\n" + WRITES,
        c="wait_for('pinned')\nsleep(1)\ntruncate('/f', 0)                      # -> ETXTBSY\nlabel('refused')\n",
    )


# What is held meanwhile, and who is listed.


def test_a_seal_waits_for_the_change_that_is_under_way(play: Play) -> None:
    """A truncate that waits for a pin has the inode's locks; when it is over the file is sealed as it is then."""
    run = play(
        "P3",
        details={"a": HANDLED},
        a="""
wait_for("truncating")
sleep(1)
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)   # -> blocks, ok
load(buf, 1)                                                    # -> EFAULT (the file is empty)
""",
        b="""
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
r = pipe()
vmsplice(pipe_w, buf, 100)
label("in the pipe")
sleep(5)
read(r, 100)
""",
        c="wait_for('in the pipe')\nlabel('truncating')\ntruncate('/f', 0)               # -> blocks, 0\n",
    )
    assert run.returned("a") == 5.0


def test_locks_are_taken_in_the_order_of_the_posted_code_which_is_the_wrong_one() -> None:
    """mmap has the mmap lock and wants the iolock; pwritev has that, and its buffer faults [S1: xfs_file_mmap].

    Two threads of one process can hold each other up for ever, and exploration finds out without being told.
    """
    text = """
name = "lock-order"
policy = "{policy}"
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "app"
program = '''
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
t = clone("other")
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)
pthread_join(t)
'''
[[process]]
name = "other"
start = "thread"
program = "pwritev(fd, buf, 3, 0)"
"""
    for policy, broken in (("P3", ["O3"]), ("P1", [])):
        scenario = parse_scenario(text.format(policy=policy), "test.toml")
        subject = Subject(scenario, Settings.of(scenario))
        result = explore(subject.build, check=subject.check, always=subject.always)
        assert [failure.broken.rule for failure in result.failures] == broken


def test_a_descriptor_that_is_passed_is_no_seal(play: Play) -> None:
    """Nor a pin, nor a lease: the mappings alone are counted."""
    run = play(
        "P3",
        seeds=(0,),
        a=PINNED + 'fcntl(fd, F_SETLEASE, F_WRLCK)                   # -> 0\nsend_fd("b", fd)\nmunmap(buf, 4 * PAGE)\n'
        "label('unmapped')\nwait_for('done')\n",
        b="fd = recv_fd()\nwait_for('unmapped')\nftruncate(fd, 8 * PAGE)      # -> 0\nlabel('done')\n",
    )
    assert seal(run) == 0


def test_an_administrator_kills_who_maps_the_file(play: Play) -> None:
    """Those of ordinary mappings too, for nobody can tell them apart; then nothing seals it."""
    run = play(
        "P3",
        seeds=range(2),
        a=PINNED + "pause()                                                 # -> hangs\n",
        plain='fd = open("/f", O_RDONLY)\nmmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)\n'
        "label('mapped')\npause()                                           # -> hangs\n",
        admin="""
wait_for("pinned")
wait_for("mapped")
truncate("/f", 0)                                               # -> ETXTBSY
list_holders("/f")                                              # -> 2
kill_holders("/f", SIGKILL)                                     # -> 2
sleep(1)
truncate("/f", 0)                                               # -> 0
""",
    )
    assert (seal(run), pinned(run)) == (0, 0)


def test_an_administrator_sees_who_maps_the_file_and_not_that_it_is_sealed() -> None:
    mappings = tuple(MappingView(f"mm:{n}", 1, 3, 1, "file:1") for n in (1, 2, 1))
    view = LayoutView(FileFacts(0, 0, Memory.FS_DAX), (), mappings, (), Seal(1))
    listed = [(entry.by, entry.address) for entry in SealedInode().admin_list(view)]
    assert listed == [(ListedBy.MEMORY, "mm:1"), (ListedBy.MEMORY, "mm:2")]
