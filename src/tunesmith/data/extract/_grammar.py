"""Patterns that people write, as expressions that cannot run away.

`{role}` is a place for a name or a list of names, `(a|b)` one of several texts, `[a|b]` the same or nothing; all else
is text. Nothing else has a meaning, so nobody can write an expression that backtracks without end: a place holds at
most eight names of at most six words (English) or twenty characters (Chinese), and only places repeat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.data.extract._text import Claim
from tunesmith.data.knowledge.normal import ARTICLES

_PIECE = re.compile(r"\{(?P<role>[^{}]*)\}|\((?P<one>[^()\[\]{}]*)\)|\[(?P<maybe>[^()\[\]{}]*)\]|(?P<stray>[{}()\[\]])")
_TOKEN = re.compile(r"[\w$€£%°#](?:[\w'’/%°-]|[.,](?=\w))*|[^\w\s]")
_SPACE_IN_HAN = re.compile("(?<=[\u3400-\u9fff]) +| +(?=[\u3400-\u9fff])")
_CONFIDENCE, _DOUBT = 0.8, 0.6
_MOST_NAMES, _MOST_WORDS, _MOST_CHARACTERS = 8, 6, 20

_STOP = (
    "that|which|who|whom|whose|if|when|while|because|since|although|but|is|are|was|were|be|been|has|have|had|and|or|then|"
    "so|may|might|can|could|will|would|should|must|not|do|does|did|for|during|after|before|by|within|from|with|as|than|"
    "often|usually|commonly|typically|also|mainly|generally|frequently|sometimes"
)
_WORD = rf"(?!(?:{_STOP}) )[\w$€£%°#]\S* "
_CHARACTER = r"(?!以及|或者|等|(?<!饱)和(?!度|解|平)|或|及|的?症状)[\w.%℃-]"
_NO_START = "包括|包含|为|是"
"""In `肺炎的治疗包括阿莫西林` nothing is treated with `肺炎的`, and `包括阿莫西林` is no name."""
_NAME = {
    "en": rf"(?:{_WORD}){{1,{_MOST_WORDS}}}",
    "zh": rf"(?!{_NO_START})(?:{_CHARACTER}){{1,{_MOST_CHARACTERS}}}?(?<!的)",
}
_JOINT = {"en": "(?:, and |, or |and |or |, )", "zh": "(?:、|以及|或者|和|或|及)"}
_BETWEEN = {
    "en": "(?:(?:may|might|can|could|will|would|should|do|does|did|not|cannot|often|usually|commonly|also) ){0,4}",
    "zh": "(?:可能|通常|往往|一般|不会|不能|没有|并不|也|都|均|常|多|会|能|不|未){0,3}",
}
"""What may stand after a place, and after a form of `be`, besides the pattern's own text."""
_VERBS = frozenset(["is", "are", "was", "were", "be", "been", "can", "has", "have", "had"])
_START = {"en": "(?:^|(?<= ))", "zh": r"(?:^|(?<=[^\w]))"}
_END = {"en": "", "zh": r"(?=[^\w]|$)"}
_DENIED = {"en": re.compile(r"\b(?:not|cannot|no|never)\b"), "zh": re.compile("不|没有|未")}
_DOUBTED = {"en": re.compile(r"\b(?:may|might|could|would|if)\b"), "zh": re.compile("可能|疑似|如果|若|或许")}
_LEAD = {
    "en": re.compile(rf"^(?:(?:{'|'.join(sorted(ARTICLES))}|some|such|in|on|at|to) )+", re.IGNORECASE),
    "zh": re.compile("^(?:该|此|本|这种|一种|患者|病人|出现|若|如果|当|因为|由于|但|而|因此|所以)+(?=.)"),
}


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a domain's chain: the role of the subject, the relation, the role of the object."""

    subject: str
    relation: str
    object: str


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern: the expression, and the roles in the order of their places."""

    expression: re.Pattern[str]
    roles: tuple[str, ...]
    language: str

    def claims(self, sentence: str, links: Sequence[Link]) -> Iterator[tuple[Claim, Link]]:
        """A claim for every pair of names found whose roles are a step of the chain.

        Args:
            sentence: as `prepared` makes it.
            links: the chain.
        """
        for match in self.expression.finditer(sentence):
            names = {role: self._names(match[f"r{i}"]) for i, role in enumerate(self.roles)}
            rest = _besides_names(match, len(self.roles)).lower()
            denied, doubted = bool(_DENIED[self.language].search(rest)), bool(_DOUBTED[self.language].search(rest))
            yield from paired(names, links, (_CONFIDENCE * (_DOUBT if doubted else 1.0), denied, doubted))

    def _names(self, text: str) -> list[str]:
        names = (_LEAD[self.language].sub("", name).strip() for name in re.split(_JOINT[self.language], text))
        return [name for name in names if name]


def paired(
    names: Mapping[str, Sequence[str]], links: Sequence[Link], how: tuple[float, bool, bool]
) -> Iterator[tuple[Claim, Link]]:
    """A claim for each link and each pair of names in its two roles; `how` is confidence, negated, hedged."""
    for link in links:
        for subject in names.get(link.subject, ()):
            for thing in names.get(link.object, ()):
                yield Claim(subject, link.relation, thing, *how), link


def prepared(sentence: str, language: str) -> str:
    """A sentence as patterns read it: English with one space after every word and mark, Chinese without spaces."""
    if language == "zh":
        return _SPACE_IN_HAN.sub("", sentence)
    return "".join(f"{word} " for word in _TOKEN.findall(sentence))


def compiled(text: str, language: str, *, roles: Sequence[str], where: str) -> Pattern:
    """The pattern that `text` describes.

    Raises:
        UserError: a bracket stands alone, a role is unknown or named twice, or there are fewer than two.
    """
    pieces, found, start = [_START[language]], list[str](), 0
    for match in _PIECE.finditer(text):
        pieces.append(_literal(text[start : match.start()], language))
        start = match.end()
        if match["stray"]:
            raise _wrong(f"'{match['stray']}' at character {match.start() + 1} has no partner", text, where)
        if match["role"] is None:
            pieces.append(_choice(match["one"] or match["maybe"] or "", language, match["maybe"] is not None))
            continue
        if match["role"] not in roles or match["role"] in found:
            hint = did_you_mean(match["role"], [role for role in roles if role not in found])
            raise _wrong(f"there can be no place for '{match['role']}' here", text, where, hint)
        pieces.append(_place(len(found), language))
        found.append(match["role"])
    pieces += [_literal(text[start:], language), _END[language] * text.rstrip().endswith("}")]
    if len(found) < 2:
        raise _wrong("a pattern needs places for two roles", text, where)
    return Pattern(re.compile("".join(pieces), re.IGNORECASE), tuple(found), language)


def _place(number: int, language: str) -> str:
    name, joint = _NAME[language], _JOINT[language]
    return f"(?P<r{number}>{name}(?:{joint}{name}){{0,{_MOST_NAMES - 1}}}){_BETWEEN[language]}"


def _literal(text: str, language: str) -> str:
    if language == "zh":
        return re.escape("".join(text.split()))
    return "".join(re.escape(word) + " " + _BETWEEN["en"] * (word in _VERBS) for word in text.split())


def _choice(text: str, language: str, optional: bool) -> str:
    options = "|".join(_literal(option, language) for option in text.split("|"))
    return f"(?:{options}){'?' * optional}"


def _besides_names(match: re.Match[str], places: int) -> str:
    """The parts of what was matched that are no names."""
    spans = sorted(match.span(f"r{i}") for i in range(places))
    starts = [match.start(), *(end for _, end in spans)]
    ends = [*(start for start, _ in spans), match.end()]
    return " ".join(match.string[a:b] for a, b in zip(starts, ends, strict=True))


def _wrong(message: str, text: str, where: str, hint: str = "known: {role}, (one|other), [perhaps]") -> UserError:
    return UserError(Problem("broken-pattern", message, hint, where, value=text))
