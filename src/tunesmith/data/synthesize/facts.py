"""Rows from what the training rows state: every fact in many words, without a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tunesmith.core.errors import Problem
from tunesmith.core.protocols import Context
from tunesmith.core.shelf import Shelf
from tunesmith.core.spec import Use
from tunesmith.core.types import Drop, Example, Refusal, Triple
from tunesmith.data.synthesize import _checks as checks
from tunesmith.data.synthesize._yield import Yield

_STEP = "synthesize.facts"
_EXTRACTORS = Shelf("extractors", "tunesmith.data.extract")


@dataclass(frozen=True)
class Facts:
    """Statement, questions forward and backward, gap, true and false: rows from the triples of the training rows.

    A fact seen once is not learnt (Allen-Zhu and Li 2023, arXiv:2309.14316), see the page on knowledge. How right the
    rows are is how right the triples are. The attribute `phrasing` says which kind a row is.

    Args:
        extract: extractors that read the triples, as in `data.extract`.
        rows_per_fact: rows made from each fact; 6 is one of every kind.
        at_least: confidence below which a fact makes no rows (0.5 leaves out hedged ones).
        synonyms: table of names that mean the same, as in `data.facts.synonyms`.
    """

    extract: tuple[Use, ...] = (Use(use="dependency"),)
    rows_per_fact: Annotated[int, Field(ge=1, le=20)] = 6
    at_least: Annotated[float, Field(ge=0, le=1)] = 0.5
    synonyms: str = ""

    def check(self, root: Path) -> list[Problem]:
        """What is wrong with the extractors' settings."""
        return [replace(p, path="extract") for use in self.extract for p in _EXTRACTORS.problems(use)]

    def outside(self, root: Path) -> dict[str, str]:
        """The digests of the table of synonyms and of the extractors' own files."""
        from tunesmith.data.knowledge.tables import synonyms_outside

        found = synonyms_outside(self.synonyms, root)
        for use in self.extract:
            extractor = _EXTRACTORS.build(use)
            found |= extractor.outside(root) if hasattr(extractor, "outside") else {}
        return found

    def make(self, rows: Iterable[Example], context: Context) -> Iterator[Example | Drop]:
        """See `tunesmith.core.protocols.Maker`."""
        from tunesmith.data.knowledge.extraction import opened, triples_of
        from tunesmith.data.knowledge.graph import KnowledgeGraph
        from tunesmith.data.knowledge.phrasing import phrasings
        from tunesmith.data.knowledge.tables import open_synonyms

        readers = opened(self.extract, context.root)
        synonyms = open_synonyms(self.synonyms, context.root, events=context.events)
        count, found, parents = Yield(_STEP), list[Triple](), dict[str, Example]()
        for row in rows:
            if stated := triples_of(row, readers):
                found += stated
                parents[row.id] = row
        count.sources = len(parents)
        graph = KnowledgeGraph.of(found, synonyms)
        count.asked = self.rows_per_fact * sum(fact.confidence >= self.at_least for fact in graph.facts())
        made = phrasings(graph, parents, seed=context.seed, per_fact=self.rows_per_fact, at_least=self.at_least)
        for row in made:
            refusal = _refused(row)
            yield count.keep(row) if refusal is None else count.drop(parents[str(row.parent)], refusal)
        count.end(context)


def _refused(row: Example) -> Refusal | None:
    """Texts of broken triples: a question that is no question, an answer that is empty; statements pass."""
    said = [message.content for message in row.messages]
    return None if len(said) < 2 else checks.good_question(said[0]) or checks.good_answer(said[0], said[1])
