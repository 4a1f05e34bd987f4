"""The threads of knfsd: each serves one request at a time; who waits for a lease in one keeps it meanwhile [1.4.1]."""

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError, R, Uninterruptible, Wait, WaitQueue, WaitsFor
from longpin.actors.kernel.nfs_server import NfsServer
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.layout import NFSD, FreeThread, TakeThread


class NfsThreads(Actor):
    """So many threads and no more [nfsd(8)]."""

    def __init__(self, engine: Engine, address: Address, threads: int) -> None:
        super().__init__(engine, address)
        self.threads = threads
        self.busy = 0
        self.requests = WaitQueue()

    @handles(TakeThread)
    def take(self, _request: TakeThread, _src: Address) -> Conversation[Done]:
        """Wait for a free thread, whatever signal the client's process gets: the request is on its way."""
        while self.busy == self.threads:
            detail = f"a thread of nfsd: all {self.threads} wait for something else"
            yield self.requests.sleep(WaitsFor("nfsd", self.address, detail), Wait.UNINTERRUPTIBLE)
        self.busy += 1
        return DONE

    @handles(FreeThread)
    def free(self, _request: FreeThread, _src: Address) -> Done:
        """Let the next request be served."""
        self.busy -= 1
        self.requests.wake_all(self)
        return DONE


def served(server: NfsServer, work: Conversation[R]) -> Conversation[R]:
    """Do what a request to a server asks for, in one of its threads.

    Raises:
        KernelError: what the work raises.

    """
    if not server.threads:
        return (yield from work)
    yield Uninterruptible(NFSD, TakeThread())
    try:
        result = yield from work
    except KernelError:
        yield Call(NFSD, FreeThread())
        raise
    yield Call(NFSD, FreeThread())
    return result
