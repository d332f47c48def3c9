"""From rows to a graph: every extractor reads the training rows, and the graph is written beside the snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Context, Extractor
from tunesmith.core.spec import Use
from tunesmith.core.types import Example, Triple
from tunesmith.data.knowledge.draw import write_picture
from tunesmith.data.knowledge.graph import KnowledgeGraph
from tunesmith.data.knowledge.spec import Links
from tunesmith.data.knowledge.store import write_graphml, write_parquet
from tunesmith.data.knowledge.tables import open_synonyms
from tunesmith.data.operations import EXTRACTORS

_STAGE = "data"
_SHOWN_CONFLICTS = 20

Reader = Callable[[str], list[Triple]]


def extracted(examples: Iterable[Example], uses: Sequence[Use], links: Links, *, context: Context) -> dict[str, Any]:
    """Read training rows with every extractor and build the graph; how many facts are told, as JSON values.

    Writes `graph.parquet`, `graph.graphml` and `graph.html` into `context.out`.

    Args:
        examples: training rows only: what held-out rows say must not come into training by way of the graph.
        uses: the extractors.
        links: how triples are linked.
        context: `root`, `out` and `events` are used.

    Raises:
        UserError: an extractor cannot be built or opened, or the table of synonyms cannot be read.
    """
    readers = opened(uses, context.root)
    synonyms = open_synonyms(links.synonyms, context.root, events=context.events)
    found: list[Triple] = []
    rows = without = 0
    for example in context.events.track(examples, _STAGE, "reading what rows state"):
        of_row = triples_of(example, readers)
        rows, without = rows + 1, without + (not of_row)
        found += of_row
    graph = KnowledgeGraph.of(found, synonyms)
    write_parquet(graph, context.out / "graph.parquet")
    write_graphml(graph, context.out / "graph.graphml")
    write_picture(graph, context.out / "graph.html")
    told = {"rows_read": rows, "rows_without_triples": without, **_told(graph, links)}
    context.events.tell("note", _STAGE, f"{told['facts']:,} facts about {told['things']:,} things")
    return told


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
            for triple in (triple for read in readers for triple in _read(read, example, turn)):
                found.append(triple.model_copy(update={"evidence": triple.evidence.model_copy(update=place)}))
    return found


def _read(read: Reader, example: Example, turn: int) -> list[Triple]:
    """What one reader finds in a turn; a reader that knows records is told what the last question's answer is."""
    message = example.messages[turn]
    answered: Callable[[str, str], list[Triple]] | None = getattr(read, "answered", None)
    if answered is None or message.role != "user" or turn + 2 != len(example.messages):
        return read(message.content)
    return answered(message.content, example.reference)


def _told(graph: KnowledgeGraph, links: Links) -> dict[str, Any]:
    conflicts = graph.conflicts(links.functional)
    shown = [[f"{f.subject} {'not ' * f.negated}{f.relation} {f.object}" for f in c.facts] for c in conflicts]
    return {
        **graph.counts(),
        "by_extractor": dict(sorted(Counter(triple.extractor for triple in graph.triples()).items())),
        "conflicts": len(conflicts),
        "first_conflicts": shown[:_SHOWN_CONFLICTS],
    }
