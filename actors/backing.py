"""What can stand behind a descriptor or a name: inodes, folders, pipes, RDMA devices, told by their addresses."""

from dataclasses import replace

from longpin.actors.conversation import Call
from longpin.messages.directory import DIRECTORY
from longpin.messages.envelope import Address
from longpin.messages.inode import ChangeLease, CheckAccess, CloseFile, Flock, SetAttributes, Touch

KINDS = {"inode": "file", "folder": "directory", "pipe": "pipe", "uverbs": "uverbs"}
"""What an open file description is, by the kind of address behind it."""

Common = ChangeLease | CheckAccess | CloseFile | Flock | SetAttributes | Touch
"""What each of them can be asked."""


def kind_of(backing: Address) -> str:
    """Return what an open file description of it is: ``file``, ``directory``, ``pipe`` or ``uverbs``."""
    return KINDS[backing.partition(":")[0]]


def ask(backing: Address, request: Common) -> Call:
    """Return the call that asks it; folders are no actors, so the directory answers for them."""
    if kind_of(backing) == "directory":
        return Call(DIRECTORY, replace(request, folder=backing))
    return Call(backing, request)
