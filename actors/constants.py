"""The constants a program may name: Linux numbers (x86-64), as in the man pages and ``<infiniband/verbs.h>``.

F_LAYOUT is not in any released kernel; its value is the one of the RFC [S4].
"""

import errno as _errno
import re

INT_MIN, INT_MAX = -(1 << 31), (1 << 31) - 1

O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE = 0, 1, 2, 3
O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NONBLOCK = 0o100, 0o200, 0o1000, 0o2000, 0o4000
O_DIRECT, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC = 0o40000, 0o200000, 0o400000, 0o2000000
O_PATH, O_TMPFILE, O_NOATIME, O_LARGEFILE = 0o10000000, 0o20200000, 0o1000000, 0o100000
O_ASYNC = 0o20000

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, FD_CLOEXEC = 0, 1, 2, 3, 4, 1030, 1
F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG, F_SETLEASE, F_GETLEASE = 8, 9, 10, 11, 1024, 1025
F_GETDELEG, F_SETDELEG = 1039, 1040
F_SETOWN_EX, F_GETOWN_EX, F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP = 15, 16, 0, 1, 2
F_RDLCK, F_WRLCK, F_UNLCK = 0, 1, 2
F_LAYOUT = 16

FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE = 1, 2, 8
FALLOC_FL_ZERO_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE = 16, 32, 64
FICLONE = 0x40049409
FIEMAP_EXTENT_LAST, FIEMAP_EXTENT_UNWRITTEN, FIEMAP_EXTENT_SHARED = 0x1, 0x800, 0x2000
FIEMAP_EXTENT_UNKNOWN, FIEMAP_EXTENT_DELALLOC = 0x2, 0x4
MFD_HUGE_2MB, MFD_HUGE_1GB = 21 << 26, 30 << 26
MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC = 1, 2, 4, 8, 16
R_OK, W_OK, X_OK, F_OK = 4, 2, 1, 0
LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = 1, 2, 4, 8
LOCK_MAND, LOCK_READ, LOCK_WRITE, LOCK_RW = 32, 64, 128, 192
MSG_DONTWAIT = 0x40
SPLICE_F_NONBLOCK = 2
SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 0, 1, 2
WNOHANG, WUNTRACED, WCONTINUED = 1, 2, 8
RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING = 7, 8, 11

PROT_NONE, PROT_READ, PROT_WRITE = 0, 1, 2
MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_TYPE = 1, 2, 3, 0xF
MAP_FIXED, MAP_ANONYMOUS, MAP_LOCKED, MAP_NORESERVE = 0x10, 0x20, 0x2000, 0x4000
MAP_POPULATE, MAP_NONBLOCK, MAP_STACK, MAP_SYNC, MAP_FIXED_NOREPLACE = 0x8000, 0x1_0000, 0x2_0000, 0x8_0000, 0x10_0000
MAP_HUGETLB, MAP_HUGE_2MB, MAP_HUGE_1GB = 0x4_0000, 21 << 26, 30 << 26
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4
MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED = range(5)
MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE = range(8, 14)
MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK = range(14, 20)
MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_DONTNEED_LOCKED = range(20, 25)

SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1 = range(1, 11)
SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP = range(11, 21)
SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS = range(21, 32)
SIGIOT, SIGCLD, SIGPOLL = SIGABRT, SIGCHLD, SIGIO
SIGRTMIN, SIGRTMAX = 34, 64
"""As the C library counts; the kernel's real-time signals begin at 32."""
SIG_DFL, SIG_IGN, SIG_HANDLER = 0, 1, 2
SA_NOCLDSTOP, SA_NOCLDWAIT, SA_RESTART = 1, 2, 0x10000000

V4L2_MEMORY_USERPTR = 2
AF_XDP, SOCK_RAW = 44, 3
VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE = 1, 2

IBV_ACCESS_LOCAL_WRITE, IBV_ACCESS_REMOTE_WRITE, IBV_ACCESS_REMOTE_READ, IBV_ACCESS_REMOTE_ATOMIC = 1, 2, 4, 8
IBV_ACCESS_MW_BIND, IBV_ACCESS_ZERO_BASED, IBV_ACCESS_ON_DEMAND, IBV_ACCESS_HUGETLB = 0x10, 0x20, 0x40, 0x80
IBV_ACCESS_FLUSH_GLOBAL, IBV_ACCESS_FLUSH_PERSISTENT = 0x100, 0x200
IBV_ACCESS_RELAXED_ORDERING, IBV_ACCESS_OPTIONAL_RANGE = 1 << 20, 0x3FF00000
IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS, IBV_QPS_ERR = 0, 1, 2, 3, 6
IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ = 0, 4
IBV_EVENT_DEVICE_FATAL, IBV_EVENT_LEASE_BREAK = 8, 32
"""The number of the second is of no released verbs: the break of the lease of a region [4.10]."""
IBV_WC_SUCCESS, IBV_WC_LOC_PROT_ERR, IBV_WC_WR_FLUSH_ERR, IBV_WC_REM_ACCESS_ERR, IBV_WC_RETRY_EXC_ERR = 0, 4, 5, 10, 12

PROGRAM_CONSTANTS: dict[str, int] = {
    name: value
    for name, value in globals().items()
    if isinstance(value, int) and not name.startswith("_") and name.isupper()
}
"""Every name above that a program may use, with its value. PAGE is added by the scenario's machine."""

SIGNALS: dict[str, int] = {
    name: value for name, value in PROGRAM_CONSTANTS.items() if name.startswith("SIG") and "_" not in name
}
"""Signal numbers by name; of the real-time signals the first and the last have one."""

SIGNAL_NAMES: dict[int, str] = {
    value: name for name, value in SIGNALS.items() if name not in ("SIGIOT", "SIGCLD", "SIGPOLL", "SIGRTMAX")
}
"""The name of each signal: of two names the usual one, of real-time signals that of the first."""

ERRNO_ALIASES: dict[str, str] = {"EWOULDBLOCK": "EAGAIN", "EDEADLOCK": "EDEADLK", "ENOTSUP": "EOPNOTSUPP"}
"""Second names of one number on Linux, and the name used here."""

ERRNO_NAMES: dict[int, str] = {number: ERRNO_ALIASES.get(name, name) for number, name in _errno.errorcode.items()}
"""errno names by number."""

ERRNOS: dict[str, int] = {name: number for number, name in ERRNO_NAMES.items()}
"""errno numbers by name."""
ERRNOS |= {alias: ERRNOS[name] for alias, name in ERRNO_ALIASES.items()}


_FROM_AN_END = re.compile(r"(SIGRTMIN|SIGRTMAX)\s*([+-])\s*(\d{1,2})", re.ASCII)


def signal_name(number: int) -> str:
    """Return the name of a signal; real-time signals count from SIGRTMIN, the two before it have none."""
    if number in SIGNAL_NAMES:
        return SIGNAL_NAMES[number]
    return f"SIGRTMIN+{number - SIGRTMIN}" if number > SIGRTMIN else str(number)


def signal_number(name: str) -> int | None:
    """Return the number of a signal by its name, such as ``SIGIO`` or ``SIGRTMIN + 1``; None if there is none.

    The C library's own signals, 32 and 33, have no names: their numbers stand for them.
    """
    if name in ("32", "33"):
        return int(name)
    if (match := _FROM_AN_END.fullmatch(name)) is None:
        return SIGNALS.get(name)
    number = SIGNALS[match[1]] + int(f"{match[2]}{match[3]}")
    return number if SIGRTMIN <= number <= SIGRTMAX else None
