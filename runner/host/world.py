"""The processes of a scenario side by side on the host kernel, until nothing can happen any more.

A process is ordered to make its next call when its last one has returned and the label it waits for is set; between
labels the order is the operating system's. Whether a call sleeps is seen by the process's state, and what it sleeps in
by its wait channel, so nothing depends on how long anything takes, except a lease break that may still run out.
"""

import errno
import select
import time
from collections.abc import Callable, Iterable, Mapping
from signal import SIGKILL

from longpin.actors.constants import INT_MIN
from longpin.actors.conversation import KernelError, WaitsFor
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.pending import Siginfo
from longpin.actors.process.process_state import MOST_FDS, Value
from longpin.actors.process.program import Image
from longpin.actors.syscalls.processes import CHILDREN
from longpin.config.schema import CAPABILITIES, ProcessSpec, Scenario
from longpin.runner.engines.world import FIRST_PID, image
from longpin.runner.events import (
    CallEntered,
    CallReturned,
    Observer,
    ProcessExited,
    ProcessName,
    RunEvent,
    SignalDelivered,
    SleepBegun,
    tell,
)
from longpin.runner.host.calls import CALLS, NOBODY, LabelWait, Steps, ask
from longpin.runner.host.machine import Machine
from longpin.runner.host.offers import MOST_FILE_BYTES
from longpin.runner.host.program import HostProcess
from longpin.runner.host.threads import THREAD_CALLS, ended_label
from longpin.runner.machine.agent_signals import KICK
from longpin.runner.machine.orders import Order, Reply
from longpin.runner.machine.proc_files import pending_mask
from longpin.runner.machine.processes import Died, HostError

GIVE_UP_AFTER = 60.0
"""Real seconds, beside twice the lease-break-time, after which a run that is still not quiet is undetermined."""
MOST_PROCESSES = 200
MOST_CALLS = 100_000
"""Calls after which a run is undetermined: handlers may signal their own process for ever."""

_CAPABILITY_NUMBERS = {
    "CAP_KILL": 5,
    "CAP_LINUX_IMMUTABLE": 9,
    "CAP_IPC_LOCK": 14,
    "CAP_NET_RAW": 13,
    "CAP_SYS_PTRACE": 19,
    "CAP_LEASE": 28,
}
_BEFORE_A_LOOK = 0.001
"""Seconds in which most calls return; before, it is not worth to look at the process."""
_POLL = 2
"""Milliseconds between two looks at processes that sleep."""
_SETTLED = 0.02
"""Seconds of rest after which nothing more comes of it, unless a lease break can run out."""


class Situation:
    """Where a process is."""

    def __init__(self, process: HostProcess) -> None:
        self.process = process
        self.request: Order | LabelWait | None = None
        """What it waits for; None once it has ended."""
        self.since = 0.0
        self.seen_asleep = False
        """The last look found it asleep, so the next may believe it."""
        self.asleep = False
        """The call under way sleeps."""
        self.stopped = False
        """A signal has stopped it."""
        self.channel = ""
        """The kernel function it sleeps in."""


class World:
    """A scenario while it runs."""

    call_table: Mapping[str, Callable[..., Steps | Value]] = CALLS | THREAD_CALLS

    def __init__(self, scenario: Scenario, machine: Machine, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)
        self._machine = machine
        self._specs = {spec.name: spec for spec in scenario.processes}
        self.images: dict[str, Image] = {spec.name: image(spec) for spec in scenario.processes}
        self.situations: list[Situation] = []
        """In the order in which the processes came into being."""
        self.labels: dict[str, Value] = {}
        """Values of the labels that are set: what their setters did before has happened."""
        self.calls: list[tuple[HostProcess, CallRecord]] = []
        self._places: dict[int, int] = {}
        """By the identity of a call's record: its place among the calls."""
        self.events: list[RunEvent] = []
        self._longest_break = machine.pace.break_time
        self._break_times = {machine.break_time_now()}
        """What lease-break-time is, unless somebody else sets it: what it was set to, and what programs set it to."""
        self.disturbed = False
        """Somebody else has set lease-break-time: what breaks of leases did then says nothing."""
        self._start = time.monotonic()
        self._deadline = self._start + GIVE_UP_AFTER + 2 * machine.pace.break_time

    @property
    def stopped(self) -> str:
        """Why a run that is not quiet was given up."""
        return f"not quiet after {MOST_CALLS:,} calls" if len(self.calls) > MOST_CALLS else "not quiet in time"

    def run(self, scenario: Scenario) -> bool:
        """Run to the end; return whether nothing can happen any more.

        Raises:
            HostError: a process does not do what it must.

        """
        started = [spec for spec in scenario.processes if spec.start == "now"]
        for index, spec in enumerate(started):
            process = HostProcess(self, self.images[spec.name], FIRST_PID + index, spec.name, None)
            self.situations.append(Situation(process))
            self._machine.spawn(process.agent)
        self._start = time.monotonic()
        for situation in self.situations:
            self._resume(situation, None)
        return self._loop()

    def close(self) -> None:
        """Close the runner's ends of everything; the machine ends the processes."""
        for situation in self.situations:
            situation.process.agent.send_signal(SIGKILL)
            situation.process.agent.close()

    def _loop(self) -> bool:
        quiet_since = None
        while True:
            if sum(self._advance(situation) for situation in list(self.situations)):  # every one has its turn
                quiet_since = None
                continue
            left = [situation for situation in self.situations if situation.request is not None]
            if not left:
                self._look_at_break_time()
                return not self.disturbed
            now = time.monotonic()
            self._look_at_break_time()
            if now > self._deadline or len(self.calls) > MOST_CALLS or self.disturbed:
                return False
            if all(self._at_rest(situation) for situation in left):
                quiet_since = now if quiet_since is None else quiet_since
                if now - quiet_since > self._patience(left):
                    return True
            else:
                quiet_since = None
            poller = select.poll()
            for situation in left:
                poller.register(situation.process.agent, select.POLLIN)
            poller.poll(_POLL)

    def _look_at_break_time(self) -> None:
        self.disturbed = self.disturbed or self._machine.break_time_now() not in self._break_times

    def _patience(self, left: list[Situation]) -> float:
        """Return how long everything must have been at rest: a break that began before may still run out."""
        breaking = any("break_lease" in s.channel or not (s.channel or s.stopped) for s in left)
        return self._longest_break + 1.0 if breaking and self._longest_break else _SETTLED

    def _at_rest(self, situation: Situation) -> bool:
        """Return whether only another process can make this one go on."""
        if isinstance(situation.request, LabelWait):
            return situation.request.name not in self.labels
        return situation.asleep and not (isinstance(situation.request, Order) and situation.request.has_timeout)

    def _advance(self, situation: Situation) -> bool:
        """Let a process go on if it can; return whether it did."""
        process, request = situation.process, situation.request
        if request is None:
            return False
        try:
            seen = process.agent.glance()
        except Died:
            self._end(situation)
            return True
        if isinstance(seen, dict):
            self._resume(situation, seen)
            return True
        if isinstance(request, LabelWait):
            if self.pending(process):
                self._resume(situation, {"ret": -1, "errno": "EINTR"})
                return True
            if request.name in self.labels:
                self._resume(situation, {"ret": self.labels[request.name]})
                return True
            self._sleeps(situation, f"label {request.name!r}")
            return False
        situation.stopped = seen.state == "T"
        if situation.stopped:
            self._sleeps(situation, "SIGCONT")
        elif time.monotonic() - situation.since < _BEFORE_A_LOOK or seen.state != "S":
            situation.seen_asleep = False
        elif not situation.seen_asleep:
            situation.seen_asleep = True
        else:
            situation.channel = seen.channel
            self._sleeps(situation, f"its wake-up in {seen.channel}" if seen.channel else "its wake-up")
            if self.pending(process):
                process.agent.send_signal(KICK)
        return False

    def _sleeps(self, situation: Situation, reason: str) -> None:
        if not situation.asleep:
            situation.asleep = True
            record = situation.process.record
            if record is not None:
                if not situation.stopped:  # what stops it is no wait of the call, which may be over
                    record.slept = reason
                place, waits_for = self._places[id(record)], WaitsFor("", "", reason)
                self.note(
                    SleepBegun(*self.where(situation.process), place, record.op, exiting=False, waits_for=waits_for)
                )

    def _resume(self, situation: Situation, reply: Reply | None) -> None:
        """Answer what a process waits for, and take its next request."""
        situation.asleep = situation.seen_asleep = situation.stopped = False
        situation.channel = ""
        try:
            request = situation.process.steps.send(reply) if reply is not None else next(situation.process.steps)
        except StopIteration:
            self._end(situation)
            return
        situation.request = request
        situation.since = time.monotonic()
        if isinstance(request, Order):
            try:
                situation.process.agent.order(request.call, request.args, list(request.fds))
            except HostError:
                self._end(situation)

    def _end(self, situation: Situation) -> None:
        process = situation.process
        situation.request = None
        situation.asleep = False
        process.steps.close()
        process.agent.gone(time.monotonic() + GIVE_UP_AFTER)
        process.agent.hang_up()
        if process.process is not process:
            self.labels[ended_label(process.pid)] = 0
        self.note(ProcessExited(*self.where(process), process.status, 0))

    # What processes ask for.

    def become(self, process: HostProcess) -> Steps:
        """Have a new process take on its user and capabilities, if it is for us to give them."""
        spec: ProcessSpec = self._specs[process.name]
        own = process.image.capabilities
        names = {name: _CAPABILITY_NUMBERS[name] for name in CAPABILITIES}
        yield from ask(
            "become",
            root=not self._machine.abilities.root,
            uid=spec.uid,
            keep=sorted(number for name, number in names.items() if name in own),
            drop=sorted(number for name, number in names.items() if name not in own) if not spec.uid else [],
            largest=MOST_FILE_BYTES,
            sigpending=spec.sigpending,
            descriptors=MOST_FDS,
        )
        return 0

    def real_seconds(self, seconds: float) -> float:
        """Return how long a time of the scenario takes."""
        return min(seconds * self._machine.pace.factor, 1e6)

    def break_time(self, seconds: int) -> int:
        """Return the lease-break-time to set for one of the scenario: whole seconds, and none becomes for ever."""
        value = max(1, round(seconds * self._machine.pace.factor)) if seconds > 0 else seconds
        self._longest_break = max(self._longest_break, min(value, int(GIVE_UP_AFTER)))
        self._break_times.add(value)
        return value

    def find(self, target: str | int) -> HostProcess | None:
        """Return a process that was not reaped, by its name or its number in the scenario."""
        for situation in self.situations:
            process = situation.process
            if target in (process.name, process.pid) and process.agent.has_number():
                return process
        return None

    def real_number(self, number: int) -> int:
        """Return what to give the kernel for a process or, with a minus, a group; a number nobody has if there is none.

        Numbers of processes that were reaped may be those of strangers by now, unless a group still has them.
        """
        if number in (0, INT_MIN):
            return number
        known = {s.process.pid: s.process.agent.pid for s in self.situations}
        kept = [s.process for s in self.situations if s.process.agent.has_number()]
        used = {process.pid for process in kept} | {process.group for process in kept}
        real = known[abs(number)] if abs(number) in used else NOBODY
        return real if number > 0 else -real

    def scenario_pid(self, pid: int) -> int:
        """Return the number the scenario has for a process."""
        return next((s.process.pid for s in self.situations if s.process.agent.pid == pid), pid)

    def make_child(self, parent: HostProcess, program: str) -> HostProcess:
        """Prepare what fork makes, numbered and named as in the emulator.

        Raises:
            KernelError: EAGAIN, there are too many.

        """
        return HostProcess(self, self.images[program], *self.new_number(parent, program), parent)

    def has_thread(self, process: HostProcess, tid: int) -> bool:
        """Return whether a process made a thread of that number."""
        return any(s.process.pid == tid and s.process is not process is s.process.process for s in self.situations)

    def new_number(self, parent: HostProcess, program: str) -> tuple[int, str]:
        """Return the number and the name of a new process or thread, as the emulator gives them.

        Raises:
            KernelError: EAGAIN, there are too many.

        """
        number = sum(parent.children.values()) + 1
        if number >= CHILDREN:
            raise KernelError(errno.EAGAIN)
        if len(self.situations) >= MOST_PROCESSES:
            raise HostError(f"the host engine runs at most {MOST_PROCESSES} processes")
        count = parent.children[program] = parent.children.get(program, 0) + 1
        name = program if count == 1 else f"{program}.{number}"
        return parent.process.pid * CHILDREN + number, name

    def enroll(self, child: HostProcess) -> None:
        """Let a process that fork has made run."""
        situation = Situation(child)
        self.situations.append(situation)
        self._resume(situation, None)

    def post(self, name: str, value: Value) -> None:
        """Set a label; set again, it has the new value."""
        self.labels[name] = value

    def pending(self, process: HostProcess) -> set[int]:
        """Return the signals that are pending and whose handlers may run now."""
        if not (wanted := process.deliverable):
            return set()
        mask = pending_mask(process.agent.pid)
        return {signo for signo in wanted if mask >> (signo - 1) & 1}

    def begun(self, process: HostProcess, record: CallRecord) -> None:
        """Note a call that is made."""
        self._places[id(record)] = len(self.calls)
        self.calls.append((process, record))
        self.note(CallEntered(*self.where(process), self._places[id(record)], record.op))

    def ended(self, process: HostProcess, record: CallRecord) -> None:
        """Note a call that has returned."""
        place = self._places[id(record)]
        self.note(CallReturned(*self.where(process), place, record.op, record.ret, record.errno))

    def handler_begins(self, process: HostProcess, signal: Siginfo) -> None:
        """Note that a handler is entered."""
        self.note(SignalDelivered(*self.where(process), signal.signo, signal.si_fd, "handler"))

    def handler_returns(self, process: HostProcess) -> None:
        """Note that the handler entered last has returned: the time line does not show it."""

    def where(self, process: HostProcess) -> tuple[int, float, ProcessName]:
        """Return with what the next event begins: its number, its time in seconds of the scenario, its process."""
        now = round((time.monotonic() - self._start) / self._machine.pace.factor, 2)
        return len(self.events) + 1, now, process.full_name

    def note(self, event: RunEvent) -> None:
        """Add an event and tell observers of it."""
        self.events.append(event)
        tell(self._observers, event)
