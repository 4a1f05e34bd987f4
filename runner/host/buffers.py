"""Which memory a program may have moved on the host kernel: its own.

The process that makes the calls has memory too, which no program may see or touch.
"""

from longpin.actors.mm.address_space import LONGEST_RANGE, TASK_SIZE
from longpin.actors.syscalls.transfers import MOST, shortened
from longpin.runner.machine.processes import HostError

MEMORY = (0x1000_0000_0000, 0x2000_0000_0000)
"""Addresses of a program's mappings: nothing else of its process lies there."""
NOTHING_BELOW = 0x10000
"""Where nobody maps anything unless told to [vm.mmap_min_addr]."""


def fitting(call: str, addr: int, length: int) -> int:
    """Return how long a buffer is for the kernel: what no buffer can be it refuses, of the rest one call moves so much.

    Raises:
        HostError: it is not memory of the program.

    """
    given = shortened(length, MOST)
    harmless = given > LONGEST_RANGE or not given or addr >= TASK_SIZE or addr + given <= NOTHING_BELOW
    if not harmless and not MEMORY[0] <= addr < MEMORY[1] - MOST:
        raise HostError(
            f"{call} of memory that is not the program's own on the host engine: {length} bytes at {addr:#x}"
        )
    return given
