"""Rules about the code itself: who imports whom, what an actor may not touch, and the seams of pykka."""

import ast
import sys
from collections import Counter
from pathlib import Path

import pykka
import pytest

from longpin.actors.base import Actor, ActorPart
from longpin.actors.fs.backing import OneFile
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.fs.inode import Inode
from longpin.actors.mm.mm import Mm
from longpin.actors.policies import POLICIES
from longpin.actors.policies.base import Policy
from longpin.actors.syscalls import MODULES, SYSCALLS
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles.fifo import Fifo

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("messages", "actors", "config", "runner")
"""From the one that imports nothing of longpin to the one that imports all."""
FORBIDDEN = {"asyncio", "os", "queue", "random", "secrets", "socket", "subprocess", "threading", "time", "uuid"}
"""What an actor may not import: threads, clocks, randomness, files and sockets are the engine's."""


def modules(layer: str) -> list[Path]:
    return sorted((ROOT / layer).rglob("*.py"))


def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names.append(node.module or "")
    return names


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer: str) -> None:
    above = LAYERS[LAYERS.index(layer) + 1 :]
    assert modules(layer)
    for path in modules(layer):
        for name in imported(path):
            assert not name.startswith(tuple(f"longpin.{other}" for other in above)), f"{path} imports {name}"


ROOMS = (
    ("events", "usage", "own_policy"),
    ("result", "settings", "progress", "pool", "files", "shell"),
    ("oracles",),
    ("engines",),
    ("judging", "trace_file", "given_policy"),
    ("run",),
    ("exploration",),
    ("subject",),
    ("sampling",),
    ("failures",),
    ("matrix",),
    ("machine",),
    ("conform", "host"),
    ("races", "judge_log"),
    ("c_source",),
    ("conclusions",),
    ("searches", "log_reading", "shipped"),
    ("report",),
    ("show",),
    ("api", "traces", "tables"),
    ("suite",),
    ("commands",),
)
"""The folders and modules of ``runner/``: each imports what stands above it, nothing beside or below."""


def test_every_room_of_the_runner_imports_what_stands_above_it() -> None:
    storey = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
    for path in modules("runner"):
        place = path.relative_to(ROOT / "runner").parts[0].removesuffix(".py")
        if place == "__init__":  # the public names
            continue
        for name in imported(path):
            if name.startswith("longpin.runner."):
                other = name.split(".")[2]
                assert other == place or storey[other] < storey[place], f"{path} imports {name}"


def test_a_class_name_has_one_meaning() -> None:
    classes = Counter(
        node.name
        for layer in LAYERS
        for path in modules(layer)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_every_folder_says_what_it_is_for() -> None:
    for layer in LAYERS:
        for folder in {path.parent for path in modules(layer)}:
            assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


PARTS = (
    *("attributes", "extents", "file_data", "flocks", "layout_guard", "lease_list", "mappings", "open_counts"),
    *("inode_data", "inode_leases", "inode_memory", "inode_names", "inode_remap", "transfers"),
)
"""What an inode is composed of."""


def test_an_actor_with_parts_stands_on_no_other_and_its_parts_do_not_know_it() -> None:
    composed = (Mm, Inode, OpenFileDescription)
    for kind in composed:
        assert kind.__base__ in (Actor, OneFile)
        for part in kind.parts.values():
            assert part.__base__ is ActorPart
            path = sys.modules[part.__module__].__file__
            assert path is not None
            assert kind.__module__ not in imported(Path(path)), part


def test_the_parts_of_an_inode_know_neither_it_nor_who_has_it_open() -> None:
    for part in PARTS:
        names = imported(ROOT / "actors" / "fs" / f"{part}.py")
        assert not {"longpin.actors.fs.inode", "longpin.actors.fs.inode_view", "longpin.actors.fs.file"} & set(names), (
            part
        )


def test_the_extent_map_knows_no_actor_and_no_message() -> None:
    names = imported(ROOT / "actors" / "fs" / "extents.py")
    assert not [name for name in names if name.startswith(("longpin.messages", "longpin.actors.base"))]
    assert not [name for name in names if name.startswith("longpin.actors.conv")]


def test_who_looks_from_outside_looks_at_views() -> None:
    """The rules, reports and the conformance runs use no part of an inode, so that the parts can change."""
    parts = {f"longpin.actors.fs.{part}" for part in PARTS}
    for path in modules("runner"):
        assert not parts & set(imported(path)), path


def test_actors_touch_neither_threads_nor_clocks_nor_randomness() -> None:
    for path in modules("actors"):
        assert not FORBIDDEN & {name.partition(".")[0] for name in imported(path)}, path
        called = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not {"id", "hash", "open", "print", "input", "eval", "exec"} & called, path


def test_nobody_outside_the_policies_asks_which_policy_runs() -> None:
    for path in [*modules("actors"), *modules("runner")]:
        if path.parent.name != "policies":
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Compare):
                    text = ast.unparse(node)
                    assert path.is_relative_to(ROOT / "runner") or "policy.name" not in text, f"{path}:{node.lineno}"
                    assert not any(f"'{name}'" in text for name in POLICIES), f"{path}:{node.lineno}: {text}"


def test_modules_have_one_name() -> None:
    assert not {"actors", "messages", "config", "runner"} & set(sys.modules)


def test_every_call_is_declared_once_beside_its_implementation() -> None:
    assert len(SYSCALLS) == sum(len(calls) for calls in MODULES)
    for call in SYSCALLS.values():
        assert call.implementation.__module__.startswith("longpin.actors.syscalls."), call.name
        assert call.returns, call.name


def test_every_policy_overrides_hooks_only() -> None:
    hooks = {name for name, value in vars(Policy).items() if callable(value) and not name.startswith("_")}
    for policy in POLICIES.values():
        own = {name for name, value in vars(policy).items() if callable(value) and not name.startswith("_")}
        assert own <= hooks, policy


def test_the_seams_of_pykka() -> None:
    """The private names that are overridden exist, and a stepped actor is in no registry and has no thread."""
    for name in ("_create_actor_inbox", "_start_actor_loop", "_actor_loop", "_handle_receive"):
        assert hasattr(pykka.ThreadingActor, name)
    engine = SteppedEngine(Fifo())
    engine.spawn(Actor, "actor:1")
    assert pykka.ActorRegistry.get_all() == []
    assert engine.actors["actor:1"].actor_ref.is_alive()
