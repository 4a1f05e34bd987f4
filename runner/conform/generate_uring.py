"""Random programs on io_uring: buffers of every kind of memory, reads and writes through them, limits, children.

Left out is what depends on when a worker of the kernel takes a ring down after its last close: in programs that count
against a limit no ring is closed, and after a close nobody forks. A user counts what all of its processes have locked,
those of the program before, too, so programs with a limit have users of their own. Of a page of a file that nobody has
written to it is for the file system to say whether a copy of it was pinned or is made at a store; so a private page of
a file is stored to, or registered, or neither.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

from longpin.runner.conform.ops import COORDINATOR, PAGE
from longpin.runner.conform.program import ConformOp, ConformProgram, make_op, mistakes

SHARE = 0.03
"""How many of all random programs are such."""
_LEAST_OPS, _MOST_OPS = 12, 36
_PAGES = 4
_FIRST_USER, _USERS = 70_000, 20_000
"""Users that nobody else is."""
_LOOK = 1 << 16

_PRIVATE, _SHARED, _MEMFD, _COPY, _FILE, _COPY_OF_FILE = range(0, 48, 8)
_PLACES: dict[int, dict[str, str]] = {
    _PRIVATE: {"flags": "MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED"},
    _SHARED: {"flags": "MAP_SHARED|MAP_ANONYMOUS|MAP_FIXED"},
    _MEMFD: {"flags": "MAP_SHARED|MAP_FIXED", "fd": "m"},
    _COPY: {"flags": "MAP_PRIVATE|MAP_FIXED", "fd": "m"},
    _FILE: {"flags": "MAP_SHARED|MAP_FIXED", "fd": "y"},
    _COPY_OF_FILE: {"flags": "MAP_PRIVATE|MAP_FIXED", "fd": "y"},
}
"""Where each kind of memory begins."""
_HOLE = 56
"""Where nothing is."""


def wants_rings(seed: int, index: int) -> bool:
    """Return whether the program of this number is about io_uring."""
    return random.Random(f"longpin conform ring {seed} {index}").random() < SHARE


def generate_rings(seed: int, index: int) -> ConformProgram:
    """Return the program about io_uring of this number."""
    user = _FIRST_USER + random.Random(f"longpin conform user {seed} {index}").randrange(_USERS)
    ops = tuple(_RingWriter(random.Random(f"longpin conform rings {seed} {index}"), user).ops())
    assert not (wrong := mistakes(ops)), (seed, index, wrong)
    return ConformProgram(f"random-{seed}-{index}", ops, pace=0)


class _RingWriter:
    """Writes one program of one process, perhaps with a child that has its rings and a copy of its memory."""

    def __init__(self, choice: random.Random, user: int) -> None:
        self.choice = choice
        self.letters = iter("abcdefghijklmnopqrstuvwxyz" * 8)
        self.user = user
        self.procs = ["A"]
        self.rings = ["r"]
        self.limited = choice.random() < 0.5
        """What is registered counts, and there is a limit."""
        self.closed = False
        self.piped = 0
        """How often the pipe was written to, and not read."""
        self.tables: dict[str, dict[int, dict[str, Any]]] = {}
        """What may be registered: buffers by ring and index."""
        self.kinds: dict[Callable[[], ConformOp | None], float] = {
            self._setup: 1.5,
            self._register: 9,
            self._sparse: 2,
            self._update: 5,
            self._unregister: 4,
            self._move: 12,
            self._poke: 6,
            self._peek: 5,
            self._change: 4,
            self._write: 2,
            self._fork: 1,
            self._close: 0.7,
            self._limit: 0.7,
        }

    def ops(self) -> Iterator[ConformOp]:
        yield from self._prelude()
        count = self.choice.randint(_LEAST_OPS, _MOST_OPS)
        for make in self.choice.choices(list(self.kinds), list(self.kinds.values()), k=count):
            if (op := make()) is not None:
                yield op
        for proc in self.procs:
            for place in _PLACES:
                yield make_op(proc, "peek", page=place)
                yield make_op(proc, "peek", page=place + 1)
        for fd in ("x", "y", "m"):
            yield make_op("A", "read_at", fd=fd, at=0, count=_LOOK)

    def _prelude(self) -> Iterator[ConformOp]:
        choice = self.choice
        yield make_op("A", "getpid")
        for path, fd in (("f", "x"), ("g", "y")):
            yield make_op(COORDINATOR, "create", path=path, size=0)
            yield make_op("A", "open", {"path": path, "flags": "O_RDWR", "as": fd})
        yield make_op("A", "open", {"path": "f", "flags": choice.choice(("O_RDONLY", "O_WRONLY")), "as": "o"})
        yield make_op("A", "memfd", {"name": "guest", "as": "m"})
        yield make_op("A", "ftruncate", fd="m", len=_PAGES * PAGE)
        yield make_op("A", "write_at", fd="y", at=0, count=_PAGES * PAGE, letter="g")
        yield make_op("A", "write_at", fd="x", at=0, count=choice.randint(1, 3 * PAGE), letter=next(self.letters))
        yield make_op("A", "pipe", {"r": "p", "w": "w"})
        if choice.random() < 0.3:  # it makes no difference
            yield make_op("A", "setfl", fd="p", flags="O_NONBLOCK")
        for place, how in _PLACES.items():
            prot = "r" if choice.random() < 0.08 else "rw"
            yield make_op("A", "map", {"page": place, "pages": _PAGES, "prot": prot} | how)
        early = choice.random() < 0.15
        if self.limited and not early:
            yield from self._give_up_root()
        yield make_op("A", "io_uring_setup", {"entries": choice.choice((1, 4, 8, 64)), "as": "r"})
        if self.limited and early:
            yield from self._give_up_root()
        for _ in range(choice.randint(2, 6)):
            yield self._poke()

    def _give_up_root(self) -> Iterator[ConformOp]:
        pages = self.choice.choice((0, 3, 6, 8, 10, 16))
        yield make_op("A", "setrlimit", resource="RLIMIT_MEMLOCK", limit=pages * PAGE)
        yield make_op("A", "setuid", uid=self.user)

    def _proc(self) -> str:
        return self.choice.choice(self.procs)

    def _ring(self) -> str:
        return self.choice.choices((self.choice.choice(self.rings), "x", "none"), (30, 0.5, 0.5))[0]

    def _place(self) -> int:
        weights = (6, 4, 4, 3, 1, 2)
        return self.choice.choices((*_PLACES, _HOLE), (*weights, 0.4))[0]

    def _range(self) -> dict[str, Any]:
        """Choose a buffer: mostly whole pages of one kind of memory, or of two that lie beside each other."""
        choice = self.choice
        if choice.random() < 0.04:
            return choice.choice(({}, {"len": PAGE}, {"page": _PRIVATE}, {"page": _PRIVATE, "len": (1 << 30) + 1}))
        first = choice.choice((0, 0, 1, 2))
        pages = choice.choice((1, 2, _PAGES - first, _PAGES - first, _PAGES))
        inside, less = choice.choices(((0, 0), (100, 200), (0, 1), (PAGE - 1, PAGE - 2)), (10, 3, 2, 1))[0]
        return {"page": self._place() + first, "len": pages * PAGE - less} | ({"inside": inside} if inside else {})

    def _setup(self) -> ConformOp | None:
        if len(self.procs) > 1 or len(self.rings) > 2:
            return None
        name = f"r{len(self.rings)}"
        self.rings.append(name)
        entries = self.choice.choices((1, 4, 8, 64, 128, 0, 32_769), (3, 3, 3, 1, 1, 0.3, 0.3))[0]
        return make_op("A", "io_uring_setup", {"entries": entries, "as": name})

    def _register(self) -> ConformOp:
        ring, buffer = self._ring(), self._range()
        self.tables.setdefault(ring, {0: buffer})
        return make_op(self._proc(), "io_uring_register_buffers", {"fd": ring} | buffer)

    def _sparse(self) -> ConformOp:
        places = self.choice.choices((1, 2, 3, 0, 16_384, 16_385), (3, 5, 3, 0.4, 0.4, 0.4))[0]
        ring = self._ring()
        self.tables.setdefault(ring, {})
        return make_op(self._proc(), "io_uring_register_buffers_sparse", fd=ring, nr=places)

    def _index(self) -> int:
        return self.choice.choices((0, 1, 2, 3, 16_384), (10, 5, 2, 0.5, 0.2))[0]

    def _update(self) -> ConformOp:
        ring = self.choice.choice(sorted(self.tables)) if self.tables and self.choice.random() < 0.8 else self._ring()
        index, buffer = self._index(), self._range()
        if ring in self.tables:
            self.tables[ring][index] = buffer
        args = {"fd": ring, "index": index} | buffer
        return make_op(self._proc(), "io_uring_register_buffers_update", args)

    def _unregister(self) -> ConformOp:
        ring = self._ring()
        self.tables.pop(ring, None)
        return make_op(self._proc(), "io_uring_unregister_buffers", fd=ring)

    def _move(self) -> ConformOp:
        choice = self.choice
        op = choice.choice(("io_uring_read_fixed", "io_uring_write_fixed"))
        pipe = "w" if op == "io_uring_write_fixed" else "p" if self.piped else "x"
        file = choice.choices(("x", "o", "m", pipe, "none"), (8, 1, 3, 2, 0.3))[0]
        at = choice.choices((0, 100, PAGE, 3 * PAGE, -1, -2, (1 << 63) - 1), (8, 3, 3, 2, 1, 0.2, 0.2))[0]
        args: dict[str, Any] = {"file": file, "at": at} | self._inside_a_buffer()
        if file == "m" and args["page"] in range(_MEMFD, _MEMFD + 8):  # a copy onto itself
            args["file"] = "x"
        if file in "pw":
            args["len"] = min(args["len"], 100)
            self.piped = max(self.piped + (1 if file == "w" else -1), 0)
        return make_op(self._proc(), op, args)

    def _inside_a_buffer(self) -> dict[str, Any]:
        """Choose where bytes go to or come from: mostly a part of what is registered."""
        choice = self.choice
        length = choice.choices((0, 1, 10, 100, PAGE, 2 * PAGE, 5 * PAGE), (0.4, 3, 3, 3, 4, 2, 0.5))[0]
        known = [
            (ring, index, buffer)
            for ring, table in sorted(self.tables.items())
            for index, buffer in sorted(table.items())
            if "page" in buffer and buffer.get("len", 0)
        ]
        if not known or choice.random() < 0.1:
            place = {"page": self._place() + choice.choice((0, 0, 1)), "inside": choice.choice((0, 100, PAGE - 5))}
            return {"fd": self._ring(), "index": self._index(), "len": length} | place
        ring, index, buffer = choice.choice(known)
        skipped = choice.choices((0, 1, 100, PAGE, PAGE + 10), (8, 2, 2, 3, 2))[0]
        page, inside = divmod(buffer["page"] * PAGE + buffer.get("inside", 0) + skipped, PAGE)
        left = max(buffer["len"] - skipped, 0) + choice.choices((0, 1), (20, 1))[0]
        return {"fd": ring, "index": index, "page": page, "inside": inside, "len": min(length, left)}

    def _poke(self) -> ConformOp:
        place = self._place()
        value = self.choice.choice(range(ord("A"), ord("Z") + 1))
        return make_op(self._proc(), "poke", page=place + self.choice.choice((0, 0, 1, 3)), value=value)

    def _peek(self) -> ConformOp:
        return make_op(self._proc(), "peek", page=self._place() + self.choice.choice((0, 0, 1, 3)))

    def _change(self) -> ConformOp:
        """Take memory of a buffer away, or the right to it, or put other memory in its place."""
        args = {"page": self._place() + self.choice.choice((0, 1, 3)), "pages": self.choice.choice((1, 1, 2))}
        match self.choice.choice(("unmap", "protect", "protect", "advise", "map")):
            case "unmap":
                return make_op(self._proc(), "unmap", args)
            case "protect":
                return make_op(self._proc(), "protect", args | {"prot": self.choice.choice(("none", "r", "rw", "rw"))})
            case "advise":
                return make_op(self._proc(), "advise", args | {"advice": "MADV_DONTNEED"})
        flags = "MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED"
        return make_op(self._proc(), "map", args | {"prot": "rw", "flags": flags})

    def _write(self) -> ConformOp:
        fd, at = self.choice.choice("xm"), self.choice.choice((0, 100, PAGE))
        count = self.choice.choice((1, 100, PAGE))
        return make_op(self._proc(), "write_at", fd=fd, at=at, count=count, letter=next(self.letters))

    def _fork(self) -> ConformOp | None:
        if len(self.procs) > 1 or self.closed:
            return None
        self.procs.append("B")
        return make_op("A", "fork", {"as": "B"})

    def _close(self) -> ConformOp | None:
        if self.limited:
            return None
        self.closed = True
        return make_op(self._proc(), "close", fd=self.choice.choice(self.rings))

    def _limit(self) -> ConformOp | None:
        if not self.limited:
            return None
        return make_op("A", "setrlimit", resource="RLIMIT_MEMLOCK", limit=0)
