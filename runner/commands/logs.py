"""Logs: structlog, on standard error, quiet unless asked; pykka's own go the same way.

A quarter of the time in which a command starts would go to the import of structlog, and most commands log nothing. So
it is imported where something is asked for, or logged.
"""

import logging
import sys
from contextlib import suppress

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class StandardError:
    """Standard error; a line that cannot be written there is lost and changes nothing else."""

    def __init__(self) -> None:
        self._file = sys.stderr
        """None where it is closed; :mod:`logging` and structlog would take standard output then."""

    def write(self, text: str) -> None:
        """Write, if that is possible."""
        if self._file is not None:
            with suppress(OSError):
                self._file.write(text)

    def flush(self) -> None:
        """Hand on what was written, if that is possible."""
        if self._file is not None:
            with suppress(OSError):
                self._file.flush()

    def isatty(self) -> bool:
        """Return whether somebody is looking."""
        return self._file is not None and self._file.isatty()


class _Unconfigured(logging.Handler):
    """Configures the logs when there is a first line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log it as it would have been."""
        _configure(0)
        logging.getLogger(record.name).handle(record)


def configure_logs(verbosity: int) -> None:
    """Send logs to standard error: warnings, with 1 also what is done, with 2 also every moment of a run."""
    if verbosity:
        _configure(verbosity)
    else:
        _take(_Unconfigured(), LEVELS[0])


def _take(handler: logging.Handler, level: int) -> None:
    """Let a handler have what pykka logs."""
    pykka = logging.getLogger("pykka")
    pykka.handlers = [handler]
    pykka.setLevel(level)


def _configure(verbosity: int) -> None:
    import structlog

    level = LEVELS[min(verbosity, len(LEVELS) - 1)]
    stream = StandardError()
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
    ]
    renderer = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
    )
    structlog.configure(
        processors=[*processors, structlog.processors.StackInfoRenderer(), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),  # type: ignore[arg-type]  # it writes and flushes, no more
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    _take(handler, level)
