"""Chinese sentences into claims, by a grammar of clauses over words and their classes.

Chinese marks what English needs a tree for: 被 and 由 name the doer, 把 and 将 the thing done to, 的 ends what
describes a noun, a comma ends a clause, and a subject goes on until the next one. The parser's tree has one vote: which
verb is the main one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tunesmith.data.extract._chinese_words import (
    ADVERBS,
    ASPECTS,
    BELIEFS,
    CHAINS,
    COMPOSED,
    CONDITIONS,
    COVERBS,
    DENIALS,
    DIRECTIVES,
    EXAMPLES,
    JOINING,
    LIGHT,
    LINKS,
    LOCALISERS,
    MODALS,
    QUESTIONS,
    RELATED,
    REPORTS,
    SAME,
    STRONG,
    SUFFIXES,
    UNSURE,
    WAYS,
    is_clause,
    things,
    without_time,
)
from tunesmith.data.extract._text import Claim, Sentence, Token

Words = Sequence[Token]

_PLAIN, _COVERB, _RELATIVE, _CARRIED, _HEDGED = 0.85, 0.85, 0.85, 0.85, 0.6
_LEAST_SCORE = -3.0
_BREAKS = frozenset("，,；;：:。！!…")
_AMOUNT = re.compile(
    r"^(?P<what>.*?[^\d.,/~～-])(?P<amount>[\d.,]+(?:[/~～-][\d.,]+)*\s*(?:%|℃|°C|[a-zA-Z/μ]+|[^\W\d]{1,3})?)$"
)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What holds for every claim of a clause.

    Fields:
        subjects: what it is about.
        negated, hedged, confidence: as in `Claim`.
    """

    subjects: tuple[str, ...]
    negated: bool
    hedged: bool
    confidence: float = _PLAIN

    def claims(self, relation: str, objects: Sequence[str], share: float = 1.0) -> Iterator[Claim]:
        """One claim for each subject and object."""
        sure = self.confidence * share * (_HEDGED if self.hedged else 1.0)
        for subject in self.subjects:
            for thing in objects:
                yield Claim(subject, relation, thing, sure, self.negated, self.hedged)


@dataclass(slots=True)
class _Reading:
    """What goes on from clause to clause of one sentence."""

    subjects: tuple[str, ...] = ()
    hedged: bool = False


def claims(sentence: Sentence) -> list[Claim]:
    """Everything that the sentence states; questions and requests state nothing."""
    words = sentence.tokens
    if any(word.text in QUESTIONS for word in words) or (words and words[0].text in ("请", "感谢", "谢谢")):
        return []
    conditional = any(word.text in CONDITIONS for word in words) or bool(words and words[0].text == "如")
    reading = _Reading(hedged=conditional)
    found: list[Claim] = []
    for i, clause in enumerate(_clauses(words)):
        if not (i and clause and clause[0].text in EXAMPLES):  # `如肝损害、出血` only lists examples
            found += _of_clause(clause, reading)
    return found


def _clauses(words: Words) -> Iterator[list[Token]]:
    """Words between commas, and between `并` and the verb that it joins."""
    clause: list[Token] = []
    for i, word in enumerate(words):
        joins = word.text in JOINING and i + 1 < len(words) and words[i + 1].pos in ("VERB", "ADV", "ADP", "AUX")
        if word.text in _BREAKS or (joins and clause):
            yield clause
            clause = []
        else:
            clause.append(word)
    yield clause


def _of_clause(clause: list[Token], reading: _Reading) -> Iterator[Claim]:
    while clause and clause[0].text in LINKS | CONDITIONS | EXAMPLES:
        clause = clause[1:]
    while clause and clause[-1].text in LOCALISERS | {"。", "，"}:
        clause = clause[:-1]
    if not clause:
        return
    verb = _main_verb(clause)
    if verb is None:
        yield from _without_verb(clause, reading)
    elif clause[verb].text == "是" and clause[-1].text == "的" and verb + 2 < len(clause):
        yield from _of_clause([*clause[:verb], *clause[verb + 1 : -1]], reading)  # `是由老化造成的`
    else:
        yield from _with_verb(clause, verb, reading)


def _main_verb(clause: Words) -> int | None:
    """The word that most speaks for being the predicate; of equals the first."""
    scores = {i: _score(clause, i) for i, word in enumerate(clause) if _can_head(clause, i, word)}
    best = max(scores, key=lambda i: (scores[i], -i), default=None)
    if best is not None and scores[best] > _LEAST_SCORE:
        return best
    ways = [i for i, word in enumerate(clause) if word.text in WAYS and word.pos == "ADP"]
    last = len(clause) - 1
    return last if ways and last > ways[-1] + 1 and clause[last].pos == "NOUN" else None  # `通过总线通信`


def _can_head(clause: Words, i: int, word: Token) -> bool:
    if word.text in MODALS | ASPECTS | COVERBS - {"为", "有"} or (word.text == "为" and _is_suffix(clause, i)):
        return False
    if word.text in STRONG | RELATED or word.pos in ("VERB", "VN"):
        return True
    return i > 0 and word.pos in ("NOUN", "ADJ") and i + 1 < len(clause) and clause[i + 1].text in ("于", "到", "至")


def _is_suffix(clause: Words, i: int) -> bool:
    """Whether word `i` ends the verb before it (`检测到`); 为 before a number is a copula."""
    if i == 0 or i >= len(clause) or clause[i].text not in SUFFIXES:
        return False
    follows = clause[i + 1] if i + 1 < len(clause) else None
    amount = follows is not None and (follows.pos == "NUM" or follows.text.startswith(("每", "约")))
    return clause[i - 1].pos in ("VERB", "VN", "NOUN", "ADJ") and not (clause[i].text == "为" and amount)


def _score(clause: Words, i: int) -> float:
    """How much speaks for word `i` as the predicate of its clause."""
    word, rest = clause[i], [word for word in clause[i + 1 :] if word.text not in ASPECTS]
    more = any(word.pos not in ("ADJ", "ADV") and word.text != "等" for word in rest)
    score = 3.0 * (word.text in STRONG) + 2.0 * more + 1.5 * (word.dep == "root") - 1.0 * (word.pos == "VN")
    score += 4.0 * (word.text in RELATED)
    if rest and word.text not in STRONG | LIGHT | CHAINS and all(w.pos in ("VERB", "VN", "PART") for w in rest):
        score -= 2.0  # `组织检查`, `鉴别诊断` are names
    later = [j for j in range(i + 1, len(clause)) if _can_head(clause, j, clause[j])]
    score += 10.0 * (word.text in REPORTS | BELIEFS and bool(later))
    listed = any(word.text == "、" for word in rest)
    score -= 6.0 * (word.text == "为" and word.pos == "ADP" and not listed and any(j + 1 < len(clause) for j in later))
    if i + 1 < len(clause):
        after = clause[i + 1]
        score += 3.0 * (after.text in ASPECTS or _is_suffix(clause, i + 1)) - 6.0 * (after.text == "的")
        score -= 2.0 * (word.pos == "VN" and after.pos == "NOUN")
        score -= 5.0 * (word.text in ("没有", "没") and after.pos == "VERB")
    owned = any(word.text == "的" for word in clause[i + 2 :])
    score -= 3.0 * owned + 4.0 * (owned and clause[0].text in COVERBS)
    return score + (_score_before(clause, i, more) if i else 0.0)


def _score_before(clause: Words, i: int, more: bool) -> float:
    """What the words before speak for word `i`; `more`: something follows it."""
    before = clause[i - 1]
    score = -5.0 * (before.text == "的")
    score += 3.0 * (before.text in MODALS | DENIALS | UNSURE) + 1.0 * (before.pos == "ADV")
    score += 1.5 * any(word.text in COVERBS for word in clause[:i])
    score -= 4.0 * (before.text in COVERBS - {"被"} and before.pos == "ADP")
    return score - 1.0 * (not more and before.pos in ("NOUN", "VERB", "VN"))


def _without_verb(clause: Words, reading: _Reading) -> Iterator[Claim]:
    """`体温38.9℃` says what something amounts to; of other clauses only what describes a noun is read."""
    yield from _described(clause, reading.hedged)
    text = without_time(_said(clause))
    match = _AMOUNT.match(text)
    if match and any(word.pos == "NUM" for word in clause) and clause[0].pos != "NUM":
        subjects = things(clause[:1]) and (match["what"].strip(),)
        reading.subjects = subjects or reading.subjects
        yield from _Frame(subjects, False, reading.hedged).claims("是", [match["amount"].strip()])
    else:
        reading.subjects = () if clause[0].text in COVERBS else (text,)


def _with_verb(clause: list[Token], verb: int, reading: _Reading) -> Iterator[Claim]:
    before, word, after = clause[:verb], clause[verb], clause[verb + 1 :]
    if word.text in REPORTS | BELIEFS and _main_verb(after) is not None:
        reading.hedged |= word.text in BELIEFS
        inner = list(_of_clause(after, reading))
        if inner or word.text in BELIEFS:
            yield from inner
            return
    elif word.text in BELIEFS:
        reading.hedged = True
    subject, coverbs, adverbs = _left(before)
    yield from _described(subject, reading.hedged)
    own = things(subject)
    if subject and (subject[-1].text in LOCALISERS or subject[-1].text.endswith(("前", "后", "期间", "过程中"))):
        own, subject = (), [*subject, clause[verb]]  # `手术前需要评估` says when, not who
    if any(word.text in MODALS | ASPECTS for word in subject):  # an earlier verb of a row of verbs
        own, subject = (), [*subject, clause[verb]]
    advice = before and before[0].text in DIRECTIVES
    told = not subject and not advice and word.text not in ("包括", "包含")  # which go on about an object
    subjects = own or (reading.subjects if told else ())
    frame = _Frame(
        subjects=subjects,
        negated=any(a.text in DENIALS for a in adverbs) or word.text in ("没有", "无", "没", "未有", "并无"),
        hedged=reading.hedged or any(a.text in UNSURE for a in adverbs),
        confidence=_PLAIN * (1.0 if own else _CARRIED),
    )
    relation, rest = _relation(word, after)
    yield from _described(rest, frame.hedged)
    named = word.text in STRONG or any(part.pos not in ("ADJ", "ADV") for part in rest)  # `恢复正常` names nothing
    objects = things(_without_place(rest)) if named else ()
    yield from _stated(frame, relation, objects, coverbs)
    reading.subjects = own if own and (objects or coverbs) else (_said(clause),) if own else reading.subjects


def _stated(
    frame: _Frame, relation: str, objects: Sequence[str], coverbs: Sequence[tuple[str, list[Token]]]
) -> Iterator[Claim]:
    """The claims of one verb with its objects and the objects of its coverbs."""
    doer = next((things(of) for by, of in coverbs if by in ("由", "被", "受", "经") and of), ())
    passive = any(by == "被" for by, _ in coverbs)
    bare = passive and not doer
    moved = next((things(_without_place(of)) for by, of in coverbs if by in ("把", "将") and of), ())
    plain = relation[:-1] if len(relation) > 2 and relation[-1] in SUFFIXES else relation
    if doer and relation not in COMPOSED:
        for one in doer:
            yield from replace(frame, subjects=(one,)).claims(plain, frame.subjects)
    elif moved:
        yield from frame.claims(plain, moved)
        if objects:
            yield from frame.claims(f"把{moved[0]}{relation}", objects)
    elif objects:
        yield from frame.claims(f"{'被' * bare}{relation}", objects)
    tail = "" if moved or doer else objects[0] if objects else ""
    for by, of in coverbs:
        known = by in ("把", "将", "被") or (by in ("由", "受", "经") and relation not in COMPOSED)
        if not known:
            places = things(_without_place(of))
            yield from frame.claims(f"{by}…{'被' * passive}{relation}{tail}", places, _COVERB)


def _left(before: list[Token]) -> tuple[list[Token], list[tuple[str, list[Token]]], list[Token]]:
    """What stands before the verb: the subject, coverbs with their objects, adverbs."""
    starts = [i for i, word in enumerate(before) if _is_coverb(before, i, word)]
    first = starts[0] if starts else len(before)
    subject, adverbs = _without_adverbs(before[:first])
    while subject and (_is_adverb(subject[0]) or subject[0].text in DIRECTIVES):
        adverbs, subject = [*adverbs, subject[0]], subject[1:]
    if all(word.pos in ("ADJ", "ADV", "PART", "CCONJ") for word in subject):
        subject = []
    coverbs = []
    for start, end in zip(starts, [*starts[1:], len(before)], strict=False):
        of, more = _without_adverbs(before[start + 1 : end])
        adverbs += more
        if before[start].text == "将" and not of:
            continue
        coverbs.append((before[start].text, of))
    return subject, coverbs, adverbs


def _is_coverb(before: Words, i: int, word: Token) -> bool:
    if word.text not in COVERBS or word.text == "有" or (word.text == "于" and _is_suffix(before, i)):
        return False
    if word.text in (
        "和",
        "与",
        "同",
        "跟",
    ):  # "A和B导致C" joins; "A与B通信" goes with the verb only after an adverb or coverb
        return word.pos == "ADP" and i > 0
    return word.pos in ("ADP", "ADV", "VERB", "AUX", "PART") or word.text in ("由", "被", "把", "将", "经")


def _without_adverbs(words: list[Token]) -> tuple[list[Token], list[Token]]:
    """Words without the adverbs, modals and times at their end, and those."""
    end = len(words)
    while end and _is_adverb(words[end - 1]):
        end -= 1
    return words[:end], words[end:]


def _is_adverb(word: Token) -> bool:
    known = MODALS | DENIALS | UNSURE | ADVERBS | LINKS
    return word.pos in ("ADV", "TIME") or word.text in known or word.text.startswith("每")


def _relation(word: Token, after: list[Token]) -> tuple[str, list[Token]]:
    """The verb with what belongs to it (`检测到`, `忘记关闭`), and what follows."""
    text = SAME.get(word.text, word.text)
    while after and text in CHAINS and after[0].pos in ("VERB", "VN"):
        text, after = text + after[0].text, after[1:]
    while after and (after[0].text in ASPECTS or _is_suffix([word, *after], 1)):
        text, after = text + after[0].text * (after[0].text not in ASPECTS), after[1:]
    while after and (after[0].text in ASPECTS or after[0].pos == "ADV"):
        after = after[1:]
    return text, after


def _without_place(words: list[Token]) -> list[Token]:
    """Words without a localiser at the end: `排气歧管上` is the manifold."""
    return words[:-1] if len(words) > 1 and words[-1].text in LOCALISERS - {"时"} else words


def _described(words: Words, hedged: bool) -> Iterator[Claim]:
    """What stands before 的 as a clause says something of the noun after it: `控制流量的阀门`, `由病毒引起的疾病`."""
    ends = [i for i, word in enumerate(words) if word.text == "的"]
    for start, end in zip([0, *(i + 1 for i in ends)], ends, strict=False):
        inner = list(words[start:end])
        while inner and (inner[0].pos == "ADV" or inner[0].text in LINKS | CONDITIONS | {"是"}):
            inner = inner[1:]
        verbs = [i for i, word in enumerate(inner) if word.pos == "VERB" and word.text not in MODALS | COVERBS]
        head = things(words[end + 1 :])
        if verbs and head and is_clause(inner):
            yield from _relative(inner, verbs[-1], head[:1], hedged)


def _relative(inner: list[Token], verb: int, head: tuple[str, ...], hedged: bool) -> Iterator[Claim]:
    subject, coverbs, adverbs = _left(inner[:verb])
    relation, rest = _relation(inner[verb], inner[verb + 1 :])
    doer = next((things(of) for by, of in coverbs if by in ("由", "被") and of), ())
    denied = any(word.text in DENIALS for word in adverbs)
    frame = _Frame(doer or things(subject), denied, hedged, _PLAIN * _RELATIVE)
    if rest and not frame.subjects:
        yield from replace(frame, subjects=head).claims(relation, things(rest))
    elif rest:
        yield from frame.claims(relation, things(rest))
    elif relation not in COMPOSED:
        yield from frame.claims(relation, head)


def _said(words: Words) -> str:
    """Words as they stand, with spaces only between Latin ones."""
    return "".join(w.text + " " * (w.spaced and w.text.isascii()) for w in words).strip()
