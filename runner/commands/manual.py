"""The manual page longpin(1), made from the help of every command: ``python -m longpin.runner.commands.manual FILE``.

It is a file of the wheel, ``share/man/man1/longpin.1``, where man(1) looks for the page of a program in ``bin`` beside
it. The library click-man was tried for it: it makes a page a command, cuts the line after NAME at 45 columns, escapes
neither a backslash nor a quote at the beginning of a line, and leaves no room for the exit status.
"""

import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

NAME = r"longpin \- run the races behind long-term pins of FS-DAX pages"

EXIT_STATUS = (
    ("0", "Every rule asked for holds."),
    ("1", "One is violated, or no schedule shows a use; kernels differ; with check --strict there are warnings."),
    ("2", "Bad input, a failure of longpin, a replay that diverged, or something that could not be written."),
    ("3", "Undetermined: a budget is spent, or samples found nothing. Incomplete is never a pass."),
    ("130", "Interrupted by Ctrl-C before anything was known."),
)
ENVIRONMENT = (
    ("COLUMNS", "How wide pictures are; without it as wide as the terminal, or 120 columns."),
    ("NO_COLOR", "If set, nothing is coloured."),
)
FILES = (
    ("longpin-failures/", "Failures that explore and stress have found, tried first next time (--failures)."),
    ("longpin-matrix/", "Rows, counterexamples and the page of matrix (--out)."),
)


def page(group: click.Group) -> str:
    """Return the manual page of a command and all commands below it, for groff's man macros."""
    return "".join(f"{line}\n" for line in _lines(group))


def _lines(group: click.Group) -> Iterator[str]:
    yield r".\" Made by python -m longpin.runner.commands.manual; edit the help texts instead."
    yield '.TH LONGPIN 1 "" longpin "User Commands"'
    yield ".SH NAME"
    yield NAME
    yield ".SH SYNOPSIS"
    for command in _commands(group):
        yield f".B longpin {command.name}"
        yield f"[OPTIONS] {_arguments(command)}".rstrip()
        yield ".br"
    yield ".SH DESCRIPTION"
    yield from _paragraphs((group.help or "").partition("Exit status")[0])
    yield ".SH OPTIONS"
    yield from _options(group)
    yield ".SH COMMANDS"
    for command in _commands(group):
        yield f".SS longpin {command.name} [OPTIONS] {_arguments(command)}".rstrip()
        yield from _paragraphs(command.help or "")
        yield from _options(command)
    for title, entries in (("EXIT STATUS", EXIT_STATUS), ("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)):
        yield f".SH {title}"
        for term, text in entries:
            yield from _entry(term, text)
    yield ".SH SEE ALSO"
    yield r".BR fcntl (2), .BR sigaction (2), .BR ibv_reg_mr (3)".replace(", .BR", ",\n.BR")


def _commands(group: click.Group) -> list[click.Command]:
    return [command for _, command in sorted(group.commands.items()) if not command.hidden]


def _arguments(command: click.Command) -> str:
    arguments = (param for param in command.params if isinstance(param, click.Argument))
    words = ((its.metavar or _values(its.type) or (its.name or "").upper(), its.required) for its in arguments)
    return _escape(" ".join(word if required or "[" in word else f"[{word}]" for word, required in words))


def _values(kind: object) -> str:
    return "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else ""


def _options(command: click.Command) -> Iterator[str]:
    """Yield every option. click's own help says the same in words that change with its version."""
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            names = ", ".join((*option.opts, *option.secondary_opts))
            takes = "" if option.is_flag or option.count else option.metavar or _values(option.type)
            if not takes and not (option.is_flag or option.count):
                takes = option.type.name.upper()
            default = f"  [default: {option.default}]" if option.show_default else ""
            yield from _entry(f"{names} {takes}".rstrip(), f"{option.help or ''}{default}")


def _entry(term: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield f".B {_escape(term)}"
    yield _escape(text)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in cleandoc(text).split("\n\n"):
        yield ".PP"
        yield _escape(" ".join(paragraph.split()))


def _escape(text: str) -> str:
    """Return text for groff: what it would take for a request or an escape, it takes for text."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text[:1] in (".", "'") else text


if __name__ == "__main__":
    from longpin.runner.commands.cli import main

    Path(sys.argv[1]).write_text(page(main), encoding="utf-8")
