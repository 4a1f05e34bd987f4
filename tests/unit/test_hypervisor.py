"""A hypervisor that learned frames from FIEMAP: nothing holds them, so no policy that reacts to changes helps [H24]."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.actors.policies import POLICIES

Play = Callable[..., Any]

HEAD = """
[machine]
hypervisor = true
[[pmem]]
name = "pmem0"
blocks = 4
[[file]]
path = "/f"
size = "4 * PAGE"
"""

MAPS = """
fd = open("/f", O_RDWR)
frame = m2p_map(fd, 0, 4 * PAGE)                                   # -> ok
"""

TAKES = """
wait_for("mapped")
truncate("/f", 0)                                                  # -> 0
other = open("/g", O_RDWR | O_CREAT)
write(other, "secret")                                             # -> 6
label("taken")
"""


@pytest.mark.parametrize("policy", [f"{name}:{preset}" for name, its in POLICIES.items() for preset in its.presets])
def test_no_policy_keeps_it_from_what_was_given_away(play: Play, policy: str) -> None:
    played = play(
        policy,
        head=HEAD,
        seeds=range(2),
        violates=["O1", "O2"],
        a=f'{MAPS}\nlabel("mapped")\nwait_for("taken")\nm2p_write(frame, 0, "guest")        # -> 5\nlabel("sent")',
        b=f'{TAKES}\nwait_for("sent")\npread(other, 6, 0)                   # -> b"guestt"',
    )
    assert "through m2p:1, which learned it as page 0 of inode:/f; it is page 0 of inode:/g now" in played.details()


def test_it_reads_what_is_others(play: Play) -> None:
    played = play(
        "P0",
        head=HEAD,
        violates=["O1", "O2"],
        a=f'{MAPS}\nlabel("mapped")\nwait_for("taken")\nm2p_read(frame, 0, 6)               # -> b"secret"',
        b=TAKES,
    )
    assert "a device reads inode:/f through its frame table" not in played.details()
    assert "through m2p:1, which learned page 0 of inode:/f, reads block 0" in played.details()


def test_it_writes_to_a_snapshot(play: Play) -> None:
    """A clone shares the block, and nobody can tell the hypervisor: O1' without any pin."""
    play(
        "P1:intended",
        head=HEAD,
        violates=["O1'"],
        a=f"""
{MAPS}
other = open("/g", O_RDWR | O_CREAT)
ioctl(other, FICLONE, fd)                                          # -> 0
m2p_write(frame, PAGE, "guest")                                    # -> 5
pread(fd, 5, PAGE)                                                 # -> b"guest"
""",
    )


def test_while_the_file_stays_as_it_is_all_is_well(play: Play) -> None:
    """Frames are those of the file, the guest has them when the process is gone, and nothing is left."""
    play(
        "P0",
        head=HEAD,
        details={"b": 'start = "fork"'},
        a=f'{MAPS}\nm2p_write(frame, 2 * PAGE - 1, "xy")   # -> 2\npread(fd, 2, 2 * PAGE - 1)   # -> b"xy"\nfork("b")',
        b="""
sleep(1)
m2p_read(frame, 2 * PAGE - 1, 2)                                   # -> b"xy"
m2p_read(frame + 1, PAGE, 1)                                       # -> b"y"
m2p_read(frame + 3, PAGE - 1, 2)                                   # -> EFAULT
m2p_unmap(frame + 1)                                               # -> EINVAL
m2p_unmap(frame)                                                   # -> 0
m2p_read(frame, 0, 1)                                              # -> EFAULT
m2p_unmap(frame)                                                   # -> EINVAL
""",
    )


@pytest.mark.parametrize(("answer", "violated"), [("munmap(buf, 4 * PAGE)", {"O1", "O2"}), ("m2p_unmap(frame)", set())])
def test_the_lease_of_p4_protects_it_while_its_holder_answers(play: Play, answer: str, violated: set[str]) -> None:
    """MAP_DIRECT of v7 to v9 tells the process, which can tell the hypervisor; nobody else can [4.4]."""
    play(
        "P4",
        head=HEAD,
        details={"a": f"on_signal.SIGIO = '''m2p_unmap(other)\n{answer}\nmunmap(buf, 4 * PAGE)'''"},
        violates=violated,
        a="""
sigprocmask(SIG_BLOCK, SIGIO)
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)
frame = m2p_map(fd, 0, PAGE)                                       # -> ok
other = m2p_map(fd, PAGE, PAGE)                                    # -> ok
label("mapped")
sigsuspend()                                                       # -> EINTR
wait_for("taken")
m2p_write(frame, 0, "guest")                                       # -> optional
label("sent")
""",
        b=TAKES.replace("# -> 0", "# -> blocks, 0") + 'wait_for("sent")\npread(other, 6, 0)',
    )


SEALED = """
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)      # -> ok
frame = m2p_map(fd, 0, PAGE)                                       # -> ok
"""


def test_the_seal_of_p3_protects_it_because_nothing_can_change(play: Play) -> None:
    """What S1 is about: nobody needs to be told, because the block map stays as it is while a mapping is there."""
    play(
        "P3",
        head=HEAD,
        a=f'{SEALED}\nlabel("mapped")\nwait_for("tried")\nm2p_write(frame, 0, "guest")        # -> 5',
        b="""
wait_for("mapped")
truncate("/f", 0)                                                  # -> ETXTBSY
other = open("/f", O_RDWR)
fallocate(other, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)  # -> ETXTBSY
clone = open("/g", O_RDWR | O_CREAT)
ioctl(clone, FICLONE, other)                                       # -> ETXTBSY
pwrite(other, "x", 0)                                              # -> 1
label("tried")
""",
    )


def test_the_seal_goes_with_the_last_mapping_and_the_frames_stay(play: Play) -> None:
    play(
        "P3",
        head=HEAD,
        violates=["O1", "O2"],
        a=f"""
{SEALED}
munmap(buf, 4 * PAGE)                                              # -> 0
label("mapped")
wait_for("taken")
m2p_write(frame, 0, "guest")                                       # -> 5
label("sent")
""",
        b=f'{TAKES}\nwait_for("sent")\npread(other, 6, 0)',
    )


def test_errnos(play: Play) -> None:
    play(
        "P0",
        head=HEAD + '[[pmem]]\nname = "disk"\ndax = false\n[[file]]\npath = "/disk/f"\nsize = "PAGE"\n',
        a="""
fd = open("/f", O_RDWR)
m2p_map(fd, 0, 0)                                                  # -> EINVAL
m2p_map(fd, 1, PAGE)                                               # -> EINVAL
m2p_map(fd, 0, PAGE + 1)                                           # -> EINVAL
m2p_map(fd, 0, 5 * PAGE)                                           # -> ENXIO
m2p_map(fd, 0, 9223372036854775807 - PAGE + 1)                     # -> ENXIO
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) # -> 0
m2p_map(fd, 0, PAGE)                                               # -> ENXIO
fallocate(fd, 0, 0, PAGE)                                          # -> 0
m2p_map(fd, 0, PAGE)                                               # -> ENXIO
m2p_map(fd, PAGE, PAGE)                                            # -> 1
m2p_map(99, 0, PAGE)                                               # -> EBADF
disk = open("/disk/f", O_RDWR)
m2p_map(disk, 0, PAGE)                                             # -> EOPNOTSUPP
read_end = pipe()
m2p_map(read_end, 0, PAGE)                                         # -> EOPNOTSUPP
m2p_write(99, 0, "x")                                              # -> EFAULT
m2p_write(-1, 0, "x")                                              # -> EFAULT
""",
    )


def test_a_machine_without_one(play: Play) -> None:
    play("P0", a='fd = open("/f", O_RDWR)\nm2p_map(fd, 0, PAGE)   # -> ENODEV\nm2p_read(1, 0, 1)   # -> ENODEV')
