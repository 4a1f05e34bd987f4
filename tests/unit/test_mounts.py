"""Mounts: which file system a path leads to, and what does not cross from one to another."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.config.loader import parse_scenario
from longpin.config.problems import ScenarioError

Play = Callable[..., Any]

HEAD = """
[[pmem]]
name = "pmem0"

[[pmem]]
name = "other"
mount = "/mnt/other"
blocks = 2

[[file]]
path = "/f"
size = "PAGE"

[[file]]
path = "/mnt/other/g"
size = "PAGE"
"""


@pytest.mark.parametrize(
    "line",
    [
        'link("/f", "/mnt/other/h")                            # -> EXDEV',
        'link("/mnt/other/g", "/h")                            # -> EXDEV',
        'link("/f", "/mnt/other/g")                            # -> EEXIST',
        'link("/mnt", "/mnt/other/h")                          # -> EXDEV',
        'rename("/f", "/mnt/other/h")                          # -> EXDEV',
        'rename("/mnt/other/g", "/f")                          # -> EXDEV',
        'rename("/f", "/mnt/other/..")                         # -> EXDEV',
        'rename("/mnt/other", "/mnt/new")                      # -> EBUSY',
        'rename("/mnt/other/g", "/mnt/other/h")                # -> 0',
        'mkdir("/mnt/other")                                   # -> EEXIST',
    ],
)
def test_names_stay_on_their_file_system(play: Play, line: str) -> None:
    play("P0", head=HEAD, a=line)


def test_a_new_file_lies_where_its_folder_does(play: Play) -> None:
    """The other set has one block left."""
    play(
        "P0",
        head=HEAD,
        a="""
mkdir("/mnt/other/d")                                  # -> 0
fd = open("/mnt/other/d/new", O_CREAT | O_RDWR)        # -> ok
pwrite(fd, "x", PAGE)                                  # -> 1
pwrite(fd, "x", 0)                                     # -> ENOSPC
rename("/mnt", "/n")                                   # -> 0
fd = open("/n/other/d/new", O_TRUNC | O_RDWR)          # -> ok
fd = open("/n/other", O_TMPFILE | O_RDWR)              # -> ok
pwrite(fd, "x", 0)                                     # -> 1
pwrite(fd, "x", PAGE)                                  # -> ENOSPC
""",
    )


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ('[[pmem]]\nname = "a"\nmount = "/a"\n', 'mount: expected a set that is mounted at "/", found none'),
        ('[[pmem]]\nname = "a"\n[[pmem]]\nname = "b"\nmount = "/"\n', "mount: expected a mount point no other set has"),
        ('[[pmem]]\nname = "a"\n[[pmem]]\nname = "b"\nmount = "b"\n', "mount: expected an absolute path"),
        (
            '[[pmem]]\nname = "a"\n[[pmem]]\nname = "b"\nmount = "/b/"\n',
            "mount: expected a path of a folder, without //",
        ),
        (
            '[[pmem]]\nname = "a"\n[[pmem]]\nname = "b"\n[[file]]\npath = "/c/f"\npmem = "b"\n',
            "path: expected a path below '/b', where the set b is mounted, found '/c/f' on a",
        ),
    ],
)
def test_bad_mounts(tables: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message.replace("(", r"\(")):
        parse_scenario(f'name = "m"\n{tables}\n[[process]]\nname = "p"\nprogram = "getpid()"\n', "m.toml")
