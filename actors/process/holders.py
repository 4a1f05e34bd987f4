"""Who holds a file, from what files of /proc say of it and of each process: which entry leads to whom [2.9]."""

from collections.abc import Iterable, Mapping

from longpin.messages.envelope import Address
from longpin.messages.fs.listing import Listed
from longpin.messages.mm.memory import Pin
from longpin.messages.process.descriptors import Descriptors

Shown = Mapping[Address, Descriptors]
"""What /proc/PID shows of each process, by the process."""


def listed(entries: Iterable[Listed], shown: Shown) -> tuple[int, ...]:
    """Return the numbers of the processes to which entries lead."""
    them = tuple(entries)
    return tuple(one.pid for member, one in shown.items() if any(_leads_to(entry, member, one) for entry in them))


def _leads_to(entry: Listed, member: Address, shown: Descriptors) -> bool:
    """Return whether an entry leads to a process: by a number, or by what it is or has open."""
    if entry.number:
        return entry.number == shown.pid
    refers = any(entry.address in (file.ofd, file.backing) for _, file in shown.table if file.kind != "path")
    return refers or entry.address in (member, shown.mm)


def able_to_unpin(pin: Pin, shown: Shown) -> tuple[tuple[int, str], ...]:
    """Return number and name of those who can have a pin dropped: who has the device, also on its way in a socket.

    Of a pin that no device owns it is who has pinned.
    """
    return tuple((one.pid, one.name) for member, one in shown.items() if _can_unpin(pin, member, one))


def _can_unpin(pin: Pin, member: Address, shown: Descriptors) -> bool:
    files = [*(file for _, file in shown.table), *shown.in_flight]
    has = any(file.backing == pin.context and file.kind != "path" for file in files)
    return has or (not pin.context and member == pin.process)
