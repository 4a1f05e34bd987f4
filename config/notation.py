"""The notation of programs: system calls as C writes them, one to a line.

::

    fd = open("/pmem/data", O_RDWR)             # -> ok
    for i in range(3):
        fcntl(fd, F_SETLEASE, F_RDLCK)

Python's own parser reads the text; this module walks the tree and knows four things: a call, a call whose result goes
to a variable, a loop with a constant count, and a comment that states what the call must do. All else is refused by its
name, and nothing is ever executed. The text may be hostile, so it is measured (:mod:`longpin.config.program_text`)
before the parser, whose depth grows with it, sees it.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod

from longpin.actors import policies
from longpin.actors.constants import PROGRAM_CONSTANTS
from longpin.actors.process.program import Const, Expression, Loop, Op, Program, Statement
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Returning
from longpin.config import python_text
from longpin.config.call_rules import check_call, what_fits
from longpin.config.expectations import ARROW, Said, UnreadableError, read_comment
from longpin.config.expressions import RefusedError, phrase, read_expression
from longpin.config.problems import MOST_SHOWN, Problem, reason, shown
from longpin.config.program_text import ProgramText

MOST_OPS = 10_000
"""Calls in a program, loops written out."""
MOST_TURNS = 10_000
"""Turns of one loop."""
CALL_VARIABLES = (
    "si_fd",
    "si_signo",
    "pipe_w",
    "wait_status",
    "owner_type",
    "holder_pids",
    "event_mr",
    "event_cq",
    "event_srq",
)
"""What calls set beside their result: a signal's siginfo [semantics 1.12], a pipe's write end, a child's status, the
type of an owner, the region or queue an asynchronous event is about."""

_A_CALL = "a call such as close(fd)"


@dataclass(slots=True)
class Mention:
    """A name or string in a program that means something outside of it, and where it stands."""

    text: str
    line: int
    column: int
    takes: str = ""
    """Which constants can stand there; empty: any value."""
    origin: str = ""
    """Where the line was taken from, if it is not in the file itself."""


@dataclass(slots=True)
class Facts:
    """What a program names, for the checks across the programs of a scenario."""

    assigned: set[str] = field(default_factory=set)
    """Variables it assigns."""
    foreign: list[Mention] = field(default_factory=list)
    """Variables it uses that no line before assigns; each once."""
    forks: list[Mention] = field(default_factory=list)
    threads: list[Mention] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    waits: list[Mention] = field(default_factory=list)
    peers: list[Mention] = field(default_factory=list)
    """Processes named as receivers by send_fd and kill."""
    handled: list[tuple[int, Mention]] = field(default_factory=list)
    """Signals for which it installs a handler with sigaction."""


def parse_program(
    source: str,
    *,
    filename: str,
    where: str,
    starts: Sequence[tuple[int, int]] = ((1, 1),),
    origins: Mapping[int, str] | None = None,
    page_size: int = 4096,
    facts: Facts | None = None,
) -> tuple[Program, list[Problem]]:
    """Read one program.

    Args:
        source: its text.
        filename: for messages.
        where: the place in the scenario, for messages: ``process.app.program``.
        starts: line and column in the file, from 1, where each line of ``source`` begins; lines after the last of
            these count on from it.
        origins: of rows that are not in the file itself, where they were taken from, for messages.
        page_size: the value of PAGE in bytes.
        facts: filled with what the program names; names it does not assign itself are judged by the caller.

    Returns:
        The program without the lines that could not be read, and what is wrong with those, at most 100 problems.

    """
    text = ProgramText(source, starts, origins)
    reader = _Reader(text, filename, where, page_size, facts or Facts())
    return reader.read(), reader.problems


class _TooManyProblemsError(Exception):
    pass


class _Reader:
    """Walks the tree of one program and notes what is wrong with it."""

    def __init__(self, text: ProgramText, filename: str, where: str, page_size: int, facts: Facts) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._filename, self._where = filename, where
        self._constants = PROGRAM_CONSTANTS | policies.constants() | {"PAGE": page_size}
        self._facts = facts
        self._asked: set[str] = set()
        self._loops: dict[str, int] = {}
        """The variables of the loops around the line that is read, unless a call sets them too, and their counts."""
        self._turns_checked = 0
        self._last_end = 0

    def read(self) -> Program:
        try:
            return self._program()
        except _TooManyProblemsError:
            return Program()

    def _program(self) -> Program:
        tree = self._tree()
        if tree is None:
            return Program()
        statements, cost = self._body(tree.body)
        for row, (column, comment) in sorted(self._text.comments.items()):
            if ARROW in comment:
                self._problem(row, column, f"{_A_CALL} that ends on the line of its expectation", "no such call")
        if cost > MOST_OPS:
            self._problem(1, 0, f"at most {MOST_OPS} calls with all loops written out", str(cost))
        return Program(statements)

    def _tree(self) -> ast.Module | None:
        if self._text.obstacle:
            self._problem(*self._text.obstacle)
            return None
        try:
            return python_text.parse(self._text.source)
        except SyntaxError as error:
            row, column = error.lineno or 1, (error.offset or 1) - 1  # Python counts it from 1, in characters
            line = "".join(self._text.source.split("\n")[row - 1 : row])
            if line[column : column + 1] == "@":
                self._problem(row, column, "a role alone on its line, or behind NAME =", "one in another place")
            else:
                self._problem(row, column, "a program", f"an error ({reason(error.msg)})")
        except (ValueError, MemoryError, RecursionError) as error:
            self._problem(1, 0, "a program", f"an error ({reason(str(error)) or 'nested too deeply'})")
        return None

    def _problem(self, row: int, column: int, expected: str, found: str) -> None:
        origin = self._text.origin(row)
        line, column = self._text.place(row, 0 if origin else column)
        self.problems.append(Problem(self._filename, line, column, self._where, expected, found + origin))
        if len(self.problems) >= MOST_SHOWN:
            raise _TooManyProblemsError

    def _mention(self, text: str, node: ast.expr, takes: str = "") -> Mention:
        origin = self._text.origin(node.lineno)
        column = 0 if origin else self._text.characters(node.lineno, node.col_offset)
        return Mention(text, *self._text.place(node.lineno, column), takes, origin)

    def _body(self, nodes: list[ast.stmt]) -> tuple[tuple[Statement, ...], int]:
        """Read the statements of a program or loop; return them with the number of calls they make."""
        statements: list[Statement] = []
        total = 0
        for node in nodes:
            try:
                if node.lineno == self._last_end:
                    raise RefusedError(node, "one call on a line", "a second one")
                statement, cost = self._loop(node) if isinstance(node, ast.For) else (self._op(node), 1)
                statements.append(statement)
                total += cost
            except RefusedError as refused:
                column = self._text.characters(refused.line, refused.offset)
                self._problem(refused.line, column, refused.expected, refused.found)
                self._forgive(node)
            self._last_end = node.end_lineno or 0
        return tuple(statements), total

    def _forgive(self, node: ast.stmt) -> None:
        """Let a statement that could not be read cause no second problem: by its expectation, or by its variable."""
        self._text.comments.pop(node.end_lineno or 0, None)
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.For(target=ast.Name(id=name)):
                self._facts.assigned.add(name)

    def _loop(self, node: ast.For) -> tuple[Loop, int]:
        match node:
            case ast.For(
                target=ast.Name() as target,
                iter=ast.Call(func=ast.Name(id="range"), args=[turns], keywords=[]),
                orelse=[],
            ):
                pass
            case _:
                raise RefusedError(node, "a loop such as for i in range(3):", "another kind of for loop")
        count = self._expression(turns)
        match count:
            case Const(value=int() as number) if 0 <= number <= MOST_TURNS:
                variable = self._assign(target)
                self._loops[variable] = number
                body, cost = self._body(node.body)
                self._loops.pop(variable, None)
                return Loop(self._text.place(node.lineno, 0)[0], variable, number, body), number * max(1, cost)
            case _:
                found = shown(count.value) if isinstance(count, Const) else "an expression with variables"
                raise RefusedError(turns, f"a constant from 0 to {MOST_TURNS}", found)

    def _turns(self, names: set[str]) -> Iterator[dict[str, int]]:
        """Yield the values of these variables in every turn of the loops around, up to the longest program allowed."""
        counts = {name: count for name, count in self._loops.items() if name in names}
        self._turns_checked += prod(counts.values())
        if self._turns_checked > MOST_OPS:  # then the program is refused for its length
            yield {}
            return
        for values in product(*(range(count) for count in counts.values())):
            yield dict(zip(counts, values, strict=True))

    def _op(self, node: ast.stmt) -> Op:
        target: ast.Name | None = None
        match node:
            case ast.Expr(value=value):
                pass
            case ast.Assign(targets=[ast.Name() as target], value=value):
                pass
            case ast.Assign():
                raise RefusedError(node, "one variable on the left of =", "something else")
            case _:
                raise RefusedError(node, _A_CALL, phrase(node))
        match value:
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                pass
            case ast.Call(func=ast.Name(), keywords=[keyword, *_]):
                raise RefusedError(keyword, "arguments by position", "a keyword argument")
            case ast.Call(func=function):
                raise RefusedError(function, "the name of a call", phrase(function))
            case _:
                raise RefusedError(value, _A_CALL + (" on the right of =" if target else ""), phrase(value))
        given = [self._expression(argument, what_fits(name, place)) for place, argument in enumerate(value.args)]
        args = check_call(value, name, tuple(given), self._turns)
        self._note(name, args, value)
        text = self._text.statement(node)  # before its comment is taken
        said = self._expectations(node.end_lineno or node.lineno, name)
        op = Op(
            line=self._text.place(node.lineno, 0)[0],
            text=text,
            call=name,
            args=args,
            target=self._target(target) if target else None,
            expectations=said.expectations,
            place=f"{self._where}, row {node.lineno}",
            uses=said.uses,
        )
        if op.handler_installed is not None:
            self._facts.handled.append((op.handler_installed, self._mention("SIG_HANDLER", value.args[1])))
        return op

    def _expression(self, node: ast.expr, takes: str = "") -> Expression:
        expression = read_expression(node, self._constants)
        settled = (self._constants, self._facts.assigned, self._asked)
        for name in ast.walk(node):
            if isinstance(name, ast.Name) and not any(name.id in known for known in settled):
                self._asked.add(name.id)
                self._facts.foreign.append(self._mention(name.id, name, takes))
        return expression

    def _target(self, target: ast.Name) -> str:
        """Return the variable that takes a call's result: it is no longer a loop's."""
        self._loops.pop(target.id, None)
        return self._assign(target)

    def _assign(self, target: ast.Name) -> str:
        if target.id in self._constants:
            raise RefusedError(target, "a variable to assign to", f"the constant {target.id}")
        if target.id in CALL_VARIABLES:
            raise RefusedError(target, "a variable to assign to", f"{target.id}, which only calls and signals set")
        self._facts.assigned.add(target.id)
        return target.id

    def _note(self, name: str, args: tuple[Expression, ...], node: ast.Call) -> None:
        """Remember what a call refers to outside of its program."""
        for parameter, arg, written in zip(SYSCALLS[name].parameters, args, node.args, strict=False):
            if isinstance(arg, Const) and isinstance(arg.value, str):
                if "program" in parameter.kinds:
                    self._facts.forks.append(self._mention(arg.value, written))
                elif "thread" in parameter.kinds:
                    self._facts.threads.append(self._mention(arg.value, written))
                elif "process" in parameter.kinds:
                    self._facts.peers.append(self._mention(arg.value, written))
                elif "new label" in parameter.kinds:
                    self._facts.labels.add(arg.value)
                elif "label" in parameter.kinds:
                    self._facts.waits.append(self._mention(arg.value, written))

    def _expectations(self, row: int, call: str) -> Said:
        column, comment = self._text.comments.pop(row, (0, ""))
        try:
            found = read_comment(comment, self._constants)
        except UnreadableError as unreadable:
            self._problem(row, column + unreadable.offset, unreadable.expected, unreadable.found)
            return Said()
        returning = SYSCALLS[call].returning
        wanted = [*found.expectations, *(expectation for _, expectation in found.uses)]
        if wanted and returning is Returning.NEVER:
            self._problem(row, column, "an expectation of a call that may return", f"one of {call}, which never does")
        elif returning is Returning.ON_FAILURE and not all(expectation.allows_no_return for expectation in wanted):
            self._problem(row, column, f"blocks or hangs of {call}, which never returns", "another outcome")
        return found
