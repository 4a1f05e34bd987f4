"""The command ``longpin show``: a run, or a scenario, in another form.

Exit status: 0 it is shown, whatever the verdict, 2 bad input or failure.
"""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from longpin.runner.commands import startup
from longpin.runner.commands.completion import complete_policy, complete_scenario
from longpin.runner.commands.options import (
    DEFAULT_SCENARIO,
    ORACLE_NAMES,
    POLICY_METAVAR,
    begin,
    duration,
    load,
    set_verbosity,
    spare,
)
from longpin.runner.commands.terminal import BadInput, output, width_of_output
from longpin.runner.usage import MOST_SEED

if TYPE_CHECKING:
    from longpin.runner.show import ShownRun

FORMS = ("text", "html", "svg", "mermaid", "perfetto", "shiviz", "ndjson", "json", "c")
"""The keys of :data:`longpin.runner.show.FORMS`, here so that help texts need not import them."""

NO_TEXT = ("perfetto",)
"""Forms that a terminal cannot show."""

TELL_SINCE = ("text", "html", "json")
"""Forms that say since when a violation was inevitable."""


@click.command("show")
@click.argument("what", metavar="[TRACE|SCENARIO]", default=DEFAULT_SCENARIO, shell_complete=complete_scenario)
@click.option("--as", "form", type=click.Choice(FORMS), help="The form.  [default: text]")
@click.option("--json", "as_json", is_flag=True, help="The same as --as json.")
@click.option("-o", "--output", "file", type=click.Path(dir_okay=False), metavar="FILE", help="Write to this file.")
@click.option(
    "--policy",
    metavar=POLICY_METAVAR,
    shell_complete=complete_policy,
    help="The proposal to run a scenario under. A trace of a policy that is a class in a file needs this file: "
    "FILE.py:CLASS.",
)
@click.option("--oracle", type=click.Choice(ORACLE_NAMES), help="Who chooses the order of a scenario.  [default: fifo]")
@click.option("--seed", type=click.IntRange(0, MOST_SEED), metavar="N", help="Of the oracle.  [default: 0]")
@click.option("--timers", type=click.Choice(["lazy", "racy"]), help="When time moves in a scenario.  [default: lazy]")
@click.option("--at", type=click.IntRange(1), metavar="N", help="Have a page show a long run around arrival N.")
@click.option(
    "--for",
    "seconds",
    type=duration,
    metavar="TIME",
    default="20",
    show_default=True,
    help="Time to find out since when a violation was inevitable.",
)
@click.option("-v", "--verbose", count=True, expose_value=False, is_eager=True, callback=set_verbosity, hidden=True)
def show(
    what: str,
    form: str | None,
    as_json: bool,
    file: str | None,
    policy: str | None,
    oracle: str | None,
    seed: int | None,
    timers: str | None,
    at: int | None,
    seconds: float,
) -> None:
    r"""Show a run: that of TRACE, or one of SCENARIO, a file or the name of a shipped one.

    \b
    text      the picture that `longpin run` draws
    html      a page to step through, with what each arrival changed
    svg       a picture that stands still
    mermaid   a sequence diagram
    perfetto  for https://ui.perfetto.dev (pip install longpin[perfetto])
    shiviz    a log with vector clocks, for ShiViz
    ndjson    an object an arrival, for jq and TLC
    json      all of it, as one object
    c         the programs in C, for the kernel you have; of TRACE in its order
    """
    begin()
    if as_json and form not in (None, "json"):
        raise BadInput(f"--json is --as json, and --as {form} was asked for")
    form = "json" if as_json else form or "text"
    spare("--output", file, what)
    if file is None and form in NO_TEXT and sys.stdout.isatty():
        raise BadInput(f"--as {form} is no text: give it a file, -o FILE")
    options: dict[str, object] = {"oracle": oracle, "seed": seed, "timers": timers}
    given = {name: value for name, value in options.items() if value is not None}
    is_trace = _is_trace(what)
    if is_trace and given:
        raise BadInput(f"--{next(iter(given))} is for a scenario: a trace has its own")
    if form == "c" and not is_trace:
        if given or policy is not None:
            raise BadInput(f"--{next(iter(given), 'policy')}: the programs of a scenario run on the kernel as it is")
        from longpin.runner.c_source.write import write_c

        return _write(write_c(load(what, None)).encode("ascii"), file)
    startup.ready("longpin.runner.show")
    from longpin.runner.show import CannotShowError, form_of

    limit = seconds if form in TELL_SINCE else None
    run = _traced(what, policy, limit) if is_trace else _ran(what, policy, given, limit)
    run.at = at or 0
    if file is None:
        run.width = width_of_output()
        run.encoding = sys.stdout.encoding if form == "text" else run.encoding
    try:
        data = form_of(form).write(run)
    except CannotShowError as error:
        raise BadInput(f"--as {form}: {error}") from None
    return _write(data, file)


def _is_trace(what: str) -> bool:
    """Return whether there is a trace of that name."""
    from longpin.messages.frames import MAGIC

    path = Path(what)
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):  # who reads it as a scenario says what is wrong
        return False


def _traced(trace: str, policy: str | None, seconds: float | None) -> "ShownRun":
    from longpin.runner.given_policy import blaming, source_alone
    from longpin.runner.show.model import read_run

    source = source_alone(policy)
    with blaming(policy):
        run = read_run(trace, source, seconds)
    return _whole(run, trace)


def _ran(name: str, policy: str | None, given: dict[str, object], seconds: float | None) -> "ShownRun":
    """Run a scenario and return the run."""
    from longpin.runner import api
    from longpin.runner.commands.cli import run_again
    from longpin.runner.given_policy import blaming
    from longpin.runner.shell import command
    from longpin.runner.show.model import read_run

    scenario = load(name, policy)
    settings = api.settings_of(scenario, policy, **given)
    with tempfile.TemporaryFile(prefix="longpin-") as kept:
        file = cast("BinaryIO", kept)
        ended = api.run(scenario, policy, trace=file, **given)  # type: ignore[arg-type]
        kept.seek(0)
        with blaming(policy):
            run = read_run(file, settings.source, seconds)
    run.result.oracle = ended.oracle
    run.again = command(*run_again(name, policy, settings))
    return _whole(run, name)


def _whole(run: "ShownRun", what: str) -> "ShownRun":
    from longpin.runner.result import Verdict
    from longpin.runner.shell import replay_command

    if run.result.verdict is Verdict.DIVERGED:
        raise BadInput(f"{what}: {run.result.reason}")
    run.again = run.again or replay_command(what, run.result.policy)
    return run


def _write(data: bytes, file: str | None) -> None:
    """Write a file, or to standard output.

    Raises:
        BadInput: the file cannot be written.

    """
    from longpin.runner.files import replace_file

    if file is None:
        with output():
            click.echo(data, nl=False)
        return
    try:
        replace_file(Path(file), data)
    except OSError as error:
        raise BadInput(f"{file}: cannot be written: {error.strerror or error}") from None
