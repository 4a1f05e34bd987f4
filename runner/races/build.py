"""The runner, compiled: once for its source and this machine's compiler."""

import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from longpin.runner.machine.processes import HostError


class NoRunnerError(HostError):
    """The runner in C cannot be had on this machine; the text says why."""


COMPILERS = ("cc", "gcc", "clang")
MACHINES = ("x86_64", "aarch64")
"""Those for which ``entry.S`` has a system call."""
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")

_HERE = Path(__file__).parent
_COMPILED = ("runner.c", "scenario.c", "process.c", "calls.c", "entry.S")
_PATIENCE = 120.0


def source_files() -> list[Path]:
    """Return the runner's sources and headers, sorted."""
    return sorted(path for path in _HERE.iterdir() if path.suffix in (".c", ".h", ".S"))


def find_compiler() -> Path:
    """Return the C compiler of this machine.

    Raises:
        NoRunnerError: there is none.

    """
    for name in COMPILERS:
        if found := shutil.which(name):
            return Path(found).resolve()
    raise NoRunnerError(f"no C compiler: expected one of {', '.join(COMPILERS)} in PATH")


def compiled_runner(spare: Path) -> Path:
    """Return the runner, compiled now or earlier.

    It is kept in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``), under a name that says what it was made
    of.

    Args:
        spare: the folder to make it in where that cannot be used.

    Raises:
        NoRunnerError: no compiler, a machine for which there is no system call here, or the compiler fails.

    """
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        raise NoRunnerError(f"the runner in C is for Linux on {' and '.join(MACHINES)}, not {platform.machine()}")
    compiler = find_compiler()
    name = f"races-{_fingerprint(compiler)}"
    for folder in (_cache_folder(), spare):
        if folder is not None and (_is_ours(folder / name) or _compile(compiler, folder / name)):
            return folder / name
    raise NoRunnerError(f"the runner in C can be executed neither in the cache folder nor in {spare}")


def _fingerprint(compiler: Path) -> str:
    """Return a name for what the runner is made of: sources, flags and compiler."""
    about = compiler.stat()
    digest = hashlib.sha256(repr((str(compiler), about.st_size, about.st_mtime_ns, FLAGS, platform.machine())).encode())
    for path in source_files():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def _cache_folder() -> Path | None:
    """Return a folder that only this user can write to; None if there is none."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
        folder = base / "longpin"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except (OSError, RuntimeError):
        return None
    private = about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder if private else None


def _is_ours(program: Path) -> bool:
    """Return whether the runner is there, whole (it appears in one step) and can be executed."""
    try:
        about = program.lstat()
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid() and _starts(program)


def _starts(program: Path) -> bool:
    """Return whether the kernel executes it: the folder may be mounted noexec. Without orders it ends at once."""
    try:
        done = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 2


def _compile(compiler: Path, program: Path) -> bool:
    """Compile the runner to a file; return whether it can be executed there.

    Raises:
        NoRunnerError: the compiler fails.

    """
    try:
        handle, made = tempfile.mkstemp(prefix=".races-", dir=program.parent)
        os.close(handle)
    except OSError:
        return False
    try:
        command = [str(compiler), *FLAGS, "-o", made, *(str(_HERE / name) for name in _COMPILED)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoRunnerError(f"{compiler} cannot compile the runner: {error}") from None
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), "no reason given")
            raise NoRunnerError(f"{compiler} cannot compile the runner: {first.strip()}")
        if not _starts(Path(made)):
            return False
        Path(made).replace(program)
        return True
    except OSError:
        return False
    finally:
        Path(made).unlink(missing_ok=True)
