"""What knfsd does with a layout that is not returned: three answers, failing fences, its threads [semantics 1.4.1].

The scenarios ``pnfs-*`` show the same, one a sentence; those that are short are explored here.
"""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import leases

from longpin.config.loader import load_scenario, parse_scenario
from longpin.config.problems import ScenarioError
from longpin.runner import api
from longpin.runner.result import Verdict

Play = Callable[..., Any]

GET = (
    "fd = open('/f', O_RDWR)\n"
    "lo = layoutget(fd, 20)                  # -> ok\nlayout_write(lo, 'a', 0)\nlabel('layout')\n"
)
STAYS = GET + "cb_layoutrecall(lo)                  # -> 0\nwait_for('truncated')\n"
TRUNCATE = "wait_for('layout')\ntruncate('/f', 0)                  # -> blocks, 0\nlabel('truncated')\n"


def head(nfsd: str, seconds: int = 10) -> str:
    """Return a machine with a server, and a file of a page."""
    return f'[machine]\nlease_break_time = {seconds}\n[nfsd]\n{nfsd}\n[[file]]\npath = "/f"\nsize = "PAGE"\n'


@pytest.mark.parametrize(
    ("nfsd", "seconds", "left"),
    [
        ("on_timeout = 'never'", 40.0, "EINVAL"),
        ("on_timeout = 'fence_sync'", 10.0, "0"),
        ("on_timeout = 'fence_async'", 10.0, "EINVAL"),
        ("on_timeout = 'fence_async'\nfence_failures = 2", 13.0, "EINVAL"),
        ("on_timeout = 'never'\nlayout_type = 'block'", 40.0, "EINVAL"),
    ],
)
def test_a_client_that_does_not_return_its_layout_is_fenced_in_time(
    play: Play, nfsd: str, seconds: float, left: str
) -> None:
    run = play(
        "P1",
        head=head(nfsd),
        client=f"{STAYS}layout_write(lo, 'stray', 0)            # -> EIO\nlayoutreturn(lo)             # -> {left}\n",
        b=TRUNCATE,
    )
    assert run.returned("b") == seconds
    assert leases(run) == ()


@pytest.mark.parametrize(
    "nfsd",
    [
        "on_timeout = 'never'\nfence_failures = 1",
        "on_timeout = 'fence_sync'\nfence_failures = 1",
        "on_timeout = 'fence_async'\nfence_failures = 5\nfence_retries = 2",
        "on_timeout = 'fence_async'\nfence_failures = 1000",
        "on_timeout = 'fence_async'\nlayout_type = 'block'",
        "on_timeout = 'fence_sync'\nlayout_type = 'block'",
    ],
)
def test_where_the_lease_goes_and_no_fence_has_worked_the_client_writes_into_a_free_block(
    play: Play, nfsd: str
) -> None:
    """O1: it was told of nothing, and nothing keeps it from the device."""
    play(
        "P1",
        head=head(nfsd),
        violates=["O1"],
        client=STAYS + "layout_write(lo, 'stray', 0)                # -> 5\n",
        b=TRUNCATE,
    )


def test_a_lease_without_a_break_time_is_never_timed_out(play: Play) -> None:
    """With lease-break-time 0 every server waits for its own time-out."""
    run = play("P1", head=head("on_timeout = 'fence_async'", 0), client=STAYS, b=TRUNCATE)
    assert run.returned("b") == 40.0


def test_a_layout_that_is_returned_while_its_fence_is_retried_ends_with_the_next_try(play: Play) -> None:
    """The worker has a reference on it: tries at 10, 11, 13 and 17 seconds."""
    run = play(
        "P1",
        head=head("on_timeout = 'fence_async'\nfence_failures = 1000"),
        client=GET
        + "cb_layoutrecall(lo)\nsleep(14)\nlayoutreturn(lo)                      # -> 0\nwait_for('truncated')\n",
        b=TRUNCATE,
    )
    assert run.returned("b") == 17.0


def test_the_server_asks_every_ten_milliseconds_whether_it_was_returned(play: Play) -> None:
    run = play(
        "P1",
        head=head("on_timeout = 'never'"),
        client=GET
        + "cb_layoutrecall(lo)\nsleep(3)\nlayoutreturn(lo)                      # -> 0\nwait_for('truncated')\n",
        b=TRUNCATE,
    )
    assert run.returned("b") == 3.01


def test_the_kernel_decides_where_the_scenario_does_not(play: Play) -> None:
    for kernel, seconds in (("6.18", 40.0), ("7.2", 10.0)):
        run = play(f"P1,kernel={kernel}", head=head(""), client=STAYS, b=TRUNCATE)
        assert run.returned("b") == seconds


def test_nobody_else_gets_a_layout_while_a_client_is_not_fenced_yet(play: Play) -> None:
    """Its lease is still there, and being broken [2.1]."""
    play(
        "P1",
        head=head("on_timeout = 'fence_async'\nfence_failures = 2"),
        client=STAYS,
        b=TRUNCATE,
        other="wait_for('layout')\nsleep(12)\n"
        "fd = open('/f', O_RDWR)\nlayoutget(fd, 20)                    # -> EAGAIN\n"
        "sleep(2)\nlayoutget(fd, 20)                    # -> ok\n",
    )


SETATTR = "fd = open('/f', O_RDWR)\nwait_for('layout')\nnfs_setattr(fd, 0)                  # -> blocks, 0\n"
AT_ONCE = GET + "cb_layoutrecall(lo)\nsleep(1)\n"


@pytest.mark.parametrize(("threads", "seconds"), [(0, 1.01), (1, 40.0), (2, 40.0), (3, 1.01)])
def test_a_layout_is_returned_by_a_thread_of_the_server(play: Play, threads: int, seconds: float) -> None:
    """If all of them wait for that layout, it comes too late."""
    run = play(
        "P1",
        head=head(f"threads = {threads}\non_timeout = 'never'", 0),
        client=AT_ONCE
        + f"layoutreturn(lo)                  # -> {'0' if seconds < 2 else 'blocks, EINVAL'}\nwait_for('done')\n",
        b=SETATTR + "label('done')\n",
        c=SETATTR,
    )
    assert run.returned("b") == seconds


def test_a_request_of_a_process_that_is_killed_is_served_all_the_same(play: Play) -> None:
    """And its thread is free again after that."""
    run = play(
        "P1",
        head=head("threads = 1\non_timeout = 'never'", 0),
        client=STAYS.replace("wait_for('truncated')", "sleep(100)"),
        b=SETATTR.replace("-> blocks, 0", "-> optional, 0"),
        c="wait_for('layout')\nsleep(5)\nkill('b', SIGKILL)                  # -> 0\nfd = open('/f', O_RDWR)\n"
        "nfs_setattr(fd, 10)              # -> blocks, 0\nstat('/f')                      # -> 10\n",
    )
    assert run.ended("b") == 40.0


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("pnfs-never-timed-out", Verdict.HOLDS),
        ("pnfs-fence-retried", Verdict.HOLDS),
        ("pnfs-fenced-too-late", Verdict.VIOLATED),
        pytest.param("pnfs-fenced-by-a-worker", Verdict.HOLDS, marks=pytest.mark.heavy),
        pytest.param("pnfs-threads-run-out", Verdict.HOLDS, marks=pytest.mark.heavy),
    ],
)
def test_every_order_of_a_scenario(name: str, verdict: Verdict) -> None:
    """The fence that comes after the lease has gone is too late in some order; that of the worker is in none."""
    found = api.explore(load_scenario(name), shrink=0)
    assert found.verdict is verdict


def test_a_fence_that_was_late_under_one_kernel_is_not_under_another(play: Play) -> None:
    """In random orders, with timers that race."""
    for on_timeout in ("never", "fence_async"):
        play(
            "P1",
            head=head(f"on_timeout = '{on_timeout}'", 1),
            seeds=range(25),
            racy=True,
            client=GET.replace("20", "1")
            + "cb_layoutrecall(lo)\nsleep(1)\nlayout_write(lo, 'b', 0)\nlayout_write(lo, 'c', 0)\n",
            b="wait_for('layout')\ntruncate('/f', 0)\n",
            c="wait_for('layout')\ntruncate('/f', 0)\n",
        )


def test_mistakes_in_the_table_are_told() -> None:
    with pytest.raises(ScenarioError) as error:
        parse_scenario(
            'name = "x"\n[nfsd]\nthreads = -1\non_timeout = "fence"\nlayout_type = "file"\nfence_failures = 1001\n'
            '[[process]]\nname = "a"\nprogram = "getpid()"\n',
            "f.toml",
        )
    assert [str(problem) for problem in error.value.problems] == [
        "f.toml:3: nfsd.threads: expected a number from 0 to 1024, found -1",
        "f.toml:4: nfsd.on_timeout: expected one of never, fence_sync, fence_async, found 'fence'",
        "f.toml:5: nfsd.layout_type: expected one of scsi, block, found 'file'",
        "f.toml:6: nfsd.fence_failures: expected a number from 0 to 1000, found 1001",
    ]
