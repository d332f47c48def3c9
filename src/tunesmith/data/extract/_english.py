"""English sentences into claims, by rules over the dependency tree (labels of the CLEAR style, as spaCy's models use).

Every verb that heads a clause gives claims about its subjects: with its objects, and with the objects of its
prepositions. A passive with an agent is turned round. What hangs on an `if`, a `may` or somebody's belief is hedged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tunesmith.data.extract._phrases import apposed, conjuncts, is_name, owners, phrase
from tunesmith.data.extract._text import Claim, Sentence

_CLAUSES = ("root", "conj", "relcl", "acl", "advcl", "ccomp", "parataxis", "pcomp", "csubj", "dep")
_SUBJECTS = ("nsubj", "nsubjpass")
_DOUBTS = frozenset(["may", "might", "could", "would"])
_UNSURE = frozenset(["possibly", "probably", "perhaps", "likely", "presumably", "apparently", "allegedly", "maybe"])
_CONDITIONS = frozenset(["if", "unless", "whether", "provided", "assuming"])
_BELIEFS = frozenset(
    ["believe", "suspect", "expect", "think", "assume", "hypothesize", "speculate", "fear", "predict", "seem", "appear"]
)
_PHRASES = frozenset(
    ["addition", "order", "view", "fact", "particular", "contrast", "conclusion", "example", "instance", "general"]
)
"""Objects of prepositions that only link sentences: `in addition`, `in order to`."""
_DENIALS = frozenset(["never", "neither", "nor", "no", "hardly", "without"])
_PLAIN, _FACTOR = 0.9, {"place": 0.9, "relcl": 0.9, "acl": 0.9, "appos": 0.85, "owner": 0.8, "hedged": 0.6, "far": 0.9}
_FAR_WORDS = 15
_SORT = re.compile(r"^(?:type|form|kind|sort|variety|subtype) of ")
"""`a type of seizure` is a seizure."""


@dataclass(frozen=True, slots=True)
class _Clause:
    """A verb with what its claims have in common."""

    verb: int
    words: str
    passive: bool
    negated: bool
    hedged: bool
    confidence: float


def claims(sentence: Sentence) -> list[Claim]:
    """Everything that the sentence states; a question states nothing."""
    tokens = sentence.tokens
    if not tokens or tokens[-1].text.startswith("?"):
        return []
    found: list[Claim] = []
    for i, token in enumerate(tokens):
        if token.pos in ("VERB", "AUX") and token.dep in _CLAUSES:
            found += _of_verb(sentence, i)
        if token.pos in ("NOUN", "PROPN"):
            found += _of_noun(sentence, i)
    return found


def _of_noun(sentence: Sentence, noun: int) -> Iterator[Claim]:
    """What stands beside a noun: an apposition, an owner."""
    for other in apposed(sentence, noun):
        yield Claim(phrase(sentence, noun), "be", phrase(sentence, other), _PLAIN * _FACTOR["appos"])
    for owner in owners(sentence, noun):
        thing = phrase(sentence, noun, without=owner)
        yield Claim(phrase(sentence, owner), "have", thing, _PLAIN * _FACTOR["owner"])


def _of_verb(sentence: Sentence, verb: int) -> Iterator[Claim]:
    """The claims of one verb and of the verbs that it governs (`forget to close`)."""
    passive = _is_passive(sentence, verb)
    subjects = _subjects(sentence, verb)
    clause = _Clause(
        verb=verb,
        words=_words(sentence, verb, passive),
        passive=passive,
        negated=_is_negated(sentence, verb),
        hedged=_is_hedged(sentence, verb),
        confidence=_PLAIN * _FACTOR.get(sentence.tokens[verb].dep, 1.0),
    )
    yield from _complements(sentence, subjects, clause)


def _complements(sentence: Sentence, subjects: list[int], clause: _Clause) -> Iterator[Claim]:
    """Claims about `subjects` from everything that hangs on the clause's verb."""
    verb = clause.verb
    if _there(sentence, verb):
        yield from _existing(sentence, clause)
        return
    if clause.passive:
        active = replace(clause, words=_base(sentence, verb), passive=False)
        agents = [n for by in sentence.below(verb, "agent") for n in _objects_of(sentence, by)]
        yield from (_claim(sentence, (agent, thing), active, active.words) for agent in agents for thing in subjects)
    objects = _objects(sentence, verb)
    yield from (_claim(sentence, (subject, thing), clause, clause.words) for subject in subjects for thing in objects)
    start = clause.words
    if objects and not _is_copula(sentence, verb):
        start = f"{start} {phrase(sentence, objects[0])}"
    denied = clause.negated or any(_is_denied(sentence, thing) for thing in objects)
    beyond = replace(clause, negated=denied, confidence=clause.confidence * _FACTOR["place"])
    places = list(_places(sentence, verb, start))
    yield from (_claim(sentence, (subject, at), beyond, words) for words, at in places for subject in subjects)
    yield from _adjectives(sentence, subjects, clause)
    for deeper in sentence.below(verb, "xcomp"):
        yield from _governed(sentence, subjects, clause, deeper)


def _existing(sentence: Sentence, clause: _Clause) -> Iterator[Claim]:
    """`there are cracks in the housing`: what exists is where the prepositions beside it, or beside the verb, say."""
    for first in sentence.below(clause.verb, "attr", "dobj"):
        for thing in [first, *conjuncts(sentence, first)]:
            name = phrase(sentence, thing, places=False)
            how = replace(clause, negated=clause.negated or _is_denied(sentence, thing))
            places = [*_places(sentence, thing, "be"), *_places(sentence, clause.verb, "be")]
            for words, at in places:
                if words != "be of" and is_name(sentence, at):
                    yield _made(name, phrase(sentence, at), (how, words))


def _governed(sentence: Sentence, subjects: list[int], clause: _Clause, verb: int) -> Iterator[Claim]:
    """The claims of `close` in `the operator forgot to close the gate`, about the operator."""
    token = sentence.tokens[verb]
    if token.pos not in ("VERB", "AUX") or sentence.below(verb, *_SUBJECTS):
        return
    passive = bool(sentence.below(verb, "auxpass"))
    infinitive = any(sentence.tokens[i].lemma.lower() == "to" for i in sentence.below(verb, "aux"))
    inner = _words(sentence, verb, passive) if infinitive else token.text.lower()
    doubt = sentence.tokens[clause.verb].lemma.lower() in _BELIEFS
    for one in [verb, *conjuncts(sentence, verb)]:
        inner = inner if one == verb else _words(sentence, one, passive)
        words = f"{clause.words} {'to ' * infinitive}{inner}"
        negated = clause.negated or bool(sentence.below(one, "neg"))
        below = replace(clause, verb=one, words=words, passive=passive, negated=negated, hedged=clause.hedged or doubt)
        yield from _complements(sentence, subjects, below)


def _adjectives(sentence: Sentence, subjects: list[int], clause: _Clause) -> Iterator[Claim]:
    """`is resistant to penicillin` gives (X, be resistant to, penicillin); without a preposition (X, be, resistant)."""
    for first in sentence.below(clause.verb, "acomp", "oprd"):
        for adjective in [first, *conjuncts(sentence, first)]:
            said = phrase(sentence, adjective, places=False)
            beyond = list(_places(sentence, adjective, f"{clause.words} {said}"))
            for subject in subjects:
                yield from (_claim(sentence, (subject, thing), clause, words) for words, thing in beyond)
                if not beyond and is_name(sentence, subject):
                    yield _made(phrase(sentence, subject), said, (clause, clause.words))


def _subjects(sentence: Sentence, verb: int) -> list[int]:
    """The words that a verb is about, coordinated ones too; for a relative clause the word that it describes."""
    token = sentence.tokens[verb]
    own = [n for first in sentence.below(verb, *_SUBJECTS) for n in [first, *conjuncts(sentence, first)]]
    if token.dep == "relcl" and all(sentence.tokens[n].pos in ("PRON", "DET", "SCONJ") for n in own):
        relative = {sentence.tokens[n].text.lower() for n in own}
        return [token.head] if not own or relative & {"which", "that", "who"} else []
    if own:
        return own
    if token.dep == "acl":  # but `the ability to move` says nothing of an ability
        stated = sentence.tokens[token.head].pos in ("NOUN", "PROPN") and not _lemmas(sentence, verb, "aux") & {"to"}
        return [token.head] if stated else []
    if token.dep == "conj" and sentence.tokens[token.head].pos in ("VERB", "AUX"):
        return _subjects(sentence, token.head)
    return []


def _objects(sentence: Sentence, verb: int) -> list[int]:
    """Direct objects, nouns after `be`, amounts (`fell 4 %`), the described word of `the drug that he takes`."""
    first = sentence.below(verb, "dobj", "attr", "oprd")
    first += [i for i in sentence.below(verb, "npadvmod") if sentence.below(i, "nummod")]
    found = [n for one in first for n in [one, *conjuncts(sentence, one)] if sentence.tokens[n].pos != "ADJ"]
    token = sentence.tokens[verb]
    if token.dep == "relcl" and sentence.tokens[token.head].pos in ("NOUN", "PROPN"):
        told = [n for n in found if sentence.tokens[n].text.lower() in ("which", "that", "whom")]
        own = [n for n in sentence.below(verb, *_SUBJECTS) if is_name(sentence, n)]
        bare = own and not found and not sentence.below(verb, "prep", "acomp")
        if told or (
            bare and "whose" not in {sentence.tokens[i].text.lower() for n in own for i in sentence.children[n]}
        ):
            found = [token.head, *(n for n in found if n not in told)]
    return found


def _places(sentence: Sentence, word: int, start: str) -> Iterator[tuple[str, int]]:
    """(relation, object) for each object of a preposition below `word`; a passive's agent is not one."""
    for prep in sentence.below(word, "prep", "dative"):
        if sentence.tokens[prep].pos in ("ADP", "SCONJ", "ADV", "ADJ", "VERB", "PART"):
            yield from _beyond(sentence, prep, start)


def _beyond(sentence: Sentence, prep: int, start: str) -> Iterator[tuple[str, int]]:
    words = f"{start} {sentence.tokens[prep].text.lower()}"
    named = [thing for thing in _objects_of(sentence, prep) if sentence.tokens[thing].lemma.lower() not in _PHRASES]
    yield from ((words, thing) for thing in named)
    for deeper in sentence.below(prep, "prep", "pcomp"):
        if sentence.tokens[deeper].pos in ("ADP", "SCONJ"):
            yield from _beyond(sentence, deeper, words)
    for other in sentence.below(prep, "conj"):
        yield from _beyond(sentence, other, start)


def _objects_of(sentence: Sentence, prep: int) -> list[int]:
    return [n for first in sentence.below(prep, "pobj") for n in [first, *conjuncts(sentence, first)]]


def _words(sentence: Sentence, verb: int, passive: bool) -> str:
    """The relation without its object: `cause`, `break down`, `be treated`."""
    if not passive:
        return _base(sentence, verb)
    particle = [sentence.tokens[i].text.lower() for i in sentence.below(verb, "prt")]
    return " ".join(["be", sentence.tokens[verb].text.lower(), *particle])


def _base(sentence: Sentence, verb: int) -> str:
    particle = [sentence.tokens[i].text.lower() for i in sentence.below(verb, "prt")]
    return " ".join([sentence.tokens[verb].lemma.lower(), *particle])


def _is_passive(sentence: Sentence, verb: int) -> bool:
    token = sentence.tokens[verb]
    if sentence.below(verb, "nsubjpass", "auxpass"):
        return True
    if token.text.lower().endswith("ing") or token.lemma in ("have", "be") or sentence.below(verb, "nsubj", "aux"):
        return False
    if token.dep == "acl":
        return True
    governed = token.dep == "conj" and _is_passive(sentence, token.head)
    return governed and (bool(sentence.below(verb, "agent")) or not sentence.below(verb, "dobj"))


def _is_copula(sentence: Sentence, verb: int) -> bool:
    return sentence.tokens[verb].lemma.lower() == "be"


def _there(sentence: Sentence, verb: int) -> bool:
    return bool(sentence.below(verb, "expl"))


def _is_negated(sentence: Sentence, verb: int) -> bool:
    """Whether the verb is denied: not, never, neither; for a verb after `nor`, whether the first one is."""
    for i in sentence.children[verb]:
        token = sentence.tokens[i]
        if token.dep == "neg" or (
            token.dep in ("preconj", "advmod", "cc") and token.lemma.lower() in _DENIALS - {"nor"}
        ):
            return True
    token = sentence.tokens[verb]
    linked = {sentence.tokens[i].lemma.lower() for i in sentence.below(token.head, "cc")}
    return token.dep == "conj" and "nor" in linked and _is_negated(sentence, token.head)


def _is_hedged(sentence: Sentence, verb: int) -> bool:
    """Whether this clause, or one that it hangs on, is only possible, conditional or believed."""
    token = sentence.tokens[verb]
    if _lemmas(sentence, verb, "aux") & _DOUBTS or _lemmas(sentence, verb, "advmod") & _UNSURE:
        return True
    clauses = [verb, *sentence.below(verb, "advcl")]
    if any(_lemmas(sentence, one, "mark", "advmod") & _CONDITIONS for one in clauses):
        return True
    head = sentence.tokens[token.head]
    if token.dep in ("ccomp", "xcomp"):
        return head.lemma.lower() in _BELIEFS or _is_hedged(sentence, token.head)
    return token.dep == "conj" and head.pos in ("VERB", "AUX") and _is_hedged(sentence, token.head)


def _lemmas(sentence: Sentence, word: int, *deps: str) -> set[str]:
    below = (sentence.tokens[i] for i in sentence.below(word, *deps))
    return {form for token in below for form in (token.lemma.lower(), token.text.lower())}


def _claim(sentence: Sentence, ends: tuple[int, int], clause: _Clause, words: str) -> Claim:
    """One claim between two words; a pronoun makes it empty, and empty ones are left out later."""
    subject, thing = (phrase(sentence, end) if is_name(sentence, end) else "" for end in ends)
    denied = any(_is_denied(sentence, end) for end in ends)
    far = _FACTOR["far"] if abs(ends[0] - ends[1]) > _FAR_WORDS else 1.0
    clause = replace(clause, negated=clause.negated or denied, confidence=clause.confidence * far)
    return _made(subject, thing, (clause, words))


def _is_denied(sentence: Sentence, name: int) -> bool:
    """`no errors`; `no fever or cough`, `neither fever nor cough` deny both, `no debts and a house` only the first."""
    if _lemmas(sentence, name, "det", "preconj", "neg") & _DENIALS:
        return True
    token = sentence.tokens[name]
    either = _lemmas(sentence, token.head, "cc") & {"or", "nor"}
    return token.dep == "conj" and bool(either) and _is_denied(sentence, token.head)


def _made(subject: str, thing: str, how: tuple[_Clause, str]) -> Claim:
    clause, words = how
    if words == "be":
        thing = _SORT.sub("", thing) or thing
    confidence = clause.confidence * (_FACTOR["hedged"] if clause.hedged else 1.0)
    return Claim(subject, words, thing, confidence, clause.negated, clause.hedged)
