"""A truncate that waits for a page, and somebody touches that page meanwhile [2.5, H27].

From Linux 6.15 on a page table entry has a reference on a page of DAX. The scan subtracts entries, who sleeps does not.
``tests/data/kernel_refault.jsonl`` is what Linux 6.12, 6.18 and 7.2 did.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longpin.actors.mm.pmem import Pmem
from longpin.config.loader import load_scenario, parse_scenario
from longpin.runner.exploration import Exploration, explore
from longpin.runner.result import Verdict
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

FACTS = [
    json.loads(line) for line in (Path(__file__).parents[1] / "data" / "kernel_refault.jsonl").read_text().splitlines()
]
TOUCHES = {"none": "", "load": 'load(buf, 1)                    # -> b"5"\n', "store": 'store(buf, "6")\n'}
HOLDER = """
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "5")
p = pipe()
vmsplice(pipe_w, buf, 1)        # -> 1
label("referenced")
sleep(1)
{touch}read(p, 1)
sleep(1)
"""
LONG = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
label("referenced")
load(buf, 1)
ibv_dereg_mr(mr)
pause()
"""
TRUNCATER = 'wait_for("referenced")\nfd = open("/f", O_RDWR)\nftruncate(fd, {length})  # -> {result}\n'


def _name(fact: dict[str, Any]) -> str:
    return " ".join([fact["fs"], fact["kernel"], fact["touched"]])


def _version(fact: dict[str, Any]) -> str:
    return ".".join(fact["kernel"].split(".")[:2])


@pytest.mark.parametrize("fact", FACTS, ids=_name)
def test_a_truncate_is_woken_or_not_as_it_was_measured(play: Play, fact: dict[str, Any]) -> None:
    """Asleep, interruptible, until the page is unmapped."""
    holder = HOLDER.format(touch=TOUCHES[fact["touched"]])
    head = f'[[pmem]]\nname = "p"\nfile_system = "{fact["fs"]}"\n'
    policy = f"P0:intended,kernel={_version(fact)}"
    returns = fact["returns_after_unpin"]
    hangs = play(
        policy,
        violates=[] if returns else ["O3"],
        head=head,
        seeds=range(2),
        holder=holder + "pause()\n",
        truncater=TRUNCATER.format(length=0, result="blocks, 0" if returns else "hangs"),
    )
    assert returns or "which nobody pins any more, but 1 page table entry has a reference on it" in hangs.details()
    assert fact["returns_after_unmap"]
    play(
        policy,
        head=head,
        seeds=range(2),
        holder=holder + "munmap(buf, PAGE)\npause()\n",
        truncater=TRUNCATER.format(length=0, result="blocks, 0"),
    )


def test_a_signal_ends_the_sleep(play: Play) -> None:
    """It is state S: the call is interrupted, and nothing has changed."""
    assert {fact["state"] for fact in FACTS if "state" in fact} == {"S"}
    play(
        "P0:intended",
        details={"truncater": 'on_signal.SIGUSR1 = ""'},
        holder=HOLDER.format(touch=TOUCHES["load"]) + 'kill("truncater", SIGUSR1)\npause()\n',
        truncater=TRUNCATER.format(length=0, result="blocks, EINTR") + 'stat("/f")  # -> 16384\n',
    )


def explored(name: str, **parameters: Any) -> Exploration:
    text = "\n".join(
        [
            'name = "refault"\n[[file]]\npath = "/f"\nsize = "2 * PAGE"',
            f"[[process]]\nname = \"app\"\nprogram = '''{LONG}'''",
            "[[process]]\nname = \"truncater\"\nprogram = '''" + TRUNCATER.format(length="PAGE", result="0") + "'''",
        ]
    )
    short = load_scenario("truncate-not-woken")
    scenario = short if name == "P0" else parse_scenario(text, "refault.toml")
    subject = Subject(scenario, Settings.of(scenario, policy=name, preset="intended", parameters=parameters))
    return explore(subject.build, check=subject.check, always=subject.always)


@pytest.mark.parametrize("policy", ["P0", "P1"])
@pytest.mark.parametrize("kernel", ["6.18", "7.2"])
def test_exploration_finds_it_from_the_rules_alone(policy: str, kernel: str) -> None:
    """P0: a page that a pipe references for a moment. P1: a registration."""
    (failure,) = explored(policy, kernel=kernel).failures
    assert failure.broken.rule == "O3"
    assert failure.broken.site.endswith("truncate of truncater waits for a pin")


@pytest.mark.parametrize("policy", ["P0", "P1"])
@pytest.mark.parametrize(
    "parameters", [{"kernel": "6.12"}, {"kernel": "6.18", "idle_needs_unmapped": False}], ids=["6.12", "the scan's"]
)
def test_it_is_absent_where_who_sleeps_counts_as_the_scan_does(policy: str, parameters: dict[str, Any]) -> None:
    result = explored(policy, **parameters)
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


# What is counted.


def maps(played: Any) -> dict[int, int]:
    pmem = next(actor for actor in played.engine.actors.values() if isinstance(actor, Pmem))
    return dict(pmem.maps)


@pytest.mark.parametrize(
    ("program", "counts"),
    [
        ("load(buf, 1)\nload(buf, 1)\nstore(buf, 'x')", {0: 1}),
        ("load(buf, 2 * PAGE)", {0: 1, 1: 1}),
        ("load(buf, 2 * PAGE)\nmunmap(buf, PAGE)", {1: 1}),
        ("load(buf, 1)\nmadvise(buf, PAGE, MADV_DONTNEED)", {}),
        ("load(buf, 1)\nmprotect(buf, PAGE, PROT_READ)\nload(buf, 1)", {0: 1}),
        ("load(buf, 1)\nmremap(buf, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE)", {0: 1}),
        ("load(buf, 1)\nother = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)\nload(other, 1)", {0: 2}),
        ("other = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)\nload(other, 1)", {0: 1}),
        ("other = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)\nload(other, 1)\nstore(other, 'x')", {}),
        ("load(buf, 1)\nftruncate(fd, 0)", {}),
        ("fallocate(fd, 3, 0, PAGE)\nload(buf, 1)", {}),
        ("fallocate(fd, 3, 0, PAGE)\nload(buf, 1)\nstore(buf, 'x')", {0: 1}),
    ],
)
def test_an_entry_is_a_reference_until_it_is_gone(play: Play, program: str, counts: dict[int, int]) -> None:
    """The page of zeros is no page of the file, and a copy of a private page is nobody's."""
    text = f'fd = open("/f", O_RDWR)\nbuf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n{program}\n'
    assert maps(play("P0:intended", seeds=(), a=text + "pause()\n")) == counts
    assert maps(play("P0:intended,kernel=6.12", seeds=(), a=text + "pause()\n")) == {}
    assert maps(play("P0:intended", seeds=(), a=text)) == {}  # exit


def test_a_clone_that_spins_counts_as_the_scan_does(play: Play) -> None:
    """It zaps and looks again each time: an entry that comes meanwhile does not keep it."""
    play(
        "P1:intended,kernel=6.18",
        holder=LONG.replace('label("referenced")', 'label("referenced")\nsleep(1)'),
        cloner='wait_for("referenced")\nfd = open("/f", O_RDWR)\no = open("/o", O_RDWR | O_CREAT)\n'
        "ioctl(o, FICLONE, fd)  # -> blocks, 0\n",
    )
