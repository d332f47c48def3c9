"""What a made row must keep: well-formed, in the source's language, grounded in the source, not a copy of it.

Each check gives the reason why a row does not hold (`Refusal`), or None. Checks are rules about form: that a number,
a name and a quotation stand in the source is needed for an answer to be right, and does not make it so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunesmith.core.errors import shorten
from tunesmith.core.types import Example, Message, Refusal
from tunesmith.data.chinese import han_share
from tunesmith.data.filter.language import Language
from tunesmith.data.similarity import normalised
from tunesmith.data.synthesize._words import (
    known_numbers,
    longest_run,
    names,
    numbers,
    telling,
    tokens,
)

_FEWEST, _MOST = 3, 150
"""Words of an instruction: shorter and longer ones are thrown away by self-instruct (its code, not the paper)."""
_LOOP_WORDS, _LOOP_SHARE = 24, 0.5
_SURELY_HAN, _HARDLY_HAN, _FEWEST_LETTERS = 0.3, 0.1, 12
_FEWEST_EVIDENCE = 3
_MARKUP = re.compile(r"<\|[^|<>]{1,40}\|>|</?(?:s|think|document|passage)>|\[/?INST\]|\x00|\ufffd")
_EMPTY = re.compile(r"^[\W_]*$|^\W*(?:\.\.\.|…|n/?a|none|null|todo|tbd|string|无|暂无|待补充)\W*$", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"<(?:question|answer|quote|evidence|问题|回答|答案|原文)[^<>]{0,40}>", re.IGNORECASE)
_REFUSES = re.compile(
    r"\bas an? (?:ai|artificial|language)\b|\b(?:i|we) (?:cannot|can't|can not|am unable|am not able)\b"
    r"|\bi(?:'m| am) sorry\b|\bnot (?:mentioned|stated|specified|provided|given) in the\b"
    r"|\bdoes not (?:mention|specify|provide)\b"
    r"|作为(?:一个|一名)?(?:人工智能|AI|语言模型)|我(?:无法|不能)|抱歉|(?:文中|材料|文章)(?:并)?(?:没有|未)(?:提到|提及|说明)",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(?:the|this|that|above|given|following|provided) "
    r"(?:passage|text|document|article|abstract|stud(?:y|ies)|paper|paragraph|excerpt|"
    r"authors?|report|context|research|trial|information)\b"
    r"|本文|该文|此文|上文|上述|文中|这段|该段|材料|文章|作者|(?:本|该|此|这项|本项)(?:研究|试验|报告|文档)",
    re.IGNORECASE,
)  # fmt: skip
_ELSEWHERE = re.compile(
    r"\b(?:images?|pictures?|photos?|graphs?|videos?|audio|attached|attachment|file|map|draw|plot|go to)\b"
    r"|图片|图像|照片|视频|音频|附件|画(?:一|出)|下图|如图",
    re.IGNORECASE,
)
"""What a text alone cannot do; self-instruct throws these words away (its code)."""

_ENGLISH = Language(allow=("en",))


@dataclass(frozen=True)
class Limits:
    """How strict the checks against a source are.

    Args:
        shared: least share of the answer's telling words that stand in the source.
        run: most words of the answer, one after the other, that stand so in the source.
    """

    shared: float
    run: int


def good_question(question: str) -> Refusal | None:
    """`empty-question`, `markup`, `placeholder`, `too-short`, `too-long`, `looping`, `needs-more-than-text`."""
    words = len(tokens(question))
    found = {
        "empty-question": bool(_EMPTY.match(question)),
        "markup": bool(_MARKUP.search(question)),
        "placeholder": bool(_PLACEHOLDER.search(question)),
        "too-short": words < _FEWEST,
        "too-long": words > _MOST,
        "looping": loops(question),
        "needs-more-than-text": bool(_ELSEWHERE.search(question)),
    }
    return _first(found, question)


def good_answer(question: str, answer: str) -> Refusal | None:
    """`empty-answer`, `markup`, `placeholder`, `looping`, `refuses` (excuses itself), `echo` of the question."""
    found = {
        "empty-answer": bool(_EMPTY.match(answer)),
        "markup": bool(_MARKUP.search(answer)),
        "placeholder": bool(_PLACEHOLDER.search(answer)),
        "looping": loops(answer),
        "refuses": bool(_REFUSES.search(answer)),
        "echo": normalised(question) == normalised(answer),
    }
    return _first(found, answer)


def stands_alone(question: str) -> Refusal | None:
    """`points-at-document`: a question that nobody can answer without seeing the document."""
    return _first({"points-at-document": bool(_POINTS.search(question))}, question)


def same_language(said: str, source: str) -> Refusal | None:
    """`other-language`: Chinese where the source is not, or the other way; what is no English of an English source.

    Sources in further languages are held to their script alone.
    """
    chinese, share = han_share(source) >= _SURELY_HAN, han_share(said)
    letters = sum(map(str.isalpha, said))
    if (chinese and share < _HARDLY_HAN and letters >= _FEWEST_LETTERS) or (not chinese and share >= _HARDLY_HAN):
        return Refusal(reason="other-language", detail=shorten(said))
    if chinese or _ENGLISH.judge(_row(source)) is not None:
        return None
    return _ENGLISH.judge(_row(said))


def grounded(answer: str, source: str, limits: Limits) -> Refusal | None:
    """`number-not-in-source`, `name-not-in-source`, `words-not-in-source`."""
    strange = sorted(numbers(answer) - known_numbers(source))
    if strange:
        return Refusal(reason="number-not-in-source", detail=shorten(", ".join(strange)))
    known = normalised(source)
    unknown = sorted(name for name in names(answer) if not _begins(normalised(name), known))
    if unknown:
        return Refusal(reason="name-not-in-source", detail=shorten(", ".join(unknown)))
    said = telling(answer)
    share = len(said & telling(source)) / len(said) if said else 1.0
    if share < limits.shared:
        return Refusal(reason="words-not-in-source", detail=f"{share:.0%} of {len(said)} words")
    return None


def _begins(name: str, text: str) -> bool:
    """Whether a name stands in a text at the beginning of a word (`Ann` is not in `planning`); forms of it count."""
    return re.search(rf"(?<![a-z0-9]){re.escape(name)}", text) is not None


def quoted(evidence: str, said: str, source: str) -> Refusal | None:
    """`no-evidence`, `evidence-not-in-source` (compared after normalising), `evidence-beside-the-point`.

    Args:
        evidence: what the model says it quotes.
        said: question and answer.
        source: the document.
    """
    plain = normalised(evidence)
    if len(tokens(plain)) < _FEWEST_EVIDENCE:
        return Refusal(reason="no-evidence", detail=shorten(evidence))
    if plain not in normalised(source):
        return Refusal(reason="evidence-not-in-source", detail=shorten(evidence))
    if not telling(evidence) & telling(said):
        return Refusal(reason="evidence-beside-the-point", detail=shorten(evidence))
    return None


def not_copied(answer: str, source: str, limits: Limits) -> Refusal | None:
    """`copied`: more than `limits.run` words of the source in a row."""
    return _first({"copied": longest_run(answer, source, limits.run)}, answer)


def loops(text: str) -> bool:
    """Whether a text goes round in circles: of 24 or more words, less than half of the 4-grams are different."""
    words = tokens(text)
    grams = [tuple(words[at : at + 4]) for at in range(len(words) - 3)]
    return len(words) >= _LOOP_WORDS and len(set(grams)) < _LOOP_SHARE * len(grams)


def _row(text: str) -> Example:
    return Example(id="", messages=(Message(role="user", content=text),))


def _first(found: dict[str, bool], shown: str) -> Refusal | None:
    return next((Refusal(reason=reason, detail=shorten(shown)) for reason, is_so in found.items() if is_so), None)
