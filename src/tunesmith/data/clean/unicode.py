"""Repairs broken encodings and removes characters that nobody sees."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tunesmith.data.clean._width import folded

_PLAIN = re.compile(r"[\t\n\x20-\x7e]*")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u180e\u200b\u2060-\u2064\u202a-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_SOUND = re.compile(
    "[\t\n\x20-\x7e\u00a0-\u00ac\u00ae-\u0131\u0134-\u0148\u014a-\u01c3\u0370-\u052f\u2010-\u2027\u202f-\u205f\u2070-\u2bff"
    "\u3000-\u9fff\uff01-\uffee]*"
)
"""Characters that no repair changes by themselves: no control, no ligature, nothing unseen."""
_LONGEST_SEGMENT = 1_000_000
_PASSES = 10


@dataclass(frozen=True)
class Unicode:
    """Repairs broken encodings (ftfy), composes characters (NFC), removes control and invisible characters.

    Removed are control characters but tab and line feed, soft hyphens, zero-width spaces, byte order marks inside
    the text, bidirectional overrides and tag characters, which hide text from people but not from models. Joiners
    (U+200C, U+200D) stay: Persian, Indic scripts and emoji need them. Full-width punctuation of Chinese, Japanese and
    Korean texts and curly quotes stay: they are no errors. HTML entities stay: see the cleaner `html`. Line ends become
    line feeds.

    Source: ftfy 6.3 (Speer 2019, doi:10.5281/zenodo.2591652); Unicode TR15 (NFC), TR36 section 2.11 (invisible text).

    Args:
        width: `fold`: full-width letters and digits (Ａ, １) and signs beside them become plain ones, no-break and
            other typographic spaces become spaces, for models know such words by other tokens; `keep`: they stay.
    """

    width: Literal["fold", "keep"] = "fold"

    def clean(self, text: str) -> str:
        """The repaired text. Repeated until nothing changes (one repair can uncover another), at most ten times."""
        if _PLAIN.fullmatch(text):
            return text
        for _ in range(_PASSES):
            before = text
            text = text if _is_sound(text) else _once(text)
            text = text if self.width == "keep" else folded(text)  # after repairs, which read no-break spaces
            if text == before:
                break
        return text


def _is_sound(text: str) -> bool:
    """Whether there is surely nothing to repair: what ftfy would find after all its passes, told in one look.

    Each line is judged alone, as ftfy does, since how a line begins can say that its encoding is broken.
    """
    if not _SOUND.fullmatch(text) or not unicodedata.is_normalized("NFC", text):
        return False
    from ftfy.badness import is_bad

    lines = text.splitlines(keepends=True)
    return not any(len(line) > _LONGEST_SEGMENT or (not line.isascii() and is_bad(line)) for line in lines)


def _once(text: str) -> str:
    import ftfy

    text = _UNSEEN.sub("", ftfy.fix_text(text, _config()))
    return unicodedata.normalize("NFC", text)


@cache
def _config() -> Any:
    import ftfy

    return ftfy.TextFixerConfig(
        unescape_html=False, fix_character_width=False, uncurl_quotes=False, normalization="NFC", explain=False
    )
