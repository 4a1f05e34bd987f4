"""Which parameter vectors of a policy survive every hazard, in clauses: for people, and as one JSON object."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from longpin.actors.parameters import ParameterValue, write_value
from longpin.runner.matrix.cell import CellVerdict
from longpin.runner.matrix.survey import Surveyed
from longpin.runner.matrix.vectors import Cube
from longpin.runner.report.matrix import matrix_object
from longpin.runner.report.objects import Object
from longpin.runner.shell import command


def lines(found: Surveyed) -> Iterator[str]:
    """Yield how many vectors survive, and the clauses that they meet, each with a counterexample."""
    space, kernels = found.space, found.hazards.kernels
    fields = ", ".join(name for name, _ in kernels[0])
    yield f"{found.verdict.value}: {reason(found)}"
    yield ""
    yield (
        f"{space.policy}: {len(space.vectors):,} vectors of its own parameters"
        + (f", {len(kernels):,} choices of the kernel ({fields})" if fields else "")
        + f": {len(space.vectors) * len(kernels):,}"
    )
    its = counts(found)
    yield f"{its.surviving:,} survive every hazard, {its.failing:,} do not, {its.unknown:,} undetermined"
    if found.lost:
        yield ""
        yield "no vector survives:"
    for cell in found.lost:
        yield f"  {cell.hazard} ({cell.timers} timers): {cell.rule}: {cell.why}"
        if cell.trace:
            yield f"      {command('replay', found.trace(cell))}"
    yield from _clauses(found, f"a vector survives{' the others' * bool(found.lost)} if", found.clauses)
    if found.uses.regions:
        yield from _clauses(found, "a vector shows every use if", found.useless)
    yield ""
    yield f"{found.explorations:,} explorations, {found.rows} rows, {found.seconds:.1f} s"


def _clauses(found: Surveyed, title: str, cubes: Sequence[Cube]) -> Iterator[str]:
    yield ""
    if not cubes:
        yield f"{title} it is any of them"
        return
    yield f"{title} all of this holds:"
    for cube in cubes:
        yield f"  {clause(found, cube)}"
        cell = cube.cell
        yield f"      else {cell.hazard} violates {cell.rule}, as {cell.column} does ({cell.timers} timers): {cell.why}"
        if cell.trace:
            yield f"      {command('replay', found.trace(cell))}"


def reason(found: Surveyed) -> str:
    """Return how much is known."""
    if found.interrupted:
        return f"it was interrupted with {found.rows} of {found.wanted_rows} rows known"
    if unknown := survivors_unknown(found):
        return f"of {unknown:,} vectors it is not known whether they survive"
    return "it is known of every vector whether it survives every hazard"


class VectorCounts(NamedTuple):
    """How many vectors there are."""

    vectors: int
    surviving: int
    """Every hazard."""
    failing: int
    unknown: int


def counts(found: Surveyed) -> VectorCounts:
    """Return how many vectors survive."""
    every = len(found.space.vectors) * len(found.hazards.kernels)
    failing, unknown = _count(found.hazards.with_verdict(CellVerdict.VIOLATED)), survivors_unknown(found)
    return VectorCounts(every, every - failing - unknown, failing, unknown)


def survivors_unknown(found: Surveyed) -> int:
    """Return how many vectors fail nowhere, as far as is known, but are undetermined somewhere."""
    failing = found.hazards.with_verdict(CellVerdict.VIOLATED)
    return _count(
        {k: vectors & ~failing[k] for k, vectors in found.hazards.with_verdict(CellVerdict.UNDETERMINED).items()}
    )


def clause(found: Surveyed, cube: Cube) -> str:
    """Return what a vector must be so as not to be in a cube: ``evict_waits or not busy_scan_skips_unmapped``."""
    if not cube.values:
        return "nothing: every vector fails"
    return " or ".join(_other_than(name, values, found.space.every[name]) for name, values in cube.values.items())


def _other_than(name: str, values: Sequence[ParameterValue], every: Sequence[ParameterValue]) -> str:
    left = [value for value in every if value not in values]
    if set(every) == {True, False}:
        return name if left == [True] else f"not {name}"
    return f"{name}={'|'.join(map(write_value, left))}"


def _count(vectors: Mapping[Any, int]) -> int:
    return sum(some.bit_count() for some in vectors.values())


def as_object(found: Surveyed) -> Object:
    """Return what ``matrix --vectors`` prints as JSON."""
    kernels = found.hazards.kernels
    its = counts(found)
    vectors = {
        "policy": found.space.policy,
        "parameters": {name: [write_value(value) for value in values] for name, values in found.space.own.items()},
        "kernel_parameters": [name for name, _ in kernels[0]],
        "vectors": its.vectors,
        "survive": its.surviving,
        "fail": its.failing,
        "undetermined": its.unknown,
        "lost": [{"hazard": cell.hazard, "timers": cell.timers, "rule": cell.rule} for cell in found.lost],
        "clauses": [_clause(found, cube) for cube in found.clauses],
        "use_clauses": [_clause(found, cube) for cube in found.useless],
    }
    return matrix_object(found, reason=reason(found), vectors=vectors)


def _clause(found: Surveyed, cube: Cube) -> Object:
    cell = cube.cell
    return {
        "clause": clause(found, cube),
        "fails_with": {name: [write_value(value) for value in values] for name, values in cube.values.items()},
        "hazard": cell.hazard,
        "rule": cell.rule,
        "policy": cell.column,
        "timers": cell.timers,
        "trace": found.trace(cell) or None,
    }
