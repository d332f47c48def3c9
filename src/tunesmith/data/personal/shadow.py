"""The text as detectors read it: plain digits, letters and separators, nothing invisible; with the way back.

A number hides from a pattern in fullwidth digits, in mathematical letters, behind zero-width characters or no-break
spaces. Detectors read the shadow, so that each of them need not know that.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_HYPHENS = "\u2010\u2011\u2012\u2013\u2212\ufe58\ufe63\uff0d"
_JOINING = {"\u034f", *map(chr, range(0xFE00, 0xFE10))}


@dataclass(frozen=True)
class Shadow:
    """A text made plain.

    Fields:
        text: the plain text, at most as long as the original.
        offsets: position in the original of each character; None where both are the same.
    """

    text: str
    offsets: Sequence[int] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that shows as `text[start:end]`; `end` is larger than `start`."""
        if self.offsets is None:
            return start, end
        return self.offsets[start], self.offsets[end - 1] + 1


def shadow(text: str) -> Shadow:
    """The plain text of `text`: each character becomes one character or none, so spans can be mapped back."""
    if text.isascii():
        return Shadow(text)
    plain = [_PLAIN[c] for c in text]
    joined = "".join(plain)
    if len(joined) == len(text):
        return Shadow(joined)
    return Shadow(joined, [i for i, c in enumerate(plain) if c])


class _Plain(dict[str, str]):
    """Character -> its plain form, worked out when it is first met."""

    def __missing__(self, character: str) -> str:
        self[character] = plain = _plain(character)
        return plain


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf" or character in _JOINING:
        return ""
    if category == "Nd":
        return str(unicodedata.digit(character))
    if character in _HYPHENS:
        return "-"
    if category == "Zs":
        return " "
    folded = unicodedata.normalize("NFKC", character)
    letter_or_mark = category[0] in "LPS" and len(folded) == 1 and folded.isascii()
    return folded if letter_or_mark else character


_PLAIN = _Plain()
