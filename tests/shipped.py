"""The scenarios that come with the package, as parameters of a test: some by default, all when it is heavy."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.config.loader import shipped_scenarios


def some_shipped(every: int, first: int = 0, among: Callable[[str], bool] = bool) -> list[Any]:
    """Return the names of all, of which all but one in ``every`` are heavy: the default run does not grow with them."""
    return [
        name if number % every == first % every else pytest.param(name, marks=pytest.mark.heavy)
        for number, name in enumerate(filter(among, shipped_scenarios()))
    ]
