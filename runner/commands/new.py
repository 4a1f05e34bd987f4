"""The command ``longpin new``: a commented scenario to begin with.

Exit status: 0 it is written, 2 bad input, or it cannot be written.
"""

import re
from pathlib import Path

import click

from longpin.runner.commands.options import begin, set_verbosity
from longpin.runner.commands.terminal import BadInput, output, print_lines

_NAME = re.compile(r"[A-Za-z0-9_][\w-]{0,62}", re.ASCII)


@click.command("new")
@click.argument("name")
@click.option("-v", "--verbose", count=True, expose_value=False, is_eager=True, callback=set_verbosity, hidden=True)
def new(name: str) -> None:
    """Write a commented scenario that runs, to the file NAME.toml; NAME may have folders before it.

    A file that is there already is left alone.
    """
    begin()
    from importlib import resources

    from longpin.runner.shell import command

    file = Path(name if name.endswith(".toml") else f"{name}.toml")
    stem = file.name.removesuffix(".toml")
    if not _NAME.fullmatch(stem):
        raise BadInput(f"NAME: expected letters, digits, - and _, at most 63, found {stem!r}")
    template = (resources.files("longpin.config") / "template.toml").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as made:
            made.write(template.replace("@NAME@", stem))
    except FileExistsError:
        raise BadInput(f"{file}: it is there already, and is left as it is") from None
    except OSError as error:
        raise BadInput(f"{file}: cannot be written: {error.strerror or error}") from None
    shown = str(file) if not name.startswith("-") else f"./{file}"
    with output():
        print_lines("\n".join(command(verb, shown) for verb in ("check", "run", "explore")))
