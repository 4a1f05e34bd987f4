"""Scheduling oracles: who decides what happens next. One strategy a file."""

from longpin.runner.oracles.base import NO_PROFILE, Oracle, Profile, Strategy
from longpin.runner.oracles.delay_bounded import DelayBounded
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.oracles.pct import Pct
from longpin.runner.oracles.pctcp import Pctcp
from longpin.runner.oracles.pos import Pos
from longpin.runner.oracles.random_walk import RandomWalk
from longpin.runner.oracles.surw import SelectivelyUniform
from longpin.runner.oracles.urw import UniformRandomWalk

ORACLES: dict[str, type[Strategy]] = {
    oracle.name: oracle
    for oracle in (Fifo, RandomWalk, Pct, Pctcp, Pos, UniformRandomWalk, SelectivelyUniform, DelayBounded)
}
"""The oracles a run can be given by name; each is made from a seed and the profile of a pilot run."""

PORTFOLIO: tuple[str, ...] = tuple(name for name in ORACLES if name != Fifo.name)
"""What a search by sampling goes through in turn: none of them finds all that the others find."""

__all__ = ["NO_PROFILE", "ORACLES", "PORTFOLIO", "Oracle", "Profile", "Strategy"]
