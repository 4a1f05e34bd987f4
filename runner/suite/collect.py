"""Scenario files as tests: what is collected, and what becomes of each."""

import contextlib
import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from longpin.config.problems import ScenarioError
from longpin.runner.own_policy.checks import PolicyError
from longpin.runner.suite.outcome import SearchFailed, StoryText, was_interrupted
from longpin.runner.suite.wanted import WantedSuite
from longpin.runner.suite.worlds import ScenarioWarning

if TYPE_CHECKING:
    from longpin.config.schema import Scenario
    from longpin.runner.conclusions import Searched

_SCENARIO_FILE = re.compile(r"[^.]+\.toml")
"""A name with a second dot in it is that of something else, such as what a hazard is expected to show."""
_NO_SCENARIOS = {"pyproject.toml", "pytest.toml"}
FAILURES = "longpin-failures"
"""The folder in which failures are kept, in pytest's cache."""


class Suite:
    """The plugin of a run that asks for scenarios."""

    def __init__(self, wanted: WantedSuite) -> None:
        self.wanted = wanted

    @classmethod
    def of(cls, config: pytest.Config) -> "Suite":
        """Return it, and let the run collect what is asked for beside what it collects anyway.

        Folders of the configuration are left out where the command line names what is to be run, as ``testpaths`` are.

        Raises:
            pytest.UsageError: what is asked for makes no sense.

        """
        wanted = WantedSuite.of(config)
        if config.getoption("longpin_paths") or config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args.extend(str(path) for path in wanted.paths if not _is_collected(config, path))
        return cls(wanted)

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> "ScenarioFile | None":
        """Take the scenario files of what is asked for."""
        name = file_path.name
        if not _SCENARIO_FILE.fullmatch(name) or name in _NO_SCENARIOS or not self.wanted.has(file_path):
            return None
        return ScenarioFile.make(parent, file_path, self.wanted)

    def pytest_report_header(self) -> str:
        """Say in one line how scenarios are searched."""
        wanted = self.wanted
        policies = ", ".join(policy or "their own" for policy in wanted.policies)
        how = f"{wanted.search}, timers {' and '.join(wanted.timers)}, {wanted.seconds:g} s each"
        return f"longpin: scenarios under {policies}: {how}"


def _is_collected(config: pytest.Config, path: Path) -> bool:
    """Return whether pytest comes to a path on its own, from what it was given."""
    patterns = config.getini("norecursedirs")
    for arg in config.args:
        given = (config.invocation_params.dir / arg.partition("::")[0]).resolve()
        if given == path or given in path.parents:
            below = path.relative_to(given).parts
            if not any(fnmatch.fnmatch(part, pattern) for part in below for pattern in patterns):
                return True
    return False


class ScenarioFile(pytest.File):
    """A scenario file: a test for each policy that is asked for, with each kind of timers."""

    wanted: WantedSuite

    @classmethod
    def make(cls, parent: pytest.Collector, path: Path, wanted: WantedSuite) -> "ScenarioFile":
        """Return the node."""
        made: ScenarioFile = cls.from_parent(parent, path=path)
        made.wanted = wanted
        return made

    def collect(self) -> Iterator["ScenarioItem"]:
        """Read the file and yield its tests; what it says less than it seems to is a warning.

        Raises:
            CollectError: it has mistakes, each a line.

        """
        from longpin.runner import api

        shown = os.path.relpath(self.path)
        try:
            scenario = api.load(shown)
            for line in api.check(scenario):
                self.warn(ScenarioWarning(line))
            named = {api.settings_of(scenario, policy).policy_name: policy for policy in self.wanted.policies}
            for policy_name, policy in named.items():
                for timers in self.wanted.timers:
                    of_timers = f"-{timers}" if len(self.wanted.timers) > 1 else ""
                    # No brackets: pytest takes what is in them for parameters, and would not know the test again. No
                    # folders of a policy in a file: they depend on where pytest is started.
                    name = f"{self.wanted.search}-{policy_name.rpartition('/')[2]}{of_timers}"
                    yield ScenarioItem.make(self, name, scenario, policy, timers)
        except ScenarioError as error:
            raise self.CollectError(str(error)) from None


class ScenarioItem(pytest.Item):
    """A scenario under a policy."""

    wanted: WantedSuite
    scenario: "Scenario"
    policy: str | None
    timers: Any

    @classmethod
    def make(cls, parent: ScenarioFile, name: str, scenario: "Scenario", policy: str | None, timers: str) -> Any:
        """Return the node."""
        made: ScenarioItem = cls.from_parent(parent, name=name)
        made.wanted, made.scenario, made.policy, made.timers = parent.wanted, scenario, policy, timers
        return made

    def reportinfo(self) -> tuple[Path, None, str]:
        """Say where it is, and what it is called in a heading."""
        return self.path, None, f"{self.path.name}: {self.name}"

    def runtest(self) -> None:
        """Search the scenario; what is not proved is no pass.

        Raises:
            SearchFailed: a rule is violated, or the exploration is not complete.
            KeyboardInterrupt: the search was interrupted, and nothing failed.

        """
        from longpin.runner.report.observation import observation_of
        from longpin.runner.result import Verdict

        notices: list[str] = []
        searched = self._search(notices)
        if was_interrupted(searched):
            if searched.kept is None:
                raise KeyboardInterrupt
            self.session.shouldstop = "interrupted"
        observation = str(observation_of(searched))
        self.user_properties.append(("observation", observation))
        if (
            searched.verdict is Verdict.HOLDS
        ):  # of what failed the text says all, and the line that replays it is to be last
            self.add_report_section("call", "longpin", "\n".join((*notices, observation)))
            return
        failed = SearchFailed(searched, notices)
        if searched.verdict is Verdict.UNDETERMINED:
            if self.wanted.search == "stress":
                pytest.skip(f"samples prove nothing: {observation}")
            if self.wanted.undetermined == "skip":
                pytest.skip(f"{failed.summary}: {observation}")
        raise failed

    def _search(self, notices: list[str]) -> "Searched":
        from longpin.runner import api

        options: dict[str, Any] = {
            "timers": self.timers,
            "seconds": self.wanted.seconds,
            "shrink": self.wanted.shrink,
            "failures": self._failures(),
            "notice": notices.append,
        }
        if self.wanted.search == "stress":
            return api.stress(self.scenario, self.policy, runs=self.wanted.runs, **options)
        return api.explore(self.scenario, self.policy, **options)

    def _failures(self) -> str:
        """Return the folder where failures are kept: in pytest's cache; without one, that of the command line."""
        cache: pytest.Cache | None = getattr(self.config, "cache", None)
        if cache is not None:
            with contextlib.suppress(OSError):
                return os.path.relpath(cache.mkdir(FAILURES))
        return FAILURES

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the story of a failure, mistakes as lines, and anything else as pytest does."""
        match excinfo.value:
            case SearchFailed() as failed:
                return StoryText(failed.text, str(self.path), failed.summary)
            case (ScenarioError() | PolicyError()) as error:
                return StoryText(str(error), str(self.path), str(error).partition("\n")[0])
            case _:
                return super().repr_failure(excinfo, style)
