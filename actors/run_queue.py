"""The run queue of a process: where it stands in user space until a CPU runs it [2.7]."""

from longpin.actors.base import Actor, handles
from longpin.messages.envelope import Address
from longpin.messages.process import NextCall


class RunQueue(Actor):
    """The CPU's side of a process.

    In a message to itself the process would promise to run before it answers anybody who sends it a signal.
    """

    @handles(NextCall)
    def run(self, request: NextCall, _src: Address) -> NextCall:
        """Let the process run."""
        return request
