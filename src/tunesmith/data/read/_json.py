"""JSON, strictly: single values, and long lists one element at a time."""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.data.read._files import Opener

_CHUNK_BYTES = 1 << 18
_LONGEST_TOKEN = 16
"""Characters of the longest token that a cut can leave in halves (an escape, `-Infinity`); a string says so itself."""
_SPACE = re.compile(r"[ \t\r\n]*")
_HINT = "mend it, or write one JSON object a line (JSONL), where a broken row spoils only itself"


class BrokenJson(ValueError):
    """A text that is not JSON; `position` is the character where that shows, if it is known."""

    def __init__(self, what: str, position: int | None = None) -> None:
        super().__init__(what)
        self.position = position


def parse_json(text: str) -> Any:
    """A JSON value, strictly.

    Refused are NaN, infinity and numbers beyond a float's range, lone surrogates, a key that stands twice in one
    object, and what is nested too deeply.

    Raises:
        BrokenJson: what is wrong, in words.
    """
    with _in_words():
        return _sound(_DECODER.decode(text), text)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Every way in which a text can fail to be JSON, as a `BrokenJson`."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise BrokenJson(f"{error.msg} at column {error.colno}", error.pos) from None
    except RecursionError:
        raise BrokenJson("nested too deeply") from None
    except BrokenJson:
        raise
    except ValueError as error:  # an integer of more digits than Python converts
        raise BrokenJson(str(error)) from None


def _sound(value: Any, text: str) -> Any:
    """`value`, read from `text`, unless it holds half of a surrogate pair."""
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise BrokenJson("half of a surrogate pair (\\ud800 to \\udfff) is not a character") from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise BrokenJson(f"{name} is not JSON")


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise BrokenJson(f"the number {shorten(text, width=30)} is beyond what a float holds")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two values under one key: no reader can know which is meant, so neither is taken."""
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BrokenJson(f"the key '{shorten(twice, width=40)}' stands twice in one object")
    return value


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_number, object_pairs_hook=_object)


def list_items(path: Path | Opener, shown: str, *, max_bytes: int) -> Iterator[tuple[Any, int]]:
    """(element, offset of its first byte) for every element of the one JSON list in the file, streaming.

    Args:
        path: the file, UTF-8.
        shown: its name in problems.
        max_bytes: longest element; memory holds little more than one of them.

    Raises:
        UserError: not UTF-8, not JSON, not a list: after a broken element nobody knows where the next one begins.
    """
    with path.open("rb") as file:
        window = _Window(file, shown, max_bytes)
        if window.next() != "[":
            message = f"a list of objects is expected, found {shorten(window.text[:200], width=60)}"
            raise UserError(Problem("wrong-format", message, _HINT, shown))
        window.skip(1)
        if window.next() == "]":
            hint = "export the data again, or drop the source"
            raise UserError(Problem("empty-file", "the list is empty", hint, shown))
        yield from _elements(window)


def _elements(window: _Window) -> Iterator[tuple[Any, int]]:
    """The elements from the first one on; what stands between and after them is checked."""
    while True:
        window.next()
        byte = window.byte
        yield window.value(), byte
        mark = window.next()
        window.skip(1)
        if mark == "]":
            if window.next():
                window.refuse("something stands after the list")
            return
        if mark != ",":
            window.refuse("a comma is expected" if mark else "the list is not closed")


class _Window:
    """The stretch of a text file that is looked at; it grows to the end of an element and goes on from there."""

    def __init__(self, file: BinaryIO, shown: str, max_bytes: int) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._shown, self._max_bytes = shown, max_bytes
        self._ended = False
        self.text, self._at = "", 0
        self._line = 1
        self.byte = 3 if file.read(3) == codecs.BOM_UTF8 else 0
        file.seek(0)

    def next(self) -> str:
        """The next character that is not space; an empty string at the end of the file."""
        while True:
            match = _SPACE.match(self.text, self._at)
            self.skip(match.end() - self._at if match else 0)
            if self._at < len(self.text) or not self._grow():
                return self.text[self._at : self._at + 1]

    def skip(self, characters: int) -> None:
        """Go on by so many characters, counting bytes and lines."""
        passed = self.text[self._at : self._at + characters]
        self.byte += len(passed.encode("utf-8"))
        self._line += passed.count("\n")
        self._at += characters

    def value(self) -> Any:
        """The JSON value that begins here. It has ended when something stands after it: 12 may be the head of 123."""
        while True:
            try:
                with _in_words():
                    value, end = _DECODER.raw_decode(self.text, self._at)
                    if end - self._at > self._max_bytes:
                        self._refuse_long()
                    if end < len(self.text) or not self._grow():
                        value = _sound(value, self.text[self._at : end])
                        self.skip(end - self._at)
                        return value
            except BrokenJson as error:
                if not self._cut_off(error) or not self._grow():
                    at = self._at if error.position is None else error.position
                    self.refuse(str(error), self.text.count("\n", self._at, at))

    def _cut_off(self, error: BrokenJson) -> bool:
        """Whether the element may be whole when more of the file is looked at."""
        if error.position is None:
            return False
        return "Unterminated" in str(error) or error.position >= len(self.text) - _LONGEST_TOKEN

    def refuse(self, what: str, lines_on: int = 0) -> NoReturn:
        """Say that this is not JSON, with the line."""
        message = f"not JSON: {what}"
        raise UserError(Problem("broken-json", message, _HINT, self._shown, self._line + lines_on))

    def _refuse_long(self) -> NoReturn:
        self.refuse(f"an element is longer than {self._max_bytes:,} characters (max_line_mb)")

    def _grow(self) -> bool:
        """Read on, twice as much as there is, so that a long element is not begun too often; False: at the end."""
        if self._ended:
            return False
        if len(self.text) - self._at > self._max_bytes:
            self._refuse_long()
        raw = self._file.read(max(_CHUNK_BYTES, len(self.text) - self._at))
        self._ended = not raw
        try:
            self.text, self._at = self.text[self._at :] + self._decode(raw, final=self._ended), 0
        except UnicodeDecodeError as error:
            line = self._line + self.text.count("\n", self._at) + error.object[: error.start].count(b"\n")
            raise UserError(Problem("invalid-utf8", "a byte is not UTF-8", _HINT, self._shown, line)) from None
        return True
