"""What is known to fail is marked as any other test is: here a scenario under the policy it was written to accuse."""

import pytest

KNOWN = {"never-answered.toml::explore-P1:intended": "truncate waits for ever, which is the point"}


def pytest_collection_modifyitems(items):
    """Mark what is known to fail; that it passes is then a failure."""
    for item in items:
        for name, reason in KNOWN.items():
            if item.nodeid.endswith(name):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
