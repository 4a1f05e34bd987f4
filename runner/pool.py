"""Where work is done in parallel: anything with the interface of ``concurrent.futures.Executor``.

``open_executor`` gives this process itself, a pool of processes, or a dask cluster. ``in_order`` hands out jobs and
yields their results in the order of the jobs, so that what is made of them does not depend on who was quicker.

A worker process starts as a copy of this one (*fork*), within a hundredth of a second and with all that was looked up
here; or afresh (*spawn*) if this process has another thread, whose locks would be copied as they are. It never sees
Ctrl-C, which is this process's to handle. It holds one end of a pipe, and ends when the other end is closed: by
:func:`open_executor` when it is left, or by the system when this process is killed.
"""

import os
import pickle
import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

LOOK_AFTER = 0.1
"""Seconds between two looks at futures that are waited for."""

CONNECT_WITHIN = 5.0
"""Seconds after which a dask scheduler that does not answer is taken for absent."""

P = ParamSpec("P")
T = TypeVar("T")
J = TypeVar("J")


class PoolError(Exception):
    """Work cannot be done in parallel as asked; the text is one line for the user."""


def default_workers() -> int:
    """Return how many cores this process may use: sched_getaffinity(2)."""
    return len(os.sched_getaffinity(0))


class SerialExecutor(Executor):
    """Does at submit, in this process, what it is given."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do it, and return a future that is done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the caller of result() gets it
            future.set_exception(error)
        return future


class _Processes(ProcessPoolExecutor):
    """A pool whose processes start with SIGINT blocked: there is no moment at which Ctrl-C could reach one."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(parent: Connection, other_end: Connection | None) -> None:
    """Let this worker end as soon as the other end of ``parent`` is closed, whatever it does then.

    ``other_end``: the copy of it that this worker has if it started as a copy.
    """
    if other_end is not None:
        other_end.close()

    def watch() -> None:
        parent.poll(None)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def open_executor(workers: int, dask: str | None = None) -> Iterator[Executor]:
    """Give an executor; what it has not finished when it is left is given up.

    Args:
        workers: 1 for this process itself, otherwise the number of processes; a dask cluster has its own.
        dask: the address of a dask scheduler, ``tcp://host:port``.

    Raises:
        PoolError: ``workers`` is not positive, the extra ``longpin[dask]`` is not installed, or nobody answers.

    """
    if workers < 1:
        raise PoolError(f"{workers} workers: at least 1 is needed")
    if dask is not None:
        with _cluster(dask) as executor:
            yield executor
    elif workers == 1:
        yield SerialExecutor()
    else:
        with _processes(workers) as executor:
            yield executor


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    copies = len(list(Path("/proc/self/task").iterdir())) == 1  # proc_pid_task(5)
    context: Any = get_context("fork" if copies else "spawn")
    theirs, ours = context.Pipe(duplex=False)
    executor = _Processes(workers, context, _end_with, (theirs, ours if copies else None))
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        ours.close()
        executor.shutdown(wait=True)
        theirs.close()


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise PoolError("dask is not installed: pip install 'longpin[dask]'") from None
    try:
        # A client that fails over an address it cannot read takes 10 s to end, and prints a stack trace then.
        distributed.comm.get_address_host_port(address)
        client = distributed.Client(address, timeout=CONNECT_WITHIN, set_as_default=False)
    except (OSError, ValueError) as error:
        raise PoolError(f"no dask scheduler at {address}: {str(error).splitlines()[0]}") from None
    with client:
        executor = client.get_executor(pure=False)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)


def packed(what: str, value: object) -> bytes:
    """Return ``value`` as bytes for other processes.

    Raises:
        PoolError: it cannot be pickled; ``what`` is how the text calls it.

    """
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        why = re.sub(" at 0x[0-9a-f]+", "", str(error))
        raise PoolError(
            f"{what} cannot be sent to other processes: {why}; use functions of a module, methods of objects that can "
            "be pickled, or functools.partial of those"
        ) from None


@contextmanager
def broken_pool() -> Iterator[None]:
    """Turn the loss of a worker into a PoolError."""
    try:
        yield
    except BrokenExecutor:
        raise PoolError(
            "a worker process ended unexpectedly: it was killed, ran out of memory, or could not start as the main "
            "script does its work outside of `if __name__ == '__main__':`"
        ) from None


def in_order(
    executor: Executor,
    function: Callable[[J], T],
    jobs: Iterable[J],
    ahead: int,
    waiting: Callable[[], object] | None = None,
) -> Generator[T]:
    """Yield ``function(job)`` for each job, in the order of the jobs.

    Args:
        executor: who does it.
        function: of a module; it and what it takes and returns can be pickled.
        jobs: taken one by one as they are needed; may be endless.
        ahead: how many may be submitted and not yet yielded; twice the number of workers keeps them busy.
        waiting: called every 0.1 s while the next result is waited for.

    When the caller stops, by an exception or by closing the iterator, what has not begun is given up. What
    ``function`` raises is raised here, in the place of the result.

    Raises:
        PoolError: a worker process was lost.

    """
    left = iter(jobs)
    pending: deque[Future[T]] = deque()
    try:
        while True:
            with broken_pool():
                pending.extend(executor.submit(function, job) for job in islice(left, ahead - len(pending)))
                if not pending:
                    return
                look_at(pending[0], waiting)
                result = pending[0].result()
            pending.popleft()
            yield result
    finally:
        give_up(executor, pending)


def give_up(executor: Executor, futures: Iterable[Future[Any]]) -> None:
    """Cancel what has not begun; a pool of :func:`open_executor` does that when it is left."""
    # Ending the processes of a pool breaks it, and it then fails over a future that was cancelled by somebody else.
    if not isinstance(executor, _Processes):
        for future in futures:
            future.cancel()


def look_at(future: Future[Any], waiting: Callable[[], object] | None) -> None:
    """Wait until a future is done; meanwhile call ``waiting`` now and then."""
    while waiting is not None and not future.done():
        waiting()
        wait([future], LOOK_AFTER)
