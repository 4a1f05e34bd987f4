"""The two ways in which drivers of the kernel take buffers of user memory: what differs between them, as data.

Both pin for as long as user space says, both are refused by P0, each at its own place.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Framework:
    """One framework for video buffers; made once, so it is compared by identity."""

    name: str
    source: str
    frame_vector: bool
    """Pages are got by get_vaddr_frames, which up to 5.4 looks at the first mapping of a buffer before it pins, and at
    no other; else by get_user_pages with FOLL_LONGTERM, as by RDMA."""
    streamoff_unpins: bool
    """VIDIOC_STREAMOFF lets go of the pages; else they stay pinned until VIDIOC_REQBUFS or the close."""


FRAMEWORKS: dict[str, Framework] = {
    "videobuf": Framework(
        "videobuf",
        "V4L2 documentation, VIDIOC_QBUF: buffers stay locked until VIDIOC_STREAMOFF or VIDIOC_REQBUFS, or the device "
        "is closed; Linux 5.4, drivers/media/v4l2-core/videobuf-core.c, videobuf-dma-sg.c [k54]",
        frame_vector=False,
        streamoff_unpins=True,
    ),
    "videobuf2": Framework(
        "videobuf2",
        "Linux 5.4, drivers/media/common/videobuf2/videobuf2-core.c, mm/frame_vector.c [k54, know]: "
        "__vb2_queue_cancel leaves the pages of buffers alone, __vb2_queue_free puts them",
        frame_vector=True,
        streamoff_unpins=False,
    ),
}
"""Each by its name."""
