"""A cell in words: what is known, under which bounds, how it was found, and whether it is as expected."""

from typing import NamedTuple

from longpin.config.hazard import HOLDS
from longpin.runner.matrix.cell import CellVerdict, How, MatrixCell
from longpin.runner.report.page.kinds import kind_of, sentence_of

TIMERS = {
    "lazy": "timers lazy: time moves only when nothing else can happen",
    "racy": "timers racy: a timer may fire at any moment, however little has happened",
}


class CellWords(NamedTuple):
    """What a cell says when it is opened; a field that is empty has nothing to say."""

    symbol: str
    """✓ proved, ✗ violated, ? undetermined."""
    head: str
    """The verdict, in a sentence."""
    what: str
    """What is violated, or why it is not determined."""
    bounds: str
    how: str
    expected: str
    explained: str


SYMBOLS = {CellVerdict.PROVED: "✓", CellVerdict.VIOLATED: "✗", CellVerdict.UNDETERMINED: "?"}


def words_of(cell: MatrixCell, seconds: float | None) -> CellWords:
    """Return what a cell says.

    Args:
        cell: which one.
        seconds: what each exploration was allowed; None: as long as it takes.

    """
    return CellWords(
        SYMBOLS[cell.verdict],
        _head(cell),
        "" if cell.use and cell.verdict is not CellVerdict.UNDETERMINED else cell.why,
        _bounds(cell, seconds),
        _how(cell),
        _expected(cell),
        cell.explained,
    )


def label_of(cell: MatrixCell) -> str:
    """Return a cell in a few words, for who does not see the table."""
    found = {
        CellVerdict.PROVED: f"proved, {cell.use} is shown" if cell.use else "proved",
        CellVerdict.VIOLATED: f"violated, {cell.rule}, {kind_of(cell.rule).word}",
        CellVerdict.UNDETERMINED: "undetermined",
    }[cell.verdict]
    surprise = {False: ", not as expected", True: "", None: ""}[cell.expected]
    if surprise and cell.explained:
        surprise += ", explained"
    return f"{found}{surprise}, {cell.how.value}"


def _head(cell: MatrixCell) -> str:
    if cell.verdict is CellVerdict.UNDETERMINED:
        return "Undetermined: longpin does not know"
    if cell.use:
        shown = "a schedule shows" if cell.verdict is CellVerdict.PROVED else "no schedule shows"
        symbol, word = kind_of(cell.use)
        verdict = cell.verdict.value.capitalize()
        return f"{verdict}: {shown} {symbol} {cell.use} ({word}), {sentence_of(cell.use)}"
    if cell.verdict is CellVerdict.PROVED:
        return "Proved: no schedule breaks a rule"
    symbol, word = kind_of(cell.rule)
    said = sentence_of(cell.rule).removeprefix(f"{word}: ")
    return f"Violated: a schedule breaks {symbol} {cell.rule} ({word}), {said}"


def _bounds(cell: MatrixCell, seconds: float | None) -> str:
    states = f"{cell.states:,} state{'s' * (cell.states != 1)}"
    limit = "" if seconds is None else f"; an exploration may take {seconds:g} s"
    if cell.trace and not cell.executions:  # it was followed, here or where this was inferred from
        seen = "one schedule"
    elif cell.verdict is CellVerdict.UNDETERMINED:
        seen = f"{states} were seen, {cell.executions:,} of them at rest, and that was not all{limit}"
    elif not cell.states:
        tried = "the first schedule" if cell.executions == 1 else f"the last of {cell.executions:,} schedules"
        seen = f"{tried} that {'was' if cell.executions == 1 else 'were'} tried shows it"
    elif cell.trace:
        seen = f"{states} were seen, {cell.executions:,} of them at rest, until a schedule was found"
    else:
        seen = f"all of {states} ({cell.executions:,} of them at rest), so every order of everything in this scenario"
    return f"{seen}; {TIMERS[cell.timers]}"


def _how(cell: MatrixCell) -> str:
    whole = cell.verdict is CellVerdict.PROVED and not cell.trace
    match cell.how:
        case How.INFERRED if whole or not cell.trace:
            return (
                f"Inferred from {cell.origin}: everything that was asked there is answered alike here, so it is the "
                "same transition system, and the numbers are those of that exploration"
            )
        case How.INFERRED:
            return (
                f"Inferred from {cell.origin}: everything that was asked on the way of its schedule is answered alike "
                "here, so the schedule is one of this proposal, too"
            )
        case How.FOLLOWED:
            return f"Followed: the counterexample of {cell.origin}, as far as it goes, breaks a rule here, too"
        case _:
            return "Explored itself"


def _expected(cell: MatrixCell) -> str:
    if not cell.wanted:
        return "The documents do not speak of it: parameters differ from those of the preset"
    wanted = cell.wanted
    if cell.use:
        told = f"that some schedule shows {cell.use}" if wanted == HOLDS else f"that no schedule shows {wanted}"
    else:
        told = "that no rule is violated" if wanted == HOLDS else f"that {wanted} is violated"
    if cell.expected is None:
        return f"The documents lead one to expect {told}; it is not known"
    if cell.expected:
        return f"As expected: the documents lead one to expect {told}"
    said = "and this is why it is otherwise" if cell.explained else "and nobody says why it is otherwise"
    return f"Not as expected: the documents lead one to expect {told}, {said}"
