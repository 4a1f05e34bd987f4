"""What a process of a scenario asks of the world it runs in, so that the two can be read apart."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from longpin.actors.process.facts import CallRecord
from longpin.actors.process.pending import Siginfo
from longpin.actors.process.process_state import Value
from longpin.actors.process.program import Image

if TYPE_CHECKING:
    from longpin.runner.host.calls import Steps
    from longpin.runner.host.program import HostProcess


class Surroundings(Protocol):
    """The world, seen by one of its processes."""

    images: dict[str, Image]
    """What fork, clone and exec can start, by name."""
    call_table: "Mapping[str, Callable[..., Steps | Value]]"
    """Every call, by its name in a program."""

    def new_number(self, parent: "HostProcess", program: str) -> tuple[int, str]:
        """Return the number and the name of a new process or thread, as the emulator gives them."""

    def has_thread(self, process: "HostProcess", tid: int) -> bool:
        """Return whether a process made a thread of that number."""

    def become(self, process: "HostProcess") -> "Steps":
        """Have a new process take on its user and capabilities."""

    def real_seconds(self, seconds: float) -> float:
        """Return how long a time of the scenario takes."""

    def break_time(self, seconds: int) -> int:
        """Return the lease-break-time to set for one of the scenario."""

    def find(self, target: str | int) -> "HostProcess | None":
        """Return a process that was not reaped, by its name or its number in the scenario."""

    def real_number(self, number: int) -> int:
        """Return what to give the kernel for a process or, with a minus, a group; a number nobody has if there is none.

        So it is the kernel that looks for it, when and if the call does.
        """

    def scenario_pid(self, pid: int) -> int:
        """Return the number the scenario has for a process."""

    def make_child(self, parent: "HostProcess", program: str) -> "HostProcess":
        """Prepare what fork makes.

        Raises:
            KernelError: EAGAIN, there are too many.

        """

    def enroll(self, child: "HostProcess") -> None:
        """Let a process that fork has made run."""

    def post(self, name: str, value: Value) -> None:
        """Set a label."""

    def pending(self, process: "HostProcess") -> set[int]:
        """Return the signals that are pending and whose handlers may run now."""

    def begun(self, process: "HostProcess", record: CallRecord) -> None:
        """Note a call that is made."""

    def ended(self, process: "HostProcess", record: CallRecord) -> None:
        """Note a call that has returned."""

    def handler_begins(self, process: "HostProcess", signal: Siginfo) -> None:
        """Note that a handler is entered."""

    def handler_returns(self, process: "HostProcess") -> None:
        """Note that the handler entered last has returned."""
