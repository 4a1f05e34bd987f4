"""Arguments that have no meaning together, for the command line and for Python in one place."""

from collections.abc import Collection

OPTIONS = {"strategies": "--strategy", "executor": "--dask", "footprints=False": "--no-footprints"}
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
    if engine == "threads":
        given = {"timers": timers, "strategies": strategies, "workers": workers, "executor": executor}
        for name, value in given.items():
            if value:
                raise UsageError("{} is for the stepped engine; on threads the operating system decides", name)
    elif time_scale is not None:
        raise UsageError("{} is for {} threads; on the stepped engine no real time passes", "time_scale", "engine")
    _check_time_scale(time_scale)


def _check_time_scale(time_scale: float | None) -> None:
    if time_scale is not None and not 0 <= time_scale <= 1000:
        raise UsageError(f"{{}}: expected 0 to 1000 seconds, found {time_scale:g}", "time_scale")
