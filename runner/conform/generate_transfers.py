"""Random programs that move bytes between memory, files, files in memory and a pipe.

Left out is what is for a file system to say: with O_DIRECT only whole pages are moved, between a file and memory that
is all there, since which offsets and buffers it takes differs (EINVAL or a copy), as does what a buffer that ends early
gives (EFAULT where a device moves the bytes, the bytes before it where they are copied, as on DAX), and tmpfs has it
from 6.6 on only. A direct read that ends beyond the end of the file fills the rest of the buffer with zeros, or not;
so its pages lie in the file or behind it. A write whose buffer is not there may make the file longer, up to where it
would have begun [meas 6.18: ext4 and tmpfs without DAX]; so none begins behind the end. And no file gets shorter of
which a page may be in the pipe: on DAX that waits.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

from longpin.runner.conform.ops import COORDINATOR, PAGE
from longpin.runner.conform.program import ConformOp, ConformProgram, make_op, mistakes

SHARE = 0.04
"""How many of all random programs are such."""
_LEAST_OPS, _MOST_OPS = 10, 30
_PLACES = (8, 16, 24, 32)
"""Where the mappings begin: private, shared, of a file in memory, private of a file. Each has four pages."""
_PAGES = 4
_WHOLE = 40
"""Where memory begins that is always there, with twice as many pages: what O_DIRECT is given."""
_FILES = ("x", "y", "m", "z")
"""Descriptors; what ``z`` is of O_DIRECT is used on, too."""
_LOOK = 1 << 16
_FEW = 12
"""Pages of a pipe that are filled at the most where a program also writes to it: bytes may share a page."""


def wants_transfers(seed: int, index: int) -> bool:
    """Return whether the program of this number is about transfers."""
    return random.Random(f"longpin conform transfers {seed} {index}").random() < SHARE


def generate_transfers(seed: int, index: int) -> ConformProgram:
    """Return the program about transfers of this number."""
    ops = tuple(_TransferWriter(random.Random(f"longpin conform buffers {seed} {index}")).ops())
    assert not (wrong := mistakes(ops)), (seed, index, wrong)
    return ConformProgram(f"random-{seed}-{index}", ops, pace=0)


class _TransferWriter:
    """Writes one program of one process, perhaps with a child that has a copy of its memory."""

    def __init__(self, choice: random.Random) -> None:
        self.choice = choice
        self.letters = iter("abcdefghijklmnopqrstuvwxyz" * 4)
        self.procs = ["A"]
        self.writes = choice.random() < 0.5
        """Bytes are written to the pipe, too."""
        self.filled = 0
        self.kinds: dict[Callable[[], ConformOp | None], int] = {
            self._splice: 6,
            self._read_pipe: 4,
            self._write_pipe: 2,
            self._preadv: 6,
            self._pwritev: 6,
            self._direct: 5,
            self._write: 3,
            self._read: 2,
            self._poke: 5,
            self._peek: 4,
            self._change: 3,
            self._truncate: 1,
            self._fork: 1,
        }

    def ops(self) -> Iterator[ConformOp]:
        yield from self._prelude()
        count = self.choice.randint(_LEAST_OPS, _MOST_OPS)
        for make in self.choice.choices(list(self.kinds), list(self.kinds.values()), k=count):
            if (op := make()) is not None:
                yield from self._touched(op)
                yield op
        for fd in _FILES:
            yield make_op("A", "read_at", fd=fd, at=0, count=_LOOK)
        yield make_op("A", "read_data", fd="r", count=_LOOK)
        for page in (*_PLACES, _WHOLE):
            yield make_op("A", "ftruncate", fd="o", len=0)
            yield make_op("A", "pwritev", fd="o", page=page, len=_PAGES * PAGE, at=0)
            yield make_op("A", "read_at", fd="o", at=0, count=_LOOK)

    def _prelude(self) -> Iterator[ConformOp]:
        choice = self.choice
        yield make_op("A", "getpid")
        for path, fd in (("f", "x"), ("g", "y"), ("h", "o"), ("k", "z")):
            yield make_op(COORDINATOR, "create", path=path, size=0)
            yield make_op("A", "open", {"path": path, "flags": "O_RDWR", "as": fd})
        yield make_op("A", "open", {"path": "k", "flags": "O_RDWR|O_DIRECT", "as": "d"})
        flags = choice.choice(("", "MFD_CLOEXEC", "MFD_NOEXEC_SEAL", "MFD_EXEC|MFD_CLOEXEC"))
        yield make_op("A", "memfd", {"name": "guest", "as": "m", "flags": flags})
        yield make_op("A", "ftruncate", fd="m", len=_PAGES * PAGE)
        yield make_op("A", "ftruncate", fd="x", len=_PAGES * PAGE)
        yield make_op("A", "write_at", fd="y", at=0, count=_PAGES * PAGE - choice.choice((0, 0, 100)), letter="g")
        yield make_op("A", "write_at", fd="x", at=0, count=choice.randint(1, 3 * PAGE), letter=next(self.letters))
        yield make_op("A", "pipe", {"r": "r", "w": "w"})
        yield make_op("A", "setfl", fd="r", flags="O_NONBLOCK")
        kinds: tuple[dict[str, Any], ...] = (
            {"flags": "MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED"},
            {"flags": "MAP_SHARED|MAP_ANONYMOUS|MAP_FIXED"},
            {"flags": "MAP_SHARED|MAP_FIXED", "fd": "m"},
            {"flags": "MAP_PRIVATE|MAP_FIXED", "fd": "y"},
        )
        for page, how in zip(_PLACES, kinds, strict=True):
            yield make_op("A", "map", {"page": page, "pages": _PAGES, "prot": "rw"} | how)
        yield make_op("A", "map", page=_WHOLE, pages=2 * _PAGES, prot="rw", flags="MAP_PRIVATE|MAP_ANONYMOUS")
        for _ in range(choice.randint(2, 8)):
            yield self._poke()

    def _touched(self, op: ConformOp) -> Iterator[ConformOp]:
        """Look at the pages that go into the pipe: one that was never touched is the zero page, or a new one."""
        if op.op == "vmsplice":
            first = op.args["page"]
            for page in range(first, min(first + (op.args["len"] + PAGE) // PAGE + 1, first // 8 * 8 + _PAGES)):
                yield make_op(op.proc, "peek", page=page)

    def _proc(self) -> str:
        return self.choice.choice(self.procs)

    def _page(self) -> int:
        return self.choice.choice(_PLACES) + self.choice.randrange(_PAGES)

    def _inside(self) -> int:
        return self.choice.choices((0, 100, PAGE - 1), (8, 2, 1))[0]

    def _length(self, most: int = 3 * PAGE) -> int:
        lengths = (0, 1, 5, 100, PAGE, PAGE + 1, 2 * PAGE, 3 * PAGE)
        return min(self.choice.choices(lengths, (1, 2, 2, 2, 6, 1, 3, 2))[0], most)

    def _at(self) -> int:
        at = self.choice.randrange(4) * PAGE + self.choice.choices((0, 1, 100), (8, 1, 1))[0]
        return self.choice.choice((-1, -PAGE, (1 << 63) - 1, (1 << 63) - PAGE)) if self.choice.random() < 0.03 else at

    def _buffer(self) -> dict[str, int]:
        page = self.choice.choice((0, _WHOLE + 2 * _PAGES)) if self.choice.random() < 0.05 else self._page()
        inside = self._inside()
        return {"page": page} | ({"inside": inside} if inside else {})

    def _fits(self) -> bool:
        self.filled += 1
        return not self.writes or self.filled < _FEW

    def _splice(self) -> ConformOp | None:
        if not self._fits():
            return None
        length = self._length(PAGE) if self.writes else self.choice.choice((self._length(), 16 * PAGE))
        buffer = self._buffer() if not self.writes else {"page": self._page()}
        args = {"fd": self.choice.choices(("w", "x", "m"), (12, 1, 1))[0], "len": length, "flags": "SPLICE_F_NONBLOCK"}
        return make_op(self._proc(), "vmsplice", args | buffer)

    def _read_pipe(self) -> ConformOp:
        return make_op(self._proc(), "read_data", fd="r", count=self.choice.choice((1, 100, PAGE, 2 * PAGE, _LOOK)))

    def _write_pipe(self) -> ConformOp | None:
        return make_op(self._proc(), "write", fd="w", count=3) if self.writes and self._fits() else None

    def _transfer(self, op: str) -> ConformOp:
        fd = self.choice.choices(("x", "y", "m", "w"), (6, 4, 5, 0.4))[0]
        if op == "pwritev" and fd == "y":  # it stays as long as it is, and its pages may be in the pipe
            fd = "x"
        buffer = self._buffer()
        if fd == "m" and buffer["page"] in range(_PLACES[2], _PLACES[2] + _PAGES):  # a copy onto itself
            fd = "x"
        return make_op(self._proc(), op, {"fd": fd, "len": self._length(), "at": self._at()} | buffer)

    def _preadv(self) -> ConformOp:
        return self._transfer("preadv")

    def _pwritev(self) -> ConformOp:
        return self._transfer("pwritev")

    def _direct(self) -> ConformOp:
        """Move whole pages: through the device, or to and from what it should find."""
        proc, at, pages = self._proc(), self.choice.randrange(5) * PAGE, self.choice.randrange(4)
        page = _WHOLE + self.choice.randrange(_PAGES)
        match self.choice.choice(("preadv", "preadv", "pwritev", "pwritev", "write_at", "ftruncate")):
            case "preadv":
                return make_op(proc, "preadv", fd="d", page=page, len=min(pages, 1) * PAGE, at=at)
            case "pwritev":
                return make_op(proc, "pwritev", fd="d", page=page, len=pages * PAGE, at=at)
            case "write_at":
                return make_op(proc, "write_at", fd="z", at=at, count=PAGE, letter=next(self.letters))
        return make_op(proc, "ftruncate", fd="z", len=at)

    def _write(self) -> ConformOp:
        count = max(self._length(), 1)
        return make_op(
            self._proc(), "write_at", fd=self.choice.choice("xm"), at=abs(self._at()) % (4 * PAGE), count=count,
            letter=next(self.letters),
        )  # fmt: skip

    def _read(self) -> ConformOp:
        return make_op(self._proc(), "read_at", fd=self.choice.choice(_FILES), at=0, count=_LOOK)

    def _poke(self) -> ConformOp:
        value = self.choice.choice(range(ord("A"), ord("Z") + 1))
        return make_op(self._proc(), "poke", page=self._page(), value=value)

    def _peek(self) -> ConformOp:
        return make_op(self._proc(), "peek", page=self._page())

    def _change(self) -> ConformOp:
        """Take memory of a buffer away, or the right to it."""
        args = {"page": self._page(), "pages": self.choice.choice((1, 1, 2))}
        match self.choice.choice(("unmap", "protect", "protect", "advise", "map")):
            case "unmap":
                return make_op(self._proc(), "unmap", args)
            case "protect":
                return make_op(self._proc(), "protect", args | {"prot": self.choice.choice(("none", "r", "rw", "rw"))})
            case "advise":
                return make_op(self._proc(), "advise", args | {"advice": "MADV_DONTNEED"})
        flags = "MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED"
        return make_op(self._proc(), "map", args | {"prot": "rw", "flags": flags})

    def _truncate(self) -> ConformOp:
        length = self.choice.choice((_PAGES * PAGE, _PAGES * PAGE + 100, 6 * PAGE))
        return make_op(self._proc(), "ftruncate", fd="x", len=length)

    def _fork(self) -> ConformOp | None:
        if len(self.procs) > 1:
            return None
        self.procs.append("B")
        return make_op("A", "fork", {"as": "B"})
