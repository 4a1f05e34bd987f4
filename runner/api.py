"""The public interface: scenarios are loaded, run, explored and stressed. The command line uses it.

What is done with a trace is in :mod:`longpin.runner.traces`.

Import it as ``from longpin import api``. Each function imports what it needs when it is called.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from longpin.runner.conclusions import Explored, RanAll, Stressed
from longpin.runner.events import Observer
from longpin.runner.given_policy import blaming, load_policy, read_policy
from longpin.runner.result import Result
from longpin.runner.usage import (
    TIMERS,
    check_explore,
    check_run,
    check_search,
    check_stress,
    names_of,
    observers_of,
    require_called,
    require_one_of,
    require_whole,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from longpin.config.schema import Scenario
    from longpin.runner.settings import Settings

SHRINK_SECONDS = 60.0
"""How long a failure is made smaller where nothing says how long."""


def load(scenario: "Scenario | str | os.PathLike[str]") -> "Scenario":
    """Return a scenario.

    Args:
        scenario: a TOML file, the name of a shipped scenario (``longpin list scenarios``), or ``-`` for standard input.
            A ``Scenario`` is returned as it is.

    Raises:
        ScenarioError: it cannot be read, there is no such shipped scenario, or it has mistakes: each a line.

    """
    from longpin.config.loader import load_scenario
    from longpin.config.schema import Scenario

    return scenario if isinstance(scenario, Scenario) else load_scenario(os.fspath(scenario))


def check(scenario: "Scenario | str | os.PathLike[str]", policy: str | None = None) -> list[str]:
    """Return what is to be said of a scenario that can be run, each a line; nothing is run.

    Args:
        scenario: what :func:`load` takes.
        policy: as on the command line: in its dialect roles are written out; None: the scenario's own.

    Raises:
        ScenarioError: the scenario has mistakes: each a line.
        UsageError: there is no such policy, or its file cannot be used.

    """
    from longpin.config.advice import remarks
    from longpin.config.loader import in_dialect

    load_policy(policy)
    settings = settings_of(loaded := load(scenario), policy)
    spoken = in_dialect(loaded, settings.policy, settings.preset)
    return [*spoken.warnings, *map(str, remarks(spoken))]


def settings_of(scenario: "Scenario", policy: str | None = None, **changes: Any) -> "Settings":
    """Return how to run a scenario; a policy that is given means exactly what it says, whatever the scenario sets.

    Args:
        scenario: which.
        policy: as on the command line, such as ``P1:intended,kernel=6.12`` or ``FILE.py:CLASS``, which is loaded; None:
            the scenario's own.
        changes: fields of :class:`~longpin.runner.settings.Settings`.

    Raises:
        UsageError: there is no such policy, preset or parameter, or the file of the policy cannot be used.
        ScenarioError: no policy is given, and the scenario's own is a class in a file.

    """
    from longpin.runner.settings import Settings

    if policy is not None:
        source, name, preset, parameters = read_policy(policy)
        changes |= {"policy": name, "preset": preset, "parameters": parameters, "source": source}
    return Settings.of(scenario, **changes)


def run(
    scenario: "Scenario | str | os.PathLike[str]",
    policy: str | None = None,
    *,
    engine: Literal["stepped", "threads", "host"] = "stepped",
    oracle: str | None = None,
    seed: int = 0,
    timers: Literal["lazy", "racy"] | None = None,
    time_scale: float | None = None,
    trace: str | os.PathLike[str] | BinaryIO | None = None,
    observers: Iterable[Observer] = (),
    notice: Callable[[str], object] | None = None,
) -> Result:
    """Run a scenario once and judge it.

    Args:
        scenario: what :func:`load` takes.
        policy: as on the command line, such as ``P1:intended,kernel=6.12`` or ``FILE.py:CLASS``, which is loaded; None:
            the scenario's own.
        engine: ``stepped``, ``threads``, or ``host`` for the kernel of this machine.
        oracle: who chooses the order on the stepped engine, in :data:`longpin.runner.oracles.ORACLES`; None: fifo.
        seed: of the oracle, and of the actors' random numbers.
        timers: when virtual time moves on the stepped engine; None: lazy.
        time_scale: on threads, the real seconds that a virtual second takes; None: 0.001.
        trace: a file that every arrival is written to, or a binary file open for writing.
        observers: called with each event as it happens; on threads, after the run. What one raises ends the run.
        notice: on the host, called with a sentence for each way in which the run is not quite as the scenario says;
            they are warnings of the result too.

    Raises:
        ScenarioError: the scenario cannot be used, or not on the host.
        UsageError: there is no such policy or oracle, its file cannot be used, or an argument has no meaning, or none
            on this engine.
        PolicyError: the policy, a class in a file, does what no policy may.
        HostError: this machine cannot run it.
        TraceError: an open file cannot be written.
        InternalError: a bug in longpin.

    """
    check_run(engine, policy=policy, oracle=oracle, seed=seed, timers=timers, time_scale=time_scale, trace=trace)
    watching = observers_of(observers)
    require_called("notice", notice)
    load_policy(policy)
    loaded = load(scenario)
    if engine == "host":
        return _run_on_host(loaded, watching, notice)
    from longpin.runner.oracles import ORACLES
    from longpin.runner.run import run as run_scenario

    if oracle is not None:
        require_one_of("oracle", oracle, ORACLES)
    given = {"oracle": oracle, "timers": timers, "time_scale": time_scale}
    options = {name: value for name, value in given.items() if value is not None}
    settings = settings_of(loaded, policy, engine=engine, seed=seed, **options)
    with blaming(policy):
        return run_scenario(loaded, settings, trace, None, watching)


def run_all(kernel: str | None = None, *, show: Callable[[int, float, str], object] | None = None) -> RanAll:
    """Run every shipped scenario under its own policy, and compare what it breaks with what its file expects.

    Args:
        kernel: what they run on instead of their own kernels, such as ``6.18``; None: each on its own.
        show: is told how many are done, of how many, and which one is next.

    Raises:
        UsageError: there is no such kernel.
        InternalError: a bug in longpin.

    """
    require_called("show", show)
    from longpin.runner.progress import ignore
    from longpin.runner.shipped import run_shipped

    return run_shipped(kernel, ignore if show is None else show)


def _run_on_host(scenario: "Scenario", observers: Iterable[Observer], notice: Callable[[str], object] | None) -> Result:
    from longpin.runner.host.run import run_on_host

    notices: list[str] = []

    def tell(text: str) -> None:
        notices.append(text)
        if notice is not None:
            notice(text)

    result = run_on_host(scenario, scenario.filename, tell, observers=observers)
    result.warnings += notices
    return result


def explore(
    scenario: "Scenario | str | os.PathLike[str]",
    policy: str | None = None,
    *,
    method: Literal["auto", "dpor", "states"] = "auto",
    timers: Literal["lazy", "racy"] = "lazy",
    seed: int = 0,
    max_executions: int | None = None,
    seconds: float | None = None,
    workers: int | None = None,
    executor: "Executor | None" = None,
    dask: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    footprints: bool = True,
    symmetry: bool = True,
    whole_states: bool = False,
    max_memory: int | None = None,
    verify: bool = False,
    failures: str | os.PathLike[str] | None = None,
    shrink: float = SHRINK_SECONDS,
    observers: Iterable[Observer] = (),
    notice: Callable[[str], object] | None = None,
) -> Explored:
    """Run a scenario under every schedule that can be told from the others, until one breaks a rule.

    Args:
        scenario: what :func:`load` takes.
        policy: as on the command line, such as ``P1:intended,kernel=6.12`` or ``FILE.py:CLASS``, which is loaded; None:
            the scenario's own.
        method: ``dpor``: each Mazurkiewicz trace once; ``states``: each state once; ``auto``: a pilot run decides.
        timers: ``racy``: they may fire at any time after they were armed, not only when nothing else can happen.
        seed: of the actors' random numbers.
        max_executions: give up after so many schedules.
        seconds: give up after so long.
        workers: processes; None: one. With more a script needs ``if __name__ == "__main__":``.
        executor: who does the work instead, for ``workers`` at a time.
        dask: the address of a dask cluster that does (``pip install 'longpin[dask]'``).
        checkpoint: a file that keeps what is done. If there is one, the exploration goes on there.
        footprints: let messages to one actor commute as they declare.
        symmetry: of states that differ only in which of several processes with one program is which, match one.
        whole_states: match states by comparing all of them, not by fingerprints of 128 bits.
        max_memory: give up when this process has so many bytes resident; four fifths of what there is at most.
        verify: check every footprint that is made use of; means ``method="dpor"``.
        failures: a folder in which a failure is kept; one that is there already and still fails is all that is looked
            at. None: nothing is kept.
        shrink: seconds in which a failure is made smaller.
        observers: called with the events of the search as they happen, and after a failure with those of the run that
            shows it, made small. What one raises ends the exploration.
        notice: called with a line for each file of ``failures`` that is no failure or does not fail any more.

    Raises:
        ScenarioError: the scenario cannot be used.
        UsageError: there is no such policy, its file cannot be used, or an argument has no meaning, or none beside
            another.
        PolicyError: the policy, a class in a file, does what no policy may.
        OSError: the folder of failures cannot be read, or the checkpoint cannot be read or written.
        FootprintError: ``verify`` found a footprint that leaves something out.
        PoolError: there are no workers.
        CheckpointError: the file is no checkpoint, or one of something else.
        InternalError: a bug in longpin.

    """
    by = dask if executor is None else executor
    check_explore(method, workers=workers, executor=by, checkpoint=checkpoint, footprints=footprints, verify=verify)
    require_one_of("timers", timers, TIMERS)
    require_whole("max_executions", max_executions, 0)
    require_whole("max_memory", max_memory, 1)
    watching = check_search(seed, seconds, shrink, observers, notice)
    from longpin.runner.searches import Failures, explore_scenario
    from longpin.runner.subject import Subject

    load_policy(policy)
    loaded = load(scenario)
    with blaming(policy):
        return explore_scenario(
            Subject(loaded, settings_of(loaded, policy, seed=seed, timers=timers)),
            Failures(failures, shrink, watching, notice),
            method="dpor" if verify else method,  # auto may go on to states, which make use of no footprints
            max_executions=max_executions,
            seconds=seconds,
            workers=workers or 1,
            executor=executor,
            dask=dask,
            checkpoint=checkpoint,
            footprints=footprints,
            symmetry=symmetry,
            whole_states=whole_states,
            max_memory=max_memory,
            verify=verify,
        )


def stress(
    scenario: "Scenario | str | os.PathLike[str]",
    policy: str | None = None,
    *,
    runs: int | None = None,
    seconds: float | None = None,
    strategies: Sequence[str] = (),
    seed: int = 0,
    engine: Literal["stepped", "threads"] = "stepped",
    timers: Literal["lazy", "racy"] | None = None,
    time_scale: float | None = None,
    every: bool = False,
    workers: int | None = None,
    executor: "Executor | None" = None,
    dask: str | None = None,
    failures: str | os.PathLike[str] | None = None,
    shrink: float = SHRINK_SECONDS,
    observers: Iterable[Observer] = (),
    notice: Callable[[str], object] | None = None,
) -> Stressed:
    """Run a scenario under many schedules, until one breaks a rule. Samples prove nothing.

    Args:
        scenario: what :func:`load` takes.
        policy: as on the command line, such as ``P1:intended,kernel=6.12`` or ``FILE.py:CLASS``, which is loaded; None:
            the scenario's own.
        runs: how many; None: 10,000, or 100 on threads, unless ``seconds`` are given.
        seconds: give up after so long.
        strategies: who chooses, in turn, keys of :data:`longpin.runner.oracles.ORACLES`; empty: a portfolio.
        seed: of the first run; run i, counting from 0, has ``seed + i``.
        engine: ``threads``: the operating system chooses.
        timers: as for :func:`explore`, on the stepped engine; None: lazy.
        time_scale: on threads, the real seconds that a virtual second takes; None: 0.001.
        every: make all runs, and say which strategy found what.
        workers: processes; None: one.
        executor: who does the work instead, for ``workers`` at a time.
        dask: the address of a dask cluster that does.
        failures: as for :func:`explore`.
        shrink: seconds in which the first failure is made smaller.
        observers: as for :func:`explore`.
        notice: as for :func:`explore`.

    Raises:
        ScenarioError: the scenario cannot be used.
        UsageError: there is no such policy or strategy, its file cannot be used, or an argument has no meaning, or none
            on this engine.
        PolicyError: the policy, a class in a file, does what no policy may.
        OSError: the folder of failures cannot be read.
        PoolError: there are no workers.
        InternalError: a bug in longpin.

    """
    by = dask if executor is None else executor
    strategies = names_of("strategies", strategies)
    check_stress(engine, timers=timers, time_scale=time_scale, strategies=strategies, workers=workers, executor=by)
    require_whole("runs", runs, 0)
    watching = check_search(seed, seconds, shrink, observers, notice)
    from longpin.runner.oracles import ORACLES, PORTFOLIO
    from longpin.runner.searches import Failures, stress_scenario
    from longpin.runner.subject import Subject

    for strategy in strategies:
        require_one_of("strategies", strategy, ORACLES)
    load_policy(policy)
    loaded = load(scenario)
    # What threads did is replayed with racy timers: they go off when they are due, whatever else happens.
    chosen = "racy" if engine == "threads" else timers or "lazy"
    with blaming(policy):
        return stress_scenario(
            Subject(loaded, settings_of(loaded, policy, seed=seed, timers=chosen)),
            Failures(failures, shrink, watching, notice),
            engine=engine,
            strategies=strategies or PORTFOLIO,
            runs=runs,
            seconds=seconds,
            time_scale=time_scale,
            every=every,
            workers=workers or 1,
            executor=executor,
            dask=dask,
        )
