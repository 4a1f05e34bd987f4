"""Worlds of the emulated kernel, and random walks in them that look at whatever declares to commute."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations, islice, product
from typing import Any

from longpin.actors.policies import POLICIES
from longpin.config.loader import load_scenario, parse_scenario, shipped_scenarios
from longpin.config.schema import Scenario
from longpin.messages.envelope import KINDS, Message
from longpin.runner.exploration.activations import ActivationPath
from longpin.runner.exploration.footprints import OrderComparison
from longpin.runner.exploration.table import Table
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Pair = tuple[str, str]
"""The names of two message classes, sorted; ``X...`` is a reply or a wake-up in a conversation that answers an X."""

CHOICES = [(name, preset) for name, policy in POLICIES.items() for preset in policy.presets]
SHIPPED = sorted(shipped_scenarios())

PARENT = "process:100"
"""What it asks is not held back: it has children to make."""

LONGEST = 2_000
"""Arrivals in one walk: a program can signal itself for ever."""

REGISTER = """
fd = open("/pmem/{0}", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
"""

CONNECT = """
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
"""

SHARED = (
    """
fd = open("/pmem/a", O_RDWR)
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fcntl(fd, F_SETLEASE, F_LAYOUT)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)
mr1 = ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ)
"""
    + CONNECT
)

OTHER = """
other = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
load(other, 1)
store(buf, "x")
munmap(other, PAGE)
"""
"""What the parent goes on to do with its memory, while others give back what they have pinned of it."""

PROGRAMS: dict[str, dict[str, str]] = {
    "exits": dict.fromkeys("abcd", "getpid()"),
    "stats": dict.fromkeys("abc", 'stat("/pmem/a")'),
    "files of their own": {x: f'fd = open("/pmem/{x}", O_RDWR)\nwrite(fd, "x")\nclose(fd)' for x in "abc"},
    "labels": {"a": 'label("x")\nwait_for("y")', "b": 'wait_for("x")\nlabel("y")', "c": 'label("z")\nstat("/pmem/a")'},
    "one description": {
        "a": 'fd = open("/pmem/a", O_RDWR)\nfork("child")\nwrite(fd, "x")\nfcntl(fd, F_SETSIG, SIGUSR1)\nclose(fd)',
        "child": "fcntl(fd, F_GETSIG)\nlseek(fd, 0)\nclose(fd)",
    },
    "regions of their own": {x: REGISTER.format(x) for x in "ab"},
    "names": {
        "a": 'link("/pmem/a", "/pmem/x")\nunlink("/pmem/x")',
        "b": 'rename("/pmem/b", "/pmem/y")',
        "c": 'mkdir("/pmem/z")\nfd = open("/pmem/c", O_RDWR | O_CREAT)\nfallocate(fd, 0, 0, 2 * PAGE)',
    },
    "one context": {
        "a": REGISTER.format("a") + CONNECT + 'fork("child")\nibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)\n'
        "ibv_get_cq_event(cq)\nibv_dereg_mr(mr)",
        "child": "more = ibv_alloc_pd(ctx)\nibv_dealloc_pd(more)\nibv_poll_cq(cq)",
    },
    "the end of a lease": {
        "breaker": 'wait_for("leased")\nopen("/pmem/a", O_WRONLY)',
        "holder": 'fd = open("/pmem/a", O_RDONLY)\nfcntl(fd, F_SETLEASE, F_RDLCK)\nlabel("leased")\nclose(fd)',
    },
    "children": {
        "a": 'fork("child")\nstat("/pmem/a")\nwaitpid(-1)\nsigaction(SIGCHLD, SIG_IGN)\nfork("child")\n'
        'kill("b", SIGUSR1)\nsigaction(SIGCHLD, SIG_DFL)\nfork("child")\nwaitpid(-1, WNOHANG)',
        "b": 'sigprocmask(SIG_BLOCK, SIGUSR1, SIGCHLD)\nfork("child")\nsigtimedwait(1)\nsigwaitinfo()',
        "child": 'stat("/pmem/a")',
    },
    "stopped": {
        "a": 'fork("child")\nkill("child", SIGSTOP)\nkill("child", SIGCONT)\nstat("/pmem/a")\nwaitpid(-1)',
        "child": 'stat("/pmem/a")\nstat("/pmem/b")\nstat("/pmem/c")',
    },
    "waits for pins": {x: REGISTER.format(x) + f'truncate("/pmem/{x}", 0)' for x in "ab"},
    "clones": {
        "a": 'a = open("/pmem/a", O_RDWR)\nx = open("/pmem/x", O_RDWR | O_CREAT)\nioctl(x, FICLONE, a)\n'
        'pwrite(x, "x", 0)\nfiemap(a)\ncopy_file_range(a, None, x, None, 1)',
        "b": 'b = open("/pmem/b", O_RDWR)\ny = open("/pmem/y", O_RDWR | O_CREAT)\nioctl(y, FICLONE, b)\n'
        'pwrite(b, "x", 0)\nfiemap(y)\ncopy_file_range(b, None, y, None, 1)',
        "c": REGISTER.format("c") + 'ibv_dereg_mr(mr)\ntruncate("/pmem/c", 0)',
    },
    "shrinking": {
        "a": REGISTER.format("a") + "munmap(buf, PAGE)\nibv_dereg_mr(mr)",
        "b": 'truncate("/pmem/b", 0)\nkill("c", SIGTERM)',
        "c": 'fd = open("/pmem/c", O_RDWR)\nflock(fd, LOCK_EX)\nfallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)',
    },
}
"""Programs of several processes, by what they are about; ``child`` is forked."""

ANONYMOUS = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
buf = mmap(3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
more = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
store(buf, "x")
store(buf + PAGE, "x")
"""
MEETINGS: tuple[tuple[str, dict[str, str]], ...] = (
    (
        "file:",
        {
            "a": 'fd = open("/pmem/a", O_RDWR)\nfork("child")\nfork("child")\npwrite(fd, "x", 0)',
            "child": 'pwrite(fd, "y", 1)\nlseek(fd, 0)\npread(fd, 1, 0)\ncopy_file_range(fd, None, fd, None, 1)',
        },
    ),
    (
        "file:",  # transfers, and a pipe that gets pages
        {
            "a": 'fd = open("/pmem/a", O_RDWR)\nr = pipe()\n'
            "buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n"
            'fork("child")\nfork("child")\npwritev(fd, buf, 1, 0)\nvmsplice(pipe_w, buf, 1)\nfcntl(fd, F_GETFL)\n',
            "child": "preadv(fd, buf, 1, 0)\nvmsplice(pipe_w, buf, 1)\nread(r, 1)\nfcntl(pipe_w, F_GETFL)\n",
        },
    ),
    (
        "process_table",
        {x: f'clone("thread_{x}")\nkill("c", 0)\ngetpid()\n' for x in "abc"}
        | {f"thread_{x}": "gettid()" for x in "abc"},
    ),
    (
        "process_table",  # numbers that are used again
        dict.fromkeys("ab", 'p = fork("child")\nfor i in range(8):\n    clone3("child", p)\n')
        | {"c": "for i in range(12):\n    kill(100, 0)\n", "child": "exit(0)"},
    ),
    (
        "process:",  # who is looked at while children end, and by several at once
        dict.fromkeys("ab", 'fork("child")\nlist_holders("/pmem/a")\nlist_holders("/pmem/a")\n')
        | {"child": "getpid()"},
    ),
    ("directory", dict.fromkeys("abc", 'proc_locks()\nstat("/pmem/a")\nproc_locks()\nmkdir("/d")\n')),
    (
        "mm:",
        {
            "a": REGISTER.format("a")
            + 'fork("child")\nlabel("pinned")\nmore = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)\nmunmap(more, PAGE)\n'
            "load(buf, 1)\nmunmap(buf, PAGE)",
            "child": "ibv_dereg_mr(mr)",
            "b": 'wait_for("pinned")\ntruncate("/pmem/a", PAGE)\ntruncate("/pmem/a", 1)',
        },
    ),
    (
        "mm:",
        {
            "a": REGISTER.format("a") + 'fork("child")\nfor i in range(9):\n    store(buf, "x")\n',
            "child": "ibv_dereg_mr(mr)",
        },
    ),
    (
        "uverbs:",  # registrations, which most policies refuse
        {
            "a": REGISTER.format("a") + 'fork("child")\nfork("child")\n'
            "more = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)\nibv_dereg_mr(mr)\n",
            "child": "own = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)\nibv_dereg_mr(own)\n",
        },
    ),
    (
        "uverbs:",  # windows, shared receives, regions that change
        {
            "a": REGISTER.format("a") + CONNECT + "mw = ibv_alloc_mw(pd, IBV_MW_TYPE_1)\n"
            'fork("child")\nfork("child")\nibv_bind_mw(qp, mw, mr, 0, 4, IBV_ACCESS_REMOTE_WRITE)\n'
            "ibv_create_srq(pd, 4)\nibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_PD, pd)\nibv_poll_cq(cq)\n",
            "child": "own = ibv_alloc_mw(pd, IBV_MW_TYPE_1)\nibv_bind_mw(qp, mw, None)\n"
            "srq = ibv_create_srq(pd, 4)\nibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_PD, pd)\nibv_dealloc_mw(own)\n"
            "ibv_destroy_srq(srq)\nmine = ibv_create_cq(ctx)\nibv_destroy_cq(mine)\nibv_destroy_cq(cq)\n",
        },
    ),
    (
        "pmem:",  # devices that count
        {
            x: REGISTER.format("a").replace("REMOTE_WRITE", "REMOTE_ATOMIC")
            + CONNECT
            + "for i in range(3):\n    ibv_post_send(qp, IBV_WR_ATOMIC_FETCH_AND_ADD, mr, mr, 0, 8, 1)\n"
            for x in "ab"
        },
    ),
    (
        "uverbs:",  # the device is opened again by way of a descriptor
        {
            "a": 'ctx = ibv_open_device("rxe0")\nfork("child")\nfork("child")\n'
            'open("/proc/self/fd/3", O_RDWR)\nibv_alloc_pd(ctx)\nopen("/proc/self/fd/3", O_RDWR)\n',
            "child": 'open("/proc/self/fd/3", O_RDWR)\nibv_alloc_pd(ctx)\nopen("/proc/self/fd/3", O_RDWR)\n',
        },
    ),
    (
        "pmem:",  # clients of a pNFS server look where pages lie
        {
            x: f'fd = open("/pmem/{x}", O_RDWR)\npwrite(fd, "x", 0)\nl = layoutget(fd)\nlayout_read(l, 1, 0)\n'
            'fork("child")\n'
            for x in "abc"
        }
        | {"child": "pread(fd, 1, 0)"},
    ),
    (
        "inode:",  # a file gets smaller, while others look at it, come and go
        {
            x: f'fd = open("/pmem/a", O_RDWR)\nfork("child")\nfork("child")\n{change}\n'
            for x, change in (("a", "ftruncate(fd, PAGE)"), ("b", "pread(fd, 1, 0)"), ("c", 'pwrite(fd, "x", 0)'))
        }
        | {"child": 'pread(fd, 1, 0)\nclose(fd)\nopen("/pmem/a", O_RDONLY)\n'},
    ),
    (
        "process:",  # what an administrator reads, of processes that go on meanwhile
        {
            "a": 'label("a")\nfd = open("/pmem/a", O_RDWR)\ndup(fd)\nfork("child")\nlist_holders("/pmem/a")\nclose(fd)',
            "child": 'label("b")\nlist_holders("/pmem/b")',
            "b": 'list_holders("/pmem/a")\nproc_locks()\nkill_holders("/pmem/c", 0)',
            "c": 'kill("a", 0)\nlist_holders("/pmem/a")',
        },
    ),
    (
        "directory",
        {
            "a": 'proc_locks()\nlist_holders("/pmem/a")\nfork("child")',
            "child": 'open("/pmem/new", O_RDWR | O_CREAT)\nproc_locks()',
            "b": 'stat("/pmem/b")\nunlink("/pmem/b")\nproc_locks()',
            "c": 'rename("/pmem/c", "/pmem/d")\nproc_locks()',
        },
    ),
    (
        "ram:",  # frames of one memory, in the page tables of a process and its children
        {
            "a": ANONYMOUS
            + 'fork("child")\nstore(buf, "y")\nload(buf + PAGE, 1)\nstore(buf + 2 * PAGE, "y")\nfork("child")\n'
            "munmap(buf, PAGE)\nload(buf + PAGE, 1)\n",
            "child": 'load(buf + PAGE, 1)\nstore(buf + PAGE, "z")\nload(buf + PAGE, 1)\nmunmap(buf, PAGE)\n'
            "load(buf + 2 * PAGE, 1)\n",
        },
    ),
    (
        "ram:",
        {
            "a": ANONYMOUS
            + 'fork("child")\nmunmap(buf, PAGE)\nlabel("alone")\nstore(more, "x")\nstore(more + PAGE, "x")\n'
            'fork("child")\nfork("child")\n',
            "child": 'wait_for("alone")\nibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)\nload(buf + PAGE, 1)\n',
        },
    ),
)
"""Programs that meet at one actor, by its kind: a description, a set of blocks, a memory map, anonymous memory."""

CONNECTED = (
    'sigaction(SIGIO, SIG_IGN)\nctx = ibv_open_device("rxe0")\npd = ibv_alloc_pd(ctx)\n'
    + CONNECT
    + 'fd = open("/pmem/a", O_RDWR)\n'
)
PIN = "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)\n"
POST = 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)\n'
MMAP = "mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n"

OF_POLICIES: dict[str, dict[str, str]] = {
    "P2": {
        "a": CONNECTED
        + "c = open('/pmem/c', O_RDWR | O_CREAT)\npwrite(fd, 'x', 0)\nioctl(c, FICLONE, fd)\n"
        + "buf = mmap(2 * PAGE, PROT_READ, MAP_SHARED, fd, 0)\nmr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_READ)\n"
        + 'fork("child")\nlabel("pinned")\npwrite(fd, "y", 0)\nibv_dereg_mr(mr)',
        "child": "m = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\npwrite(c, 'z', 0)\nstore(m, 'z')",
        "b": 'wait_for("pinned")\ntruncate("/pmem/a", 0)',
    },
    "P3": {
        "a": CONNECTED
        + f"buf = {MMAP.replace('MAP_SHARED', 'MAP_SHARED | MAP_DIRECT')}mr = {PIN}"
        + f'fork("child")\nlabel("pinned")\n{POST}munmap(buf, PAGE)\nmunmap(buf + PAGE, PAGE)\nibv_dereg_mr(mr)',
        "child": f"{MMAP}more = {PIN}munmap(buf, 2 * PAGE)",
        "b": 'wait_for("pinned")\ntruncate("/pmem/a", 0)',
        "c": f"fd = open('/pmem/a', O_RDWR)\nb = {MMAP.replace('MAP_SHARED', 'MAP_SHARED | MAP_DIRECT')}"
        "munmap(b, PAGE)",
    },
    "P4": {
        "a": CONNECTED
        + f"buf = {MMAP.replace('MAP_SHARED', 'MAP_SHARED_VALIDATE | MAP_DIRECT')}mr = {PIN}"
        + f'fork("child")\nlabel("pinned")\n{MMAP}{POST}munmap(buf, PAGE)\nibv_dereg_mr(mr)',
        "child": f"{MMAP}more = {PIN}munmap(buf, 2 * PAGE)",
        "b": 'wait_for("pinned")\ntruncate("/pmem/a", 0)',
        "c": f"fd = open('/pmem/a', O_RDWR)\nc = {MMAP}munmap(c, 2 * PAGE)",
    },
    "P9": {
        "a": CONNECTED
        + f"buf = {MMAP}mr = {PIN.replace('reg_mr', 'reg_mr_lease')}more = {PIN.replace('reg_mr', 'reg_mr_lease')}"
        + f'fork("child")\nlabel("pinned")\n{POST}'
        + "ev = ibv_get_async_event(ctx)\nibv_ack_async_event(ev)\nibv_dereg_mr(mr)",
        "child": f"{POST}ibv_get_async_event(ctx)\nibv_dereg_mr(more)\nlast = {PIN.replace('reg_mr', 'reg_mr_lease')}",
        "b": 'wait_for("pinned")\ntruncate("/pmem/a", 0)',
    },
    "P6": {
        "a": CONNECTED
        + f"fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)\nbuf = {MMAP}mr = {PIN}"
        + 'fork("child")\nlabel("pinned")\nmunmap(buf, 2 * PAGE)\nclose(fd)\nibv_dereg_mr(mr)',
        "child": f"dup(fd)\nmore = {PIN}munmap(buf, 2 * PAGE)",
        "b": 'wait_for("pinned")\ntruncate("/pmem/a", 0)',
        "c": f"fd = open('/pmem/a', O_RDWR)\nfcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)\n{MMAP}",
    },
    "P8": {
        "a": CONNECTED
        + f"fcntl(fd, F_SETLEASE, F_LAYOUT)\nbuf = {MMAP}mr = {PIN}"
        + f'fork("child")\nfork("child")\nlabel("pinned")\n{POST}ibv_dereg_mr(mr)\nclose(fd)',
        "child": f"{POST}fcntl(fd, F_SETLEASE, F_LAYOUT)\n{POST}more = ibv_alloc_pd(ctx)\nibv_poll_cq(cq)",
        "b": 'wait_for("pinned")\ntruncate("/pmem/a", 0)',
    },
}
"""Programs for what only some policies know, by their names."""


CROWD = 8
"""Children of one process, which share all that it has."""

CALLS: dict[str, tuple[str, ...]] = {
    "file:": (
        "dup(fd)", "dup(fd)", "close(fd)", "fcntl(fd, F_GETSIG)", "fcntl(fd, F_SETSIG, SIGUSR1)", "fcntl(fd, F_GETOWN)",
        "fcntl(fd, F_SETOWN, 100)", "fcntl(fd, F_SETOWN, -100)", "fcntl(fd, F_GETLEASE)", "read(fd, 5)",
        "pread(fd, 5, 0)", 'pwrite(fd, "x", 0)',
        "fcntl(fd, F_SETLEASE, F_LAYOUT)", "fcntl(fd, F_SETLEASE, F_UNLCK)", 'write(fd, "x")', "lseek(fd, 0)",
        "fcntl(fd, F_SETFL, O_APPEND)", "fcntl(fd, F_SETFL, 0)", "fcntl(fd, F_GETFL)", "fcntl(fd, F_DUPFD, 5)",
        "fcntl(fd, F_SETOWN_EX, F_OWNER_TID, 100)", "fcntl(fd, F_GETOWN_EX)",
        "ftruncate(fd, PAGE)", "fallocate(fd, 0, 0, 3 * PAGE)", "fsync(fd)", "flock(fd, LOCK_SH)", "flock(fd, LOCK_UN)",
        "mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)",
    ),
    "inode:": (
        "mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)", "munmap(buf, 2 * PAGE)", 'stat("/pmem/a")', 'access("/pmem/a", 4)',
        "flock(fd, LOCK_SH)", "flock(fd, LOCK_EX | LOCK_NB)", "flock(fd, LOCK_UN)", 'open("/pmem/a", O_RDONLY)',
        "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)", "fcntl(fd, F_SETLEASE, F_LAYOUT)",
        "m = mmap(3 * PAGE, PROT_READ, MAP_SHARED, fd, 0)\nmunmap(m + PAGE, PAGE)",
    ),
    "pmem:": (
        'store(buf, "y")', "load(buf, 3)", "load(buf + PAGE, 3)", 'store(buf + PAGE, "y")', 'truncate("/pmem/{x}", 0)',
        "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)", "ibv_reg_mr(pd, buf + PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)",
        "ibv_dereg_mr(mr)", 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "z", mr, 0)', "read(fd, 5)", 'write(fd, "x")',
        'f = open("/pmem/{x}", O_RDWR)\nwrite(f, "w")', 'f = open("/pmem/{x}", O_RDWR)\nread(f, 1)',
        'f = open("/pmem/{x}", O_RDWR)\nfallocate(f, 0, 0, 3 * PAGE)',
        'f = open("/pmem/{x}", O_RDWR)\nfallocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)', 'truncate("/pmem/a", 0)',
    ),
    "uverbs:": (
        "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)", "ibv_dereg_mr(mr)", "ibv_dereg_mr(mr1)",
        "ibv_alloc_pd(ctx)", "ibv_dealloc_pd(pd)", "ibv_create_cq(ctx)", "ibv_create_qp(pd, cq)", "ibv_poll_cq(cq)",
        "ibv_get_cq_event(cq)", 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "z", mr, 0)',
        "ibv_post_send(qp, IBV_WR_RDMA_READ, mr, mr1, 0, 4)", "ibv_post_send(qp, IBV_WR_RDMA_READ, mr1, mr, 0, 4)",
    ),
    "process:": ("ibv_dereg_mr(mr)", "ibv_dereg_mr(mr1)", 'truncate("/pmem/a", 0)', "kill(100, 0)"),
    "mm:": ("ibv_dereg_mr(mr)", "ibv_dereg_mr(mr1)", "getpid()"),
    "directory": (
        'stat("/pmem/{x}")', 'open("/pmem/{x}", O_RDWR)', 'open("/pmem/new", O_RDWR | O_CREAT)', 'unlink("/pmem/{x}")',
        'link("/pmem/{x}", "/pmem/x")', 'rename("/pmem/{x}", "/pmem/y")', 'mkdir("/pmem/z")', 'truncate("/pmem/y", 1)',
        'mkdir("/pmem/z/d")', 'open("/pmem/z/new", O_RDWR | O_CREAT)', 'rename("/pmem/z", "/pmem/w")',
        'rename("/pmem/{x}", "/pmem/z/y")', 'link("/pmem/{x}", "/pmem/z/x")', 'stat("/pmem/z/../{x}")',
        'truncate("/pmem/a", 0)', 'chmod("/pmem", 0o700)', 'link("/proc/self/fd/3", "/pmem/x")',
        'rename("/proc/self/fd/3", "/pmem/y")', 'd = open("/pmem", O_RDONLY)\nflock(d, LOCK_EX | LOCK_NB)',
        'open("/pmem/{x}", O_RDWR | O_CREAT | O_EXCL)', 'rename("/pmem/w", "/w")', 'unlink("/proc/self/fd/3/x")',
    ),
    "process_table": (
        'kill("c0", 0)', "kill(-100, 0)", "kill(100, 0)", 'kill("c1", SIGTERM)', "getpid()", "exit(0)",
        "fcntl(fd, F_SETOWN, 100)", "fcntl(fd, F_SETOWN, -100)", "fcntl(fd, F_GETOWN)",
    ),
    "labels": ('label("{y}")', 'wait_for("{y}")'),
}  # fmt: skip
"""Calls on what the children share, by the kind of actor that several of them reach at once."""


def crowd(seed: int, kind: str) -> Scenario:
    """Return a scenario in which several processes use one description, one context and one mapping each at once."""
    rng = random.Random(seed)
    names = [f"c{number}" for number in range(CROWD)]
    parent = SHARED + "".join(f'fork("{name}")\n' for name in names) + OTHER
    programs = {"parent": parent + "".join(f'label("{name}")\n' for name in "lmn")}
    for name in names:
        lines = rng.choices(CALLS[kind], k=5) + [rng.choice(CALLS[rng.choice(list(CALLS))]) for _ in range(2)]
        rng.shuffle(lines)
        programs[name] = "\n".join(lines).format(x=rng.choice("abc"), y=rng.choice("lmn"))
    return of_machine(programs, names)


def of_programs(about: str) -> Scenario:
    """Return a scenario of some of the ``PROGRAMS``."""
    return of_machine(PROGRAMS[about], ["child"])


def meetings() -> Iterator[tuple[Subject, str]]:
    """Yield the worlds of ``MEETINGS`` with the kind of actor at which they meet."""
    for kind, programs in MEETINGS:
        yield subject(of_machine(programs, ["child"]), "P1", "intended"), kind


def of_policies() -> Iterator[Subject]:
    """Yield the programs of ``OF_POLICIES``, each under its policy."""
    for name, programs in OF_POLICIES.items():
        parameters = {"enforce_pass": "block_use"} if name == "P8" else {}
        changes: dict[str, Any] = {"policy": name, "preset": "intended", "parameters": parameters}
        scenario = of_machine(programs, ["child"])
        yield Subject(scenario, Settings.of(scenario, **changes))


def of_machine(programs: dict[str, str], forked: list[str]) -> Scenario:
    """Return a scenario of programs on a machine with three files."""
    text = 'name = "programs"\n[[pmem]]\nname = "pmem0"\nblocks = 12\n'
    text += "".join(f'[[file]]\npath = "/pmem/{x}"\nsize = "2 * PAGE"\n' for x in "abc")
    for name, program in programs.items():
        start = "fork" if name in forked else "thread" if name.startswith("thread") else "now"
        text += f"[[process]]\nname = '{name}'\nstart = '{start}'\nprogram = '''\n{program}\n'''\n"
    return parse_scenario(text, "programs.toml")


def touched() -> Subject:
    """Return processes that touch pages others wait for, on a kernel whose page table entries have references."""
    programs = {x: REGISTER.format(x) + f'label("{x}")\nload(buf, 1)\nibv_dereg_mr(mr)' for x in "ab"}
    programs |= {f"other_{x}": f'wait_for("{x}")\ntruncate("/pmem/{x}", PAGE)' for x in "ab"}
    return subject(of_machine(programs, []), "P1", "intended", kernel="6.18")


def fenced() -> Subject:
    """Return pNFS clients that are cut off for what they do not return, while others come and go: with racy timers."""
    programs = {x: f'fd = open("/pmem/{x}", O_RDWR)\nlayoutget(fd, 1)\nlabel("{x}")\nlayoutget(fd, 1)' for x in "ab"}
    programs |= {f"other_{x}": f'wait_for("{x}")\ntruncate("/pmem/{x}", PAGE)' for x in "ab"}
    coming = 'fd = open("/pmem/c", O_RDWR)\nfor i in range(3):\n    l = layoutget(fd)\n    layoutreturn(l)\n'
    return subject(of_machine(programs | {"c": coming, "d": coming}, []), "P1", "intended")


def registering() -> Subject:
    """Return processes that share a device and register memory with it, pinned and not, and two transfers."""
    register = REGISTER.format("a").partition("ctx")[0] + "".join(
        f"{name} = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE{more})\n"
        f'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", {name}, 0)\n'
        for name, more in (("mr", ""), ("paged", " | IBV_ACCESS_ON_DEMAND"))
    )
    opened = 'ctx = ibv_open_device("rxe0")\npd = ibv_alloc_pd(ctx)\n'
    programs = {"a": f'{opened}fork("child"){CONNECT}{register}', "child": CONNECT + register}
    return subject(of_machine(programs, ["child"]), "P1", "intended", kernel="6.18")


def subject(scenario: Scenario, policy: str, preset: str, **parameters: str) -> Subject:
    """Return a scenario under a policy, whatever its own is."""
    own = (policy, preset, {}) == (scenario.policy.name, scenario.policy.preset, parameters)
    changes: dict[str, Any] = {} if own else {"policy": policy, "preset": preset, "parameters": parameters}
    return Subject(scenario, Settings.of(scenario, **changes))


def subjects(every: int = 1) -> Iterator[Subject]:
    """Yield shipped scenarios and ``PROGRAMS`` under policies and presets: one in ``every`` of all combinations."""
    scenarios = [partial(load_scenario, name) for name in SHIPPED] + [partial(of_programs, about) for about in PROGRAMS]
    for make, choice in islice(product(scenarios, CHOICES), 0, None, every):
        yield subject(make(), *choice)


def declared() -> set[str]:
    """Return the names of the shipped message classes that declare a footprint with which something can commute."""
    shipped = {name: kind for name, kind in KINDS.items() if kind.__module__.startswith("longpin.messages.")}
    all_there_is = {"NotifyParent", "GetUserPages"}  # of the actor that gets it, so it commutes with nothing
    return {name for name, kind in shipped.items() if kind.footprint is not Message.footprint} - all_there_is


class Walker:
    """Walks through one world again and again, comparing in every state it comes to."""

    def __init__(self, build: Callable[[Any], object], *, racy: bool) -> None:
        self.table = Table(build)
        self.racy = racy
        self.comparison = OrderComparison(self.table)
        self.compared = Counter[Pair]()

    def walk(self, rng: random.Random, held: str) -> None:
        """Let arrivals happen at random until nothing can happen any more.

        Requests to actors of the kind ``held`` are held back until all else has arrived: so there are many at once.

        Raises:
            FootprintError: two messages do not commute, though they declare it.

        """
        path = ActivationPath(self.table, racy=self.racy)
        while (ready := path.all_ready()) and len(path.clock) < LONGEST:
            for one, other in combinations(ready, 2):
                self._look(path, one, other)
            others = [process for process in ready if not self._is_held(path, process, held)]
            process = rng.choice(others or ready)
            path.push(process)
            if path.failure is not None:
                raise path.failure

    def _is_held(self, path: ActivationPath, process: int, held: str) -> bool:
        envelope = self.table.envelopes[path.next_message(process)]
        return envelope.dst.startswith(held) and envelope.src != PARENT and envelope.call >= 0

    def _look(self, path: ActivationPath, one: int, other: int) -> None:
        messages = path.next_message(one), path.next_message(other)
        receiver = self.table.receiver[messages[0]]
        if self.table.receiver[messages[1]] != receiver:
            return
        places = path.next_place(one), path.next_place(other)
        if path.conflicts[places[0]] >> places[1] & 1:
            return
        if self.comparison.compare(path.local[receiver], *messages):
            first, second = sorted(self._name(path.local[receiver], message) for message in messages)
            self.compared[first, second] += 1

    def _name(self, state: int, message: int) -> str:
        envelope = self.table.envelopes[message]
        if envelope.call >= 0 or envelope.body.footprint() is not None:
            return type(envelope.body).__name__
        task = self.table.actor(state).suspended(-envelope.call)
        if task is not None and task.step is not None:  # it said itself what its next piece touches
            return type(task.step).__name__
        return ("" if task is None or not task.call else type(task.request).__name__) + "..."
