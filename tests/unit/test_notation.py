"""The notation of programs: what it reads, and how it refuses the rest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longpin.actors.constants import F_UNLCK, PROGRAM_CONSTANTS
from longpin.actors.process.program import Const, Expectation, Loop, Name, Op, Operation, Outcome, Program
from longpin.actors.syscalls import SYSCALLS
from longpin.config.expectations import UnreadableError, read_expectations
from longpin.config.expressions import MOST
from longpin.config.notation import Facts, parse_program
from longpin.config.problems import MOST_SHOWN


def read(source: str) -> Program:
    program, problems = parse_program(source, filename="f", where="p")
    assert problems == []
    return program


def wrong(source: str) -> str:
    """Return the messages about a program, without the file and the place in the scenario."""
    _, problems = parse_program(source, filename="f", where="p")
    assert problems
    return "\n".join(f"{p.line}:{p.column} {p.expected} | {p.found}" for p in problems)


def only(source: str) -> Op:
    (op,) = read(source).statements
    assert isinstance(op, Op)
    return op


def test_a_call_with_a_target_an_expression_and_an_expectation() -> None:
    op = only("buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, off + 1)  # -> ok")
    assert op == Op(
        line=1,
        text="buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, off + 1)",
        call="mmap",
        args=(Const(16384), Const(3), Const(1), Name("fd"), Operation("+", Name("off"), Const(1))),
        target="buf",
        expectations=(Expectation(None, (Outcome.OK,)),),
        place="p, row 1",
    )


def test_page_is_the_machine_s() -> None:
    program, _ = parse_program("close(PAGE)", filename="f", where="p", page_size=512)
    assert program == Program((Op(1, "close(PAGE)", "close", (Const(512),), None, place="p, row 1"),))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("-1", -1),
        ("(1 | 6) * 2 - 3", 11),
        ("--1", 1),
        ("0x10", 16),
        ("-9223372036854775808", -(1 << 63)),
        ("9223372036854775807", MOST),
        ("F_UNLCK", F_UNLCK),
    ],
)
def test_constant_expressions_are_folded(expression: str, value: int) -> None:
    assert only(f"close({expression})").args == (Const(value),)


def test_a_minus_before_a_variable_is_a_difference() -> None:
    assert only("close(-fd)").args == (Operation("-", Const(0), Name("fd")),)


def test_loops_nest() -> None:
    program = read("for i in range(2):\n    for j in range(3 * 1):\n        lseek(i, j)")
    (outer,) = program.statements
    assert isinstance(outer, Loop)
    (inner,) = outer.body
    assert isinstance(inner, Loop)
    assert (outer.line, outer.variable, outer.count) == (1, "i", 2)
    assert (inner.line, inner.variable, inner.count) == (2, "j", 3)


def test_none_in_an_optional_place_is_the_same_as_nothing() -> None:
    assert only('label("x", None)').args == (Const("x"),)
    assert "None" in wrong("close(None)")


def test_a_call_over_several_lines_is_shown_on_one_and_expects_on_its_last() -> None:
    op = only("lseek(fd,  # where\n      0)  # -> 0")
    assert (op.text, op.expectations) == ("lseek(fd, 0)", (Expectation(None, (0,)),))


def test_comments_and_blank_lines_say_nothing() -> None:
    assert read("# first\n\n   # second\n") == Program()


def test_shared_indentation_is_no_part_of_a_program() -> None:
    program, _ = parse_program("   close(1)\n\n   close(2)", filename="f", where="p", starts=[(7, 1), (8, 1), (9, 1)])
    assert [statement.line for statement in program.statements] == [7, 9]


def test_lines_and_columns_are_those_of_the_file() -> None:
    starts = [(7, 12), (8, 1)]
    _, problems = parse_program(
        "opn(1)\n  \nopn(2)\nopn(3)", filename="f.toml", where="process.app.program", starts=starts
    )
    assert [(p.line, p.column) for p in problems] == [(7, 12), (9, 1), (10, 1)]
    assert str(problems[0]).startswith(
        "f.toml:7:12: process.app.program: expected a supported call, found 'opn' (did you mean open?); there are "
    )


def test_columns_count_characters() -> None:
    assert wrong('write(fd, "äöü", 3j)').startswith("1:18 ")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("if fd:\n    close(fd)", "1:1 a call such as close(fd) | an if statement"),
        ("while 1:\n    close(1)", "1:1 a call such as close(fd) | a while loop"),
        ("def f():\n    close(1)", "1:1 a call such as close(fd) | a function definition"),
        ("import os", "1:1 a call such as close(fd) | an import"),
        ("with fd:\n    close(1)", "1:1 a call such as close(fd) | a with statement"),
        ("pass", "1:1 a call such as close(fd) | a pass statement"),
        ("fd += 1", "1:1 a call such as close(fd) | an augmented assignment"),
        ("fd = 3", "1:6 a call such as close(fd) on the right of = | a literal"),
        ("fd", "1:1 a call such as close(fd) | a name"),
        ("a = b = dup(1)", "1:1 one variable on the left of = | something else"),
        ("a, b = dup(1)", "1:1 one variable on the left of = | something else"),
        ("os.close(1)", "1:1 the name of a call | an attribute (a dot after a name)"),
        ("close(fd=1)", "1:7 arguments by position | a keyword argument"),
        ("close(1); close(2)", "1:11 one call on a line | a second one"),
        ("clsoe(1)", "'clsoe' (did you mean close?)"),
        ("close()", "1:1 close(fd) | no arguments"),
        ("open(1, 2, 3, 4)", "1:1 open(path, flags[, mode]) | 4 arguments"),
        ("open(1, 2)", "1:6 a string or a variable as path of open(path, flags[, mode]) | 1"),
        ('close("x")', "1:7 a number or a variable as fd of close(fd) | 'x'"),
        ("open(fd + 1, 0)", "1:6 a string or a variable as path of open(path, flags[, mode]) | a sum or product"),
        ('close("a" + 1)', "1:7 numbers on both sides of + | 'a'"),
        ("ibv_dereg_mr(1)", "1:14 a variable as mr of ibv_dereg_mr(mr) | 1"),
        ("fork(x)", "1:6 a string in quotes as program of fork(program) | the variable x"),
        ("clsoe(1)", "1:1 a supported call | 'clsoe' (did you mean close?); there are access, "),
        ("fcntl(fd, 5, 0)", "1:11 one of F_DUPFD, F_GETFD, "),
        ("fcntl(fd, 5, 0)", " as cmd of fcntl(fd, cmd[, arg][, pid_or_start][, len]) | 0x5, which is not supported"),
        ("fcntl(fd, F_SETLEASE)", "1:1 fcntl(fd, cmd, arg) for a command that sets something | 2 arguments"),
        ('stat("/x\\0y")', "1:6 text without NUL as path of stat(path) | '/x\\x00y'"),
        ('label("x", "/y\\0")', "1:12 text without NUL as value of label(name[, value]) | '/y\\x00'"),
        ('open("/x", O_NOATIME)', "the flags 0o1000000 (O_NOATIME), which are not supported"),
        ('open("/x", -4)', "-0x4, which are not supported"),
        ("mmap(1, PROT_READ, 0x102, -1, 0)", "1:20 flags that are supported | MAP_GROWSDOWN"),
        ("mmap(1, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0)", "an address behind the offset"),
        ("madvise(a, PAGE, 100)", "1:18 one of MADV_NORMAL, "),
        ("mmap(1, 8, MAP_SHARED, fd, 0)", "1:9 flags among PROT_NONE, PROT_READ, PROT_WRITE as prot of mmap(length, "),
        ("sigaction(SIGIO, 3)", "1:18 one of SIG_DFL, SIG_IGN, SIG_HANDLER as disposition of sigaction(signal, "),
        ("sigaction(SIGIO, SIG_DFL, 4)", "1:27 flags among SA_RESTART, "),
        ("ibv_modify_qp(qp, 9)", "1:19 one of IBV_QPS_RESET, "),
        (
            "ibv_post_send(qp, 99, mr, peer, 0)",
            "1:19 one of IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WR_SEND, IBV_WR_SEND_WITH_IMM, ",
        ),
        ("ibv_post_send(qp, IBV_WR_RDMA_READ, b'x', peer, 0)", "1:37 a variable with a memory region, "),
        ("PAGE = dup(1)", "1:1 a variable to assign to | the constant PAGE"),
        ("O_RDWR = dup(1)", "1:1 a variable to assign to | the constant O_RDWR"),
        ("si_fd = dup(1)", "1:1 a variable to assign to | si_fd, which only calls and signals set"),
        ("for i in range(n):\n    close(i)", "1:16 a constant from 0 to 10000 | an expression with variables"),
        ("for i in range(10001):\n    close(i)", "1:16 a constant from 0 to 10000 | 10001"),
        ("for i in range(-1):\n    close(i)", "1:16 a constant from 0 to 10000 | -1"),
        ("for i in range(1, 2):\n    close(i)", "1:1 a loop such as for i in range(3): | another kind of for loop"),
        ("for i in fds:\n    close(i)", "1:1 a loop such as for i in range(3): | another kind of for loop"),
        ("for i in range(1):\n    close(i)\nelse:\n    close(1)", "1:1 a loop such as"),
        ("close(1", "1:6 a program | an error ('(' was never closed)"),
        ("close(1)\n  close(2)", "2:2 a program | an error (unexpected indent)"),
        ('open("\\d", 0)', "an error (invalid escape sequence '\\d')"),
        ("close(1)\0", "null bytes"),
        ("close(9223372036854775808)", "1:7 a number of at most 64 bits with its sign | 9223372036854775808"),
        ("close(4611686018427387904 * 2)", "1:7 a number of at most 64 bits with its sign | 9223372036854775808"),
        ('open("\\ud800", 0)', "1:6 text that UTF-8 can hold | half of a surrogate pair"),
        ("close(1)\n# -> 0", "2:1 a call such as close(fd) that ends on the line of its expectation | no such call"),
        ("for i in range(2):  # -> 0\n    close(i)", "1:21 a call such as close(fd) that ends"),
        ("exit(1)  # -> 0", "1:10 an expectation of a call that may return | one of exit, which never does"),
        ('exec("q")  # -> 0', "1:12 blocks or hangs of exec, which never returns | another outcome"),
        ('exec("q")  # -> hangs; P1 -> ok', "1:12 blocks or hangs of exec, which never returns | another outcome"),
        ("close(1)  # optional -> 0", "1:13 a policy, one of P0 (reject), P1 (wait), "),
        (
            "close(1)  # -> EAGIAN",
            "constant, one such as SIGRTMIN + 1, or bytes | 'EAGIAN' (did you mean",
        ),
    ],
)
def test_what_is_refused(source: str, message: str) -> None:
    assert message in wrong(source)


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("f.x", "an attribute"),
        ("f[0]", "a subscript"),
        ("1 < 2", "a compare"),
        ("lambda: 1", "a lambda"),
        ("*fds", "a starred argument"),
        ('f"{1}"', "an f-string"),
        ("[1]", "a list"),
        ("dup(1)", "a call"),
        ("1 if 2 else 3", "a conditional expression"),
        ("1 and 2", "'and' or 'or'"),
        ("not 1", "a unary operator that is not -"),
        ("1 / 2", "an operator that is not |, *, + or -"),
        ("2 ** 3", "an operator that is not |, *, + or -"),
        ("True", "True"),
        ("...", "a literal"),
        ("(x := 1)", "an assignment inside an expression"),
    ],
)
def test_what_is_no_argument(argument: str, found: str) -> None:
    expected = "a name, a number, a string, None, or these joined by |, *, + and -"
    assert f" {expected} | {found}" in wrong(f"close({argument})")


def test_a_refused_line_causes_no_second_problem() -> None:
    facts = Facts()
    _, problems = parse_program("fd = opn(1)  # -> 0\nclose(fd)", filename="f", where="p", facts=facts)
    assert len(problems) == 1
    assert facts.foreign == []


@pytest.mark.parametrize(
    "source",
    [
        "close(" + "-" * 100_000 + "1)",
        "close(" + "1+" * 100_000 + "1)",
        "close(" + "(" * 100_000 + "1" + ")" * 100_000 + ")",
        "close((\n" * 10_000,
        "close(1);" * 10_000,
        "\n".join(" " * depth + "for i in range(1):" for depth in range(500)),
        "close(0x" + "f" * 100_000 + ")",
        "close(" + "9" * 100_000 + ")",
        "close(1)  # -> " + "(" * 100_000,
        "close(1)  # -> b'" + "\\x" * 50_000,
    ],
)
def test_hostile_text_is_one_short_problem(source: str) -> None:
    _, problems = parse_program(source, filename="f", where="p")
    assert len(problems) == 1
    assert len(str(problems[0])) < 300


def test_a_number_of_thousands_of_digits_is_told_at_its_place() -> None:
    assert wrong("close(1)\nclose(2 + " + "9" * 5000 + ")") == (
        "2:11 a number of at most 64 bits with its sign | one of 5000 digits"
    )


def test_loops_are_counted_written_out() -> None:
    assert read("for i in range(100):\n    for j in range(100):\n        close(j)").statements
    assert wrong("for i in range(101):\n    for j in range(100):\n        close(j)") == (
        "1:1 at most 10000 calls with all loops written out | 10100"
    )
    nested = "for i in range(9000):\n    for j in range(9000):\n        for k in range(0):\n            close(k)"
    assert "81000000" in wrong(nested)


def test_problems_are_bounded() -> None:
    _, problems = parse_program("opn(1)\n" * 1000, filename="f", where="p")
    assert len(problems) == MOST_SHOWN


def test_facts_tell_what_a_program_refers_to() -> None:
    facts = Facts()
    source = (
        'fork("kid")\nlabel("up", x)\ny = wait_for("go")\nkill("app", SIGIO)\nclose(x)\nsigaction(SIGIO, SIG_HANDLER)'
    )
    parse_program(source, filename="f", where="p", facts=facts)
    assert [(m.text, m.line, m.column) for m in facts.foreign] == [("x", 2, 13)]
    assert [m.text for m in facts.forks] == ["kid"]
    assert [m.text for m in facts.waits] == ["go"]
    assert [m.text for m in facts.peers] == ["app"]
    assert (facts.labels, facts.assigned) == ({"up"}, {"y"})
    assert [(signal, m.line) for signal, m in facts.handled] == [(PROGRAM_CONSTANTS["SIGIO"], 6)]


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# no arrow, no expectation", ()),
        ("# -> 0", ((None, (0,)),)),
        ("#->-1", ((None, (-1,)),)),
        ("# -> blocks, ETXTBSY", ((None, ("blocks", "ETXTBSY")),)),
        (
            "# P5 -> blocks, 0; P1 -> hangs; P0 -> EOPNOTSUPP",
            (("P5", ("blocks", 0)), ("P1", ("hangs",)), ("P0", ("EOPNOTSUPP",))),
        ),
        ("# flv1:AS_POSTED -> EAGAIN; -> ok", (("P5:as_posted", ("EAGAIN",)), (None, ("ok",)))),
        ("# -> EWOULDBLOCK", ((None, ("EAGAIN",)),)),
        ("# -> F_UNLCK", ((None, (F_UNLCK,)),)),
        ("# -> 0x10, ok", ((None, (16, "ok")),)),
        ("# -> 010", ((None, (10,)),)),
        ('# -> b"a;b,c->d"', ((None, ("b'a;b,c->d'",)),)),
        ("# -> EAGAIN (another writer; it -> stays, open)", ((None, ("EAGAIN",)),)),
        ("# -> -1, EBADF", ((None, (-1, "EBADF")),)),
        ("# -> 0, 0;", ((None, (0,)),)),
        ("# -> optional, EBADF", ((None, ("EBADF",), True),)),
        ("# P5 -> 0; -> optional", (("P5", (0,)), (None, (), True))),
        ("# P1 on 6.1, 6.12 -> 0; P1 -> hangs", (("P1", (0,), False, ("6.1", "6.12")), ("P1", ("hangs",)))),
        ("# on 6.18->EFAULT;on ideal -> 0", ((None, ("EFAULT",), False, ("6.18",)), (None, (0,), False, ("ideal",)))),
    ],
)
def test_expectations(comment: str, expected: tuple[tuple[Any, ...], ...]) -> None:
    assert read_expectations(comment, PROGRAM_CONSTANTS) == tuple(Expectation(*part) for part in expected)


@pytest.mark.parametrize(
    ("comment", "offset", "found"),
    [
        ("# -> hangs, 0", 4, "hangs, 0"),
        ("# -> ok, EBADF", 4, "ok, EBADF"),
        ("# -> 0, EBADF", 4, "0, EBADF"),
        ("# -> EBADF, EAGAIN", 4, "EBADF, EAGAIN"),
        ("# -> 1, 2", 4, "1, 2"),
        ("# ->", 4, "the end"),
        ("# P5 -> ", 7, "the end"),
        ("# P5; -> 0", 4, "the end"),
        ("# P77 -> 0", 2, "'P77'"),
        ("# P5:odd -> 0", 2, "'P5:odd'"),
        ("# -> 0,", 6, "nothing after the comma"),
        ("# -> 0 0", 7, "'0'"),
        ("# -> block", 5, "'block' (did you mean blocks?)"),
        ("# -> 12ab", 5, "'12ab'"),
        ("# -> 'text'", 5, "\"'text'\""),
        ("# -> 0x10000000000000000", 5, "a larger one"),
        ("# P5 P1 -> 0", 5, "'P1'"),
        ("# P5 -> 0; flv1 -> 1", 11, "a second one for P5"),
        ("# P1 on -> 0", 8, "'->'"),
        ("# P1 on 6.5 -> 0", 8, "'6.5' (did you mean 6.1"),
        ("# P1 on 6.1, -> 0", 13, "'->'"),
        ("# P1 on 6.1 0 -> 0", 12, "'0'"),
        ("# on 6.1 -> 0; on 6.12, 6.1 -> 1", 15, "a second one for every policy on 6.12"),
        ("# -> b'\\xg'", 5, "\"b'\\\\xg'\""),
        ("# the lease goes -> 0", 2, "'the'"),
    ],
)
def test_unreadable_expectations(comment: str, offset: int, found: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read_expectations(comment, PROGRAM_CONSTANTS)
    assert caught.value.offset == offset
    assert caught.value.found.startswith(found)


@given(st.text(st.sampled_from("abcdop fnlse(),=|*+-#>'\"\\\n\t\0:;01x{}[].é\u2028\f\r"), max_size=80))
def test_any_text_is_read_or_refused(source: str) -> None:
    program, problems = parse_program(source, filename="f", where="p")
    assert isinstance(program, Program)
    for problem in problems:
        assert "\n" not in str(problem)
        assert problem.line >= 1


@given(st.sampled_from(sorted(SYSCALLS)), st.integers(0, 9))
def test_the_number_of_arguments_is_that_of_the_signature(name: str, count: int) -> None:
    source = f"{name}({', '.join(f'v{index}' for index in range(count))})"
    _, problems = parse_program(source, filename="f", where="p")
    signature = SYSCALLS[name]
    fits = signature.least <= count <= signature.most
    assert fits != any(problem.expected == str(signature) for problem in problems)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("for i in range(4):\n    fcntl(fd, 5 + i)", "2:15 one of F_DUPFD, "),
        ("for i in range(12):\n    fcntl(fd, 8 + i, 0)", "2:15 one of F_DUPFD, "),
        ('for i in range(3):\n    for j in range(2):\n        open("/f", i | 0o1000000 * j)', "the flags 0o1000000"),
        ("for i in range(3):\n    madvise(a, PAGE, 3 + i * 3)", "2:22 one of MADV_NORMAL, "),
    ],
)
def test_what_a_loop_comes_to_is_checked_as_a_literal_is(source: str, message: str) -> None:
    assert message in wrong(source)


@pytest.mark.parametrize(
    "source",
    [
        'for i in range(4):\n    open("/f", i)',
        "for i in range(4):\n    fcntl(fd, 8 + i, 0)",
        "for i in range(0):\n    fcntl(fd, i)",
        "for i in range(4):\n    i = dup(fd)\n    fcntl(fd, i)",
        "for i in range(4):\n    for i in range(2):\n        close(i)\n    fcntl(fd, i)",
        "for i in range(4):\n    close(i)\nfcntl(fd, i)",
        "for i in range(10000):\n    fcntl(fd, F_SETSIG, i)",
    ],
)
def test_what_a_loop_may_come_to_and_what_is_not_known(source: str) -> None:
    read(source)


def test_a_loop_that_is_too_long_is_refused_at_once() -> None:
    text = "".join(" " * i + f"for i{i} in range(10000):\n" for i in range(5)) + " " * 5 + "fcntl(fd, i0 + i1 + i2)"
    assert "at most 10000 calls" in wrong(text)
