"""Pinners: who stands for the memory regions of a hazard."""

import re
import tomllib

import pytest

from longpin import api
from longpin.config.dialect import find_dialect
from longpin.config.hazard import load_hazard, shipped_hazards
from longpin.config.loader import in_dialect, parse_scenario, pinned_by
from longpin.config.pinner import REGION, find_pinner, pinner_names, with_pinner
from longpin.runner.commands.matrix import matrix
from longpin.runner.usage import UsageError

OTHERS = pinner_names()[1:]
STORY = """
name = "told-once"
policy = "P1"
[[file]]
path = "/pmem/data"
size = "PAGE"
[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/pmem/data", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok
ibv_dereg_mr(mr)
'''
"""


def rows(name: str) -> list[str]:
    """Return the rows of the story's program with a pinner."""
    changed = with_pinner(tomllib.loads(STORY), find_pinner(name))
    return [row for row in changed["process"][0]["program"].split("\n") if row]


def test_the_calls_of_a_pinner_take_the_place_of_those_of_a_region() -> None:
    assert rows("v4l2") == [
        'ctx = open("/dev/video9", O_RDWR)',
        "vidioc_reqbufs(ctx, 1, V4L2_MEMORY_USERPTR)",
        'fd  = open("/pmem/data", O_RDWR)',
        "buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)",
        "mr = vidioc_qbuf(ctx, 0, buf, PAGE)",
        "vidioc_streamoff(ctx)",
    ]


def test_what_a_pinner_needs_is_added_and_all_else_stays() -> None:
    before = tomllib.loads(STORY)
    changed = with_pinner(before, find_pinner("v4l2"))
    assert changed["video"] == [{"name": "video9"}]
    assert {key: changed[key] for key in ("name", "policy", "file")} == {
        key: before[key] for key in ("name", "policy", "file")
    }


@pytest.mark.parametrize("name", OTHERS)
def test_a_pinner_says_what_it_is_and_by_whom(name: str) -> None:
    pinner = find_pinner(name)
    assert pinner.title
    assert pinner.source


def test_the_option_names_every_pinner() -> None:
    (option,) = (each for each in matrix.params if each.name == "pinner")
    words = re.findall(r"[a-z0-9_]+", str(getattr(option, "help", "")))
    assert set(pinner_names()) <= set(words)


@pytest.mark.parametrize("pinner", OTHERS)
def test_every_hazard_can_be_told_with_every_pinner_under_every_policy(pinner: str) -> None:
    for name in (each for each in shipped_hazards() if each not in find_pinner(pinner).untold):
        scenario = load_hazard(name).scenario
        for policy in ("P1", "P5", "P9"):
            dialect = find_dialect(policy, "intended")
            assert dialect is not None
            assert not pinned_by(in_dialect(scenario, policy, "intended"), pinner).dialect


def test_the_memory_region_is_the_scenario_itself() -> None:
    scenario = parse_scenario(STORY, "story.toml")
    assert pinned_by(scenario, REGION) is scenario


def test_what_is_no_pinner_is_refused() -> None:
    with pytest.raises(UsageError, match="pinner: there is no gpu; there are mr"):
        api.matrix(["H1"], ["P1"], pinner="gpu")
    with pytest.raises(UsageError, match="a use is that of a memory region"):
        api.matrix(["U1"], ["P1"], pinner="odp")


def test_a_hazard_that_cannot_be_told_with_a_pinner_is_left_out_and_it_is_said_why() -> None:
    for name in OTHERS:
        assert set(find_pinner(name).untold) <= set(shipped_hazards())
    with pytest.raises(UsageError, match="H2-setter-dead-and-new-lease: a request names its buffer by the address"):
        api.matrix(["H2-setter-dead-and-new-lease"], ["P1"], pinner="io_uring")
