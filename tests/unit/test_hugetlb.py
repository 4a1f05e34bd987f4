"""Huge pages of hugetlb: what is promised, mapped, copied and pinned comes and goes by the huge page [1.8.4]."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.actors.conversation import Conversation, Step
from longpin.actors.mm.huge_pages import HugePages
from longpin.actors.mm.mm import Mm
from longpin.actors.policies import POLICIES
from longpin.config.loader import parse_scenario
from longpin.messages.envelope import Done
from longpin.messages.mm.hugetlb import AllocateHugePage, OwnHugePage
from longpin.runner.exploration import explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

RW = "PROT_READ | PROT_WRITE"
PRIVATE = f"{RW}, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0"
SHARED = f"{RW}, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0"
PEER = 'start = "fork"'

DEVICE = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
"""


def head(pages: int = 4, size: str = "4 * PAGE") -> str:
    return f'[machine]\nhuge_page_size = "{size}"\nhuge_pages = {pages}\n'


def pool(played: Any) -> HugePages:
    memory = played.engine.actors["huge_pages"]
    assert isinstance(memory, HugePages)
    return memory


def left(played: Any) -> tuple[int, int]:
    """Return HugePages_Free and HugePages_Rsvd."""
    return pool(played).free.count, pool(played).reserved


def test_mappings_of_2_mib_as_measured(play: Play) -> None:
    """What Linux 6.18 answered to a program with four huge pages."""
    play(
        "P0",
        head=head(4, "512 * PAGE"),
        seeds=(),
        a=f"""
p = mmap(PAGE, {PRIVATE})                                          # -> ok
store(p + 512 * PAGE - 1, b"\\1")                                  # -> 0
munmap(p, PAGE)                                                    # -> EINVAL
munmap(p + PAGE, 511 * PAGE)                                       # -> EINVAL
mprotect(p, PAGE, PROT_READ)                                       # -> EINVAL
mprotect(p, 512 * PAGE, PROT_READ)                                 # -> 0
mprotect(p, 512 * PAGE, {RW})                                      # -> 0
madvise(p, PAGE, MADV_DONTNEED)                                    # -> 0
load(p + 512 * PAGE - 1, 1)                                        # -> b"\\1"
madvise(p + PAGE, PAGE, MADV_DONTNEED)                             # -> EINVAL
madvise(p, 512 * PAGE, MADV_DONTNEED)                              # -> 0
load(p + 512 * PAGE - 1, 1)                                        # -> b"\\0"
madvise(p, PAGE, MADV_DONTFORK)                                    # -> EINVAL
madvise(p, 512 * PAGE, MADV_DONTFORK)                              # -> 0
madvise(p, 512 * PAGE, MADV_DOFORK)                                # -> 0
mlock(p, PAGE)                                                     # -> 0
munlock(p, 512 * PAGE)                                             # -> 0
madvise(p, 512 * PAGE, MADV_FREE)                                  # -> EINVAL
madvise(p, 512 * PAGE, MADV_WIPEONFORK)                            # -> EINVAL
madvise(p, 512 * PAGE, MADV_REMOVE)                                # -> EACCES
mremap(p, 512 * PAGE, 1024 * PAGE, 0)                              # -> EINVAL
mremap(p, 512 * PAGE, 1024 * PAGE, MREMAP_MAYMOVE)                 # -> EINVAL
mremap(p, 512 * PAGE, PAGE, 0)                                     # -> ok
msync(p, 512 * PAGE, MS_SYNC)                                      # -> 0
munmap(p, 512 * PAGE)                                              # -> 0
mmap(512 * PAGE, {PRIVATE.replace("HUGETLB", "HUGETLB | MAP_FIXED")}, p + PAGE)       # -> EINVAL
q = mmap(512 * PAGE, {PRIVATE}, p + PAGE)                          # -> ok
mmap(51200 * PAGE, {PRIVATE})                                      # -> ENOMEM
mmap(512 * PAGE, {PRIVATE.replace("HUGETLB", "HUGETLB | MAP_HUGE_2MB")})              # -> ok
mmap(512 * PAGE, {PRIVATE.replace("HUGETLB", "HUGETLB | MAP_HUGE_1GB")})              # -> ENOMEM
mmap(512 * PAGE, {PRIVATE[:-1]}PAGE)                               # -> EINVAL
fd = memfd_create("h", MFD_HUGETLB)                                # -> ok
memfd_create("x", MFD_HUGETLB | MFD_HUGE_2MB)                      # -> ok
ftruncate(fd, PAGE)                                                # -> EINVAL
ftruncate(fd, 1024 * PAGE)                                         # -> 0
write(fd, "x")                                                     # -> EINVAL
pwrite(fd, "x", 0)                                                 # -> EINVAL
read(fd, 1)                                                        # -> b"\\0"
lseek(fd, PAGE)                                                    # -> 4096
fsync(fd)                                                          # -> 0
mmap(512 * PAGE, {RW}, MAP_SHARED, fd, PAGE)                       # -> EINVAL
s = mmap(PAGE, {RW}, MAP_SHARED, fd, 512 * PAGE)                   # -> ok
store(s + 512 * PAGE - 1, b"\\1")                                  # -> 0
pread(fd, 1, 1024 * PAGE - 1)                                      # -> b"\\1"
ftruncate(fd, 512 * PAGE)                                          # -> 0
fallocate(fd, 0, 0, PAGE)                                          # -> 0
fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 512 * PAGE)                 # -> EOPNOTSUPP
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) # -> 0
mmap(2048 * PAGE, {RW}, MAP_SHARED, fd, 0)                         # -> ENOMEM
mmap(2048 * PAGE, {RW}, MAP_PRIVATE, fd, PAGE)                     # -> EINVAL
mmap(512 * PAGE, {RW}, MAP_SHARED | MAP_HUGETLB, fd, 0)            # -> ok
small = memfd_create("small")
mmap(512 * PAGE, {RW}, MAP_SHARED | MAP_HUGETLB, small, 0)         # -> EINVAL
load(s, 1)                                                         # -> hangs (SIGBUS)
""",
    )


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("", (4, 0)),
        (f"p = mmap(PAGE, {PRIVATE})", (4, 1)),
        (f"p = mmap(PAGE, {PRIVATE})\nstore(p, b'x')", (3, 0)),
        (f"p = mmap(PAGE, {PRIVATE})\nload(p, 1)", (3, 0)),
        (f"p = mmap(PAGE, {PRIVATE})\nstore(p, b'x')\nmadvise(p, 4 * PAGE, MADV_DONTNEED)", (4, 1)),
        (f"p = mmap(12 * PAGE, {PRIVATE})\nstore(p + 4 * PAGE, b'x')\nmunmap(p, 8 * PAGE)", (4, 1)),
        (f"p = mmap(12 * PAGE, {PRIVATE})\nstore(p, b'x')\nmunmap(p, 12 * PAGE)", (4, 0)),
        (f"p = mmap(8 * PAGE, {SHARED})", (4, 2)),
        (f"p = mmap(8 * PAGE, {SHARED})\nstore(p, b'x')", (3, 1)),
        (f"p = mmap(8 * PAGE, {SHARED})\nstore(p, b'x')\nmunmap(p, 8 * PAGE)", (4, 0)),
        (f"p = mmap(8 * PAGE, {SHARED.replace('HUGETLB', 'HUGETLB | MAP_NORESERVE')})", (4, 0)),
        (f"p = mmap(20 * PAGE, {PRIVATE.replace('HUGETLB', 'HUGETLB | MAP_NORESERVE')})\nstore(p, b'x')", (3, 0)),
        (f"p = mmap(8 * PAGE, {PRIVATE.replace('HUGETLB', 'HUGETLB | MAP_POPULATE')})", (2, 0)),
        (f"p = mmap(16 * PAGE, {PRIVATE})\nq = mmap(PAGE, {PRIVATE})  # -> ENOMEM", (4, 4)),
        (f"p = mmap(16 * PAGE, {PRIVATE})\nq = mmap(PAGE, {SHARED})  # -> ENOMEM", (4, 4)),
        (f"p = mmap(8 * PAGE, {PRIVATE})\nstore(p, b'x')\nmremap(p, 8 * PAGE, 4 * PAGE, 0)", (3, 0)),
        (
            (
                f"p = mmap(4 * PAGE, {PRIVATE})\nstore(p, b'x')\n"
                "q = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 64 * PAGE)  # -> ok\n"
                "load(q, 1)  # -> b'x'\nstore(q, b'y')"
            ),
            (3, 0),
        ),
        (
            (
                f"p = mmap(8 * PAGE, {PRIVATE})\nstore(p, b'x')\n"
                f"q = mmap(4 * PAGE, {PRIVATE.replace('HUGETLB', 'HUGETLB | MAP_FIXED')}, p + 4 * PAGE)  # -> ok\n"
                "load(p, 1)  # -> b'x'\nload(q, 1)  # -> b'\\0'"
            ),
            (2, 0),
        ),
        (
            (
                f"p = mmap(8 * PAGE, {PRIVATE})\nq = mmap(8 * PAGE, {PRIVATE})\n"
                f"mmap(8 * PAGE, {PRIVATE.replace('HUGETLB', 'HUGETLB | MAP_FIXED')}, q)  # -> ok"
            ),
            (4, 4),
        ),
        (
            (
                f"p = mmap(8 * PAGE, {PRIVATE})\nq = mmap(4 * PAGE, {PRIVATE})\n"
                f"mmap(12 * PAGE, {PRIVATE.replace('HUGETLB', 'HUGETLB | MAP_FIXED')}, q)  # -> ENOMEM\n"
                "munlock(q, 4 * PAGE)  # -> ENOMEM"
            ),
            (4, 2),
        ),
        ('fd = memfd_create("h", MFD_HUGETLB)\nfallocate(fd, 0, 0, 5 * PAGE)  # -> 0', (2, 0)),
        ('fd = memfd_create("h", MFD_HUGETLB)\nfallocate(fd, 0, 0, 20 * PAGE)  # -> ENOSPC', (0, 0)),
        ('fd = memfd_create("h", MFD_HUGETLB)\nfallocate(fd, 0, 0, 8 * PAGE)\nftruncate(fd, 4 * PAGE)', (3, 0)),
        ('fd = memfd_create("h", MFD_HUGETLB)\nfallocate(fd, 0, 0, 8 * PAGE)\nclose(fd)', (4, 0)),
        (
            (
                'fd = memfd_create("h", MFD_HUGETLB)\nfallocate(fd, 0, 0, 8 * PAGE)\n'
                "fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 7 * PAGE)  # -> 0"
            ),
            (3, 0),
        ),
    ],
)
def test_what_is_free_and_what_is_promised(play: Play, program: str, expected: tuple[int, int]) -> None:
    played = play("P0", head=head(), seeds=(), a=f"{program}\npause()")
    assert left(played) == expected


def test_nothing_is_left_of_a_process(play: Play) -> None:
    played = play(
        "P0",
        head=head(),
        a=f"p = mmap(4 * PAGE, {PRIVATE})\nstore(p, b'x')\nmmap(4 * PAGE, {PRIVATE})\nmmap(4 * PAGE, {SHARED})",
    )
    assert all(left(one) == (4, 0) for one in played.schedules)


def test_a_page_that_is_punched_in_part_is_zeroed_there(play: Play) -> None:
    play(
        "P0",
        head=head(),
        seeds=(),
        a=f"""
fd = memfd_create("h", MFD_HUGETLB)
p = mmap(8 * PAGE, {RW}, MAP_SHARED, fd, 0)                        # -> ok
store(p + PAGE - 1, b"abc")
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE)  # -> 0
load(p + PAGE - 1, 3)                                              # -> b"a\\0\\0"
pread(fd, 1, PAGE - 1)                                             # -> b"a"
""",
    )


def test_a_private_mapping_of_a_file_copies_by_the_huge_page(play: Play) -> None:
    play(
        "P0",
        head=head(),
        seeds=(),
        a=f"""
fd = memfd_create("h", MFD_HUGETLB)
s = mmap(8 * PAGE, {RW}, MAP_SHARED, fd, 0)
p = mmap(8 * PAGE, {RW}, MAP_PRIVATE, fd, 0)                       # -> ok
store(s + PAGE, b"file")
load(p + PAGE, 4)                                                  # -> b"file"
store(p, b"mine")                                                  # -> 0
store(s + PAGE, b"FILE")
load(p + PAGE, 4)                                                  # -> b"file"
load(s, 4)                                                         # -> b"\\0\\0\\0\\0"
store(p + 4 * PAGE, b"own")                                        # -> 0
load(s + 4 * PAGE, 3)                                              # -> b"\\0\\0\\0"
""",
    )


# fork


def test_fork_shares_until_somebody_stores(play: Play) -> None:
    played = play(
        "P0",
        head=head(),
        details={"b": PEER},
        a=f"""
p = mmap(4 * PAGE, {PRIVATE})
s = mmap(4 * PAGE, {SHARED})
store(p, b"one")
fork("b")
wait_for("stored")
load(p, 3)                                                         # -> b"one"
load(s, 5)                                                         # -> b"child"
pause()
""",
        b="""
load(p, 3)                                                         # -> b"one"
store(p + 3 * PAGE, b"two")                                        # -> 0
load(p, 3)                                                         # -> b"one"
store(s, b"child")                                                 # -> 0
label("stored")
pause()
""",
    )
    assert all(left(one) == (1, 0) for one in played.schedules)


def test_a_child_for_which_none_is_left_gets_sigbus(play: Play) -> None:
    """What is promised is promised to the process that mapped it, not to its children [meas 6.18]."""
    program = f"p = mmap(4 * PAGE, {PRIVATE})\nstore(p, b'one')\nq = mmap(12 * PAGE, {PRIVATE})\nfork(\"b\")\npause()"
    play("P0", head=head(), details={"b": PEER}, a=program, b="store(p, b'x')  # -> hangs (SIGBUS)")
    play("P0", head=head(), details={"b": PEER}, a=program, b="load(q, 1)  # -> hangs (SIGBUS)")


def test_who_it_was_promised_to_takes_it_from_a_child(play: Play) -> None:
    """The parent stores, no huge page is left for a copy: the child loses its own [unmap_ref_private; meas 6.18]."""
    played = play(
        "P0",
        head=head(1),
        details={"b": PEER},
        a=f"""
p = mmap(4 * PAGE, {PRIVATE})
store(p, b"one")
fork("b")
wait_for("seen")
store(p, b"two")                                                   # -> 0
load(p, 3)                                                         # -> b"two"
label("taken")
pause()
""",
        b="""
load(p, 3)                                                         # -> b"one"
label("seen")
wait_for("taken")
load(p, 3)                                                         # -> hangs (SIGBUS)
""",
    )
    assert all(left(one) == (0, 0) for one in played.schedules)


STORES = """
name = "stores"
policy = "P1"
[machine]
huge_page_size = "2 * PAGE"
huge_pages = 2
[[process]]
name = "a"
program = '''
p = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0)
store(p, b"x")
fork("b")
store(p, b"y")
load(p, 1)                                                         # -> b"y"
'''
[[process]]
name = "b"
start = "fork"
program = '''
store(p, b"w")
load(p, 1)                                                         # -> b"w"
'''
"""


def found_by_exploring() -> set[str]:
    """Return the rules that some schedule violates; all are explored, if none does."""
    scenario = parse_scenario(STORES, "stores.toml")
    subject = Subject(scenario, Settings.of(scenario))
    explored = explore(subject.build, always=subject.always, check=subject.check)
    assert explored.complete or explored.failures
    return {failure.broken.rule for failure in explored.failures}


def test_two_who_store_at_once_need_one_copy_in_every_schedule() -> None:
    """While one has its copy made, the other must not look who has the old one: Linux holds a mutex over both."""
    assert found_by_exploring() == set()


def lets_go_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old huge page is let go of after the copy has been made, in a step of its own."""

    def planted(self: HugePages, request: OwnHugePage, src: str) -> Conversation[Done]:
        if self.maps[request.first] == 1:
            return Done(request.first)
        copy = self.allocate_huge(AllocateHugePage(request.reserved, request.first), src)
        yield Step()
        self.drop_all(self._frames_of(request.first))
        return copy

    monkeypatch.setitem(HugePages.handlers, OwnHugePage, planted)


def copies_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stores has what all have."""
    monkeypatch.setitem(HugePages.handlers, OwnHugePage, lambda _self, request, _src: Done(request.first))


def forgets_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is made, and the old huge page is still counted for who has the copy."""

    def planted(self: HugePages, request: OwnHugePage, src: str) -> Done:
        return self.allocate_huge(AllocateHugePage(request.reserved, request.first), src)

    monkeypatch.setitem(HugePages.handlers, OwnHugePage, planted)


@pytest.mark.parametrize(
    ("plant", "rule"), [(lets_go_late, "O7"), (copies_for_nobody, "O7"), (forgets_the_old_one, "O6")]
)
def test_mistakes_with_huge_pages_are_found(
    plant: Callable[[pytest.MonkeyPatch], None], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert found_by_exploring() == {rule}


@pytest.mark.parametrize(("kernel", "device"), [("5.4", "nobody"), ("6.18", "parent")])
def test_a_pinned_huge_page_is_copied_for_the_child_at_once(play: Play, kernel: str, device: str) -> None:
    """A pin of one page counts for the whole: the parent keeps what the device has, from 5.9 on [1.8.1].

    Before, who stores first leaves the device with a page that the other has still.
    """
    seen = b"device" if device == "parent" else bytes(6)
    play(
        f"P0,kernel={kernel}",
        head=head(),
        details={"b": PEER},
        a=f"""
{DEVICE}
p = mmap(4 * PAGE, {PRIVATE})
store(p, b"first.")
mr = ibv_reg_mr(pd, p + 3 * PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)   # -> ok
fork("b")
store(p, b"second")                                                # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "device", mr, 0)
ibv_get_cq_event(cq)
load(p + 3 * PAGE, 6)                                              # -> {seen!r}
""",
        b='sleep(5)\nload(p, 6)                                      # -> b"first."',
    )


# Pins.


@pytest.mark.parametrize("policy", [f"{name}:{preset}" for name, its in POLICIES.items() for preset in its.presets])
@pytest.mark.parametrize("memory", [PRIVATE, SHARED])
def test_they_are_pinned_for_long_under_every_policy_and_charged_by_the_page(
    play: Play, policy: str, memory: str
) -> None:
    played = play(
        policy,
        head=head(),
        seeds=(),
        a=f"""
{DEVICE}
p = mmap(8 * PAGE, {memory})
mr = ibv_reg_mr(pd, p + PAGE, 5 * PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)   # -> ok
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 3 * PAGE - 4)
ibv_get_cq_event(cq)                                               # -> IBV_WC_SUCCESS
load(p + 4 * PAGE - 4, 12)                                         # -> b"from the NIC"
munmap(p, 8 * PAGE)                                                # -> 0
pause()
""",
    )
    assert sorted(pool(played).pins) == [1, 2, 3, 4, 5]
    assert left(played) == (2, 0), "what is pinned keeps the huge pages"
    mm = played.engine.actors["mm:100.1"]
    assert isinstance(mm, Mm)
    assert mm.pinned_vm == 5


def test_what_is_pinned_is_the_pinners_when_the_file_is_truncated(play: Play) -> None:
    """Nobody waits for it, as nobody does for tmpfs; the huge page goes with its last pin."""
    played = play(
        "P1",
        head=head(),
        a=f"""
{DEVICE}
fd = memfd_create("h", MFD_HUGETLB)
p = mmap(4 * PAGE, {RW}, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, p, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
ftruncate(fd, 0)                                                   # -> 0
ftruncate(fd, 4 * PAGE)                                            # -> 0
load(p, 1)                                                         # -> b"\\0"
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "late", mr, 0)                # -> 0
ibv_get_cq_event(cq)                                               # -> IBV_WC_SUCCESS
load(p, 4)                                                         # -> b"\\0\\0\\0\\0"
ibv_dereg_mr(mr)                                                   # -> 0
pause()
""",
    )
    assert all(left(one) == (3, 0) for one in played.schedules)


def test_a_pin_for_which_none_is_left(play: Play) -> None:
    play(
        "P0",
        head=head(1),
        a=f"""
{DEVICE}
p = mmap(8 * PAGE, {PRIVATE.replace("HUGETLB", "HUGETLB | MAP_NORESERVE")})
ibv_reg_mr(pd, p, 8 * PAGE, IBV_ACCESS_LOCAL_WRITE)                # -> EFAULT
ibv_reg_mr(pd, p, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)                # -> ok
""",
    )


def test_a_machine_without_any(play: Play) -> None:
    play(
        "P0",
        a=f"""
mmap(PAGE, {PRIVATE})                                              # -> ENOMEM
fd = memfd_create("h", MFD_HUGETLB)                                # -> ok
memfd_create("h", MFD_HUGE_2MB)                                    # -> EINVAL
""",
    )
