"""What each manual page says its calls may fail with, and what they may fail with beside that.

Oracle O7 condemns a call that fails with anything else. A row of :data:`PAGES` is the ERRORS section of one page as a
whole, whether the emulator can come to it or not: on the host kernel every one of them can happen.
``tests/unit/test_errnos.py`` compares the rows with the pages installed on the machine.
"""

VERSION = "6.03"
"""The release of the Linux man-pages that the rows were read from."""

PAGES: dict[str, str] = {
    "_exit(2)": "",
    "access(2)": "EACCES EBADF EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS ETXTBSY",
    "chmod(2)": "EACCES EBADF EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR ENOTSUP EPERM EROFS",
    "chown(2)": "EACCES EBADF EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS",
    "close(2)": "EBADF EDQUOT EINTR EIO ENOSPC",
    "dup(2)": "EBADF EBUSY EINTR EINVAL EMFILE",
    "execve(2)": (
        "E2BIG EACCES EAGAIN EFAULT EINVAL EIO EISDIR ELIBBAD ELOOP EMFILE ENAMETOOLONG ENFILE ENOENT ENOEXEC "
        "ENOMEM ENOTDIR EPERM ETXTBSY"
    ),
    "fallocate(2)": "EBADF EFBIG EINTR EINVAL EIO ENODEV ENOSPC ENOSYS EOPNOTSUPP EPERM ESPIPE ETXTBSY",
    "fcntl(2)": "EACCES EAGAIN EBADF EBUSY EDEADLK EFAULT EINTR EINVAL EMFILE ENOLCK ENOTDIR EPERM",
    "flock(2)": "EBADF EINTR EINVAL ENOLCK EWOULDBLOCK",
    "fork(2)": "EAGAIN ENOMEM ENOSYS ERESTARTNOINTR",
    "fsync(2)": "EBADF EDQUOT EINTR EINVAL EIO ENOSPC EROFS",
    "getpid(2)": "",
    "getrlimit(2)": "EFAULT EINVAL EPERM ESRCH",
    "kill(2)": "EINVAL EPERM ESRCH",
    "link(2)": (
        "EACCES EBADF EDQUOT EEXIST EFAULT EINVAL EIO ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR EPERM "
        "EROFS EXDEV"
    ),
    "lseek(2)": "EBADF EINVAL ENXIO EOVERFLOW ESPIPE",
    "mkdir(2)": (
        "EACCES EBADF EDQUOT EEXIST EFAULT EINVAL ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS"
    ),
    "mmap(2)": "EACCES EAGAIN EBADF EEXIST EINVAL ENFILE ENODEV ENOMEM EOVERFLOW EPERM ETXTBSY",
    "nanosleep(2)": "EFAULT EINTR EINVAL",
    "open(2)": (
        "EACCES EBADF EBUSY EDQUOT EEXIST EFAULT EFBIG EINTR EINVAL EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV "
        "ENOENT ENOMEM ENOSPC ENOTDIR ENXIO EOPNOTSUPP EOVERFLOW EPERM EROFS ETXTBSY EWOULDBLOCK"
    ),
    "pause(2)": "EINTR",
    "pipe(2)": "EFAULT EINVAL EMFILE ENFILE ENOPKG",
    "poll(2)": "EFAULT EINTR EINVAL ENOMEM",
    "read(2)": "EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR EWOULDBLOCK",
    "recv(2)": "EAGAIN EBADF ECONNREFUSED EFAULT EINTR EINVAL ENOMEM ENOTCONN ENOTSOCK EWOULDBLOCK",
    "rename(2)": (
        "EACCES EBADF EBUSY EDQUOT EEXIST EFAULT EINVAL EISDIR ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC "
        "ENOTDIR ENOTEMPTY EPERM EROFS EXDEV"
    ),
    "send(2)": (
        "EACCES EAGAIN EALREADY EBADF ECONNRESET EDESTADDRREQ EFAULT EINTR EINVAL EISCONN EMSGSIZE ENOBUFS ENOMEM "
        "ENOTCONN ENOTSOCK EOPNOTSUPP EPIPE EWOULDBLOCK"
    ),
    "setfsuid(2)": "",
    "setuid(2)": "EAGAIN EINVAL EPERM",
    "setxattr(2)": "EDQUOT EEXIST ENODATA ENOSPC ENOTSUP EPERM ERANGE",
    "sigaction(2)": "EFAULT EINVAL",
    "sigprocmask(2)": "EFAULT EINVAL",
    "sigsuspend(2)": "EFAULT EINTR",
    "sigwaitinfo(2)": "EAGAIN EINTR EINVAL",
    "stat(2)": "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EOVERFLOW",
    "truncate(2)": (
        "EACCES EBADF EFAULT EFBIG EINTR EINVAL EIO EISDIR ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM EROFS ETXTBSY"
    ),
    "unlink(2)": "EACCES EBADF EBUSY EFAULT EINVAL EIO EISDIR ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS",
    "utimensat(2)": "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM EROFS ESRCH",
    "wait(2)": "EAGAIN ECHILD EINTR EINVAL ESRCH",
    "write(2)": "EAGAIN EBADF EDESTADDRREQ EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC EPERM EPIPE EWOULDBLOCK",
    "unix(7)": (
        "EADDRINUSE EBADF ECONNREFUSED ECONNRESET EFAULT EINVAL EISCONN ENFILE ENOENT ENOMEM ENOTCONN EOPNOTSUPP "
        "EPERM EPIPE EPROTONOSUPPORT EPROTOTYPE ESOCKTNOSUPPORT ESRCH ETOOMANYREFS"
    ),
}
"""The errnos in the ERRORS section of each page, with the names the page has."""

ADDED: dict[str, dict[str, str]] = {
    "execve": {"EINTR": "semantics 2.3.2: it waits for leases as an open does"},
    "exec": {"EINTR": "semantics 2.3.2"},
    "fcntl": {"ESRCH": "semantics 2.3.5: F_SETOWN names nobody [meas 6.18]"},
    "mmap": {"EOPNOTSUPP": "mmap(2), MAP_SHARED_VALIDATE in DESCRIPTION"},
    "recv_fd": {"EMFILE": "semantics 1.2: the descriptor is lost, as MSG_CTRUNC of recv(2) tells"},
    "load": {"EFAULT": "semantics 1.8", "EINVAL": "docs/scenario.md, Limits"},
    "store": {"EFAULT": "semantics 1.8"},
    "wait_for": {"EINTR": "docs/scenario.md"},
    # Verbs return the errno of the kernel's uverbs; their manual pages name none.
    "ibv_open_device": {"ENODEV": "semantics 1.10", "EMFILE": "open(2)"},
    "ibv_alloc_pd": {"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
    "ibv_dealloc_pd": {"EBADF": "semantics 1.10", "EBUSY": "semantics 1.10", "EINVAL": "semantics 1.10"},
    "ibv_reg_mr": {
        "EBADF": "semantics 1.10",
        "EFAULT": "semantics 2.6 step 5",
        "EINTR": "semantics 2.6",
        "EINVAL": "semantics 2.6 steps 1 to 3",
        "ENOMEM": "semantics 2.6 step 4",
        "EOPNOTSUPP": "semantics 4.0",
        "EPERM": "semantics 2.6 step 3",
    },
    "ibv_dereg_mr": {"EBADF": "semantics 1.10", "EBUSY": "ibv_reg_mr(3): a memory window is bound", "EINVAL": "1.10"},
    "ibv_create_cq": {"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
    "ibv_create_qp": {"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
    "ibv_modify_qp": {"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
    "ibv_post_send": {"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
    "ibv_poll_cq": {"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
    "ibv_get_cq_event": {"EBADF": "semantics 1.10", "EINTR": "semantics 1.10", "EINVAL": "semantics 1.10"},
}
"""Errnos by call that no page of it has, each with where it comes from."""
