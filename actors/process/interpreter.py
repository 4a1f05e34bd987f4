"""How a program is read: its loops, and the expressions of its arguments."""

import errno
from collections.abc import Iterator

from longpin.actors.conversation import KernelError
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.process_state import Value
from longpin.actors.process.program import Const, Expression, Name, Op, Statement
from longpin.actors.syscalls import SYSCALLS


def unroll(statements: tuple[Statement, ...], variables: dict[str, Value]) -> Iterator[Op]:
    """Yield the calls in the order in which they are made, with the loops' variables set."""
    for statement in statements:
        if isinstance(statement, Op):
            yield statement
        else:
            for index in range(statement.count):
                variables[statement.variable] = index
                yield from unroll(statement.body, variables)


def evaluate(expression: Expression, variables: dict[str, Value]) -> Value:
    """Return what an expression stands for; a variable that was never set is -1.

    Raises:
        KernelError: EINVAL for arithmetic on what is no number.

    """
    if isinstance(expression, Const):
        return expression.value
    if isinstance(expression, Name):
        return variables.get(expression.name, -1)
    left, right = evaluate(expression.left, variables), evaluate(expression.right, variables)
    if not isinstance(left, int) or not isinstance(right, int):
        raise KernelError(errno.EINVAL)
    match expression.op:
        case "|":
            result = left | right
        case "*":
            result = left * right
        case "+":
            result = left + right
        case _:
            result = left - right
    # As a register has it: 64 bits with a sign, so that values stay what a message can carry.
    return (result + (1 << 63)) % (1 << 64) - (1 << 63)


def arguments(record: CallRecord, variables: dict[str, Value]) -> list[Value]:
    """Return the arguments of a call, evaluated when it is made first; integers are cut to the width the kernel takes.

    Raises:
        KernelError: EINVAL where one is of a kind the call cannot take, such as a failed handle.

    """
    if record.arguments is None:
        call = SYSCALLS[record.op.call]
        given = values(record.op, variables)
        record.arguments = [call.parameter(position).cut(value) for position, value in enumerate(given)]
    return record.arguments


def values(op: Op, variables: dict[str, Value]) -> list[Value]:
    """Return the arguments of a call as they are written, for a kernel that cuts integers itself.

    Raises:
        KernelError: EINVAL where one is of a kind the call cannot take.

    """
    given = [evaluate(argument, variables) for argument in op.args]
    for position, value in enumerate(given):
        if not isinstance(value, SYSCALLS[op.call].parameter(position).types):
            raise KernelError(errno.EINVAL)
    return given
