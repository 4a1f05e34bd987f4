"""Random programs about where data lie: writes, holes, preallocation, shared blocks, and the map of a file.

What is written is told apart by its letter, and read back; each program ends with a look at every file.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

from longpin.runner.conform.ops import COORDINATOR, PAGE
from longpin.runner.conform.program import ConformOp, ConformProgram, make_op, mistakes

SHARE = 0.05
"""How many of all random programs are such."""
_LEAST_OPS, _MOST_OPS = 8, 24
_PAGES = 6
"""Most files stay shorter than twice as many pages."""
_LOOK = 1 << 16
_MODES = ("ALLOC", "KEEP_SIZE", "PUNCH_HOLE", "COLLAPSE", "ZERO", "INSERT", "UNSHARE")
_FILES = ("f", "g", "h")
_OPENS = ("O_RDWR", "O_RDWR", "O_RDWR", "O_RDONLY", "O_WRONLY", "O_RDWR|O_APPEND")


def wants_storage(seed: int, index: int) -> bool:
    """Return whether the program of this number is about storage."""
    return random.Random(f"longpin conform storage {seed} {index}").random() < SHARE


def generate_storage(seed: int, index: int) -> ConformProgram:
    """Return the program about storage of this number."""
    ops = tuple(_StorageWriter(random.Random(f"longpin conform blocks {seed} {index}")).ops())
    assert not (wrong := mistakes(ops)), (seed, index, wrong)
    return ConformProgram(f"random-{seed}-{index}", ops, pace=0)


class _StorageWriter:
    """Writes one program of one process."""

    def __init__(self, choice: random.Random) -> None:
        self.choice = choice
        self.fds: list[str] = []
        self.letters = iter("abcdefghijklmnopqrstuvwxyz" * 4)
        self.kinds: dict[Callable[[], ConformOp], int] = {
            self._write: 10,
            self._read: 3,
            self._clone: 5,
            self._clone_range: 7,
            self._dedupe: 5,
            self._copy: 5,
            self._allocate: 9,
            self._truncate: 3,
            self._map: 2,
        }

    def ops(self) -> Iterator[ConformOp]:
        choice = self.choice
        yield make_op("A", "getpid")
        for path in _FILES:
            yield make_op(COORDINATOR, "create", path=path, size=0)  # else a kernel chooses whether it has holes
        for number, path in enumerate((*_FILES, *(choice.choice(_FILES) for _ in range(choice.choice((0, 1, 2)))))):
            self.fds.append(f"x{number}")
            flags = "O_RDWR" if number < len(_FILES) else choice.choice(_OPENS)
            yield make_op("A", "open", {"path": path, "flags": flags, "as": self.fds[-1]})
        for fd in self.fds[:2]:
            yield make_op("A", "ftruncate", fd=fd, len=choice.choice((0, PAGE, 3 * PAGE, 5 * PAGE + 5)))
            yield self._write_to(fd)
        count = choice.randint(_LEAST_OPS, _MOST_OPS)
        for make in choice.choices(list(self.kinds), list(self.kinds.values()), k=count):
            if make == self._map:
                yield from self._synced()
            yield make()
        yield from self._synced()
        for fd in self.fds[: len(_FILES)]:
            yield make_op("A", "fiemap", fd=fd)
            yield make_op("A", "read_at", fd=fd, at=0, count=_LOOK)

    def _synced(self) -> Iterator[ConformOp]:
        """Have all data written: without DAX a page that is written later is copied later."""
        for fd in self.fds[: len(_FILES)]:
            yield make_op("A", "fsync", fd=fd)

    def _fd(self) -> str:
        return self.choice.choice(self.fds)

    def _at(self) -> int:
        """Choose a place, mostly where a page begins."""
        inside = self.choice.choices((0, 1, 100, PAGE - 1), (12, 1, 1, 1))[0]
        return self.choice.randrange(_PAGES) * PAGE + inside

    def _length(self) -> int:
        """Choose how much, mostly whole pages."""
        odd = self.choice.choices((0, 1, 5, PAGE - 1), (10, 1, 1, 1))[0]
        return self.choice.choices((0, 1, 2, 3, 4), (1, 8, 5, 3, 1))[0] * PAGE + odd

    def _strange(self, usual: int) -> int:
        """Return a number, now and then one that no range has."""
        return (
            self.choice.choice((-1, -PAGE, (1 << 63) - 1, (1 << 63) - PAGE)) if self.choice.random() < 0.03 else usual
        )

    def _write(self) -> ConformOp:
        return self._write_to(self._fd())

    def _write_to(self, fd: str) -> ConformOp:
        count = min(max(self._length(), 1), 3 * PAGE)
        return make_op("A", "write_at", fd=fd, at=self._at(), count=count, letter=next(self.letters))

    def _read(self) -> ConformOp:
        return make_op("A", "read_at", fd=self._fd(), at=self._at(), count=self._length())

    def _clone(self) -> ConformOp:
        return make_op("A", "ficlone", fd=self._fd(), src=self._fd())

    def _range(self) -> dict[str, Any]:
        start = self._at()
        to = start if self.choice.random() < 0.4 else self._at()
        return {"from": self._strange(start), "len": self._strange(self._length()), "to": self._strange(to)}

    def _clone_range(self) -> ConformOp:
        return make_op("A", "ficlonerange", {"fd": self._fd(), "src": self._fd(), **self._range()})

    def _dedupe(self) -> ConformOp:
        return make_op("A", "fideduperange", {"fd": self._fd(), "dest": self._fd(), **self._range()})

    def _copy(self) -> ConformOp:
        args: dict[str, Any] = {"fd": self._fd(), "dest": self._fd(), "len": self._length()}
        if self.choice.random() < 0.8:
            args |= {"from": self._strange(self._at()), "to": self._strange(self._at())}
        return make_op("A", "copy_file_range", args)

    def _allocate(self) -> ConformOp:
        mode = self.choice.choice(_MODES)
        args = {"offset": self._strange(self._at()), "len": self._length()}
        if mode == "INSERT" and self.choice.random() < 0.3:  # the file would become too long
            args = {"offset": PAGE, "len": (1 << 63) - PAGE}
        return make_op("A", "fallocate", {"fd": self._fd(), "mode": mode, **args})

    def _truncate(self) -> ConformOp:
        return make_op("A", "ftruncate", fd=self._fd(), len=self._at())

    def _map(self) -> ConformOp:
        return make_op("A", "fiemap", fd=self._fd())
