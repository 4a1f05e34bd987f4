"""What a call declares, and that who derives something from it has all calls and no others."""

import pytest

from longpin.actors.syscalls import (
    SYSCALLS,
    administration,
    clone3,
    device_removal,
    hypervisor,
    imported_verbs,
    io_uring,
    lease_verbs,
    memory_windows,
    mounts,
    pnfs,
    proc_memory,
    queue_pairs,
    threads,
    verbs,
    vfio,
    video,
    work_queues,
    xdp,
)
from longpin.actors.syscalls.declaration import Declarations, LibcArgument, Section, Support, libc
from longpin.config.call_table import table, write_tables
from longpin.config.loader import parse_scenario
from longpin.config.problems import ScenarioError
from longpin.runner.c_source import calls as c_calls
from longpin.runner.conform import orders
from longpin.runner.conform.ops import DECLARED_OPS, Rule
from longpin.runner.host import calls as host_calls
from longpin.runner.host.threads import THREAD_CALLS
from longpin.runner.machine.orders import Order, libc_order, value_of
from longpin.runner.races.offers import FORMS

ON_HOST = {call.name for call in SYSCALLS.values() if call.on_host}


def test_every_kernel_makes_what_it_can_and_nothing_else() -> None:
    others = (
        verbs,
        device_removal,
        imported_verbs,
        io_uring,
        lease_verbs,
        memory_windows,
        queue_pairs,
        work_queues,
        vfio,
        video,
        xdp,
        pnfs,
        hypervisor,
        clone3,
        administration,
        mounts,
        proc_memory,
    )
    assert SYSCALLS.keys() - {name for module in others for name in module.CALLS} == ON_HOST
    assert set(host_calls.CALLS) == set(c_calls.CALLS) == ON_HOST - set(threads.CALLS)
    assert THREAD_CALLS.keys() == threads.CALLS.keys()
    for own in (host_calls._OWN, c_calls._OWN, FORMS):
        assert set(own) <= ON_HOST
    assert set(orders._OWN) <= ON_HOST


def declared(calls: Declarations) -> Declarations:
    """Declare a call that reads so many bytes from a path, as a module of calls would."""

    @calls.declare(
        "peek(path: path, count: size_t, [data: bytes|str], [mode: umode_t])",
        "read(2), open(2)",
        returns="the bytes",
        errnos={"ESRCH": "a test"},
        partial="some",
        libc=libc('ssize_t peek(path, buffer[count], count, data, length(data), mode, "x", NULL, -1)', "peek.h"),
    )
    def peek(process: object, path: str, count: int, data: bytes = b"", mode: int = 0o600) -> bytes:
        return b""

    return calls


PEEK = declared(Declarations(Section.FILES))["peek"]


def test_a_declaration_says_all_there_is_to_say() -> None:
    assert str(PEEK) == "peek(path, count[, data][, mode])"
    assert (PEEK.least, PEEK.most, PEEK.support) == (2, 4, Support.PARTIAL)
    assert {"ESRCH", "EISDIR", "ELOOP", "EINVAL"} <= PEEK.errnos
    assert [(p.name, value) for p, value in PEEK.bind(["/f", 3])] == [
        ("path", "/f"),
        ("count", 3),
        ("data", b""),
        ("mode", 0o600),
    ]


def test_a_call_is_declared_once() -> None:
    calls = declared(Declarations(Section.FILES))
    with pytest.raises(AssertionError, match="peek"):
        declared(calls)


def test_the_function_that_makes_a_call_is_read_from_its_prototype() -> None:
    made = PEEK.libc
    assert made is not None
    assert (made.function, made.header, made.wide, made.sizes) == ("peek", "peek.h", True, frozenset({"count"}))
    assert [argument.role for argument in made.arguments] == [
        *("path", "buffer", "value", "data", "length", "value", "literal", "literal", "literal")
    ]
    assert made.arguments[-1] == LibcArgument("-1", "literal")
    order = libc_order(made, {"path": "f", "count": 3, "data": "\u00e9", "mode": 7})
    args = ["f", {"room": 3}, 3, {"data": "c3a9"}, 2, 7, {"data": "78"}, None, -1]
    assert order == Order("libc", {"name": "peek", "args": args, "wide": True})
    assert value_of(made, {"ret": 2, "errno": None, "data": "6869"}) == b"hi"


def test_the_loader_knows_what_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'name = "x"\npolicy = "P0"\n[[process]]\nname = "a"\nprogram = \'peek("/f", "3")\''
    monkeypatch.setitem(SYSCALLS, "peek", PEEK)
    with pytest.raises(ScenarioError, match=r"expected a number or a variable as count of peek\(path, count\[, data\]"):
        parse_scenario(text, "x.toml")
    with pytest.raises(ScenarioError, match=r"found 'peak' \(did you mean peek\?\)"):
        parse_scenario(text.replace("peek", "peak"), "x.toml")


def test_the_table_of_a_section_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SYSCALLS, "peek", PEEK)
    row = "| `peek(path, count[, data][, mode])` | read(2), open(2) | the bytes. *In part: some* |\n"
    assert row in table(Section.FILES)
    assert row not in table(Section.MEMORY)
    document = "a\n<!-- calls: Files and descriptors -->\nold\n<!-- end -->\nb\n"
    assert write_tables(document).splitlines()[1:3] == [
        "<!-- calls: Files and descriptors -->",
        "| call | manual page | result and remarks |",
    ]
    assert write_tables(document).endswith("<!-- end -->\nb\n")
    with pytest.raises(ValueError, match="Nothing"):
        write_tables(document.replace("Files and descriptors", "Nothing"))


def test_an_op_has_the_parameters_of_its_call() -> None:
    assert DECLARED_OPS["pread"] == Rule({"fd": "fd", "count": "count", "offset": "length"})
    assert DECLARED_OPS["mkdir"] == Rule({"path": "path"}, {"mode": "mode"})
    assert not {"fcntl", "label", "ibv_reg_mr", "open"} & DECLARED_OPS.keys()
