"""Parameter vectors: which settings of a policy and of the kernel survive every hazard, without exploring each.

A space is every vector of a policy's own parameters times every choice of the kernel's that a world asks for. One
vector is explored; all that answer alike what was asked are settled by it, and the rest falls into regions that differ
in the first answer: vectors of the policy by their answers, choices of the kernel by the field that was read. So the
number of explorations is that of the transition systems that can be told apart, not that of the vectors.

What breaks a rule is then told in clauses: a *cube* gives some parameters values, all of its vectors fail, and it is as
large as it can be. Who survives is who is in none of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import product
from typing import Any

from longpin.actors.kernel.generation import GENERATIONS, Generation
from longpin.actors.parameters import ParameterValue, parameter_types, replaced
from longpin.actors.policies import find_policy
from longpin.actors.policies.proposal import Proposal
from longpin.runner.exploration.questions import KERNEL, Answers, Question, same
from longpin.runner.matrix.cell import CellVerdict, Column, MatrixCell
from longpin.runner.matrix.row import MatrixRow

VIOLATED = CellVerdict.VIOLATED

Kernel = tuple[tuple[str, ParameterValue], ...]
"""Some fields of a generation of Linux with their values, by name."""


@dataclass
class VectorSpace:
    """Every vector of a policy's own parameters; a set of them is the bits of an integer."""

    policy: str
    preset: str
    """Whose kernel is the usual one, and whose values parameters have that take too many."""

    def __post_init__(self) -> None:
        kind, _ = find_policy(self.policy)
        usual = replaced(kind(), kind.presets[self.preset])
        self.values = {name: _values(of, getattr(usual, name)) for name, of in parameter_types(kind).items()}
        self.vectors = [dict(zip(self.values, vector, strict=True)) for vector in product(*self.values.values())]
        self.whole = (1 << len(self.vectors)) - 1
        generation = GENERATIONS[kind.kernels[self.preset]]
        self.kernel_values = {
            name: _values(of, getattr(generation, name)) for name, of in parameter_types(Generation).items()
        }
        self.own = {name: tuple(map(_plain, values)) for name, values in self.values.items()}
        """The values of each parameter of the policy, as they are written."""
        self.every = self.own | {name: tuple(map(_plain, values)) for name, values in self.kernel_values.items()}
        """Those of the kernel too."""
        self._proposals = [
            Proposal.make(self.policy, self.preset, {name: _plain(value) for name, value in vector.items()})
            for vector in self.vectors
        ]
        self._answers: dict[Question, list[Any]] = {}

    @cached_property
    def having(self) -> Mapping[tuple[str, ParameterValue], int]:
        """The vectors in which a parameter has a value."""
        found: dict[tuple[str, ParameterValue], int] = {}
        for number, vector in enumerate(self.vectors):
            for name, value in vector.items():
                key = name, _plain(value)
                found[key] = found.get(key, 0) | 1 << number
        return found

    def column(self, number: int, kernel: Kernel) -> Column:
        """Return a vector as a column of the matrix."""
        preset = Proposal.make(self.policy, self.preset, {}).parameters
        given = {name: _plain(value) for name, value in self.vectors[number].items()} | dict(kernel)
        return Column(self.policy, self.preset, tuple(item for item in given.items() if item[1] != preset[item[0]]))

    def alike(self, among: int, answers: Answers) -> int:
        """Return those of some vectors whose policy answers all questions so."""
        for question, answer in answers.items():
            if question.hook != KERNEL and among:
                among = self._answering(among, question, answer)
        return among

    def _answering(self, among: int, question: Question, answer: Any) -> int:
        known = self._answers.get(question)
        if known is None:
            known = self._answers[question] = [question.ask(proposal) for proposal in self._proposals]
        return sum(1 << number for number in members(among) if same(known[number], answer))


@dataclass(frozen=True, slots=True)
class VectorRegion:
    """Vectors that are settled by one cell."""

    vectors: int
    kernel: Kernel
    """The fields of the kernel that were read; the others may be anything."""
    cell: MatrixCell


def settle(space: VectorSpace, row: MatrixRow) -> Iterator[VectorRegion]:
    """Yield regions that make up the whole space, each with a cell that settles it.

    Raises:
        InternalError: a bug in longpin.

    """
    left: list[tuple[int, Kernel]] = [(space.whole, ())]
    while left:
        vectors, kernel = left.pop()
        first = _first(space, vectors)
        cell = row.cell(space.column(first, kernel))
        answers = row.answers
        alike = space.alike(vectors, answers) | 1 << first
        if rest := vectors & ~alike:
            left.append((rest, kernel))
        fixed = dict(kernel)
        for question, answer in answers.items():
            if question.hook != KERNEL or question.facts[0] in fixed:
                continue
            name = question.facts[0]
            for other in space.kernel_values[name]:
                if other != answer:
                    left.append((alike, (*fixed.items(), (name, _plain(other)))))
            fixed[name] = _plain(answer)
        yield VectorRegion(alike, tuple(fixed.items()), cell)


def _first(space: VectorSpace, vectors: int) -> int:
    """Return the vector of a set that differs least from the preset."""
    usual = Proposal.make(space.policy, space.preset, {}).parameters
    return min(
        members(vectors),
        key=lambda number: (sum(_plain(value) != usual[name] for name, value in space.vectors[number].items()), number),
    )


@dataclass(slots=True)
class Survey:
    """What is known of every vector after some rows."""

    space: VectorSpace
    regions: list[VectorRegion] = field(default_factory=list)
    explorations: int = 0

    @property
    def kernels(self) -> list[Kernel]:
        """Every choice of the kernel's fields that some row has read; the others make no difference."""
        names = dict.fromkeys(name for region in self.regions for name, _ in region.kernel)
        values = [[_plain(value) for value in self.space.kernel_values[name]] for name in names]
        return [tuple(zip(names, choice, strict=True)) for choice in product(*values)]

    def with_verdict(self, verdict: CellVerdict) -> dict[Kernel, int]:
        """Return the vectors that some row has found to be so, by the choice of the kernel's fields."""
        found = dict.fromkeys(self.kernels, 0)
        for region in self.regions:
            if region.cell.verdict is verdict:
                for kernel in found:
                    if set(region.kernel) <= set(kernel):
                        found[kernel] |= region.vectors
        return found

    def rows(self) -> list["Survey"]:
        """Return what is known of each row by itself."""
        rows: dict[tuple[str, str], list[VectorRegion]] = {}
        for region in self.regions:
            rows.setdefault((region.cell.hazard, region.cell.timers), []).append(region)
        return [Survey(self.space, its) for its in rows.values()]

    def lost(self) -> list[MatrixCell]:
        """Return a cell of each row that no vector survives."""
        return [
            row.regions[0].cell
            for row in self.rows()
            if all(vectors == self.space.whole for vectors in row.with_verdict(VIOLATED).values())
        ]

    def clauses(self) -> list["Cube"]:
        """Return the cubes of all rows, without those that lie in another: who survives is in none of them."""
        cubes = [cube for row in self.rows() for cube in row.cubes()]
        kept: list[Cube] = []
        for cube in cubes:
            if not any(cube.lies_in(other) for other in kept):
                kept = [other for other in kept if not other.lies_in(cube)] + [cube]
        return kept

    def without(self, cells: Sequence[MatrixCell]) -> "Survey":
        """Return what is known of the other rows."""
        rows = {(cell.hazard, cell.timers) for cell in cells}
        kept = [region for region in self.regions if (region.cell.hazard, region.cell.timers) not in rows]
        return Survey(self.space, kept)

    def cubes(self) -> list["Cube"]:
        """Return cubes that have all vectors which fail, none of which is superfluous, each with a counterexample."""
        failing = self.with_verdict(CellVerdict.VIOLATED)
        cubes: list[Cube] = []
        covered = dict.fromkeys(failing, 0)
        while (
            start := next(((k, failing[k] & ~covered[k]) for k in failing if failing[k] & ~covered[k]), None)
        ) is not None:
            kernel, left = start
            cube = self._grown(failing, kernel, _first(self.space, left))
            cubes.append(cube)
            for its, vectors in self._inside(cube.values, covered):
                covered[its] |= vectors
        return self._needed(cubes, failing)

    def _grown(self, failing: Mapping[Kernel, int], kernel: Kernel, number: int) -> "Cube":
        """Return the cube of a vector that fails, after its values were given up that are not needed for that."""
        values: dict[str, tuple[ParameterValue, ...]] = {
            name: (_plain(value),) for name, value in self.space.vectors[number].items()
        }
        values |= {name: (value,) for name, value in kernel}
        every = self.space.every

        def fails(tried: Mapping[str, tuple[ParameterValue, ...]]) -> bool:
            return all(not vectors & ~failing[its] for its, vectors in self._inside(tried, failing))

        for name in list(values):
            if fails(tried := {other: its for other, its in values.items() if other != name}):
                values = tried
        for name in list(values):
            for more in every[name]:
                if more not in values[name] and fails(tried := values | {name: (*values[name], more)}):
                    values = tried
        region = next(
            region
            for region in self.regions
            if region.cell.verdict is CellVerdict.VIOLATED
            and region.vectors >> number & 1
            and set(region.kernel) <= set(kernel)
        )
        return Cube(values, region.cell)

    def _inside(
        self, values: Mapping[str, tuple[ParameterValue, ...]], kernels: Mapping[Kernel, int]
    ) -> Iterator[tuple[Kernel, int]]:
        """Yield the vectors of a cube, by the choice of the kernel's fields."""
        vectors = self.space.whole
        for name in values.keys() & self.space.values.keys():
            some = 0
            for value in values[name]:
                some |= self.space.having[name, value]
            vectors &= some
        for kernel in kernels:
            if all(value in values.get(name, (value,)) for name, value in kernel):
                yield kernel, vectors

    def _needed(self, cubes: list["Cube"], failing: Mapping[Kernel, int]) -> list["Cube"]:
        """Return the cubes without those whose vectors others have."""
        needed = list(cubes)
        for cube in cubes:
            covered = dict.fromkeys(failing, 0)
            for other in needed:
                if other is not cube:
                    for kernel, vectors in self._inside(other.values, covered):
                        covered[kernel] |= vectors
            if all(not failing[kernel] & ~covered[kernel] for kernel in failing):
                needed.remove(cube)
        return needed


@dataclass(frozen=True, slots=True)
class Cube:
    """Vectors that all fail: every one in which the parameters have these values."""

    values: Mapping[str, tuple[ParameterValue, ...]]
    cell: MatrixCell
    """Of one of them."""

    def lies_in(self, other: "Cube") -> bool:
        """Return whether all of its vectors are in another cube."""
        return all(name in self.values and set(self.values[name]) <= set(its) for name, its in other.values.items())


def members(vectors: int) -> Iterator[int]:
    """Yield the numbers of a set of vectors, in order."""
    number = 0
    while vectors:
        skipped = (vectors & -vectors).bit_length() - 1
        number += skipped
        yield number
        vectors >>= skipped + 1
        number += 1


def _values(of: Any, usual: Any) -> Sequence[Any]:
    """Return the values of a parameter; of one that takes any number the usual one alone."""
    if of is bool:
        return (False, True)
    if isinstance(of, type) and issubclass(of, Enum):
        return tuple(of)
    return (usual,)


def _plain(value: Any) -> ParameterValue:
    if isinstance(value, Enum):
        return str(value.value)
    return value if isinstance(value, bool | int | float) else str(value)
