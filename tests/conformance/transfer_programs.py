"""Programs about transfers, written by hand: pages in a pipe, files in memory, O_DIRECT."""

from typing import Any

PIPE = ["A", "pipe", {"r": "r", "w": "w"}]
MAP = ["A", "map", {"page": 0, "pages": 20, "prot": "rw", "flags": "MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED"}]
READ = ["A", "read_data", {"fd": "r", "count": 65536}]


def _poke(value: int, proc: str = "A", page: int = 0) -> list[Any]:
    return [proc, "poke", {"page": page, "value": value}]


def _splice(length: int, *flags: str, page: int = 0) -> list[Any]:
    return ["A", "vmsplice", {"fd": "w", "page": page, "len": length, "flags": "|".join(flags)}]


TRANSFERS: dict[str, list[list[Any]]] = {
    "vmsplice waits although the pipe does not": [
        PIPE,
        ["A", "setfl", {"fd": "w", "flags": "O_NONBLOCK"}],
        MAP,
        _splice(65536),
        _splice(1, "SPLICE_F_NONBLOCK"),
        _splice(0),
        ["A", "fork", {"as": "B"}],
        _splice(5),
        ["B", "read_data", {"fd": "r", "count": 4095}],
        ["B", "read_data", {"fd": "r", "count": 1}],
    ],
    "vmsplice into a pipe that nobody reads": [PIPE, MAP, ["A", "close", {"fd": "r"}], _splice(1), _splice(0)],
    "a page in a pipe is what it holds when it is read": [PIPE, MAP, _poke(65), _splice(4096), _poke(66), READ],
    "a page in a pipe outlives its mapping": [
        PIPE,
        MAP,
        _poke(65),
        _splice(4096),
        ["A", "unmap", {"page": 0, "pages": 1}],
        MAP,
        _poke(66),
        READ,
    ],
    "after fork a store makes another page than that in the pipe": [
        PIPE,
        MAP,
        _poke(65),
        _splice(4096),
        ["A", "fork", {"as": "B"}],
        _poke(66),
        _poke(67, "B"),
        READ,
    ],
    "a page of a file in memory in a pipe": [
        PIPE,
        ["A", "memfd", {"name": "guest", "as": "m", "flags": "MFD_NOEXEC_SEAL"}],
        ["A", "ftruncate", {"fd": "m", "len": 8192}],
        ["A", "map", {"page": 0, "pages": 2, "prot": "rw", "flags": "MAP_SHARED|MAP_FIXED", "fd": "m"}],
        _poke(65),
        _splice(4096),
        ["A", "write_at", {"fd": "m", "at": 0, "count": 100, "letter": "m"}],
        READ,
        ["A", "memfd", {"name": "both", "as": "n", "flags": "MFD_NOEXEC_SEAL|MFD_EXEC"}],
    ],
    "O_DIRECT and the page cache": [
        ["*", "create", {"path": "f", "size": 8192}],
        MAP,
        ["A", "open", {"path": "f", "flags": "O_RDWR", "as": "x"}],
        ["A", "open", {"path": "f", "flags": "O_RDWR|O_DIRECT", "as": "d"}],
        ["A", "write_at", {"fd": "x", "at": 0, "count": 8192, "letter": "x"}],
        ["A", "preadv", {"fd": "d", "page": 0, "len": 8192, "at": 0}],
        ["A", "peek", {"page": 1}],
        _poke(65),
        ["A", "pwritev", {"fd": "d", "page": 0, "len": 4096, "at": 4096}],
        ["A", "read_at", {"fd": "x", "at": 0, "count": 8192}],
        ["A", "pwritev", {"fd": "d", "page": 0, "len": 4096, "at": 16384}],
        ["A", "read_at", {"fd": "x", "at": 0, "count": 65536}],
        ["A", "getfl", {"fd": "d"}],
    ],
}
"""Programs by what they show."""
