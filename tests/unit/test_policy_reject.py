"""P0, what Linux does: the sentences of docs/policies.md, P0, that ``test_policies.py`` has not [4.0].

That the first look of 5.4 comes late is there; cameras are in ``test_video.py``, device-dax in ``test_dax_device.py``.
"""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, DEVICE, OPEN, leases

from longpin.actors.policies import POLICIES

Play = Callable[..., Any]

PRESETS = ("P0:as_posted", "P0:intended")
SHORT = OPEN + "r = pipe()\nvmsplice(pipe_w, buf, 100)              # -> 100\nlabel('in the pipe')\n"
"""A page that is in a pipe is pinned until somebody reads it."""


@pytest.mark.parametrize("policy", PRESETS)
def test_short_pins_are_allowed_and_waited_for(play: Play, policy: str) -> None:
    run = play(
        policy,
        seeds=range(3),
        a=SHORT + "sleep(3)\nread(r, 100)                                    # -> ok\nsleep(9)\n",
        b="wait_for('in the pipe')\ntruncate('/f', 0)                       # -> blocks, 0\n",
    )
    assert run.returned("b") == 3.0


@pytest.mark.parametrize("policy", PRESETS)
def test_a_signal_ends_that_wait_and_nothing_is_changed(play: Play, policy: str) -> None:
    play(
        policy,
        seeds=range(3),
        details={"b": "on_signal.SIGUSR1 = 'getpid()'"},
        a=SHORT + "sleep(1)\nkill('b', SIGUSR1)\nsleep(1)\npread(fd, 1, 4 * PAGE - 1)  # -> b'\\x00' (as it was)\n",
        b="wait_for('in the pipe')\ntruncate('/f', 0)                       # -> blocks, EINTR\n",
    )


@pytest.mark.parametrize("name", [name for name in POLICIES if name not in ("P5", "P6", "P8")])
def test_no_process_takes_a_layout_lease(play: Play, name: str) -> None:
    """F_LAYOUT is an argument of proposals; knfsd's layouts are leases everywhere (``test_pnfs.py``)."""
    run = play(
        name,
        seeds=(),
        a='fd = open("/f", O_RDONLY)\nfcntl(fd, F_SETLEASE, F_LAYOUT)                  # -> EINVAL\n'
        "fcntl(fd, F_SETLEASE, F_RDLCK)                                  # -> 0\npause()  # -> hangs\n",
    )
    assert [lease.layout for lease in leases(run)] == [False]


@pytest.mark.parametrize("policy", PRESETS)
def test_the_page_cache_may_be_pinned_by_anybody_within_memlock(play: Play, policy: str) -> None:
    """By who owns nothing and may only read; private memory on each kernel, and a shared page where Linux pins it."""
    shared = "ok" if policy == "P0:as_posted" else "EFAULT"
    play(
        policy,
        seeds=(0,),
        head='[[pmem]]\nname = "p"\ndax = false\n[[file]]\npath = "/f"\nsize = "4 * PAGE"\nmode = 0o666',
        details={"stranger": 'uid = 1000\ncapabilities = []\nmemlock = "2 * PAGE"'},
        stranger=CONTEXT
        + f"""
fd = open("/f", O_RDWR)
private = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)
ibv_reg_mr(pd, private, 3 * PAGE, IBV_ACCESS_LOCAL_WRITE)           # -> ENOMEM
mr = ibv_reg_mr(pd, private, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)      # -> ok
ibv_dereg_mr(mr)
shared = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, shared, PAGE, IBV_ACCESS_LOCAL_WRITE)                # -> {shared}
""",
    )


@pytest.mark.parametrize("policy", PRESETS)
def test_an_administrator_has_nothing_to_do(play: Play, policy: str) -> None:
    """No registration is ever in the way, so nobody need be listed or killed."""
    play(
        policy,
        seeds=range(3),
        a=DEVICE + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)       # -> EOPNOTSUPP\nlabel('tried')\npause()\n",
        admin='wait_for("tried")\nlist_holders("/f")                        # -> 0\ntruncate("/f", 0)  # -> 0\n'
        "kill('a', SIGKILL)\n",
    )
