"""Writes a scenario as one C file."""

import textwrap
from collections.abc import Iterator

from longpin.actors.constants import ERRNO_NAMES, ERRNOS, PROGRAM_CONSTANTS, signal_name
from longpin.actors.process.program import Const, Loop, Name, Op, Outcome, Program, Statement
from longpin.actors.syscalls import SYSCALLS
from longpin.config.schema import ProcessSpec, Scenario
from longpin.runner.c_source.calls import LARGEST_READ, Writer
from longpin.runner.c_source.order import RunOrder, turns_of
from longpin.runner.c_source.pieces import pieces, with_needs
from longpin.runner.c_source.text import c_string, in_comment
from longpin.runner.judging.invariants.errnos import applicable
from longpin.runner.races.offers import folders, inside

FIRST_NUMBER = 100
KERNEL = "P0:as_posted"
"""The policy whose expectations hold for an unmodified kernel."""

_ALWAYS = ("errno.h", "fcntl.h", "ftw.h", "signal.h", "stdio.h", "stdlib.h", "string.h", "sys/mman.h", "sys/prctl.h",
           "sys/resource.h", "sys/stat.h", "sys/types.h", "sys/wait.h", "time.h", "unistd.h")  # fmt: skip
_SI = ("si_signo", "si_fd")
_FORCED = {PROGRAM_CONSTANTS["SIGSEGV"], PROGRAM_CONSTANTS["SIGBUS"]}
_WIDTH = 110


def write_c(scenario: Scenario, order: RunOrder | None = None) -> str:
    """Return a C file that makes the calls of a scenario in real processes and checks what it expects of them.

    It compiles without a warning under ``cc -Wall -Wextra -O2``. Of the expectations, those for every policy and for P0
    are checked: an unmodified kernel follows no other.

    Args:
        scenario: which.
        order: a run of it: the calls are made in its order, as far as the kernel goes along.

    """
    return _File(scenario, order).text()


class _File:
    def __init__(self, scenario: Scenario, order: RunOrder | None) -> None:
        self._scenario = scenario
        self._order = order
        self._writer = Writer()
        self._writer.need("events", "state_of")
        if order is not None:
            self._writer.need("order")
        self._statements: list[tuple[int, str, Op]] = []
        """The number of each call that is made, the process, and the call."""
        self._left_out: list[tuple[int, str, str]] = []
        self._numbers = self._number_statements()
        for process in scenario.processes:
            self._writer.programs.add(process.name)
        self._buffers()

    def _number_statements(self) -> dict[int, int]:
        """Return the number of each call by its identity: its line, if no two share one."""
        ops = [op for process in self._scenario.processes for op in _operations(process)]
        lines = [op.line for op in ops]
        numbers = lines if len(set(lines)) == len(lines) else range(1, len(ops) + 1)
        return {id(op): number for op, number in zip(ops, numbers, strict=True)}

    def _buffers(self) -> None:
        """Give a buffer to each variable whose data is written somewhere."""
        for process in self._scenario.processes:
            for op in _operations(process):
                call = SYSCALLS[op.call]
                for parameter, argument in zip(call.parameters, op.args, strict=False):
                    if call.on_host and parameter.is_data and isinstance(argument, Name):
                        name = argument.name
                        self._writer.buffers[name] = self._writer.variables[name].replace("v_", "data_", 1)

    def text(self) -> str:
        """Return the file."""
        programs = "\n\n".join(self._process(process) for process in self._scenario.processes)
        main = self._main()
        if "handlers" in self._writer.helpers or "sigtimedwait" in self._writer.helpers:
            for name in _SI:
                self._writer.variables.add(name)
        if "pipe" in self._writer.helpers:
            self._writer.variables.add("pipe_w")
        if "waitpid" in self._writer.helpers:
            self._writer.variables.add("wait_status")
        if "get_owner_ex" in self._writer.helpers:
            self._writer.variables.add("owner_type")
        parts = [
            self._head(),
            self._includes(),
            self._definitions(),
            self._turns(),
            *self._helpers(),
            *self._forking(),
            programs,
            self._tables(),
            main,
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    # The beginning.

    def _head(self) -> str:
        scenario = self._scenario
        lines = [in_comment(scenario.name), ""]
        for text in (scenario.summary, scenario.source and f"Source: {scenario.source}"):
            if text:
                lines += [*textwrap.wrap(in_comment(text), _WIDTH), ""]
        lines += [
            "The same system calls in real processes, on the kernel that runs this. Each call stands under its line in",
            "the scenario, with what it must do. Files are made in a folder of their own, which is removed afterwards.",
            "",
            "\tcc -Wall -Wextra -O2 -o race race.c && ./race [SECONDS]",
            "",
            "SECONDS: how long nothing may happen before the rest is said to sleep for ever. Exit status: 0 everything",
            "was as expected, 1 something was not, 3 a line with an expectation was not reached.",
        ]
        if any(pmem.dax for pmem in scenario.pmem):
            lines += [
                "",
                "In the scenario files lie on FS-DAX. Where FOLDER is on none, nobody waits for a page of a file that",
                "is pinned or referenced; to have it there: -DFOLDER='\"/mnt/pmem/race-XXXXXX\"'.",
            ]
        if self._order is not None:
            lines += ["", *self._about(self._order)]
        seconds = scenario.machine.lease_break_time
        if any(op.call == "fcntl" for process in scenario.processes for op in _operations(process)):
            lines += ["", f"The scenario has a lease-break-time of {seconds:g} s (sysctl fs.lease-break-time)."]
        if self._left_out:
            lines += ["", "What an unmodified kernel does not offer, or C does not say, is left out:"]
            lines += [f"line {line}: {in_comment(text)}: {reason}" for line, text, reason in self._left_out]
        return "/*\n" + "\n".join(f" * {line}".rstrip() for line in lines) + "\n */"

    @staticmethod
    def _about(order: RunOrder) -> Iterator[str]:
        for paragraph in order.about:
            yield from textwrap.wrap(in_comment(paragraph), _WIDTH)
        yield ""
        yield "Calls begin and return in the order of that run. Where the kernel does not go along (a call sleeps that"
        yield "did not, or a signal is taken sooner), nothing happens for SECONDS, then all go on as they like, and the"
        yield "exit status is 3 at best. What a call failed with in the run and does not here is said."

    def _includes(self) -> str:
        headers = {*_ALWAYS, *self._writer.headers}
        for name in self._pieces():
            headers.update(pieces()[name].headers)
        return "#define _GNU_SOURCE\n" + "\n".join(f"#include <{header}>" for header in sorted(headers))

    def _definitions(self) -> str:
        writer = self._writer
        lines = [
            "#define MOST_PROCESSES 64",
            "#define MOST_EVENTS 16384",
            f"#define FIRST_NUMBER {FIRST_NUMBER}",
            f"#define LABELS {len(writer.labels.items())}",
        ]
        if "PAGE" in writer.constants:
            lines.append(f"#define PAGE {self._scenario.machine.page_size}L")
        if "F_LAYOUT" in writer.constants:
            lines.append("#define F_LAYOUT 16\t\t/* of the RFC; a released kernel says EINVAL */")
        lines += ["", "enum program { " + ", ".join(name for _, name in writer.programs.items()) + " };"]
        if writer.labels.items():
            lines += ["enum label { " + ", ".join(name for _, name in writer.labels.items()) + " };"]
        variables = writer.variables.items()
        if variables:
            names = ", ".join(f"{name} = -1" for _, name in variables)
            text = textwrap.fill(f"static volatile long {names};", _WIDTH, subsequent_indent="\t")
            lines += ["", "/* The variables of the programs; each process has copies. */", text]
        buffers = sorted({*writer.buffers.values(), *(["buffer"] if "data" in writer.helpers else [])})
        lines += [f"static char {name}[{LARGEST_READ}];" for name in buffers]
        lines += ["", "#ifndef FOLDER", '#define FOLDER "/tmp/race-XXXXXX"', "#endif", "static char folder[] = FOLDER;"]
        return "\n".join(lines)

    def _pieces(self) -> list[str]:
        """Return the pieces that the calls need, but for those that start processes."""
        return [name for name in with_needs(self._writer.helpers) if name not in ("fork", "exec")]

    def _helpers(self) -> Iterator[str]:
        """Yield the pieces that the calls need; what is shared has room for the order, if there is one."""
        if self._order is None:
            words = {"turns": "", "let_signals": ""}
        else:
            words = {"turns": pieces()["turns"].code, "let_signals": "\tlet_signals();"}
        for name in self._pieces():
            piece = pieces()[name]
            yield piece.filled(**words) if name in ("events", "handlers") else piece.code

    def _turns(self) -> str:
        """Return the order of the calls."""
        if self._order is None:
            return ""
        numbers = {(op.line, op.text): number for number, _, op in self._statements}
        rows = []
        for turn in turns_of(self._scenario, self._order, numbers):
            error = ERRNO_NAMES[turn.error] if turn.error else "0"
            fields = (turn.process, turn.kind.value, turn.number, error, int(turn.handler), int(turn.holds))
            rows.append(f"\t{{ {', '.join(map(str, fields))} }},")
        return (
            "/* Whose turn it is: a call begins or returns, by its line (0: the program is over), or a process ends.\n"
            " * And the error that the call had in the run, if it is a handler's, and if signals are held back. */\n\n"
            "enum kind { BEGINS, RETURNS, ENDS };\n\n"
            "static const struct turn {\n\tlong process;\n\tenum kind kind;\n"
            "\tint line, error, handler, holds;\n} turns[] = {\n"
            + "\n".join(rows or ["\t{ 0, ENDS, 0, 0, 0, 0 },\t/* nothing was done */"])
            + "\n};\n\n#define TURNS ((int)(sizeof(turns) / sizeof(turns[0])))"
        )

    def _forking(self) -> Iterator[str]:
        """Yield what starts processes: it knows the table of programs, which stands behind them."""
        inbox = "\t\topen_inbox();" if self._passes() else ""
        yield pieces()["starting"].filled(open_inbox=inbox)
        if "fork" in self._writer.helpers:
            yield pieces()["fork"].filled(open_inbox=inbox)
        if "exec" in self._writer.helpers:
            listed = textwrap.fill(", ".join(f"&{name}" for _, name in self._writer.variables.items()), _WIDTH - 8)
            yield pieces()["exec"].filled(variable_list=textwrap.indent(listed, "\t"))

    def _passes(self) -> bool:
        return bool({"send_fd", "recv_fd"} & self._writer.helpers)

    # The programs.

    def _process(self, process: ProcessSpec) -> str:
        own = self._handler_names(process)
        later = process.program.handlers_installed()
        self._writer.handlers = self._inherited_handlers(process) | own
        parts = [self._handler(process, signo, program, own[signo]) for signo, program in process.on_signal]
        name = self._writer.programs[process.name]
        lines = []
        for signo, _ in process.on_signal:
            if signo not in later:
                self._writer.need("handlers")
                lines.append(f"set_handler({_signal(signo)}, {own[signo]}, 0);")
        if process.uid:
            lines.append(f"if (setgid({process.uid}) || setuid({process.uid}))\n\t_exit(97);")
        if process.capabilities is not None:
            lines.append(
                f"/* The scenario gives it {', '.join(process.capabilities) or 'no capability'}; this does not. */"
            )
        lines.append("ready();")
        body = "\n".join(lines) + "\n" + self._body(process.program.statements, process.name)
        head = f"/* The process {in_comment(process.name)}. */\n\nstatic void run_{name}(void)"
        parts.append(f"{head}\n{{\n{textwrap.indent(body, chr(9)).rstrip()}\n}}")
        return "\n\n".join(parts)

    def _handler_names(self, process: ProcessSpec) -> dict[int, str]:
        name = self._writer.programs[process.name]
        return {signo: f"{name}_{signal_name(signo).replace('+', '_')}" for signo, _ in process.on_signal}

    def _inherited_handlers(self, process: ProcessSpec) -> dict[int, str]:
        """Return the handlers a child has from who forks it; where several do, from the first."""
        found: dict[int, str] = {}
        for parent in self._scenario.processes:
            forks = (op for op in _operations(parent) if op.call in ("fork", "exec"))
            if parent is not process and any(op.args[0] == Const(process.name) for op in forks):
                found = self._handler_names(parent) | found
        return found

    def _handler(self, process: ProcessSpec, signo: int, program: Program, name: str) -> str:
        self._writer.need("handlers")
        body = self._body(program.statements, process.name)
        leave = "leave_handler(before);"
        if signo in _FORCED:
            self._writer.need("memory")
            leave += "\nif (accessing) {\n\taccessing = 0;\n\tsiglongjmp(fault, 1);\n}"
        lines = f"struct interrupted before = enter_handler(signo, info);\n\n(void)context;\n{body.rstrip()}\n{leave}"
        head = f"static void {name}(int signo, siginfo_t *info, void *context)"
        about = f"/* The handler of {_signal(signo)} in {in_comment(process.name)}. */"
        return f"{about}\n\n{head}\n{{\n{textwrap.indent(lines, chr(9))}\n}}"

    def _body(self, statements: tuple[Statement, ...], process: str, depth: int = 0) -> str:
        parts = []
        for statement in statements:
            if isinstance(statement, Loop):
                index, variable = f"i{depth}", self._writer.variables[statement.variable]
                inside_ = f"{variable} = {index};\n" + self._body(statement.body, process, depth + 1).lstrip("\n")
                head = f"for (int {index} = 0; {index} < {statement.count}; {index}++) {{"
                parts.append(f"\n{head}\n{textwrap.indent(inside_, chr(9)).rstrip()}\n}}\n")
            else:
                parts.append(self._statement(statement, process))
        return "".join(parts)

    def _statement(self, op: Op, process: str) -> str:
        number = self._numbers[id(op)]
        call = self._writer.call(op)
        expected = self._expected_text(op)
        comment = f"{number}: {in_comment(op.text)}" + (f"  -> {expected}" if expected else "")
        if call.note:
            comment += f" ({call.note})"
        if call.missing:
            self._left_out.append((number, op.text, call.missing))
            return f"\n/* {comment}\n * Left out: {in_comment(call.missing)}. */\n"
        self._statements.append((number, process, op))
        made = f"CALL_DATA({number}, {call.data}, {call.code})" if call.data else f"CALL({number}, {call.code})"
        target = f"{self._writer.variables[op.target]} = " if op.target is not None else ""
        return f"\n/* {comment} */\n{target}{made};\n"

    @staticmethod
    def _expected_text(op: Op) -> str:
        wanted = applicable(op.expectations, KERNEL, "")
        return in_comment(", ".join(str(outcome) for outcome in wanted.outcomes)) if wanted is not None else ""

    # The end.

    def _tables(self) -> str:
        rows = [self._row(number, op) for number, _, op in self._statements]
        names = [
            f"\t{{ {c_string(process.name)}, run_{name}, {int(process.start == 'now')} }},"
            for process in self._scenario.processes
            if (name := self._writer.programs[process.name])
        ]
        statements = "\n".join(rows) or "\t{ .line = -1 },"
        return (
            "/* What each call must do, by its line. */\n\n"
            + pieces()["statements"].code
            + f"\n\nstatic const struct statement statements[] = {{\n{statements}\n}};\n\n"
            + "static const struct {\n\tconst char *name;\n\tvoid (*run)(void);\n\tint starts;\n"
            + "} programs[] = {\n"
            + "\n".join(names)
            + "\n};"
        )

    def _row(self, number: int, op: Op) -> str:
        fields = [f".line = {number}", f".text = {c_string(op.text)}"]
        wanted = applicable(op.expectations, KERNEL, "")
        for outcome in wanted.outcomes if wanted is not None else ():
            fields += self._expected_fields(outcome)
        if wanted is not None:
            if wanted.optional:
                fields.append(".optional = 1")
            fields.append(f".expected = {c_string(', '.join(str(outcome) for outcome in wanted.outcomes))}")
        return f"\t{{ {', '.join(fields)} }},"

    @staticmethod
    def _expected_fields(outcome: str | int) -> list[str]:
        match outcome:
            case Outcome.BLOCKS | Outcome.HANGS | Outcome.OK:
                return [f".{outcome} = 1"]
            case int():
                return [".returns = 1", f".value = {outcome}L" if outcome != -(1 << 63) else ".value = -LONG_MAX - 1"]
            case str() if outcome in ERRNOS:
                return [f".error = {outcome}"]
            case _:
                data = _bytes(outcome)
                return [f".data = {c_string(data[:64])}", f".length = {len(data)}"]

    def _main(self) -> str:
        scenario = self._scenario
        below = [f"\tmkdir({c_string(path)}, 0777);" for path in folders(scenario)]
        files = [
            f"\tmake_file({c_string(inside(file.path))}, {file.size}, 0{file.mode:o}, {file.uid});"
            for file in scenario.files
        ]
        sleeps = [
            float(op.args[0].value)
            for process in scenario.processes
            for op in _operations(process)
            if op.args
            and SYSCALLS[op.call].parameters[0].is_time
            and isinstance(op.args[0], Const)
            and isinstance(op.args[0].value, int | float)
        ]
        leases = any(op.call == "fcntl" for process in scenario.processes for op in _operations(process))
        return pieces()["main"].filled(
            files="\n".join([*below, *files]),
            patience=f"{max([0.0, *sleeps]) + 1:g}",
            break_time='\tchar break_time[24] = "0";' if leases else "",
            broken=pieces()["broken"].code if leases else "",
            make_file=pieces()["make_file"].code + "\n\n" if files else "",
            executed=pieces()["executed"].code if "exec" in self._writer.helpers else "",
            moved="" if self._order is None else " + shared->turn",
            leave="" if self._order is None else "\ttake_turn(0, BEGINS, NULL);",
            **{"pass": "" if self._order is None else "\t\t\tpass_ended();"},
            give_up="" if self._order is None else pieces()["give_up"].code,
            in_order="" if self._order is None else pieces()["in_order"].code,
        )


def _operations(process: ProcessSpec) -> list[Op]:
    programs = [process.program, *(program for _, program in process.on_signal)]
    return [op for program in programs for op in program.operations()]


def _signal(signo: int) -> str:
    name = signal_name(signo)
    return name.replace("+", " + ") if not name.isdigit() else name


def _bytes(text: str) -> bytes:
    """Return bytes from how an expectation writes them."""
    import ast

    value = ast.literal_eval(text)
    assert isinstance(value, bytes)
    return value
