"""The numbers that names in a log stand for."""

import operator
import re
from typing import Final

from longpin.actors.constants import ERRNO_ALIASES, PROGRAM_CONSTANTS, SIGNALS, SIGRTMIN
from longpin.runner.judge_log.problems import LogError
from longpin.runner.judge_log.strace_values import Array, Described, Struct, Value, Word

KERNEL_RTMIN: Final = 32
MORE: Final = {
    "NULL": 0,
    "SEEK_SET": 0,
    "SEEK_CUR": 1,
    "SEEK_END": 2,
    "SA_NODEFER": 0x40000000,
    "SA_RESETHAND": 0x80000000,
    "SA_RESTORER": 0x04000000,
    "SA_SIGINFO": 4,
    "SA_ONSTACK": 0x08000000,
    "O_ACCMODE": 3,
    "O_NOCTTY": 0o400,
    "O_SYNC": 0o4010000,
    "O_DSYNC": 0o10000,
    "O_NDELAY": 0o4000,
    "PROT_EXEC": 4,
    "SI_USER": 0,
    "SI_KERNEL": 0x80,
    "SI_QUEUE": -1,
    "SI_TIMER": -2,
    "SI_SIGIO": -5,
    "SI_TKILL": -6,
    "POLL_IN": 1,
    "POLL_OUT": 2,
    "POLL_MSG": 3,
    "POLL_ERR": 4,
    "POLL_PRI": 5,
    "POLL_HUP": 6,
    "RLIM64_INFINITY": (1 << 64) - 1,
    "RLIM_INFINITY": (1 << 64) - 1,
    "FICLONE": 0x40049409,
    "BTRFS_IOC_CLONE": 0x40049409,
}
_SUM: Final = {"*": operator.mul, "<<": operator.lshift, "+": operator.add, "-": operator.sub}
_OPERATOR = re.compile(r"(<<|\*|(?<=\w)[+-])")
_MOST_DIGITS: Final = 40


def number(value: Value, default: int | None = None) -> int:
    """Return the number that a value stands for.

    Args:
        value: a number, names joined by ``|``, a sum, a descriptor.
        default: what it is if it stands for none; None: that is a mistake.

    Raises:
        LogError: it stands for none.

    """
    if isinstance(value, Described):
        return value.number
    if isinstance(value, Word):
        try:
            total = 0
            for part in value.parts:
                total |= _one(part)
        except ValueError:
            pass
        else:
            return total
    if default is not None:
        return default
    raise LogError(f"expected a number or known names, found {shown(value)}")


def _one(text: str) -> int:
    parts = _OPERATOR.split(text)
    total = _atom(parts[0])
    for sign, part in zip(parts[1::2], parts[2::2], strict=True):
        total = _SUM[sign](total, _atom(part))
    return total


def _atom(text: str) -> int:
    text = text.strip()
    if (known := PROGRAM_CONSTANTS.get(text, MORE.get(text))) is not None:
        return known
    if text.startswith(("SIG", "SIGRT")) and (signo := signal_named(text)):
        return signo
    if len(text) > _MOST_DIGITS:
        raise ValueError(text)
    if re.fullmatch(r"-?0[0-7]+", text):
        return int(text, 8)
    return int(text, 0)


def signal_named(name: str) -> int:
    """Return the number of a signal as strace names it, with ``SIG`` or without; 0: there is none.

    Real-time signals count from the kernel's first one, 32: ``SIGRTMIN``, ``SIGRT_2``.
    """
    word = name.removeprefix("SIG")
    if word == "RTMIN":
        return KERNEL_RTMIN
    if word.startswith("RT_") and word[3:].isdecimal():
        return KERNEL_RTMIN + int(word[3:])
    if word.startswith("RTMIN+") and word[6:].isdecimal():
        return SIGRTMIN + int(word[6:])
    return SIGNALS.get(f"SIG{word}", 0)


def signal_of(value: Value) -> int:
    """Return the number of a signal that an argument names.

    Raises:
        LogError: it names none.

    """
    if isinstance(value, Word) and (found := signal_named(value.word)):
        return found
    return number(value)


def signal_set(value: Value) -> frozenset[int]:
    """Return the signals of a set; a set with ``~`` in front has all others.

    Raises:
        LogError: it is no set.

    """
    if not isinstance(value, Array):
        raise LogError(f"expected a set of signals, found {shown(value)}")
    found: set[int] = set()
    for item in value.items:
        if not isinstance(item, Word):
            raise LogError(f"expected a signal, found {shown(item)}")
        for name in item.word.split():
            if not (signo := signal_named(name)):
                raise LogError(f"expected a signal, found {name!r}")
            found.add(signo)
    return frozenset(range(1, 65)) - found if value.inverted else frozenset(found)


def seconds(value: Value) -> float | None:
    """Return a time in seconds; None for NULL.

    Raises:
        LogError: it is no time.

    """
    if isinstance(value, Word) and value.word == "NULL":
        return None
    if not isinstance(value, Struct) or "tv_sec" not in value.fields:
        raise LogError(f"expected a time, found {shown(value)}")
    part = value.fields.get("tv_nsec")
    nano = number(part) / 1e9 if part is not None else number(value.fields.get("tv_usec", Word("0"))) / 1e6
    return number(value.fields["tv_sec"]) + nano


def errno_name(name: str) -> str:
    """Return an errno's name as the model has it."""
    return ERRNO_ALIASES.get(name, name)


def shown(value: Value) -> str:
    """Return a value for messages, short."""
    text = value.word if isinstance(value, Word) else str(value)
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
