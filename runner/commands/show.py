"""The command ``longpin show``: a scenario in another form.

Exit status: 0 it is shown, 2 bad input or failure.
"""

from pathlib import Path

import click

from longpin.runner.commands.completion import complete_scenario
from longpin.runner.commands.options import DEFAULT_SCENARIO, begin, set_verbosity, spare
from longpin.runner.commands.terminal import BadInput, output


@click.command("show")
@click.argument("scenario", default=DEFAULT_SCENARIO, shell_complete=complete_scenario)
@click.option("--as", "form", type=click.Choice(["c"]), required=True, help="c: a C program for the kernel you have.")
@click.option("-o", "--output", "file", type=click.Path(dir_okay=False), metavar="FILE", help="Write to this file.")
@click.option("-v", "--verbose", count=True, expose_value=False, is_eager=True, callback=set_verbosity, hidden=True)
def show(scenario: str, form: str, file: str | None) -> None:
    """Show SCENARIO, a file or the name of a shipped one, as a C program that makes the same system calls.

    The program compiles without a warning (cc -Wall -Wextra -O2), runs every process on the kernel of the machine it is
    started on, and checks what the scenario expects of every policy or of P0. What an unmodified kernel does not offer
    is left out, and said in a comment.
    """
    begin()
    from longpin.config.loader import load_scenario
    from longpin.runner.c_source.write import write_c
    from longpin.runner.files import replace_file

    assert form == "c"
    text = write_c(load_scenario(scenario))
    if file is None:
        with output():
            click.echo(text, nl=False)
        return
    spare("--output", file, scenario)
    try:
        replace_file(Path(file), text.encode("ascii"))
    except OSError as error:
        raise BadInput(f"{file}: cannot be written: {error.strerror or error}") from None
