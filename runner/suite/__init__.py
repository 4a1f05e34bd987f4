"""longpin under pytest: scenario files as tests, and tests of worlds of one's own actors. See docs/pytest.md.

:mod:`longpin.pytest_plugin` is what pytest loads; it imports these modules only for a run that asks for them.
"""
