"""What is read of a process in /proc/PID: its descriptors."""

from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.messages.process.caller import Caller
from longpin.messages.process.process import File


@message
class ListDescriptors(Message):
    """Read /proc/PID/fd: EACCES for who could not trace the process [code: proc_fd_permission, ptrace_may_access]."""

    caller: Caller

    def footprint(self) -> Footprint:
        """What the calls of the program change: descriptors, and whether it has ended."""
        return Footprint.of(reads=[("program",)])


class Descriptor(NamedTuple):
    """A descriptor and what it refers to."""

    fd: int
    file: File


@message
class Descriptors(Message):
    """What the process refers to; nothing, once it has ended."""

    pid: int
    name: str
    """/proc/PID/comm."""
    mm: Address
    """Its memory map; empty: it has none."""
    table: tuple[Descriptor, ...]
    """By number."""
    in_flight: tuple[File, ...]
    """In sockets, where nobody lists them; those who judge do."""
