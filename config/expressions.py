"""Expressions of the notation: from Python's syntax tree to :mod:`longpin.actors.process.program`, constants folded.

Nothing is executed: what is not listed here is refused by its name.
"""

import ast
import re
from collections.abc import Mapping

from longpin.actors.process.program import Const, Expression, Name, Operation
from longpin.config import python_text
from longpin.config.problems import shown

LEAST, MOST = -(1 << 63), (1 << 63) - 1
"""Integers are what a system call takes: 64 bits, signed."""
MOST_SECONDS = 1_000_000_000
"""Fractions are seconds: a time has no more of them."""

_OPERATORS: dict[type[ast.operator], str] = {ast.BitOr: "|", ast.Mult: "*", ast.Add: "+", ast.Sub: "-"}
_EXPECTED = "a name, a number, a string, None, or these joined by |, *, + and -"
_LONGEST_SIZE = 100

_PHRASES: dict[type[ast.AST], str] = {
    ast.AsyncFor: "an async for loop",
    ast.AnnAssign: "an annotated assignment",
    ast.AsyncFunctionDef: "an async function definition",
    ast.AsyncWith: "an async with statement",
    ast.Attribute: "an attribute (a dot after a name)",
    ast.AugAssign: "an augmented assignment",
    ast.BinOp: "an operator that is not |, *, + or -",
    ast.BoolOp: "'and' or 'or'",
    ast.ClassDef: "a class definition",
    ast.Constant: "a literal",
    ast.Delete: "a del statement",
    ast.Expr: "an expression",
    ast.For: "a for loop",
    ast.FunctionDef: "a function definition",
    ast.GeneratorExp: "a comprehension",
    ast.IfExp: "a conditional expression",
    ast.Import: "an import",
    ast.ImportFrom: "an import",
    ast.JoinedStr: "an f-string",
    ast.ListComp: "a comprehension",
    ast.NamedExpr: "an assignment inside an expression",
    ast.Starred: "a starred argument",
    ast.Try: "a try statement",
    ast.UnaryOp: "a unary operator that is not -",
    ast.While: "a while loop",
}


class RefusedError(Exception):
    """Something the notation does not have, and where it stands in the program."""

    def __init__(self, node: ast.expr | ast.stmt | ast.keyword, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected, self.found = expected, found
        self.line, self.offset = node.lineno, node.col_offset


def phrase(node: ast.AST) -> str:
    """Return what a reader calls a node: ``an if statement``, ``a lambda``."""
    if type(node) in _PHRASES:
        return _PHRASES[type(node)]
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(node).__name__).lower()
    article = "an" if words[0] in "aeiou" else "a"
    return f"{article} {words}{' statement' if isinstance(node, ast.stmt) else ''}"


def read_expression(node: ast.expr, constants: Mapping[str, int]) -> Expression:
    """Translate one argument.

    Raises:
        RefusedError: it is none of what the notation has, or a number outside 64 bits.

    """
    match node:
        case ast.Constant(value=bool() | complex()):
            raise RefusedError(node, _EXPECTED, str(node.value))
        case ast.Constant(value=int() | float() | str() | bytes() | None as value):
            _check_literal(node, value)
            return Const(value)
        case ast.Name(id=name):
            return Const(constants[name]) if name in constants else Name(name)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)) if value == -LEAST:
            return Const(LEAST)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float() as value)):
            return Const(-value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _join(node, "-", Const(0), read_expression(operand, constants))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            # The caller bounds the length of a statement, and with it the depth of this recursion.
            return _join(
                node, _OPERATORS[type(operator)], read_expression(left, constants), read_expression(right, constants)
            )
        case _:
            raise RefusedError(node, _EXPECTED, phrase(node))


def with_values(expression: Expression, values: Mapping[str, int]) -> Expression:
    """Return an expression with values in the place of variables; what has no result of 64 bits stays as it is."""
    match expression:
        case Name(name=name) if name in values:
            return Const(values[name])
        case Operation(op=operator, left=left, right=right):
            match with_values(left, values), with_values(right, values):
                case Const(value=int() as a), Const(value=int() as b) if LEAST <= _result(operator, a, b) <= MOST:
                    return Const(_result(operator, a, b))
    return expression


def names_in(expression: Expression) -> set[str]:
    """Return the variables of an expression."""
    match expression:
        case Name(name=name):
            return {name}
        case Operation(left=left, right=right):
            return names_in(left) | names_in(right)
        case _:
            return set()


def read_size(text: str, page_size: int) -> int:
    """Return the value of a size such as ``4 * PAGE + 512``.

    Raises:
        ValueError: it is no such expression.

    """
    if len(text) > _LONGEST_SIZE:
        raise ValueError(f"expected at most {_LONGEST_SIZE} characters")
    try:
        tree = python_text.parse(text.strip(), "eval")
        value = read_expression(tree.body, {"PAGE": page_size})
    except (SyntaxError, ValueError, RecursionError, MemoryError, RefusedError) as error:
        raise ValueError("expected a number or an expression such as 4 * PAGE") from error
    if not isinstance(value, Const) or not isinstance(value.value, int):
        raise ValueError("expected a number or an expression such as 4 * PAGE")
    return value.value


def _check_literal(node: ast.Constant, value: float | str | bytes | None) -> None:
    if isinstance(value, int) and not LEAST <= value <= MOST:
        raise RefusedError(node, "a number of at most 64 bits with its sign", shown(value))
    if isinstance(value, float) and value > MOST_SECONDS:
        raise RefusedError(node, f"a fraction of at most {MOST_SECONDS}", shown(value))
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise RefusedError(node, "text that UTF-8 can hold", "half of a surrogate pair")


def _result(operator: str, a: int, b: int) -> int:
    return a | b if operator == "|" else a * b if operator == "*" else a + b if operator == "+" else a - b


def _join(node: ast.expr, operator: str, left: Expression, right: Expression) -> Expression:
    for side in (left, right):
        if isinstance(side, Const) and not isinstance(side.value, int):
            raise RefusedError(node, f"numbers on both sides of {operator}", shown(side.value))
    match left, right:
        case Const(value=int() as a), Const(value=int() as b):
            value = _result(operator, a, b)
            if not LEAST <= value <= MOST:
                raise RefusedError(node, "a number of at most 64 bits with its sign", shown(value))
            return Const(value)
        case _:
            return Operation(operator, left, right)
