"""What came of programs that two kernels ran: for people, and as one JSON object."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from longpin.runner.conclusions import Compared, ShrunkProgram
from longpin.runner.conform.check import side_by_side
from longpin.runner.conform.program import ConformProgram
from longpin.runner.report.objects import Object

SENTENCE = "the emulated kernel answers every program as the real one does"
"""What holds where the kernels agree."""

_MOST_REASONS = 10


def lines(compared: Compared, width: int) -> Iterator[str]:
    """Yield the tally and the first difference; programs fill ``width`` columns."""
    tally, about, shown = compared.tally, compared.about, compared.shown
    kernel = f" on Linux {about.kernel} ({about.fs})" if about.kernel else ""
    seed = f", seed {about.seed}" if about.seed is not None else ""
    yield (
        f"{compared.reason}: {tally.asked} of {about.programs_wanted} programs{kernel}{seed}, "
        f"emulated {about.policy}, {tally.programs / max(compared.seconds, 1e-6):.0f}/s"
    )
    skipped = tally.skipped.total()
    yield f"agree {tally.agree}, differ {tally.differ}, unsupported {tally.unsupported}, skipped {skipped}"
    for what, reasons in (("unsupported", tally.reasons), ("skipped", tally.skipped)):
        for reason, count in reasons.most_common(_MOST_REASONS):
            yield f"{what} {count}: {reason}"
    yield from compared.warnings
    if shown is not None:
        yield ""
        shrunk = compared.shrunk
        size = f", shrunk from {shrunk.from_ops} to {shrunk.to_ops} ops in {shrunk.tries} tries" if shrunk else ""
        yield f"first difference: {shown.program.id or 'a program without id'}{size}"
        yield from side_by_side(shown, width).splitlines()
        yield from map(str, shown.differences)


def as_object(compared: Compared) -> Object:
    """Return what ``conform`` prints as JSON of programs."""
    return (
        {"verdict": compared.verdict.value, "reason": compared.reason, "warnings": list(compared.warnings)}
        | asdict(compared.about)
        | {"shrunk": None if compared.shrunk is None else _shrunk(compared.shrunk), "races": None, "facts": None}
        | {"failure": _failure(compared), "not_kept": compared.not_kept or None}
        | compared.tally.as_json()
        | {"seconds": round(compared.seconds, 3)}
    )


def _shrunk(shrunk: ShrunkProgram) -> Object:
    ops = [[op.proc, op.op, dict(op.args)] for op in shrunk.program.ops]
    return {"from_ops": shrunk.from_ops, "to_ops": shrunk.to_ops, "tries": shrunk.tries, "program": ops}


def _failure(compared: Compared) -> Object | None:
    """Return the first difference as every verb tells of the failure that it found."""
    first, shown = compared.tally.first, compared.shown
    found: dict[str, Any] = dict.fromkeys(("rule", "arrival", "before", "after", "scenario"))
    if first is not None and shown is not None:
        difference = shown.differences[0]
        ops = shown.program.ops
        op = ops[difference.step].op if difference.step < len(ops) else "the end"
        found |= {"site": f"{difference.key} of {op}", "what": str(difference)}
        found["before"] = _size(first.program)
        found["after"] = None if compared.about.mode == "recorded" else _size(shown.program)
    elif compared.tally.reasons:
        reason, _ = compared.tally.reasons.most_common(1)[0]
        found |= {"site": "a program that the emulated kernel cannot run", "what": reason}
    else:
        return None
    return found | {"sentence": SENTENCE, "trace": compared.file, "replay": compared.again}


def _size(program: ConformProgram) -> dict[str, int | None]:
    """Return how large a program is, in the words for a scenario."""
    return {
        "processes": len(program.processes()),
        "operations": len(program.ops),
        "decisions": None,
        "preemptions": None,
    }
