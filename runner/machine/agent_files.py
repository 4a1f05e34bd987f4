"""Calls of the agent on descriptors, paths and memory.

Part of the program of :mod:`longpin.runner.machine.agent`, so it imports only the standard library and its other parts.
"""

import ctypes
import os
import socket
import stat
import struct
from collections.abc import Callable

from longpin.runner.machine.agent_libc import (
    INBOX,
    LIBC,
    Order,
    Reply,
    answer,
    error_answer,
    path_of,
)

# Descriptors.


def pipe(_: Order) -> Reply:
    """Make a pipe; the reply also has both ends."""
    ends = (ctypes.c_int * 2)()
    return answer(LIBC.pipe(ends)) | {"ends": list(ends)}


def sendfd(order: Order) -> Reply:
    """Send a descriptor through the socket that came with the order."""
    with socket.socket(fileno=order["received"].pop()) as way:
        try:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", ctypes.c_int(order["fd"]).value))
            return {"ret": way.sendmsg([b"f"], [rights], socket.MSG_DONTWAIT), "errno": None}
        except OSError as error:
            return error_answer(error)


def recvfd(_: Order) -> Reply:
    """Take a descriptor that was sent here."""
    inbox = socket.socket(fileno=INBOX)
    try:
        # socket.recv_fds leaves its flags out.
        data, rights, _flags, _address = inbox.recvmsg(1, socket.CMSG_LEN(4), socket.MSG_DONTWAIT)
        if rights:
            return {"ret": struct.unpack("i", rights[0][2])[0], "errno": None}
        # A message without its descriptor: there was no number left for it.
        return {"ret": -1, "errno": "EMFILE" if data else "EPIPE"}
    except OSError as error:
        return error_answer(error)
    finally:
        inbox.detach()


def await_fd(order: Order) -> Reply:
    """Wait until a descriptor was sent here, and take it."""
    events = struct.pack("ihh", INBOX, 1, 0)
    if not order["at_once"] and LIBC.poll(ctypes.create_string_buffer(events), ctypes.c_ulong(1), -1) < 0:
        return answer(-1)
    return recvfd(order)


def owner_ex(order: Order) -> Reply:
    """Set or get a struct f_owner_ex; the reply has what is in it then."""
    owner = (ctypes.c_int * 2)(ctypes.c_int(order["type"]).value, ctypes.c_int(order["pid"]).value)
    reply = answer(LIBC.fcntl(ctypes.c_long(order["fd"]), order["cmd"], owner))
    return reply | {"type": owner[0], "pid": owner[1]}


# Paths.


def stat_path(order: Order) -> Reply:
    """Return the size, and whether it is a folder; an error of stat(2) is an answer as well."""
    try:
        found = os.stat(order["path"])  # noqa: PTH116 a Path would lose the slash at the end, which asks for a folder
    except OSError as error:
        return error_answer(error)
    return {"ret": found.st_size, "errno": None, "folder": stat.S_ISDIR(found.st_mode)}


def write_sysctl(order: Order) -> Reply:
    """Write a number to a file in /proc/sys."""
    fd = LIBC.open(path_of(order), os.O_WRONLY)
    if fd < 0:
        return answer(-1)
    data = b"%d" % order["value"]
    reply = answer(LIBC.write(fd, data, ctypes.c_size_t(len(data))))
    LIBC.close(fd)
    return reply


# Memory.


def map_file(order: Order) -> Reply:
    """Map a file, where it is asked for if that is free; the answer is the address."""
    address = LIBC.mmap(*(order[name] for name in ("addr", "length", "prot", "flags", "fd", "offset")))
    return answer(-1 if address == ctypes.c_void_p(-1).value else address)


def mremap(order: Order) -> Reply:
    """Move memory, or make it longer or shorter; the answer is the address."""
    address = LIBC.mremap(*(order[name] for name in ("addr", "old_length", "length", "flags", "new_addr")))
    return answer(-1 if address == ctypes.c_void_p(-1).value else address)


def load(order: Order) -> Reply:
    """Read memory; a signal ends the process where it cannot be read."""
    return {"ret": 0, "errno": None, "data": ctypes.string_at(order["addr"], order["length"]).hex()}


def peek(order: Order) -> Reply:
    """Read a byte by way of a pipe, so that the kernel says where it cannot be read."""
    ends = os.pipe()
    try:
        reply = answer(LIBC.write(ends[1], ctypes.c_void_p(order["addr"]), ctypes.c_size_t(1)))
        data = "" if reply["errno"] else os.read(ends[0], 1).hex()
        return reply | {"data": data}
    finally:
        for end in ends:
            os.close(end)


def poke(order: Order) -> Reply:
    """Write a byte by way of a pipe, so that the kernel says where it cannot be written."""
    ends = os.pipe()
    try:
        os.write(ends[1], bytes([order["value"]]))
        reply = answer(LIBC.read(ends[0], ctypes.c_void_p(order["addr"]), ctypes.c_size_t(1)))
        return reply if reply["errno"] else reply | {"ret": 0}
    finally:
        for end in ends:
            os.close(end)


def store(order: Order) -> Reply:
    """Write memory; a signal ends the process where it cannot be written."""
    data = bytes.fromhex(order["data"])
    ctypes.memmove(order["addr"], data, len(data))
    return {"ret": 0, "errno": None}


CALLS: dict[str, Callable[[Order], Reply]] = {
    "pipe": pipe,
    "sendfd": sendfd,
    "recvfd": recvfd,
    "await_fd": await_fd,
    "owner_ex": owner_ex,
    "stat": stat_path,
    "execve": lambda o: answer(
        LIBC.execve(path_of(o), (ctypes.c_char_p * 2)(path_of(o), None), (ctypes.c_char_p * 1)(None))
    ),
    "write_sysctl": write_sysctl,
    "map_file": map_file,
    "mremap": mremap,
    "load": load,
    "peek": peek,
    "poke": poke,
    "store": store,
}
"""What can be ordered beside what ``libc`` does."""
