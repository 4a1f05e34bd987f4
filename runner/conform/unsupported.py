"""Which programs of the conformance format a host cannot run, and why."""

import resource

from longpin.runner.conform import uring_ops
from longpin.runner.conform.ops import SHARING_OPS
from longpin.runner.conform.program import ConformProgram
from longpin.runner.machine.abilities import DEFAULT_BREAK_TIME, HostAbilities
from longpin.runner.machine.agent import MOST_DESCRIPTORS, RLIMIT_SIGPENDING


def why_not(abilities: HostAbilities, program: ConformProgram) -> str:
    """Return why a host cannot run a program as the format means it, empty if it can."""
    if abilities.leases:
        return abilities.leases
    if abilities.signals and program.uses_signals:
        return abilities.signals
    if abilities.limits and _raises_a_limit(program):
        return f"setrlimit: {abilities.limits}"
    for op in program.ops:
        match op.op:
            case "setuid" | "setfsuid" | "chown" if abilities.root:
                return f"{op.op}: {abilities.root}"
            case "create" | "chmod" if abilities.root and op.args.get("mode", 0o666) & 0o600 != 0o600:
                return f"{op.op} mode {op.args['mode']:o}: {abilities.root}"
            case "sysctl" if abilities.break_time and op.args["lease_break_time"] != DEFAULT_BREAK_TIME:
                return f"sysctl: {abilities.break_time}"
            case "execve" if abilities.executable:
                return f"execve: {abilities.executable}"
            case "setxattr" if abilities.xattr:
                return f"setxattr: {abilities.xattr}"
            case "open" | "reopen" if "O_TMPFILE" in op.args["flags"] and abilities.tmpfile:
                return f"{op.op}: {abilities.tmpfile}"
            case _ if op.op in uring_ops.RULES and abilities.io_uring:
                return f"{op.op}: {abilities.io_uring}"
            case _ if op.op in SHARING_OPS and abilities.reflink:
                return f"{op.op}: {abilities.reflink}"
            case "fallocate" if op.args["mode"] not in abilities.fallocate:
                return f"fallocate {op.args['mode']}: {abilities.fs or 'this file system'} does not have it"
            case _:
                pass
    return ""


def _raises_a_limit(program: ConformProgram) -> bool:
    """Whether a process sets a limit to more than it, or who forked it, was left."""
    first = {"RLIMIT_NOFILE": MOST_DESCRIPTORS, "RLIMIT_SIGPENDING": resource.getrlimit(RLIMIT_SIGPENDING)[1]}
    first["RLIMIT_MEMLOCK"] = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    limits: dict[str, dict[str, int]] = {}
    for op in program.ops:
        own = limits.setdefault(op.proc, dict(first))
        if op.op == "fork":
            limits[op.args["as"]] = dict(own)
        elif op.op == "setrlimit":
            most = own[op.args["resource"]]
            if op.args["limit"] > most >= 0:  # RLIM_INFINITY is -1
                return True
            own[op.args["resource"]] = op.args["limit"]
    return False
