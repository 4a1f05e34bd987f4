"""A damaged scenario file is read or refused in plain words, whatever the damage."""

import random
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longpin.config.loader import ScenarioError, parse_scenario, shipped_scenarios
from longpin.config.schema import Scenario

TEXT = r'''
name = "holder-answers"
source = "F_LAYOUT RFC v1"
summary = "The holder of a layout lease answers its break."
holds = ["O1", "O3", "O6", "O7"]

[policy]
name = "P5:intended"
lease_check = "own_tgid"

[machine]
page_size = 4096
lease_break_time = 45.0

[[pmem]]
name = "pmem0"
blocks = 16

[[file]]
path = "/pmem/data"
size = "4 * PAGE"
mode = 0o644

[[process]]
name = "app"
capabilities = ["CAP_LEASE"]
program = """
fd = open("/pmem/data", O_RDWR)    # -> ok
fcntl(fd, F_SETSIG, SIGIO)         # -> 0
fcntl(fd, F_SETLEASE, F_LAYOUT)    # P5 -> 0; P0 -> EINVAL
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
mr = ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> ok (pinned)
label("pinned", "\\x41")
for i in range(3):
    pause()                        # -> EINTR
fork("kid")
"""
on_signal.SIGIO = """
ibv_dereg_mr(mr)
fcntl(si_fd, F_SETLEASE, F_UNLCK)  # -> 0
"""

[[process]]
name = "admin"
program = """
wait_for("pinned")
truncate("/pmem/data", 0)          # -> blocks, 0
"""

[[process]]
name = "kid"
start = "fork"
program = "load(buf, 8)  # -> b'\\\\x00'"
'''


def outcome(text: str) -> Scenario | ScenarioError:
    """Return what becomes of a text; anything but a scenario or a scenario's errors fails the test."""
    try:
        return parse_scenario(text, "damaged.toml")
    except ScenarioError as error:
        refusal = error
    assert refusal.problems
    for line in str(refusal).split("\n"):
        assert line.startswith("damaged.toml:")
        assert line.isprintable()
    last = text.count("\n") + 1
    assert all(1 <= problem.line <= last for problem in refusal.problems)
    return refusal


def mutated(text: str, seed: int) -> str:
    """Damage a text: flip a bit, cut a piece out or off, swap or repeat lines, insert a sign."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 3)):
        first, second = sorted(chance.choices(range(len(text) + 1), k=2))
        lines = text.split("\n")
        match chance.randrange(6):
            case 0:
                data = bytearray(text.encode())
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
                text = data.decode(errors="replace")
            case 1:
                text = text[:first] + text[min(second, first + 20) :]
            case 2:
                text = text[: max(second, 1)]
            case 3:
                one, other = chance.choices(range(len(lines)), k=2)
                lines[one], lines[other] = lines[other], lines[one]
                text = "\n".join(lines)
            case 4:
                text = "\n".join(lines[: len(lines) // 2] + chance.choices(lines, k=3) + lines[len(lines) // 2 :])
            case _:
                text = text[:first] + chance.choice("[]{}()'\"\\#=,.;\0\n\t>-9é\u2028") + text[first:]
    return text


def test_the_undamaged_text_is_a_scenario() -> None:
    assert isinstance(outcome(TEXT), Scenario)


@pytest.mark.parametrize("block", range(10))
def test_mutations_of_a_text(block: int) -> None:
    kinds = {type(outcome(mutated(TEXT, seed))) for seed in range(block * 100, block * 100 + 100)}
    assert ScenarioError in kinds


def test_mutations_of_shipped_scenarios() -> None:
    for name in shipped_scenarios():
        text = (resources.files("longpin.config") / "scenarios" / f"{name}.toml").read_text()
        assert {type(outcome(mutated(text, seed))) for seed in range(40)} >= {ScenarioError}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_piece_replaced_by_any_text(data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(TEXT)))
    length = data.draw(st.integers(0, 40))
    outcome(TEXT[:first] + data.draw(st.text(max_size=20)) + TEXT[first + length :])
