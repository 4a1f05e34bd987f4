"""Arguments that have no meaning together, for the command line and for Python in one place."""

import io
import os
from collections.abc import Collection, Iterable
from typing import Any

MOST_SEED = 2**64 - 1
"""The largest seed a trace can hold."""

ENGINES = ("stepped", "threads", "host")
TIMERS = ("lazy", "racy")
METHODS = ("auto", "dpor", "states")

OPTIONS = {
    "own": "--policy",
    "strategies": "--strategy",
    "executor": "--dask",
    "footprints=False": "--no-footprints",
    "hazards": "--hazard",
    "policies": "--policy",
    "seconds": "--for",
    "folder": "--out",
}
"""Options that have another name on the command line than in Python."""


class UsageError(ValueError):
    """An argument has no meaning, or none beside another.

    Args:
        text: why, with ``{}`` where a parameter is named.
        parameters: their names.
        why: stands behind the text as it is.

    """

    def __init__(self, text: str, *parameters: str, why: str = "") -> None:
        super().__init__(text.format(*parameters) + why)
        options = (OPTIONS.get(name, f"--{name.replace('_', '-')}") for name in parameters)
        self.on_command_line = text.format(*options) + why
        """The same with the options of the command line."""


def require_one_of(parameter: str, value: object, names: Collection[str]) -> None:
    """Refuse what is none of these names.

    Raises:
        UsageError: it is none.

    """
    if not isinstance(value, str) or value not in names:
        raise UsageError("{}: ", parameter, why=f"there is no {value}; there are {', '.join(names)}")


def require_whole(parameter: str, value: object, least: int, most: int | None = None) -> None:
    """Refuse what is no integer of a range; None is not given.

    Raises:
        UsageError: it is none.

    """
    if value is None:
        return
    if type(value) is not int or value < least or (most is not None and value > most):
        wanted = f"at least {least}" if most is None else f"from {least} to {most}"
        raise UsageError("{}: ", parameter, why=f"expected an integer, {wanted}, found {value!r}")


def require_seconds(parameter: str, value: object) -> None:
    """Refuse what is no number of seconds; None is not given.

    Raises:
        UsageError: it is none.

    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise UsageError("{}: ", parameter, why=f"expected seconds, 0 or more, found {value!r}")


def require_called(parameter: str, value: object) -> None:
    """Refuse what cannot be called; None is not given.

    Raises:
        UsageError: it cannot.

    """
    if value is not None and not callable(value):
        raise UsageError("{}: ", parameter, why=f"expected what can be called, found {value!r}")


def observers_of(observers: Iterable[Any]) -> tuple[Any, ...]:
    """Return observers, which are looked at before anything runs.

    Raises:
        UsageError: they are no observers.

    """
    if not isinstance(observers, Iterable):
        raise UsageError("{}: ", "observers", why=f"expected several, as in [watch], found {observers!r}")
    found = tuple(observers)
    for observer in found:
        if not callable(observer):
            raise UsageError("{}: ", "observers", why=f"expected what can be called, found {observer!r}")
    return found


def names_of(parameter: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return several names; a text is one, not its letters.

    Raises:
        UsageError: they are not several.

    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise UsageError("{}: ", parameter, why=f"expected several names, as in ['name'], found {names!r}")
    return tuple(names)


def require_trace(parameter: str, file: object, method: str = "read") -> None:
    """Refuse what is neither the name of a file nor a binary file that is open and has a method.

    Raises:
        UsageError: it is neither.

    """
    if isinstance(file, str | os.PathLike):
        return
    if isinstance(file, io.TextIOBase) or not hasattr(file, method):
        raise UsageError("{}: ", parameter, why=f"expected a file, by its name or open as a binary one, found {file!r}")


def check_run(
    engine: str,
    *,
    policy: str | None,
    oracle: str | None,
    seed: int,
    timers: str | None,
    time_scale: float | None,
    trace: object,
) -> None:
    """Refuse arguments of a run that have no meaning on its engine.

    Raises:
        UsageError: there is one.

    """
    require_one_of("engine", engine, ENGINES)
    require_whole("seed", seed, 0, MOST_SEED)
    if timers is not None:
        require_one_of("timers", timers, TIMERS)
    if trace is not None:
        require_trace("trace", trace, "write")
        if isinstance(trace, str | os.PathLike) and "\0" in os.fsdecode(trace):
            raise UsageError("{}: no file has a NUL in its name", "trace")
    place = "threads" if engine == "threads" else f"the {engine} engine"
    if engine != "stepped" and oracle is not None:
        raise UsageError(
            f"{{}} chooses the order on the stepped engine; on {place} the operating system does", "oracle"
        )
    if engine != "stepped" and timers is not None:
        raise UsageError(f"{{}} says when time moves on the stepped engine; on {place} it really passes", "timers")
    if engine != "threads" and time_scale is not None:
        why = "no real time passes" if engine == "stepped" else "the scenario's lease_break_time sets the pace"
        raise UsageError(f"{{}} is for {{}} threads; on {place} {why}", "time_scale", "engine")
    _check_time_scale(time_scale)
    if engine == "host":
        if policy is not None:
            raise UsageError("{} is for the emulated kernel; the host kernel is what it is", "policy")
        if seed:
            raise UsageError("{} is for the emulated kernel; on the host the order is the operating system's", "seed")
        if trace is not None:
            raise UsageError("{} is for the emulated kernel; what the host kernel does cannot be replayed", "trace")


def check_explore(
    method: str, *, workers: int | None, executor: object, checkpoint: object, footprints: bool, verify: bool
) -> None:
    """Refuse arguments of an exploration that have no meaning together.

    Raises:
        UsageError: there are some.

    """
    require_one_of("method", method, METHODS)
    require_whole("workers", workers, 1)
    if method == "states" and (checkpoint is not None or executor is not None or (workers or 1) > 1):
        raise UsageError(
            "{} states is done in one process: no {}, {} or {}", "method", "workers", "executor", "checkpoint"
        )
    if verify and (method == "states" or not footprints):
        raise UsageError(
            "{} checks the footprints that {} dpor makes use of: not states, not {}",
            "verify",
            "method",
            "footprints=False",
        )


def check_stress(
    engine: str,
    *,
    timers: str | None,
    time_scale: float | None,
    strategies: Collection[str],
    workers: int | None,
    executor: object,
) -> None:
    """Refuse arguments of a campaign that have no meaning on its engine.

    Raises:
        UsageError: there is one.

    """
    require_one_of("engine", engine, ("stepped", "threads"))
    if timers is not None:
        require_one_of("timers", timers, TIMERS)
    require_whole("workers", workers, 1)
    if engine == "threads":
        given = {"timers": timers, "strategies": strategies, "executor": executor}
        for name, value in given.items():
            if value:
                raise UsageError("{} is for the stepped engine; on threads the operating system decides", name)
    elif time_scale is not None:
        raise UsageError("{} is for {} threads; on the stepped engine no real time passes", "time_scale", "engine")
    _check_time_scale(time_scale)


def check_search(
    seed: object, seconds: object, shrink: object, observers: Iterable[Any], notice: object
) -> tuple[Any, ...]:
    """Refuse what no search can be given; return the observers.

    Raises:
        UsageError: an argument has no meaning.

    """
    require_whole("seed", seed, 0, MOST_SEED)
    require_seconds("seconds", seconds)
    require_seconds("shrink", shrink)
    require_called("notice", notice)
    return observers_of(observers)


def _check_time_scale(time_scale: float | None) -> None:
    require_seconds("time_scale", time_scale)
    if time_scale is not None and time_scale > 1000:
        raise UsageError(f"{{}}: expected 0 to 1000 seconds, found {time_scale:g}", "time_scale")
