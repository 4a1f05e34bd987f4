"""What the names in a program stand for in one process: numbers of descriptors, addresses of mappings."""

from dataclasses import dataclass, field

from longpin.runner.conform.ops import PAGE, Arguments, signed, split_wide
from longpin.runner.conform.paths import NO_FD, resolve
from longpin.runner.conform.program import ConformOp, descriptors

DEAD_FD = 450
"""A number that no descriptor has: above those that programs give out, below the agent's own."""


@dataclass(slots=True)
class ProgramNames:
    """The names of one process. A forked child has them too, and goes on with its own."""

    fds: dict[str, int] = field(default_factory=dict)
    """Descriptors by name: some may be closed by dup2, or the same."""
    maps: dict[str, int] = field(default_factory=dict)
    """The address of each mapping; its pages may be unmapped."""

    def copy(self) -> "ProgramNames":
        """Return what a child has."""
        return ProgramNames(dict(self.fds), dict(self.maps))

    def missing(self, op: ConformOp) -> str | None:
        """Return why an op cannot be tried: it uses a name that this process does not have."""
        for name in descriptors(op):
            if name not in self.fds:
                return f"no fd {name}"
        name = op.args.get("map", "")
        return f"no map {name}" if name and name not in self.maps else None

    def fd(self, args: Arguments) -> int:
        """Return the descriptor of an op, perhaps with more than an int has."""
        name, more = split_wide(args["fd"])
        return (DEAD_FD if name == NO_FD else self.fds[name]) + more

    def path(self, args: Arguments, key: str = "path") -> str:
        """Return a path as the process gives it to its kernel."""
        return resolve(args[key], lambda name: DEAD_FD if name == NO_FD else self.fds[name])

    def address(self, args: Arguments, page: str = "page") -> int:
        """Return the address of a page of a mapping."""
        page_number: int = args[page]
        return self.maps[args["map"]] + page_number * PAGE

    def bind(self, op: ConformOp, ret: int, other: int = 0) -> None:
        """Remember what a call that succeeded has made or ended; ``other`` is the write end of a pipe."""
        match op.op:
            case "open" | "memfd" | "reopen" | "dup" | "dup2" | "dupfd" | "recvfd" | "io_uring_setup":
                self.fds[op.args["as"]] = ret
            case "pipe":
                self.fds[op.args["r"]], self.fds[op.args["w"]] = ret, other
            case "close":
                self.fds.pop(split_wide(op.args["fd"])[0], None)
            case "mmap" if "as" in op.args:
                self.maps[op.args["as"]] = ret
            case "exec":
                self.maps.clear()
            case _:
                pass


def length_of(pages: int) -> int:
    """Return the bytes of some pages as a register has them."""
    return signed(pages * PAGE)
