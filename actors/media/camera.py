"""A camera: the file of a video device, whose queue one open of it has, and the device that writes frames [1.10.1].

Frames come when nobody expects them: a buffer that is queued is written at any later time, as a queue pair works when
it pleases. The camera knows physical pages and nothing of files.
"""

import errno

from longpin.actors.base import Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.device import DeviceNode
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.media.framework import FRAMEWORKS, Framework
from longpin.actors.media.video_file import VideoFile
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import Open, Opened
from longpin.messages.media.video import (
    BufferDone,
    CaptureFrame,
    ClaimQueue,
    DisclaimQueue,
    TakeBuffer,
    TakenBuffer,
)
from longpin.messages.mm.memory import Dma


class Camera(DeviceNode):
    """One camera."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, frame_size: int, framework: str) -> None:
        super().__init__(engine, address, kernel)
        self.frame_size = frame_size
        """Bytes of a frame: ``sizeimage`` of the format."""
        self.framework: Framework = FRAMEWORKS[framework]
        self.opens = 0
        """How often it was opened."""
        self.queue_owner: Address = ""
        """The open that has buffers; empty: none [code: struct vb2_queue, owner]."""
        self.frames = 0
        """How many frames it has written."""
        self.sensor = Lock(self, f"the sensor of {address}")
        """One frame is written after the other."""

    @handles(Open)
    def open(self, request: Open, _src: Address) -> Opened:
        """open(2): each has a queue of its own, of which one at a time may have buffers."""
        self.check_open(request)
        self.opens += 1
        opened = f"video:{self.address.partition(':')[2]}.{self.opens}"
        self.spawn(VideoFile, opened, self.kernel, self.address, self.frame_size, self.framework)
        return Opened(opened)

    @handles(ClaimQueue)
    def claim(self, request: ClaimQueue, src: Address) -> Done:
        """Give an open the queue."""
        if self.queue_owner not in ("", src):
            raise KernelError(errno.EBUSY)
        if request.keep:
            self.queue_owner = src
        return DONE

    @handles(DisclaimQueue)
    def disclaim(self, _request: DisclaimQueue, src: Address) -> Done:
        """Take the queue back from who has it."""
        if self.queue_owner == src:
            self.queue_owner = ""
        return DONE

    # The device.

    @handles(CaptureFrame)
    def capture(self, _request: CaptureFrame, src: Address) -> Conversation[None]:
        """Write a frame to a buffer, page by page; the buffer cannot go meanwhile, but the file's map can change."""
        with (yield self.sensor.exclusive()):
            taken: TakenBuffer = yield Call(src, TakeBuffer())
            if taken.index < 0:
                return
            self.frames += bool(taken.segments)
            text = f"frame {self.frames}".encode()
            for page, inside, part in taken.segments:
                data = text[:part]
                access = Dma(
                    page.frame.number, page.generation, page.inode, page.page, inside, len(data), data, taken.region
                )
                yield Call(page.frame.memory, access)
            self.send(src, BufferDone(taken.index, failed=not taken.segments))
