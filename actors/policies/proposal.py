"""A proposal as it is run: a policy with its parameters on a generation of Linux; how one is read, made and named.

What differs from the preset is named everywhere, so that two results under one name are results of the same rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from longpin.actors.kernel.generation import GENERATIONS, Generation, Version
from longpin.actors.parameters import ParameterValue, changed, parameter_types, read_assignments, replaced, write_value
from longpin.actors.policies import find_policy, split_name
from longpin.actors.policies.base import Policy


@dataclass(frozen=True, slots=True)
class KernelVersion:
    """Which Linux: a parameter of a proposal, as the fields of its :class:`Generation` are."""

    kernel: Version


KERNEL = "kernel"


def proposal_parameters(policy: type[Policy]) -> dict[str, Any]:
    """Return the type of everything that can be set: the policy's parameters, the kernel, and what it differs in."""
    return parameter_types(policy) | kernel_parameters()


def kernel_parameters() -> dict[str, Any]:
    """Return the type of what can be set of the kernel: its version, and each thing in which versions differ."""
    return parameter_types(KernelVersion) | parameter_types(Generation)


def read_proposal(text: str) -> tuple[type[Policy], str, dict[str, ParameterValue]]:
    """Read ``NAME[:preset][,PARAMETER=VALUE...]``, as ``--policy`` takes it and :attr:`Proposal.name` writes it.

    Return the policy, the preset, and the parameters that are given. Nothing is loaded, as :func:`find_policy` says.

    Raises:
        ValueError: one sentence that says what was expected.

    """
    name, chosen, given = split_name(text)
    if chosen is not None and "=" in chosen:
        raise ValueError(f"expected parameters after a comma, as in {name},{chosen}, found {f'{name}:{chosen}'!r}")
    policy, preset = find_policy(name if chosen is None else f"{name}:{chosen}")
    return policy, preset, read_assignments(given, proposal_parameters(policy), policy.name)


def read_kernel(text: str) -> dict[str, ParameterValue]:
    """Read ``VERSION[,PARAMETER=VALUE...]``, as ``[machine] kernel`` takes it; return it as parameters of a proposal.

    Raises:
        ValueError: one sentence that says what was expected.

    """
    version, *given = text.split(",")
    return read_assignments([f"{KERNEL}={version}", *given], kernel_parameters(), f"kernel {version.strip()}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy and what it runs on."""

    policy: Policy
    preset: str
    """``as_posted`` or ``intended``."""
    kernel: Version
    generation: Generation
    """What that version does, perhaps with changes."""

    @classmethod
    def of(cls, policy: Policy, preset: str = "intended") -> Self:
        """Return a policy, whatever its parameters, on the kernel of one of its presets."""
        kernel = policy.kernels[preset]
        return cls(policy, preset, kernel, GENERATIONS[kernel])

    @classmethod
    def make(cls, name: str, preset: str, parameters: Mapping[str, Any]) -> Self:
        """Return a policy with its preset's parameters and kernel, and ``parameters`` in place of those they name.

        Raises:
            ValueError: no such policy, preset or kernel, or a value that a parameter does not take.
            TypeError: no such parameter.

        """
        policy, preset = find_policy(f"{name}:{preset}")
        types = proposal_parameters(policy)
        if unknown := [key for key in parameters if key not in types]:
            raise TypeError(f"expected a parameter of {policy.name} ({', '.join(types)}), found {unknown[0]!r}")

        def given(record: Any) -> dict[str, Any]:
            return {key: parameters[key] for key in parameter_types(record) if key in parameters}

        kernel = replaced(KernelVersion(policy.kernels[preset]), given(KernelVersion)).kernel
        generation = replaced(GENERATIONS[kernel], given(Generation))
        return cls(replaced(policy(), policy.presets[preset] | given(policy)), preset, kernel, generation)

    @property
    def name(self) -> str:
        """Return what it is called wherever it is named: ``P5:intended``, with all that differs from the preset.

        :func:`read_proposal` reads it: ``P5:intended,lease_check=active_only,kernel=6.1,evict_waits=true``.
        """
        usual = replaced(type(self.policy)(), self.policy.presets[self.preset])
        differs = [f"{name}={write_value(getattr(self.policy, name))}" for name in changed(self.policy, usual)]
        if self.kernel != self.policy.kernels[self.preset]:
            differs.append(f"{KERNEL}={self.kernel}")
        differs += [
            f"{name}={write_value(getattr(self.generation, name))}"
            for name in changed(self.generation, GENERATIONS[self.kernel])
        ]
        return ",".join([f"{self.policy.name}:{self.preset}", *differs])

    @property
    def parameters(self) -> dict[str, ParameterValue | None]:
        """Return every parameter with its value, from which :meth:`make` makes the same."""
        own: dict[str, ParameterValue | None] = {KERNEL: self.kernel}
        for record in (self.policy, self.generation):
            own |= {name: _plain(getattr(record, name)) for name in parameter_types(type(record))}
        return own


def _plain(value: Any) -> ParameterValue:
    return value if isinstance(value, bool | int | float) else str(value)
