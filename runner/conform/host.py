"""The kernel of this machine as a runner of programs, in real processes, one op at a time.

Whatever happens, the machine is left as it was: see :class:`longpin.runner.machine.agent.Zygote`.
"""

import tempfile
from pathlib import Path
from typing import Self

from longpin.runner.conform.ops import SHARING_OPS
from longpin.runner.conform.outcome import ProgramOutcome
from longpin.runner.conform.program import ConformProgram, Unsupported
from longpin.runner.conform.stage import Stage
from longpin.runner.conform.unsupported import why_not
from longpin.runner.machine.abilities import HostAbilities, probe
from longpin.runner.machine.loop_xfs import mount_xfs
from longpin.runner.machine.place import Tell, machine_to_ourselves, usual_place
from longpin.runner.machine.processes import RUNS_IF_DISTURBED, DisturbedError, HostError, Zygote


class HostRunner:
    """The kernel of this machine as a :class:`~longpin.runner.conform.program.Runner`; a context manager.

    Only one program runs at a time on a machine, since lease-break-time belongs to all: others wait their turn.

    Raises:
        HostError: no folder can be made, or no process started.

    """

    def __init__(self, folder: Path | None = None, tell: Tell | None = None) -> None:
        self._tell = tell
        self._xfs: tuple[Path, HostAbilities] | None = None
        """An XFS in a file, where files can share blocks, and what can be run there."""
        self._why_no_xfs = ""
        self._zygote = Zygote()
        self._folder = self._zygote.make_folder("longpin-conform-", folder or usual_place())
        try:
            self._folder.chmod(0o777)  # processes that have given up root work in it as well
            self.abilities: HostAbilities = probe(self._folder)
        except OSError as error:
            self.close()
            raise HostError(f"cannot use {self._folder}: {error}") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process, put back what was changed and remove the files."""
        self._zygote.close()

    def run(self, program: ConformProgram) -> ProgramOutcome:
        """Run a program, and again if somebody else sets lease-break-time meanwhile.

        Raises:
            Unsupported: this host cannot run it, and why.
            HostError: a process does not do what it must, or another run has the machine.

        """
        folder, abilities = self._place_for(program)
        if reason := why_not(abilities, program):
            raise Unsupported(f"{reason}; {self._why_no_xfs}" if self._why_no_xfs else reason)
        for _ in range(RUNS_IF_DISTURBED):
            try:
                return self._run_once(program, folder, abilities)
            except DisturbedError as error:
                disturbed = error
        raise Unsupported(f"{disturbed}, {RUNS_IF_DISTURBED} times")

    def _place_for(self, program: ConformProgram) -> tuple[Path, HostAbilities]:
        """Return where a program runs: in an XFS of its own if its files share blocks and the machine's cannot."""
        if not self.abilities.reflink or not any(op.op in SHARING_OPS for op in program.ops):
            return self._folder, self.abilities
        if self._xfs is None and not self._why_no_xfs:
            point, self._why_no_xfs = mount_xfs(self._folder)
            if point is not None:
                self._xfs = point, probe(point)
        return self._xfs or (self._folder, self.abilities)

    def _run_once(self, program: ConformProgram, place: Path, abilities: HostAbilities) -> ProgramOutcome:
        with machine_to_ourselves(self._tell) as lock:
            folder = Path(tempfile.mkdtemp(dir=place))
            stage = Stage(program, self._zygote, folder, abilities, lock)
            try:
                return stage.play()
            except OSError as error:
                raise HostError(f"program {program.id}: {error}") from None
            finally:
                stage.clear()
