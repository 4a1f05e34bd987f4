"""The matrix: hazards are data that can be used, and a verdict is the same whether it was explored or inferred."""

import dataclasses
from pathlib import Path

import pytest
from model.test_parallel import local_cluster

from longpin.actors.policies import POLICIES
from longpin.config.hazard import HOLDS, hazards_named, load_hazard, shipped_hazards
from longpin.config.loader import in_dialect
from longpin.config.schema import ALL_RULES, USES
from longpin.runner.exploration import Exploration, Method, Reason
from longpin.runner.matrix import row as rows
from longpin.runner.matrix.cell import CellVerdict, Column, How, MatrixCell, all_columns
from longpin.runner.matrix.matrix import WantedMatrix, explore_matrix
from longpin.runner.matrix.row import MatrixRow, RowTask
from longpin.runner.matrix.vectors import Survey, VectorSpace, members, settle
from longpin.runner.run import run

NAMES = shipped_hazards()
COLUMNS = {f"{column.policy}:{column.preset}": column for column in all_columns()}


def task(name: str, timers: str = "lazy", *, sharing: bool = True) -> RowTask:
    hazard = load_hazard(name)
    scenario = hazard.scenario
    racy = timers == "racy"
    return RowTask(
        scenario.text, scenario.filename, hazard.expected, "racy" if racy else "lazy", (), 120.0, 4 << 30, sharing
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_hazard_is_a_scenario_under_every_policy(name: str) -> None:
    hazard = load_hazard(name)
    assert hazard.name == name
    assert hazard.scenario.source
    assert hazard.scenario.summary
    for column in all_columns():
        in_dialect(hazard.scenario, column.policy, column.preset)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_expected_speaks_of_what_there_is(name: str) -> None:
    hazard = load_hazard(name)
    expected, rules = hazard.expected, {*hazard.scenario.holds, *hazard.scenario.shows, HOLDS}
    assert expected.should.endswith(".")
    assert expected.words
    assert expected.source
    cells = [*expected.verdicts, *(key for each in expected.deviation for key in each.cells)]
    for key in cells:
        column, _, timers = key.partition("/")
        policy, _, preset = column.partition(":")
        assert policy in POLICIES, key
        assert not preset or preset in POLICIES[policy].presets, key
        assert timers in ("", "lazy", "racy"), key
    assert {expected.default, *expected.verdicts.values()} <= rules
    for each in expected.deviation:
        assert each.found in rules
        assert each.why.endswith(".")


def test_every_hazard_of_the_documents_has_a_row() -> None:
    numbers = {name.partition("-")[0] for name in NAMES}
    assert numbers == {*(f"H{number}" for number in range(1, 28)), *USES}
    assert set(USES) | {HOLDS} | set(ALL_RULES)  # what verdicts are made of


def test_the_closest_key_counts() -> None:
    expected = dataclasses.replace(
        load_hazard("U1-device-writes").expected,
        verdicts={"P5": "O1", "P5/racy": "O2", "P5:lt0": "O3", "P5:lt0/racy": "O4"},
    )
    assert expected.verdict("P5", "intended", "lazy") == "O1"
    assert expected.verdict("P5", "intended", "racy") == "O2"
    assert expected.verdict("P5", "lt0", "lazy") == "O3"
    assert expected.verdict("P5", "lt0", "racy") == "O4"
    assert expected.verdict("P6", "intended", "racy") == HOLDS


def test_hazards_are_asked_for_by_number_or_name() -> None:
    assert hazards_named(["U2", "U1-device-writes"]) == ["U1-device-writes", "U2-file-changes"]
    assert hazards_named([]) == list(NAMES)
    with pytest.raises(ValueError, match="found 'H99'"):
        hazards_named(["H99"])


def verdicts(cells: list[MatrixCell]) -> list[tuple[str, str, str]]:
    return [(cell.column, cell.verdict.value, cell.rule) for cell in cells]


def row_of(name: str, folder: Path, timers: str = "lazy", *, sharing: bool = True) -> list[MatrixCell]:
    row = MatrixRow(task(name, timers, sharing=sharing), folder)
    return [row.cell(column) for column in all_columns()]


def shared_and_not(name: str, folder: Path, timers: str) -> None:
    shared, alone = (row_of(name, folder, timers, sharing=sharing) for sharing in (True, False))
    assert verdicts(shared) == verdicts(alone)
    assert all(cell.explored for cell in alone)
    assert any(cell.how is How.INFERRED for cell in shared)
    assert CellVerdict.UNDETERMINED not in {cell.verdict for cell in shared}


def test_what_is_inferred_is_what_is_explored(tmp_path: Path) -> None:
    shared_and_not("U2-file-changes", tmp_path, "lazy")


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("timers", ["lazy", "racy"])
def test_every_row_is_the_same_without_sharing(name: str, timers: str, tmp_path: Path) -> None:
    shared_and_not(name, tmp_path, timers)


@pytest.mark.parametrize("policy", ["P4", "P9"])
def test_a_region_is_settled_by_one_of_its_vectors(policy: str, tmp_path: Path) -> None:
    """Every fifth vector, explored by itself, is what its region says; regions are the whole and do not meet."""
    space = VectorSpace(policy, "intended")
    row = MatrixRow(task("U2-file-changes"), tmp_path)
    survey = Survey(space, list(settle(space, row)))
    for kernel in survey.kernels:
        its = [region.vectors for region in survey.regions if set(region.kernel) <= set(kernel)]
        assert sum(map(int.bit_count, its)) == len(space.vectors)
    alone = MatrixRow(task("U2-file-changes", sharing=False), tmp_path)
    for number in range(0, len(space.vectors), 5):
        kernel = survey.kernels[number % len(survey.kernels)]
        found = alone.cell(space.column(number, kernel))
        (region,) = [
            region for region in survey.regions if region.vectors >> number & 1 and set(region.kernel) <= set(kernel)
        ]
        assert (found.verdict, found.rule) == (region.cell.verdict, region.cell.rule)


def test_cubes_are_what_fails_and_no_larger(tmp_path: Path) -> None:
    space = VectorSpace("P4", "intended")
    survey = Survey(space, list(settle(space, MatrixRow(task("U1-device-writes"), tmp_path))))
    cubes = survey.cubes()
    assert [dict(cube.values) for cube in cubes] == [{"lease_direct": (False,)}]
    failing = survey.with_verdict(CellVerdict.VIOLATED)
    for kernel, vectors in failing.items():
        assert [space.vectors[number]["lease_direct"] for number in members(vectors)] == [False] * 6, kernel


def test_a_row_is_not_done_twice(tmp_path: Path) -> None:
    wanted = WantedMatrix([load_hazard("U1-device-writes")], [Column("P4", "intended"), Column("P5", "d1")])
    first, second = (explore_matrix(wanted, tmp_path) for _ in range(2))
    assert (first.resumed, second.resumed) == (0, 2)
    assert first.cells == second.cells
    longer = explore_matrix(dataclasses.replace(wanted, seconds=90.0), tmp_path)
    assert longer.resumed == 0


def test_a_counterexample_that_is_gone_is_found_again(tmp_path: Path) -> None:
    wanted = WantedMatrix([load_hazard("U1-device-writes")], [Column("P5", "intended")], ("lazy",))
    (cell,) = explore_matrix(wanted, tmp_path).cells
    (tmp_path / "traces" / cell.trace).unlink()
    again = explore_matrix(wanted, tmp_path)
    assert (again.resumed, again.cells) == (0, [cell])
    assert (tmp_path / "traces" / cell.trace).is_file()


def test_a_damaged_row_is_done_again(tmp_path: Path) -> None:
    wanted = WantedMatrix([load_hazard("U1-device-writes")], [Column("P0", "intended")], ("lazy",))
    cells = explore_matrix(wanted, tmp_path).cells
    (kept,) = (tmp_path / "rows").iterdir()
    for text in ("", "[]", '{"identity": 1}', kept.read_text().replace('"violated"', '"nonsense"')):
        kept.write_text(text)
        again = explore_matrix(wanted, tmp_path)
        assert (again.resumed, again.cells) == (0, cells)


@pytest.mark.filterwarnings("default")
def test_rows_are_the_same_for_any_number_of_workers_and_on_a_cluster(tmp_path: Path) -> None:
    wanted = WantedMatrix([load_hazard("U1-device-writes")], all_columns()[:6])
    alone = explore_matrix(wanted, tmp_path / "alone").cells
    assert explore_matrix(wanted, tmp_path / "two", workers=2).cells == alone
    with local_cluster() as address:
        assert explore_matrix(wanted, tmp_path / "cluster", dask=address).cells == alone


def test_a_row_that_is_interrupted_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exploration takes Ctrl-C for its own end: the matrix ends too, and the cell is explored the next time."""
    wanted = WantedMatrix([load_hazard("H9-close-while-pinned")], [COLUMNS["P0:intended"]], ("lazy",))
    with monkeypatch.context() as patched:
        patched.setattr(rows, "explore", lambda *_, **__: Exploration(Method.STATES, reason=Reason.INTERRUPTED))
        stopped = explore_matrix(wanted, tmp_path)
    assert (stopped.interrupted, stopped.cells, stopped.undetermined) == (True, [], 1)
    again = explore_matrix(wanted, tmp_path)
    assert (again.resumed, again.interrupted, again.undetermined) == (0, False, 0)


@pytest.mark.parametrize("name", ["H5-lease-taken-again", "H5-pin-during-a-break"])
def test_a_row_that_expects_nothing_of_its_registration_has_one(name: str) -> None:
    """Some orders refuse it, so no line says that it succeeds; where nobody can pin no DMA can be stray."""
    refused = set()
    for column in all_columns():
        settings = dataclasses.replace(column.settings("lazy"), oracle="pct")
        runs = (run(load_hazard(name).scenario, dataclasses.replace(settings, seed=seed)) for seed in range(40))
        made = (call for result in runs for call in result.calls if call.call.startswith("ibv_reg_mr"))
        if not any(call.ret is not None and not call.errno for call in made):
            refused.add(column.name)
    assert refused == {"P0:as_posted", "P0:intended", "P4:as_posted"}
