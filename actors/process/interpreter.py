"""The interpreter of programs: loops and expressions, calls one after the other, handlers of signals between them.

It is the same for every kernel a program runs on: the processes of the emulator
(:mod:`longpin.actors.process.process`), those that conformance programs drive, which are the same, and real ones
(:mod:`longpin.runner.host.program`).
"""

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from types import GeneratorType
from typing import Any, TypeVar

from longpin.actors.conversation import KernelError
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.process_state import Exec, Exit, Value
from longpin.actors.process.program import Const, Expression, Image, Name, Op, Program, Statement
from longpin.actors.process.signal_mask import Frame, SignalMask, is_made_again
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.parameter import Parameter

EXITS, SIGRETURN = "exit", "sigreturn"
"""The call that a program makes after its last line, and that of a handler."""

T = TypeVar("T")
Steps = Generator[Any, Any, T]
"""What waits in the way of a kernel: its requests are yielded, their answers sent."""


class Interpreter(ABC):
    """Runs the programs of one thread.

    What is common to all kernels is here: the order in which calls are made, taken up again after signals, and
    interrupted by handlers [1.12]. What a call does and which signals come is the kernel's.
    """

    image: Image
    variables: dict[str, Value]
    handler_programs: dict[int, Program]
    """The program of each signal's handler."""
    mask: SignalMask
    handling: list[Frame]
    """The handlers that run, the innermost last."""
    calls: list[CallRecord]
    """Those that have not returned: the program's, then that of a handler which interrupted it."""

    # The kernel.

    @abstractmethod
    def implementation(self, call: str) -> Callable[..., Any]:
        """Return what makes a call: given the arguments, it returns a value or steps to one."""

    def schedule_point(self, call: str) -> Any:  # noqa: B027 a kernel need not
        """Return the request that lets others get in before ``call`` is made; None: they get in at any time."""

    @abstractmethod
    def get_signals(self) -> Steps[list[Frame]]:
        """Take every signal that is not blocked; return the handlers to run, in the order in which signals were taken.

        Raises:
            Exit: one of them kills.

        """

    @abstractmethod
    def mask_changed(self) -> Iterable[Any]:
        """Let the kernel know that a handler's end has changed the mask; return what has to be waited for."""

    @abstractmethod
    def replace_image(self, image: Image) -> Iterable[Any]:
        """Go on with another program; return what has to be waited for."""

    @abstractmethod
    def end(self, end: Exit) -> Steps[None]:
        """Die."""

    def program_over(self) -> Exit:
        """Return how it dies after the last line of its program."""
        return Exit(0)

    def call_cut(self, record: CallRecord) -> None:  # noqa: B027 a kernel need not
        """Note that a call will never return, because the process ends or is replaced in it."""

    @abstractmethod
    def handler_entered(self, frame: Frame) -> None:
        """Note that a handler is entered."""

    @abstractmethod
    def handler_returned(self) -> None:
        """Note that the handler entered last has returned."""

    def restart_decided(self, again: bool) -> None:  # noqa: B027 a kernel need not
        """Note whether an interrupted call is made again, before handlers run."""

    def before_attempt(self) -> None:  # noqa: B027 a kernel need not
        """Note that a call is made, for the first time or again."""

    def after_attempt(self, record: CallRecord) -> Iterable[Any]:
        """Return what is waited for after a call, whether it will be made again or not."""
        return ()

    def before_restart(self, record: CallRecord, frames: list[Frame]) -> Iterable[Any]:
        """Return what is waited for before a call is made again, after these handlers."""
        return ()

    # Programs.

    def run(self) -> Steps[None]:
        """Run the program, and those that replace it, to the end of the process."""
        end: Exit | None = None
        while end is None:
            try:
                yield from self.execute(self.image.program, EXITS)
                end = self.program_over()
            except Exec as replaced:
                self.handling.clear()
                yield from self.replace_image(replaced.image)
            except Exit as exit_:
                end = exit_
        yield from self.end(end)

    def execute(self, program: Program, then: str) -> Steps[None]:
        """Run a program, the main one or a handler's; ``then`` is the call it ends with.

        Before each call, and before that one, the process is in user space.
        """
        for op in unroll(program.statements, self.variables):
            yield from self.in_user_space(op.call)
            yield from self.make_call(op)
        yield from self.in_user_space(then)

    def in_user_space(self, call: str) -> Steps[None]:
        """Let others get in before ``call`` is made, and run the handlers of the signals they sent."""
        frames: list[Frame] | None = None
        while frames is None or frames:
            if (point := self.schedule_point(call)) is not None:
                yield point
            frames = yield from self.get_signals()
            if frames:
                yield from self.run_handlers(frames)

    def run_handlers(self, frames: list[Frame]) -> Steps[None]:
        """Run handlers, the last one taken first."""
        for frame in reversed(frames):
            self.handling.append(frame)
            self._show(frame)
            self.handler_entered(frame)
            yield from self.execute(self.handler_programs[frame.signal.signo], SIGRETURN)
            self.handling.pop()
            self.handler_returned()
            self.mask.pop(frame)
            yield from self.mask_changed()
            if self.handling:
                self._show(self.handling[-1])

    def _show(self, frame: Frame) -> None:
        """Set what a handler finds in its ``siginfo_t``."""
        self.variables |= {"si_signo": frame.signal.signo, "si_fd": frame.signal.si_fd}

    # Calls.

    def make_call(self, op: Op) -> Steps[None]:
        """Make one call, again if a signal interrupted it and it is to be restarted."""
        record = self.begin_call(op)
        try:
            again = True
            while again:
                self.before_attempt()
                value: Value = -1
                try:
                    record.errno = 0
                    result = self.implementation(op.call)(*arguments(record, self.variables))
                    value = (yield from result) if type(result) is GeneratorType else result
                except KernelError as error:
                    record.errno = error.errno
                yield from self.after_attempt(record)
                again = record.errno == errno.EINTR and (yield from self._interrupted(record, value))
        except (Exit, Exec):
            if not record.returned:
                self.calls.pop()
                self.call_cut(record)
            raise
        if not record.returned:
            self.end_call(record, value)

    def begin_call(self, op: Op) -> CallRecord:
        """Note that a call is made."""
        record = CallRecord(op)
        self.calls.append(record)
        return record

    def _interrupted(self, record: CallRecord, value: Value) -> Steps[bool]:
        """Take the signals that ended a call; return whether it is made again [1.12].

        If it is not, it has returned, and its variable is set, before a handler runs.
        """
        if (point := self.schedule_point(record.op.call)) is not None:
            yield point
        frames = yield from self.get_signals()
        again = is_made_again(SYSCALLS[record.op.call].restart, frames)
        self.restart_decided(again)
        if not again:
            self.end_call(record, value)
        yield from self.run_handlers(frames)
        if again:
            yield from self.before_restart(record, frames)
        return again

    def end_call(self, record: CallRecord, value: Value) -> None:
        """Note that a call has returned, and set the program's variable."""
        record.ret = value if isinstance(value, int) else repr(value) if isinstance(value, bytes) else 0
        record.value = value
        record.returned = True
        assert self.calls.pop() is record
        if record.op.target is not None:
            self.variables[record.op.target] = value


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
        record.arguments = [parameter.cut(value) for parameter, value in _given(record.op, variables)]
    return record.arguments


def values(op: Op, variables: dict[str, Value]) -> list[Value]:
    """Return the arguments of a call as they are written, for a kernel that cuts integers itself.

    Raises:
        KernelError: EINVAL where one is of a kind the call cannot take.

    """
    return [value for _, value in _given(op, variables)]


def _given(op: Op, variables: dict[str, Value]) -> list[tuple[Parameter, Value]]:
    given: list[tuple[Parameter, Value]] = []
    for parameter, argument in zip(SYSCALLS[op.call].parameters_of(len(op.args)), op.args, strict=True):
        value = evaluate(argument, variables)
        if not isinstance(value, parameter.types):
            raise KernelError(errno.EINVAL)
        given.append((parameter, value))
    return given
