"""From rows to a graph: every extractor reads the training rows, and the graph is written beside the snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Context, Extractor
from tunesmith.core.spec import Use
from tunesmith.core.types import Example, Triple
from tunesmith.data.knowledge.draw import write_picture
from tunesmith.data.knowledge.graph import KnowledgeGraph
from tunesmith.data.knowledge.linking import Synonyms, read_synonyms
from tunesmith.data.knowledge.phrasing import phrasings
from tunesmith.data.knowledge.spec import Facts
from tunesmith.data.knowledge.store import write_graphml, write_parquet
from tunesmith.data.operations import EXTRACTORS
from tunesmith.data.read._files import locate

_STAGE = "data"
_SHOWN_CONFLICTS = 20

Reader = Callable[[str], list[Triple]]


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


def extracted(examples: Iterable[Example], uses: Sequence[Use], facts: Facts, *, context: Context) -> Extraction:
    """Read the training rows with every extractor, build the graph, make rows from it.

    Held-out rows are not read: what they say must not come into training by way of the graph. Writes `graph.parquet`,
    `graph.graphml` and `graph.html` into `context.out`.

    Raises:
        UserError: an extractor cannot be built or opened, or the table of synonyms cannot be read.
    """
    readers = opened(uses, context.root)
    synonyms = read_synonyms(locate(context.root, facts.synonyms)) if facts.synonyms else Synonyms()
    training = (example for example in examples if example.split == "train")
    found: list[Triple] = []
    parents: dict[str, Example] = {}
    rows = without = 0
    for example in context.events.track(training, _STAGE, "reading what rows state"):
        of_row = triples_of(example, readers)
        rows, without = rows + 1, without + (not of_row)
        found += of_row
        if of_row and facts.rows_per_fact:
            parents[example.id] = example
    graph = KnowledgeGraph.of(found, synonyms)
    made = phrasings(graph, parents, seed=context.seed, per_fact=facts.rows_per_fact, at_least=facts.at_least)
    children = list(made) if facts.rows_per_fact else []
    write_parquet(graph, context.out / "graph.parquet")
    write_graphml(graph, context.out / "graph.graphml")
    write_picture(graph, context.out / "graph.html")
    told = {"rows_read": rows, "rows_without_triples": without, **_told(graph, facts), "rows_made": len(children)}
    context.events.tell("note", _STAGE, f"{told['facts']:,} facts about {told['things']:,} things")
    return Extraction(graph, children, told)


def opened(uses: Sequence[Use], root: Path) -> list[Reader]:
    """The readers of all extractors; a worker of another process opens its own from the same arguments.

    Raises:
        UserError: everything that is wrong with any of them, all at once.
    """
    readers, problems = [], list[Problem]()
    for i, use in enumerate(uses):
        try:
            extractor: Extractor = EXTRACTORS.build(use, where=f"data.extract[{i}]")
            readers.append(extractor.open(root))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return readers


def triples_of(example: Example, readers: Iterable[Reader]) -> list[Triple]:
    """The triples of everything that people said in a row, with row, turn and place."""
    found = []
    for turn, message in enumerate(example.messages):
        if message.role in ("user", "assistant") and message.content:
            place = {"row": example.id, "turn": turn, "place": example.place}
            for triple in (triple for read in readers for triple in read(message.content)):
                found.append(triple.model_copy(update={"evidence": triple.evidence.model_copy(update=place)}))
    return found


def _told(graph: KnowledgeGraph, facts: Facts) -> dict[str, Any]:
    conflicts = graph.conflicts(facts.functional)
    shown = [[f"{f.subject} {'not ' * f.negated}{f.relation} {f.object}" for f in c.facts] for c in conflicts]
    return {
        **graph.counts(),
        "by_extractor": dict(sorted(Counter(triple.extractor for triple in graph.triples()).items())),
        "conflicts": len(conflicts),
        "first_conflicts": shown[:_SHOWN_CONFLICTS],
    }
