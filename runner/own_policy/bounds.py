"""Gives up code of somebody's own that does not come to an end: the file of a policy, and each hook.

In the main thread a timer of the operating system tells, elsewhere each line is counted, as no signal comes there.
Neither reaches into one call of a function that is not written in Python, such as ``sum(itertools.count())``.
"""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from longpin.runner.own_policy.checks import PolicyError, TimeSpentError

MOST_SECONDS = 2.0
"""Of CPU time, in which a file must have been executed and its hooks tried, and in which a hook must have answered."""


class _Bounds(threading.local):
    within = False
    """This thread is in code that is bounded already."""


_bounds = _Bounds()


@contextmanager
def bounded(path: str, what: str) -> Iterator[None]:
    """Give up what is done within, when :data:`MOST_SECONDS` are spent.

    Args:
        path: the file whose code runs.
        what: the hook that is asked; empty: the file itself.

    Raises:
        PolicyError: the time is spent.

    """
    if _bounds.within:
        yield
        return
    main = threading.current_thread() is threading.main_thread()
    _bounds.within = True
    try:
        with _timer() if main and signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL else _lines():
            yield
    except TimeSpentError as error:
        place = str(PolicyError.by(path, error, "")).partition(": ")[0]
        wrong = f"{what or 'it'} has not come to an end after {MOST_SECONDS:g} s of CPU time"
        raise PolicyError(f"{place}: {wrong}") from None
    finally:
        _bounds.within = False


@contextmanager
def _timer() -> Iterator[None]:
    def spent(_signo: int, _frame: object) -> None:
        raise TimeSpentError

    signal.signal(signal.SIGVTALRM, spent)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)


@contextmanager
def _lines() -> Iterator[None]:
    end = time.thread_time() + MOST_SECONDS

    def line(_frame: object, _event: str, _arg: object) -> Any:
        if time.thread_time() > end:
            raise TimeSpentError
        return line

    before = sys.gettrace()
    sys.settrace(line)
    try:
        yield
    finally:
        sys.settrace(before)
