"""What the tests of planted mistakes have in common: a connected device, and the search that must find the mistake."""

from typing import Any, Literal

from longpin.actors.policies.proposal import read_proposal
from longpin.config.loader import load_scenario, parse_scenario
from longpin.runner.exploration import Exploration, explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

CONNECTED = """\
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
cq  = ibv_create_cq(ctx)
qp  = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
"""
"""A queue pair that is its own peer: a loopback device writes where the test says."""


def subject_of(scenario: str, policy: str | None = None, *, racy: bool = False) -> Subject:
    """Return a scenario, its text or the name of a shipped one, under its own policy or another."""
    read = parse_scenario(scenario, "planted.toml") if "\n" in scenario else load_scenario(scenario)
    changes: dict[str, Any] = {"timers": "racy" if racy else "lazy"}
    if policy is not None:
        chosen, preset, parameters = read_proposal(policy)
        changes |= {"policy": chosen.name, "preset": preset, "parameters": parameters}
    return Subject(read, Settings.of(read, **changes))


def explored(subject: Subject, method: Literal["dpor", "states"]) -> Exploration:
    """Explore it to its end, or to the first schedule that breaks a rule."""
    racy = subject.settings.timers == "racy"
    return explore(subject.build, check=subject.check, always=subject.always, method=method, racy=racy)
