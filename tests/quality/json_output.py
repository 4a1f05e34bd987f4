"""Whether what a verb printed is what its schema says."""

import json
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from longpin.runner.report.as_json import schema


def valid(verb: str, printed: str) -> Any:
    """Return what was printed, one object on one line of ASCII, after a comparison with the schema."""
    assert printed.isascii()
    assert printed.count("\n") == 1
    found = json.loads(printed)
    errors = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema(verb)).iter_errors(found)]
    assert not errors, "\n".join(errors)
    return found
