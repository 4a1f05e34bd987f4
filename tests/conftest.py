"""What tests of every kind share."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def sigint() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt in this process, though the suite may have been started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
