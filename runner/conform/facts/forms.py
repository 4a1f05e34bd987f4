"""How what is seen of calls is written down, in the words of the recorded answers.

A situation says which calls are looked at and in which form; what they came to is the run's. The forms of a call that
has returned:

============  =========================================================================
``word``      ``ok``, or the name of the errno with which it failed
``number``    what it returned, -1 if it failed
``errno``     the number of its errno, 0 if it succeeded
``dict``      both, as Python writes a dictionary
``strerror``  its errno in words
``is_zero``   1 if it returned 0, else 0
``kib``       what it returned, as text
``byte``      the first byte that it returned, as two hexadecimal digits
``status``    the status of a completion, without ``IBV_WC_``
============  =========================================================================

and of any: ``outcome``, what came of it, in words; ``blocks``, whether it waited, and ``at_once``, that it did not;
``state``, in which state ps(1) shows who waits; ``signal``, and ``byte`` too, the signal that ended its process in
it. ``{same A B}`` is whether two calls returned the same, and ``{differ A B}`` whether they did not; ``{moved A B}``
whether a page lies elsewhere by the other ``fiemap``.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from longpin.actors.constants import ERRNO_NAMES, PROGRAM_CONSTANTS
from longpin.runner.conform.facts.played import Played, Watched
from longpin.runner.conform.ops import PAGE
from longpin.runner.conform.storage import read_extents

_FORM = re.compile(r"\{(\w+) (\w+)(?: (\w+))?\}")
_OF = "of"
_WC = "IBV_WC_"
_STATUSES = {
    value: name.removeprefix(_WC)
    for name, value in PROGRAM_CONSTANTS.items()
    if name.startswith(_WC) and name.endswith(("SUCCESS", "_ERR"))
}


class NotSeenError(Exception):
    """A call that is to be written down was not made, or did not come to what the form is of."""


def _word(call: Watched) -> str:
    return ERRNO_NAMES[call.errno] if call.errno else "ok"


def _byte(call: Watched) -> Any:
    if not isinstance(call.value, bytes) or not call.value:
        raise NotSeenError(f"{call} returned no bytes")
    return f"{call.value[0]:02x}"


def _number(call: Watched) -> int:
    value = len(call.value) if isinstance(call.value, bytes) else call.value
    if not isinstance(value, int):
        raise NotSeenError(f"{call} returned no number")
    return value


RETURNED: dict[str, Callable[[Watched], Any]] = {
    "word": _word,
    "number": _number,
    "errno": lambda call: call.errno,
    "dict": lambda call: {"r": _number(call), "e": call.errno},
    "strerror": lambda call: os.strerror(call.errno),
    "is_zero": lambda call: int(not _number(call)),
    "kib": lambda call: str(_number(call)),
    "byte": _byte,
    "status": lambda call: _STATUSES[_number(call)],
}
"""The forms of a call that has returned."""


def _blocks(call: Watched) -> dict[int, int]:
    """Return where the bytes of each page lie, of what ``fiemap`` returned."""
    found: dict[int, int] = {}
    for logical, physical, length, _ in read_extents(call.value):
        found |= {logical + inside: physical + inside for inside in range(0, length, PAGE)}
    return found


def has_forms(text: str) -> bool:
    """Return whether something of a run is to be written in a text."""
    return _FORM.search(text) is not None


def write(tree: Any, played: Played) -> Any:
    """Return what is written down of a run.

    Raises:
        NotSeenError: the run does not show it.

    """
    if isinstance(tree, str):
        return _text(tree, played)
    if isinstance(tree, list):
        return [write(its, played) for its in tree]
    if isinstance(tree, Mapping) and _OF in tree:
        return _chosen(tree, played)
    if isinstance(tree, Mapping):
        return {key: write(its, played) for key, its in tree.items()}
    return tree


def _chosen(tree: Mapping[str, Any], played: Played) -> Any:
    """Return what one of several outcomes of a call is written as."""
    call = played.call(tree[_OF])
    if not call.made:
        raise NotSeenError(f"{call} was not made")
    for name in _names(tree, call, played):
        if name in tree:
            return write(tree[name], played)
    raise NotSeenError(f"{call} {call.outcome}")


def _names(tree: Mapping[str, Any], call: Watched, played: Played) -> Iterator[str]:
    """Yield what an outcome is called, the most special first."""
    if "is" in tree:
        yield str(_form(played, tree["is"], call.name, None))
        return
    if call.signal:
        yield call.signal
    if call.returned and call.errno:
        yield _word(call)
    if call.blocked and not call.signal:
        yield "blocks"
    yield "killed" if call.signal else "fails" if call.failed else "returns" if call.returned else ""


def _text(text: str, played: Played) -> Any:
    """Return a text with what is seen in the place of forms; a form alone may be more than text."""
    if whole := _FORM.fullmatch(text):
        return _form(played, *whole.groups())
    return _FORM.sub(lambda found: str(_form(played, *found.groups())), text)


def _form(played: Played, form: str, name: str, other: str | None) -> Any:
    call = played.call(name)
    if not call.made:
        raise NotSeenError(f"{call} was not made")
    if form == "outcome":
        return call.outcome
    if form == "at_once":
        return not call.blocked
    if form == "blocks":
        return call.blocked and not call.signal
    if form == "state" and (state := played.state_of(call)):
        return state
    if call.signal and form in ("byte", "signal"):
        return {"signal": call.signal}
    if not call.returned:
        raise NotSeenError(f"{call} never returned")
    if form in ("same", "differ"):
        return (call.value == played.call(other or name).value) is (form == "same")
    if form == "moved":
        return _blocks(call) != _blocks(played.call(other or name))
    return RETURNED[form](call)
