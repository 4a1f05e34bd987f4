"""Programs on memory for the recorded file: each kind of mapping, what can be done to it, and a look at the pages.

``python tests/conformance/memory_tables.py`` writes them, one a line, without answers.
"""

from collections.abc import Iterator
from typing import Any

from longpin.runner.conform.memory_ops import ADVICE, PROTECTIONS, SYNC_FLAGS
from longpin.runner.conform.program import ConformOp, ConformProgram, dump_program, make_op

MAPPINGS: dict[str, dict[str, Any]] = {
    "private anonymous": {"flags": "MAP_PRIVATE|MAP_ANONYMOUS"},
    "shared anonymous": {"flags": "MAP_SHARED|MAP_ANONYMOUS"},
    "private file": {"flags": "MAP_PRIVATE", "fd": "x"},
    "shared file": {"flags": "MAP_SHARED", "fd": "x"},
}
"""Each is four pages, of a file of three, from page 8 of the arena on."""
BY_FILE_SYSTEM = ("COLLAPSE", "INSERT")
"""What leaves private copies of a file's pages alone, or takes them away: that is for the file system to say.

And pages of a file can be locked unless they are persistent memory, as those of the emulated kernel.
"""
ON_FILES = ("writes", "ftruncate", "fallocate")
"""What says nothing of a mapping that is none of a file."""
FIRST, PAGES = 8, 4
MOVE = "MREMAP_MAYMOVE|MREMAP_FIXED"


def at(op: str, page: int = 0, pages: int = 1, **args: Any) -> ConformOp:
    """Return an op of A on pages of the mapping."""
    return make_op("A", op, {"page": FIRST + page, "pages": pages} | args)


def peeks(proc: str = "A", *pages: int) -> list[ConformOp]:
    """Return looks at pages, by default at all of the mapping and the one behind it."""
    return [make_op(proc, "peek", page=FIRST + page) for page in pages or range(PAGES + 1)]


def poke(page: int, value: int, proc: str = "A") -> ConformOp:
    """Return a store to a page of the mapping."""
    return make_op(proc, "poke", page=FIRST + page, value=value)


def actions() -> Iterator[tuple[str, list[ConformOp]]]:
    """Yield what is done to a mapping whose first two pages were stored to, each with a name."""
    write = [make_op("A", "pwrite", fd="x", data=2, offset=offset) for offset in (0, 4096, 8192)]
    yield "nothing", []
    yield "writes to the file", write
    for size in (0, 100, 4096, 8192, 20000):
        yield f"ftruncate to {size}", [make_op("A", "ftruncate", fd="x", len=size)]
        yield f"ftruncate to {size} and back", [make_op("A", "ftruncate", fd="x", len=n) for n in (size, 3 * 4096)]
    for mode in ("PUNCH_HOLE", "ZERO", "COLLAPSE", "INSERT"):
        yield f"fallocate {mode}", [make_op("A", "fallocate", fd="x", mode=mode, offset=0, len=4096)]
    for page, pages in ((0, 1), (1, 2), (3, 1), (0, 4), (-2, 4), (3, 3), (0, 0)):
        yield f"unmap {page} {pages}", [at("unmap", page, pages)]
        yield (
            f"lock {page} {pages}",
            [
                at("lock", page, pages),
                at("advise", 0, 4, advice="MADV_DONTNEED"),
                at("sync", 0, 4, flags="MS_INVALIDATE"),
                at("unlock", page, pages),
                at("advise", 0, 4, advice="MADV_DONTNEED"),
            ],
        )
    for prot in PROTECTIONS:
        yield f"protect {prot}", [at("protect", 1, 1, prot=prot), poke(1, 7)]
        yield (
            f"protect all {prot} and back",
            [
                at("protect", 0, 4, prot=prot),
                *peeks("A", 0, 3),
                poke(0, 7),
                at("protect", 0, 4, prot="rw"),
                poke(0, 8),
            ],
        )
        yield f"protect beyond {prot}", [at("protect", 2, 4, prot=prot), poke(2, 7)]
    yield "protect before", [at("protect", -1, 2, prot="r"), poke(0, 7)]
    for advice in ADVICE:
        yield f"advise {advice}", [at("advise", 1, 2, advice=advice), poke(2, 6)]
        yield f"advise {advice} with a hole", [at("unmap", 1, 1), at("advise", 0, 3, advice=advice)]
        yield (
            f"advise {advice}, then fork",
            [
                at("advise", 0, 2, advice=advice),
                make_op("A", "fork", {"as": "B"}),
                *peeks("B", 0, 1),
                poke(0, 9),
                *peeks("B", 0),
            ],
        )
    yield "populate beyond the end", [at("advise", 2, 2, advice=f"MADV_POPULATE_{way}") for way in ("READ", "WRITE")]
    yield (
        "advise what is not writable",
        [at("protect", 0, 4, prot="r"), at("advise", 0, 4, advice="MADV_POPULATE_WRITE")],
    )
    for flags in ("", *SYNC_FLAGS, "MS_SYNC|MS_ASYNC"):
        yield f"sync {flags}", [at("sync", 0, 4, flags=flags), at("sync", 3, 2, flags=flags)]
    yield from moves()
    yield (
        "map over a part",
        [
            at("map", 1, 1, prot="rw", flags="MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED"),
            *peeks("A", 0, 1, 2),
            poke(1, 5),
        ],
    )
    for flag in ("MAP_FIXED_NOREPLACE", "MAP_FIXED_NOREPLACE|MAP_FIXED", "MAP_STACK"):
        for page in (2, 4):
            yield f"map {flag} at {page}", [at("map", page, 1, prot="rw", flags=f"MAP_PRIVATE|MAP_ANONYMOUS|{flag}")]
    yield (
        "fork",
        [
            make_op("A", "fork", {"as": "B"}),
            poke(0, 11),
            poke(1, 12, "B"),
            poke(2, 13, "B"),
            *peeks("B"),
            make_op("B", "fork", {"as": "C"}),
            poke(0, 14, "B"),
            *peeks("C"),
            make_op("B", "exit"),
            poke(0, 15, "C"),
            *peeks("C"),
        ],
    )
    yield "exec", [make_op("A", "exec")]


def moves() -> Iterator[tuple[str, list[ConformOp]]]:
    """Yield what mremap(2) does, each with a name."""

    def remap(page: int, pages: int, new: int, flags: str = "", **args: int) -> ConformOp:
        return at("remap", page, pages, new_pages=new, flags=flags, **args)

    to = FIRST + 20
    for page, pages, new in ((0, 4, 2), (0, 4, 6), (2, 2, 4), (0, 2, 3), (1, 1, 1), (0, 6, 5), (0, 4, 0), (9, 1, 2)):
        yield f"remap {page} {pages} {new}", [remap(page, pages, new), *peeks("A", 5)]
        yield (
            f"remap {page} {pages} {new} to a place",
            [
                remap(page, pages, new, MOVE, to=to),
                *(make_op("A", "peek", page=to + offset) for offset in range(6)),
                make_op("A", "poke", page=to, value=44),
                make_op("A", "peek", page=to),
            ],
        )
    yield (
        "remap where another is",
        [
            make_op("A", "map", page=FIRST + 5, pages=1, prot="r", flags="MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED"),
            remap(0, 4, 6),
            remap(0, 4, 5),
            remap(0, 4, 7, "MREMAP_MAYMOVE"),
        ],
    )
    yield (
        "remap over another",
        [
            make_op("A", "map", page=to, pages=4, prot="rw", flags="MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED"),
            make_op("A", "poke", page=to + 2, value=3),
            remap(0, 2, 2, MOVE, to=to),
            *(make_op("A", "peek", page=to + offset) for offset in range(4)),
        ],
    )
    yield (
        "remap with a hole",
        [
            at("unmap", 1, 1),
            remap(0, 4, 4, MOVE, to=to),
            *(make_op("A", "peek", page=to + offset) for offset in range(4)),
        ],
    )
    yield (
        "remap twice there",
        [
            remap(0, 0, 3, MOVE, to=to),
            make_op("A", "poke", page=to, value=77),
            make_op("A", "peek", page=to),
        ],
    )
    yield (
        "remap and keep",
        [
            remap(0, 2, 2, f"{MOVE}|MREMAP_DONTUNMAP", to=to),
            *(make_op("A", "peek", page=to + offset) for offset in range(3)),
            poke(0, 66),
        ],
    )
    yield "remap and keep, longer", [remap(0, 2, 3, f"{MOVE}|MREMAP_DONTUNMAP", to=to)]
    for flags in ("MREMAP_FIXED", "MREMAP_UNKNOWN", "MREMAP_DONTUNMAP"):
        yield f"remap {flags}", [remap(0, 2, 2, flags, to=to)]
    yield "remap onto itself", [remap(0, 2, 2, MOVE, to=FIRST + 1)]


def programs() -> Iterator[ConformProgram]:
    """Yield all of them."""
    for kind, mapping in MAPPINGS.items():
        for name, ops in actions():
            if "fd" not in mapping and name.startswith(ON_FILES):
                continue
            moved = kind == "private file" and name.endswith(BY_FILE_SYSTEM)
            if not moved and not ("fd" in mapping and name.startswith("lock")):
                yield _program(f"{kind}: {name}", mapping, ops)
        for prot in PROTECTIONS:
            for mode in ("O_RDONLY", "O_WRONLY", "O_RDWR"):
                if "fd" in mapping or mode == "O_RDWR":
                    yield _mapped(f"{kind}: map {prot} of {mode}", mapping, prot, mode)
        for flag in ("MAP_POPULATE", "MAP_NORESERVE", "MAP_UNKNOWN", *(() if "fd" in mapping else ("MAP_LOCKED",))):
            for kinds in (mapping["flags"], mapping["flags"].replace("SHARED", "SHARED_VALIDATE")):
                more = mapping | {"flags": f"{kinds}|{flag}"}
                yield _mapped(f"{kind}: {kinds}|{flag}", more, "rw", "O_RDWR")


def _program(name: str, mapping: dict[str, Any], ops: list[ConformOp]) -> ConformProgram:
    begin = [
        make_op("*", "create", path="f", size=3 * 4096),
        make_op("A", "open", {"path": "f", "flags": "O_RDWR", "as": "x"}),
        at("map", 0, PAGES, prot="rw", **mapping | {"flags": f"{mapping['flags']}|MAP_FIXED"}),
        poke(0, 1),
        poke(1, 2),
    ]
    end = [*peeks(), *(make_op("A", "pread", fd="x", count=1, offset=page * 4096) for page in range(2))]
    return ConformProgram(name, (*begin, *ops, *end), pace=0)


def _mapped(name: str, mapping: dict[str, Any], prot: str, mode: str) -> ConformProgram:
    ops = [
        make_op("*", "create", path="f", size=3 * 4096),
        make_op("A", "open", {"path": "f", "flags": mode, "as": "x"}),
        at("map", 0, PAGES, prot=prot, **mapping | {"flags": f"{mapping['flags']}|MAP_FIXED"}),
        *peeks(),
        poke(0, 1),
        at("protect", 0, PAGES, prot="rw"),
        poke(0, 2),
        *peeks("A", 0, 2, 3),
        at("advise", 0, PAGES, advice="MADV_DONTNEED"),
    ]
    return ConformProgram(name, tuple(ops), pace=0)


if __name__ == "__main__":
    for each in programs():
        print(dump_program(each))  # noqa: T201
