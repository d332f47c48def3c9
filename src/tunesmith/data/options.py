"""Questions with options: the same question whatever the order of its options and the marks before them."""

from __future__ import annotations

import re
import unicodedata

from tunesmith.data.similarity import normalised

_CIRCLED = re.compile("[\u2460-\u2473\u24b6-\u24e9]")
_MARK = re.compile(
    r"""(?:^|(?<=[\s;,\u3001\u3002?!{\[(]))      # at the beginning, or behind what separates
    ["'(\[]*                                      # (A), "A": of JSON
    (?:[A-Za-z]|\d{1,2}|[ivxIVX]{1,4})            # one letter or number
    (?:["')\]]*\s*[.:)\u3001](?!\d)|\]+:?)   # A.  A)  A:  "A":  [A]  but not 3.5
    \s*""",
    re.VERBOSE,
)
_BULLET = re.compile(r"^\s*[-*+\u2022\u00b7]\s+")
_FEWEST = 3


def in_any_order(text: str) -> str:
    """A form of `text` in which the order of its lines and options, and their marks, are gone; "" without options.

    The text is divided at line ends and at marks of options (`A.`, `(b)`, `3)`, `ii.`, `"C":`, circled ones, bullets),
    the marks are left out, and what is left is normalised and sorted. Two texts with an equal form say the same with
    their options in another order, or under other letters.

    Args:
        text: as it was written: marks and line ends are gone once it is normalised.

    Returns:
        "" where there are fewer than three parts: a question with two options is the least.
    """
    marked = _CIRCLED.sub(lambda match: f"\n({unicodedata.normalize('NFKC', match.group())}) ", text)
    lines = unicodedata.normalize("NFKC", marked).splitlines()
    parts = [part for line in lines for part in _MARK.split(_BULLET.sub("", line))]
    if len(parts) < _FEWEST:
        return ""
    told = sorted(said for part in parts if (said := normalised(part)))
    return "\n".join(told) if len(told) >= _FEWEST else ""
