"""An XFS in a file, for what needs a file system whose files can share blocks, on a machine that has another one.

It takes root and ``mkfs.xfs``. Who removes the folder it lies in takes it down:
:func:`longpin.runner.machine.agent.remove`.
"""

import os
import shutil
import subprocess
from pathlib import Path

SIZE = 512 << 20
"""Bytes of the file, which is sparse; mkfs.xfs makes none of less than 300 MiB."""
SECONDS = 60.0
"""For each of the two commands."""


def mount_xfs(folder: Path) -> tuple[Path | None, str]:
    """Make an XFS with reflink in a folder, and mount it there.

    No space is put aside behind the end of a file that grows (``allocsize``), as none is on DAX.

    Returns:
        Where it is, or None and why there is none.

    """
    if os.geteuid() != 0:
        return None, "an XFS in a file can be mounted by root only"
    maker, mounter = shutil.which("mkfs.xfs", path=_PATH), shutil.which("mount", path=_PATH)
    if maker is None or mounter is None:
        return None, f"an XFS in a file takes mkfs.xfs: no {'mkfs.xfs' if maker is None else 'mount'} here"
    image, point = folder / "xfs.img", folder / "xfs"
    with image.open("xb") as file:
        file.truncate(SIZE)
    point.mkdir()
    commands = (
        [maker, "-q", "-m", "reflink=1", str(image)],
        [mounter, "-t", "xfs", "-o", "loop,allocsize=4096", str(image), str(point)],
    )
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, f"{command[0]}: {error}"
        if done.returncode:
            return None, f"{command[0]}: {(done.stderr.strip() or 'failed').splitlines()[-1]}"
    point.chmod(0o777)
    return point, ""


_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
