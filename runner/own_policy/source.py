"""A policy of somebody's own: a class in a file, named ``FILE.py:CLASS`` wherever a policy is named.

Only who is told so by the person at the keyboard reads such a file: ``--policy`` of the command line, and the argument
``policy`` of :mod:`longpin.api`. What is read is a :class:`PolicySource`, the bytes and the name; it travels with the
settings of a run, to worker processes too, which need not have the file. :func:`register` makes the class of it, and
from then on it is found by its name like any other policy.
"""

import hashlib
import keyword
import os
import stat
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from longpin.actors.policies import OWN
from longpin.actors.policies.base import Policy
from longpin.runner.own_policy.bounds import bounded
from longpin.runner.own_policy.checks import PolicyError, check_class, check_text, find_class, name_class
from longpin.runner.own_policy.hooks import check_purity, guard_hooks

MOST_BYTES = 256 << 10
"""The largest file that is read; a proposal has a few thousand bytes."""


@dataclass(frozen=True, slots=True)
class PolicySource:
    """The text of a policy's file, and how it was named."""

    name: str
    """``FILE.py:CLASS``, as it was written."""
    data: bytes
    """The file, exactly as read."""

    @property
    def path(self) -> str:
        """Return the file, as it was written."""
        return self.name.rpartition(":")[0]

    @property
    def class_name(self) -> str:
        """Return the name of the class."""
        return self.name.rpartition(":")[2]

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the file, 64 hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()


def read_source(name: str) -> PolicySource:
    """Read the file of a policy that is named ``FILE.py:CLASS``; nothing of it is executed yet.

    Raises:
        PolicyError: it is no file that can be read, too large, or the name of the class is none.

    """
    path, _, class_name = name.rpartition(":")
    if not path.isprintable():
        raise PolicyError(f"{path!r}: expected the name of a file that can be printed")
    if not class_name.isidentifier() or keyword.iskeyword(class_name):
        raise PolicyError(f"{path}: expected the name of a class after the colon, found {class_name!r}")
    try:
        # Looked at before it is opened, because opening a device may do something.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise PolicyError(f"{path}: not a file")
        with open(path, "rb", opener=_at_once) as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PolicyError(f"{path}: {_reason(error)}") from None
    if len(data) > MOST_BYTES:
        raise PolicyError(f"{path}: larger than any policy (at most {MOST_BYTES} bytes)")
    return PolicySource(name, data)


def _at_once(path: str, flags: int) -> int:
    """Open a file; one that has become a pipe meanwhile is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


def _reason(error: OSError) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"


_made: dict[PolicySource, type[Policy]] = {}
"""The class of each text that was executed: executed again it would be another class."""


def register(source: PolicySource) -> type[Policy]:
    """Return the policy in a text, and let its name mean it from now on. A text is executed once in a process.

    Raises:
        PolicyError: the text is wrong, or what it defines is no policy; one line with the file.

    """
    if source not in _made:
        _made[source] = _make(source)
    OWN[source.name] = _made[source]
    return _made[source]


def _make(source: PolicySource) -> type[Policy]:
    tree = check_text(source.path, source.data)
    # get_type_hints and dataclasses look a class up by the name of its module.
    module = ModuleType(f"longpin_policy_{hashlib.sha256(source.name.encode()).hexdigest()[:8]}_{source.sha256[:16]}")
    module.__file__ = source.path
    sys.modules[module.__name__] = module
    try:
        with bounded(source.path, ""):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(compile(source.data, source.path, "exec"), vars(module))  # noqa: S102 - what --policy is for
            policy = find_class(source.path, source.class_name, vars(module), tree)
            check_class(source.path, policy, tree)
            name_class(policy, source.name)
            guard_hooks(source.path, policy)
            check_purity(source.path, policy, vars(module))
    except BaseException as error:
        del sys.modules[module.__name__]
        if isinstance(error, PolicyError | KeyboardInterrupt):
            raise
        raise PolicyError.by(source.path, error, "") from None  # of what a class does when it is looked at
    return policy
