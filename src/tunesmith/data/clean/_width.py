"""Characters of another width, and the plain ones that they stand for."""

from __future__ import annotations

import re

_SPACES = "\u00a0\u2000-\u200a\u202f\u205f"
_ANY = re.compile(f"[{_SPACES}\u3000\uff01-\uff5e]")
_FAR_EAST = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3001-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff61-\uffdc\U00020000-\U0003ffff]"
)
"""Chinese, Japanese and Korean letters, and marks that only they have."""
_PLAIN_SPACES = dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F), " ")
_WIDE = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_WORDS = _PLAIN_SPACES | {code: plain for code, plain in _WIDE.items() if plain.isalnum()}
_EVERYTHING = _PLAIN_SPACES | _WIDE | {0x3000: " "}
_SIGNS = "＃＄％＆＊＋－．／＝＠＿"
_SIGN_OF_A_WORD = re.compile(f"(?<=[0-9A-Za-z])[{_SIGNS}]|[{_SIGNS}](?=[0-9A-Za-z])")
"""Signs of numbers and addresses beside a letter or a digit (3．5, 50％, a＠b). None is Chinese punctuation."""


def folded(text: str) -> str:
    """The text with full-width letters, digits and the signs beside them as plain ones, and all spaces alike.

    Full-width punctuation and the wide space stay where the text has a Chinese, Japanese or Korean letter or mark:
    there they are what people write. Elsewhere they become plain too.
    """
    if not _ANY.search(text):
        return text
    if not _FAR_EAST.search(text):
        return text.translate(_EVERYTHING)
    return _SIGN_OF_A_WORD.sub(lambda found: _WIDE[ord(found[0])], text.translate(_WORDS))
