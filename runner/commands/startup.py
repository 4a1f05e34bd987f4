"""What Ctrl-C means while the command line is still importing: one line and exit status 130; and after its verdict.

Python's own handler raises KeyboardInterrupt wherever the interpreter is, and within an import that is a stack trace,
is swallowed by a callback, or comes out as another exception. Nothing is worth keeping then, so the process just ends.

Only what the interpreter has loaded already is imported here.
"""

import os
import signal

EXIT_INTERRUPTED = 130
"""As of a process that SIGINT killed, in a shell."""


_program = False
"""The command line has this process for itself."""


def begin() -> None:
    """Let Ctrl-C end the process at once, until :func:`ready`; started with SIGINT ignored, it stays ignored."""
    global _program
    _program = True
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def ready(*modules: str) -> None:
    """Import modules, and let Ctrl-C raise KeyboardInterrupt from then on: there may be something to tell."""
    for module in modules:
        __import__(module)
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def told() -> None:
    """Ignore Ctrl-C from now on: a verdict was shown, and the exit status must be that of the verdict."""
    if _program and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(_signo: int, _frame: object) -> None:
    try:
        os.write(2, b"longpin: interrupted\n")
    finally:
        os._exit(EXIT_INTERRUPTED)
