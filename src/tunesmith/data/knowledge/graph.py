"""What a set of texts states, as a graph that can be asked: networkx inside, keys outside."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

import networkx as nx

from tunesmith.core.ids import content_id
from tunesmith.core.types import Triple
from tunesmith.data.knowledge.linking import Synonyms, abbreviations
from tunesmith.data.knowledge.normal import phrase_key, relation_key

_MOST_PATHS = 1000


@dataclass(frozen=True)
class Fact:
    """Everything that was said alike: one subject, one relation, one object, said or denied.

    Fields:
        subject, relation, object: as people write them; of several ways the most frequent one.
        negated: these triples deny it.
        triples: where it was said, in the order of adding.
    """

    subject: str
    relation: str
    object: str
    negated: bool
    triples: tuple[Triple, ...]

    @property
    def id(self) -> str:
        """Content id of what is stated, without where."""
        first = self.triples[0]
        parts = [phrase_key(self.subject), first.relation_key, phrase_key(self.object), self.negated]
        return content_id("fact", parts)

    @property
    def confidence(self) -> float:
        """1 minus the product of (1 - confidence) over the different sentences that say it (noisy or), at most 0.999.

        Said twice in the same words counts once: a copied sentence is no second witness.
        """
        best: dict[str, float] = {}
        for triple in self.triples:
            words = phrase_key(triple.evidence.sentence)
            best[words] = max(best.get(words, 0.0), triple.confidence)
        return round(min(0.999, 1.0 - math.prod(1.0 - value for value in best.values())), 6)

    @property
    def hedged(self) -> bool:
        """Whether nobody says it without reserve."""
        return all(triple.hedged for triple in self.triples)

    @property
    def language(self) -> str:
        """BCP 47 code of the first sentence."""
        return self.triples[0].language


@dataclass(frozen=True)
class Conflict:
    """Facts that cannot all be true.

    Fields:
        kind: `several-objects`, of a relation that has one for each subject; `said-and-denied`.
        facts: the facts, in the order of adding.
    """

    kind: str
    facts: tuple[Fact, ...]


class KnowledgeGraph:
    """Triples as a graph: things are nodes, facts are edges, and every fact keeps all its sentences.

    Things are linked by normalised form (`tunesmith.data.knowledge.normal`), by a table of synonyms, and by the
    abbreviations that the sentences explain. The same triples in the same order give the same graph.

    Example:
        graph = KnowledgeGraph.of(triples, synonyms)
        graph.query(relation="be treated with", object="*statin*")
    """

    def __init__(self, synonyms: Synonyms | None = None) -> None:
        self.synonyms = synonyms or Synonyms()
        self._graph: Any = nx.MultiDiGraph()
        self._short = Synonyms()

    @classmethod
    def of(cls, triples: Iterable[Triple], synonyms: Synonyms | None = None) -> KnowledgeGraph:
        """The graph of `triples`; abbreviations are looked for in all their sentences first."""
        graph, found = cls(synonyms), list(triples)
        graph._short = Synonyms.of(_explained(found))
        for triple in found:
            graph.add(triple)
        return graph

    def add(self, triple: Triple) -> None:
        """Add one statement; one that is there already, sentence and place included, is not added twice."""
        start, end = self.key(triple.subject), self.key(triple.object)
        for key, phrase, kind in (
            (start, triple.subject, triple.subject_kind),
            (end, triple.object, triple.object_kind),
        ):
            if key not in self._graph:
                self._graph.add_node(key, phrases=Counter(), kinds=Counter())
            self._graph.nodes[key]["phrases"][phrase] += 1
            if kind:
                self._graph.nodes[key]["kinds"][kind] += 1
        edge = (triple.relation_key, triple.negated)
        if not self._graph.has_edge(start, end, edge):
            self._graph.add_edge(start, end, key=edge, triples={})
        self._graph.edges[start, end, edge]["triples"][triple.model_dump_json()] = triple

    def key(self, phrase: str) -> str:
        """The node that a phrase belongs to, whether or not it is there."""
        return self.synonyms.key(self._short.key(phrase_key(phrase)))

    def name(self, key: str) -> str:
        """How people write a node: its name in the table of synonyms, else its most frequent phrase."""
        phrases = self._graph.nodes[key]["phrases"]
        return self.synonyms.names.get(key) or min(phrases, key=lambda phrase: (-phrases[phrase], len(phrase), phrase))

    def kind(self, key: str) -> str:
        """What a node mostly is in the domain (`symptom`); empty where nobody said."""
        kinds = self._graph.nodes[key]["kinds"]
        return min(kinds, key=lambda kind: (-kinds[kind], kind), default="")

    @property
    def nodes(self) -> list[str]:
        """Keys of all things, in the order of adding."""
        return list(self._graph)

    def triples(self) -> Iterator[Triple]:
        """Every triple, fact by fact."""
        for _, _, data in self._graph.edges(data=True):
            yield from data["triples"].values()

    def facts(self) -> list[Fact]:
        """Every fact, grouped by subject in the order of adding."""
        return [self._fact(*edge) for edge in self._graph.edges(keys=True)]

    def query(self, subject: str | None = None, relation: str | None = None, object: str | None = None) -> list[Fact]:
        """The facts that fit; None fits anything, `*` in a pattern any run of characters.

        Names are compared as things are linked: by normalised form, synonym and abbreviation.
        """
        wanted = None if relation is None else relation_key(relation)
        starts, ends = self._nodes_like(subject), self._nodes_like(object)
        return [
            self._fact(start, end, edge)
            for start, end, edge in self._graph.edges(starts, keys=True)
            if end in ends and (wanted is None or fnmatchcase(edge[0], wanted))
        ]

    def neighbours(self, name: str, hops: int = 1) -> list[Fact]:
        """The facts within `hops` steps of a thing, in either direction; empty where it is unknown."""
        near = {self.key(name)} & set(self._graph)
        found: dict[tuple[str, str, Any], Fact] = {}
        for _ in range(hops):
            edges = [*self._graph.out_edges(near, keys=True), *self._graph.in_edges(near, keys=True)]
            found |= {edge: self._fact(*edge) for edge in edges if edge not in found}
            near |= {end for edge in edges for end in edge[:2]}
        return list(found.values())

    def paths(self, start: str, end: str, at_most: int = 3) -> list[tuple[Fact, ...]]:
        """Chains of facts from one thing to another along their direction, shortest first; denied facts lead nowhere.

        Args:
            start: name of the first thing.
            end: name of the last thing.
            at_most: facts in a chain. Of very many chains the first thousand that are met are given.
        """
        source, target = self.key(start), self.key(end)
        if source not in self._graph or target not in self._graph or source == target:
            return []
        said = nx.subgraph_view(self._graph, filter_edge=lambda a, b, edge: not edge[1])
        met = islice(nx.all_simple_edge_paths(said, source, target, cutoff=at_most), _MOST_PATHS)
        return [tuple(self._fact(*edge) for edge in path) for path in sorted(met, key=len)]

    def merged(self, other: KnowledgeGraph) -> KnowledgeGraph:
        """A new graph with what both say and every sentence of both; linked by both tables of synonyms."""
        both = [*self.triples(), *other.triples()]
        return KnowledgeGraph.of(both, self.synonyms.joined(other.synonyms))

    def conflicts(self, functional: Collection[str] = ()) -> list[Conflict]:
        """Facts that cannot all be true; what is only hedged is no witness.

        Args:
            functional: relations that have one object for each subject (`be diagnosed as`).
        """
        alone = {relation_key(relation) for relation in functional}
        objects: dict[tuple[str, str], list[Fact]] = {}
        said: dict[tuple[str, str, str], list[Fact]] = {}
        for start, end, edge in self._graph.edges(keys=True):
            fact = self._fact(start, end, edge)
            if fact.hedged:
                continue
            said.setdefault((start, end, edge[0]), []).append(fact)
            if edge[0] in alone and not fact.negated:
                objects.setdefault((start, edge[0]), []).append(fact)
        several = [Conflict("several-objects", tuple(facts)) for facts in objects.values() if len(facts) > 1]
        return several + [Conflict("said-and-denied", tuple(facts)) for facts in said.values() if len(facts) > 1]

    def counts(self) -> dict[str, int]:
        """How much is in it: nodes, facts, triples, facts that are negated or hedged."""
        facts = self.facts()
        return {
            "things": len(self._graph),
            "facts": len(facts),
            "triples": sum(len(fact.triples) for fact in facts),
            "negated": sum(fact.negated for fact in facts),
            "hedged": sum(fact.hedged for fact in facts),
        }

    def _fact(self, start: str, end: str, edge: tuple[str, bool]) -> Fact:
        triples = tuple(self._graph.edges[start, end, edge]["triples"].values())
        relations = Counter(triple.relation for triple in triples)
        relation = min(relations, key=lambda text: (-relations[text], text))
        return Fact(self.name(start), relation, self.name(end), edge[1], triples)

    def _nodes_like(self, pattern: str | None) -> Collection[str]:
        if pattern is None:
            return list(self._graph)
        if "*" not in pattern:
            return [key for key in (self.key(pattern),) if key in self._graph]
        wanted = phrase_key(pattern)
        return [key for key in self._graph if fnmatchcase(key, wanted)]


def _explained(triples: list[Triple]) -> Iterator[tuple[str, str]]:
    """(long form, abbreviation) of every sentence, each sentence read once with the phrases found in it."""
    phrases: dict[str, list[str]] = {}
    for triple in triples:
        phrases.setdefault(triple.evidence.sentence, []).extend((triple.subject, triple.object))
    for sentence, found in phrases.items():
        yield from abbreviations(sentence, found)
