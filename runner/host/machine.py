"""The part of this machine that a scenario gets: a folder with its files, processes, and the lease-break-time.

All of it is undone in the end, by the zygote if the runner is killed (:class:`longpin.runner.machine.agent.Zygote`).
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from longpin.config.schema import Scenario
from longpin.runner.machine.abilities import HostAbilities, probe
from longpin.runner.machine.place import Tell, machine_to_ourselves, usual_place
from longpin.runner.machine.proc_files import LEASE_BREAK_TIME
from longpin.runner.machine.processes import Agent, HostError, Zygote

LONGEST_BREAK_TIME = 5
"""Seconds of lease-break-time that a run takes in full; a longer one becomes one second."""

_ROOT_ONLY = {"setuid", "setfsuid", "chown"}


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a scenario runs."""

    break_time: int
    """The lease-break-time to set, in seconds."""
    factor: float
    """Real seconds that a second of the scenario takes."""
    notice: str
    """What to tell the user, or nothing."""


def pace_of(seconds: float, now: int, why_not: str) -> Pace:
    """Return the pace for a scenario's lease-break-time; the kernel knows whole seconds only.

    Args:
        seconds: what the scenario has.
        now: what the machine has.
        why_not: why it cannot be changed; empty if it can.

    Raises:
        HostError: it would have to be changed between for ever and a time.

    """
    if why_not and seconds != now:
        if not seconds or not now:
            raise HostError(f"the scenario needs a lease-break-time of {seconds:g} s, not {now} s: {why_not}")
        return Pace(now, now / seconds, f"lease-break-time stays {now} s ({why_not}), and sleeps are scaled to it")
    if seconds == int(seconds) and (seconds <= LONGEST_BREAK_TIME or why_not):
        return Pace(int(seconds), 1.0, "")
    change = "shortened" if seconds > 1 else "lengthened"
    return Pace(
        1, 1 / seconds, f"lease-break-time is {change} from {seconds:g} s to 1 s, and sleeps by the same factor"
    )


class Machine:
    """A context manager that makes a scenario's surroundings, and removes them.

    Raises:
        HostError: the host cannot run the scenario; the text says what is missing.

    """

    def __init__(self, scenario: Scenario, folder: Path | None = None, tell: Tell | None = None) -> None:
        self._undo = contextlib.ExitStack()
        try:
            self._lock = self._undo.enter_context(machine_to_ourselves(tell))
            self.zygote = Zygote()
            self._undo.callback(self.zygote.close)
            made = self.zygote.make_folder("longpin-host-", folder or usual_place())
            made.chmod(0o777)
            self.abilities: HostAbilities = probe(made)
            if missing := _missing(scenario, self.abilities):
                raise HostError(missing)
            self.folder = made / "root"
            self._make_files(scenario)
            self.pace = self._set_pace(scenario)
        except OSError as error:
            self._undo.close()
            raise HostError(f"the host cannot be prepared: {error}") from None
        except BaseException:
            self._undo.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @staticmethod
    def break_time_now() -> int:
        """Return what lease-break-time is, in seconds."""
        return int(LEASE_BREAK_TIME.read_text())

    def leave_break_time(self) -> None:
        """Leave lease-break-time as somebody else has set it."""
        self.zygote.nothing_to_undo()

    def spawn(self, agent: Agent) -> None:
        """Start a process.

        Raises:
            HostError: no process can be started.

        """
        self.zygote.spawn(agent, self.folder)

    def _make_files(self, scenario: Scenario) -> None:
        self.folder.mkdir()
        self.folder.chmod(0o777)
        for path in scenario.folders:
            made = self.folder / path.lstrip("/")
            made.mkdir()
            made.chmod(0o777)
        for file in scenario.files:
            with (self.folder / file.path.lstrip("/")).open("xb") as opened:
                if file.size:
                    os.posix_fallocate(opened.fileno(), 0, file.size)
                if file.uid and not self.abilities.root:
                    os.fchown(opened.fileno(), file.uid, -1)
                os.fchmod(opened.fileno(), file.mode)

    def _set_pace(self, scenario: Scenario) -> Pace:
        now = self.break_time_now()
        pace = pace_of(scenario.machine.lease_break_time, now, self.abilities.break_time)
        if not self.abilities.break_time:
            self.zygote.undo_at_end(LEASE_BREAK_TIME, str(now), self._lock)
            LEASE_BREAK_TIME.write_text(str(pace.break_time))
        return pace


def beyond_one_folder(scenario: Scenario) -> str:
    """Return what storage a scenario has that a folder of the machine cannot stand for; empty if none."""
    devices = [device.path for device in scenario.dax] + [device.path for device in scenario.video]
    if devices:
        return f"{devices[0]}: a device of its own"
    if scenario.machine.huge_pages:
        return "huge_pages: memory that is the whole machine's"
    others = (pmem for pmem in scenario.pmem if pmem.mount != "/")
    return next((f"{pmem.mount}: a file system of its own" for pmem in others), "")


def _missing(scenario: Scenario, abilities: HostAbilities) -> str:
    """Return what the host lacks that a scenario needs, empty if nothing."""
    calls = {
        op.call
        for process in scenario.processes
        for program in (process.program, *(handler for _, handler in process.on_signal))
        for op in program.operations()
    }
    if storage := beyond_one_folder(scenario):
        return storage
    if abilities.leases and "fcntl" in calls:
        return abilities.leases
    if not abilities.root:
        return ""
    if calls & _ROOT_ONLY:
        return f"{', '.join(sorted(calls & _ROOT_ONLY))}: {abilities.root}"
    for process in scenario.processes:
        if process.uid:
            return f"process {process.name} with uid {process.uid}: {abilities.root}"
    for file in scenario.files:
        if file.uid:
            return f"file {file.path} with uid {file.uid}: {abilities.root}"
    return ""
