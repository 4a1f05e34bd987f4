"""Calls on memory: only what is of a file that matters."""

from collections.abc import Callable
from typing import Final

from longpin.actors.constants import MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MREMAP_FIXED, MREMAP_MAYMOVE
from longpin.runner.judge_log.calling import LEFT_OUT, Calling, Translation
from longpin.runner.judge_log.strace_values import Word
from longpin.runner.judge_log.words import number

_PROT: Final = 3
"""PROT_READ and PROT_WRITE: code is not executed in the model."""
_KNOWN_FLAGS: Final = {"MAP_DENYWRITE": 0, "MAP_EXECUTABLE": 0, "MAP_32BIT": 0, "MAP_GROWSDOWN": 0}


def _mmap(calling: Calling) -> Translation:
    """Map a file at the address at which it was; what is mapped over one that matters unmaps that."""
    call = calling.call
    length, offset = calling.number(1), calling.number(5)
    flags = 0
    for word in calling.words(3):
        flags |= _KNOWN_FLAGS[word] if word in _KNOWN_FLAGS else number(Word(word))
    address = call.value or 0
    if not calling.matters(4) or flags & MAP_ANONYMOUS:
        if not call.failed and calling.process.maps(address, length):
            return calling.modelled("munmap", address, _pages(length), value=0)
        return LEFT_OUT
    if call.name == "mmap2":
        offset *= 4096
    wanted = calling.number(0) if call.failed or flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) else address
    prot = calling.number(2) & _PROT
    return calling.modelled("mmap", length, prot, flags, calling.number(4), offset, *([wanted] if wanted else []))


def _pages(length: int) -> int:
    return (length + 4095) // 4096 * 4096


def _in_range(name: str, *more: int, mask: int = -1) -> Callable[[Calling], Translation]:
    """Return what translates a call on a range of memory."""

    def translate(calling: Calling) -> Translation:
        address, length = calling.number(0), calling.number(1)
        if not calling.process.maps(address, _pages(length)):
            return LEFT_OUT
        return calling.modelled(name, address, length, *(calling.number(place) & mask for place in more))

    return translate


def _mremap(calling: Calling) -> Translation:
    """Move a mapping to where it went, or leave it where it was."""
    address, old, new, flags = (calling.number(place, 0) for place in range(4))
    if not calling.process.maps(address, _pages(max(old, 1))):
        return LEFT_OUT
    made = calling.call.value
    if calling.call.failed or made is None:
        return calling.modelled(
            "mremap", address, old, new, flags, *([calling.number(4)] if flags & MREMAP_FIXED else [])
        )
    if made == address:
        return calling.modelled(
            "mremap", address, old, new, flags & ~MREMAP_MAYMOVE if not flags & MREMAP_FIXED else flags
        )
    return calling.modelled("mremap", address, old, new, flags | MREMAP_FIXED, made)


CALLS: Final[dict[str, Callable[[Calling], Translation]]] = {
    "mmap": _mmap,
    "mmap2": _mmap,
    "munmap": _in_range("munmap"),
    "mprotect": _in_range("mprotect", 2, mask=_PROT),
    "madvise": _in_range("madvise", 2),
    "mlock": _in_range("mlock"),
    "munlock": _in_range("munlock"),
    "msync": _in_range("msync", 2),
    "mremap": _mremap,
}
"""By system call."""
