"""A scenario as data for the runner in C: numbers and texts, which ``scenario.c`` reads and checks again.

Whatever comes from the scenario is data. Loops are written out; variables, labels, programs and processes get numbers;
paths become relative ones that stay below the folder of a run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from longpin.actors.process.program import Const, Expression, Name, Op, Program, Statement
from longpin.actors.syscalls.files import as_bytes
from longpin.config.schema import ProcessSpec, Scenario
from longpin.runner.races.offers import folders, inside, label_names, letters, programs_of, variable_names

VERSION = 2
OWN_VARIABLES = ("si_signo", "si_fd", "pipe_w", "wait_status")
"""What calls and signals set, in the runner's order."""

_DEFAULT = ProcessSpec("", Program())
_NONE, _NUMBER, _TEXT, _PROCESS = range(4)
_CONSTANT, _VARIABLE = 0, 1
_OPERATORS = {"|": 2, "*": 3, "+": 4, "-": 5}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A scenario as the runner gets it, and what its answers refer to."""

    data: bytes
    """All but the orders for the runs."""
    programs: tuple[tuple[Op, ...], ...]
    """Each program with its loops written out, by the runner's number."""
    names: tuple[str, ...]
    """The processes, by the runner's number."""

    def orders(self, *, runs: int, seed: int, milliseconds: int, folder: str, nonce: str) -> bytes:
        """Return what to write to the runner.

        Args:
            runs: how many runs.
            seed: of the delays.
            milliseconds: that one run may take.
            folder: where each run makes its own.
            nonce: up to 32 letters that no other runner on the machine has.

        """
        words: list[int | bytes] = [VERSION, runs, seed, milliseconds, _text(folder), _text(nonce)]
        return _line(words) + self.data


@dataclass(slots=True)
class _Instruction:
    """A call, and the loop variables that get a value before it."""

    op: Op
    constants: dict[str, int]


def encode(scenario: Scenario) -> Encoded:
    """Return a scenario as the runner gets it; :func:`~longpin.runner.races.offers.refuse` has seen it before."""
    return _Encoder(scenario).encode()


def _line(words: list[int | bytes]) -> bytes:
    return b" ".join(word if isinstance(word, bytes) else b"%d" % word for word in words) + b"\n"


def _text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return b"%d:%b" % (len(data), data)


def _unroll(statements: tuple[Statement, ...], constants: dict[str, int]) -> Iterator[_Instruction]:
    """Yield the calls; ``constants`` holds what loop variables have become since the last one."""
    for statement in statements:
        if isinstance(statement, Op):
            yield _Instruction(statement, dict(constants))
            constants.clear()
        else:
            for index in range(statement.count):
                constants[statement.variable] = index
                yield from _unroll(statement.body, constants)


class _Encoder:
    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        own = set(OWN_VARIABLES)
        named = [name for name in variable_names(scenario) if name not in own]
        self._variables: Mapping[str, int] = {name: n for n, name in enumerate([*OWN_VARIABLES, *named])}
        self._labels = {name: n for n, name in enumerate(label_names(scenario))}
        self._images = {process.name: n for n, process in enumerate(scenario.processes)}
        self._programs: list[tuple[Op, ...]] = []
        self._program_lines: list[bytes] = []

    def encode(self) -> Encoded:
        scenario = self._scenario
        below = folders(scenario)
        head = _line([len(below), *(_text(folder) for folder in below)])
        head += _line([len(scenario.files)])
        for file in scenario.files:
            head += _line([_text(inside(file.path)), file.size, file.mode])
        images = b"".join(self._image(process) for process in scenario.processes)
        head += _line([len(self._programs)]) + b"".join(self._program_lines)
        names = tuple(process.name for process in scenario.processes)
        return Encoded(head + _line([len(names)]) + images, tuple(self._programs), names)

    def _image(self, process: ProcessSpec) -> bytes:
        numbers = [self._program(program) for _, program in programs_of(process)]
        installed_later = process.program.handlers_installed()
        # What it has by default is no different from what this machine gives.
        sigpending = -1 if process.sigpending == _DEFAULT.sigpending else process.sigpending
        words: list[int | bytes] = [numbers[0], int(process.start == "fork"), sigpending, len(process.on_signal)]
        for (signo, _), number in zip(process.on_signal, numbers[1:], strict=True):
            words += [signo, number, int(signo not in installed_later)]
        return _line(words)

    def _program(self, program: Program) -> int:
        instructions = list(_unroll(program.statements, {}))
        text = _line([len(instructions)])
        text += b"".join(self._instruction(instruction) for instruction in instructions)
        self._programs.append(tuple(instruction.op for instruction in instructions))
        self._program_lines.append(text)
        return len(self._programs) - 1

    def _instruction(self, instruction: _Instruction) -> bytes:
        op = instruction.op
        target = -1 if op.target is None else self._variables[op.target]
        words: list[int | bytes] = [_text(op.call), target, len(instruction.constants)]
        for name, value in instruction.constants.items():
            words += [self._variables[name], value]
        words.append(len(op.args))
        for letter, argument in zip(letters(op), op.args, strict=False):
            words += self._argument(letter, argument)
        return _line(words)

    def _argument(self, letter: str, argument: Expression) -> list[int | bytes]:
        match letter, argument:
            case _, Const(value=None):
                return [_NONE]
            case "p", Const(value=str() as path):
                return [_TEXT, _text(inside(path))]
            case "b", Const(value=(str() | bytes()) as data):
                return [_TEXT, _text(as_bytes(data))]
            case (("F" | "P"), Const(value=str() as name)):
                return [_PROCESS, self._images[name]]
            case "L", Const(value=str() as name):
                return [_NUMBER, 1, _CONSTANT, self._labels[name]]
            case "s", Const(value=(int() | float()) as seconds):
                # Time stands still in a run: a timeout is none, one that never comes, or a mistake.
                return [_NUMBER, 1, _CONSTANT, (seconds > 0) - (seconds < 0)]
            case _:
                tokens = list(self._tokens(argument))
                return [_NUMBER, len(tokens), *(word for token in tokens for word in token)]

    def _tokens(self, expression: Expression) -> Iterator[tuple[int, ...]]:
        """Yield an expression with operators after their operands."""
        if isinstance(expression, Const):
            assert isinstance(expression.value, int)
            yield (_CONSTANT, expression.value)
        elif isinstance(expression, Name):
            yield (_VARIABLE, self._variables[expression.name])
        else:
            yield from self._tokens(expression.left)
            yield from self._tokens(expression.right)
            yield (_OPERATORS[expression.op],)
