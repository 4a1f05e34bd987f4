"""V4L2 with buffers of user memory: how long they are pinned, what the camera writes, and the same gates as RDMA."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from longpin.actors.conversation import Conversation
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.fs.inode import Inode
from longpin.actors.media.video_file import VideoFile
from longpin.actors.mm.gup import unpin_user_pages
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.pmem import Pmem
from longpin.actors.policies import POLICIES
from longpin.config.loader import parse_scenario
from longpin.runner.exploration import explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

BOTH = pytest.mark.parametrize("framework", ["videobuf", "videobuf2"])

FILE = '[[file]]\npath = "/f"\nsize = "4 * PAGE"\n'

MAPPED = """
cam = open("/dev/video0", O_RDWR)
vidioc_reqbufs(cam, 2, V4L2_MEMORY_USERPTR)                        # -> 2
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""


@pytest.fixture
def few(play: Play) -> Play:
    """Return ``play`` with three orders instead of ten: what is looked at here does not depend on the order."""
    return partial(play, seeds=range(2))


def head(framework: str = "videobuf", frame_size: str = "PAGE") -> str:
    return f'{FILE}[[video]]\nname = "video0"\nframe_size = "{frame_size}"\nframework = "{framework}"\n'


def pinned(played: Any) -> list[int]:
    pmem = played.engine.actors["pmem:pmem0"]
    assert isinstance(pmem, Pmem)
    return sorted(pmem.pins)


@BOTH
def test_a_frame_comes_and_the_buffer_goes_round(few: Play, framework: str) -> None:
    few(
        "P1",
        head=head(framework),
        a=f"""
{MAPPED}
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
vidioc_qbuf(cam, 1, buf + PAGE + 100, PAGE)                        # -> 0
vidioc_streamon(cam)                                               # -> 0
vidioc_streamon(cam)                                               # -> 0
vidioc_dqbuf(cam)                                                  # -> 0
load(buf, 7)                                                       # -> b"frame 1"
vidioc_dqbuf(cam)                                                  # -> 1
load(buf + PAGE + 100, 7)                                          # -> b"frame 2"
load(buf + 2 * PAGE, 7)                                            # -> b"frame 2"
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
vidioc_dqbuf(cam)                                                  # -> 0
pread(fd, 7, 0)                                                    # -> b"frame 3"
vidioc_streamoff(cam)                                              # -> 0
close(cam)                                                         # -> 0
""",
    )


@pytest.mark.parametrize(
    ("framework", "ends", "left"),
    [
        *(
            ("videobuf", "", [0]),
            ("videobuf", "vidioc_streamoff(cam)", []),
            ("videobuf2", "vidioc_streamoff(cam)", [0]),
        ),
        *((each, "vidioc_streamoff(cam)\nvidioc_reqbufs(cam, 0, V4L2_MEMORY_USERPTR)", []) for each in ("videobuf2",)),
        *((each, "munmap(buf, 4 * PAGE)\nclose(fd)", [0]) for each in ("videobuf", "videobuf2")),
        *((each, "more = dup(cam)\nclose(cam)", [0]) for each in ("videobuf", "videobuf2")),
        *((each, "more = dup(cam)\nclose(cam)\nclose(more)", []) for each in ("videobuf", "videobuf2")),
        *((each, "vidioc_dqbuf(cam)", [0]) for each in ("videobuf", "videobuf2")),
    ],
)
def test_how_long_a_buffer_is_pinned(few: Play, framework: str, ends: str, left: list[int]) -> None:
    """From VIDIOC_QBUF to VIDIOC_STREAMOFF, as documented, or VIDIOC_REQBUFS; or the last close. Not VIDIOC_DQBUF."""
    program = f"{MAPPED}\nvidioc_qbuf(cam, 0, buf, PAGE)\nvidioc_streamon(cam)\n{ends}\npause()"
    played = few("P1", head=head(framework), a=program)
    assert [pinned(one) for one in played.schedules] == [left] * len(played.schedules)


@BOTH
def test_nothing_is_left_when_the_process_dies(few: Play, framework: str) -> None:
    played = few("P1", head=head(framework), a=f"{MAPPED}\nvidioc_qbuf(cam, 0, buf, PAGE)\nvidioc_streamon(cam)")
    assert all(not pinned(one) for one in played.schedules)


@BOTH
def test_what_is_queued_again_is_the_pages_that_were_pinned(few: Play, framework: str) -> None:
    """The address is the same, so nobody looks what is mapped there by now [code: __prepare_userptr]."""
    few(
        "P1",
        head=head(framework),
        a=f"""
{MAPPED}
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
vidioc_streamon(cam)                                               # -> 0
vidioc_dqbuf(cam)                                                  # -> 0
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, buf)   # -> ok
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
vidioc_dqbuf(cam)                                                  # -> 0
load(buf, 7)                                                       # -> b"\\0\\0\\0\\0\\0\\0\\0"
pread(fd, 7, 0)                                                    # -> b"frame 2"
""",
    )


def test_an_address_that_changes_is_pinned_anew(few: Play) -> None:
    played = few(
        "P1",
        head=head(),
        a=f"""
{MAPPED}
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
vidioc_streamon(cam)
vidioc_dqbuf(cam)                                                  # -> 0
vidioc_qbuf(cam, 0, buf + 2 * PAGE, 2 * PAGE)                      # -> 0
pause()
""",
    )
    assert all(pinned(one) == [2, 3] for one in played.schedules)


def test_errnos(few: Play) -> None:
    few(
        "P1",
        head=head(frame_size="2 * PAGE"),
        a=f"""
{MAPPED}
vidioc_streamoff(cam)                                              # -> 0
vidioc_dqbuf(cam)                                                  # -> EINVAL
vidioc_qbuf(cam, 2, buf, 2 * PAGE)                                 # -> EINVAL
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> EINVAL
vidioc_qbuf(cam, 0, buf + 3 * PAGE, 2 * PAGE)                      # -> EFAULT
vidioc_qbuf(cam, 0, buf, 2 * PAGE)                                 # -> 0
vidioc_qbuf(cam, 0, buf, 2 * PAGE)                                 # -> EINVAL
vidioc_streamon(fd)                                                # -> ENOTTY
vidioc_streamon(99)                                                # -> EBADF
path = open("/dev/video0", O_PATH)
vidioc_streamon(path)                                              # -> EBADF
other = open("/dev/video0", O_RDWR | O_NONBLOCK)
vidioc_reqbufs(other, 1, V4L2_MEMORY_USERPTR)                      # -> EBUSY
vidioc_streamon(other)                                             # -> EBUSY
vidioc_qbuf(other, 0, buf, 2 * PAGE)                               # -> EBUSY
vidioc_streamon(cam)                                               # -> 0
vidioc_reqbufs(cam, 0, V4L2_MEMORY_USERPTR)                        # -> EBUSY
vidioc_streamoff(cam)                                              # -> 0
vidioc_reqbufs(cam, 0, V4L2_MEMORY_USERPTR)                        # -> 0
vidioc_reqbufs(other, 100, V4L2_MEMORY_USERPTR)                    # -> 32
vidioc_streamon(other)                                             # -> 0
vidioc_dqbuf(other)                                                # -> EAGAIN
vidioc_streamon(cam)                                               # -> EBUSY
close(other)
vidioc_streamon(cam)                                               # -> EINVAL
again = open("/proc/self/fd/3", O_RDWR)                            # -> ok
vidioc_reqbufs(again, 1, V4L2_MEMORY_USERPTR)                      # -> 1
read(cam, 1)                                                       # -> EINVAL
mmap(PAGE, PROT_READ, MAP_SHARED, cam, 0)                          # -> ENODEV
ftruncate(cam, 0)                                                  # -> EINVAL
truncate("/dev/video0", 0)                                         # -> EINVAL
fcntl(cam, F_SETLEASE, F_RDLCK)                                    # -> EINVAL
unlink("/dev/video0")                                              # -> 0
vidioc_streamoff(cam)                                              # -> EBUSY
""",
    )


def test_who_waits_for_a_frame_is_woken_when_streaming_ends(play: Play) -> None:
    play(
        "P1",
        head=head(),
        details={"b": 'start = "fork"'},
        a=f"""
{MAPPED}
fork("b")
vidioc_streamon(cam)
label("on")
sleep(1)
vidioc_dqbuf(cam)                                                  # -> EBUSY
vidioc_streamoff(cam)                                              # -> 0
""",
        b="""
wait_for("on")
vidioc_dqbuf(cam)                                                  # -> blocks, EINVAL
""",
    )


def test_a_signal_ends_the_wait(play: Play) -> None:
    play(
        "P1",
        head=head(),
        details={"a": "on_signal.SIGUSR1 = 'close(fd)'"},
        a=f"""
{MAPPED}
vidioc_streamon(cam)
label("on")
vidioc_dqbuf(cam)                                                  # -> blocks, EINTR
vidioc_streamoff(cam)                                              # -> 0
vidioc_reqbufs(cam, 1, V4L2_MEMORY_USERPTR)                        # -> 1
""",
        b='wait_for("on")\nsleep(1)\nkill("a", SIGUSR1)',
    )


def test_nothing_is_charged(few: Play) -> None:
    """Neither framework counts what it pins against RLIMIT_MEMLOCK."""
    played = few(
        "P1",
        head=head(),
        details={"a": "memlock = 0\ncapabilities = []"},
        a=f"{MAPPED}\nvidioc_qbuf(cam, 0, buf, 4 * PAGE)                          # -> 0\npause()",
    )
    for one in played.schedules:
        mm = one.engine.actors["mm:100.1"]
        assert isinstance(mm, Mm)
        assert (pinned(one), mm.pinned_vm) == ([0, 1, 2, 3], 0)


# What may be pinned.


@BOTH
@pytest.mark.parametrize("kernel", ["5.4", "6.1", "6.12", "6.18", "7.2"])
def test_fs_dax_is_refused_on_both_paths(few: Play, framework: str, kernel: str) -> None:
    """get_vaddr_frames and get_user_pages_longterm [S2; semantics 4.0]."""
    played = few(
        f"P0:as_posted,kernel={kernel}",
        head=head(framework),
        a=f"{MAPPED}\nvidioc_qbuf(cam, 0, buf, PAGE)                              # -> EOPNOTSUPP\npause()",
    )
    assert all(not pinned(one) for one in played.schedules)


@pytest.mark.parametrize(
    ("framework", "kernel", "expected"),
    [
        ("videobuf", "5.4", "EOPNOTSUPP"),
        ("videobuf2", "5.4", "0"),
        ("videobuf2", "6.1", "EOPNOTSUPP"),
        ("videobuf2", "6.18", "EOPNOTSUPP"),
    ],
)
def test_linux_5_4_looks_at_the_first_mapping_of_a_frame_vector_alone(
    few: Play, framework: str, kernel: str, expected: str
) -> None:
    """A buffer that begins in anonymous memory and goes on in FS-DAX is pinned [code k54: get_vaddr_frames]."""
    few(
        f"P0:as_posted,kernel={kernel}",
        head=head(framework),
        a=f"""
{MAPPED}
low = mmap(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0, low + 4 * PAGE)   # -> ok
vidioc_qbuf(cam, 0, low + 3 * PAGE, 2 * PAGE)                      # -> {expected}
""",
    )


@pytest.mark.parametrize(
    ("kernel", "memory", "expected"),
    [
        ("6.18", "mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)", "0"),
        ("6.18", "mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)", "EFAULT"),
        ("6.1", "mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)", "0"),
        ("6.18", "mmap(512 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dax, 0)", "0"),
        ("6.18", "mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, cached, 0)", "EFAULT"),
        ("6.1", "mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, cached, 0)", "0"),
    ],
)
def test_other_memory(few: Play, kernel: str, memory: str, expected: str) -> None:
    """Device-dax and memory of a process may be buffers; pages of a page cache as for RDMA."""
    more = '[[dax]]\nname = "dax0.0"\n[[pmem]]\nname = "pmem0"\n[[pmem]]\nname = "disk"\ndax = false\n'
    few(
        f"P0,kernel={kernel}",
        head=head() + more + '[[file]]\npath = "/disk/f"\nsize = "PAGE"\n',
        a=f"""
cam = open("/dev/video0", O_RDWR)
vidioc_reqbufs(cam, 1, V4L2_MEMORY_USERPTR)
dax = open("/dev/dax0.0", O_RDWR)
cached = open("/disk/f", O_RDWR)
buf = {memory}
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> {expected}
""",
    )


# Under the proposals.


@pytest.mark.parametrize("policy", [f"{name}:{preset}" for name, its in POLICIES.items() for preset in its.presets])
def test_every_policy_answers_a_camera_as_it_answers_rdma(few: Play, policy: str) -> None:
    """Without a lease, with one, with the file unmapped: what a registration fails with a buffer fails with [C4]."""
    register = "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)"
    queue = "vidioc_qbuf(cam, 0, buf, PAGE)"
    played = few(
        policy,
        head=head(),
        a=f"""
{MAPPED}
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
{register}
{queue}
vidioc_streamoff(cam)
fcntl(fd, F_SETLEASE, F_LAYOUT)
{register}
{queue}
munmap(buf, PAGE)
{register}                                                         # -> EFAULT
vidioc_qbuf(cam, 1, buf, PAGE)                                     # -> EFAULT
""",
    )
    for one in played.schedules:
        errnos = [call.errno for call in one.result.calls if call.call in ("ibv_reg_mr", "vidioc_qbuf")]
        assert errnos[::2] == errnos[1::2]


def test_p2_fails_the_change_at_once(play: Play) -> None:
    play(
        "P2",
        head=head(),
        a=f"""
{MAPPED}
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
ftruncate(fd, 0)                                                   # -> EBUSY
ftruncate(fd, 2 * PAGE)                                            # -> 0
vidioc_streamoff(cam)                                              # -> 0
ftruncate(fd, 0)                                                   # -> 0
""",
    )


def test_p3_pins_through_a_sealing_mapping_alone(play: Play) -> None:
    play(
        "P3",
        head=head(),
        a=f"""
{MAPPED}
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> EOPNOTSUPP
direct = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)
vidioc_qbuf(cam, 0, direct, PAGE)                                  # -> 0
ftruncate(fd, 0)                                                   # -> ETXTBSY
""",
    )


def test_a_change_waits_for_a_buffer_and_names_who_has_it(few: Play) -> None:
    played = few(
        "P1",
        head=head(),
        violates=["O3"],
        a=f'{MAPPED}\nvidioc_qbuf(cam, 0, buf, PAGE)\nlabel("queued")\npause()',
        b='wait_for("queued")\ntruncate("/f", 0)                           # -> hangs',
    )
    assert "whose descriptor is held by a)" in played.details()


@BOTH
def test_p5_wants_a_lease_and_gives_way_when_streaming_ends(play: Play, framework: str) -> None:
    last = "vidioc_reqbufs(cam, 0, V4L2_MEMORY_USERPTR)" if framework == "videobuf2" else "vidioc_dqbuf(cam)"
    play(
        "P5",
        head=head(framework),
        details={"a": f"on_signal.SIGIO = '''vidioc_streamoff(cam)\n{last}\nfcntl(fd, F_SETLEASE, F_UNLCK)'''"},
        a=f"""
{MAPPED}
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> EPERM
sigprocmask(SIG_BLOCK, SIGIO)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                    # -> 0
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
vidioc_streamon(cam)
label("queued")
sigsuspend()                                                       # -> EINTR
""",
        b='wait_for("queued")\ntruncate("/f", 0)                           # -> blocks, 0',
    )


def test_p6_a_buffer_keeps_the_lease_as_a_registration_does(play: Play) -> None:
    """A zombie lease holds no descriptor and no mapping: the camera alone; it goes with the buffer [1.5, H23]."""
    play(
        "P6",
        head=head(),
        a=f"""
{MAPPED}
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> EPERM
fcntl(fd, F_SETLEASE, F_LAYOUT | 32)                               # -> 0
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
munmap(buf, 4 * PAGE)
close(fd)                                                          # -> 0
label("zombie")
wait_for("refused")
vidioc_streamoff(cam)                                              # -> 0
label("off")
""",
        b="""
wait_for("zombie")
truncate("/f", 0)                                                  # -> ETXTBSY
label("refused")
wait_for("off")
truncate("/f", 0)                                                  # -> 0
""",
    )


def test_p4_takes_a_buffer_from_the_camera_at_the_deadline(play: Play) -> None:
    """A revoked buffer comes back empty, EIO; nothing is written to what has been given away."""
    played = play(
        "P4",
        head=head(),
        a="""
cam = open("/dev/video0", O_RDWR)
vidioc_reqbufs(cam, 1, V4L2_MEMORY_USERPTR)
fd = open("/f", O_RDWR)
sigaction(SIGIO, SIG_IGN)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
label("queued")
wait_for("gone")
vidioc_streamon(cam)                                               # -> 0
vidioc_dqbuf(cam)                                                  # -> EIO
""",
        b='wait_for("queued")\ntruncate("/f", 0)                           # -> blocks, 0\nlabel("gone")',
    )
    assert all("write" not in str(one.result.violations) for one in played.schedules)


def test_p8_whose_use_it_refuses_cannot_stream(few: Play) -> None:
    """What is passed is used by who has a lease of its own, or not at all [C5]."""
    few(
        "P8:intended,enforce_pass=block_use",
        head=head(),
        details={"b": 'start = "fork"'},
        a=f"""
{MAPPED}
fcntl(fd, F_SETLEASE, F_LAYOUT)                                    # -> 0
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
fork("b")
wait_for("tried")
vidioc_streamon(cam)                                               # -> 0
vidioc_dqbuf(cam)                                                  # -> 0
vidioc_streamoff(cam)
""",
        b="""
vidioc_streamon(cam)                                               # -> EACCES
label("tried")
""",
    )


def test_a_pin_of_a_camera_has_no_owner_file(few: Play) -> None:
    played = few("P1", head=head(), a=f"{MAPPED}\nvidioc_qbuf(cam, 0, buf, PAGE)\npause()")
    pmem = played.engine.actors["pmem:pmem0"]
    assert [pin.has_owner_file for pins in pmem.pins.values() for pin in pins] == [False]


def test_p6_finds_a_camera_by_the_process_that_pinned_and_by_no_descriptor(play: Play) -> None:
    """What has no owner file is listed with the process alone; who else has the camera is not found (H23)."""
    play(
        "P6",
        head=head(),
        details={"b": 'start = "fork"'},
        a=f"""
{MAPPED}
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                      # -> 0
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
file_pins("a")                                                     # -> b"/f\\n"
fork("b")
label("forked")
pause()
""",
        b="pause()",
        c="""
wait_for("forked")
list_holders("/f")                                                 # -> 1
kill_holders("/f", SIGKILL)                                        # -> 1
sleep(1)
truncate("/f", 0)                                                  # -> ETXTBSY
""",
    )


def test_o4_does_not_hold_where_the_camera_was_passed(play: Play) -> None:
    """Of the two that could end the pin, the administrator finds the one that made it (H23)."""
    played = play(
        "P6",
        head='holds = ["O1", "O4", "O6", "O7"]\n' + head(),
        details={"b": 'start = "fork"'},
        violates=["O4"],
        a=f"""
{MAPPED}
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                      # -> 0
vidioc_qbuf(cam, 0, buf, PAGE)                                     # -> 0
fork("b")
list_holders("/f")                                                 # -> 1
""",
        b="sleep(1)",
    )
    assert "vb:video0.1.1" in played.details()


def test_the_description_is_the_owner_not_the_process(few: Play) -> None:
    """The camera goes on while somebody has it open, and so do the pins: the file of the buffer need not be."""
    played = few(
        "P1",
        head=head(),
        details={"b": 'start = "fork"'},
        a=f'{MAPPED}\nvidioc_qbuf(cam, 0, buf, PAGE)\nvidioc_streamon(cam)\nfork("b")',
        b="sleep(1)\nvidioc_dqbuf(cam)                                  # -> 0\npause()",
    )
    for one in played.schedules:
        assert pinned(one) == [0]
        assert isinstance(one.engine.actors["inode:/f"], Inode)
        assert isinstance(one.engine.actors["file:100.1"], OpenFileDescription)


# Planted mistakes.

STOPS = f"""
name = "camera-stops"
policy = "P1:intended"
{head()}
[[process]]
name = "a"
program = '''
{MAPPED}
vidioc_qbuf(cam, 0, buf, PAGE)
vidioc_streamon(cam)
label("on")
vidioc_streamoff(cam)
'''
[[process]]
name = "b"
program = '''
wait_for("on")
truncate("/f", 0)
'''
"""


def found_by_exploring(text: str) -> set[str]:
    """Return the rules that some schedule of a scenario violates; all are explored, if none does."""
    scenario = parse_scenario(text, "planted.toml")
    subject = Subject(scenario, Settings.of(scenario))
    explored = explore(subject.build, always=subject.always, check=subject.check)
    assert explored.complete or explored.failures
    return {failure.broken.rule for failure in explored.failures}


def does_not_wait_for_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """VIDIOC_STREAMOFF comes back while a frame is being written."""

    def planted(self: VideoFile) -> Conversation[None]:
        self.streaming = False
        self.queued.clear()
        self.done.clear()
        yield from ()

    monkeypatch.setattr(VideoFile, "_cancel", planted)


def unpins_what_the_camera_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """VIDIOC_STREAMOFF lets go of the pages, and stops the camera then."""
    cancel = VideoFile._cancel

    def planted(self: VideoFile) -> Conversation[None]:
        for buffer in self.buffers:
            if buffer.registration is not None:
                yield from unpin_user_pages(self.kernel, buffer.registration)
        yield from cancel(self)

    monkeypatch.setattr(VideoFile, "_cancel", planted)


def forgets_its_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """VIDIOC_STREAMOFF forgets what it has not unpinned."""
    cancel = VideoFile._cancel

    def planted(self: VideoFile) -> Conversation[None]:
        yield from cancel(self)
        for buffer in self.buffers:
            buffer.registration = None

    monkeypatch.setattr(VideoFile, "_cancel", planted)


def test_a_camera_that_stops_holds_every_rule_in_every_schedule() -> None:
    assert found_by_exploring(STOPS) == set()


@pytest.mark.parametrize(
    ("plant", "rules"),
    [
        (does_not_wait_for_the_camera, {"O1"}),
        (unpins_what_the_camera_has, {"O1"}),
        (forgets_its_buffers, {"O3"}),
    ],
)
def test_mistakes_of_a_camera_are_found(
    plant: Callable[[pytest.MonkeyPatch], None], rules: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert found_by_exploring(STOPS) & rules
