"""A fact in words: statement, questions, gap; English verbs bent, Chinese objects put where they belong."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunesmith.data.knowledge.graph import Fact
from tunesmith.data.knowledge.normal import is_plural

GAP = "____"
_DO = {True: "do", False: "does"}
_BE = {True: "are", False: "is"}
_RESULTS = frozenset("到出至成给")
"""Ends of Chinese verbs that tell a result, which is denied by 未, not by 不."""


@dataclass(frozen=True)
class Wording:
    """The pieces that templates are filled with; each but the names is a whole sentence.

    Fields:
        said: the fact as it is, denied or hedged where it is so; `unsaid`: the same without the denial.
        gap: with a gap for the object.
        what, who, ask: questions for the object, for the subject, for yes or no.
        subject, object: the names.
    """

    said: str
    unsaid: str
    gap: str
    what: str
    who: str
    ask: str
    subject: str
    object: str

    def fields(self) -> dict[str, str]:
        """What a template can name; a capital letter in a name stands for one at the start of the text."""
        return {
            "said": self.said,
            "said_inside": self.said[:1].lower() + self.said[1:] if self.said[1:2].islower() else self.said,
            "unsaid": self.unsaid,
            "gap": self.gap,
            "what": self.what,
            "who": self.who,
            "ask": self.ask,
            "subject": self.subject,
            "object": self.object,
            "Subject": _capital(self.subject),
            "Object": _capital(self.object),
        }


def worded(fact: Fact, thing: str | None = None) -> Wording:
    """`fact` in the words of its language, or with another object.

    Args:
        fact: what is stated.
        thing: the object to put in the place of the fact's own.
    """
    return _chinese(fact, thing) if fact.language.startswith("zh") else _english(fact, thing)


def _english(fact: Fact, thing: str | None) -> Wording:
    sentence = fact.triples[0].evidence.sentence
    subject = _with_article(fact.subject, sentence)
    known = _with_article(fact.object, sentence)
    one = known if thing is None else thing
    many = is_plural(fact.subject)
    first, _, rest = fact.relation.partition(" ")
    rest = f" {rest}" if rest else ""
    may, no = fact.hedged, fact.negated
    if first == "be":
        middle = f"{'may be' if may else _BE[many]}{' not' * no}{rest}"
        plain = f"{'may be' if may else _BE[many]}{rest}"
        question = f"may {subject} be{rest}" if may else f"{_BE[many]} {subject}{rest}"
        alone = f"{'may be' if may else 'is'}{rest}"
    else:
        bent = f"{first if many else third_person(first)}{rest}"
        plain = f"may {first}{rest}" if may else bent
        middle = f"{'may' if may else _DO[many]} not {first}{rest}" if no else plain
        question = f"{'may' if may else _DO[many]} {subject} {first}{rest}"
        alone = f"may {first}{rest}" if may else f"{third_person(first)}{rest}"
    return Wording(
        said=_capital(f"{subject} {middle} {one}."),
        unsaid=_capital(f"{subject} {plain} {one}."),
        gap=_capital(f"{subject} {middle} {GAP}."),
        what=f"What {question}?",
        who=f"What {alone} {one}?",
        ask=_capital(f"{question} {one}?"),
        subject=subject,
        object=one,
    )


def _chinese(fact: Fact, thing: str | None) -> Wording:
    one = fact.object if thing is None else thing
    maybe = "可能" * fact.hedged
    denial = "没" if fact.relation == "有" else "未" if fact.relation[-1:] in _RESULTS else "不"
    no = maybe + denial * fact.negated

    def sentence(subject: str, thing: str, before: str = "") -> str:
        if "…" in fact.relation:
            start, _, end = fact.relation.partition("…")
            return f"{subject}{before}{start}{thing}{end}"
        return f"{subject}{before}{fact.relation}{thing}"

    return Wording(
        said=sentence(fact.subject, one, no) + "。",
        unsaid=sentence(fact.subject, one, maybe) + "。",
        gap=sentence(fact.subject, GAP, no) + "。",
        what=sentence(fact.subject, "什么", maybe) + "？",
        who=sentence("什么", one, maybe) + "？",
        ask=sentence(fact.subject, one, maybe) + "吗？",
        subject=fact.subject,
        object=one,
    )


def third_person(verb: str) -> str:
    """`cause` -> `causes`: an English verb as it stands after he, she, it."""
    irregular = {"have": "has", "do": "does", "go": "goes", "be": "is"}
    if verb in irregular:
        return irregular[verb]
    if re.search(r"(?:s|x|z|ch|sh)$", verb):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else f"{verb}s"


def _with_article(name: str, sentence: str) -> str:
    """`name` with the article that stands before it in the sentence, if one does."""
    match = re.search(rf"\b(an?|the)\s+{re.escape(name)}(?!\w)", sentence, re.IGNORECASE)
    return f"{match[1].lower()} {name}" if match else name


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
