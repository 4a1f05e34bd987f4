"""What a run of pytest asks for: which scenarios, under which policies, how they are searched."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

OWN = "own"
"""The word for the scenario's own policy."""

_CHOICES = {"search": ("explore", "stress"), "timers": ("lazy", "racy", "both"), "undetermined": ("fail", "skip")}
_DEFAULTS = {"search": "explore", "timers": "lazy", "undetermined": "fail", "seconds": "60", "runs": "1000"}
_SHRINK = "10"


@dataclass(frozen=True, slots=True)
class WantedSuite:
    """What is asked for, on the command line or in the configuration."""

    paths: tuple[Path, ...]
    """Folders and files, resolved."""
    policies: tuple[str | None, ...]
    """As the command line of longpin takes them; None: the scenario's own."""
    search: Literal["explore", "stress"]
    timers: tuple[Literal["lazy", "racy"], ...]
    seconds: float
    """For one search."""
    runs: int
    """Of ``stress``."""
    shrink: float
    """Seconds in which a failure is made smaller."""
    undetermined: Literal["fail", "skip"]
    """What becomes of an exploration that is not complete."""

    @classmethod
    def of(cls, config: pytest.Config) -> "WantedSuite":
        """Return what a run asks for; what its command line says goes before its configuration.

        Raises:
            pytest.UsageError: it makes no sense, in one line.

        """
        texts = {name: _text(config, name, default) for name, default in (*_DEFAULTS.items(), ("shrink", _SHRINK))}
        for name, choices in _CHOICES.items():
            if texts[name] not in choices:
                raise pytest.UsageError(f"longpin_{name}: expected {' or '.join(choices)}, found {texts[name]!r}")
        timers = texts["timers"]
        return cls(
            paths=tuple(_path(path) for path in _many(config, "paths")),
            policies=tuple(_policy(config, text) for text in _many(config, "policies")) or (None,),
            search=texts["search"],  # type: ignore[arg-type]  # looked up above
            timers=("lazy", "racy") if timers == "both" else (timers,),  # type: ignore[arg-type]
            seconds=_number("seconds", texts["seconds"]),
            runs=int(_number("runs", texts["runs"])),
            shrink=_number("shrink", texts["shrink"]),
            undetermined=texts["undetermined"],  # type: ignore[arg-type]
        )

    def has(self, path: Path) -> bool:
        """Return whether a file is one of those that are asked for, or in a folder that is."""
        resolved = path.resolve()
        return any(resolved == wanted or wanted in resolved.parents for wanted in self.paths)


def _many(config: pytest.Config, name: str) -> list[Any]:
    return list(config.getoption(f"longpin_{name}") or config.getini(f"longpin_{name}"))


def _text(config: pytest.Config, name: str, default: str) -> str:
    return str(config.getoption(f"longpin_{name}") or config.getini(f"longpin_{name}") or default).strip()


def _path(given: str | Path) -> Path:
    path = Path(given)
    if not path.exists():
        raise pytest.UsageError(f"longpin_paths: there is no {path}")
    return path.resolve()


def _number(name: str, text: str) -> float:
    if not text.isascii() or not text.replace(".", "", name != "runs").isdigit() or float(text) > 10**9:
        raise pytest.UsageError(f"longpin_{name}: expected a number, found {text!r}")
    return float(text)


def _policy(config: pytest.Config, text: str) -> str | None:
    """Return a policy; a file in the configuration is meant from where the configuration is.

    Raises:
        pytest.UsageError: there is no such policy, preset or parameter, or its file cannot be used.

    """
    from longpin.runner.given_policy import load_policy, read_policy
    from longpin.runner.usage import UsageError

    if text == OWN:
        return None
    file, colon, rest = text.partition(".py:")
    if colon and not config.getoption("longpin_policies"):
        text = os.path.relpath(config.rootpath / f"{file}.py") + f":{rest}"
    try:
        load_policy(text)
        read_policy(text)
    except UsageError as error:
        raise pytest.UsageError(error.on_command_line) from None
    return text
