"""Text of a scenario in a C file: strings, comments and names, of which nothing can be taken for code."""

import re


def c_string(text: str | bytes) -> str:
    """Return a C string literal: what is not plain ASCII is written by its number, and no trigraph is left."""
    data = text.encode() if isinstance(text, str) else text
    plain = {ord("\\"): "\\\\", ord('"'): '\\"', ord("?"): "\\?", ord("\n"): "\\n", ord("\t"): "\\t"}
    # Three octal digits: a digit that follows is not taken for a fourth.
    return '"' + "".join(plain.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in data) + '"'


def in_comment(text: str) -> str:
    """Return text for a line in a block comment, which it cannot end."""
    line = " ".join(text.split()).encode("ascii", "backslashreplace").decode()
    line = "".join(character if character.isprintable() else "?" for character in line)
    # A backslash at the end of a line would join the next one, and ??/ is one.
    return line.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").rstrip("\\")


class CNames:
    """C identifiers for names of a scenario, each of its own."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._names: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._names:
            base = self._prefix + re.sub(r"[^A-Za-z0-9_]", "_", name)
            taken = set(self._names.values())
            found, number = base, 2
            while found in taken:
                found, number = f"{base}__{number}", number + 1
            self._names[name] = found
        return self._names[name]

    def add(self, name: str) -> None:
        """Make an identifier for a name, if it has none."""
        _ = self[name]

    def items(self) -> list[tuple[str, str]]:
        """Return names and identifiers, in the order in which they were asked for."""
        return list(self._names.items())
