"""The threads of a process: how one comes into being, how one ends, and what happens to all at once [1.1.1].

The names are those of ``kernel/exit.c``, ``kernel/signal.c`` and ``fs/exec.c``. A process of one thread does here
nothing that it would have to wait for.
"""

from abc import abstractmethod

from longpin.actors.conversation import Conversation, KernelError, Step, Wait, WaitQueue, WaitsFor, outcome, single
from longpin.actors.process.process_state import Credentials, Exit, Value
from longpin.actors.process.program import Image
from longpin.actors.process.signals import SignalTarget
from longpin.actors.process.thread import Thread
from longpin.messages.process.process import PROCESS_TABLE, NextCall, RetireThread

THREAD_EXIT = "thread_exit"
"""Between the end of a thread as others see its memory, and as they see its number."""


class ThreadGroup(SignalTarget):
    """What the threads of a process do to each other."""

    thread_waiters: WaitQueue
    """Who waits for a thread to end."""
    joinable: list[int]
    """Threads that have ended, and that nobody has joined."""
    group_exit: Exit | None
    """How the process ends, once that is settled."""

    @abstractmethod
    def make_thread(
        self,
        image: Image,
        variables: dict[str, Value],
        blocked: frozenset[int],
        credentials: Credentials | None,
        tid: int,
        name: str,
    ) -> Thread:
        """Make a thread that has not begun to run."""

    @abstractmethod
    def end(self, end: Exit) -> Conversation[None]:
        """Die, when the last thread leaves."""

    @property
    def has_threads(self) -> bool:
        """Whether more than one thread may make calls: descriptors can change under a call [fdget]."""
        return len(self.threads) > 1

    def others(self, thread: Thread) -> list[Thread]:
        """Return the other threads, without the one whose number alone is left."""
        return [other for other in self.threads if other is not thread and not other.gone]

    def add_thread(self, image: Image, variables: dict[str, Value], tid: int, name: str) -> Thread:
        """Make a thread that shares all with the one that is running, and has its mask and its rights."""
        maker = self.current
        thread = self.make_thread(image, variables, maker.mask.blocked, maker.credentials, tid, name)
        self.threads.append(thread)
        return thread

    def leave(self, thread: Thread, end: Exit) -> Conversation[None]:
        """End a thread; all of them with it if the program says so, or a signal does [do_group_exit].

        The last one lets go of what the process has.
        """
        if self.group_exit is None and not (end.of_thread or thread.zapped):
            self.group_exit = end
            self.zap_other_threads(thread)
        thread.leaving = True
        if all(other.leaving for other in self.others(thread)):
            yield from self.end(self.group_exit or end)
            return
        self.retarget(thread)
        self.complete_stop()
        self.joinable.append(thread.tid)
        self.thread_waiters.wake_all(self)
        yield Step(NextCall(THREAD_EXIT))  # who joins it may go on before its number is free
        self._release(thread)

    def _release(self, thread: Thread) -> None:
        """Give the number back; that of the leader stays, for it is the process's [release_task]."""
        thread.gone = True
        if self.curr_target is thread:
            place = self.threads.index(thread)
            self.curr_target = self.threads[(place + 1) % len(self.threads)]
        if thread is not self.leader:
            self.threads.remove(thread)
            self.send(PROCESS_TABLE, RetireThread(thread.tid))
        self.thread_waiters.wake_all(self)

    def zap_other_threads(self, thread: Thread) -> None:
        """Have every other thread end at once."""
        for other in self.others(thread):
            other.zapped = True
            self.signal_wake_up(other)

    def await_others(self, thread: Thread, wait: Wait) -> Conversation[None]:
        """Wait until no other thread is left but a leader's number.

        Raises:
            KernelError: EINTR, it is to end itself.

        """
        while self.others(thread):
            reason = WaitsFor("thread", self.address, "the other threads to end")
            if (error := (yield from outcome(single(self.thread_waiters.sleep(reason, wait))))) is not None:
                raise error

    def de_thread(self) -> Conversation[None]:
        """Be the only thread, and have the process's number, before another program is executed.

        Raises:
            KernelError: EINTR, the process ends, or another thread executes a program.

        """
        thread = self.current
        if not self.has_threads:
            return
        if thread.zapped or self.group_exit is not None:
            raise KernelError.interrupted()
        self.zap_other_threads(thread)
        yield from self.await_others(thread, Wait.KILLABLE)
        if thread is not self.leader:
            self.send(PROCESS_TABLE, RetireThread(thread.tid))
            thread.tid, thread.name = self.leader.tid, self.leader.name
        self.threads[:] = [thread]
        self.curr_target = thread
        self.joinable.clear()

    def join(self, tid: int) -> Conversation[None]:
        """Wait until a thread has ended: it has done all that can be seen of it but for its number [mm_release]."""
        while tid not in self.joinable:
            yield self.thread_waiters.sleep(WaitsFor("thread", self.address, f"thread {tid} to end"))
        self.joinable.remove(tid)
