"""Files written whole or not at all."""

import errno
import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file, and give it its name when it is whole.

    Raises:
        OSError: it cannot be written. ``write`` may raise other things; then there is no file.

    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def resolved(path: Path) -> Path:
    """Return where the symbolic links of a path lead.

    Raises:
        OSError: to no end, or it cannot be told.

    """
    try:
        return path.resolve()
    except RuntimeError:  # what Python makes of ELOOP
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def replace_file(path: Path, data: bytes) -> None:
    """Let a file hold ``data``, all of it or what it held before; a pipe or a device stays what it is.

    Raises:
        OSError: it cannot be written.

    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
    else:
        write_atomically(resolved(path), lambda temporary: temporary.write_bytes(data))
