"""For tests of worlds of one's own actors, under pytest or not. See docs/pytest.md."""

from longpin.runner.suite.worlds import ScenarioWarning, explored, sampled

__all__ = ["ScenarioWarning", "explored", "sampled"]
