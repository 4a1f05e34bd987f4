"""Scenarios for free runs, written as records: so that every call of the runner can be had, with any argument."""

import ast
import textwrap

from longpin.actors.constants import PROGRAM_CONSTANTS, SIGNALS
from longpin.actors.process.program import Const, Expression, Loop, Name, Op, Operation, Program, Statement
from longpin.config.schema import InitialFile, MachineSettings, PmemSet, PolicyChoice, ProcessSpec, Scenario
from longpin.messages.rdma.device import RdmaDevice

CONSTANTS = PROGRAM_CONSTANTS | {
    "PAGE": 4096,
    "SA_NODEFER": 0x40000000,
}
_OPERATORS: dict[type[ast.operator], str] = {ast.BitOr: "|", ast.Mult: "*", ast.Add: "+", ast.Sub: "-"}


def _expression(node: ast.expr) -> Expression:
    match node:
        case ast.Constant(value=value):
            return Const(value)  # type: ignore[arg-type]
        case ast.Name(id=name):
            return Const(CONSTANTS[name]) if name in CONSTANTS else Name(name)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)):
            return Const(-value)  # type: ignore[operator,arg-type]
        case ast.BinOp(left=left, op=operator, right=right):
            a, b = _expression(left), _expression(right)
            if isinstance(a, Const) and isinstance(b, Const) and isinstance(operator, ast.BitOr):
                return Const(a.value | b.value)  # type: ignore[operator]
            return Operation(_OPERATORS[type(operator)], a, b)
        case _:
            raise AssertionError(ast.dump(node))


def program(text: str) -> Program:
    """Return a program as the parser would, without its checks; lines are counted from 1."""
    lines = textwrap.dedent(text).strip().splitlines()

    def body(nodes: list[ast.stmt]) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for node in nodes:
            match node:
                case ast.For(target=ast.Name(id=name), iter=ast.Call(args=[ast.Constant(value=int() as turns)])):
                    found.append(Loop(node.lineno, name, turns, body(node.body)))
                case (
                    ast.Expr(value=ast.Call(func=ast.Name(id=call), args=args))
                    | ast.Assign(value=ast.Call(func=ast.Name(id=call), args=args))
                ):
                    target = node.targets[0].id if isinstance(node, ast.Assign) else None  # type: ignore[attr-defined]
                    text = lines[node.lineno - 1].strip()
                    found.append(Op(node.lineno, text, call, tuple(_expression(arg) for arg in args), target))
                case _:
                    raise AssertionError(ast.dump(node))
        return tuple(found)

    return Program(body(ast.parse("\n".join(lines)).body))


def scenario(files: tuple[str, ...] = ("/f",), /, **programs: str) -> Scenario:
    """Return a scenario of programs by process name.

    ``name__SIGIO`` is a handler of that process, ``name__35`` too. A process whose name begins with ``c_`` is forked.
    """
    specs = []
    for name, text in programs.items():
        if "__" in name:
            continue
        handlers = []
        for key, handler in programs.items():
            owner, _, signal = key.partition("__")
            if owner == name and signal:
                number = int(signal) if signal.isdigit() else CONSTANTS.get(signal, SIGNALS.get(signal, 0))
                handlers.append((number, program(handler)))
        start = "fork" if name.startswith("c_") else "now"
        specs.append(ProcessSpec(name, program(text), tuple(sorted(handlers, key=lambda pair: pair[0])), start=start))  # type: ignore[arg-type]
    return Scenario(
        name="by-hand",
        source="",
        summary="",
        policy=PolicyChoice("P0"),
        machine=MachineSettings(),
        pmem=(PmemSet("pmem0"),),
        devices=(RdmaDevice("rxe0"),),
        files=tuple(InitialFile(path, "pmem0", 8192) for path in files),
        folders=(),
        processes=tuple(specs),
        holds=("O3", "O7"),
        text="",
    )
