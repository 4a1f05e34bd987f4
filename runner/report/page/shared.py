"""What pages share: one file of HTML that needs no other, and in which no text is taken for markup."""

import hashlib
from base64 import b64encode
from importlib import resources
from string import Template

from longpin.runner.report.rows import printable


def filled(package: str, name: str, styles: list[str], scripts: list[str], **parts: str) -> bytes:
    """Return a page with its parts, style and script in their places.

    Args:
        package: where its files are.
        name: the file of the page.
        styles: what it looks like, file by file.
        scripts: what it does, file by file.
        parts: what else stands in it, as markup.

    """
    style, script = "".join(styles), "".join(scripts)
    return (
        Template(data_file(package, name))
        .substitute(
            style=style,
            script=script,
            style_hash=_source_hash(style),
            script_hash=_source_hash(script),
            **parts,
        )
        .encode()
    )


def plain(words: str) -> str:
    """Return words on one line, with nothing hidden in them."""
    return printable(" ".join(words.split()))


def data_file(package: str, name: str) -> str:
    """Return the text of a file that comes with a package."""
    return (resources.files(package) / name).read_text(encoding="utf-8")


def _source_hash(inline: str) -> str:
    """Return how a content security policy names an inline style or script, so that no other one is heeded."""
    return f"sha256-{b64encode(hashlib.sha256(inline.encode()).digest()).decode()}"
