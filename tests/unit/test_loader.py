"""Scenario files: what they mean, and that every mistake in one is told at once, with its place."""

import os
from dataclasses import fields
from importlib import resources
from pathlib import Path

import pytest

from longpin.actors.constants import SIGIO
from longpin.actors.kernel.nfs_server import LayoutType, NfsServer, OnTimeout
from longpin.actors.process.program import Op
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Section
from longpin.config.call_table import write_tables
from longpin.config.loader import ScenarioError, load_scenario, parse_scenario, shipped_scenarios
from longpin.config.positions import Positions
from longpin.config.schema import (
    RULES,
    InitialFile,
    MachineSettings,
    PmemSet,
    PolicyChoice,
    Scenario,
    VideoDevice,
)
from longpin.config.structure import DeviceTable, FileTable, MachineTable, PmemTable, ProcessEntry, ScenarioTable
from longpin.messages.rdma.device import RdmaDevice

MINIMAL = """\
name = "small"
[[process]]
name = "app"
program = "close(3)"
"""

FULL = """\
name = "all-keys"
source = "a mail"
summary = "Every key there is."
holds = ["O7", "O1"]
violates = ["O7"]
violates_on = { "6.1" = ["O7", "O1"], "7.2" = [] }
unreached = true

[policy]
name = "flv1"
preset = "as_posted"
evict_waits = true
lease_check = "own_tgid"

[machine]
kernel = "6.12,read_only_pins=false"
page_size = 512
lease_break_time = 5
uverbs_async_delay = true
huge_page_size = "4 * PAGE"
huge_pages = 3
hypervisor = true

[nfsd]
threads = 8
on_timeout = "fence_async"
layout_type = "block"
fence_failures = 2
fence_retries = 3

[[video]]
name = "video0"
frame_size = "2 * PAGE"
framework = "videobuf2"

[[pmem]]
name = "fast"
blocks = 8
file_system = "ext4"

[[pmem]]
name = "slow"

[[device]]
name = "mlx5_0"

[[file]]
path = "/pmem/data"
size = "2 * PAGE + 1"
mode = 0o600
uid = 1000

[[file]]
path = "/slow/log"
pmem = "slow"

[[process]]
name = "app"
uid = 1000
capabilities = ["CAP_LEASE", "CAP_IPC_LOCK"]
memlock = "4 * PAGE"
program = '''
    fd = open("/pmem/data", O_RDWR)
    fork("kid")  # -> ok
    wait_for("up")
'''
on_signal.SIGIO = \"\"\"
    close(si_fd)
    close(fd)
\"\"\"

[[process]]
name = "kid"
start = "fork"
program = '''
    close(fd)
    label("up", fd)'''
"""


def errors(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "f.toml")
    return str(caught.value).splitlines()


def ops(scenario: Scenario, process: int) -> list[Op]:
    return [statement for statement in scenario.processes[process].program.statements if isinstance(statement, Op)]


def test_a_minimal_scenario_gets_the_defaults() -> None:
    scenario = parse_scenario(MINIMAL, "f.toml")
    assert scenario.policy == PolicyChoice("P5", "intended", ())
    assert scenario.machine == MachineSettings(4096, 45.0, uverbs_async_delay=False)
    assert scenario.pmem == (PmemSet("pmem0", 64),)
    assert scenario.devices == (RdmaDevice("rxe0"),)
    assert scenario.files == ()
    assert scenario.holds == RULES
    (process,) = scenario.processes
    assert (process.uid, process.capabilities, process.memlock, process.start) == (0, None, 65536, "now")
    assert scenario.text == MINIMAL


def test_every_key_arrives() -> None:
    scenario = parse_scenario(FULL, "f.toml")
    assert (scenario.name, scenario.source, scenario.summary) == ("all-keys", "a mail", "Every key there is.")
    assert scenario.policy == PolicyChoice("P5", "as_posted", (("evict_waits", True), ("lease_check", "own_tgid")))
    kernel = (("kernel", "6.12"), ("read_only_pins", False))
    assert scenario.machine == MachineSettings(
        512, 5.0, uverbs_async_delay=True, huge_page_size=2048, huge_pages=3, hypervisor=True, kernel=kernel
    )
    assert scenario.nfsd == NfsServer(8, OnTimeout.FENCE_ASYNC, LayoutType.BLOCK, 2, 3)
    assert scenario.video == (VideoDevice("video0", 1024, "videobuf2"),)
    assert scenario.pmem == (PmemSet("fast", 8, "ext4"), PmemSet("slow", 64, mount="/slow"))
    assert scenario.devices == (RdmaDevice("mlx5_0"),)
    assert scenario.files == (
        InitialFile("/pmem/data", "fast", 1025, 1000, 0o600),
        InitialFile("/slow/log", "slow", 0, 0, 0o666),
    )
    assert scenario.holds == ("O1", "O7")
    assert (scenario.violates, scenario.unreached) == (("O7",), True)
    assert [scenario.expected_on(kernel) for kernel in ("6.1", "6.18", "7.2")] == [("O1", "O7"), ("O7",), ()]
    app, kid = scenario.processes
    assert (app.uid, app.capabilities, app.memlock) == (1000, ("CAP_IPC_LOCK", "CAP_LEASE"), 2048)
    ((signal, handler),) = app.on_signal
    assert (signal, len(handler.statements)) == (SIGIO, 2)
    assert (kid.name, kid.start) == ("kid", "fork")


def test_operations_carry_the_lines_of_the_file() -> None:
    scenario = parse_scenario(FULL, "f.toml")
    lines = FULL.splitlines()
    for process in (0, 1):
        for op in ops(scenario, process):
            assert lines[op.line - 1].strip().startswith(op.text)


@pytest.mark.parametrize(
    ("program", "lines"),
    [
        ("'close(1)'", [4]),
        ('"close(1)\\nclose(2)"', [4, 4]),
        ("'''close(1)\nclose(2)'''", [4, 5]),
        ("'''\nclose(1)\n\nclose(2)\n'''", [5, 7]),
        ('"""\nclose(1)\nclose(2)"""', [5, 6]),
        ('"""\nclose(\\\n  1)\nclose(2)"""', [5, 7]),
        ('"""\\\n\n close(1)\nclose(2)"""', [6, 7]),
        ("'''\r\nclose(1)\r\nclose(2)'''", [5, 6]),
        ("'''\nopen(\"\\\\\", 0)\nclose(2)'''", [5, 6]),
        ('"""\nwrite(1, \\"\\"\\"a\\"\\"\\")\nclose(2)"""', [5, 6]),
    ],
)
def test_lines_through_every_kind_of_string(program: str, lines: list[int]) -> None:
    scenario = parse_scenario(f'name = "x"\n[[process]]\nname = "app"\nprogram = {program}', "f.toml")
    assert [op.line for op in ops(scenario, 0)] == lines


def test_positions_of_keys() -> None:
    text = """\
a.b = 1 # x = 2
"c d" = { e = [1, {f = '#'}], g.h = "\\"" }

[t]
k = [
  1, # ]
  [2],
]
[[p]]
[[p]]
n = 1979-05-27 07:32:00
s.'t' = '''
]'''
[[p.q]]
z = 1
[x.'y z'.w]
[[u.v]]
"""
    positions = Positions(text)
    places = {
        ("a", "b"): 1,
        ("c d", "e", 1, "f"): 2,
        ("c d", "g", "h"): 2,
        ("t",): 4,
        ("t", "k"): 5,
        ("t", "k", 0): 6,
        ("t", "k", 1, 0): 7,
        ("p", 0): 9,
        ("p", 1): 10,
        ("p", 1, "n"): 11,
        ("p", 1, "s", "t"): 12,
        ("p", 1, "q", 0, "z"): 15,
        ("p", 1, "q"): 14,
        ("p", 1, "q", 0): 14,
        ("x",): 16,
        ("x", "y z"): 16,
        ("x", "y z", "w", "k"): 16,
        ("u",): 17,
        ("u", "v"): 17,
        ("p", 1, "nothing"): 10,
        ("nothing", 3): 1,
    }
    assert {path: positions.line(path) for path in places} == places
    assert positions.line_starts(("p", 1, "s", "t")) == ((13, 1),)
    assert positions.line_starts(("c d", "e", 1, "f")) == ((2, 25),)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
name = "bad"
colour = 3
policy = "P5:odd"
holds = ["O1", "O9"]
[machine]
page_size = 1000
lease_break_time = "4"
uverbs_async_delay = 1
[[file]]
path = "/pmem/data"
size = "65 * PAGE"
[[process]]
name = "app"
uid = "7"
memlock = true
program = '''
  fd = opn("/pmem/data", O_RDWR)
  close(fdd)  # -> EAGIAN
'''
[[process]]
name = "app"
programm = "close(1)"
"""
    assert errors(text) == [
        (
            "f.toml:2: colour: expected one of the keys name, source, summary, policy, holds, shows, violates, "
            "violates_on, unreached, machine, nfsd, pmem, tmpfs, dax, video, device, file, process, "
            "found the key 'colour'"
        ),
        (
            "f.toml:3: policy: expected a preset of P5 (as_posted, intended, lt0, k1_kill, k1_invalidate, d1), "
            "found 'P5:odd'"
        ),
        "f.toml:4: holds[1]: expected one of the rules O1, O1', O2, O3, O4, O5, O6, O7, O8, found 'O9'",
        "f.toml:6: machine.page_size: expected a power of two from 512 to 65536, found 1000",
        "f.toml:7: machine.lease_break_time: expected a number, found '4'",
        "f.toml:8: machine.uverbs_async_delay: expected true or false, found 1",
        (
            "f.toml:11: file./pmem/data.size: expected a file that fits its pmem set, "
            "found 65 pages where 64 blocks of pmem0 are left"
        ),
        "f.toml:14: process.app.uid: expected an integer, found '7'",
        'f.toml:15: process.app.memlock: expected an integer or an expression such as "4 * PAGE", found true',
        "f.toml:17:8: process.app.program: expected a supported call, found 'opn' (did you mean open?); there are "
        + ", ".join(sorted(SYSCALLS)),
        (
            "f.toml:18:9: process.app.program: expected a variable assigned before, or a constant, "
            "found 'fdd' (did you mean fd?)"
        ),
        (
            "f.toml:18:20: process.app.program: expected blocks, hangs, ok, optional, an errno, a number, a constant, "
            "one such as SIGRTMIN + 1, or bytes, found 'EAGIAN' (did you mean EAGAIN?)"
        ),
        "f.toml:20: process.app.program: expected a program, found none",
        "f.toml:21: process.app.name: expected a name no other table of this kind has, found 'app'",
        (
            "f.toml:22: process.app.programm: expected one of the keys name, program, on_signal, uid, capabilities, "
            "memlock, sigpending, start, found the key 'programm' (did you mean program?)"
        ),
    ]


PROCESS = '[[process]]\nname = "app"\nprogram = "close(1)"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name: expected a name for the scenario, on one line, found none"),
        ("name = ''", "name: expected a name for the scenario, on one line, found ''"),
        ("name = 7", "name: expected a string, found 7"),
        ("name = 'x'", 'scenario: expected at least one [[process]] with start = "now", found none'),
        ("name = x", "f.toml:1:8: scenario: expected TOML, found an error (Invalid value)"),
        ("name = 'x", "scenario: expected TOML, found an error ("),
        ("a = " + "[" * 5000, "scenario: expected TOML, found an error (nested too deeply)"),
        ("a = " + "9" * 5000, "f.toml:1:5: scenario: expected an integer of at most 4300 digits, found a longer one"),
        (
            f"# {'1' * 5000}\na = '{'2' * 5000}'\nb = [1,\n  -{'3_' * 5000}3]\nc = {'4' * 5000}\n",
            "f.toml:4:4: scenario: expected an integer of at most 4300 digits, found a longer one",
        ),
        ("a." * 40 + "b = 1", "scenario: expected keys of at most 32 parts, found a longer one"),
        ("a = 1\n\udc80", "f.toml:2: scenario: expected text that UTF-8 can hold, found half of a surrogate pair"),
        ("#" * (1 << 20) + "#", "scenario: expected at most 1048576 bytes, found more"),
        ("process = 3", "process: expected an array, found 3"),
        ("process = [3]", "process[0]: expected a table, found 3"),
        ("machine = []", "machine: expected a table, found an array"),
        ("holds = []", "holds: expected at least one of the rules O1, O1', O2, O3, O4, O5, O6, O7, O8, found none"),
        ("holds = [1]", "holds[0]: expected a string, found 1"),
        ("policy = 5", 'policy: expected a policy such as "P5:intended", or a table, found 5'),
        ("policy = 'P99'", "policy: expected a policy, one of P0 (reject), P1 (wait), "),
        ("policy = {name = 'P5', preset = 'odd'}", "policy.preset: expected one of the presets as_posted, intended"),
        ("policy = {name = 'P5', preset = 0}", "policy.preset: expected a string, found 0"),
        ("policy = {name = 'P5:intended', preset = 'as_posted'}", "policy.preset: expected the preset once, intended"),
        ("policy = {lease_chek = 'x'}", "policy.lease_chek: expected one of the parameters of P5: "),
        (
            "policy = {lease_check = 'x'}",
            "policy.lease_check: expected one of any_lease, own_tgid, active_only, found 'x'",
        ),
        (
            "policy = 'P5,lease_check=x'",
            "policy: expected lease_check to be one of any_lease, own_tgid, active_only, found",
        ),
        ("policy = 'P5,odd=1'", "policy: expected a parameter of P5 ("),
        ("policy = {evict_waits = 1}", "policy.evict_waits: expected true or false, found 1"),
        (
            "policy = {kernel = '2.6'}",
            "policy.kernel: expected one of ideal, 5.4, 6.1, 6.12, 6.18, 7.2, found '2.6'",
        ),
        ("policy = 'P5,kernel=2.6'", "policy: expected kernel to be one of ideal, 5.4, 6.1, 6.12, 6.18, 7.2, found"),
        (
            "machine.kernel = '2.6'",
            "machine.kernel: expected kernel to be one of ideal, 5.4, 6.1, 6.12, 6.18, 7.2, found",
        ),
        (
            "policy = 'P5,kernel=6.1'\n[machine]\nkernel = '6.12'",
            "machine.kernel: expected the kernel once, here or with",
        ),
        ("machine.kernel = 6.1", "machine.kernel: expected a string, found 6.1"),
        ("machine.kernel = '6.1,odd=1'", "machine.kernel: expected a parameter of kernel 6.1 ("),
        (
            "[[pmem]]\nname = 'p'\nfile_system = 'etx4'",
            "pmem.p.file_system: expected one of the file systems xfs",
        ),
        ("machine.page_size = 256", "machine.page_size: expected a number from 512 to 65536, found 256"),
        ("machine.page_size = true", "machine.page_size: expected an integer or an expression such as"),
        ("machine.lease_break_time = -1", "machine.lease_break_time: expected seconds from 0 to 1000000000, found -1"),
        (
            "machine.lease_break_time = inf",
            "machine.lease_break_time: expected seconds from 0 to 1000000000, found inf",
        ),
        (
            "machine.lease_break_time = nan",
            "machine.lease_break_time: expected seconds from 0 to 1000000000, found nan",
        ),
        (f"machine.lease_break_time = 1{'0' * 400}", "machine.lease_break_time: expected seconds from 0 to"),
        ("[[pmem]]\nblocks = 1", "pmem[0].name: expected a name, found none"),
        ("[[pmem]]\nname = 'a b'", "pmem.a b.name: expected a name of 1 to 64 letters"),
        ("[[pmem]]\nname = 'a'\n[[pmem]]\nname = 'a'", "f.toml:4: pmem.a.name: expected a name no other table"),
        ("[[pmem]]\nname = 'a'\nblocks = 0", "pmem.a.blocks: expected a number from 1 to 1000000, found 0"),
        ("[[pmem]]\nname = 'a'\nblocks = 1000001", "pmem.a.blocks: expected a number from 1 to 1000000"),
        (
            "[[pmem]]\nname = 'a'\nblocks = 600000\n[[pmem]]\nname = 'b'\nblocks = 600000\n[[pmem]]\nname = 'c'",
            "f.toml:6: pmem.b.blocks: expected at most 1000000 blocks in all pmem sets together, found 600000",
        ),
        ("\n[[no]]\n[[no]]", "f.toml:2: no: expected one of the keys "),
        ("\n[no.such.'table']", "f.toml:2: no: expected one of the keys "),
        ("\n[[process]]\n[[process.no]]\n", "f.toml:3: process[0].no: expected one of the keys "),
        ("\n[machine]\n[machine.no]\nx = 1", "f.toml:3: machine.no: expected one of the keys "),
        ("\n[[machine]]", "f.toml:2: machine: expected a table, found an array"),
        ("[[device]]\nname = ''", "device[0].name: expected a name of 1 to 64 letters"),
        ("[[file]]\nsize = 1", "file[0].path: expected an absolute path of at most 4095 bytes, found none"),
        ("[[file]]\npath = 'a'", "file.a.path: expected an absolute path of at most 4095 bytes, found 'a'"),
        ("[[file]]\npath = '/a'\n[[file]]\npath = '/a'", "f.toml:4: file./a.path: expected a path no other file has"),
        (
            "[[file]]\npath = '/a'\npmem = 'pmem1'",
            "pmem: expected one of the pmem sets pmem0, found 'pmem1' (did you mean",
        ),
        ("[[file]]\npath = '/a'\nsize = -1", "file./a.size: expected a number from 0 to 9223372036854775807, found -1"),
        ("[[file]]\npath = '/a'\nsize = 'PAGE / 2'", "size: expected a number or an expression such as 4 * PAGE"),
        ("[[file]]\npath = '/a'\nsize = '''b\"x\"'''", "size: expected a number or an expression such as 4 * PAGE"),
        ("[[file]]\npath = '/a'\nsize = '" + "(" * 101 + "'", "size: expected at most 100 characters"),
        (
            "[[file]]\npath = '/a'\nmode = 0o10000",
            "file./a.mode: expected permission bits from 0 to 0o7777, found 4096",
        ),
        ("[[file]]\npath = '/a'\nuid = -1", "file./a.uid: expected a number from 0 to 4294967294, found -1"),
    ],
)
def test_one_mistake(text: str, message: str) -> None:
    assert any(message in line for line in errors(text))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("start = 'fork'", "process.app.start: expected a process that some program forks, found no fork('app')"),
        ("start = 'later'", 'process.app.start: expected "now", "fork" or "thread", found \'later\''),
        ("capabilities = ['CAP_X']", "process.app.capabilities[0]: expected one of CAP_IPC_LOCK, CAP_KILL, CAP_LEASE"),
        ("memlock = -1", "process.app.memlock: expected a number from 0 to 9223372036854775807, found -1"),
        ("on_signal.SIGKILL = ''", "on_signal.SIGKILL: expected a signal that can be handled, found SIGKILL"),
        ("on_signal.SIGOI = ''", "process.app.on_signal.SIGOI: expected one of the signals SIGHUP, "),
        (
            "on_signal.\"SIGRTMIN + 31\" = ''",
            "on_signal.SIGRTMIN + 31: expected one of the signals SIGHUP, SIGINT, SIGQUIT, ",
        ),
        (
            "on_signal.SIGPOLL = ''\non_signal.SIGIO = ''",
            "expected one handler for each signal, found another one for SIGIO",
        ),
        ("on_signal.SIGIO = 3", "process.app.on_signal.SIGIO: expected a string, found 3"),
        (
            "on_signal.SIGIO = 'close(x)'",
            "f.toml:5:26: process.app.on_signal.SIGIO: expected a variable assigned before",
        ),
        ("on_signal = 'close(1)'", "process.app.on_signal: expected a table, found 'close(1)'"),
    ],
)
def test_one_mistake_in_a_process(lines: str, message: str) -> None:
    assert any(message in line for line in errors(f'name = "x"\n{PROCESS}{lines}\n'))


def two(first: str, second: str, *, start: str = "now") -> str:
    return (
        f"name = \"x\"\n[[process]]\nname = \"one\"\nprogram = '''{first}'''\n"
        f"[[process]]\nname = \"two\"\nstart = \"{start}\"\nprogram = '''{second}'''\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (two('fork("two")', "close(1)"), "expected a process with start = \"fork\", found 'two'"),
        (two('fork("tow")', "close(1)", start="fork"), "found 'tow' (did you mean two?)"),
        (
            two('fork("two")', 'fork("two")', start="fork"),
            "a process that does not fork this one, found 'two', without end",
        ),
        (
            two('kill("tow", 9)', "close(1)"),
            "4:19: process.one.program: expected the name of a process, found 'tow' (did",
        ),
        (two('send_fd("tow", 9)', "close(1)"), "expected the name of a process, found 'tow' (did you mean two?)"),
        (
            two('wait_for("up")', 'label("upp")'),
            "expected a label that some program sets, found 'up' (did you mean upp?)",
        ),
        (
            two("a = dup(1)", "close(a)"),
            "process.two.program: expected a variable assigned before, or a constant, found 'a'",
        ),
        (two("close(a)\na = dup(1)", "close(1)"), "expected a variable assigned before, or a constant, found 'a'"),
        (two("a = dup(a)", "close(1)"), "expected a variable assigned before, or a constant, found 'a'"),
        (two("close(si_code)", "close(1)"), "expected a variable assigned before, or a constant, found 'si_code'"),
        (two("sigaction(SIGIO, SIG_HANDLER)", "close(1)"), "expected a handler, on_signal.SIGIO, found none"),
        (
            two("fcntl(1, F_SETLEASES, 0)", "close(1)"),
            "of fcntl(fd, cmd[, arg][, pid_or_start][, len]), found 'F_SETLEASES' (did you mean F_SETLEASE?)",
        ),
    ],
)
def test_references_between_programs(text: str, message: str) -> None:
    assert any(message in line for line in errors(text))


@pytest.mark.parametrize(
    "text",
    [
        two('a = dup(1)\nfork("two")', "close(a)", start="fork"),
        two('fork("two")\na = dup(1)', 'label("x", a)', start="fork"),
        two('x = wait_for("up")\nclose(x)', 'label("up", 3)\nkill("one", SIGIO)'),
        f'name = "x"\n{PROCESS}on_signal.SIGIO = "close(si_fd)\\nclose(si_signo)"\n',
        'name = "x"\n[[process]]\nname = "a"\nprogram = "sigaction(SIGIO, SIG_HANDLER)"\non_signal.SIGIO = ""\n',
    ],
)
def test_references_that_have_a_meaning(text: str) -> None:
    assert parse_scenario(text, "f.toml").name == "x"


def test_a_wrong_element_moves_no_other() -> None:
    text = 'name = "x"\n[[process]]\nname = 1\nprogram = "close(1)"\n' + PROCESS + 'uid = "1"\n'
    assert errors(text) == [
        "f.toml:3: process[0].name: expected a string, found 1",
        "f.toml:8: process.app.uid: expected an integer, found '1'",
    ]


def test_a_long_list_of_mistakes_is_cut() -> None:
    lines = errors("".join(f"key{index} = 1\n" for index in range(500)))
    assert len(lines) == 101
    assert lines[-1] == "f.toml: 402 more problems are not shown"


@pytest.mark.parametrize("table", ["pmem", "device", "file", "process", "no"])
def test_too_many_tables_are_one_mistake_at_the_first_too_many(table: str) -> None:
    text = "name = 'x'\n" + f"[[{table}]]\n" * 1500
    place = f"f.toml:1002: {table}[1000]"
    assert errors(text) == [f"{place}: expected at most 1000 [[{table}]] tables, found 1500"]


def test_too_many_keys_and_elements_are_one_mistake_each() -> None:
    keys = "".join(f"key{index} = 1\n" for index in range(1500))
    text = f"holds = [\n{'1,' * 2000}]\n[machine]\n{keys}[[process]]\n[process.on_signal]\n{keys}"
    assert errors(text) == [
        "f.toml:2: holds[1000]: expected at most 1000 elements in an array, found 2000",
        "f.toml:1004: machine.key1000: expected at most 1000 keys in a table, found 1500",
        "f.toml:2506: process[0].on_signal.key1000: expected at most 1000 keys in a table, found 1500",
    ]


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(MINIMAL)
    assert load_scenario(str(path)).name == "small"
    monkeypatch.chdir(tmp_path)
    assert load_scenario("scenario.toml").name == "small"
    path.rename(tmp_path / "plain")
    assert load_scenario("plain").name == "small"


def test_a_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(MINIMAL, encoding="utf-8-sig")
    scenario = load_scenario(str(path))
    assert (scenario.name, scenario.text) == ("small", MINIMAL)
    path.write_text(f"x = 1\n{MINIMAL}", encoding="utf-8-sig")
    with pytest.raises(ScenarioError, match=r":1: x: expected one of the keys"):
        load_scenario(str(path))
    path.write_text(MINIMAL, encoding="utf-16")
    with pytest.raises(ScenarioError, match="expected text in UTF-8, found the byte 0xff"):
        load_scenario(str(path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def error(name: str) -> str:
        with pytest.raises(ScenarioError) as caught:
            load_scenario(name)
        return str(caught.value)

    missing, folder = tmp_path / "none.toml", tmp_path / "folder.toml"
    folder.mkdir()
    assert (
        error(str(missing))
        == f"{missing}:1: scenario: expected a readable file, found an error (No such file or directory)"
    )
    assert "expected a readable file, found an error (Is a directory)" in error(str(folder))
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    for name in (str(pipe), "/dev/zero"):
        wanted = "expected a regular file, or - for standard input, found a pipe or a device"
        assert error(name) == f"{name}:1: scenario: {wanted}"
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"name = 'x'\n\xff\n")
    assert error(str(binary)) == f"{binary}:2: scenario: expected text in UTF-8, found the byte 0xff"
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * ((1 << 20) + 1))
    assert error(str(large)) == f"{large}:1: scenario: expected at most 1048576 bytes, found more"
    assert "expected the name of a file" in error("a\0.toml")
    assert "\n" not in error("x" * 5000)


def test_shipped_scenarios_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hazards").mkdir()
    (tmp_path / "scenarios").mkdir()
    for name in ("second", "first"):
        (tmp_path / "scenarios" / f"{name}.toml").write_text(
            MINIMAL.replace("close(3)", "opn(3)" if name == "second" else "close(3)")
        )
    (tmp_path / "scenarios" / "README.md").touch()
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    assert shipped_scenarios() == ["first", "second"]
    assert load_scenario("first").name == "small"
    with pytest.raises(ScenarioError, match=r"^second\.toml:4:12: process\.app\.program: "):
        load_scenario("second")
    with pytest.raises(
        ScenarioError,
        match=r"a file, one of the scenarios first, second, or a hazard .*, found 'fist' \(did you mean first",
    ):
        load_scenario("fist")


def test_every_shipped_scenario_loads_under_its_name() -> None:
    for name in shipped_scenarios():
        assert load_scenario(name).name == name


DOCUMENT = Path(__file__).parents[2] / "docs" / "scenario.md"


def test_the_document_s_example_is_a_scenario() -> None:
    example = DOCUMENT.read_text().split("```toml\n")[1].split("```")[0]
    assert parse_scenario(example, "f.toml").name == "truncate-under-a-pin"


def test_the_tables_of_the_document_are_what_the_calls_declare() -> None:
    """``python -m longpin.config.call_table docs/scenario.md`` writes them anew."""
    text = DOCUMENT.read_text()
    assert write_tables(text) == text
    assert all(f"<!-- calls: {section} -->" in text for section in Section)


@pytest.mark.parametrize("table", [ScenarioTable, MachineTable, PmemTable, DeviceTable, FileTable, ProcessEntry])
def test_the_document_names_every_key(table: type) -> None:
    text = DOCUMENT.read_text()
    keys = [entry.name for entry in fields(table)]
    assert [key for key in keys if f"`{key}" not in text and f"[{key}]" not in text] == []


def test_names_that_cannot_be_printed_are_literals_wherever_they_are_named() -> None:
    """A process that nobody has is like one whose name has a character without a shape."""
    text = MINIMAL.replace("close(3)", "fork('kid')")
    text += '[[process]]\nname = "\U00018cd6kid"\nstart = "fork"\nprogram = "getpid()"\n'
    text += '[[file]]\npath = "/a"\npmem = "odd"\n[[pmem]]\nname = "\\n"\n'
    for line in errors(text):
        assert line.isprintable()
    assert any(r"did you mean '\U00018cd6kid'?" in line for line in errors(text))


def test_cameras() -> None:
    head = 'name = "x"\n[[dax]]\nname = "video0"\n[[process]]\nname = "a"\nprogram = "getpid()"\n'
    text = (
        head
        + """
[[video]]
name = "video0"
[[video]]
name = "video1"
frame_size = 0
framework = "videobuf3"
[[file]]
path = "/dev/video1"
"""
    )
    assert errors(text) == [
        "f.toml:9: video.video0.name: expected a name no other table of this kind has, found 'video0'",
        "f.toml:12: video.video1.frame_size: expected a number from 1 to 1048576, found 0",
        (
            "f.toml:13: video.video1.framework: expected one of the frameworks videobuf, videobuf2, found 'videobuf3' "
            "(did you mean videobuf?)"
        ),
        "f.toml:15: file./dev/video1.path: expected a path no device has, found '/dev/video1'",
    ]


def test_huge_pages() -> None:
    head = 'name = "x"\n[[process]]\nname = "a"\nprogram = "getpid()"\n[machine]\n'
    assert errors(head + 'huge_page_size = "3 * PAGE"\nhuge_pages = -1') == [
        "f.toml:6: machine.huge_page_size: expected a power of two, found 12288",
        "f.toml:7: machine.huge_pages: expected a number from 0 to 512, found -1",
    ]
    assert errors(head + "huge_page_size = 4096") == [
        "f.toml:6: machine.huge_page_size: expected a number from 8192 to 1073741824, found 4096"
    ]
