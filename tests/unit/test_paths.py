"""Paths: how they are read, where they lead in the emulator, and what the host's kernel is given instead."""

import posixpath
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longpin.messages.fs.paths import InProc, in_proc, names, normal, passed
from longpin.runner.host.paths import HostPath, host_path
from longpin.runner.machine.agent_libc import CONTROL
from longpin.runner.machine.processes import HostError

Play = Callable[..., Any]

PATHS = st.lists(st.sampled_from(["a", "b", ".", "..", "", "proc", "self", "fd", "3"]), max_size=8).map("/".join)


@given(PATHS)
def test_the_shortest_spelling_is_that_of_the_library(path: str) -> None:
    assert normal(path) == posixpath.normpath("/" + path.lstrip("/"))
    assert normal(normal(path)) == normal(path)


def test_where_a_path_goes_through() -> None:
    assert names("//a/./b/../c/") == ["a", ".", "b", "..", "c"]
    assert passed("/a/b/../../c") == ([("a",)], ("c",))
    assert passed("/a/../b/../c") == ([("a",), ("b",)], ("c",))
    assert passed("/..") == ([], ())
    assert passed("") == ([], ())


@given(PATHS)
def test_whatever_is_left_by_two_dots_is_below_a_place_that_is_told(path: str) -> None:
    left, end = passed(path)
    at: list[str] = []
    for name in names(path):
        if name == "..":
            assert not at or any(tuple(at[: len(place)]) == place for place in left)
            del at[-1:]
        elif name != ".":
            at.append(name)
    assert tuple(at) == end


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/proc/self/fd/3", InProc("3", 3, "")),
        ("proc/self/fd/3", InProc("3", 3, "")),
        ("//proc/./self/fd//3/", InProc("3", 3, "/")),
        ("/x/../proc/self/fd/12/y/..", InProc("12", 12, "/y/..")),
        ("/proc/self/fd/03", InProc("03", None, "")),
        ("/proc/self/fd/-1", InProc("-1", None, "")),
        ("/proc/self/fd/4294967299", InProc("4294967299", None, "")),
        ("/proc/self/fd/x", InProc("x", None, "")),
        ("/proc/self/fd/\N{SUPERSCRIPT THREE}", InProc("\N{SUPERSCRIPT THREE}", None, "")),
        ("/proc/self/fd", None),
        ("/proc/self/fd/", None),
        ("/proc/self/fd/..", None),
        ("/proc/self", None),
        ("/f", None),
        ("", None),
    ],
)
def test_what_leads_through_a_descriptor(path: str, found: InProc | None) -> None:
    assert in_proc(path) == found


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/f", HostPath("f")),
        ("//d/./f/", HostPath("d/f/")),
        ("/", HostPath(".")),
        ("", HostPath("")),
        ("/f/.", HostPath("f/.")),
        ("/../../etc", HostPath("etc")),
        ("/d/../f", HostPath("f", ("d/",))),
        ("/d/e/../../f/", HostPath("f/", ("d/e/", "d/"))),
        ("/d/..", HostPath(".", ("d/",))),
        ("/d/e/..", HostPath("d/.", ("d/e/",))),
        ("proc/self/fd/3", HostPath("/proc/self/fd/3")),
        ("/d/../proc/self/fd/7/x", HostPath("/proc/self/fd/7/x")),
        ("/proc/self/fd/../fd", HostPath("proc/self/fd", ("proc/self/fd/",))),
        ("/" + "a/" * 2048, HostPath("/" + "a/" * 2048)),
    ],
)
def test_what_the_kernel_is_given(path: str, given: HostPath) -> None:
    assert host_path(path) == given


@given(PATHS)
def test_no_path_leads_out_of_the_folder_on_the_host(path: str) -> None:
    try:
        given = host_path(path)
    except HostError:
        return
    assert ".." not in given.path.split("/")
    assert not given.path.startswith("/") or given.path.startswith("/proc/self/fd/")
    assert all(".." not in folder.split("/") and not folder.startswith("/") for folder in given.folders)


@pytest.mark.parametrize("fd", [0, 2, CONTROL, CONTROL + 1, 99999])
def test_what_is_not_the_programs_own_is_not_there(fd: int) -> None:
    given = host_path(f"/proc/self/fd/{fd}/x").path
    assert given == "/proc/self/fd/1024/x"


def test_nobody_comes_back_from_behind_a_descriptor() -> None:
    with pytest.raises(HostError, match="no \\.\\. behind a name"):
        host_path("/proc/self/fd/5/..")


SPELLINGS = ["//f", "/./f", "/../f", "f", "./f", "../f", "/d/../f", "/d/./../f", "/." * 2046 + "//f"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_there_are_many_spellings_of_one_name(play: Play, spelling: str) -> None:
    play(
        "P1",
        a=f"""
mkdir("/d")                        # -> 0
stat("{spelling}")                 # -> 16384
open("{spelling}", O_RDWR | O_CREAT | O_EXCL)  # -> EEXIST
rename("{spelling}", "/g")         # -> 0
stat("/f")                         # -> ENOENT
link("/g", "{spelling}")           # -> 0
unlink("/f")                       # -> 0
open("{spelling}", O_RDWR | O_CREAT)  # -> 3
stat("f")                          # -> 0
""",
    )


LONGEST = "a" * 255
ACCENTS = "\N{LATIN SMALL LETTER E WITH ACUTE}" * 128


def test_names_and_paths_have_a_length(play: Play) -> None:
    long, too_long = "/." * 2045 + "/new", "/." * 2046 + "/new"
    assert (len(long), len(too_long)) == (4094, 4096)
    play(
        "P1",
        a=f"""
open("/{LONGEST}", O_RDWR | O_CREAT)    # -> 3
open("/{LONGEST}b", O_RDWR | O_CREAT)   # -> ENAMETOOLONG
stat("/{LONGEST}b")                     # -> ENAMETOOLONG
stat("/{LONGEST}b/x")                   # -> ENAMETOOLONG
stat("/f/{LONGEST}b")                   # -> ENOTDIR (the file is met first)
rename("/f", "/{LONGEST}b")             # -> ENAMETOOLONG
rename("/none", "/{LONGEST}b")          # -> ENOENT
rename("/{LONGEST}b", "/none")          # -> ENAMETOOLONG
link("/f", "/{LONGEST}b")               # -> ENAMETOOLONG
mkdir("/{LONGEST}b")                    # -> ENAMETOOLONG
unlink("/{LONGEST}b")                   # -> ENAMETOOLONG
truncate("/{LONGEST}b", 0)              # -> ENAMETOOLONG
open("{long}", O_RDWR | O_CREAT)        # -> 4
open("{too_long}", O_RDWR | O_CREAT)    # -> ENAMETOOLONG
link("/f", "{too_long}")                # -> ENAMETOOLONG
open("/{ACCENTS}", O_RDWR | O_CREAT)    # -> ENAMETOOLONG (128 letters, 256 bytes)
""",
    )


@pytest.mark.parametrize(
    "call",
    [
        'open("{}", O_RDONLY)', 'open("{}", O_RDWR | O_CREAT)', 'truncate("{}", 0)', 'unlink("{}")', 'link("{}", "/g")',
        'link("/f", "{}")', 'rename("{}", "/g")', 'rename("/f", "{}")', 'mkdir("{}")', 'chmod("{}", 0)',
        'chown("{}", 0)', 'utimes("{}")', 'setxattr("{}")', 'stat("{}")', 'access("{}")', 'execve("{}")',
    ],
)  # fmt: skip
def test_no_path_and_a_file_on_the_way(play: Play, call: str) -> None:
    """The empty path is ENOENT, what stands below a file ENOTDIR, what is below nothing ENOENT."""
    lines = [
        f"{call.format(path)}  # -> {errno}"
        for path, errno in [("", "ENOENT"), ("/f/x", "ENOTDIR"), ("/f/.", "ENOTDIR")]
    ]
    below = call.format("/made/x")
    play("P1", a="\n".join(lines) + f'\n{below}  # -> ENOENT\nmkdir("/made")\n')
