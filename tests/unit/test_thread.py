"""Several threads of a process: no call makes one, but a process is made of them [1.1, 1.12]."""

from collections.abc import Iterable
from typing import ClassVar

import pytest

from longpin.actors.base import handles
from longpin.actors.policies.proposal import Proposal
from longpin.actors.process.process import Process
from longpin.actors.process.thread import Thread
from longpin.config.loader import parse_scenario
from longpin.messages.envelope import Address
from longpin.messages.process.process import Start
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.oracles import ORACLES

SCENARIO = """
name = "threads"
[[file]]
path = "/f"
size = 10
[[process]]
name = "app"
program = '''{leader}'''
on_signal.SIGUSR1 = 'taken = getpid()'
on_signal.SIGSEGV = 'faulted = getpid()'
[[process]]
name = "second"
start = "fork"
program = '''{second}'''
[[process]]
name = "killer"
program = '''{killer}
pause()
fork("second")  # which no schedule comes to
'''
"""


class TwoThreads(Process):
    """A process whose second thread runs the program named so."""

    @handles(Start)
    def start_program(self, _request: Start, _src: Address) -> None:
        self.leader.start()
        if self.name == "app":
            self.threads.append(Thread(self, self.images["second"], {}))
            self.threads[1].start()


class Threaded(Blueprint):
    """A world of such processes."""

    process: ClassVar[type[Process]] = TwoThreads


def play(leader: str, second: str, killer: str = "getpid()", seeds: Iterable[int] = range(20)) -> list[Process]:
    """Return the process as different schedules have left it."""
    text = SCENARIO.format(leader=leader, second=second, killer=killer)
    blueprint = Threaded(parse_scenario(text, "threads.toml"), Proposal.make("P1", "intended", {}))
    left = []
    for seed in seeds:
        engine = SteppedEngine(ORACLES["random"](seed))
        blueprint.build(engine)
        assert engine.run()
        process = engine.actors["process:100"]
        assert isinstance(process, Process)
        left.append(process)
    return left


BLOCKED = 'sigprocmask(SIG_BLOCK, SIGUSR1)\nlabel("blocked")\npause()\n'
OPEN = 'wait_for("blocked")\npause()\npause()\n'
KILL = 'wait_for("blocked")\nkill("app", SIGUSR1)\n'


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_signal_finds_the_thread_that_does_not_block_it(blocks: int) -> None:
    programs = (BLOCKED, OPEN) if blocks == 0 else (OPEN, BLOCKED)
    for process in play(*programs, KILL):
        assert ["taken" in thread.variables for thread in process.threads] == [blocks != 0, blocks != 1]
        assert not process.pending.signals


def test_a_signal_that_all_block_waits_for_the_first_that_opens() -> None:
    block = "sigprocmask(SIG_BLOCK, SIGUSR1)\n"
    opens = block + 'label("ready")\nwait_for("sent")\nsigprocmask(SIG_UNBLOCK, SIGUSR1)\npause()\n'
    for process in play(BLOCKED, opens, 'wait_for("ready")\n' + KILL + 'label("sent")'):
        assert ["taken" in thread.variables for thread in process.threads] == [False, True]


def test_a_fault_is_its_own_threads() -> None:
    for process in play("pause()\n", "load(0, 1)\npause()\n"):
        assert ["faulted" in thread.variables for thread in process.threads] == [False, True]


def test_threads_have_variables_of_their_own_and_descriptors_in_common() -> None:
    opens = 'fd = open("/f", O_RDONLY)\nlabel("open")\npause()\n'
    for process in play(opens, 'wait_for("open")\nanother = dup(3)\npause()\n'):
        first, second = process.threads
        assert ("another" in first.variables, "fd" in second.variables) == (False, False)
        assert second.variables["another"] == 4
        assert sorted(process.fds) == [3, 4]
        assert [record.op.call for record in process.calls()] == ["pause", "pause"]


def test_timers_wake_their_own_thread() -> None:
    for process in play("slept = sleep(2)\npause()\n", "slept = sleep(1)\nslept = sleep(3)\npause()\n"):
        assert [thread.variables["slept"] for thread in process.threads] == [0, 0]


def test_a_deadly_signal_ends_the_sleep_of_all() -> None:
    for process in play('label("blocked")\npause()\n', "pause()\n", 'wait_for("blocked")\nkill("app", SIGKILL)\n'):
        assert process.dead
        assert process.killed == 9
