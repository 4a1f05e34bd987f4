"""Programs on io_uring for the recorded file: which memory can be registered, how long it stays, what it counts for.

``python tests/conformance/uring_tables.py`` writes them, one a line, without answers. Those of liburing name
its functions (``test/io_uring_register.c``).
"""

import sys
from collections.abc import Iterator
from typing import Any

from longpin.runner.conform.ops import PAGE
from longpin.runner.conform.program import ConformOp, ConformProgram, dump_program, make_op

PAGES = 4
USER = 60_001
"""Nobody else."""


def a(op: str, args: dict[str, Any] | None = None, /, **more: Any) -> ConformOp:
    """Return an op of the process most programs have."""
    return make_op("A", op, args, **more)


OPENED = [
    make_op("*", "create", path="f", size=0),
    a("open", {"path": "f", "flags": "O_RDWR", "as": "x"}),
    a("write_at", fd="x", at=0, count=PAGES * PAGE, letter="x"),
]
MEMFD = [
    a("memfd", {"name": "guest", "as": "x"}),
    a("ftruncate", fd="x", len=PAGES * PAGE),
]
KINDS: dict[str, tuple[list[ConformOp], str]] = {
    "private anonymous memory": ([], "MAP_PRIVATE|MAP_ANONYMOUS"),
    "shared anonymous memory": ([], "MAP_SHARED|MAP_ANONYMOUS"),
    "a shared file": (OPENED, "MAP_SHARED"),
    "a private file": (OPENED, "MAP_PRIVATE"),
    "a shared file in memory": (MEMFD, "MAP_SHARED"),
    "a private file in memory": (MEMFD, "MAP_PRIVATE"),
}
"""Each is four pages at the beginning of the arena."""

RING = a("io_uring_setup", {"entries": 8, "as": "r"})


def register(length: int = PAGES * PAGE, proc: str = "A", **more: Any) -> ConformOp:
    """Return an op that registers the first pages of the arena."""
    return make_op(proc, "io_uring_register_buffers", {"fd": "r", "page": 0, "len": length} | more)


def mapped(flags: str, pages: int = PAGES, prot: str = "rw", page: int = 0) -> ConformOp:
    """Return an op that maps."""
    fd = {} if "ANONYMOUS" in flags else {"fd": "x"}
    return a("map", {"page": page, "pages": pages, "prot": prot, "flags": f"{flags}|MAP_FIXED"} | fd)


def poke(page: int, value: int, proc: str = "A") -> ConformOp:
    """Return a store."""
    return make_op(proc, "poke", page=page, value=value)


def peeks(proc: str = "A") -> list[ConformOp]:
    """Return looks at all pages."""
    return [make_op(proc, "peek", page=page) for page in range(PAGES)]


def fixed(op: str, length: int = 10, proc: str = "A", **more: Any) -> ConformOp:
    """Return a read or a write through the first buffer."""
    args = {"fd": "r", "file": "o", "page": 0, "len": length, "at": 0, "index": 0}
    return make_op(proc, f"io_uring_{op}_fixed", args | more)


def states() -> Iterator[tuple[str, list[ConformOp]]]:
    """Yield what is done to memory before it is registered, each with a name."""
    yield "", []
    yield "the first page stored to", [poke(0, 65)]
    yield "the last page stored to", [poke(PAGES - 1, 65)]
    yield "all pages stored to", [poke(page, 65) for page in range(PAGES)]
    yield "read only", [a("protect", page=0, pages=PAGES, prot="r")]
    yield "no access", [a("protect", page=0, pages=PAGES, prot="none")]
    stored = [poke(page, 65) for page in range(PAGES)]
    yield "stored to, then read only", [*stored, a("protect", page=0, pages=PAGES, prot="r")]
    yield "the last page unmapped", [a("unmap", page=PAGES - 1, pages=1)]
    yield "the first page unmapped", [a("unmap", page=0, pages=1)]
    yield "the last page read only", [a("protect", page=PAGES - 1, pages=1, prot="r")]
    yield "the file cut off", [a("ftruncate", fd="x", len=2 * PAGE)]


def events() -> Iterator[tuple[str, list[ConformOp]]]:
    """Yield what happens to memory that is registered, each with a name."""
    yield "unmapped", [a("unmap", page=0, pages=PAGES)]
    yield "MADV_DONTNEED", [a("advise", page=0, pages=PAGES, advice="MADV_DONTNEED")]
    yield "mapped over", [mapped("MAP_PRIVATE|MAP_ANONYMOUS"), poke(0, 66)]
    yield "read only", [a("protect", page=0, pages=PAGES, prot="r")]
    yield "stored to", [poke(0, 66)]
    yield "unregistered", [a("io_uring_unregister_buffers", fd="r")]
    yield "forked, the parent stores", [a("fork", {"as": "B"}), poke(0, 66), *peeks("B")]
    yield "forked, the child stores", [a("fork", {"as": "B"}), poke(0, 67, "B"), *peeks("B")]
    yield "forked, the child writes", [a("fork", {"as": "B"}), poke(0, 67, "B"), fixed("write", proc="B")]


def memory() -> Iterator[tuple[str, list[ConformOp]]]:
    """Yield programs about each kind of memory."""
    for kind, (opened, flags) in KINDS.items():
        for state, done in states():
            if "file" not in kind and "file" in state:
                continue
            yield f"{kind}, {state}" if state else kind, [*opened, RING, mapped(flags), *done, register()]
        if kind == "a shared file":  # it cannot be registered
            continue
        for event, done in events():
            stored = [poke(page, 65) for page in range(PAGES)]
            out = a("open", {"path": "o", "flags": "O_RDWR|O_CREAT", "as": "o"})
            look = [fixed("write"), a("read_at", fd="o", at=0, count=20), fixed("read"), *peeks()]
            yield f"{kind}, {event} when registered", [
                *opened, out, RING, mapped(flags), *stored, register(), *done, *look,
            ]  # fmt: skip


def limits() -> Iterator[tuple[str, list[ConformOp]]]:
    """Yield programs about RLIMIT_MEMLOCK."""
    wide = mapped("MAP_PRIVATE|MAP_ANONYMOUS", 64)
    user = a("setuid", uid=USER)

    def limit(pages: int, proc: str = "A") -> ConformOp:
        return make_op(proc, "setrlimit", resource="RLIMIT_MEMLOCK", limit=pages * PAGE)

    for entries, least in ((1, 2), (8, 2), (64, 2), (128, 4), (256, 7), (1000, 26), (4096, 101)):
        for pages in (least - 1, least):
            ring = a("io_uring_setup", {"entries": entries, "as": "r"})
            yield f"a ring of {entries} with {pages} pages", [limit(pages), user, ring]
    for pages in (0, 2, 5, 6):
        yield f"four pages and a ring with {pages}", [wide, limit(pages), user, RING, register()]
    yield "a ring that root made counts for nobody", [wide, RING, limit(0), user, register(64 * PAGE)]
    yield "a ring counts for who made it", [wide, limit(6), user, RING, limit(5), register(), register(3 * PAGE)]
    yield "what is unregistered can be registered again", [
        wide, limit(6), user, RING, register(), a("io_uring_unregister_buffers", fd="r"), register(),
    ]  # fmt: skip
    yield "what cannot be pinned counts for nothing", [
        wide, limit(6), user, RING, a("protect", page=3, pages=1, prot="r"), register(), register(3 * PAGE),
    ]  # fmt: skip
    yield "a part of a page counts as a page", [wide, limit(3), user, RING, register(2), register(2, inside=4095)]
    yield "the same page twice is two", [
        wide, limit(3), user, RING, a("io_uring_register_buffers_sparse", fd="r", nr=2),
        *(a("io_uring_register_buffers_update", fd="r", index=n, page=0, len=PAGE) for n in (0, 1)),
    ]  # fmt: skip
    yield "what is put in a place counts before what was there is let go of", [
        wide, limit(3), user, RING, register(PAGE),
        a("io_uring_register_buffers_update", fd="r", index=0, page=1, len=PAGE),
        a("io_uring_unregister_buffers", fd="r"), register(PAGE),
    ]  # fmt: skip
    yield "a child of the same user has no room of its own", [
        wide, limit(8), user, RING, register(), a("fork", {"as": "B"}),
        make_op("B", "io_uring_setup", {"entries": 1, "as": "s"}),
        make_op("B", "io_uring_register_buffers", fd="s", page=0, len=PAGE),
    ]  # fmt: skip


def lifetimes() -> Iterator[tuple[str, list[ConformOp]]]:
    """Yield programs about rings and tables."""
    map_ = mapped("MAP_PRIVATE|MAP_ANONYMOUS")
    unregister = a("io_uring_unregister_buffers", fd="r")
    sparse = a("io_uring_register_buffers_sparse", fd="r", nr=2)

    def update(index: int, **buffer: int) -> ConformOp:
        return a("io_uring_register_buffers_update", {"fd": "r", "index": index} | buffer)

    yield "liburing: io_uring_register of no ring", [
        *OPENED, a("io_uring_register_buffers", fd="none"), a("io_uring_register_buffers", fd="x"),
    ]  # fmt: skip
    yield "liburing: test_iovec_size", [
        RING, map_, a("io_uring_register_buffers", fd="r", len=PAGE), register(0),
        a("unmap", page=1, pages=3), register(2 * PAGE), register((1 << 30) + 1), register(PAGE),
    ]  # fmt: skip
    yield "liburing: test_shmem", [
        RING, a("pipe", {"r": "p", "w": "w"}), *MEMFD, mapped("MAP_SHARED", 1), poke(0, 0xEA), register(PAGE),
        fixed("write", 512, file="w"), poke(0, 0), fixed("read", 512, file="p"), a("peek", page=0), unregister,
    ]  # fmt: skip
    yield (
        "one table at a time",
        [RING, map_, register(), register(), sparse, unregister, sparse, register(), unregister],
    )
    yield "no table", [RING, map_, unregister, update(0, page=0, len=PAGE)]
    for places in (0, 1, 16_384, 16_385):
        sized = a("io_uring_register_buffers_sparse", fd="r", nr=places)
        yield f"a table of {places}", [RING, map_, sized, update(max(places - 1, 0), page=0, len=PAGE), sized]
    yield "places", [
        RING, map_, sparse, update(0), update(1, page=1, len=PAGE), update(2, page=0, len=PAGE),
        update(1, page=9, len=1), update(1, page=2, len=PAGE), update(1), update(1, page=0, len=0),
    ]  # fmt: skip
    yield "an empty buffer", [
        RING, map_, a("io_uring_register_buffers", fd="r"), register(), update(0, page=0, len=PAGE), unregister,
    ]  # fmt: skip
    for entries in (0, 1, 3, 4096, 32_768, 32_769):
        yield f"a ring of {entries} entries", [a("io_uring_setup", {"entries": entries, "as": "r"})]
    yield (
        "exec closes a ring",
        [RING, map_, register(), a("exec"), unregister, a("getfd", fd="r")],
    )
    yield "exec leaves a ring that is kept", [
        RING, map_, register(), a("setfd", fd="r", value=0), a("exec"), unregister, unregister,
    ]  # fmt: skip
    yield "a ring that is passed on", [
        RING, map_, poke(0, 65), register(), *OPENED, a("open", {"path": "o", "flags": "O_RDWR|O_CREAT", "as": "o"}),
        make_op("B", "open", {"path": "o", "flags": "O_RDWR|O_CREAT", "as": "o"}),
        a("sendfd", fd="r", to="B"), make_op("B", "recvfd", {"as": "r"}), fixed("write", proc="B"),
        a("close", fd="r"), fixed("write", proc="B", at=20),
        a("read_at", fd="o", at=0, count=40), make_op("B", "io_uring_unregister_buffers", fd="r"),
    ]  # fmt: skip
    yield "a ring that is duplicated", [
        RING, map_, register(), a("dup", {"fd": "r", "as": "s"}), a("close", fd="r"),
        a("io_uring_unregister_buffers", fd="s"),
    ]  # fmt: skip
    yield "what a ring is not", [
        RING, a("read", fd="r"), a("write", fd="r"), a("lseek", fd="r", offset=0),
        a("ftruncate", fd="r", len=0), a("fsync", fd="r"), a("getfl", fd="r"),
        a("getfd", fd="r"), a("reopen", {"fd": "r", "flags": "O_RDWR", "as": "s"}),
        a("setlease", fd="r", type="RD"), a("getlease", fd="r"), a("flock", fd="r", how="EX"),
    ]  # fmt: skip


def transfers() -> Iterator[tuple[str, list[ConformOp]]]:
    """Yield programs about fixed reads and writes."""
    out = a("open", {"path": "o", "flags": "O_RDWR|O_CREAT", "as": "o"})
    start = [out, RING, mapped("MAP_PRIVATE|MAP_ANONYMOUS"), poke(0, 65), register(2 * PAGE, inside=100)]
    look = a("read_at", fd="o", at=0, count=65_536)
    inside: dict[str, dict[str, Any]] = {
        "before the buffer": {"inside": 99},
        "from its beginning": {"inside": 100},
        "all of it": {"inside": 100, "len": 2 * PAGE},
        "more than it": {"inside": 100, "len": 2 * PAGE + 1},
        "its last byte": {"page": 2, "inside": 99, "len": 1},
        "behind it": {"page": 2, "inside": 100, "len": 1},
        "nothing behind it": {"page": 2, "inside": 100, "len": 0},
        "nothing in it": {"inside": 200, "len": 0},
        "another index": {"inside": 100, "index": 1},
        "at the position": {"inside": 100, "at": -1},
        "before the file": {"inside": 100, "at": -2},
        "at the end of all offsets": {"inside": 100, "at": (1 << 63) - 1},
        "no file": {"inside": 100, "file": "none"},
        "the ring itself": {"inside": 100, "file": "r"},
    }
    for name, args in inside.items():
        for op in ("write", "read"):
            if name == "the ring itself" and op == "read":
                continue  # it waits for ever
            yield f"a fixed {op}, {name}", [
                *start, a("write_at", fd="o", at=0, count=PAGE, letter="o"), fixed(op, **args), look, *peeks(),
            ]  # fmt: skip
    for flags in ("O_RDONLY", "O_WRONLY", "O_RDWR|O_APPEND", "O_RDWR|O_NONBLOCK", "O_PATH"):
        reopened = a("reopen", {"fd": "o", "flags": flags, "as": "q"})
        for op in ("write", "read"):
            yield f"a fixed {op}, {flags}", [
                *start, a("write_at", fd="o", at=0, count=100, letter="o"), reopened,
                fixed(op, file="q", inside=100), look, a("peek", page=0),
            ]  # fmt: skip
    yield "a fixed read of a folder", [
        *start, a("open", {"path": ".", "flags": "O_RDONLY", "as": "q"}), fixed("read", file="q", inside=100),
    ]  # fmt: skip
    pipe = a("pipe", {"r": "p", "w": "w"})
    late = [
        a("fork", {"as": "B"}),
        fixed("read", file="p", inside=100),
        make_op("B", "write", fd="w", count=3),
    ]
    yield "a fixed read of a pipe waits", [*start, pipe, *late, *peeks()]
    yield "O_NONBLOCK or not", [*start, pipe, a("setfl", fd="p", flags="O_NONBLOCK"), *late]
    yield "a fixed read of a pipe that nobody writes to", [
        *start, pipe, a("close", fd="w"), fixed("read", file="p", inside=100),
    ]  # fmt: skip
    yield "the wrong end of a pipe", [
        *start, pipe, fixed("read", file="w", inside=100), fixed("write", file="p", inside=100),
        fixed("write", file="w", inside=100, at=(1 << 63) - 1), fixed("write", file="p", inside=100, at=-2),
    ]  # fmt: skip
    yield "a buffer stays while a read waits", [
        *start, pipe, a("fork", {"as": "B"}), fixed("read", file="p", inside=100),
        make_op("B", "io_uring_unregister_buffers", fd="r"), make_op("B", "io_uring_unregister_buffers", fd="r"),
        make_op("B", "write", fd="w", count=3), a("peek", page=0),
    ]  # fmt: skip
    yield "a signal ends the wait for a pipe", [
        *start, pipe, fixed("read", file="p", inside=100), make_op("*", "interrupt", proc="A"),
        a("write", fd="w", count=3), fixed("read", file="p", inside=100), a("peek", page=0),
    ]  # fmt: skip


def programs() -> Iterator[ConformProgram]:
    """Yield all of them."""
    for group in (memory, limits, lifetimes, transfers):
        for name, ops in group():
            yield ConformProgram(name, tuple(ops), pace=0)


if __name__ == "__main__":
    for program in programs():
        sys.stdout.write(f"{dump_program(program)}\n")
