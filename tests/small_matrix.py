"""A matrix of a few cells that is explored in a moment, with one of each verdict."""

from dataclasses import replace
from pathlib import Path

from longpin.config.hazard import Expected, Hazard, load_hazard
from longpin.config.loader import parse_scenario
from longpin.runner.matrix.cell import CellVerdict, Column
from longpin.runner.matrix.matrix import Matrix, WantedMatrix, explore_matrix

HOSTILE = "</script><img src=http://example.org/x onerror=alert(1)>&amp;\u202e\"'`$verdict"
"""What no text of a page may be taken for: markup, an address, an entity, a mark that turns a line round."""

SHARED = '''
name = "H8-shared"
source = "a test"
summary = "a pinned file is cloned, and the device writes into what is shared now"
policy = "P5:intended"
holds = ["O1'", "O3", "O4"]

[[device]]
name = "rxe0"

[[file]]
path = "/pmem/data"
size = "PAGE"

[[file]]
path = "/pmem/snapshot"

[[process]]
name = "app"
program = """
fd  = open("/pmem/data", O_RDWR)
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
cq  = ibv_create_cq(ctx)
qp  = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
label("pinned")
wait_for("cloned")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, b"<b>", mr, 0)
sleep(1)
"""

[[process]]
name = "backup"
program = """
wait_for("pinned")
src = open("/pmem/data", O_RDWR)
dst = open("/pmem/snapshot", O_RDWR)
ioctl(dst, FICLONE, src)
label("cloned")
"""
'''

COLUMNS = (Column("P0", "intended"), Column("P1", "as_posted"), Column("P1", "intended"), Column("P10", "intended"))


def wanted() -> WantedMatrix:
    """Return what is explored."""
    expected = Expected("Nobody writes there.", f"words {HOSTILE}", f"source {HOSTILE}", verdicts={"P1:intended": "O3"})
    shared = Hazard(parse_scenario(SHARED, "H8-shared.toml"), expected)
    return WantedMatrix([shared, load_hazard("U1-device-writes")], COLUMNS, ("lazy",))


def small_matrix(folder: Path) -> Matrix:
    """Explore it; two cells are then made what no exploration of a moment comes to."""
    matrix = explore_matrix(wanted(), folder)
    cells = {(cell.hazard, cell.column): place for place, cell in enumerate(matrix.cells)}
    broken = cells["H8-shared", "P1:intended"]
    matrix.cells[broken] = replace(matrix.cells[broken], explained=f"because {HOSTILE}")
    unknown = cells["U1-device-writes", "P10:intended"]
    matrix.cells[unknown] = replace(
        matrix.cells[unknown], verdict=CellVerdict.UNDETERMINED, why=f"60 s are over {HOSTILE}", trace=""
    )
    return matrix
