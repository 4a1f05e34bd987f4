"""Python's parser, for text that is written in its syntax and never run."""

import ast
import threading
import warnings
from typing import Literal, overload

_ONE_AT_A_TIME = threading.Lock()
"""Filters of warnings belong to the whole process, and so does a count in CPython's parser before 3.13 [gh-106905]."""


@overload
def parse(text: str) -> ast.Module: ...
@overload
def parse(text: str, mode: Literal["eval"]) -> ast.Expression: ...
def parse(text: str, mode: Literal["exec", "eval"] = "exec") -> ast.Module | ast.Expression:
    """Return the tree; an escape that Python would only warn about is an error.

    Raises:
        SyntaxError, ValueError, MemoryError, RecursionError: it is no Python, or nested too deeply.

    """
    with _ONE_AT_A_TIME, warnings.catch_warnings(action="error"):
        return ast.parse(text, mode=mode)  # type: ignore[return-value]  # of a union of modes mypy knows no result
