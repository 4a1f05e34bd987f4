"""Orders for the processes that make calls on the kernel of this machine, and those that follow from a declaration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from longpin.actors.syscalls.declaration import Libc, LibcArgument
from longpin.actors.syscalls.parameter import Argument


@dataclass(frozen=True, slots=True)
class Order:
    """Something for a process to do; answered with its reply."""

    call: str
    """A key of ``longpin.runner.machine.agent.CALLS``."""
    args: dict[str, Any]
    fds: tuple[int, ...] = ()
    """The runner's descriptors that go with it."""

    @property
    def has_timeout(self) -> bool:
        """Whether its sleep ends by itself."""
        return bool(self.args.get("seconds"))


Reply = dict[str, Any]
"""The answer to an order: ``ret``, ``errno`` with a name or None, and what belongs to the call."""

_CONSTANTS: dict[str, int | None] = {"NULL": None, "SEEK_SET": 0}


def libc(name: str, *args: int | str) -> Order:
    """Return the order to call a function of the C library that returns an int, with numbers and paths."""
    return Order("libc", {"name": name, "args": list(args), "wide": False})


def libc_order(made: Libc, values: Mapping[str, Argument]) -> Order:
    """Return the order to make a call as it declares; ``values`` are its arguments by their parameters."""
    args = [_argument(argument, values) for argument in made.arguments]
    return Order("libc", {"name": made.function, "args": args, "wide": made.wide})


def _argument(argument: LibcArgument, values: Mapping[str, Argument]) -> Any:
    """Return an argument as ``longpin.runner.machine.agent_libc`` takes it."""
    match argument.role:
        case "literal" if argument.text.startswith('"'):
            return _data(argument.text.strip('"'))
        case "literal":
            return _CONSTANTS[argument.text] if argument.text in _CONSTANTS else int(argument.text)
        case "buffer":
            return {"room": values[argument.text]}
        case "length":
            return len(_bytes(values[argument.text]))
        case "data":
            return _data(values[argument.text])
        case _:
            return values[argument.text]


def _data(value: Argument) -> dict[str, str]:
    return {"data": _bytes(value).hex()}


def _bytes(value: Argument) -> bytes:
    assert isinstance(value, (str, bytes))
    return value.encode() if isinstance(value, str) else value


def value_of(made: Libc, reply: Reply) -> int | bytes:
    """Return what a call that succeeded returns to a program: what it read, or the number."""
    if made.sizes:
        return bytes.fromhex(reply["data"])
    number: int = reply["ret"]
    return number
