"""Expectations: what a comment says the call before it must do.

A comment with ``->`` in it is an expectation: ``# P5 -> blocks, 0; P1 -> hangs (the pin never goes)``. Parts are
separated by ``;``. A part may begin with a policy, with kernels (``P1 on 6.12, 6.18 -> 0``) or both, and lists outcomes
after the arrow; text in parentheses is ignored.
The word ``optional`` among the outcomes says that the line need not be reached.
A part that begins with a use, ``U1 -> ok``, expects nothing: it says what the call comes to where the use is shown.
"""

import ast
import re
import warnings
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import NamedTuple

from longpin.actors.constants import ERRNO_NAMES, ERRNOS
from longpin.actors.kernel.generation import Version
from longpin.actors.policies import find_policy
from longpin.actors.process.program import Expectation, Outcome
from longpin.config.expressions import LEAST, MOST
from longpin.config.problems import closest, shown
from longpin.config.schema import USES

ARROW = "->"
_TOKEN = re.compile(
    r"""\s*+(?:(?P<arrow>->)|(?P<mark>[;,])|(?P<remark>\([^()]*+\))|(?P<bytes>b"(?:[^"\\]|\\.)*+"|b'(?:[^'\\]|\\.)*+')
    |(?P<own>[\w.+-]+\.py:\w++(?::\w++)?)
    |(?P<joined>[A-Z_]\w*+(?:\s*+\|\s*+[A-Z_]\w*+)++)
    |(?P<sum>[A-Z_]\w*+\s*+[+-]\s*+[0-9]++(?![\w.]))|(?P<number>-?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|[0-9]+)(?![\w.]))
    |(?P<version>[0-9]+\.[0-9]+(?![\w.]))|(?P<word>[A-Za-z_][\w:]*+))""",
    re.VERBOSE,
)
_MOST_DIGITS = 25
_KERNEL = ",kernel="
OPTIONAL = "optional"
"""The word for a line that need not be reached; it stands among the outcomes and is none."""
ON = "on"
"""The word before the kernels of a part."""
VERSIONS = tuple(str(version) for version in Version)
A_KERNEL = f"a kernel ({', '.join(VERSIONS)})"
_AN_OUTCOME = "blocks, hangs, ok, optional, an errno, a number, a constant, one such as SIGRTMIN + 1, or bytes"


class UnreadableError(Exception):
    """An expectation that says nothing clear, and the offset in the comment where that shows."""

    def __init__(self, offset: int, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.offset, self.expected, self.found = offset, expected, found


class _Token(NamedTuple):
    kind: str
    text: str
    offset: int


class Said(NamedTuple):
    """What the comment of a call says."""

    expectations: tuple[Expectation, ...] = ()
    uses: tuple[tuple[str, Expectation], ...] = ()
    """What it must come to for a use to be shown, by the use."""


def read_expectations(comment: str, constants: Mapping[str, int]) -> tuple[Expectation, ...]:
    """Return what the comment of a call expects, as :func:`read_comment` reads it."""
    return read_comment(comment, constants).expectations


def read_comment(comment: str, constants: Mapping[str, int]) -> Said:
    """Read the comment of a call, with or without its ``#``; one without ``->`` says nothing.

    Raises:
        UnreadableError: a word that is no outcome, an unknown policy, or outcomes that exclude each other.

    """
    if ARROW not in comment:
        return Said()
    expectations: list[Expectation] = []
    uses: dict[str, Expectation] = {}
    parts: list[list[_Token]] = [[]]
    for token in _tokens(comment):
        if token.text == ";":
            parts.append([])
        else:
            parts[-1].append(token)
    for tokens in filter(None, parts):
        first = tokens[0]
        if first.kind == "word" and first.text in USES:
            if first.text in uses:
                raise UnreadableError(first.offset, "one part for each use", f"a second one for {first.text}")
            uses[first.text] = _use(tokens, constants)
            continue
        expectation = _part(tokens, constants)
        if any(_overlap(other, expectation) for other in expectations):
            raise UnreadableError(
                tokens[0].offset, "one part for each policy and kernel", f"a second one for {_named(expectation)}"
            )
        expectations.append(expectation)
    return Said(tuple(expectations), tuple(uses.items()))


def _use(tokens: list[_Token], constants: Mapping[str, int]) -> Expectation:
    use, *rest = tokens
    if not rest or rest[0].kind != "arrow":
        raise UnreadableError(use.offset + len(use.text), ARROW, shown(rest[0].text) if rest else "the end")
    wanted = _part(rest, constants)
    if wanted.optional or not wanted.outcomes:
        raise UnreadableError(rest[0].offset + len(ARROW), "an outcome that the use takes", shown(OPTIONAL))
    return wanted


def _overlap(one: Expectation, other: Expectation) -> bool:
    if one.policy != other.policy:
        return False
    return one.kernels == other.kernels or bool(set(one.kernels) & set(other.kernels))


def _named(expectation: Expectation) -> str:
    return (expectation.policy or "every policy") + "".join(f" on {kernel}" for kernel in expectation.kernels[:1])


def _tokens(comment: str) -> list[_Token]:
    at = len(comment) - len(comment.lstrip("# \t"))
    end = len(comment.rstrip())
    tokens = []
    while at < end:
        match = _TOKEN.match(comment, at)
        if match is None:
            at += len(comment[at:]) - len(comment[at:].lstrip())
            raise UnreadableError(at, _AN_OUTCOME, shown(comment[at:end]))
        kind = str(match.lastgroup)
        if kind != "remark":
            tokens.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return tokens


def _part(tokens: list[_Token], constants: Mapping[str, int]) -> Expectation:
    policy = None
    kernels: tuple[str, ...] = ()
    first, *rest = tokens
    if first.kind in ("word", "own") and first.text != ON:
        policy = _policy(first)
        first, *rest = _more(first, rest, ARROW)
    if first.text == ON:
        kernels, rest = _kernels(*_more(first, rest, A_KERNEL))
        first, *rest = rest
    if first.kind != "arrow":
        raise UnreadableError(first.offset, f"{ARROW}, after a policy or alone", shown(first.text))
    if not rest:
        raise UnreadableError(first.offset + len(ARROW), _AN_OUTCOME, "the end")
    outcomes = []
    optional = False
    for position, token in enumerate(rest):
        if token.text == OPTIONAL and position % 2 == 0:
            optional = True
        elif position % 2 == 0:
            outcomes.append(_outcome(token, constants))
        elif token.text != ",":
            raise UnreadableError(token.offset, "a comma or a semicolon", shown(token.text))
    if len(rest) % 2 == 0:
        raise UnreadableError(rest[-1].offset, _AN_OUTCOME, "nothing after the comma")
    _check_agreement(first, outcomes)
    return Expectation(policy, tuple(dict.fromkeys(outcomes)), optional, kernels)


def _more(last: _Token, rest: list[_Token], expected: str) -> list[_Token]:
    if not rest:
        raise UnreadableError(last.offset + len(last.text), expected, "the end")
    return rest


def _kernels(first: _Token, *rest: _Token) -> tuple[tuple[str, ...], list[_Token]]:
    """Read versions, with commas in between, up to the arrow."""
    kernels: list[str] = []
    tokens = [first, *rest]
    while True:
        token, *tokens = tokens
        if token.text not in VERSIONS:
            raise UnreadableError(token.offset, A_KERNEL, shown(token.text) + closest(token.text, VERSIONS))
        kernels.append(token.text)
        if _more(token, tokens, ARROW)[0].text != ",":
            return tuple(dict.fromkeys(kernels)), tokens
        comma, *tokens = tokens
        _more(comma, tokens, A_KERNEL)


def _policy(token: _Token) -> str:
    if token.kind == "own":
        return token.text  # what its file defines is not known here
    text, _, kernel = token.text.partition(_KERNEL)
    try:
        kind, preset = find_policy(text)
    except ValueError as error:
        expected, _, _ = str(error).removeprefix("expected ").partition(", found ")
        raise UnreadableError(token.offset, expected, shown(token.text)) from error
    named = f"{kind.name}:{preset}" if ":" in text else kind.name
    if _KERNEL not in token.text:
        return named
    if kernel not in set(Version):
        expected = f"one of the kernels {', '.join(Version)}"
        raise UnreadableError(token.offset + len(text) + len(_KERNEL), expected, shown(kernel))
    return f"{named}{_KERNEL}{kernel}"


def _outcome(token: _Token, constants: Mapping[str, int]) -> str | int:
    match token.kind:
        case "number":
            return _number(token)
        case "sum":
            return _sum(token, constants)
        case "joined":
            return _joined(token, constants)
        case "bytes":
            return _bytes(token)
        case "word" if token.text in ERRNOS:
            return ERRNO_NAMES[ERRNOS[token.text]]
        case "word" if token.text in constants:
            return constants[token.text]
        case "word" if token.text in set(Outcome):
            return Outcome(token.text)
    known = (*Outcome, OPTIONAL, *ERRNOS, *constants)
    raise UnreadableError(token.offset, _AN_OUTCOME, shown(token.text) + closest(token.text, known))


def _number(token: _Token) -> int:
    base = 0 if re.search("[xXoO]", token.text) else 10
    if len(token.text) > _MOST_DIGITS or not LEAST <= int(token.text, base) <= MOST:
        raise UnreadableError(token.offset, "a number of at most 64 bits with its sign", "a larger one")
    return int(token.text, base)


def _sum(token: _Token, constants: Mapping[str, int]) -> int:
    """Return the value of a constant and a distance, such as SIGRTMIN + 1."""
    word, sign, distance = re.split(r"\s*([+-])\s*", token.text)
    if word not in constants:
        raise UnreadableError(token.offset, _AN_OUTCOME, shown(word) + closest(word, constants))
    if len(distance) > _MOST_DIGITS or not LEAST <= (value := constants[word] + int(sign + distance)) <= MOST:
        raise UnreadableError(token.offset, "a number of at most 64 bits with its sign", "a larger one")
    return value


def _joined(token: _Token, constants: Mapping[str, int]) -> int:
    """Return the value of constants that are joined, such as F_RDLCK | F_UNBREAK."""
    words = re.split(r"\s*\|\s*", token.text)
    if unknown := [word for word in words if word not in constants]:
        raise UnreadableError(token.offset, _AN_OUTCOME, shown(unknown[0]) + closest(unknown[0], constants))
    return reduce(or_, (constants[word] for word in words))


def _bytes(token: _Token) -> str:
    try:
        with warnings.catch_warnings(action="error"):
            return repr(ast.literal_eval(token.text))
    except (SyntaxError, ValueError) as error:
        raise UnreadableError(token.offset, "bytes as Python writes them", shown(token.text)) from error


def _check_agreement(arrow: _Token, outcomes: list[str | int]) -> None:
    """Refuse outcomes of which no call can show all."""
    errnos = {outcome for outcome in outcomes if outcome in ERRNOS}
    values = {outcome for outcome in outcomes if isinstance(outcome, int) or outcome.startswith("b")} - set(Outcome)
    # A call that fails yields -1, so the two may stand together.
    results = len(errnos) + len(values - {-1} if errnos else values)
    if (
        results > 1
        or (Outcome.OK in outcomes and errnos)
        or (Outcome.HANGS in outcomes and (results or Outcome.OK in outcomes))
    ):
        listed = ", ".join(str(outcome) for outcome in outcomes)
        raise UnreadableError(arrow.offset + len(ARROW), "outcomes that one call can have together", listed)
