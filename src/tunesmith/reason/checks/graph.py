"""Steps that contradict what the knowledge graph says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Conversation
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.equal import folded, mentions
from tunesmith.reason.steps import Step, sentences

_DENIALS = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|without|isn't|aren't|doesn't|don't|didn't|wasn't|can't|won't)\b|不|没有|未|无"
)
_SMALL = frozenset(
    ["be", "is", "are", "was", "were", "the", "a", "an", "of", "to", "with", "in", "by", "for", "as", "have"]
)
_COLUMNS = ["subject", "relation", "object", "negated", "hedged", "confidence"]


@dataclass(frozen=True)
class Statement:
    """One fact of the graph: what is said of a subject, folded for comparing."""

    subject: str
    relation: str
    object: str
    negated: bool


@dataclass(frozen=True)
class Graph:
    """Steps that say what the knowledge graph denies, deny what it says, or name another object where only one can be.

    A sentence is about a fact when it has the words of its subject, of its relation (by their stems) and of its object.
    Hedged facts are no witnesses.

    Args:
        path: `graph.parquet`, as the data room writes it (see docs/knowledge.md).
        functional: relations that have one object for each subject (`be diagnosed as`).
        at_least: least confidence of a fact, in [0, 1].
    """

    path: str
    functional: tuple[str, ...] = ()
    at_least: float = 0.6

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """One finding for each sentence about a fact, in the order of the text.

        Raises:
            UserError: the file is missing, or holds no triples.
        """
        facts = statements(self.path, self.at_least)
        found = [finding for sentence in sentences(chain.written) for finding in self._sentence(sentence, facts)]
        return found[:200]

    def _sentence(self, sentence: Step, facts: dict[str, tuple[Statement, ...]]) -> Iterable[Finding]:
        plain = folded(sentence.text)
        denied = _DENIALS.search(plain) is not None
        for subject, known in facts.items():
            if not mentions(plain, subject):
                continue
            about = [fact for fact in known if _says(plain, fact.relation)]
            exact = [fact for fact in about if mentions(plain, fact.object)]
            for fact in exact:
                yield _finding(fact, sentence, agrees=fact.negated == denied)
            if not exact and not denied:
                yield from self._other_object(plain, sentence, about, facts)

    def _other_object(
        self, plain: str, sentence: Step, about: Sequence[Statement], facts: dict[str, tuple[Statement, ...]]
    ) -> Iterable[Finding]:
        alone = {folded(relation) for relation in self.functional}
        for fact in about:
            if fact.relation not in alone or fact.negated:
                continue
            others = {one.object for many in facts.values() for one in many if one.relation == fact.relation}
            if any(mentions(plain, other) for other in others - {fact.object}):
                yield _finding(fact, sentence, agrees=False)


def statements(path: str, at_least: float) -> dict[str, tuple[Statement, ...]]:
    """Subject -> its facts, from the file of triples; read again when the file has changed.

    Raises:
        UserError: the file is missing, or holds no triples.
    """
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError:
        hint = "write it with tunesmith.data.knowledge.store.write_parquet, see docs/knowledge.md"
        raise UserError(Problem("missing-file", "there is no knowledge graph here", hint, path)) from None
    return _read(path, at_least, changed)


@lru_cache(maxsize=4)
def _read(path: str, at_least: float, _changed: int) -> dict[str, tuple[Statement, ...]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path, columns=_COLUMNS).to_pylist()
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise UserError(Problem("no-triples", f"this file does not hold triples: {error}", path=path)) from None
    facts: dict[str, dict[Statement, None]] = {}
    for row in rows:
        if row["hedged"] or row["confidence"] < at_least:
            continue
        subject, relation, object_ = (folded(row[name]) for name in _COLUMNS[:3])
        if subject and object_:
            facts.setdefault(subject, {})[Statement(subject, relation, object_, row["negated"])] = None
    return {subject: tuple(known) for subject, known in facts.items()}


def _says(plain: str, relation: str) -> bool:
    """Whether a sentence has the words of a relation, each by its first letters (`treat` in `treated`)."""
    words = [word for word in relation.replace("…", " ").split() if word not in _SMALL]
    return all((word[: max(4, len(word) - 2)] in plain) if word.isascii() else word in plain for word in words)


def _finding(fact: Statement, sentence: Step, *, agrees: bool) -> Finding:
    said = f"{fact.subject} {'not ' if fact.negated else ''}{fact.relation} {fact.object}"
    return Finding(
        check="graph", verdict="for" if agrees else "against", detail=f"the graph has: {said}", span=sentence.span
    )
