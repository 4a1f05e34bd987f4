"""What the file system of an inode asks it as a whole: to be unmounted, written back, made read-only [2.10]."""

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import Conversation
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.file_data import FileData
from longpin.actors.fs.mappings import Mappings
from longpin.actors.fs.open_counts import OpenCounts
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.mounts import AskBusy, BusyFile, DropCaches, ForgetInode, MakeReadOnly, QuiesceFile


class InodeMount(ActorPart):
    """The calls on a whole file system, of which this is one file."""

    def __init__(
        self,
        kernel: Kernel,
        iolock: Lock,
        attributes: Attributes,
        opens: OpenCounts,
        mappings: Mappings,
        data: FileData,
    ) -> None:
        self.kernel = kernel
        self.iolock = iolock
        self.attributes = attributes
        self.opens = opens
        self.mappings = mappings
        self.data = data

    @handles(AskBusy)
    def ask_use(self, _request: AskBusy, _src: Address) -> BusyFile:
        """Say who uses it."""
        nameless = self.opens.in_use and not self.attributes.has_name
        return BusyFile(len(self.opens.openers), self.opens.writers, nameless)

    @handles(MakeReadOnly)
    def make_read_only(self, _request: MakeReadOnly, _src: Address) -> Done:
        """Let nobody open it for writing, or change its attributes, any more."""
        self.attributes.read_only = True
        return DONE

    @handles(ForgetInode)
    def forget(self, _request: ForgetInode, _src: Address) -> Conversation[Done]:
        """Write back and let go; with ``evict_waits`` when no page is pinned, as an unlinked file does [2.5].

        Its blocks stay its own: they are on the device.
        """
        if self.kernel.generation.evict_waits:
            yield from self.data.wait_until_idle()
        yield from self.data.invalidate(0, self.attributes.size)
        return DONE

    @handles(DropCaches)
    def drop_caches(self, _request: DropCaches, _src: Address) -> Conversation[Done]:
        """Let go of what can be read again; of a file that is mapped, nothing: the kernel need not [inf]."""
        if not self.mappings.views:
            yield from self.data.drop_clean()
        return DONE

    @handles(QuiesceFile)
    def quiesce(self, _request: QuiesceFile, _src: Address) -> Conversation[Done]:
        """Wait for who changes the file, and write back."""
        with (yield self.iolock.exclusive()):
            yield from self.data.sync()
        return DONE
