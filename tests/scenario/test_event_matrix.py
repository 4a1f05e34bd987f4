"""The event matrix of semantics 5: what becomes of a pinned file under every proposal.

Each row is a scenario in ``tests/data/matrix``, told in roles: somebody protects, maps, registers and does not answer;
the line of the event says what becomes of it under each policy. When everything else has happened, the device writes:
where that is stray, the cell has an X, and the rule that is broken is in ``STRAY``.
"""

from pathlib import Path

import pytest

from longpin.actors.policies import POLICIES
from longpin.actors.policies.proposal import read_proposal
from longpin.config.loader import parse_scenario, without_roles
from longpin.config.schema import Scenario
from longpin.runner.exploration import explore
from longpin.runner.result import Verdict
from longpin.runner.run import run
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

ROWS = Path(__file__).resolve().parents[1] / "data" / "matrix"
WITHOUT_CLONES = {"clone", "write-that-copies"}
"""Rows that need a file system which is DAX and shares blocks: not XFS of 5.4, where FICLONE is EINVAL."""
UNMAPPED = {"P1:as_posted": "O1", "P2:as_posted": "O1", "P3": "O1", "P5:as_posted": "O1"}
"""5.4 does not see pins of what nobody maps; a seal goes with the last mapping, whatever is pinned."""
STRAY: dict[str, dict[str, str]] = {
    "clone": {"P1:intended": "O1'", "P5:intended": "O1'"},
    "munmap-then-truncate": UNMAPPED,
    "the-setter-is-killed": UNMAPPED,
    "unlink-and-last-close": {f"P{n}:as_posted": "O1" for n in (1, 2, 3, 5)},
    "write-that-copies": {"P1:intended": "O1", "P5:intended": "O1"},
}
EXCLUSIVE = {
    "clone": "ETXTBSY",
    "munmap-then-truncate": "ETXTBSY",
    "punch-by-another": "ETXTBSY",
    "the-setter-is-killed": "0",
    "truncate-by-another": "ETXTBSY",
    "truncate-by-the-holder": "ETXTBSY",
    "truncate-what-is-not-pinned": "ETXTBSY",
    "write-in-place": "ETXTBSY",
}
"""What the event comes to under P8 with an exclusive lease, where that is not what it is with a shared one."""
CELLS = [
    (row.stem, f"{name}:{preset}")
    for row in sorted(ROWS.glob("*.toml"))
    for name, policy in POLICIES.items()
    for preset in policy.presets
    if preset in ("as_posted", "intended") and not (row.stem in WITHOUT_CLONES and preset == "as_posted")
]


def row(name: str) -> Scenario:
    return parse_scenario((ROWS / f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml")


def broken(scenario: Scenario, choice: str) -> str:
    """Explore a row under a policy to the end; return the rule that is broken, with what was seen, or nothing.

    Under P8, where a process is killed, there are too many orders to take one by one: state by state.
    """
    method = "states" if choice.startswith("P8") else "auto"
    policy, preset, parameters = read_proposal(choice)
    subject = Subject(scenario, Settings.of(scenario, policy=policy.name, preset=preset, parameters=parameters))
    found = explore(
        subject.build,
        method=method,
        always=subject.always,
        check=subject.check,
        marks=subject.marks,
        wanted=subject.wanted,
    )
    assert found.verdict is not Verdict.UNDETERMINED, found
    return f"{found.failures[0].broken.rule}: {found.failures[0].broken.what}" if found.failures else ""


def stray(name: str, choice: str) -> str:
    """Return the rule that a cell breaks."""
    strays = STRAY.get(name, {})
    return strays.get(choice, strays.get(choice.split(":")[0], ""))


@pytest.mark.parametrize("choice", sorted({choice for _, choice in CELLS}))
def test_a_column_first_in_first_out(choice: str) -> None:
    policy, preset, _ = read_proposal(choice)
    for name in (name for name, of in CELLS if of == choice):
        scenario = row(name)
        result = run(scenario, Settings.of(scenario, policy=policy.name, preset=preset, parameters={}))
        assert {violation.rule for violation in result.violations} == {*filter(None, [stray(name, choice)])}, name
        assert result.verdict is not Verdict.UNDETERMINED, name


@pytest.mark.parametrize(("name", "choice"), CELLS[::4])
def test_a_cell_in_all_orders(name: str, choice: str) -> None:
    """One in four; each ends, in some seconds at most."""
    assert broken(row(name), choice).split(":")[0] == stray(name, choice)


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "choice"), CELLS)
def test_every_cell_in_all_orders(name: str, choice: str) -> None:
    assert broken(row(name), choice).split(":")[0] == stray(name, choice)


@pytest.mark.parametrize("choice", ["P1:intended,kernel=6.18", "P5:intended,kernel=6.18"])
def test_a_clone_of_a_pinned_file_looks_at_pages_today(choice: str) -> None:
    """P1 spins, as the matrix says; P5 fails, which it does not say: its scan fails on long pins whoever asks."""
    assert not broken(row("clone"), choice)


@pytest.mark.heavy
@pytest.mark.parametrize("name", EXCLUSIVE)
def test_an_exclusive_lease_fails_others(name: str) -> None:
    policy, outcome = "P8:intended", EXCLUSIVE[name]
    text = without_roles(parse_scenario((ROWS / f"{name}.toml").read_text().replace("P5:intended", policy), name)).text
    text = text.replace("F_SETLEASE, F_LAYOUT)", "F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)")
    for cell in ("P8 -> blocks, 0", "P8 -> blocks, 3", "P8 -> ETXTBSY", "P8 -> 0"):
        text = text.replace(cell, f"P8 -> {outcome}")
    assert not broken(parse_scenario(text, name), policy)


def test_every_row_says_something_of_every_policy() -> None:
    for path in ROWS.glob("*.toml"):
        for name in POLICIES:
            assert f"{name} -> " in path.read_text() or f"{name}:intended -> " in path.read_text(), (path, name)
