"""Layouts of an inode that knfsd gives to its clients, as XFS exports them [1.4.1; code: fs/xfs/xfs_pnfs.c]."""

import errno

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.extents import State
from longpin.actors.fs.file_data import FileData
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.fs.nfs_layout import LayoutTerms, NfsLayout
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.layout import (
    CommitLayout,
    GrantLayout,
    LayoutGranted,
    LayoutMapped,
    LayoutPage,
    LayoutReturned,
    MapLayout,
    RegisterClient,
)
from longpin.messages.mm.memory import FindFrames, Pinned


class InodeLayouts(ActorPart):
    """What knfsd asks the file system for: LAYOUTGET, LAYOUTCOMMIT and the return of a layout break no lease."""

    def __init__(
        self,
        actor: Actor,
        kernel: Kernel,
        iolock: Lock,
        attributes: Attributes,
        leases: LeaseList,
        data: FileData,
        guard: LayoutGuard,
    ) -> None:
        self.actor = actor
        self.kernel = kernel
        self.iolock = iolock
        self.attributes = attributes
        self.leases = leases
        self.data = data
        self.guard = guard
        self.granted = 0
        """How many layouts there ever were."""

    @handles(GrantLayout)
    def grant(self, request: GrantLayout, _src: Address) -> Conversation[LayoutGranted]:
        """Take a lease for knfsd [code: nfsd4_layout_setlease].

        Raises:
            KernelError: EOPNOTSUPP, the file system exports no layouts; ENXIO, the file shares blocks; EAGAIN, a lease
                is in the way.

        """
        if not self.guard.file_system.exports_layouts:
            raise KernelError(errno.EOPNOTSUPP)
        yield from self._refuse_shared()
        self.granted += 1
        layout = f"layout:{self.actor.address.partition(':')[2]}.{self.granted}"
        client, device = request.caller.process, self.data.pmem
        kernel = self.kernel
        terms = LayoutTerms(request.lease_time, kernel.page_size, kernel.nfsd, kernel.on_layout_timeout)
        self.actor.spawn(NfsLayout, layout, self.actor.address, device, client, terms)
        yield from self.leases.take_managed(layout, request.ofd)
        yield Call(device, RegisterClient(client, layout))
        return LayoutGranted(layout)

    def _refuse_shared(self) -> Conversation[None]:
        """Fail for a file that shares blocks: a client would write where others read [code: xfs_is_reflink_inode]."""
        yield from self.data.look_up_shared(0)
        if any(extent.shared for extent in self.data.extents.extents):
            raise KernelError(errno.ENXIO)

    @handles(MapLayout)
    def map(self, request: MapLayout, _src: Address) -> Conversation[LayoutMapped]:
        """Say where pages lie; allocate those that are to be written, which only adds [code: xfs_fs_map_blocks].

        Raises:
            KernelError: ENXIO, the file shares blocks; ENOSPC.

        """
        wanted = range(request.first, request.last + 1)
        with (yield self.iolock.exclusive()):
            yield from self._refuse_shared()
            for page in wanted if request.allocate else ():
                yield from self.data.writable_block(page)
            places = {page: self.data.extents.get(page) for page in wanted}
            there = [(page, place.block) for page, place in places.items() if place and place.state is State.WRITTEN]
            found: Pinned = yield Call(self.data.pmem, FindFrames(tuple(block for _, block in there)))
        pages = tuple(LayoutPage(*one, generation) for one, generation in zip(there, found.generations, strict=True))
        return LayoutMapped(pages, self.attributes.size)

    @handles(CommitLayout)
    def commit(self, request: CommitLayout, _src: Address) -> Conversation[Done]:
        """Note how long the file has become [code: xfs_fs_commit_blocks]."""
        with (yield self.iolock.exclusive()):
            self.attributes.size = max(self.attributes.size, request.end)
        return DONE

    @handles(LayoutReturned)
    def returned(self, request: LayoutReturned, _src: Address) -> Conversation[Done]:
        """Take the lease off the list."""
        yield from self.leases.drop((request.layout,))
        return DONE
