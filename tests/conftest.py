"""What tests of every kind share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as heavy what ``heavy.txt`` lists."""
    listed = {line for line in (HERE / "heavy.txt").read_text().splitlines() if not line.startswith("#")}
    for item in items:
        if item.nodeid.removeprefix("tests/") in listed:
            item.add_marker(pytest.mark.heavy)


@pytest.fixture
def sigint() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt in this process, though the suite may have been started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
