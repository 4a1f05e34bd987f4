"""What is wrong with a log."""


class LogError(Exception):
    """A log cannot be used; the text has one line for each mistake: ``file:line: what was expected``."""
