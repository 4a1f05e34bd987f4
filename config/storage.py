"""Storage of a scenario: pmem sets with the file systems on them, and the files there are, every value checked."""

from collections.abc import Collection, Iterable, Mapping

from longpin.actors.kernel.file_system import FILE_SYSTEMS
from longpin.actors.media.framework import FRAMEWORKS
from longpin.config.build import name, size, uid
from longpin.config.expressions import MOST
from longpin.config.positions import Path
from longpin.config.problems import listed, shown
from longpin.config.report import ProblemList
from longpin.config.schema import DeviceDax, InitialFile, PmemSet, VideoDevice
from longpin.config.structure import ScenarioTable
from longpin.messages.fs.paths import NAME_MAX, PATH_MAX, in_proc, names, normal

MOST_BLOCKS = 1_000_000
"""Blocks of a pmem set, and of all sets of a scenario together."""
MOST_FRAME_BYTES = 1 << 20
"""The largest frame of a camera."""
ON_BLOCKS = tuple(name for name, file_system in FILE_SYSTEMS.items() if not file_system.in_memory)
"""The file systems that need a device."""


def build_pmem(report: ProblemList, table: ScenarioTable, page_size: int) -> tuple[PmemSet, ...]:
    """Return the block sets; one named pmem0, mounted at the root, if the file has none."""
    taken: set[str] = set()
    points: dict[str, int] = {}
    made = []
    before = 0
    for index, given in enumerate(table.pmem):
        path = ("pmem", index)
        blocks = size(report, (*path, "blocks"), given.blocks, PmemSet("").blocks, page_size, 1, MOST_BLOCKS)
        file_system = PmemSet("").file_system if given.file_system is None else given.file_system
        if file_system not in ON_BLOCKS:
            found = shown(file_system) + report.suggest(file_system, ON_BLOCKS)
            report.add((*path, "file_system"), f"one of the file systems {', '.join(ON_BLOCKS)}", found)
        its_name = name(report, path, given.name, taken)
        point = given.mount if given.mount is not None else f"/{its_name}" if index else "/"
        if (problem := _problem_of_mount(point, points)) is not None:
            report.add((*path, "mount"), problem, shown(point))
        points.setdefault(point, index)
        made.append(PmemSet(its_name, blocks, file_system, given.dax is not False, point))
        if before <= MOST_BLOCKS < before + blocks:
            expected = f"at most {MOST_BLOCKS} blocks in all pmem sets together"
            report.add((*path, "blocks"), expected, f"{blocks} after {before} in the sets before it")
        before += blocks
    if made and "/" not in points:
        report.add(("pmem", 0, "mount"), 'a set that is mounted at "/"', "none")
    return tuple(made) or (PmemSet("pmem0"),)


def build_tmpfs(report: ProblemList, table: ScenarioTable, pmem: Iterable[PmemSet]) -> tuple[str, ...]:
    """Return where a tmpfs is mounted."""
    points = {entry.mount: index for index, entry in enumerate(pmem)}
    made = []
    for index, given in enumerate(table.tmpfs):
        point = given.mount or ""
        if (problem := _problem_of_mount(point, points)) is not None:
            report.add(("tmpfs", index, "mount"), problem, "none" if given.mount is None else shown(point))
        points.setdefault(point, index)
        made.append(point)
    return tuple(made)


def _problem_of_mount(point: str, taken: Collection[str]) -> str | None:
    """Return what was expected instead of a mount point; None if it will do."""
    if point == "/":
        return "a mount point no other set has" if point in taken else None
    problem = _problem_of_path(point, taken)
    if problem is not None and problem.startswith("a path no other"):
        return "a mount point no other set has"
    return None if problem is None else problem.replace("a path of a file", "a path of a folder")


def _mounted_at(pmem: Iterable[PmemSet], path: str) -> PmemSet:
    """Return the set on which a path lies."""
    below = [entry for entry in pmem if entry.has(path)]
    return max(below, key=lambda entry: len(entry.mount), default=next(iter(pmem)))


def build_dax(report: ProblemList, table: ScenarioTable, page_size: int) -> tuple[DeviceDax, ...]:
    """Return the device-dax devices."""
    taken: set[str] = set()
    made = []
    for index, given in enumerate(table.dax):
        path = ("dax", index)
        its_name = name(report, path, given.name, taken)
        sizes = []
        for key, value in (("size", given.size), ("align", given.align)):
            usual = getattr(DeviceDax(""), "pages" if key == "size" else key) * page_size
            length = size(report, (*path, key), value, usual, page_size, page_size, MOST_BLOCKS * page_size)
            if length % page_size:
                report.add((*path, key), f"whole pages of {page_size} bytes", str(length))
            sizes.append(length // page_size)
        if sizes[1] & (sizes[1] - 1):
            report.add((*path, "align"), "a power of two of pages", str(sizes[1]))
        made.append(DeviceDax(its_name, *sizes))
    return tuple(made)


def build_video(report: ProblemList, table: ScenarioTable, page_size: int) -> tuple[VideoDevice, ...]:
    """Return the cameras; none has the name of a device-dax device."""
    taken = {device.name for device in table.dax if device.name}
    made = []
    for index, given in enumerate(table.video):
        path = ("video", index)
        its_name = name(report, path, given.name, taken)
        default = VideoDevice("")
        length = size(report, (*path, "frame_size"), given.frame_size, page_size, page_size, 1, MOST_FRAME_BYTES)
        framework = default.framework if given.framework is None else given.framework
        if framework not in FRAMEWORKS:
            found = shown(framework) + report.suggest(framework, FRAMEWORKS)
            report.add((*path, "framework"), f"one of the frameworks {', '.join(FRAMEWORKS)}", found)
        made.append(VideoDevice(its_name, length, framework))
    return tuple(made)


def build_files(
    report: ProblemList,
    table: ScenarioTable,
    pmem: tuple[PmemSet, ...],
    tmpfs: Iterable[str],
    devices: Iterable[DeviceDax | VideoDevice],
    page_size: int,
) -> tuple[InitialFile, ...]:
    """Return the files, after a check that their pages fit the block sets."""
    left = {entry.name: entry.blocks for entry in pmem}
    paths: dict[str, int] = {}
    made = []
    for index, given in enumerate(table.file):
        path: Path = ("file", index)
        its_set = _mounted_at([*pmem, *(PmemSet("", mount=point) for point in tmpfs)], given.path or "/")
        pmem_name = its_set.name if given.pmem is None else given.pmem
        length = size(report, (*path, "size"), given.size, 0, page_size, 0, MOST)
        if (problem := _problem_of_path(given.path, paths)) is not None:
            report.add((*path, "path"), problem, "none" if given.path is None else shown(given.path))
        paths.setdefault(given.path or "", index)
        if pmem_name in left and pmem_name != its_set.name:
            point = next(entry.mount for entry in pmem if entry.name == pmem_name)
            expected = f"a path below {shown(point)}, where the set {pmem_name} is mounted"
            report.add((*path, "path"), expected, f"{shown(given.path)} on {its_set.name}")
        elif not pmem_name and given.pmem is None:
            pass  # tmpfs has room for all
        elif pmem_name in left:
            pages = -(-length // page_size)
            if pages > left[pmem_name]:
                found = f"{pages} pages where {left[pmem_name]} blocks of {pmem_name} are left"
                report.add((*path, "size"), "a file that fits its pmem set", found)
            left[pmem_name] -= min(pages, left[pmem_name])
        else:
            found = shown(pmem_name) + report.suggest(pmem_name, left)
            report.add((*path, "pmem"), f"one of the pmem sets {listed(left)}", found)
        owner = uid(report, (*path, "uid"), given.uid)
        mode = InitialFile("", "").mode if given.mode is None else given.mode
        if not 0 <= mode <= 0o7777:
            report.add((*path, "mode"), "permission bits from 0 to 0o7777", shown(mode))
        made.append(InitialFile(given.path or "", pmem_name, length, owner, mode))
    _check_nesting(report, paths)
    for device in devices:
        if device.path in paths:
            where = ("file", paths[device.path], "path")
            report.add(where, "a path no device has", shown(device.path))
    return tuple(made)


def _problem_of_path(path: str | None, taken: Collection[str]) -> str | None:
    """Return what was expected instead of the path of a file; None if it will do."""
    if path is None or not path.startswith("/") or not path.isprintable() or len(path.encode()) >= PATH_MAX:
        return f"an absolute path of at most {PATH_MAX - 1} bytes"
    if path == "/" or normal(path) != path:
        return "a path of a file, without //, ., .. or a slash at its end"
    if any(len(part.encode()) > NAME_MAX for part in names(path)):
        return f"names of at most {NAME_MAX} bytes between the slashes"
    if in_proc(path) is not None:
        return "a path outside of /proc/self/fd"
    return "a path no other file has" if path in taken else None


def _check_nesting(report: ProblemList, paths: Mapping[str, int]) -> None:
    """Report files that would have to be in another file."""
    for path, index in paths.items():
        above = path.rpartition("/")[0]
        while above:
            if above in paths:
                report.add(("file", index, "path"), f"a path that is not below the file {shown(above)}", shown(path))
                break
            above = above.rpartition("/")[0]
