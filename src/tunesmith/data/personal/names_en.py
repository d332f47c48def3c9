"""Names of people in Latin letters: lists of names, titles, and the words that announce a name.

A name is found when its words are likely names together: a given name of the list followed by a surname of the list, a
title followed by a capitalised word, or capitalised words after words that announce a name. A given name alone is not
looked for: it tells nobody.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from tunesmith.data.personal.findings import Finding, Part
from tunesmith.data.personal.lists import names_english, stand_ins

_LETTER = "A-Za-zÀ-ÖØ-öø-ɏ"
_WORD = re.compile(
    rf"[A-ZÀ-ÖØ-Þ](?<![{_LETTER}0-9_@-].)(?:[{_LETTER}]|['’](?=[A-Za-z]{{2}})){{0,30}}"  # the capital first: it is rare
    rf"(?:-[A-ZÀ-ÖØ-Þ][{_LETTER}]{{1,30}})?(?![{_LETTER}0-9_@])"
)
_PARTICLE = re.compile(r"(?:(?:van|von|de|der|den|da|dos|del|della|di|la|le|bin|ibn|al|el|ter) ){1,3}")
_ROLES = (
    "patient|customer|client|applicant|contact|employee|account|author|holder|beneficiary|borrower|guarantor|physician|"
    "doctor|nurse|manager|operator|inspector|engineer|technician|supervisor"
)
_ANNOUNCES = re.compile(
    rf"(?:my name is|(?:(?:full|first|last|legal|{_ROLES}) )?name ?(?:is|:|=)|named|signed(?: by)?:?|i am called|"
    rf"this is|prepared by:?|attn:?|attention:?|cc:|from:|to:|(?:{_ROLES}):)[ \t]{{0,3}}$",
    re.IGNORECASE,
)
_ANNOUNCING_ENDS = frozenset({"ed", "by", "tn", "on"})
"""Last letters of what `_ANNOUNCES` matches where that is no sign and no `is`."""
_HINTS = tuple(
    f"{_ROLES}|dear|hi|hello|regards|sincerely|thanks|according to|statement of|interviewed|says|colleague|friend|wife|"
    "neighbour|neighbor|husband|son|daughter|brother|sister|mother|father|spouse|partner|lawyer|teacher|i am|i'm|"
    "called|met|told|ask|asked|said|emailed|phoned|visited|saw|thank|contact|officer|mr|signed".split("|")
)
_SPEAKS = re.compile(
    r" (?:says?|said|told|tells|asked|asks|works?|worked|lives?|lived|logged|paid|called|approved|reported|wrote|"
    r"replied|answered|explained|confirmed|added|has been|is a|joined|sent|signed|moved|bought|thinks|thought|knows|"
    r"agreed|visited|complained|submitted|requested|resigned|was (?:admitted|born|hired|diagnosed|seen|referred))"
    r"(?![A-Za-z])"
)
_FOLLOWING = re.compile(r"[ -]([A-Za-z]{1,20})(?![A-Za-z])")
_ARTICLE = re.compile(r"(?<![A-Za-z])(?:the|a|an|this|each)\s$", re.IGNORECASE)
_LOWER = re.compile(r"(?<![A-Za-z])[a-z]{3,30}(?![A-Za-z])")
_REACH = 32
_ARTICLE_REACH = 7
_MOST_WORDS = 4
_REMEMBERED = 20_000
_NEEDED = 1.3


def english_names(text: str) -> Iterator[Finding]:
    """Names of two to four words, or of one word after a title or an announcement."""
    common = _Small(text)
    given = names_english().given
    for run in _runs(text):
        if len(run) == 1 and run[0][0].lower() not in given:
            continue  # a word alone is a name only where it is announced and a given one
        i = 0
        while i < len(run):
            taken, finding = _name_at(text, run, i, common)
            if finding:
                yield finding
            i += max(1, taken)


class _Small:
    """The words that a text has in small letters; looked for when they are first asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __contains__(self, word: str) -> bool:
        return word in self._words

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(_LOWER.findall(self._text))


Word = re.Match[str]


def _runs(text: str) -> Iterator[list[Word]]:
    """Capitalised words that follow each other with one space, a point and a space, or a particle between."""
    run: list[Word] = []
    for word in _WORD.finditer(text):
        if run and not _joined(text[run[-1].end() : word.start()], run[-1][0]):
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _joined(between: str, before: str) -> bool:
    if between == " ":
        return True
    if between in {". ", "."}:
        return len(before) == 1 or before.lower() in names_english().titles
    return len(between) <= 16 and between.startswith(" ") and bool(_PARTICLE.fullmatch(between[1:]))


def _name_at(text: str, run: Sequence[Word], i: int, common: _Small) -> tuple[int, Finding | None]:
    """(words used, the name that begins at word `i` of the run or None); `common`: words that the text has small."""
    if run[i][0].lower() in names_english().titles and i + 1 < len(run) and len(run[i][0]) > 1:
        count = _name_words(run, i + 1)
        if count and not (i and run[i - 1][0].lower() == "the"):
            return 1 + count, _finding(run[i + 1 : i + 1 + count], titled=True)
        return 1, None
    before = text[max(0, run[i].start() - _REACH) : run[i].start()]
    if _announced(before):
        count = _name_words(run, i)
        if count > (run[i][0].lower() not in names_english().given):
            return count, _finding(run[i : i + count])
    return _listed(text, run, i, common, before=before)


def _name_words(run: Sequence[Word], i: int) -> int:
    """How many words from `i` on can be a name that a title or an announcement leads to, at most four."""
    lists = names_english()
    count = 0
    for word in run[i : i + _MOST_WORDS]:
        initial = len(word[0]) == 1 and word.string[word.end() : word.end() + 1] == "."
        if not initial and (_barred(word[0]) or word[0].lower() in lists.titles):
            break
        count += 1
    following = run[i + count][0] if i + count < len(run) else ""
    return 0 if following.lower() in lists.organisations or _invented(following) else count


def _listed(text: str, run: Sequence[Word], i: int, common: _Small, *, before: str) -> tuple[int, Finding | None]:
    """A name by the lists: given name, at most two middle names or initials, surname; the longest that is likely.

    Args:
        text: the whole text.
        run: capitalised words in a row; the name begins at word `i`.
        i: see `run`.
        common: words that the text also has in small letters: unlisted ones are no names.
        before: what stands before, which speaks for a name or against it.
    """
    lists = names_english()
    first = _look(run[i][0]).as_given(common)
    if not first or (i and run[i - 1][0].lower() in lists.place_prefixes):
        return 1, None
    said = _said(before)
    for size in range(min(_MOST_WORDS, len(run) - i), 1, -1):
        words = run[i : i + size]
        last = _look(words[-1][0]).as_surname(common)
        if not last or not all(_look(word[0]).middle for word in words[1:-1]):
            continue
        more = 0.5 * bool(_SPEAKS.match(text, words[-1].end())) + 0.4 * any(len(word[0]) == 1 for word in words[1:-1])
        likely = first + last + _pinyin(words) + said + more >= _NEEDED
        if likely and _next_word(text, words[-1]) not in lists.organisations:
            return size, _finding(words)
    return 1, None


def _announced(before: str) -> bool:
    """Whether words that announce a name end `before`; the ends are looked at first, for the pattern is slow."""
    end = before.rstrip()[-2:].lower()
    return (end[-1:] in {":", "=", "s"} or end in _ANNOUNCING_ENDS) and bool(_ANNOUNCES.search(before))


def _said(before: str) -> float:
    """How much what stands before a word speaks for a name (positive) or against it."""
    return 0.5 * _hinted(before) - 0.6 * bool(_ARTICLE.search(before[-_ARTICLE_REACH:]))


def _hinted(before: str) -> bool:
    """Whether a word that goes before names ends `before`: with at most a comma or colon, two spaces, a line's end."""
    words = before.rstrip()
    space = len(before) - len(words)
    if not space or space > 2 + before.endswith("\n"):
        return False
    return (words[:-1] if words.endswith((",", ":")) else words).lower().endswith(_HINTS)


def _next_word(text: str, word: Word) -> str:
    """The word after `word`, in lower case; empty where none follows after a space or hyphen."""
    following = _FOLLOWING.match(text, word.end())
    return following[1].lower() if following else ""


def _barred(word: str) -> bool:
    """Whether the word is in no name: a function word, a part of an organisation's name, a stand-in."""
    low, lists = word.lower(), names_english()
    return low in lists.never or low in lists.organisations or _invented(word)


@dataclass(frozen=True, slots=True)
class _Look:
    """How much a word looks like parts of a name, whatever stands around it.

    Fields:
        low: the word as the lists have it.
        given: 1 listed, 0.6 listed but also a word, 0.4 unknown or an initial, 0 no name; `given_listed`.
        surname: 1 listed, 0.5 listed but also a word, 0.4 unknown, 0 no name; `surname_listed`: known as any name.
        middle: whether it can stand between the two.
    """

    low: str
    given: float
    given_listed: bool
    surname: float
    surname_listed: bool
    middle: bool

    def as_given(self, common: _Small) -> float:
        """`given`; nothing for an unlisted word that the text also has in small letters."""
        return self.given if self.given_listed or not self.given or self.low not in common else 0.0

    def as_surname(self, common: _Small) -> float:
        """`surname`; nothing for an unlisted word that the text also has in small letters."""
        return self.surname if self.surname_listed or not self.surname or self.low not in common else 0.0


@lru_cache(maxsize=_REMEMBERED)
def _look(word: str) -> _Look:
    """What a word looks like; capitalised words come again and again, so the last ones are remembered."""
    lists, low = names_english(), _plain(word)
    given, surname = _as_given(word, low), _as_surname(word, low)
    listed = (low in lists.given or low in lists.surnames) and low not in lists.never
    middle = listed or (len(word) == 1 and word != "I")
    known = low in lists.given or _is_surname(low)
    return _Look(low, given, low in lists.given, surname, known, middle)


def _as_given(word: str, low: str) -> float:
    lists = names_english()
    if _barred(word) or low in lists.place_prefixes or low in lists.titles:
        return 0.0
    if low in lists.given:
        return 0.6 if low in lists.words else 1.0
    return 0.6 if low in lists.surnames and low not in lists.words else 0.4


def _as_surname(word: str, low: str) -> float:
    lists = names_english()
    listed = _is_surname(low)
    if len(word) < 2 or low in lists.titles or _invented(word):
        return 0.0
    if low in lists.never or low in lists.organisations:  # Hall and May are surnames after a sure given name
        return 0.3 if listed else 0.0
    if listed:
        return 0.5 if low in lists.words else 1.0
    return 0.6 if low in lists.given else 0.4


def _is_surname(low: str) -> bool:
    surnames = names_english().surnames
    parts = [part for part in re.split(r"[-'’]", low) if len(part) > 1]
    return re.sub("['’]", "", low) in surnames or any(part in surnames for part in parts)


def _plain(word: str) -> str:
    """In lower case and without accents, as the lists have it."""
    low = word.lower()
    if low.isascii():
        return low
    return "".join(c for c in unicodedata.normalize("NFKD", low) if not unicodedata.combining(c))


_SYLLABLES = re.compile(
    r"(?:(?:[bpmfdtnlgkhjqxryw]|[zcs]h?)?(?:iang|iong|uang|ang|eng|ian|iao|ing|ong|uai|uan|ai|an|ao|ei|en|er|ia|ie|in|iu|"
    r"ou|ua|ue|ui|un|uo|a|e|i|o|u)){1,2}"
)


def _pinyin(words: Sequence[Word]) -> float:
    """0.8 where one of two words is a Chinese surname in pinyin and the other is one or two syllables."""
    if len(words) != 2:
        return 0.0
    one, two = (word[0].lower() for word in words)
    lists = names_english()
    pairs = [(one, two), (two, one)]
    fits = any(a in lists.pinyin_surnames and b not in lists.words and _SYLLABLES.fullmatch(b) for a, b in pairs)
    return 0.8 if fits else 0.0


def _invented(word: str) -> bool:
    lists = stand_ins()
    return word.title() in lists.surnames or word.title() in lists.given


def _finding(words: Sequence[Word], *, titled: bool = False) -> Finding:
    parts: list[Part] = [("given", word[0].lower()) for word in words]
    if titled or len(words) > 1:
        parts[-1] = ("surname", words[-1][0].lower())
    return Finding("name", words[0].start(), words[-1].end(), tuple(parts))
