"""Writes small programs that together show every kind of op and of result: what ``kernel_signals.jsonl`` is made from.

python tests/conformance/small_programs.py > small.jsonl
longpin conform --live --program small.jsonl --record tests/data/kernel_signals.jsonl

They are random programs, each shrunk to the fewest ops of which one comes out in a certain way on the emulated kernel,
and some that were written by hand. What is recorded is what the real kernel answers.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.kinds import OPS, RESULTS, Before

from longpin.runner.conform.emulated import EmulatedRunner
from longpin.runner.conform.generate import generate
from longpin.runner.conform.outcome import OpResult
from longpin.runner.conform.program import Op, Program, dump_program, make_op
from longpin.runner.conform.shrink import shrink

SEED, PROGRAMS = 1, 2000
MOST_OF_OPS, MOST_OF_RESULTS = 4, 8
"""In how many ways each kind is shown."""
TRIES = 300

Feature = tuple[str, str]
"""A kind, and how it came out."""

BY_HAND: dict[str, list[list[Any]]] = {
    "a lease tells by SIGCHLD, and says which": [
        ["A", "sigaction", {"sig": "SIGCHLD", "action": "SIG_DFL"}],
        ["A", "sigprocmask", {"how": "SIG_BLOCK", "sigs": "SIGCHLD"}],
        ["*", "create", {"path": "f"}],
        ["A", "open", {"path": "f", "flags": "O_RDONLY", "as": "a"}],
        ["A", "setsig", {"fd": "a", "sig": "SIGCHLD"}],
        ["A", "setlease", {"fd": "a", "type": "RD"}],
        ["B", "open", {"path": "f", "flags": "O_WRONLY|O_NONBLOCK", "as": "b"}],
        ["A", "sigtimedwait", {}],
    ],
    "SIGCHLD beyond RLIMIT_SIGPENDING loses what it says": [
        ["A", "setrlimit", {"resource": "RLIMIT_SIGPENDING", "limit": 0}],
        ["A", "sigaction", {"sig": "SIGCHLD", "action": "SIG_DFL"}],
        ["A", "sigprocmask", {"how": "SIG_BLOCK", "sigs": "SIGCHLD"}],
        ["*", "create", {"path": "f"}],
        ["A", "open", {"path": "f", "flags": "O_RDONLY", "as": "a"}],
        ["A", "setsig", {"fd": "a", "sig": "SIGCHLD"}],
        ["A", "setlease", {"fd": "a", "type": "RD"}],
        ["B", "open", {"path": "f", "flags": "O_WRONLY|O_NONBLOCK", "as": "b"}],
        ["A", "sigtimedwait", {}],
    ],
    "three handlers, the highest number first": [
        ["A", "sigaction", {"sig": "SIGHUP", "action": "SIG_HANDLER"}],
        ["A", "sigaction", {"sig": "SIGTERM", "action": "SIG_HANDLER"}],
        ["A", "sigaction", {"sig": "SIGRT0", "action": "SIG_HANDLER"}],
        ["A", "sigprocmask", {"how": "SIG_BLOCK", "sigs": "SIGHUP|SIGTERM|SIGRT0"}],
        ["B", "kill", {"pid": "A", "sig": "SIGRT0"}],
        ["B", "kill", {"pid": "A", "sig": "SIGTERM"}],
        ["B", "kill", {"pid": "A", "sig": "SIGHUP"}],
        ["B", "kill", {"pid": "A", "sig": "SIGRT0"}],
        ["B", "kill", {"pid": "A", "sig": "SIGHUP"}],
        ["A", "sigprocmask", {"how": "SIG_SETMASK", "sigs": ""}],
    ],
    "fallocate: what is looked at first": [
        ["*", "create", {"path": "f"}],
        ["A", "open", {"path": "f", "flags": "O_RDONLY", "as": "a"}],
        ["A", "pipe", {"r": "r", "w": "w"}],
        *[
            ["A", "fallocate", {"fd": fd, "mode": mode, "offset": (1 << 63) - 101, "len": (1 << 63) - 1}]
            for fd in ("a", "r", "w")
            for mode in ("ALLOC", "PUNCH_HOLE")
        ],
        ["A", "fallocate", {"fd": "a", "mode": "ALLOC", "len": 0}],
    ],
    "no signal for somebody without a right, for nobody": [
        ["B", "getpid", {}],
        ["A", "setuid", {"uid": 65534}],
        ["A", "kill", {"pid": "B", "sig": 65}],
        ["A", "kill", {"pid": "B", "sig": 0}],
        ["A", "kill", {"pid": "nobody", "sig": 65}],
        ["A", "kill", {"pid": "-nobody", "sig": 65}],
        ["A", "kill", {"pid": -2147483648, "sig": 65}],
        ["A", "kill", {"pid": 0, "sig": 65}],
    ],
    "the name of a descriptor is a link": [
        ["*", "create", {"path": "f"}],
        ["A", "open", {"path": "f", "flags": "O_RDWR", "as": "a"}],
        ["A", "open", {"path": ".", "flags": "O_RDONLY", "as": "b"}],
        ["A", "reopen", {"fd": "a", "flags": "O_RDONLY|O_NOFOLLOW", "as": "c"}],
        ["A", "open", {"path": "@b", "flags": "O_RDONLY|O_NOFOLLOW|O_DIRECTORY", "as": "c"}],
        ["A", "open", {"path": "@b/", "flags": "O_RDONLY|O_NOFOLLOW", "as": "c"}],
        ["A", "open", {"path": "@b/f", "flags": "O_RDONLY|O_NOFOLLOW", "as": "c"}],
        ["A", "open", {"path": "@a", "flags": "O_RDWR|O_CREAT|O_EXCL|O_NOFOLLOW", "as": "c"}],
        ["A", "open", {"path": "@none", "flags": "O_RDONLY|O_NOFOLLOW", "as": "c"}],
    ],
} | {
    f"{call}: what its mask keeps off, a stop and {signal} with {action}": [
        ["A", "sigaction", {"sig": signal, "action": action}],
        ["A", call, {"sigs": signal}],
        ["B", "kill", {"pid": "A", "sig": "SIGSTOP"}],
        ["B", "kill", {"pid": "A", "sig": signal}],
        ["B", "kill", {"pid": "A", "sig": "SIGCONT"}],
        ["B", "kill", {"pid": "A", "sig": "SIGHUP"}],
    ]
    for call in ("ppoll", "sigsuspend")
    for signal in ("SIGCONT", "SIGUSR2")
    for action in ("SIG_DFL", "SIG_HANDLER")
}


def came_out(op: Op, result: OpResult) -> str:
    """Return how an op came out, roughly."""
    what = result.errno or ("blocks" if result.blocked else "ok")
    return f"{op.op} {what}" if result.ret is not None or result.blocked else f"{op.op} does not return"


def features(program: Program) -> Iterator[Feature]:
    """Yield what a program shows, with its result."""
    assert program.result is not None
    before = Before()
    for op, result in zip(program.ops, program.result.results, strict=True):
        if result.skipped is None:
            yield from ((kind, came_out(op, result)) for kind, matches in OPS.items() if matches(op))
        yield from ((kind, came_out(op, result)) for kind, matches in RESULTS.items() if matches(op, result, before))
        before.note(op, result)


def small_programs() -> Iterator[Program]:
    """Yield the programs: each shows something that none before it was made to show."""
    for name, ops in BY_HAND.items():
        yield Program(name, tuple(make_op(*op) for op in ops), pace=0)
    runner = EmulatedRunner()
    shown: set[Feature] = set()
    of_kind: Counter[str] = Counter()
    written: set[str] = set()

    def run(program: Program) -> Program:
        return replace(program, result=runner.run(program))

    for index in range(PROGRAMS):
        program = run(generate(SEED, index))
        for feature in dict.fromkeys(features(program)):
            kind, how = feature
            if feature in shown or of_kind[kind] >= (MOST_OF_OPS if kind in OPS else MOST_OF_RESULTS):
                continue
            small = shrink(program, lambda it, wanted=feature: wanted in features(run(it)), tries=TRIES)  # type: ignore[misc]
            shown.add(feature)
            of_kind[kind] += 1
            text = str([str(op) for op in small.ops])
            if text not in written:
                written.add(text)
                yield replace(small, id=f"{kind}: {how}", result=None)


if __name__ == "__main__":
    for made in small_programs():
        sys.stdout.write(f"{dump_program(made)}\n")
        sys.stdout.flush()
