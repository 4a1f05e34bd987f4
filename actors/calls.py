"""The calls a program may make: their parameters, and every errno they may return.

One table serves the loader (arity and literal types), the process actor (dispatch) and oracle O7 (allowed errnos). The
errnos are those of the man pages and of ``docs/semantics.md``; a policy adds its own
(:attr:`longpin.actors.policies.base.Policy.errnos`).
"""

from dataclasses import dataclass
from enum import Enum
from types import NoneType

from longpin.messages.labels import VerbsObject


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a call."""

    name: str
    types: tuple[type, ...] = (int,)
    """What an argument in this place may be. There are no literals of VerbsObject: it must come from a variable."""
    optional: bool = False
    repeated: bool = False
    """Any number of arguments, none too; only the last parameter."""

    def __str__(self) -> str:
        return f"{self.name}..." if self.repeated else self.name


class Restart(Enum):
    """What becomes of a call whose sleep a signal ended, by the kernel's name for its error [1.12]."""

    ERESTARTSYS = "made again if no handler runs, or if the one taken first has SA_RESTART"
    ERESTARTNOHAND = "made again if no handler runs"
    EINTR = "never made again"


@dataclass(frozen=True, slots=True)
class Signature:
    """How a call is written and what it may return."""

    name: str
    parameters: tuple[Parameter, ...]
    errnos: frozenset[str]
    source: str
    """The man page, or the section of ``docs/semantics.md``."""
    restart: Restart = Restart.ERESTARTSYS

    @property
    def least(self) -> int:
        """The number of arguments that must be given."""
        return sum(not parameter.optional for parameter in self.parameters)

    @property
    def most(self) -> float:
        """The number of arguments that may be given."""
        return float("inf") if self.parameters and self.parameters[-1].repeated else len(self.parameters)

    def parameter(self, position: int) -> Parameter:
        """Return the parameter an argument is for, by the argument's place from 0."""
        return self.parameters[min(position, len(self.parameters) - 1)]

    def __str__(self) -> str:
        shown = ", ".join(p.name for p in self.parameters if not p.optional)
        for p in self.parameters:
            if p.optional:
                shown += f"[, {p}]" if shown else f"[{p}]"
        return f"{self.name}({shown})"


def _signature(text: str, errnos: str, source: str, restart: Restart = Restart.ERESTARTSYS) -> Signature:
    """Read ``name(parameter: type|type, [parameter], [parameter...])``.

    The default type is int; a handle is what a verb returned.
    """
    types: dict[str, type] = {
        "int": int,
        "float": float,
        "none": NoneType,
        "str": str,
        "bytes": bytes,
        "handle": VerbsObject,
    }
    name, _, inside = text.removesuffix(")").partition("(")
    parameters = []
    for part in filter(None, (piece.strip() for piece in inside.split(","))):
        word, _, kinds = part.strip("[]").partition(":")
        allowed = tuple(types[kind.strip()] for kind in (kinds or "int").split("|"))
        repeated = word.endswith("...")
        parameters.append(Parameter(word.removesuffix("..."), allowed, part.startswith("["), repeated))
    # EINVAL too where a variable holds what the parameter cannot be, such as the result of a failed call.
    allowed_errnos = {*errnos.split(), *(["EINVAL"] if parameters else [])}
    return Signature(name, tuple(parameters), frozenset(allowed_errnos), source, restart)


SIGNATURES: dict[str, Signature] = {
    signature.name: signature
    for signature in (
        # Files and descriptors.
        _signature(
            "open(path: str, flags, [mode])",
            "EACCES EAGAIN EBADF EEXIST EINTR EINVAL EISDIR ENOENT ENOTDIR ENXIO ETXTBSY",
            "open(2)",
        ),
        _signature("close(fd)", "EBADF EINTR", "close(2)"),
        _signature("dup(fd)", "EBADF", "dup(2)"),
        _signature("dup2(oldfd, newfd)", "EBADF", "dup(2)"),
        _signature("read(fd, count)", "EBADF EINTR EINVAL EISDIR", "read(2)"),
        _signature("write(fd, data: bytes|str)", "EBADF EFBIG EINTR EINVAL ENOSPC EPIPE", "write(2)"),
        _signature("lseek(fd, offset)", "EBADF EINVAL ESPIPE", "lseek(2), from the start of the file"),
        _signature("ftruncate(fd, length)", "EBADF EINTR EINVAL", "truncate(2)"),
        _signature("truncate(path: str, length)", "EACCES EINTR EINVAL EISDIR ENOENT ETXTBSY", "truncate(2)"),
        _signature("unlink(path: str)", "EACCES ENOENT EISDIR", "unlink(2)"),
        _signature("link(path: str, to: str)", "EACCES EEXIST ENOENT EPERM", "link(2)"),
        _signature("rename(path: str, to: str)", "EACCES EBUSY EISDIR ENOENT ENOTDIR", "rename(2)"),
        _signature("mkdir(path: str)", "EACCES EEXIST", "mkdir(2): a name that is a directory"),
        _signature("chmod(path: str, mode)", "ENOENT EPERM", "chmod(2)"),
        _signature("chown(path: str, uid)", "ENOENT EPERM", "chown(2)"),
        _signature("utimes(path: str)", "EACCES ENOENT", "utimes(2), to the present"),
        _signature("setxattr(path: str)", "EACCES ENOENT", "setxattr(2) of a user attribute"),
        _signature("stat(path: str)", "ENOENT", "stat(2): returns the size in bytes"),
        _signature("access(path: str, [mode])", "EACCES ENOENT", "access(2)"),
        _signature("execve(path: str)", "EACCES EAGAIN EINTR ENOENT ENOEXEC ETXTBSY", "execve(2) of a file of data"),
        _signature(
            "fallocate(fd, mode, offset, length)",
            "EBADF EFBIG EINTR EINVAL ENODEV ENOSPC EOPNOTSUPP ESPIPE",
            "fallocate(2)",
        ),
        _signature("fsync(fd)", "EBADF EINVAL", "fsync(2)"),
        _signature("flock(fd, how)", "EAGAIN EBADF EINTR EINVAL", "flock(2)"),
        _signature("pipe()", "", "pipe(2): returns the read end, the variable pipe_w is the write end"),
        _signature("set_lease_break_time(seconds)", "EACCES EINVAL", "proc_sys_fs(5), lease-break-time; 0 is for ever"),
        _signature("fcntl(fd, cmd, [arg])", "EACCES EAGAIN EBADF EINVAL ESRCH", "fcntl(2), semantics 2.1-2.3"),
        _signature("send_fd(process: str|int, fd)", "EBADF EPIPE", "unix(7) SCM_RIGHTS, semantics 2.4"),
        _signature("recv_fd([flags])", "EAGAIN EINTR", "unix(7) SCM_RIGHTS, semantics 2.4"),
        # Processes, signals, time.
        _signature("fork(program: str)", "EAGAIN", "fork(2); the child runs the named process"),
        _signature("exec(program: str)", "", "execve(2); the process goes on as the named one"),
        _signature("exit([status])", "", "_exit(2), semantics 1.1"),
        _signature("waitpid(pid, [options])", "ECHILD EINTR EINVAL ESRCH", "waitpid(2); sets wait_status"),
        _signature("kill(process: str|int, signal)", "EINVAL EPERM ESRCH", "kill(2)"),
        _signature("sigaction(signal, disposition, [flags])", "EINVAL", "sigaction(2)"),
        _signature("sigprocmask(how, [signal...])", "EINVAL", "sigprocmask(2) of these signals; 0 is none"),
        _signature("sigsuspend([signal...])", "EINTR", "sigsuspend(2) with these blocked", Restart.ERESTARTNOHAND),
        _signature(
            "sigtimedwait([seconds: int|float])",
            "EAGAIN EINTR",
            "sigtimedwait(2) for any signal blocked then; sets si_signo and si_fd",
            Restart.EINTR,
        ),
        _signature("sigwaitinfo()", "EINTR", "sigwaitinfo(2) for any signal blocked then", Restart.EINTR),
        _signature(
            "ppoll(seconds: int|float|none, [signal...])",
            "EINTR",
            "ppoll(2) of no descriptors with these signals blocked",
            Restart.ERESTARTNOHAND,
        ),
        _signature("setuid(uid)", "EPERM", "setuid(2)"),
        _signature("setfsuid(uid)", "", "setfsuid(2)"),
        _signature("setrlimit(resource, limit)", "EINVAL EPERM", "setrlimit(2), soft and hard limit"),
        _signature("pause()", "EINTR", "pause(2)", Restart.ERESTARTNOHAND),
        _signature("sleep(seconds: int|float)", "EINTR", "nanosleep(2)", Restart.ERESTARTNOHAND),
        _signature("getpid()", "", "getpid(2)"),
        # Memory.
        _signature(
            "mmap(length, prot, flags, fd, offset)",
            "EACCES EBADF EINVAL ENOMEM EOPNOTSUPP ENODEV",
            "mmap(2), semantics 1.8",
        ),
        _signature("munmap(addr, length)", "EINVAL", "munmap(2)"),
        _signature(
            "load(addr, length)", "EFAULT EINVAL", "a CPU load; SIGSEGV or SIGBUS where it faults, semantics 1.8"
        ),
        _signature(
            "store(addr, data: bytes|str)", "EFAULT", "a CPU store; SIGSEGV or SIGBUS where it faults, semantics 1.8"
        ),
        # Verbs.
        _signature("ibv_open_device(name: str)", "ENODEV", "ibv_open_device(3), semantics 1.10"),
        _signature("ibv_alloc_pd(context)", "EBADF EINVAL", "ibv_alloc_pd(3)"),
        _signature("ibv_dealloc_pd(pd: handle)", "EBADF EBUSY EINVAL", "ibv_alloc_pd(3)"),
        _signature(
            "ibv_reg_mr(pd: handle, addr, length, access)",
            "EBADF EFAULT EINTR EINVAL ENOMEM EOPNOTSUPP EPERM",
            "ibv_reg_mr(3), semantics 2.6",
        ),
        _signature("ibv_dereg_mr(mr: handle)", "EBADF EBUSY EINVAL", "ibv_reg_mr(3), semantics 2.6"),
        _signature("ibv_create_cq(context)", "EBADF EINVAL", "ibv_create_cq(3)"),
        _signature("ibv_create_qp(pd: handle, cq: handle)", "EBADF EINVAL", "ibv_create_qp(3)"),
        _signature(
            "ibv_modify_qp(qp: handle, state, [peer: handle])", "EBADF EINVAL", "ibv_modify_qp(3), semantics 1.10"
        ),
        _signature(
            "ibv_post_send(qp: handle, opcode, local: bytes|str|handle, remote: handle, offset, [length])",
            "EBADF EINVAL",
            "ibv_post_send(3): bytes are sent inline, a region from its beginning",
        ),
        _signature("ibv_poll_cq(cq: handle)", "EBADF EINVAL", "ibv_poll_cq(3): takes one completion, returns how many"),
        _signature("ibv_wc_status()", "", "ibv_poll_cq(3): the status field of the completion polled last"),
        _signature("ibv_get_cq_event(cq: handle)", "EBADF EINTR EINVAL", "ibv_get_cq_event(3): waits for a completion"),
        # Order between processes; not system calls.
        _signature("label(name: str, [value: int|str|bytes|handle])", "", "docs/scenario.md"),
        _signature("wait_for(name: str)", "EINTR", "docs/scenario.md"),
    )
}
"""Every call by its name."""
