"""The calls as conversations of the process that makes them, one file a subsystem."""

from collections.abc import Callable
from typing import Any

from longpin.actors.syscalls import files, memory, processes, verbs

CALLS: dict[str, Callable[..., Any]] = {
    "open": files.open_,
    "close": files.close,
    "dup": files.dup,
    "dup2": files.dup2,
    "read": files.read,
    "write": files.write,
    "lseek": files.lseek,
    "ftruncate": files.ftruncate,
    "truncate": files.truncate,
    "unlink": files.unlink,
    "fcntl": files.fcntl,
    "send_fd": processes.send_fd,
    "recv_fd": processes.recv_fd,
    "fork": processes.fork,
    "exit": processes.exit_,
    "kill": processes.kill,
    "sigaction": processes.sigaction,
    "pause": processes.pause,
    "sleep": processes.sleep,
    "getpid": processes.getpid,
    "label": processes.label,
    "wait_for": processes.wait_for,
    "mmap": memory.mmap,
    "munmap": memory.munmap,
    "load": memory.load,
    "store": memory.store,
    "ibv_open_device": verbs.ibv_open_device,
    "ibv_alloc_pd": verbs.ibv_alloc_pd,
    "ibv_dealloc_pd": verbs.ibv_dealloc_pd,
    "ibv_reg_mr": verbs.ibv_reg_mr,
    "ibv_dereg_mr": verbs.ibv_dereg_mr,
    "ibv_create_cq": verbs.ibv_create_cq,
    "ibv_create_qp": verbs.ibv_create_qp,
    "ibv_modify_qp": verbs.ibv_modify_qp,
    "ibv_post_send": verbs.ibv_post_send,
    "ibv_poll_cq": verbs.ibv_poll_cq,
    "ibv_wc_status": verbs.ibv_wc_status,
    "ibv_get_cq_event": verbs.ibv_get_cq_event,
}
"""The implementation of each call; a plain function answers at once, a generator is a conversation."""
