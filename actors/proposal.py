"""A proposal as it is run: a policy with its parameters on a generation of Linux; how one is read, made and named.

What differs from the preset is named everywhere, so that two results under one name are results of the same rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from longpin.actors.kernel.generation import GENERATIONS, Generation
from longpin.actors.parameters import ParameterValue, changed, parameter_types, read_assignments, replaced, write_value
from longpin.actors.policies import find_policy
from longpin.actors.policies.base import Policy

KERNEL = "kernel"
"""The parameter that names the version of Linux; the fields of :class:`Generation` are parameters too."""

GENERATION_FIELDS = frozenset(field.name for field in fields(Generation))


def proposal_parameters(policy: type[Policy]) -> dict[str, Any]:
    """Return the type of everything that can be set: the policy's parameters, the kernel, and what it differs in."""
    return parameter_types(policy) | {KERNEL: str} | parameter_types(Generation)


def read_proposal(text: str) -> tuple[type[Policy], str, dict[str, ParameterValue]]:
    """Read ``NAME[:preset][,PARAMETER=VALUE...]``, as ``--policy`` takes it and :attr:`Proposal.name` writes it.

    Return the policy, the preset, and the parameters that are given.

    Raises:
        ValueError: one sentence that says what was expected.

    """
    head, *given = text.split(",")
    name, _, preset = head.partition(":")
    if "=" in preset:
        raise ValueError(f"expected parameters after a comma, as in {name},{preset.strip()}, found {head!r}")
    policy, preset = find_policy(head.strip())
    parameters = read_assignments(given, proposal_parameters(policy), policy.name)
    if KERNEL in parameters:
        find_generation(str(parameters[KERNEL]))
    return policy, preset, parameters


def read_kernel(text: str) -> dict[str, ParameterValue]:
    """Read ``VERSION[,PARAMETER=VALUE...]``, as ``[machine] kernel`` takes it; return it as parameters of a proposal.

    Raises:
        ValueError: one sentence that says what was expected.

    """
    version, *given = text.split(",")
    find_generation(version.strip())
    return {KERNEL: version.strip()} | read_assignments(given, parameter_types(Generation), f"kernel {version.strip()}")


def find_generation(version: str) -> Generation:
    """Return the generation of a version.

    Raises:
        ValueError: there is no such version here; one sentence.

    """
    if version not in GENERATIONS:
        raise ValueError(f"expected a kernel, one of {', '.join(GENERATIONS)}, found {version!r}")
    return GENERATIONS[version]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy and what it runs on."""

    policy: Policy
    preset: str
    """``as_posted`` or ``intended``."""
    kernel: str
    """The version of Linux, a key of :data:`GENERATIONS`."""
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
        own = {key: value for key, value in parameters.items() if key != KERNEL and key not in GENERATION_FIELDS}
        fields_ = {key: value for key, value in parameters.items() if key in GENERATION_FIELDS}
        kernel = str(parameters.get(KERNEL, policy.kernels[preset]))
        generation = replaced(find_generation(kernel), fields_)
        return cls(replaced(policy(), policy.presets[preset] | own), preset, kernel, generation)

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
