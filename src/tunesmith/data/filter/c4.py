"""Rules of C4 for web pages (Raffel et al. 2020, section 2.2)."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.types import Example, Refusal
from tunesmith.data.filter._documents import TERMINAL, documents, is_chinese, sentences, words

LONGEST_WORD = 1_000
LEAST_WORDS_OF_LINE = 5
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
POLICIES_ZH = ("使用条款", "隐私政策", "隐私权政策", "使用cookie", "cookie政策", "服务条款")
_PLACEHOLDER = "lorem ipsum"


@dataclass(frozen=True)
class C4:
    """Refuses web pages by C4's rules: too few sentences in lines that are prose, placeholder text, curly brackets.

    Plain texts are judged; conversations pass. A line counts if it ends like a sentence (not in `...`), has at least
    five words, no word of more than 1,000 characters, and speaks neither of Javascript nor of cookies and terms of use.
    Lines are not taken out of the text, as C4 does: they only do not count. Constants: Raffel et al. 2020 (JMLR
    21:140), section 2.2, and the paper's own code (tensorflow_datasets, c4_utils.py: 3 sentences, 5 words; datatrove
    has 5 and 3). The list of bad words is left to the filter `toxic`, languages to `language`. In Chinese, words are
    jieba's.

    Args:
        at_least_sentences: fewer sentences in lines that count refuse the page.
        curly_brackets: a `{` refuses the page: right for prose from the web, wrong for texts about programs.
    """

    at_least_sentences: int = 3
    curly_brackets: bool = True

    def judge(self, example: Example) -> Refusal | None:
        """The first rule that a document of the row breaks."""
        for text in documents(example):
            if broken := c4_broken(text, self.at_least_sentences, curly_brackets=self.curly_brackets):
                return broken
        return None


def c4_broken(text: str, at_least_sentences: int = 3, *, curly_brackets: bool = True) -> Refusal | None:
    """Why C4 would not have this page; None where it would."""
    if _PLACEHOLDER in text.lower():
        return Refusal(reason="c4-placeholder", detail=_PLACEHOLDER)
    if curly_brackets and "{" in text:
        return Refusal(reason="c4-curly-bracket", detail="{")
    counted = [line for line in map(str.strip, text.splitlines()) if _counts(line)]
    found = sum(map(sentences, counted))
    if found < at_least_sentences:
        lines = len(text.splitlines())
        seen = f"{found} sentences in {len(counted)} of {lines} lines, at least {at_least_sentences}"
        return Refusal(reason="c4-few-sentences", detail=seen)
    return None


def _counts(line: str) -> bool:
    low = line.lower()
    if not line.endswith(TERMINAL) or line.endswith("...") or "javascript" in low:
        return False
    if any(policy in low for policy in POLICIES) or any(policy in low for policy in POLICIES_ZH):
        return False
    found = words(line)
    proper = [word for word in found if any(map(str.isalnum, word))] if is_chinese(line) else found
    return len(proper) >= LEAST_WORDS_OF_LINE and max(map(len, found)) <= LONGEST_WORD
