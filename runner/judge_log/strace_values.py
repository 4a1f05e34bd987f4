"""Values as strace(1) prints them: numbers, flags, texts, structures, arrays, descriptors with their names.

``strace -yy`` writes what a descriptor refers to behind its number, ``3</tmp/f>``, with ``(deleted)`` behind that when
the name is gone. What is abbreviated (``...``) is told by :class:`LoggedText` and by the absence of fields.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from longpin.runner.judge_log.problems import LogError

ESCAPES: Final = {"n": 10, "t": 9, "r": 13, "v": 11, "f": 12, "a": 7, "b": 8, "\\": 92, '"': 34}


@dataclass(frozen=True, slots=True)
class LoggedText:
    """A string."""

    data: bytes
    whole: bool = True
    """False: strace shows only its beginning (option -s)."""

    @property
    def text(self) -> str:
        """The string as text, for paths."""
        return self.data.decode(errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Described:
    """A descriptor, or AT_FDCWD, and what it refers to."""

    word: str
    """The number, or AT_FDCWD."""
    name: str
    """A path, or ``pipe:[1]``, ``UNIX-STREAM:[1->2]`` and so on."""
    deleted: bool = False

    @property
    def number(self) -> int:
        """The descriptor; AT_FDCWD is -100."""
        return -100 if self.word == "AT_FDCWD" else int(self.word)


@dataclass(frozen=True, slots=True)
class Word:
    """What is no text and no structure: a number, names joined by ``|``, a sum, NULL."""

    word: str

    @property
    def parts(self) -> list[str]:
        """The names that are joined by ``|``."""
        return [part.strip() for part in self.word.split("|")]


@dataclass(frozen=True, slots=True)
class Array:
    """Values in brackets; a set of signals is one, too, ``~`` in front: all but those."""

    items: "tuple[Value, ...]"
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class Struct:
    """Fields in braces."""

    fields: "dict[str, Value]" = field(hash=False)


Value = LoggedText | Described | Word | Array | Struct

DESCRIBED: Final = r"(?:-?\d+|AT_FDCWD)<(?:[\w-]+:\[.*?\](?=>)|(?:[^<>\\]|\\.|<[^<>]*>)*)>(?:\(deleted\))?"
"""The pattern of a descriptor with its name."""
_DESCRIBED = re.compile(DESCRIBED)
_PARTS = re.compile(r"(-?\w+)<(.*)>(\(deleted\))?", re.DOTALL)
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"(\.\.\.)?', re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|[0-7]{1,3}|.)", re.DOTALL)
_FIELD = re.compile(r"([A-Za-z_]\w*)=")
_COMMENT = re.compile(r"\s*/\*.*?\*/")
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}


def unescaped(text: str) -> bytes:
    """Return the bytes that an escaped string stands for."""

    def byte(match: re.Match[str]) -> str:
        word = match[1]
        if word in ESCAPES:
            return chr(ESCAPES[word])
        if word[0] == "x":
            return chr(int(word[1:], 16))
        return chr(int(word, 8)) if word[0] in "01234567" else word

    # Everything that is no printable ASCII is escaped, so characters stand for bytes.
    return _ESCAPE.sub(byte, text).encode("latin-1", errors="replace")


def described(text: str) -> Described:
    """Return a descriptor of which strace tells the name."""
    match = _PARTS.fullmatch(text)
    assert match is not None, text
    return Described(match[1], unescaped(match[2]).decode(errors="surrogateescape"), match[3] is not None)


class ValueReader:
    """Reads the arguments of one call, and what it returned."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def rest(self) -> str:
        """What has not been read."""
        return self._text[self._at :]

    def arguments(self) -> tuple[tuple[Value, ...], bool]:
        """Return the arguments up to the closing parenthesis, and whether there is one.

        Raises:
            LogError: this is nothing that strace writes; the text says what was expected.

        """
        found: list[Value] = []
        while True:
            self._blanks()
            if self._take(")"):
                return tuple(found), True
            if self._at >= len(self._text):
                return tuple(found), False
            found.append(self.value())
            self._blanks()
            if not self._take(",") and self._at < len(self._text) and self._text[self._at] != ")":
                raise LogError(f"expected , or ) behind an argument, found {self.rest[:20]!r}")

    def value(self) -> Value:
        """Return the value that comes next.

        Raises:
            LogError: there is none.

        """
        self._blanks()
        if (named := _FIELD.match(self._text, self._at)) is not None:  # clone(child_stack=NULL, flags=...)
            self._at = named.end()
            return Struct({named[1]: self.value()})
        value = self._plain()
        self._comment()
        if self._take("=>") or (self._text.startswith(" =>", self._at) and self._skip(3)):
            made = self.value()  # what the kernel has made of it
            if isinstance(value, Struct) and isinstance(made, Struct):
                return Struct(value.fields | made.fields)
            return made
        return value

    def _plain(self) -> Value:
        text, at = self._text, self._at
        if (match := _TEXT.match(text, at)) is not None:
            self._at = match.end()
            return LoggedText(unescaped(match[1]), match[2] is None)
        if (match := _DESCRIBED.match(text, at)) is not None:
            self._at = match.end()
            return described(match[0])
        if text.startswith("~[", at):
            self._at += 1
            return Array(self._items(), inverted=True)
        if text.startswith("[", at):
            return Array(self._items())
        if text.startswith("{", at):
            return self._struct()
        return self._word()

    def _items(self) -> tuple[Value, ...]:
        self._at += 1
        found: list[Value] = []
        while not self._take("]"):
            self._blanks()
            if self._at >= len(self._text):
                raise LogError("expected ] at the end of an array")
            if self._take(",") or self._take("..."):
                continue
            if not self._text.startswith("]", self._at):
                found.append(self.value())
        return tuple(found)

    def _struct(self) -> Struct:
        self._at += 1
        fields: dict[str, Value] = {}
        while not self._take("}"):
            self._blanks()
            if self._at >= len(self._text):
                raise LogError("expected } at the end of a structure")
            if self._take(",") or self._take("..."):
                continue
            if self._text.startswith("}", self._at):
                continue
            value = self.value()
            fields |= (
                value.fields if isinstance(value, Struct) and len(value.fields) == 1 else {str(len(fields)): value}
            )
        return Struct(fields)

    def _word(self) -> Word:
        """Read up to what ends a value, with whatever is in parentheses."""
        start, depth = self._at, 0
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "(":
                depth += 1
            elif char == ")" and depth:
                depth -= 1
            elif not depth and (char in ",)]}" or self._text.startswith((" /*", " =>", "=>"), self._at)):
                break
            self._at += 1
        if start == self._at:
            raise LogError(f"expected a value, found {self.rest[:20]!r}")
        return Word(self._text[start : self._at].strip())

    def _blanks(self) -> None:
        while self._text.startswith(" ", self._at):
            self._at += 1
        self._comment()

    def _comment(self) -> None:
        if (match := _COMMENT.match(self._text, self._at)) is not None:
            self._at = match.end()

    def _take(self, word: str) -> bool:
        return self._text.startswith(word, self._at) and self._skip(len(word))

    def _skip(self, count: int) -> bool:
        self._at += count
        return True
