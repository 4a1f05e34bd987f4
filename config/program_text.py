"""The text of a program: its lines, comments and places, and whether it is fit for Python's parser."""

import ast
import io
import tokenize
from collections.abc import Mapping, Sequence

MOST_TOKENS = 200
"""Words and signs in one statement. Parser, tree and this package recurse no deeper than a statement is long."""
MOST_INDENTS = 20
"""Loops inside each other."""
LONGEST_NUMBER = 1000
"""Digits of a number: far more than 64 bits take, and fewer than Python refuses to read."""

_LAYOUT = (tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT)


class ProgramText:
    """One program's text, without the indentation all of its lines share."""

    def __init__(
        self, source: str, starts: Sequence[tuple[int, int]], origins: Mapping[int, str] | None = None
    ) -> None:
        self._starts = starts
        self._origins = origins or {}
        lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._margin = min((len(line) - len(line.lstrip(" \t")) for line in lines if line.strip(" \t")), default=0)
        self._lines = [line[self._margin :] if line.strip(" \t") else "" for line in lines]
        self.source = "\n".join(self._lines)
        self.comments: dict[int, tuple[int, str]] = {}
        """Column, from 0, and text of the comment of each row, from 1."""
        self.obstacle: tuple[int, int, str, str] | None = None
        """Why the text must not be parsed: row, column, what was expected and found."""
        self._measure()

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Return line and column in the file, from 1, of a row (from 1) and column (from 0) of this text."""
        row = max(row, 1)
        if row <= len(self._starts):
            line, first = self._starts[row - 1]
        else:
            line, first = self._starts[-1][0] + row - len(self._starts), 1
        return line, first + max(column, 0) + self._margin

    def origin(self, row: int) -> str:
        """Return where a row was taken from if it is not in the file itself, in parentheses; else nothing."""
        return f" ({self._origins[row]})" if row in self._origins else ""

    def characters(self, row: int, offset: int) -> int:
        """Return the column in characters for one in bytes, which is how Python's tree counts."""
        return len(self._lines[row - 1].encode()[:offset].decode(errors="ignore"))

    def statement(self, node: ast.stmt) -> str:
        """Return a statement as written, on one line and without comments."""
        last = node.end_lineno or node.lineno
        pieces = []
        for row in range(node.lineno, last + 1):
            comment_column, _ = self.comments.get(row, (None, ""))
            pieces.append(self._lines[row - 1][:comment_column].strip())
        return " ".join(filter(None, pieces))

    def _measure(self) -> None:
        """Find the comments and the first statement that is too long or too deep."""
        length = indents = 0
        try:
            for token in tokenize.generate_tokens(io.StringIO(self.source).readline):
                row, column = token.start
                if token.type == tokenize.COMMENT:
                    self.comments[row] = (column, token.string)
                indents += (token.type == tokenize.INDENT) - (token.type == tokenize.DEDENT)
                length = 0 if token.type == tokenize.NEWLINE else length + (token.type not in _LAYOUT)
                if length > MOST_TOKENS:
                    self.obstacle = (row, column, f"at most {MOST_TOKENS} words and signs in a statement", "more")
                    return
                if token.type == tokenize.NUMBER and len(token.string) > LONGEST_NUMBER:
                    found = f"one of {len(token.string)} digits"
                    self.obstacle = (row, column, "a number of at most 64 bits with its sign", found)
                    return
                if indents > MOST_INDENTS:
                    self.obstacle = (row, column, f"at most {MOST_INDENTS} loops inside each other", "more")
                    return
        except (tokenize.TokenError, SyntaxError):
            # Python's parser stops at the same place, and says better what is wrong there.
            return
