"""Where each key and string of a TOML text stands, which tomllib does not tell.

The scanner reads text that tomllib has accepted, so it checks nothing. Where it does not know a place it answers with
the nearest enclosing one.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator

Path = tuple[str | int, ...]
"""Keys and array indexes from the top, for example ``("process", 0, "program")``."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*+")
_BARE = re.compile(r"[^\s\"'=.,{}\[\]#]++")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*+"')
_LITERAL = re.compile(r"'[^'\n]*+'")
_BASIC_LINES = re.compile(r'"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*+"{3,5}')
_LITERAL_LINES = re.compile(r"'''(?:[^']|'{1,2}(?!'))*+'{3,5}")
_PLAIN = re.compile(r"[^\n,\]}#]++")
_BASIC_NEWLINE = re.compile(r"\\[ \t]*\n\s*|\\.|\n")
"""In a string with escapes; a backslash before the end of a line joins it to the next."""
_LITERAL_NEWLINE = re.compile(r"\n")
_DEEPEST = 40
"""Arrays and inline tables nested deeper than this are skipped; the place of the outermost serves for them."""


class Positions:
    """The places in one text."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._newlines = [match.start() for match in re.finditer("\n", self._text)]
        self._at: dict[Path, int] = {(): 0}
        self._strings: dict[Path, tuple[int, ...]] = {}
        self._array_length: dict[Path, int] = {}
        self._scan()

    def line(self, path: Path) -> int:
        """Return the line, from 1, where the value of ``path`` begins, or that of the table it would belong to."""
        return self._place(self._at[self._known(path)])[0]

    def line_starts(self, path: Path) -> tuple[tuple[int, int], ...]:
        """Return line and column, from 1, where each line of the string at ``path`` begins in the text."""
        if path in self._strings:
            return tuple(self._place(offset) for offset in self._strings[path])
        return (self._place(self._at[self._known(path)]),)

    def _known(self, path: Path) -> Path:
        while path not in self._at:
            path = path[:-1]
        return path

    def _place(self, offset: int) -> tuple[int, int]:
        row = bisect_right(self._newlines, offset - 1)
        return row + 1, offset - (self._newlines[row - 1] if row else -1)

    def _scan(self) -> None:
        table: Path = ()
        at = self._skip(0)
        while at < len(self._text):
            start = at
            if self._text[at] == "[":
                many = self._text.startswith("[[", at)
                keys, at = self._keys(at + 1 + many)
                table = self._header(keys, many=many)
                for length in range(1, len(table) + 1):
                    self._at.setdefault(table[:length], start)
                at += 1 + many
            else:
                keys, at = self._keys(at)
                at = self._value(table, keys, self._skip(at + 1), 0)
            at = self._skip(max(at, start + 1))

    def _skip(self, at: int) -> int:
        match = _BLANK.match(self._text, at)
        return match.end() if match else at

    def _keys(self, at: int) -> tuple[tuple[str, ...], int]:
        """Read a dotted key; return its parts and the place of what follows."""
        keys: list[str] = []
        while match := next(self._matches(at, _BARE, _BASIC, _LITERAL), None):
            word = match.group()
            # tomllib itself undoes the escapes of a quoted key.
            keys.append(tomllib.loads(f"key = {word}")["key"] if word[0] in "\"'" else word)
            at = self._skip(match.end())
            if not self._text.startswith(".", at):
                break
            at = self._skip(at + 1)
        return tuple(keys), at

    def _matches(self, at: int, *patterns: re.Pattern[str]) -> Iterator[re.Match[str]]:
        at = self._skip(at)
        return (match for pattern in patterns if (match := pattern.match(self._text, at)))

    def _header(self, keys: tuple[str, ...], *, many: bool) -> Path:
        """Return the path of a table header: a name of an array of tables stands for its latest element."""
        path: Path = ()
        for position, key in enumerate(keys):
            path = (*path, key)
            if many and position == len(keys) - 1:
                self._array_length[path] = self._array_length.get(path, 0) + 1
            if path in self._array_length:
                path = (*path, self._array_length[path] - 1)
        return path

    def _value(self, table: Path, keys: tuple[str, ...], at: int, depth: int) -> int:
        """Note the value of a key, and what is in it; return where it ends."""
        path = table
        for key in keys:
            path = (*path, key)
            self._at.setdefault(path, at)
        return self._note(path, at, depth)

    def _note(self, path: Path, at: int, depth: int) -> int:
        if depth > _DEEPEST:
            return self._end_of_container(at)
        match self._text[at : at + 1]:
            case "[":
                return self._array(path, at, depth)
            case "{":
                return self._inline_table(path, at, depth)
            case '"' | "'":
                return self._string(path, at)
            case _:  # a number, a date or a word
                match = _PLAIN.match(self._text, at)
                return match.end() if match else at

    def _array(self, path: Path, at: int, depth: int) -> int:
        at, index = self._skip(at + 1), 0
        while at < len(self._text) and self._text[at] != "]":
            self._at[(*path, index)] = at
            after = self._skip(self._note((*path, index), at, depth + 1))
            at = self._skip(after + self._text.startswith(",", after))
            index += 1
        return at + 1

    def _inline_table(self, path: Path, at: int, depth: int) -> int:
        at = self._skip(at + 1)
        while at < len(self._text) and self._text[at] != "}":
            keys, at = self._keys(at)
            after = self._skip(self._value(path, keys, self._skip(at + 1), depth + 1))
            at = self._skip(after + self._text.startswith(",", after))
        return at + 1

    def _string(self, path: Path, at: int) -> int:
        match = next(self._matches(at, _BASIC_LINES, _LITERAL_LINES, _BASIC, _LITERAL), None)
        if match is None:
            return len(self._text)
        quote = 3 if self._text[at : at + 3] in ('"""', "'''") else 1
        # A newline straight after three quotes is not part of the string.
        start = at + quote + (quote == 3 and self._text.startswith("\n", at + 3))
        newline = _BASIC_NEWLINE if self._text[at] == '"' else _LITERAL_NEWLINE
        starts = [start]
        for piece in newline.finditer(self._text, start, match.end() - quote):
            if piece.group() in ("\n", "\\n"):
                starts.append(piece.end())
            elif piece.start() == starts[-1] and "\n" in piece.group():
                # A line that begins with a joined one begins after it.
                starts[-1] = piece.end()
        self._strings[path] = tuple(starts)
        return match.end()

    def _end_of_container(self, at: int) -> int:
        """Return where the array or inline table that begins at ``at`` ends, or the plain value there."""
        depth = 0
        while at < len(self._text):
            match = next(self._matches(at, _BASIC_LINES, _LITERAL_LINES, _BASIC, _LITERAL, _BARE), None)
            if match:
                at = match.end()
            else:
                at = self._skip(at)
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(self._text[at : at + 1], 0)
                at += 1
            if depth <= 0:
                return at
        return at
