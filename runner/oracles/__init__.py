"""Scheduling oracles: who decides what happens next. One strategy a file."""

from longpin.runner.oracles.base import Oracle
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.oracles.random_walk import RandomWalk

ORACLES: dict[str, type[Fifo] | type[RandomWalk]] = {oracle.name: oracle for oracle in (Fifo, RandomWalk)}
"""The oracles a run can be given by name."""

__all__ = ["ORACLES", "Oracle"]
