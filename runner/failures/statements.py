"""The statements of a program as text that can be cut: which lines each takes, what it names, and what is a number.

Only texts that the loader has accepted come here, or texts made from those, so they may not parse any more; such a text
has no statements and no terms.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from longpin.config import python_text
from longpin.config.expectations import ARROW
from longpin.config.program_text import ProgramText

SMALL = 8
"""Numbers up to this one are taken for counts, which are worth lowering by one."""


class Statement(NamedTuple):
    """A call or a loop."""

    first: int
    """Its first line, from 0."""
    last: int
    is_loop: bool
    call: str
    """The name of the call; empty for a loop."""
    target: str
    """The variable it sets, or an empty string."""
    names: frozenset[str]
    """The variables and constants it mentions; for a loop those in its body too."""
    strings: tuple[str, ...]
    """The strings among its arguments."""

    @property
    def sets_label(self) -> bool:
        """Return whether others may wait for what it says."""
        return self.call == "label" and bool(self.strings)


class Term(NamedTuple):
    """A number, or an expression made of several, and what is simpler."""

    row: int
    """From 0."""
    start: int
    """In bytes, as Python's tree counts."""
    end: int
    text: str
    simpler: tuple[str, ...]
    """Simplest first."""


def parse(text: str) -> ast.Module | None:
    """Return Python's tree of a program or of a size; None if there is none."""
    try:
        return python_text.parse(text)
    except SyntaxError:
        return None


def tidy(text: str) -> str:
    """Return a program without margin, empty lines, and lines that hold nothing but a comment."""
    lines = ProgramText(text, ((1, 1),)).source.split("\n")
    kept = [line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return "".join(f"{line}\n" for line in kept)


def without_expectations(text: str) -> str:
    """Return a program whose comments say nothing of what a call must do."""
    lines = text.split("\n")
    for row, (column, comment) in ProgramText(text, ((1, 1),)).comments.items():
        if ARROW in comment:
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return "\n".join(lines)


def statements(text: str) -> list[Statement]:
    """Return the statements of a program in the order of their lines, a loop before those inside it."""
    tree = parse(text)
    nodes = [] if tree is None else [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    return [_statement(node) for node in sorted(nodes, key=lambda node: node.lineno)]


def _statement(node: ast.stmt) -> Statement:
    call, target, strings = "", "", ()  # type: str, str, tuple[str, ...]
    match node:
        case ast.For(target=ast.Name(id=target)) | ast.Assign(targets=[ast.Name(id=target)]):
            pass
    match node:
        case (
            ast.Expr(value=ast.Call(func=ast.Name(id=call), args=args))
            | ast.Assign(value=ast.Call(func=ast.Name(id=call), args=args))
        ):
            literals = [argument.value for argument in args if isinstance(argument, ast.Constant)]
            strings = tuple(literal for literal in literals if isinstance(literal, str))
    names = frozenset(name.id for name in ast.walk(node) if isinstance(name, ast.Name))
    last = (node.end_lineno or node.lineno) - 1
    return Statement(node.lineno - 1, last, isinstance(node, ast.For), call, target, names, strings)


def without(text: str, gone: set[int]) -> str:
    """Return a program without the statements of these numbers; with a loop goes what is inside it."""
    lines = text.split("\n")
    rows = {row for number, it in enumerate(statements(text)) if number in gone for row in range(it.first, it.last + 1)}
    return "\n".join(line for row, line in enumerate(lines) if row not in rows)


def unrolled(text: str, number: int) -> str:
    """Return a program in which a loop is replaced by its body, once."""
    loop = statements(text)[number]
    lines = text.split("\n")
    body = lines[loop.first + 1 : loop.last + 1]
    deeper = len(body[0]) - len(body[0].lstrip()) - (len(lines[loop.first]) - len(lines[loop.first].lstrip()))
    return "\n".join([*lines[: loop.first], *(line[deeper:] for line in body), *lines[loop.last + 1 :]])


def terms(text: str) -> Iterator[Term]:
    """Yield the numbers of a program, or of a size, and the expressions that a part of them could replace."""
    tree = parse(text)
    for node in ast.walk(tree) if tree is not None else ():
        if not isinstance(node, ast.expr) or node.end_col_offset is None or node.lineno != node.end_lineno:
            continue
        if simpler := tuple(_simpler(node)):
            yield Term(node.lineno - 1, node.col_offset, node.end_col_offset, ast.unparse(node), simpler)


def _simpler(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            smaller = [0, 1, number // 2, *([number - 1] if number <= SMALL else [])]
            yield from (str(other) for other in dict.fromkeys(smaller) if other < number)
        case ast.BinOp(left=ast.Constant(), op=ast.Mult(), right=right):
            yield ast.unparse(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant()):
            yield ast.unparse(left)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.Add(), right=right):
            yield from (ast.unparse(left), ast.unparse(right))


def replaced(text: str, table: Mapping[Term, str]) -> str:
    """Return a text with other terms in the places of some."""
    lines = [line.encode() for line in text.split("\n")]
    for term, other in sorted(table.items(), reverse=True):
        line = lines[term.row]
        lines[term.row] = line[: term.start] + other.encode() + line[term.end :]
    return b"\n".join(lines).decode()


def weight(text: str) -> int:
    """Return how large the numbers in a text are, each name of a constant or variable counting 1."""
    tree = parse(text)
    found = 0
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Name):
            found += 1
        elif isinstance(node, ast.Constant) and isinstance(node.value, int):
            found += abs(node.value)
    return found
