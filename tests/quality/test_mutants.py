"""Twenty rules of docs/semantics.md, each broken in a copy of the tree: the default suite notices every one.

The heavy test runs, for each, those files of the default suite that should see it; one failure among them is enough.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("actors", "messages", "config", "runner", "src", "tests", "docs", "pyproject.toml", "README.md", "benchmarks")


@dataclass(frozen=True)
class Mutant:
    """One rule, and a change that breaks it."""

    section: str
    rule: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    """Files of the default suite, the one that should notice first."""


MUTANTS = (
    Mutant(
        "1.1",
        "a dying process first drops all references, and only then runs the releases that fell to it",
        "actors/process/process.py",
        "                releases.append(file)\n        self.received.clear()",
        "                yield from outcome(single(Call(file.ofd, Release(exiting=True))))\n"
        "        self.received.clear()",
        ("tests/unit/test_exit.py", "tests/unit/test_process.py"),
    ),
    Mutant(
        "1.2",
        "a descriptor in flight in a socket holds a reference too",
        "actors/process/process.py",
        "for file in files + self.received:",
        "for file in files:",
        ("tests/unit/test_file.py", "tests/unit/test_process.py"),
    ),
    Mutant(
        "1.7",
        "each free adds one to the block's generation",
        "actors/mm/pmem.py",
        "                self.generations.add(first, first + freed - 1)\n",
        "",
        ("tests/unit/test_pmem.py", "tests/unit/test_invariants.py"),
    ),
    Mutant(
        "1.7",
        "a block is zeroed when it is allocated",
        "actors/mm/pmem.py",
        "                self.contents.pop(number, None)\n",
        "                pass\n",
        ("tests/unit/test_pmem.py",),
    ),
    Mutant(
        "1.8",
        "a fault beyond the end of the file ends in SIGBUS",
        "actors/mm/faults.py",
        "_FaultError(SIGBUS)",
        "_FaultError(SIGSEGV)",
        ("tests/unit/test_memory.py",),
    ),
    Mutant(
        "1.9",
        "a zap removes the entries of the range in every process that maps the file",
        "actors/mm/page_tables.py",
        "self.space.zap(request.inode, request.first, request.last,",
        "self.space.zap(request.inode, request.first, request.first,",
        ("tests/unit/test_memory.py", "tests/unit/test_inode.py", "tests/unit/test_policies.py"),
    ),
    Mutant(
        "1.10",
        "the device accesses the physical page that was pinned, whatever the file's map says by then",
        "actors/mm/memory.py",
        '        self._write(request.number, request.offset, request.data)\n        return Data(b"")',
        '        return Data(b"")',
        ("tests/unit/test_verbs.py",),
    ),
    Mutant(
        "1.12",
        "of what is pending the lowest number is taken first",
        "actors/process/pending.py",
        "return signal.signo not in SYNCHRONOUS, signal.signo",
        "return signal.signo not in SYNCHRONOUS, -signal.signo",
        ("tests/unit/test_signals.py",),
    ),
    Mutant(
        "2.1",
        "a read lease is refused while somebody has the file open for writing",
        "actors/fs/open_counts.py",
        "return self.writers > 0",
        "return self.writers > 1",
        ("tests/unit/test_leases.py",),
    ),
    Mutant(
        "2.1",
        "a lease that is being unlocked is in the way of every other",
        "actors/policies/base.py",
        "refused = wanted.type == F_WRLCK or (other.breaking and other.target == F_UNLCK)",
        "refused = wanted.type == F_WRLCK",
        ("tests/unit/test_leases.py",),
    ),
    Mutant(
        "2.1 C-a",
        "taking a read lease again while one's own is being unlocked does not stop the break",
        "actors/fs/lease_record.py",
        "            self.downgrade_pending = False\n",
        "            self.downgrade_pending = self.unlock_pending = False\n",
        ("tests/unit/test_leases.py",),
    ),
    Mutant(
        "2.3.3",
        "the break stays pending when a signal ends the wait for it",
        "actors/fs/lease_record.py",
        "            self.unlock_pending = True\n            return Level.UNLOCK",
        "            return Level.UNLOCK",
        ("tests/unit/test_leases.py",),
    ),
    Mutant(
        "2.3.4",
        "who looks at the list drops what is overdue",
        "actors/fs/lease_list.py",
        "[record for record in self.records if record.due]:",
        "[record for record in () if record.due]:",
        ("tests/unit/test_overdue.py", "tests/unit/test_leases.py"),
    ),
    Mutant(
        "2.3.5",
        "plain SIGIO without si_fd by default, a queued signal with si_fd after F_SETSIG",
        "actors/fs/owner.py",
        "            si_fd, si_code = -1, SI_KERNEL\n",
        "            si_fd, si_code = request.fd, SI_KERNEL\n",
        ("tests/unit/test_leases.py", "tests/unit/test_signals.py"),
    ),
    Mutant(
        "2.5",
        "who is asked depends on the file system: ext4 asks nobody before it allocates",
        "actors/kernel/file_system.py",
        "LayoutOperation.ALLOCATE: ()}",
        "LayoutOperation.ALLOCATE: _DAX_WAIT}",
        ("tests/unit/test_kernels.py", "tests/unit/test_policies.py"),
    ),
    Mutant(
        "2.5",
        "leases: all locks are dropped while the break waits",
        "actors/fs/layout_guard.py",
        "        for hold in reversed(held):\n            hold.drop()\n",
        "        held = []\n",
        ("tests/unit/test_inode_parts.py", "tests/unit/test_policies.py"),
    ),
    Mutant(
        "2.5 step 4",
        "for a page only the mmap lock is dropped, so faults go on",
        "actors/fs/layout_guard.py",
        "            mm.drop()\n",
        "            pass\n",
        ("tests/unit/test_inode_parts.py", "tests/unit/test_inode_lock.py", "tests/unit/test_policies.py"),
    ),
    Mutant(
        "2.5.1",
        "Linux 5.4 takes a file that nobody maps for idle",
        "actors/fs/layout_guard.py",
        "if not scan.unmapped and not self.mappings and self.kernel.generation.busy_scan_skips_unmapped:",
        "if not scan.unmapped and self.mappings and self.kernel.generation.busy_scan_skips_unmapped:",
        ("tests/unit/test_kernels.py", "tests/unit/test_policies.py"),
    ),
    Mutant(
        "2.6",
        "pages are charged to RLIMIT_MEMLOCK before anything is pinned",
        "actors/mm/pins.py",
        "        self.pinned_vm += request.charge\n\n",
        "\n",
        ("tests/unit/test_verbs.py",),
    ),
    Mutant(
        "2.6",
        "a registration that fails leaves no reference behind",
        "actors/mm/gup.py",
        "        yield Call(memory, (UnpinFrames if memory in anonymous else Unpin)(registration.owner))\n",
        "        yield from ()\n",
        ("tests/unit/test_verbs.py", "tests/unit/test_policies.py"),
    ),
    Mutant(
        "2.6",
        "every page of a registration is asked for and pinned, also one that is mapped already",
        "actors/mm/memory.py",
        "            self.pins.setdefault(block, []).append(pin)\n",
        "            self.pins.setdefault(block, [pin])\n",
        ("tests/unit/test_pmem.py", "tests/unit/test_verbs.py"),
    ),
    Mutant(
        "4.0",
        "P0: a long-term pin of a DAX mapping is EOPNOTSUPP",
        "actors/policies/reject.py",
        "return Fail(errno.EOPNOTSUPP)",
        "return Proceed()",
        ("tests/unit/test_policies.py", "tests/unit/test_verbs.py"),
    ),
    Mutant(
        "4.5 V1-7",
        "P5: a long-term pin in the range fails the truncate with ETXTBSY",
        "actors/policies/layout_lease_v1.py",
        "return Fail(errno.ETXTBSY)",
        "return Fail(errno.EBUSY)",
        ("tests/unit/test_policies.py",),
    ),
    Mutant(
        "4.5 V1-4",
        "P5: a long-term pin needs a layout lease",
        "actors/policies/layout_lease_v1.py",
        "is UnleasedPin.SIGBUS else Fail(errno.EPERM)",
        "is UnleasedPin.SIGBUS else Allow()",
        ("tests/unit/test_policies.py",),
    ),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.section}: {mutant.rule}")
def test_a_mutant_is_one_change_of_a_file(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert all((ROOT / name).is_file() for name in mutant.tests)


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.section}: {mutant.rule}")
def test_the_default_suite_notices_a_broken_rule(mutant: Mutant, tmp_path: Path) -> None:
    tree = tmp_path / "longpin"
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    changed = tree / mutant.file
    changed.write_text(changed.read_text().replace(mutant.old, mutant.new))
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *mutant.tests]
    found = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stdout[-3000:]
    assert " failed" in found.stdout
