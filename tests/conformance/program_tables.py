"""Programs written by hand, many of them as tables: each signal, owner, path, flag or number in turn."""

from typing import Any

from conformance.thread_programs import THREADS
from conformance.transfer_programs import TRANSFERS

from longpin.runner.conform.ops import INT_MIN, SIGNALS

Ops = list[list[Any]]

WIDE = 1 << 32
OFF_MAX = (1 << 63) - 1

_FOUND: dict[str, Ops] = {
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
}
"""What conformance runs have found."""

_WAITS: dict[str, Ops] = {
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

CREATE: list[Any] = ["*", "create", {"path": "f"}]


def _open(name: str = "a", flags: str = "O_RDWR", path: str = "f") -> list[Any]:
    return ["A", "open", {"path": path, "flags": flags, "as": name}]


# Signals.


def _life_of_a_signal(name: str) -> Ops:
    """Ignored, blocked, flushed, taken, handled, and what it does by default."""
    return [
        ["A", "sigaction", {"sig": name, "action": "SIG_IGN"}],
        ["B", "kill", {"pid": "A", "sig": name}],
        ["A", "sigprocmask", {"how": "SIG_BLOCK", "sigs": name}],
        ["B", "kill", {"pid": "A", "sig": name}],
        ["A", "sigaction", {"sig": name, "action": "SIG_IGN"}],
        ["A", "sigaction", {"sig": name, "action": "SIG_DFL"}],
        ["B", "kill", {"pid": "A", "sig": name}],
        ["B", "kill", {"pid": "A", "sig": name}],
        ["A", "sigaction", {"sig": name, "action": "SIG_DFL"}],
        ["A", "sigtimedwait", {}],
        ["A", "sigtimedwait", {}],
        ["A", "sigaction", {"sig": name, "action": "SIG_HANDLER"}],
        ["B", "kill", {"pid": "A", "sig": name}],
        ["B", "kill", {"pid": "A", "sig": name}],
        ["A", "sigprocmask", {"how": "SIG_UNBLOCK", "sigs": name}],
        ["A", "pause", {}],
        ["B", "kill", {"pid": "A", "sig": name}],
        ["A", "sigaction", {"sig": name, "action": "SIG_DFL"}],
        ["B", "kill", {"pid": "A", "sig": name}],
        ["B", "kill", {"pid": "A", "sig": 0}],
        ["B", "kill", {"pid": "A", "sig": "SIGCONT"}],
    ]


def _restart_by_two(low: bool, high: bool) -> Ops:
    """Two signals end one sleep at once: the one taken first decides whether the call is made again."""
    restart = {"flags": "SA_RESTART"}
    return [
        CREATE,
        ["A", "sigaction", {"sig": "SIGHUP", "action": "SIG_HANDLER"} | (restart if low else {})],
        ["A", "sigaction", {"sig": "SIGTERM", "action": "SIG_HANDLER"} | (restart if high else {})],
        ["B", "open", {"path": "f", "flags": "O_RDONLY", "as": "b"}],
        ["B", "setlease", {"fd": "b", "type": "RD"}],
        _open(flags="O_WRONLY"),
        ["B", "kill", {"pid": "A", "sig": "SIGSTOP"}],
        ["B", "kill", {"pid": "A", "sig": "SIGTERM"}],
        ["B", "kill", {"pid": "A", "sig": "SIGHUP"}],
        ["B", "kill", {"pid": "A", "sig": "SIGCONT"}],
        ["B", "close", {"fd": "b"}],
    ]


def _interrupted(*call: Any, restart: bool) -> Ops:
    """A signal ends a wait, a stop does not."""
    flags = {"flags": "SA_RESTART"} if restart else {}
    return [
        ["A", "fork", {"as": "C"}],
        ["A", "sigaction", {"sig": "SIGHUP", "action": "SIG_HANDLER"} | flags],
        ["A", *call],
        ["B", "kill", {"pid": "A", "sig": "SIGURG"}],
        ["B", "kill", {"pid": "A", "sig": "SIGSTOP"}],
        ["B", "kill", {"pid": "A", "sig": "SIGCONT"}],
        ["B", "kill", {"pid": "A", "sig": "SIGHUP"}],
        ["B", "kill", {"pid": "A", "sig": "SIGTERM"}],
    ]


_SIGNALS: dict[str, Ops] = {
    **{f"the life of {name}": _life_of_a_signal(name) for name in SIGNALS if name not in ("SIGKILL", "SIGSTOP")},
    **{
        f"two signals end one open: SA_RESTART of the first {low}, of the second {high}": _restart_by_two(low, high)
        for low in (True, False)
        for high in (True, False)
    },
    **{
        f"{call[0]} is interrupted, {'with' if restart else 'without'} SA_RESTART": _interrupted(*call, restart=restart)
        for call in (
            ("pause", {}),
            ("nanosleep", {"seconds": 1000.5}),
            ("sigsuspend", {"sigs": ""}),
            ("ppoll", {"sigs": ""}),
            ("sigwaitinfo", {}),
            ("waitpid", {"pid": "C"}),
        )
        for restart in (True, False)
    },
    "stops and SIGCONT throw each other away": [
        ["A", "sigprocmask", {"how": "SIG_BLOCK", "sigs": "SIGTSTP|SIGTTIN|SIGTTOU|SIGCONT"}],
        *[["B", "kill", {"pid": "A", "sig": name}] for name in ("SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT")],
        ["B", "kill", {"pid": "A", "sig": "SIGTTOU"}],
        ["B", "kill", {"pid": "A", "sig": "SIGSTOP"}],
        ["B", "kill", {"pid": "A", "sig": "SIGCONT"}],
        ["A", "sigtimedwait", {}],
        ["A", "sigtimedwait", {}],
    ],
    "sigtimedwait takes the lowest number, real-time signals in their order": [
        ["A", "sigprocmask", {"how": "SIG_BLOCK", "sigs": "SIGHUP|SIGTERM|SIG32|SIG33|SIGRT0"}],
        *[["B", "kill", {"pid": "A", "sig": name}] for name in ("SIGRT0", "SIG33", "SIG32", "SIGTERM", "SIGHUP")],
        *[["B", "kill", {"pid": "A", "sig": name}] for name in ("SIG32", "SIGHUP")],
        *[["A", "sigtimedwait", {}]] * 7,
    ],
    "beyond RLIMIT_SIGPENDING a real-time signal stands for all": [
        ["A", "setrlimit", {"resource": "RLIMIT_SIGPENDING", "limit": 0}],
        ["A", "sigprocmask", {"how": "SIG_BLOCK", "sigs": "SIGRT0|SIGHUP"}],
        *[["B", "kill", {"pid": "A", "sig": name}] for name in ("SIGRT0", "SIGRT0", "SIGHUP")],
        *[["A", "sigtimedwait", {}]] * 3,
    ],
    "a stopped process": [
        ["A", "sigaction", {"sig": "SIGHUP", "action": "SIG_HANDLER"}],
        ["B", "kill", {"pid": "A", "sig": "SIGSTOP"}],
        ["A", "getpid", {}],
        *[["B", "kill", {"pid": "A", "sig": name}] for name in ("SIGHUP", "SIGTERM", 0, "SIGKILL")],
    ],
}


# Children.


def _child(setup: Ops, *more: list[Any]) -> Ops:
    return [*setup, ["A", "fork", {"as": "B"}], *more]


_BLOCKED: Ops = [
    ["A", "sigaction", {"sig": "SIGCHLD", "action": "SIG_DFL"}],
    ["A", "sigprocmask", {"how": "SIG_BLOCK", "sigs": "SIGCHLD"}],
]
_ALL = "WNOHANG|WUNTRACED|WCONTINUED"

_CHILDREN: dict[str, Ops] = {
    "what SIGCHLD and waitpid say of a child": _child(
        _BLOCKED,
        *[
            op
            for name in ("SIGSTOP", "SIGCONT", "SIGTSTP", "SIGCONT", "SIGKILL")
            for op in (
                ["A", "kill", {"pid": "B", "sig": name}],
                ["A", "sigtimedwait", {}],
                ["A", "waitpid", {"pid": "B", "options": _ALL}],
                ["A", "waitpid", {"pid": -1, "options": _ALL}],
            )
        ],
    ),
    "a zombie has its number until it is waited for": _child(
        _BLOCKED,
        ["A", "pipe", {"r": "r", "w": "w"}],
        ["B", "exit", {"status": 3}],
        ["A", "sigtimedwait", {}],
        ["A", "kill", {"pid": "B", "sig": "SIGHUP"}],
        ["A", "setown", {"fd": "r", "pid": "B"}],
        ["A", "getown", {"fd": "r"}],
        ["A", "waitpid", {"pid": "-B", "options": "WNOHANG"}],
        ["A", "waitpid", {"pid": 0}],
        ["A", "kill", {"pid": "B", "sig": 0}],
        ["A", "getown", {"fd": "r"}],
        ["A", "setown", {"fd": "r", "pid": "B"}],
        ["A", "waitpid", {"pid": -1}],
    ),
    "SIGCHLD ignored and blocked is not sent": _child(
        [
            ["A", "sigaction", {"sig": "SIGCHLD", "action": "SIG_IGN"}],
            ["A", "sigprocmask", {"how": "SIG_BLOCK", "sigs": "SIGCHLD"}],
        ],
        ["A", "fork", {"as": "C"}],
        ["B", "exit", {}],
        ["C", "kill", {"pid": "A", "sig": "SIGCHLD"}],
        ["A", "waitpid", {"pid": "C", "options": "WNOHANG"}],
        ["C", "exit", {}],
        ["A", "waitpid", {"pid": -1}],
    ),
    **{
        f"{flag}: what the parent hears": _child(
            [
                ["A", "sigaction", {"sig": "SIGCHLD", "action": "SIG_HANDLER", "flags": flag}],
            ],
            ["A", "kill", {"pid": "B", "sig": "SIGSTOP"}],
            ["A", "waitpid", {"pid": "B", "options": _ALL}],
            ["A", "kill", {"pid": "B", "sig": "SIGCONT"}],
            ["A", "waitpid", {"pid": "B", "options": _ALL}],
            ["A", "kill", {"pid": "B", "sig": "SIGTERM"}],
            ["A", "waitpid", {"pid": "B", "options": _ALL}],
        )
        for flag in ("SA_NOCLDSTOP", "SA_NOCLDWAIT", "SA_RESTART")
    },
    "the children of who ends are nobody's": [
        ["A", "sigaction", {"sig": "SIGCHLD", "action": "SIG_DFL"}],
        ["A", "fork", {"as": "B"}],
        ["B", "fork", {"as": "C"}],
        ["C", "exit", {}],
        ["A", "kill", {"pid": "C", "sig": 0}],
        ["B", "exit", {}],
        ["A", "kill", {"pid": "C", "sig": 0}],
        ["A", "kill", {"pid": "B", "sig": 0}],
        ["A", "waitpid", {"pid": "C"}],
        ["A", "waitpid", {"pid": -1}],
    ],
    "what waitpid refuses": _child(
        [],
        *[["A", "waitpid", {"pid": -1, "options": number}] for number in (4, 16, 64, 128)],
        *[["A", "waitpid", {"pid": pid, "options": "WNOHANG"}] for pid in ("A", "-A", "nobody", "-nobody", INT_MIN)],
        ["A", "waitpid", {"pid": "B+2^32", "options": "WNOHANG"}],
        ["A", "waitpid", {"pid": WIDE - 1, "options": "WNOHANG"}],
    ),
    "what exec keeps of signals": [
        ["A", "sigaction", {"sig": "SIGHUP", "action": "SIG_HANDLER"}],
        ["A", "sigaction", {"sig": "SIGTERM", "action": "SIG_IGN"}],
        ["A", "sigprocmask", {"how": "SIG_BLOCK", "sigs": "SIGUSR2|SIGRT0"}],
        ["B", "kill", {"pid": "A", "sig": "SIGRT0"}],
        ["A", "exec", {}],
        ["B", "kill", {"pid": "A", "sig": "SIGTERM"}],
        ["A", "sigtimedwait", {}],
        ["B", "kill", {"pid": "A", "sig": "SIGHUP"}],
    ],
}


# Numbers.

_OWNERS = ("A", "-A", "B", "-B", "nobody", "-nobody", 0, INT_MIN, INT_MIN + WIDE, "A+2^32", "-A+2^32", WIDE)

_NUMBERS: dict[str, Ops] = {
    "every form of F_SETOWN": [
        ["A", "fork", {"as": "B"}],
        ["A", "pipe", {"r": "r", "w": "w"}],
        *[op for pid in _OWNERS for op in (["A", "setown", {"fd": "r", "pid": pid}], ["A", "getown", {"fd": "r"}])],
    ],
    "every form of F_SETSIG": [
        CREATE,
        _open(),
        *[
            ["A", "setsig", {"fd": "a", "sig": sig}]
            for sig in ("SIGKILL", "SIGSTOP", 65, -1, WIDE + 10, WIDE + 65, "0")
        ],
    ],
    "every form of F_SETLEASE": [
        CREATE,
        _open(flags="O_RDONLY"),
        *[
            op
            for kind in ("RD", "WR", "UN", 3, 16, -1, WIDE, WIDE + 1, WIDE + 2, -WIDE, 5 * WIDE + 1, WIDE + 3)
            for op in (["A", "setlease", {"fd": "a", "type": kind}], ["A", "getlease", {"fd": "a"}])
        ],
    ],
    "every form of flock": [
        CREATE,
        _open(),
        _open("b"),
        *[
            ["A", "flock", {"fd": fd, "how": how}]
            for how in (0, 1, 3, 4, 5, 6, 12, 16, 32, 33, 64, 96, 192, 224, 256, -1, WIDE + 6, WIDE + 8)
            for fd in ("b",)
        ],
        ["A", "flock", {"fd": "a", "how": "EX|NB"}],
        *[["A", "flock", {"fd": "b", "how": how}] for how in ("SH|NB", "MAND|READ", "UN", WIDE + 5)],
    ],
    "sleeps that are none": [["A", "nanosleep", {"seconds": seconds}] for seconds in (-1, -0.5, -0.000001, -(10**9))],
    "every form of access and of chmod": [
        CREATE,
        *[["A", "access", {"path": "f", "mode": mode}] for mode in range(16)],
        *[["A", "chmod", {"path": "f", "mode": mode}] for mode in (0o600, 0o777 + (1 << 16), (1 << 20))],
        ["A", "setuid", {"uid": 65534}],
        *[["A", "access", {"path": "f", "mode": mode}] for mode in (0, 4, 2, 6, 8)],
    ],
    "users by number": [
        CREATE,
        *[["A", "chown", {"path": "f", "uid": uid}] for uid in (-1, WIDE - 1, WIDE, 65534 + WIDE, 65534)],
        *[["A", "setfsuid", {"uid": uid}] for uid in (-1, WIDE, 65534, 65534 + WIDE, 0)],
        *[["A", "setuid", {"uid": uid}] for uid in (-1, WIDE, 65534 + WIDE, 0, 65534)],
    ],
    "descriptors by number": [
        CREATE,
        _open(),
        *[
            op
            for fd in ("a+2^32", "none")
            for op in (
                ["A", "getlease", {"fd": fd}],
                ["A", "lseek", {"fd": fd, "offset": 0}],
                ["A", "read", {"fd": fd}],
                ["A", "ftruncate", {"fd": fd, "len": 8192}],
                ["A", "fallocate", {"fd": fd, "mode": "ALLOC"}],
                ["A", "mmap", {"fd": fd, "prot": "r"}],
                ["A", "reopen", {"fd": fd, "flags": "O_RDONLY", "as": "b"}],
                ["A", "sendfd", {"fd": fd, "to": "B"}],
                ["A", "dup2", {"fd": fd, "to": 20, "as": "c"}],
            )
        ],
        *[["A", "dup2", {"fd": "a", "to": number, "as": "c"}] for number in (3, 400, 1024, 2000)],
    ],
    "sizes and places": [
        CREATE,
        _open(),
        *[["A", "lseek", {"fd": "a", "offset": offset}] for offset in (0, 100, 10_000, -1, -OFF_MAX - 1)],
        *[["A", "read", {"fd": "a", "count": count}] for count in (0, 1, 1 << 47, (1 << 63) + 1, (1 << 64) - 1)],
        *[["A", "ftruncate", {"fd": "a", "len": size}] for size in (0, 100, -1, -OFF_MAX - 1, 8192)],
        *[["A", "truncate", {"path": "f", "len": size}] for size in (0, 100, -1, -OFF_MAX - 1, 8192)],
        ["A", "stat", {"path": "f"}],
    ],
    **{
        f"ranges of fallocate {mode}": [
            CREATE,
            _open(),
            _open("b", "O_RDONLY"),
            _open("d", "O_RDONLY", "."),
            *[
                ["A", "fallocate", {"fd": "a", "mode": mode, "offset": offset, "len": length}]
                for offset, length in (
                    (OFF_MAX, 1),
                    (OFF_MAX - 100, OFF_MAX),
                    (OFF_MAX - 4095, 4096),
                    (0, 0),
                    (-1, 1),
                    (0, -1),
                    (4096, 4096),
                    (8192, 4096),
                    (100, 4096),
                    (0, 100),
                )
            ],
            *[["A", "fallocate", {"fd": fd, "mode": mode, "offset": OFF_MAX, "len": 1}] for fd in ("b", "d")],
            ["A", "stat", {"path": "f"}],
        ]
        for mode in ("ALLOC", "KEEP_SIZE", "PUNCH_HOLE", "COLLAPSE", "ZERO", "INSERT")
    },
    "as many descriptors as RLIMIT_NOFILE says": [
        CREATE,
        _open(),
        ["A", "setrlimit", {"resource": "RLIMIT_NOFILE", "limit": 5}],
        ["A", "dup", {"fd": "a", "as": "b"}],
        ["A", "dup", {"fd": "a", "as": "c"}],
        _open("c", path="nowhere"),
        _open("c", "O_WRONLY|O_CREAT", "new"),
        ["A", "stat", {"path": "new"}],
        ["A", "pipe", {"r": "r", "w": "w"}],
        ["A", "dup2", {"fd": "a", "to": 5, "as": "c"}],
        ["A", "dup2", {"fd": "a", "to": 4, "as": "c"}],
    ],
}


# Memory.


def _unmapped(first: int, count: int, *touched: int) -> Ops:
    pages = [["A", "load", {"map": "m", "page": page}] for page in touched]
    mapping = ["A", "mmap", {"fd": "a", "prot": "w", "pages": 4, "as": "m", "touch": 1}]
    grow = ["A", "ftruncate", {"fd": "a", "len": 4 * 4096}]
    return [CREATE, _open(), grow, mapping, ["A", "munmap", {"map": "m", "first": first, "count": count}], *pages]


_MEMORY: dict[str, Ops] = {
    "the middle is unmapped": _unmapped(1, 2, 0, 3, 1),
    "the beginning is unmapped": _unmapped(0, 1, 1, 2, 3, 0),
    "the end is unmapped": _unmapped(3, 1, 0, 1, 2, 3),
    "all is unmapped, and more": _unmapped(-1, 6, 2),
    "what lies before is unmapped": _unmapped(-2, 2, 0, 3),
    "nothing is unmapped": _unmapped(0, 0, 0, 3),
    "too much is unmapped": _unmapped(0, 1 << 51, 0, 3),
    "more than there can be is unmapped": _unmapped(0, 1 << 35, 0, 3),
    "a store to what may only be read": [
        CREATE,
        _open(),
        ["A", "mmap", {"fd": "a", "prot": "r", "as": "m"}],
        ["A", "load", {"map": "m", "page": 0}],
        ["A", "store", {"map": "m", "page": 0}],
    ],
    "a mapping keeps the lease of its description": [
        CREATE,
        _open(flags="O_RDONLY"),
        ["A", "mmap", {"fd": "a", "prot": "r", "pages": 2, "as": "m"}],
        ["A", "setlease", {"fd": "a", "type": "RD"}],
        ["A", "close", {"fd": "a"}],
        ["A", "munmap", {"map": "m", "first": 0, "count": 1}],
        ["A", "munmap", {"map": "m", "first": 1, "count": 1}],
    ],
}


# Paths.

_SPELLINGS = (
    "f", "./f", ".//f", "d/../f", "f/", "f/.", "f/..", "f/../f", "d", "d/", "d/.", "d/f", "d//f", ".", "d/..", "",
    "nowhere", "nowhere/", "nowhere/f", "n{255}", "n{256}", "(./){2047}f", "(./){2048}f", "@a", "@a/", "@a/f", "@b",
    "@b/", "@b/f", "@b/nowhere", "@none",
)  # fmt: skip
_CALLS_ON_PATHS: dict[str, dict[str, Any]] = {
    "truncate": {"len": 8192},
    "chmod": {"mode": 0o777},
    "chown": {"uid": 0},
    "utimes": {},
    "setxattr": {},
    "stat": {},
    "access": {},
    "mkdir": {},
    "unlink": {},
    "rename": {"to": "k"},
    "link": {"to": "k"},
}
_PLACE: Ops = [CREATE, ["A", "mkdir", {"path": "d"}], _open(), _open("b", "O_RDONLY", "d")]
_FLAGS = (
    "O_RDONLY", "O_WRONLY", "O_WRONLY|O_RDWR", "O_RDONLY|O_DIRECTORY", "O_RDONLY|O_CREAT", "O_WRONLY|O_CREAT|O_EXCL",
    "O_RDONLY|O_CREAT|O_DIRECTORY", "O_PATH", "O_PATH|O_DIRECTORY", "O_PATH|O_CREAT|O_TRUNC", "O_RDONLY|O_TRUNC",
    "O_RDONLY|O_NOFOLLOW", "O_RDWR|O_TMPFILE", "O_RDONLY|O_TMPFILE",
)  # fmt: skip

_PATHS: dict[str, Ops] = {
    **{
        f"{call} of every spelling": [
            *_PLACE,
            *[["A", call, {"path": path} | args] for path in _SPELLINGS],
        ]
        for call, args in _CALLS_ON_PATHS.items()
    },
    **{
        f"{call} to every spelling": [
            *_PLACE,
            *[["A", call, {"path": "f", "to": path}] for path in _SPELLINGS],
        ]
        for call in ("rename", "link")
    },
    **{
        f"open of every spelling with {flags}": [
            *_PLACE,
            *[_open("c", flags, path) for path in _SPELLINGS if not (path.startswith("@") and "O_TMPFILE" in flags)],
        ]
        for flags in _FLAGS
    },
}


# Overdue leases.


def _overdue(*last: list[Any]) -> Ops:
    """Break a lease, let its time run out, and do something that may notice."""
    return [
        ["*", "sysctl", {"lease_break_time": 1}],
        CREATE,
        ["A", "open", {"path": "f", "flags": "O_RDONLY", "as": "a"}],
        ["A", "setlease", {"fd": "a", "type": "RD"}],
        ["B", "open", {"path": "f", "flags": "O_WRONLY|O_NONBLOCK", "as": "b"}],
        ["B", "open", {"path": "f", "flags": "O_RDONLY", "as": "b"}],
        ["*", "sleep", {"ms": 1300}],
        *last,
    ]


_OVERDUE: dict[str, Ops] = {
    f"{name} and an overdue lease": _overdue(*last)
    for name, last in {
        "ftruncate": [["A", "ftruncate", {"fd": "a", "len": 0}]],
        "rename": [["B", "rename", {"path": "f", "to": "k"}]],
        "rename onto it": [["B", "mkdir", {"path": "k"}], ["B", "rename", {"path": "k", "to": "f"}]],
        "an open that fails": [["B", "open", {"path": "f", "flags": "O_WRONLY|O_CREAT|O_EXCL", "as": "c"}]],
        "an open for reading": [["B", "open", {"path": "f", "flags": "O_RDONLY", "as": "c"}]],
        "an open with O_PATH": [["B", "open", {"path": "f", "flags": "O_PATH", "as": "c"}]],
        "stat": [["B", "stat", {"path": "f"}]],
    }.items()
}

BY_HAND: dict[str, Ops] = {
    name: ops
    for table in (_FOUND, _WAITS, _SIGNALS, _CHILDREN, _NUMBERS, _MEMORY, _PATHS, _OVERDUE, THREADS, TRANSFERS)
    for name, ops in table.items()
}
"""Programs by what they show."""
