"""The constants a program may name: Linux numbers (x86-64), as in the man pages and ``<infiniband/verbs.h>``.

F_LAYOUT is not in any released kernel; its value is the one of the RFC [S4].
"""

import errno as _errno

INT_MIN, INT_MAX = -(1 << 31), (1 << 31) - 1

O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE = 0, 1, 2, 3
O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NONBLOCK = 0o100, 0o200, 0o1000, 0o2000, 0o4000
O_DIRECT, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC = 0o40000, 0o200000, 0o400000, 0o2000000
O_PATH, O_TMPFILE = 0o10000000, 0o20200000

F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG, F_SETLEASE, F_GETLEASE = 8, 9, 10, 11, 1024, 1025
F_RDLCK, F_WRLCK, F_UNLCK = 0, 1, 2
F_LAYOUT = 16

FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE = 1, 2, 8
FALLOC_FL_ZERO_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE = 16, 32, 64
FICLONE = 0x40049409
FIEMAP_EXTENT_LAST, FIEMAP_EXTENT_UNWRITTEN, FIEMAP_EXTENT_SHARED = 0x1, 0x800, 0x2000
R_OK, W_OK, X_OK, F_OK = 4, 2, 1, 0
LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = 1, 2, 4, 8
LOCK_MAND, LOCK_READ, LOCK_WRITE, LOCK_RW = 32, 64, 128, 192
MSG_DONTWAIT = 0x40
SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 0, 1, 2
WNOHANG, WUNTRACED, WCONTINUED = 1, 2, 8
RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING = 7, 8, 11

PROT_NONE, PROT_READ, PROT_WRITE = 0, 1, 2
MAP_SHARED, MAP_PRIVATE = 1, 2

SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1 = range(1, 11)
SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP = range(11, 21)
SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS = range(21, 32)
SIGRTMIN, SIGRTMAX = 34, 64
"""As the C library counts; the kernel's real-time signals begin at 32."""
SIG_DFL, SIG_IGN, SIG_HANDLER = 0, 1, 2
SA_NOCLDSTOP, SA_NOCLDWAIT, SA_RESTART = 1, 2, 0x10000000

IBV_ACCESS_LOCAL_WRITE, IBV_ACCESS_REMOTE_WRITE, IBV_ACCESS_REMOTE_READ, IBV_ACCESS_REMOTE_ATOMIC = 1, 2, 4, 8
IBV_ACCESS_MW_BIND, IBV_ACCESS_ZERO_BASED, IBV_ACCESS_ON_DEMAND, IBV_ACCESS_HUGETLB = 0x10, 0x20, 0x40, 0x80
IBV_ACCESS_FLUSH_GLOBAL, IBV_ACCESS_FLUSH_PERSISTENT = 0x100, 0x200
IBV_ACCESS_RELAXED_ORDERING, IBV_ACCESS_OPTIONAL_RANGE = 1 << 20, 0x3FF00000
IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS, IBV_QPS_ERR = 0, 1, 2, 3, 6
IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ = 0, 4
IBV_WC_SUCCESS, IBV_WC_LOC_PROT_ERR, IBV_WC_WR_FLUSH_ERR, IBV_WC_REM_ACCESS_ERR, IBV_WC_RETRY_EXC_ERR = 0, 4, 5, 10, 12

PROGRAM_CONSTANTS: dict[str, int] = {
    name: value
    for name, value in globals().items()
    if isinstance(value, int) and not name.startswith("_") and name.isupper()
}
"""Every name above that a program may use, with its value. PAGE is added by the scenario's machine."""

SIGNALS: dict[str, int] = {
    name: value
    for name, value in PROGRAM_CONSTANTS.items()
    if name.startswith("SIG") and "_" not in name and name != "SIGRTMAX"
}
"""Signal numbers by name; of the real-time signals only the first has one."""

SIGNAL_NAMES: dict[int, str] = {value: name for name, value in SIGNALS.items()}

ERRNO_ALIASES: dict[str, str] = {"EWOULDBLOCK": "EAGAIN", "EDEADLOCK": "EDEADLK", "ENOTSUP": "EOPNOTSUPP"}
"""Second names of one number on Linux, and the name used here."""

ERRNO_NAMES: dict[int, str] = {number: ERRNO_ALIASES.get(name, name) for number, name in _errno.errorcode.items()}
"""errno names by number."""

ERRNOS: dict[str, int] = {name: number for number, name in ERRNO_NAMES.items()}
"""errno numbers by name."""
ERRNOS |= {alias: ERRNOS[name] for alias, name in ERRNO_ALIASES.items()}


def signal_name(number: int) -> str:
    """Return the name of a signal; real-time signals count from SIGRTMIN, the two before it have none."""
    if number in SIGNAL_NAMES:
        return SIGNAL_NAMES[number]
    return f"SIGRTMIN+{number - SIGRTMIN}" if number > SIGRTMIN else str(number)


def signal_number(name: str) -> int | None:
    """Return the number of a signal by its name, ``SIGIO`` or ``SIGRTMIN+1``; None if there is none of that name."""
    base, plus, distance = name.partition("+")
    if not plus:
        return SIGNALS.get(name)
    number = SIGRTMIN + int(distance) if base == "SIGRTMIN" and distance.isdecimal() and len(distance) < 3 else 0
    return number if SIGRTMIN < number <= SIGRTMAX else None
