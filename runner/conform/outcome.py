"""What a program did, op by op, and how two kernels' answers are compared.

The keys are those of the recorded files (``tests/data/README.md``): a result is about one op, seen from outside, after
everything that the op set off has come to rest.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

from longpin.messages.strict import STRUCTURE_ERRORS, make_converter, problems
from longpin.runner.conform.ops import signal_name


@dataclass(frozen=True, slots=True)
class SeenSignal:
    """One signal a process read."""

    sig: str
    """Its name in :data:`longpin.runner.conform.ops.SIGNALS`."""
    si_code: str
    si_fd: int
    si_band: int


@dataclass(frozen=True, slots=True)
class Unblocked:
    """An earlier call that slept and has now returned."""

    step: int
    """The op that made the call, from 0."""
    proc: str
    ret: int | str | None
    errno: str | None


class LockLine(NamedTuple):
    """A lease as /proc/locks shows it."""

    state: str
    """ACTIVE or BREAKING."""
    kind: str
    """READ, WRITE or UNLCK; of a lease that is being broken, what it must become."""
    proc: str
    """The process that took it."""
    file: str


@dataclass(frozen=True, slots=True)
class OpResult:
    """What one op did."""

    ret: int | str | None = None
    """A number, ``pid`` for a process id, RD/WR/UN for a lease, a process's name for an owner, and so on.

    None: nothing yet, or never, because the process ended in the call.
    """
    errno: str | None = None
    blocked: bool = False
    """The call sleeps."""
    skipped: str | None = None
    """Why the op was not tried: ``no fd NAME``, ``no map NAME``, ``proc blocked``, ``proc stopped``, ``proc gone``."""
    unblocked: tuple[Unblocked, ...] = ()
    """In the order of their steps."""
    signals: dict[str, tuple[SeenSignal, ...]] = field(default_factory=dict)
    """What each process read; of READ, if it does not use them itself, whatever is pending once it makes no call."""
    pending: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The signals that each process uses itself and has pending, lowest number first."""
    handled: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The runs of its handlers of signals it uses itself, in their order."""
    killed: dict[str, str] = field(default_factory=dict)
    """The signal that ended each process that did not end by the op itself."""
    stopped: tuple[str, ...] = ()
    """The processes that are stopped now, sorted."""
    locks: tuple[LockLine, ...] = ()
    """The leases that stand afterwards, sorted."""
    wait_channel: str | None = None
    """Where a call sleeps (``in`` in the files): never compared."""

    def seen(self) -> dict[str, Any]:
        """Return what is compared, by key, in a form that is equal iff the results agree."""
        return {
            "ret": self.ret,
            "errno": self.errno,
            "blocked": self.blocked,
            "skipped": _skip_kind(self.skipped),
            "unblocked": sorted(self.unblocked, key=lambda call: (call.step, call.proc)),
            "signals": {proc: read for proc, read in sorted(self.signals.items()) if read},
            "pending": {proc: names for proc, names in sorted(self.pending.items()) if names},
            "handled": {proc: names for proc, names in sorted(self.handled.items()) if names},
            "killed": dict(sorted(self.killed.items())),
            "stopped": sorted(self.stopped),
            "locks": sorted(self.locks),
        }


@dataclass(frozen=True, slots=True)
class ProgramOutcome:
    """What a whole program did."""

    results: tuple[OpResult, ...]
    """One an op."""
    still_blocked: tuple[tuple[int, str], ...] = ()
    """Calls that had not returned at the end: step and process. Follows from the rest, so it is not compared."""


class OutcomeError(ValueError):
    """Data is no outcome; ``mistakes`` are pairs of a path and what was expected there."""

    def __init__(self, mistakes: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {text}" for path, text in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two outcomes are not alike."""

    step: int
    """The op, from 0."""
    key: str
    """Which part of its result."""
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"op {self.step}: {self.key} is {as_data(self.found)}, not {as_data(self.expected)}"


def compare(expected: ProgramOutcome, found: ProgramOutcome) -> list[Difference]:
    """Return every difference in what :meth:`OpResult.seen` gives, in the order of the ops.

    The order of calls that returned after the same op and of the leases does not count; that of a process's signals
    and handlers does.
    """
    differences = []
    for step, (ours, theirs) in enumerate(zip_longest(expected.results, found.results)):
        if ours is None or theirs is None:
            differences.append(Difference(step, "results", len(expected.results), len(found.results)))
            break
        wanted, got = ours.seen(), theirs.seen()
        differences += [Difference(step, key, wanted[key], got[key]) for key in wanted if wanted[key] != got[key]]
    return differences


def _skip_kind(reason: str | None) -> str | None:
    """Return why an op was skipped, in our words: files name processes that are no more in several ways."""
    if reason is None or reason.startswith(("no fd ", "no map ")) or reason in ("proc blocked", "proc stopped"):
        return reason
    return "proc gone"


def child_status(name: str, status: int) -> str:
    """Return what waitpid(2) says of a child, as a result has it."""
    if os.WIFEXITED(status):
        return f"{name} exited {os.WEXITSTATUS(status)}"
    if os.WIFSTOPPED(status):
        return f"{name} stopped {signal_name(os.WSTOPSIG(status))}"
    if os.WIFCONTINUED(status):
        return f"{name} continued"
    return f"{name} killed {signal_name(os.WTERMSIG(status))}"


_CONVERTER = make_converter()
_EFFECTS = ("unblocked", "signals", "pending", "handled", "killed", "stopped", "locks")
"""Keys of what an op set off, beside its own answer."""
_KEYS = {name: name for name in ("ret", "errno", "blocked", "skipped", *_EFFECTS)} | {"in": "wait_channel"}
"""Keys of the files and our names for them. Files have more keys, about how they were made, which are left out."""


def read_outcome(data: object, ops: int) -> ProgramOutcome:
    """Return the outcome written in a file as a list of objects.

    Raises:
        OutcomeError: with a path and a sentence for each mistake.

    """
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise OutcomeError([("result", "expected an array of objects")])
    ends = [item for item in data if item.get("end") is True]
    results = [item for item in data if item.get("end") is not True]
    if len(results) != ops or len(ends) > 1:
        raise OutcomeError([("result", f"expected one object for each of the {ops} ops, found {len(results)}")])
    known = [{_KEYS[key]: value for key, value in item.items() if key in _KEYS} for item in results]
    try:
        read = _CONVERTER.structure(known, tuple[OpResult, ...])
        left = _CONVERTER.structure(ends[0].get("still_blocked", []) if ends else [], tuple[tuple[int, str], ...])
    except STRUCTURE_ERRORS as error:
        raise OutcomeError(problems(error, "result")) from None
    return ProgramOutcome(read, left)


def write_outcome(outcome: ProgramOutcome) -> list[dict[str, Any]]:
    """Return an outcome as a file has it."""
    written = [_write_result(result) for result in outcome.results]
    if outcome.still_blocked:
        written.append({"end": True, "still_blocked": [list(call) for call in outcome.still_blocked]})
    return written


def _write_result(result: OpResult) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if result.skipped is not None:
        written["skipped"] = result.skipped
    elif result.blocked:
        written |= {"blocked": True} | ({"in": result.wait_channel} if result.wait_channel else {})
    else:
        written |= {"ret": result.ret, "errno": result.errno}
    rest = {key: getattr(result, key) for key in _EFFECTS}
    return written | {key: as_data(value) for key, value in rest.items() if value}


def as_data(value: Any) -> Any:
    """Return a value as JSON has it."""
    match value:
        case SeenSignal() | Unblocked():
            return _CONVERTER.unstructure(value)
        case Mapping():
            return {key: as_data(item) for key, item in value.items()}
        case list() | tuple():
            return [as_data(item) for item in value]
        case _:
            return value


def describe(result: OpResult) -> Iterator[str]:
    """Say in short lines what an op did: its own answer first, then what it set off, then the leases."""
    if result.skipped is not None:
        yield f"skipped: {result.skipped}"
    elif result.blocked:
        yield "blocks"
    elif result.ret is None:
        yield "does not return"
    else:
        yield f"{result.ret} {result.errno}" if result.errno else f"{result.ret}"
    for call in sorted(result.unblocked, key=lambda call: call.step):
        yield f"op {call.step} of {call.proc} returns {call.ret}{' ' + call.errno if call.errno else ''}"
    for proc, signals in sorted(result.signals.items()):
        for signal in signals:
            yield f"{proc} reads {signal.sig} {signal.si_code} fd {signal.si_fd} band {signal.si_band}"
    for proc, names in sorted(result.handled.items()):
        yield f"{proc} handles {' '.join(names)}"
    for proc, names in sorted(result.pending.items()):
        yield f"{proc} has pending {' '.join(names)}"
    for proc, name in sorted(result.killed.items()):
        yield f"{proc} is killed by {name}"
    if result.stopped:
        yield f"stopped: {' '.join(sorted(result.stopped))}"
    for lock in sorted(result.locks):
        yield f"lease {' '.join(lock)}"
