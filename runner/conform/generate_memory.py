"""Random ops on memory: mappings of files and of none, over and beside each other, with children that copy them.

What a program does before it says whether its mappings are *tidy*: then each lies in a place of its own, and whole ones
can be moved by mremap(2). Where they lie over each other it is a matter of the kernel's own which neighbours it takes
for one mapping, and mremap(2) is the only call that tells.
"""

import random
from collections.abc import Iterator
from typing import Any, Protocol

from longpin.runner.conform.memory_ops import ADVICE, PROTECTIONS
from longpin.runner.conform.program import ConformOp, make_op

_PLACES, _PLACE = 24, 8
"""How many places there are, and their pages."""
_LONGEST = 6
"""Pages of a mapping at the most; so none touches the next place, even if it grows by one."""
_WILD = 20
"""Pages of the arena that programs use whose mappings lie anywhere."""
_MOST = 50
"""How often a program does something on memory at the most."""
_WEIGHTS = {
    "map": 5, "unmap": 2, "protect": 3, "advise": 4, "remap": 4, "peek": 9, "poke": 9, "lock": 0.7,
    "unlock": 0.7, "sync": 0.7,
}  # fmt: skip
_SPLITS = ("DONTFORK", "DOFORK", "DONTDUMP", "DODUMP", "WIPEONFORK", "KEEPONFORK", "NORMAL", "RANDOM", "SEQUENTIAL")
"""The advice that flags of a mapping keep."""


class ProgramSoFar(Protocol):
    """The program that is written."""

    processes: list[str]

    def fork(self, proc: str) -> Iterator[ConformOp]:
        """Have a process fork."""

    def descriptors(self, proc: str) -> list[str]:
        """Return the names of the descriptors that a process has."""


class MemoryOps:
    """Chooses ops on memory."""

    def __init__(self, choice: random.Random, program: ProgramSoFar) -> None:
        self.choice = choice
        self.program = program
        self.tidy = choice.random() < 0.5
        self._whole: dict[str, dict[int, int]] = {}
        """The first page of each mapping that is whole, and how many it has, by process."""
        self._left = _MOST
        self._used = 0
        """How many places have been used; none is used twice."""
        self._touched: list[tuple[str, int, int]] = []
        """Ranges that were mapped, with their processes."""

    def some(self) -> Iterator[ConformOp]:
        """Yield an op, and perhaps a look at what came of it."""
        choice, processes = self.choice, self.program.processes
        if not processes or not self._left:
            return
        self._left -= 1
        proc = choice.choice(processes)
        if choice.random() < 0.05:
            before = set(processes)
            yield from self.program.fork(proc)
            for child in set(processes) - before:
                self._whole[child] = dict(self._whole.get(proc, {}))
                self._touched += [(child, first, pages) for its, first, pages in self._touched if its == proc]
        name = choice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if not any(its == proc for its, _, _ in self._touched):
            name = "map"
        yield from getattr(self, f"_{name}")(proc)
        if name not in ("peek", "poke") and choice.random() < 0.5:
            yield from self._peek(proc)

    def _range(self, proc: str) -> tuple[int, int]:
        """Choose a range, mostly in what was mapped."""
        choice = self.choice
        ranges = [(first, pages) for its, first, pages in self._touched if its == proc]
        first, pages = choice.choice(ranges)
        if choice.random() < 0.3:
            return first, pages
        start = choice.randrange(pages)
        return first + start, choice.randint(1, pages - start + (choice.random() < 0.1))

    def _map(self, proc: str) -> Iterator[ConformOp]:
        choice = self.choice
        fds = self.program.descriptors(proc)
        anonymous = not fds or choice.random() < 0.5
        kinds = ("MAP_PRIVATE", "MAP_SHARED", "MAP_SHARED_VALIDATE") if not anonymous else ("MAP_PRIVATE", "MAP_SHARED")
        flags = [choice.choices(kinds, (6, 3, 1)[: len(kinds)])[0]]
        flags += ["MAP_ANONYMOUS"] if anonymous else []
        pages = choice.randint(1, _LONGEST)
        if self.tidy:
            if self._used == _PLACES:
                return
            page = self._used * _PLACE
            self._used += 1
        else:
            page = choice.randrange(_WILD)
        place = choice.random()
        flags += ["MAP_FIXED"] if place < 0.7 else ["MAP_FIXED_NOREPLACE"] if place < 0.8 else []
        for flag, share in (("MAP_POPULATE", 0.2), ("MAP_NORESERVE", 0.1), ("MAP_STACK", 0.05), ("MAP_UNKNOWN", 0.05)):
            flags += [flag] if choice.random() < share else []
        args: dict[str, Any] = {"page": page, "pages": pages, "flags": "|".join(flags)}
        args["prot"] = choice.choices(list(PROTECTIONS), (1, 3, 1, 8))[0]
        if not anonymous:
            args |= {"fd": choice.choice(fds), "offset": choice.choice((0, 0, 0, 1, 2))}
        yield make_op(proc, "map", args)
        self._touched.append((proc, page, pages))
        if self.tidy:
            self._whole.setdefault(proc, {})[page] = pages

    def _split(self, proc: str, page: int, pages: int) -> None:
        """Note that mappings in a range may be no more whole."""
        for first, length in list(self._whole.get(proc, {}).items()):
            if first < page + pages and page < first + length:
                del self._whole[proc][first]

    def _unmap(self, proc: str) -> Iterator[ConformOp]:
        page, pages = self._range(proc)
        self._split(proc, page, pages)
        yield make_op(proc, "unmap", page=page, pages=pages)

    def _protect(self, proc: str) -> Iterator[ConformOp]:
        page, pages = self._range(proc)
        self._split(proc, page, pages)
        yield make_op(proc, "protect", page=page, pages=pages, prot=self.choice.choice(list(PROTECTIONS)))

    def _advise(self, proc: str) -> Iterator[ConformOp]:
        page, pages = self._range(proc)
        advice = self.choice.choice(list(ADVICE) + ["MADV_DONTNEED"] * 4 + ["MADV_REMOVE", "MADV_DONTFORK"])
        if advice.removeprefix("MADV_") in _SPLITS:
            self._split(proc, page, pages)
        yield make_op(proc, "advise", page=page, pages=pages, advice=advice)

    def _remap(self, proc: str) -> Iterator[ConformOp]:
        """Move a whole mapping, or a part of one, or have it grow or shrink."""
        choice, whole = self.choice, self._whole.get(proc, {})
        if not whole:
            return
        first = choice.choice(sorted(whole))
        length = whole.pop(first)
        start = choice.choice((0, 0, 0, choice.randrange(length)))
        pages = choice.choice((length - start, length - start, choice.randint(0, length - start + 1)))
        new = choice.choice((pages, choice.randint(0, _LONGEST), choice.randint(1, _LONGEST)))
        flags = choice.choices(("", "MREMAP_MAYMOVE", "MREMAP_FIXED", "MREMAP_UNKNOWN"), (3, 3, 0.2, 0.2))[0]
        args: dict[str, Any] = {"page": first + start, "pages": pages, "new_pages": min(new, _LONGEST), "flags": flags}
        if self._used < _PLACES and choice.random() < 0.04:
            args |= {"to": self._used * _PLACE, "flags": "MREMAP_MAYMOVE|MREMAP_FIXED"}
            if choice.random() < 0.04:
                args["flags"] += "|MREMAP_DONTUNMAP"
                args["new_pages"] = pages
            self._used += 1
            self._touched.append((proc, args["to"], max(args["new_pages"], 1)))
            # What a move has left behind, and what it has made, may lie beside each other: neither is moved again.
        elif start + args["new_pages"] > length:
            self._touched.append((proc, first, _LONGEST))
        yield make_op(proc, "remap", args)

    def _peek(self, proc: str) -> Iterator[ConformOp]:
        page, pages = self._range(proc)
        yield make_op(proc, "peek", page=page + self.choice.randrange(pages))

    def _poke(self, proc: str) -> Iterator[ConformOp]:
        page, pages = self._range(proc)
        yield make_op(proc, "poke", page=page + self.choice.randrange(pages), value=self.choice.randint(1, 255))

    def _lock(self, proc: str) -> Iterator[ConformOp]:
        """Lock memory that is nobody's file: what is locked of a file depends on where that lies."""
        page = _PLACES * _PLACE
        yield make_op(
            proc, "map", page=page, pages=2, prot=self.choice.choice(("rw", "r", "none")),
            flags=f"MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED{self.choice.choice(('', '|MAP_LOCKED'))}",
        )  # fmt: skip
        self._touched.append((proc, page, 2))
        yield make_op(proc, "lock", page=page, pages=self.choice.choice((1, 2, 3)))

    def _unlock(self, proc: str) -> Iterator[ConformOp]:
        yield make_op(proc, "unlock", page=_PLACES * _PLACE, pages=self.choice.choice((1, 2, 3)))

    def _sync(self, proc: str) -> Iterator[ConformOp]:
        page, pages = self._range(proc)
        flags = self.choice.choice(("MS_SYNC", "MS_ASYNC", "MS_INVALIDATE", "MS_SYNC|MS_ASYNC", "", "MS_UNKNOWN"))
        yield make_op(proc, "sync", page=page, pages=pages, flags=flags)
