"""Quality rules of Gopher: length, words, symbols, bullets, stop words (Rae et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._documents import documents, is_chinese, is_word, words

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
STOP_WORDS_ZH = frozenset("的了是在和不有我这也就与为对等中或可")
LEAST_STOP_WORDS = 2
SHORTEST_MEAN, LONGEST_MEAN = 3.0, 10.0
SHORTEST_MEAN_ZH, LONGEST_MEAN_ZH = 1.2, 4.0
MOST_SYMBOLS = 0.1
MOST_BULLETS = 0.9
MOST_ELLIPSES = 0.3
LEAST_ALPHABETIC = 0.8
_BULLETS = ("•", "-")
_ELLIPSES = ("...", "…")


@dataclass(frozen=True)
class GopherQuality:
    """Refuses documents by Gopher's quality rules: number and length of words, symbols, bullets, stop words.

    Plain texts are judged; conversations pass. Constants: Rae et al. 2021 (arXiv:2112.11446), appendix A.1.1, "Quality
    Filtering". For Chinese, which the paper does not treat, words are jieba's, the mean word has 1.2 to 4 characters
    (ours; real texts have 1.6 to 2.2), and the stop words are eighteen usual particles (ours).

    Args:
        at_least_words: fewer words refuse the document (50 in the paper).
        at_most_words: more words refuse it (100,000 in the paper).
    """

    at_least_words: int = 50
    at_most_words: int = 100_000

    def judge(self, example: Example) -> Refusal | None:
        """The first rule that a document of the row breaks."""
        broken = (gopher_quality_broken(text, self.at_least_words, self.at_most_words) for text in documents(example))
        return next(filter(None, broken), None)


def gopher_quality_broken(text: str, at_least_words: int = 50, at_most_words: int = 100_000) -> Refusal | None:
    """The first of the rules, in the paper's order, that `text` breaks; None where it keeps all."""
    found = words(text)
    proper = [word for word in found if is_word(word)]
    chinese = is_chinese(text)
    return (
        _length(proper, at_least_words, at_most_words, chinese=chinese)
        or _symbols(text, len(found))
        or _lines(text.splitlines())
        or _letters(found, chinese=chinese)
    )


def _length(proper: Sequence[str], at_least: int, at_most: int, *, chinese: bool) -> Refusal | None:
    if len(proper) < max(1, at_least):
        return Refusal(reason="gopher-short", detail=f"{len(proper)} words, at least {at_least}")
    if len(proper) > at_most:
        return Refusal(reason="gopher-long", detail=f"{len(proper)} words, at most {at_most}")
    mean = sum(map(len, proper)) / len(proper)
    low, high = (SHORTEST_MEAN_ZH, LONGEST_MEAN_ZH) if chinese else (SHORTEST_MEAN, LONGEST_MEAN)
    if not low <= mean <= high:
        return Refusal(reason="gopher-word-length", detail=f"mean word has {mean:.1f} characters, {low:g} to {high:g}")
    return None


def _symbols(text: str, count: int) -> Refusal | None:
    for name, symbols in (("hashes", text.count("#")), ("ellipses", text.count("...") + text.count("…"))):
        if symbols / count > MOST_SYMBOLS:
            return Refusal(reason=f"gopher-{name}", detail=f"{symbols} among {count} words, at most {MOST_SYMBOLS:.0%}")
    return None


def _lines(lines: Sequence[str]) -> Refusal | None:
    bullets = sum(line.lstrip().startswith(_BULLETS) for line in lines) / len(lines)
    if bullets > MOST_BULLETS:
        return Refusal(reason="gopher-bullets", detail=f"{bullets:.0%} of lines, at most {MOST_BULLETS:.0%}")
    ellipses = sum(line.rstrip().endswith(_ELLIPSES) for line in lines) / len(lines)
    if ellipses > MOST_ELLIPSES:
        return Refusal(reason="gopher-line-ellipses", detail=f"{ellipses:.0%} of lines, at most {MOST_ELLIPSES:.0%}")
    return None


def _letters(found: Sequence[str], *, chinese: bool) -> Refusal | None:
    """Punctuation that jieba cuts off is left out for Chinese: between spaces it would hang at its word."""
    counted = [word for word in found if is_word(word)] if chinese else found
    share = sum(word[0].isalpha() or any(map(str.isalpha, word)) for word in counted) / len(counted)
    if share < LEAST_ALPHABETIC:
        return Refusal(reason="gopher-alphabetic", detail=f"{share:.0%} of words, at least {LEAST_ALPHABETIC:.0%}")
    stop = len((STOP_WORDS_ZH if chinese else STOP_WORDS).intersection(found))
    if stop < LEAST_STOP_WORDS:
        return Refusal(reason="gopher-stop-words", detail=f"{stop}, at least {LEAST_STOP_WORDS}")
    return None
