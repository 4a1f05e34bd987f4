"""Conformance programs about storage: how data and extents are written, where they run, and that the kernels agree."""

import os
import shutil
from pathlib import Path

import pytest

from longpin.runner.conform import host as host_module
from longpin.runner.conform.emulated import EmulatedRunner
from longpin.runner.conform.generate import generate
from longpin.runner.conform.generate_storage import generate_storage, wants_storage
from longpin.runner.conform.host import HostRunner
from longpin.runner.conform.ops import SHARING_OPS
from longpin.runner.conform.program import ConformProgram, Unsupported, make_op, mistakes
from longpin.runner.conform.storage import data_text, extents_text, read_extents

CLONE = ConformProgram(
    "clone",
    (
        make_op("*", "create", path="f", size=8192),
        make_op("A", "open", {"path": "f", "flags": "O_RDWR", "as": "a"}),
        make_op("A", "write_at", fd="a", at=4096, count=4096, letter="x"),
        make_op("A", "open", {"path": "g", "flags": "O_RDWR|O_CREAT", "as": "b"}),
        make_op("A", "ficlone", fd="b", src="a"),
        make_op("A", "fsync", fd="b"),
        make_op("A", "fiemap", fd="b"),
        make_op("A", "write_at", fd="a", at=4099, count=1, letter="y"),
        make_op("A", "read_at", fd="b", at=0, count=65536),
        make_op("A", "read_at", fd="a", at=4096, count=10),
    ),
    pace=0,
)
ANSWERS = [0, 3, 4096, 4, 0, 0, "1-1 SHARED", 1, ".*4096 x*4096", "x*3 y*1 x*6"]
ROOT_WITH_XFS = os.geteuid() == 0 and shutil.which("mkfs.xfs", path=f"{os.environ.get('PATH')}:/usr/sbin:/sbin")


def test_data_and_extents_as_text() -> None:
    assert data_text(b"\0\0ab\xff") == ".*2 a*1 b*1 xff*1"
    shown = b"0:8192:4096, 4096:0:8192 UNWRITTEN, 16384:4096:4096 SHARED LAST"
    assert extents_text(read_extents(shown)) == "0-0, 1-2 UNWRITTEN, 4-4 SHARED"
    assert extents_text([(0, 0, 4096, 0), (4096, 99, 4096, 1)]) == "0-1", "where it lies is not told"
    assert extents_text([]) == "nothing"


def test_programs_about_storage_are_some_of_all() -> None:
    some = [index for index in range(300) if wants_storage(1, index)]
    assert 5 < len(some) < 40
    assert all(generate(1, index) == generate_storage(1, index) for index in some)
    kinds = {op.op for index in range(60) for op in generate_storage(1, index).ops}
    assert kinds >= SHARING_OPS
    assert not [wrong for index in range(60) if (wrong := mistakes(generate_storage(1, index).ops))]


def test_a_clone_on_the_emulated_kernel() -> None:
    assert [result.ret for result in EmulatedRunner().run(CLONE).results] == ANSWERS


def test_a_machine_that_cannot_share_blocks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(_folder: Path) -> tuple[None, str]:
        return None, "an XFS in a file takes mkfs.xfs"

    monkeypatch.setattr(host_module, "mount_xfs", cannot)
    with HostRunner() as host:
        if not host.abilities.reflink:
            pytest.skip("the file system of this machine shares blocks")
        with pytest.raises(Unsupported, match=r"^ficlone: .* no FICLONE: .*; an XFS in a file takes mkfs.xfs$"):
            host.run(CLONE)


@pytest.mark.skipif(not ROOT_WITH_XFS, reason="needs root and mkfs.xfs")
def test_the_kernel_of_this_machine_agrees_and_nothing_is_left_mounted() -> None:
    with HostRunner() as host:
        folder = str(host._folder)
        assert [result.ret for result in host.run(CLONE).results] == ANSWERS
        for index in range(8):
            program = generate_storage(3, index)
            real, emulated = host.run(program), EmulatedRunner().run(program)
            for op, one, other in zip(program.ops, real.results, emulated.results, strict=True):
                assert (one.ret, one.errno) == (other.ret, other.errno), f"{program.id}: {op}"
    assert folder not in Path("/proc/mounts").read_text()
    assert not Path(folder).exists()
