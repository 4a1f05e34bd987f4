"""Logs: structlog, on standard error, quiet unless asked; pykka's own go the same way."""

import logging
import sys

import structlog

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def configure_logs(verbosity: int) -> None:
    """Send logs to standard error: warnings, with 1 also what is done, with 2 also every moment of a run."""
    level = LEVELS[min(verbosity, len(LEVELS) - 1)]
    stream = sys.stderr
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
    ]
    renderer = structlog.dev.ConsoleRenderer(
        colors=stream is not None and stream.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
    )
    structlog.configure(
        processors=[*processors, structlog.processors.StackInfoRenderer(), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    pykka = logging.getLogger("pykka")
    pykka.handlers = [handler]
    pykka.setLevel(level)
