"""The states of a queue pair: which one leads to which, and what can be done in them [code: ib_modify_qp_is_ok]."""

from longpin.actors.constants import (
    IBV_QPS_ERR,
    IBV_QPS_INIT,
    IBV_QPS_RESET,
    IBV_QPS_RTR,
    IBV_QPS_RTS,
    IBV_QPS_SQD,
    IBV_QPS_SQE,
)

DESTROYED = -1
"""No state of verbs: the queue pair is gone, and what it was doing is not."""

TRANSITIONS: dict[int, tuple[int, ...]] = {
    IBV_QPS_RESET: (IBV_QPS_RESET, IBV_QPS_INIT),
    IBV_QPS_INIT: (IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_ERR),
    IBV_QPS_RTR: (IBV_QPS_RESET, IBV_QPS_RTS, IBV_QPS_ERR),
    IBV_QPS_RTS: (IBV_QPS_RESET, IBV_QPS_RTS, IBV_QPS_SQD, IBV_QPS_ERR),
    IBV_QPS_SQD: (IBV_QPS_RESET, IBV_QPS_RTS, IBV_QPS_SQD, IBV_QPS_ERR),
    IBV_QPS_SQE: (IBV_QPS_RESET, IBV_QPS_RTS, IBV_QPS_ERR),
    IBV_QPS_ERR: (IBV_QPS_RESET, IBV_QPS_ERR),
}
"""From each state those that ibv_modify_qp(3) can bring about; a reliable connection does not come to SQE."""

SENDS = (IBV_QPS_RTS, IBV_QPS_SQD, IBV_QPS_SQE, IBV_QPS_ERR)
"""States in which a send can be posted; in the last it is flushed [code: rxe_post_send]."""
RECEIVES = tuple(state for state in TRANSITIONS if state != IBV_QPS_RESET)
"""States in which a receive can be posted."""
ANSWERS = (IBV_QPS_RTR, IBV_QPS_RTS, IBV_QPS_SQD)
"""States in which requests of the peer are served."""


def is_ok(state: int, wanted: int) -> bool:
    """Return whether ibv_modify_qp(3) can bring a queue pair from a state to another."""
    return wanted in TRANSITIONS.get(state, ())
