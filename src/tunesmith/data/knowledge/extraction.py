"""From rows to a graph: every extractor reads the training rows, and the graph is written beside the snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.protocols import Context, Extractor
from tunesmith.core.shelf import Shelf
from tunesmith.core.spec import Use
from tunesmith.core.types import Example, Triple
from tunesmith.data.knowledge.draw import write_picture
from tunesmith.data.knowledge.graph import KnowledgeGraph
from tunesmith.data.knowledge.linking import Synonyms, read_synonyms
from tunesmith.data.knowledge.phrasing import phrasings
from tunesmith.data.knowledge.spec import Facts
from tunesmith.data.knowledge.store import write_graphml, write_parquet
from tunesmith.data.read._files import locate

EXTRACTORS = Shelf("extractors", "tunesmith.data.extract")
_STAGE = "data"
_SHOWN_CONFLICTS = 20


@dataclass(frozen=True)
class Extraction:
    """What extraction gives.

    Fields:
        graph: everything that was found.
        rows: rows made from facts, empty unless `rows_per_fact` is set.
        told: counts and conflicts as JSON values, for the datasheet.
    """

    graph: KnowledgeGraph
    rows: list[Example] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)


def extracted(examples: Sequence[Example], uses: Sequence[Use], facts: Facts, *, context: Context) -> Extraction:
    """Read the training rows with every extractor, build the graph, make rows from it.

    Held-out rows are not read: what they say must not come into training by way of the graph. Writes `graph.parquet`,
    `graph.graphml` and `graph.html` into `context.out`.

    Raises:
        UserError: an extractor cannot be built or opened, or the table of synonyms cannot be read.
    """
    readers = [_opened(use, i, context) for i, use in enumerate(uses)]
    synonyms = read_synonyms(locate(context.root, facts.synonyms)) if facts.synonyms else Synonyms()
    training = [example for example in examples if example.split == "train"]
    found: list[Triple] = []
    without = 0
    for example in context.events.track(training, _STAGE, "reading what rows state", total=len(training)):
        of_row = [triple for reader in readers for triple in _of_row(example, reader)]
        without += not of_row
        found += of_row
    graph = KnowledgeGraph.of(found, synonyms)
    by_id = {example.id: example for example in training}
    rows: list[Example] = []
    if facts.rows_per_fact:
        rows = list(phrasings(graph, by_id, seed=context.seed, per_fact=facts.rows_per_fact, at_least=facts.at_least))
    write_parquet(graph, context.out / "graph.parquet")
    write_graphml(graph, context.out / "graph.graphml")
    write_picture(graph, context.out / "graph.html")
    told = _told(graph, facts, training, without) | {"rows_made": len(rows)}
    context.events.tell("note", _STAGE, f"{told['facts']:,} facts about {told['things']:,} things", **told)
    return Extraction(graph, rows, told)


def _opened(use: Use, number: int, context: Context) -> Callable[[str], list[Triple]]:
    extractor: Extractor = EXTRACTORS.build(use, where=f"data.extract[{number}]")
    return extractor.open(context.root)


def _of_row(example: Example, read: Callable[[str], list[Triple]]) -> Iterable[Triple]:
    """The triples of everything that people said in a row, with row, turn and place."""
    for turn, message in enumerate(example.messages):
        if message.role in ("user", "assistant") and message.content:
            for triple in read(message.content):
                place = {"row": example.id, "turn": turn, "place": example.place}
                yield triple.model_copy(update={"evidence": triple.evidence.model_copy(update=place)})


def _told(graph: KnowledgeGraph, facts: Facts, training: Sequence[Example], without: int) -> dict[str, Any]:
    conflicts = graph.conflicts(facts.functional)
    shown = [[f"{f.subject} {'not ' * f.negated}{f.relation} {f.object}" for f in c.facts] for c in conflicts]
    return {
        "rows_read": len(training),
        "rows_without_triples": without,
        **graph.counts(),
        "by_extractor": dict(sorted(Counter(triple.extractor for triple in graph.triples()).items())),
        "conflicts": len(conflicts),
        "first_conflicts": shown[:_SHOWN_CONFLICTS],
    }
