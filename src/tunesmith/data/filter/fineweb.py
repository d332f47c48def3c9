"""Rules of FineWeb on the lines of a web page (Penedo et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._documents import TERMINAL, documents, is_chinese, repeated, words

LEAST_ENDED = 0.12
MOST_SHORT = 0.67
SHORT_LINE = 30
SHORT_LINE_ZH = 12
MOST_NEW_LINES = 0.3


@dataclass(frozen=True)
class Fineweb:
    """Refuses web pages by FineWeb's rules: lines that do not end, short lines, repeated lines, lists.

    Plain texts are judged; conversations pass. Constants: Penedo et al. 2024 (arXiv:2406.17557), section 3.6, and
    datatrove's filter for the share of line ends (0.3 for each word). A Chinese line is short up to 12 characters
    (ours: a Chinese character says about as much as 2.5 Latin ones).

    Args:
        at_most_repeated: share of characters in lines that stood before which is still let through: 0.1 in the
            paper; datatrove's default is 0.01.
    """

    at_most_repeated: float = 0.1

    def judge(self, example: Example) -> Refusal | None:
        """The first rule that a document of the row breaks."""
        return next(filter(None, (fineweb_broken(text, self.at_most_repeated) for text in documents(example))), None)


def fineweb_broken(text: str, at_most_repeated: float = 0.1) -> Refusal | None:
    """The first of FineWeb's rules that `text` breaks; None where it keeps all."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return Refusal(reason="fineweb-empty")
    ended = sum(line.rstrip().endswith(TERMINAL) for line in lines) / len(lines)
    if ended < LEAST_ENDED:
        return _refusal("line-ends", f"{ended:.0%} of lines, at least {LEAST_ENDED:.0%}")
    longest = SHORT_LINE_ZH if is_chinese(text) else SHORT_LINE
    short = sum(len(line) <= longest for line in lines) / len(lines)
    if short > MOST_SHORT:
        return _refusal("short-lines", f"{short:.0%} of lines, at most {MOST_SHORT:.0%}")
    twice = repeated(lines)[1] / len(text.replace("\n", ""))
    if twice > at_most_repeated:
        return _refusal("repeated-lines", f"{twice:.1%} of characters, at most {at_most_repeated:.0%}")
    breaks = text.count("\n") / len(words(text))
    if breaks > MOST_NEW_LINES:
        return _refusal("list", f"{breaks:.2f} line ends a word, at most {MOST_NEW_LINES}")
    return None


def _refusal(rule: str, seen: str) -> Refusal:
    return Refusal(reason=f"fineweb-{rule}", detail=seen)
