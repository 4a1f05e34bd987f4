"""A device is taken out of the machine while processes have it open [1.10; ib_uverbs_remove_one]."""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import DEVICE
from unit.test_queue_pairs import connected

from longpin.actors.mm.mm import Mm
from longpin.actors.mm.pmem import Pmem

Play = Callable[..., Any]

HEAD = '[[device]]\nname = "rxe0"\nremovable = true\n'
REGION = "mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)\n"
REMOVE = 'wait_for("registered")\nremove_device("rxe0")  # -> 0\n'


def test_everything_goes_and_the_descriptor_stays(play_to_end: Play) -> None:
    played = play_to_end(
        "P1",
        head=HEAD,
        seeds=range(4),
        a=DEVICE
        + connected()
        + REGION
        + """
label("registered")
wait_for("removed")
ftruncate(fd, 0)                                           # -> 0 (nothing is pinned any more)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)           # -> EIO
ibv_poll_cq(scq)                                           # -> EIO
ibv_dereg_mr(mr)                                           # -> EIO
ibv_destroy_qp(qp)                                         # -> EIO
ibv_alloc_pd(ctx)                                          # -> EIO
ibv_create_cq(ctx)                                         # -> EIO
ibv_import_pd(ctx, 1)                                      # -> EIO
ev = ibv_get_async_event(ctx)
ibv_event_type()                                           # -> IBV_EVENT_DEVICE_FATAL
ibv_get_async_event(ctx)                                   # -> EIO
ibv_open_device("rxe0")                                    # -> ENODEV
open("/proc/self/fd/3", O_RDWR)                            # -> ENODEV
close(ctx)                                                 # -> 0
ibv_dereg_mr(mr)                                           # -> EBADF
""",
        b=REMOVE + 'remove_device("rxe0")  # -> ENODEV\nlabel("removed")\n',
    )
    assert {mm.pinned_vm for mm in played.engine.actors.values() if isinstance(mm, Mm)} == {0}


def test_who_waits_for_a_completion_is_told(play_to_end: Play) -> None:
    play_to_end(
        "P1",
        head=HEAD,
        seeds=range(4),
        a=DEVICE + connected() + 'label("registered")\nibv_get_cq_event(scq)  # -> EIO\n',
        b=REMOVE,
    )


def test_work_in_flight_ends_before_the_pins_go(play_to_end: Play) -> None:
    """O1 holds: accesses under way end, and none begins."""
    played = play_to_end(
        "P1",
        head=HEAD,
        seeds=range(40),
        a=DEVICE
        + connected()
        + REGION
        + 'for i in range(3):\n    ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)\nlabel("registered")\n',
        b=REMOVE + 'truncate("/f", 0)  # -> 0\n',
    )
    assert not any(actor.pins for actor in played.engine.actors.values() if isinstance(actor, Pmem))


def test_a_registration_under_way_leaves_nothing(play_to_end: Play) -> None:
    """It is EIO where the device goes meanwhile, and unpins."""
    played = play_to_end(
        "P1",
        head=HEAD,
        seeds=range(30),
        a=DEVICE + 'label("registered")\n' + REGION + "pause()\n",
        b=REMOVE,
    )
    assert not any(actor.pins for actor in played.engine.actors.values() if isinstance(actor, Pmem))
    ends = [call.errno for run in played.schedules for call in run.result.calls if call.call == "ibv_reg_mr"]
    assert set(ends) == {None, "EIO"}


def test_a_deregistration_under_way(play_to_end: Play) -> None:
    """Whoever is first unpins, and once."""
    play_to_end(
        "P1",
        head=HEAD,
        seeds=range(30),
        a=DEVICE + REGION + 'label("registered")\nibv_dereg_mr(mr)\nftruncate(fd, 0)  # -> 0\n',
        b=REMOVE,
    )


def test_a_driver_that_cannot_waits_for_the_last_close(play_to_end: Play) -> None:
    """A child has it open too; meanwhile nobody can open it."""
    played = play_to_end(
        "P1",
        head=HEAD + "disassociates = false\n",
        details={"child": 'start = "fork"'},
        seeds=range(4),
        a=DEVICE
        + REGION
        + 'fork("child")\nlabel("registered")\nsleep(1)\nibv_open_device("rxe0")  # -> ENODEV\nclose(ctx)\n',
        child="sleep(5)\nibv_dereg_mr(mr)  # -> 0 (all is as it was)\nclose(ctx)\n",
        b=REMOVE.replace("# -> 0", "# -> blocks, 0"),
    )
    assert played.returned("b") == pytest.approx(5.0)


def test_who_never_closes_it_holds_up_the_removal(play_to_end: Play) -> None:
    """Uninterruptibly: O3 names what it waits for."""
    played = play_to_end(
        "P1",
        head=HEAD + "disassociates = false\n",
        seeds=(),
        violates=["O3"],
        a=DEVICE + 'label("registered")\npause()\n',
        b=REMOVE.replace("# -> 0", ""),
    )
    assert "rxe0 to be closed by all who have it open" in played.details()


def test_what_cannot_be_removed(play_to_end: Play) -> None:
    play_to_end("P1", seeds=(), a='remove_device("rxe0")  # -> EOPNOTSUPP\nremove_device("mlx9")  # -> ENODEV\n')
    play_to_end("P1", head=HEAD, seeds=(), details={"a": "uid = 1000"}, a='remove_device("rxe0")  # -> EPERM\n')
