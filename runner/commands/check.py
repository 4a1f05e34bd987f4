"""The command ``longpin check``: what is wrong with scenario files, and what is to be looked at; nothing is run.

Exit status: 0 every file can be run, 1 with ``--strict`` there are warnings, 2 a file has a mistake.
"""

from typing import TYPE_CHECKING, NoReturn

import click

from longpin.runner.commands.completion import complete_policy, complete_scenario
from longpin.runner.commands.options import POLICY_METAVAR, begin, common
from longpin.runner.commands.terminal import EXIT_BAD, output
from longpin.runner.result import Verdict

if TYPE_CHECKING:
    from longpin.runner.report.checked import Checked


@click.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=complete_scenario)
@click.option(
    "--policy",
    metavar=POLICY_METAVAR,
    shell_complete=complete_policy,
    help="Look at them as they are under this policy.",
)
@click.option("--strict", is_flag=True, help="Exit with status 1 if there are warnings.")
@common
def check(files: tuple[str, ...], policy: str | None, strict: bool, as_json: bool) -> NoReturn:
    """Say what is wrong with scenario FILEs, and what says less than it seems to. Nothing is run.

    Warned of are an expectation that no rule judges, a label that nobody waits for, a handler of a signal that nobody
    sends, a file or a device that no call names, and the like.
    """
    begin()
    from longpin.config.problems import ScenarioError
    from longpin.runner import api
    from longpin.runner.report import checked as report

    found: list[Checked] = []
    for file in files:
        try:
            loaded = api.load(file)
            found.append(report.Checked(file, loaded.name, warnings=tuple(api.check(loaded, policy))))
        except ScenarioError as error:
            found.append(report.Checked(file, errors=tuple(str(error).splitlines())))
    with output():
        for line in [report.as_json(found)] if as_json else report.lines(found):
            click.echo(line)
    if any(one.errors for one in found):
        raise click.exceptions.Exit(EXIT_BAD)
    warned = strict and any(one.warnings for one in found)
    raise click.exceptions.Exit((Verdict.VIOLATED if warned else Verdict.HOLDS).exit_code)
