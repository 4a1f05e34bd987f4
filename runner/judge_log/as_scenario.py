"""What a log tells, as a scenario: the same calls, without the order in which they were made."""

from longpin.runner.judge_log.translated import Translated


def as_scenario(translated: Translated, *, break_time: float = 45, uid: int = 0) -> str:
    """Return the text of a scenario file."""
    raise NotImplementedError
