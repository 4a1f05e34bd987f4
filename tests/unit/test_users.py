"""Pages locked per user, as drivers count them that do not count per process [2.6]."""

import errno

from longpin.actors.base import Actor, handles
from longpin.actors.conversation import Conversation, outcome
from longpin.actors.process.users import Users, charge_user, uncharge_user
from longpin.messages.clock import CancelTimer
from longpin.messages.envelope import Address
from longpin.messages.mm.user import USERS
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles import ORACLES

ONE, OTHER = 1000, 1001


class Driver(Actor):
    """Counts what it is told to, one after the other, and notes how each ended."""

    def __init__(self, engine: SteppedEngine, address: Address, charges: tuple[tuple[int, int, int], ...]) -> None:
        super().__init__(engine, address)
        self.charges = charges
        self.errnos: list[int] = []

    @handles(CancelTimer)
    def begin(self, _request: CancelTimer, _src: Address) -> Conversation[None]:
        for uid, pages, limit in self.charges:
            counted = charge_user(uid, pages, limit) if pages >= 0 else uncharge_user(uid, -pages)
            error = yield from outcome(counted)
            self.errnos.append(error.errno if error else 0)


def run(*charges: tuple[int, int, int]) -> tuple[list[int], dict[int, int]]:
    """Return the errno of each charge (user, pages, limit in pages), and what is locked afterwards."""
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(Users, USERS)
    engine.spawn(Driver, "driver:1", charges)
    engine.tell("driver:1", CancelTimer("begin"))
    assert engine.run()
    driver, users = engine.actors["driver:1"], engine.actors[USERS]
    assert isinstance(driver, Driver)
    assert isinstance(users, Users)
    return driver.errnos, users.locked_vm


def test_a_user_has_one_count_whoever_adds_to_it() -> None:
    errnos, locked = run((ONE, 10, 16), (ONE, 7, 16), (OTHER, 7, 16), (ONE, 6, 16))
    assert errnos == [0, errno.ENOMEM, 0, 0]
    assert locked == {ONE: 16, OTHER: 7}


def test_the_limit_is_that_of_who_asks() -> None:
    assert run((ONE, 10, 16), (ONE, 1, 4), (ONE, 1, 16)) == ([0, errno.ENOMEM, 0], {ONE: 11})


def test_a_limit_of_0_is_no_special_case() -> None:
    """Other than for ibv_reg_mr, it is ENOMEM."""
    assert run((ONE, 1, 0), (ONE, 0, 0)) == ([errno.ENOMEM, 0], {})


def test_what_is_counted_no_more_can_be_counted_again() -> None:
    assert run((ONE, 16, 16), (ONE, -10, 0), (ONE, 10, 16), (ONE, -16, 0)) == ([0, 0, 0, 0], {})
