"""Rows to learn a graph from: each fact in many words, because a fact seen once is not learnt.

A model that has read a fact in one wording stores it but cannot answer for it; many wordings make it answer (Allen-Zhu
and Li 2023, arXiv:2309.14316). Questions go both ways, because a model that learnt "A is B" does not know "B is A"
(Berglund et al. 2023, arXiv:2309.12288). Wrong answers are objects of the same relation that the graph does not know
to be true of the subject.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tunesmith.core.types import Example, Message
from tunesmith.data.children import child
from tunesmith.data.knowledge.graph import Fact, KnowledgeGraph
from tunesmith.data.knowledge.wording import worded

_TRIES = 50
_ORDER = ("statement", "forward", "backward", "cloze", "yes", "no")
_DENIED_ORDER = ("statement", "denied")


def phrasings(
    graph: KnowledgeGraph, rows: Mapping[str, Example], *, seed: int, per_fact: int = 6, at_least: float = 0.5
) -> Iterator[Example]:
    """`per_fact` rows for each fact: statement, question forward, backward, cloze, true, false, then other words.

    A row carries in `attributes` its `phrasing`, and in `parent` the row that the fact stands in; split, group, source,
    licence and place are the parent's, so a child never leaves its parent's split. A fact without a row of `rows` as
    evidence makes none; a statement is plain text (trained by phases with `rows: text`). The same arguments give the
    same rows.

    Args:
        graph: the facts.
        rows: id -> example: the rows that facts may be learnt from (those of the training split).
        seed: decides wordings and wrong answers; other facts do not change those of a fact but for its wrong answers.
        per_fact: rows for each fact; fewer where a fact cannot be said in so many ways.
        at_least: facts below this confidence are left out.
    """
    facts = [fact for fact in graph.facts() if fact.confidence >= at_least]
    pool = _Pool(graph, facts)
    for fact in facts:
        parent = next((rows[t.evidence.row] for t in fact.triples if t.evidence.row in rows), None)
        if parent is not None:
            dice = random.Random(f"{seed} {fact.id}")
            yield from _rows(fact, parent, (pool.wrong(fact, dice), dice), per_fact)


def _rows(fact: Fact, parent: Example, luck: tuple[str, random.Random], wanted: int) -> Iterator[Example]:
    """The rows of one fact; `luck` is a wrong object (empty: there is none) and what decides the wording."""
    wrong, dice = luck
    made: dict[tuple[str, ...], Example] = {}
    for name, template in _templates(fact, bool(wrong), dice):
        if len(made) == wanted:
            break
        fields = worded(fact).fields()
        if wrong:
            fields["wrong"] = worded(fact, wrong).said
        said = tuple(text.format_map(fields) for text in template)
        made.setdefault(said, _child(parent, said, name))
    yield from made.values()


def _templates(fact: Fact, has_wrong: bool, dice: random.Random) -> Iterator[tuple[str, list[str]]]:
    """(kind, template) in turn through the kinds, each kind's templates in an order of this fact's own."""
    own = _table()["zh" if fact.language.startswith("zh") else "en"]
    kinds = _DENIED_ORDER if fact.negated else _ORDER
    decks = {kind: dice.sample(own[kind], len(own[kind])) for kind in kinds if kind != "no" or has_wrong}
    for turn in range(max(map(len, decks.values()))):
        for kind, deck in decks.items():
            if turn < len(deck):
                yield kind, deck[turn]


class _Pool:
    """What could be said instead: the objects of each relation."""

    def __init__(self, graph: KnowledgeGraph, facts: Sequence[Fact]) -> None:
        self._key = graph.key
        self._true: dict[str, dict[str, None]] = defaultdict(dict)
        self._objects: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
        for fact in facts:
            self._true[graph.key(fact.subject)][graph.key(fact.object)] = None
            self._objects[self._shelf(fact)].setdefault(graph.key(fact.object), fact.object)

    def wrong(self, fact: Fact, dice: random.Random) -> str:
        """An object that others have in this relation and this subject has in none; empty where there is none."""
        subject = self._key(fact.subject)
        true = [subject, *self._true[subject]]
        others = list(self._objects[self._shelf(fact)].items())
        for key, name in dice.sample(others, min(len(others), _TRIES)):
            if not any(key in one or one in key for one in true):  # no `failure` where `kidney failure` is right
                return name
        return ""

    def _shelf(self, fact: Fact) -> tuple[str, str, str]:
        first = fact.triples[0]
        return first.relation_key, first.object_kind, fact.language


def _child(parent: Example, said: Sequence[str], phrasing: str) -> Example:
    messages = [Message(role=role, content=text) for role, text in zip(("user", "assistant"), said, strict=False)]
    return child(parent, messages, attributes={"phrasing": phrasing})


@cache
def _table() -> Any:
    from ruamel.yaml import YAML

    text = (Path(__file__).parent / "phrasings.yaml").read_text(encoding="utf-8")
    return YAML(typ="safe", pure=True).load(text)
