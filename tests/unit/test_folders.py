"""Folders: what is in them, who may change it, where they come from."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.config.folders import MOST_FOLDERS
from longpin.config.loader import parse_scenario
from longpin.config.problems import ScenarioError

Play = Callable[..., Any]


def test_a_folder_holds_names_and_moves_with_them(play: Play) -> None:
    play(
        "P1",
        a="""
mkdir("/a")                        # -> 0
mkdir("/a/b")                      # -> 0
fd = open("/a/b/x", O_RDWR | O_CREAT)
write(fd, "abc")                   # -> 3
stat("/a/b/x")                     # -> 3
unlink("/a/b")                     # -> EISDIR
rename("/a", "/a/b/c")             # -> EINVAL (into itself)
rename("/a", "/a/b")               # -> EINVAL
rename("/a/b", "/a")               # -> ENOTEMPTY
rename("/a/b/x", "/a")             # -> ENOTEMPTY
rename("/a", "/a")                 # -> 0
rename("/a", "/z")                 # -> 0
stat("/a/b/x")                     # -> ENOENT
stat("/z/b/x")                     # -> 3
stat("/z/b/../b/x")                # -> 3
mkdir("/e")                        # -> 0
rename("/e", "/z")                 # -> ENOTEMPTY
rename("/z", "/e")                 # -> 0 (an empty one is replaced)
stat("/e/b/x")                     # -> 3
rename("/e/b/x", "/f")             # -> 0
stat("/f")                         # -> 3
rename("/f", "/e/b")               # -> EISDIR
rename("/e/b", "/f")               # -> ENOTDIR
""",
    )


def test_the_end_of_a_path_counts(play: Play) -> None:
    play(
        "P1",
        a="""
mkdir("/d/")                       # -> 0
mkdir("/d/")                       # -> EEXIST
mkdir("/f/")                       # -> EEXIST
stat("/f/")                        # -> ENOTDIR
stat("/d/")                        # -> 4096
open("/f/", O_RDWR | O_CREAT)      # -> EISDIR
open("/new/", O_RDWR | O_CREAT)    # -> EISDIR
open("/d/", O_RDWR | O_CREAT | O_EXCL)  # -> EISDIR
open("/d", O_RDWR | O_CREAT | O_EXCL)   # -> EEXIST
open("/d/.", O_RDWR | O_CREAT | O_EXCL) # -> EEXIST
open("/d/.", O_RDWR | O_CREAT)     # -> EISDIR
open("/", O_RDONLY | O_CREAT)      # -> EISDIR
unlink("/f/")                      # -> ENOTDIR
unlink("/new/")                    # -> ENOENT
unlink("/d/..")                    # -> EISDIR
unlink("/")                        # -> EISDIR
link("/f", "/new/")                # -> ENOENT
link("/f", "/f/")                  # -> EEXIST
link("/f", "/d/.")                 # -> EEXIST
link("/d", "/f")                   # -> EEXIST (before EPERM)
link("/d", "/new")                 # -> EPERM
rename("/f", "/new/")              # -> ENOTDIR
rename("/f/", "/new")              # -> ENOTDIR
rename("/f", "/d/")                # -> ENOTDIR
rename("/d/.", "/new")             # -> EBUSY
rename("/f", "/d/..")              # -> EBUSY
rename("/none", "/")               # -> EBUSY
rename("/d/", "/new/")             # -> 0
stat("/new")                       # -> 4096
""",
    )


def test_who_may_do_what_in_a_folder(play: Play) -> None:
    play(
        "P1",
        head='[[file]]\npath = "/f"\n[[file]]\npath = "/roots/x"\n',
        details={"a": "uid = 1000"},
        a="""
own = open("/own", O_RDWR | O_CREAT)
mkdir("/d")                        # -> 0
chmod("/d", 0o500)                 # -> 0
open("/d/x", O_RDWR | O_CREAT)     # -> EACCES
mkdir("/d/x")                      # -> EACCES
link("/own", "/d/y")               # -> EACCES
rename("/own", "/d/y")             # -> EACCES
open("/d", O_TMPFILE | O_RDWR)     # -> EACCES
chmod("/d", 0o600)                 # -> 0
stat("/d/x")                       # -> EACCES (nobody may go through)
open("/d", O_RDONLY)               # -> 4
chmod("/d", 0o300)                 # -> 0
open("/d", O_RDONLY)               # -> EACCES
open("/d", O_PATH)                 # -> 5
open("/d/x", O_RDWR | O_CREAT)     # -> 6
chmod("/roots", 0o700)             # -> EPERM
chown("/d", 0)                     # -> EPERM
utimes("/d")                       # -> 0
utimes("/roots")                   # -> 0 (anybody may write it)
access("/d", R_OK)                 # -> EACCES
access("/d", W_OK | X_OK)          # -> 0
rename("/d", "/e")                 # -> 0
mkdir("/closed", 0o500)            # -> 0
open("/closed/x", O_RDWR | O_CREAT)  # -> EACCES
label("done")
""",
        root="""
wait_for("done")
stat("/e/x")                       # -> 0
open("/e", O_RDONLY)               # -> 3
access("/e", R_OK | W_OK | X_OK)   # -> 0
chown("/e", 0)                     # -> 0
""",
    )


def test_folders_are_there_unless_a_program_makes_them(play: Play) -> None:
    play(
        "P1",
        head='[[file]]\npath = "/f"\n[[file]]\npath = "/pmem/data"\n',
        a="""
stat("/pmem")                      # -> 4096
mkdir("/pmem")                     # -> EEXIST
open("/there/x", O_RDWR | O_CREAT) # -> 3
open("/here/too/../x", O_RDWR | O_CREAT)  # -> 4
stat("/here/too")                  # -> 4096
open("/made/x", O_RDWR | O_CREAT)  # -> ENOENT
mkdir("/made/in/x")                # -> ENOENT
mkdir("/made")                     # -> 0
open("/made/x", O_RDWR | O_CREAT)  # -> 5
stat("/made/in")                   # -> ENOENT
open("/file/x", O_RDWR | O_CREAT)  # -> ENOENT
open("/file", O_RDWR | O_CREAT)    # -> 6
open("/file/x", O_RDWR | O_CREAT)  # -> ENOTDIR
open("/pmem/data/x", O_RDONLY)     # -> ENOTDIR
""",
    )


def test_a_path_may_come_with_a_label(play: Play) -> None:
    play(
        "P1",
        a='label("where", "/far/away")',
        b='name = wait_for("where")\nopen(name, O_RDWR | O_CREAT)  # -> 3\nstat("/far")  # -> 4096\n',
    )


def test_how_a_folder_is_opened(play: Play) -> None:
    play(
        "P1",
        a="""
mkdir("/d")
open("/d", O_RDONLY)               # -> 3
open("/d", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_APPEND)  # -> 4
open("/d", O_RDWR)                 # -> EISDIR
open("/d", O_WRONLY | O_DIRECTORY) # -> EISDIR
open("/d", O_RDONLY | O_TRUNC)     # -> EISDIR
open("/d", O_RDONLY | O_CREAT)     # -> EISDIR
open("/d", O_ACCMODE)              # -> EISDIR
open("/d", O_PATH)                 # -> 5
open("/d", O_PATH | O_RDWR)        # -> 6
open("/d", O_PATH | O_WRONLY | O_CREAT | O_EXCL | O_TRUNC)  # -> 7
open("/d", O_PATH | O_TMPFILE | O_RDWR)  # -> 8
open("/", O_PATH | O_RDWR)         # -> 9
open("/f", O_PATH | O_DIRECTORY)   # -> ENOTDIR
open("/f", O_PATH | O_CREAT | O_EXCL)    # -> 10
open("/new", O_PATH | O_CREAT, 0o600)    # -> ENOENT
stat("/new")                       # -> ENOENT
open("/d", O_CREAT | O_DIRECTORY)  # -> EINVAL
open("/f", O_CREAT | O_DIRECTORY)  # -> EINVAL
open("/new", O_CREAT | O_DIRECTORY | O_RDWR, 0o600)  # -> EINVAL
open("", O_CREAT | O_DIRECTORY)    # -> EINVAL (before the path)
stat("/new")                       # -> ENOENT
open("/d", O_TMPFILE | O_RDWR)     # -> 11
open("/d", O_TMPFILE | O_CREAT | O_RDWR) # -> EINVAL
open("/d", O_TMPFILE)              # -> EINVAL
open("/f", O_TMPFILE | O_RDWR)     # -> ENOTDIR
lseek(3, 5)                        # -> 5
read(5, 1)                         # -> EBADF
stat("/proc/self/fd/5")            # -> 4096
""",
    )


def load(text: str) -> None:
    parse_scenario(f'name = "x"\n{text}\n[[process]]\nname = "a"\nprogram = "getpid()"\n', "x.toml")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "a path of a file, without //, ., .. or a slash at its end"),
        ("//f", "a path of a file, without //, ., .. or a slash at its end"),
        ("/d/../f", "a path of a file, without //, ., .. or a slash at its end"),
        ("/./f", "a path of a file, without //, ., .. or a slash at its end"),
        ("/f/", "a path of a file, without //, ., .. or a slash at its end"),
        ("/" + "a" * 256, "names of at most 255 bytes between the slashes"),
        ("/" + "a/" * 2048, "an absolute path of at most 4095 bytes"),
        ("/proc/self/fd/3", "a path outside of /proc/self/fd"),
        ("f", "an absolute path of at most 4095 bytes"),
        ("/a\\u0000b", "an absolute path of at most 4095 bytes"),
    ],
)
def test_the_path_of_a_file_is_written_in_one_way(path: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(f'[[file]]\npath = "{path}"')
    [problem] = refused.value.problems
    assert (problem.line, problem.expected) == (3, expected)


@pytest.mark.parametrize("order", [("/a", "/a/b/c"), ("/a/b/c", "/a")])
def test_no_file_is_in_a_file(order: tuple[str, str]) -> None:
    with pytest.raises(ScenarioError) as refused:
        load("".join(f'[[file]]\npath = "{path}"\n' for path in order))
    [problem] = refused.value.problems
    assert problem.expected == "a path that is not below the file '/a'"
    assert problem.found == "'/a/b/c'"


def test_the_paths_of_a_scenario_go_through_a_bounded_number_of_folders() -> None:
    deep = ["/" + f"{number}/" * 2000 + "x" for number in range(MOST_FOLDERS // 2000 + 1)]
    assert all(len(path) < 4096 * 2 for path in deep)
    program = "\\n".join(f"stat('{path[:4000]}')" for path in deep for _ in range(2))
    text = f'name = "x"\n[[process]]\nname = "a"\nprogram = "{program}"\n'
    with pytest.raises(ScenarioError, match=f"paths that go through at most {MOST_FOLDERS} folders, found more"):
        parse_scenario(text, "x.toml")


def test_a_deep_path_is_walked_and_moved(play: Play) -> None:
    deep = "/d" * 2000
    play(
        "P1",
        seeds=(),
        a=f'open("{deep}/x", O_RDWR | O_CREAT)  # -> 3\nrename("/d", "/e")  # -> 0\nstat("/e{deep[2:]}/x")  # -> 0\n',
    )
