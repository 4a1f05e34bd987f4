"""A policy that is given as a class in a file, on the command line or to :mod:`longpin.api`, and what it does wrong.

Each function imports what it needs when it is called, as :mod:`longpin.runner.api` does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from longpin.runner.usage import UsageError

if TYPE_CHECKING:
    from longpin.runner.own_policy.source import PolicySource


def load_policy(policy: str | None) -> "PolicySource | None":
    """Load a policy that is a class in a file, ``FILE.py:CLASS``; from then on its name means this class.

    Called for ``--policy`` and for the argument ``policy`` of :mod:`longpin.api`; nothing else executes code of a file.

    Args:
        policy: as on the command line; one of longpin's is nothing to load.

    Raises:
        UsageError: the file cannot be used: it is none, its text is wrong, or the class is no policy.

    """
    from longpin.actors.policies import name_in_file
    from longpin.runner.own_policy.checks import PolicyError
    from longpin.runner.own_policy.source import read_source, register

    if policy is None:
        return None
    if not isinstance(policy, str):
        raise UsageError("{}: ", "policy", why=f"expected text, such as 'P1:intended', found {policy!r}")
    name = name_in_file(policy)
    if not name:
        if policy.partition(":")[0].endswith(".py"):
            raise UsageError("{}: ", "policy", why=f"expected FILE.py:CLASS, found {policy!r}")
        return None
    try:
        register(source := read_source(name))
    except PolicyError as error:
        raise UsageError("{}: ", "policy", why=str(error)) from None
    return source


def read_policy(policy: str) -> "tuple[PolicySource | None, str, str, dict[str, Any]]":
    """Return the file of a policy, loaded, then its name, its preset and the parameters that are given with it.

    Raises:
        UsageError: there is no such policy, preset or parameter, or the file cannot be used.

    """
    from longpin.actors.policies.proposal import read_proposal

    source = load_policy(policy)
    try:
        chosen, preset, parameters = read_proposal(policy)
    except ValueError as error:
        raise UsageError("{}: ", "policy", why=str(error)) from None
    return source, chosen.name, preset, parameters


@contextmanager
def blaming(policy: str | None) -> Iterator[None]:
    """Tell what a policy in a file does wrong as its mistake.

    Raises:
        PolicyError: a hook raised, or answered what is no decision, or what cannot be carried out.

    """
    from longpin.actors.policies import name_in_file
    from longpin.runner.engines.engine import InternalError
    from longpin.runner.own_policy.checks import PolicyError

    try:
        yield
    except InternalError as error:
        if isinstance(error.__cause__, PolicyError):
            raise error.__cause__ from None
        if policy is not None and (name := name_in_file(policy)):
            raise PolicyError(f"{name}: what it decided cannot be carried out: {error}") from error
        raise


def source_alone(policy: str | None, parameter: str = "policy") -> "PolicySource | None":
    """Return the file of the policy of a trace, which holds preset and parameters itself.

    Args:
        policy: ``FILE.py:CLASS``; None: it is one of longpin's.
        parameter: where it was given.

    Raises:
        UsageError: the file cannot be used, or something else is named.

    """
    source = load_policy(policy)
    if policy is not None and (source is None or source.name != policy):
        why = f"expected FILE.py:CLASS, as the trace holds the rest, found {policy!r}"
        raise UsageError("{}: ", parameter, why=why)
    return source
