"""One open of a camera: its buffers of user memory, queued, filled and taken back [1.10.1].

It belongs to the open file description, not to a process: all who hold a descriptor can use it. A buffer is pinned when
it is queued and stays so when it is taken back, so that it can be queued again for nothing.
"""

import errno
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from longpin.actors.base import Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError, WaitQueue, WaitsFor, outcome, single
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import OneFile
from longpin.actors.fs.flocks import Flocks
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Hold, Lock
from longpin.actors.media.framework import Framework
from longpin.actors.mm.gup import Buffer, let_go, pin_user_pages, unpin_user_pages
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import CloseFile, Open, Opened
from longpin.messages.media.video import (
    BufferDone,
    BufferFiles,
    CaptureFrame,
    ClaimQueue,
    DequeueBuffer,
    DisclaimQueue,
    FindBuffers,
    QueueBuffer,
    RequestBuffers,
    StreamOff,
    StreamOn,
    TakeBuffer,
    TakenBuffer,
)
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.mm.mm import Registration
from longpin.messages.rdma.revocation import RevokeRegion

MOST_BUFFERS = 32
"""Buffers of one queue [VIDEO_MAX_FRAME]."""


class BufferState(StrEnum):
    """Whose a buffer is."""

    DEQUEUED = "dequeued"
    """The program's."""
    QUEUED = "queued"
    """The device's, now or when its turn comes."""
    DONE = "done"
    """Filled; nobody has taken it back."""
    ERROR = "error"
    """Not filled, because the kernel has taken its pages from the device; nobody has taken it back."""


@dataclass(slots=True)
class VideoBuffer:
    """One buffer."""

    state: BufferState = BufferState.DEQUEUED
    address: int = 0
    length: int = 0
    registration: Registration | None = None
    """Its pages, pinned; they are those that were at ``address`` when it was queued there first."""
    revoked: bool = False
    """The kernel has taken the pages from the device."""

    def is_pinned_at(self, address: int, length: int) -> bool:
        """Return whether it was queued with that address and length before [code: __prepare_userptr]."""
        return self.registration is not None and (self.address, self.length) == (address, length)


@dataclass(slots=True)
class Dequeuing:
    """Who waits for a filled buffer: one at a time."""

    waiters: WaitQueue = field(default_factory=WaitQueue)
    busy: bool = False


class VideoFile(OneFile):
    """The queue of one open, and the owner, mode and flock(2) locks of the device's file as this open sees it."""

    def __init__(
        self, engine: Engine, address: Address, kernel: Kernel, camera: Address, frame_size: int, framework: Framework
    ) -> None:
        super().__init__(engine, address, kernel)
        self.camera = camera
        self.frame_size = frame_size
        self.framework = framework
        self.buffers: list[VideoBuffer] = []
        """Invariant: none, unless this open has the queue of the camera."""
        self.queued: deque[int] = deque()
        """The buffers that wait for the device, oldest first."""
        self.done: deque[int] = deque()
        """Those it has finished with, oldest first."""
        self.streaming = False
        self.pinned = 0
        """How many registrations it has made, for their names."""
        self.revoked: set[Address] = set()
        """Registrations that were revoked while they were made."""
        self.queue_lock = Lock(self, f"the queue of {address}")
        """Held by each ioctl, but for the sleep of VIDIOC_DQBUF."""
        self.in_use = Lock(self, f"{camera} to finish with a buffer")
        """Held shared by the camera while it writes, exclusively while buffers are taken from it."""
        self.device: list[Hold] = []
        """The camera's holds."""
        self.dequeuing = Dequeuing()
        self.attributes = Attributes(0, 0o666)
        self.flocks = Flocks(address)

    @handles(Open)
    def open_again(self, request: Open, _src: Address) -> Conversation[Opened]:
        """Open the camera again, through /proc/self/fd."""
        opened: Opened = yield Call(self.camera, request)
        return opened

    # Buffers.

    @handles(RequestBuffers)
    def request_buffers(self, request: RequestBuffers, _src: Address) -> Conversation[Done]:
        """VIDIOC_REQBUFS: what there was goes, whatever state it is in [code: vb2_core_reqbufs].

        Raises:
            KernelError: EBUSY, another open has buffers, or frames are being written, or somebody waits for one.

        """
        with (yield self.queue_lock.exclusive()):
            yield Call(self.camera, ClaimQueue(keep=request.count > 0))
            if self.streaming or (self.dequeuing.busy and request.count):
                raise KernelError(errno.EBUSY)
            yield from self._free()
            if not request.count:
                yield Call(self.camera, DisclaimQueue())
            self.buffers = [VideoBuffer() for _ in range(min(request.count, MOST_BUFFERS))]
        return Done(len(self.buffers))

    @handles(QueueBuffer)
    def queue_buffer(self, request: QueueBuffer, _src: Address) -> Conversation[Done]:
        """VIDIOC_QBUF: pin the buffer, unless it was queued with the same address and length before [vb2_core_qbuf].

        What is mapped there by now is not looked at then.

        Raises:
            KernelError: EBUSY, EINVAL, or why it cannot be pinned: EFAULT, or the policy's errno.

        """
        with (yield self.queue_lock.exclusive()):
            yield from self._check_owner()
            if request.index >= len(self.buffers):
                raise KernelError(errno.EINVAL)
            buffer = self.buffers[request.index]
            if buffer.state is not BufferState.DEQUEUED:
                raise KernelError(errno.EINVAL)
            if not buffer.is_pinned_at(request.address, request.length):
                yield from self._acquire(buffer, request)
            buffer.state = BufferState.QUEUED
            self.queued.append(request.index)
            if self.streaming:
                self.send(self.camera, CaptureFrame())
        return DONE

    def _acquire(self, buffer: VideoBuffer, request: QueueBuffer) -> Conversation[None]:
        """Pin what is at an address now, instead of what the buffer had [code: __prepare_userptr]."""
        if request.length < self.frame_size:
            raise KernelError(errno.EINVAL)
        yield from self._release(buffer)
        page_size = self.kernel.page_size
        first = request.address - request.address % page_size
        pages = self.kernel.pages(request.address + request.length - first)
        self.pinned += 1
        owner = f"vb:{self.address.partition(':')[2]}.{self.pinned}"
        # Nothing is charged to RLIMIT_MEMLOCK, so there is none [code: neither framework calls account_locked_vm].
        wanted = Buffer(request.mm, first, pages, request.caller, -1)
        forced = not self.kernel.generation.read_only_pins
        made = yield from pin_user_pages(
            self.kernel,
            wanted,
            owner,
            self.address,
            write=True,
            force=forced,
            charged=False,
            frame_vector=self.framework.frame_vector,
        )
        if owner in self.revoked:
            yield from unpin_user_pages(self.kernel, made)
            raise KernelError(errno.ENXIO)
        buffer.address, buffer.length, buffer.registration = request.address, request.length, made

    def _release(self, buffer: VideoBuffer) -> Conversation[None]:
        """Let go of the pages of a buffer."""
        made, buffer.registration, buffer.revoked = buffer.registration, None, False
        if made is not None:
            yield from unpin_user_pages(self.kernel, made)

    @handles(FindBuffers)
    def find_buffers(self, request: FindBuffers, _src: Address) -> BufferFiles:
        """Tell of which files buffers have pages."""
        r = request
        found = [self.buffers[index] for index in self.queued] if r.index < 0 else self.buffers[r.index : r.index + 1]
        found = [buffer for buffer in found if r.index < 0 or buffer.is_pinned_at(r.address, r.length)]
        made = [buffer.registration for buffer in found if buffer.registration is not None]
        files = ((first.inode, registration.owner) for registration in made for first, _ in registration.runs)
        return BufferFiles(tuple(dict.fromkeys((inode, owner) for inode, owner in files if inode)))

    def _check_owner(self) -> Conversation[None]:
        """Fail with EBUSY if another open has the queue [code: vb2_queue_is_busy]."""
        if not self.buffers:
            yield Call(self.camera, ClaimQueue(keep=False))

    # Streaming.

    @handles(StreamOn)
    def stream_on(self, _request: StreamOn, _src: Address) -> Conversation[Done]:
        """VIDIOC_STREAMON: EINVAL without buffers; once more it does nothing [code: vb2_core_streamon]."""
        with (yield self.queue_lock.exclusive()):
            yield from self._check_owner()
            if not self.buffers:
                raise KernelError(errno.EINVAL)
            if not self.streaming:
                self.streaming = True
                for _ in self.queued:
                    self.send(self.camera, CaptureFrame())
        return DONE

    @handles(StreamOff)
    def stream_off(self, _request: StreamOff, _src: Address) -> Conversation[Done]:
        """VIDIOC_STREAMOFF: also of what was only queued and never streamed [code: vb2_core_streamoff]."""
        with (yield self.queue_lock.exclusive()):
            yield from self._check_owner()
            yield from self._cancel()
            if self.framework.streamoff_unpins:
                for buffer in self.buffers:
                    yield from self._release(buffer)
        return DONE

    def _cancel(self) -> Conversation[None]:
        """Take all buffers from the device, when it has finished with the one that it fills."""
        self.streaming = False
        self.queued.clear()
        with (yield self.in_use.exclusive()):
            self.done.clear()
        for buffer in self.buffers:
            buffer.state = BufferState.DEQUEUED
        self.dequeuing.waiters.wake_all(self)

    def _free(self) -> Conversation[None]:
        """Let go of all buffers."""
        yield from self._cancel()
        for buffer in self.buffers:
            yield from self._release(buffer)
        self.buffers = []

    @handles(DequeueBuffer)
    def dequeue_buffer(self, request: DequeueBuffer, _src: Address) -> Conversation[Done]:
        """VIDIOC_DQBUF: the oldest buffer the device has finished with; its pages stay pinned [vb2_core_dqbuf].

        Raises:
            KernelError: EINVAL, nothing is being filled; EAGAIN with O_NONBLOCK; EBUSY, somebody else waits; EINTR;
                EIO, the buffer could not be filled, and is the program's again.

        """
        with (yield self.queue_lock.exclusive()) as lock:
            yield from self._check_owner()
            while not self.done:
                if self.dequeuing.busy:
                    raise KernelError(errno.EBUSY)
                if not self.streaming:
                    raise KernelError(errno.EINVAL)
                if request.nonblock:
                    raise KernelError(errno.EAGAIN)
                yield from self._await_buffer(lock)
            index = self.done.popleft()
            buffer = self.buffers[index]
            failed = buffer.state is BufferState.ERROR
            buffer.state = BufferState.DEQUEUED
        if failed:
            raise KernelError(errno.EIO)
        return Done(index)

    def _await_buffer(self, lock: Hold) -> Conversation[None]:
        """Sleep without the lock, which is held again afterwards."""
        lock.drop()
        self.dequeuing.busy = True
        reason = WaitsFor("completion", self.address, "a filled buffer")
        error = yield from outcome(single(self.dequeuing.waiters.sleep(reason)))
        yield lock.retake()
        self.dequeuing.busy = False
        if error is not None:
            raise error

    # The camera.

    @handles(TakeBuffer)
    def take_buffer(self, _request: TakeBuffer, _src: Address) -> Conversation[TakenBuffer]:
        """Give the camera the oldest buffer, until it says that it has finished."""
        hold = yield self.in_use.shared()
        if not self.streaming or not self.queued:
            hold.drop()
            return TakenBuffer(-1)
        self.device.append(hold)
        index = self.queued.popleft()
        buffer = self.buffers[index]
        assert buffer.registration is not None
        segments = () if buffer.revoked else self._segments(buffer, buffer.registration)
        return TakenBuffer(index, buffer.registration.owner, segments)

    def _segments(self, buffer: VideoBuffer, registration: Registration) -> tuple[tuple[PinnedPage, int, int], ...]:
        segments = []
        offset, left = buffer.address % self.kernel.page_size, self.frame_size
        while left:
            index, inside = divmod(offset, self.kernel.page_size)
            part = min(left, self.kernel.page_size - inside)
            segments.append((registration.page(index), inside, part))
            offset, left = offset + part, left - part
        return tuple(segments)

    @handles(BufferDone)
    def buffer_done(self, request: BufferDone, _src: Address) -> None:
        """Take a buffer back from the camera; of one that was cancelled meanwhile nobody hears."""
        if self.streaming:
            self.buffers[request.index].state = BufferState.ERROR if request.failed else BufferState.DONE
            self.done.append(request.index)
            self.dequeuing.waiters.wake_all(self)
        self.device.pop().drop()

    # The end.

    @handles(RevokeRegion)
    def revoke(self, request: RevokeRegion, _src: Address) -> Conversation[Done]:
        """Take a buffer's pages from the camera, when it has finished with them, for good; unpin them, or let them.

        It needs no time for it, and has no addresses that others could get.
        """
        for buffer in self.buffers:
            made = buffer.registration
            if made is not None and made.owner == request.region:
                buffer.revoked = True
                with (yield self.in_use.exclusive()):
                    if request.unpin:
                        buffer.registration = made._replace(holds=(), attached=())
                        yield from let_go(self.kernel, made)
                return Done(1)
        self.revoked.add(request.region)
        return Done(0)

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Let go of everything: the last reference to the open file description is gone [code: vb2_fop_release]."""
        self.flocks.drop(self, request.ofd)
        with (yield self.queue_lock.exclusive()):
            if self.buffers:
                yield from self._free()
                yield Call(self.camera, DisclaimQueue())
        return DONE
