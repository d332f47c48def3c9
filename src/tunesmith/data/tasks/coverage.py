"""How much of the catalogue a set of rows covers, and whether it covers what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field

from tunesmith.core.types import Example, Noun, Reason, VerdictName
from tunesmith.data.tasks.catalogue import UNKNOWN, families, task_types
from tunesmith.data.tasks.classify import Classifier, Tag

CODE = "task-coverage"


class Coverage(Noun):
    """Counts of tagged rows.

    Fields:
        rows: rows that were looked at; `texts` of them are plain text, which is no task.
        tasks: task type -> rows, types with rows only, most frequent first; `families` likewise.
        unknown: rows whose task nobody could tell.
        by: what told it -> rows.
        of: rows there are; more than `rows` where evenly spread ones stand for all.
    """

    rows: int
    texts: int = 0
    tasks: dict[str, int] = Field(default_factory=dict)
    families: dict[str, int] = Field(default_factory=dict)
    unknown: int = 0
    by: dict[str, int] = Field(default_factory=dict)
    of: int

    @property
    def tagged(self) -> int:
        """Rows that are a task, known or not."""
        return self.rows - self.texts

    @property
    def unknown_share(self) -> float:
        """Share of `unknown` among the rows that are a task; 0 where there are none."""
        return self.unknown / self.tagged if self.tagged else 0.0

    def rows_of(self, name: str) -> int:
        """Rows of a task type or a family, scaled to all rows where only some were looked at."""
        found = self.tasks.get(name, 0) or self.families.get(name, 0)
        return round(found * self.of / self.rows) if self.rows else 0


def coverage(rows: Iterable[Example], classifier: Classifier, *, at_most: int, of: int) -> Coverage:
    """Tag rows and count.

    Args:
        rows: all rows, in order.
        classifier: tells the tasks.
        at_most: rows that are looked at; of more, every n-th.
        of: how many rows there are.
    """
    tags = classifier.tag(_spread(rows, at_most, of))
    return covered(tags, of=of)


def covered(tags: Iterable[Tag | None], *, of: int | None = None) -> Coverage:
    """The counts of some tags; None stands for a plain text."""
    family_of = {task.id: task.family for task in task_types()}
    tasks, by, rows, texts = Counter[str](), Counter[str](), 0, 0
    for tag in tags:
        rows += 1
        if tag is None:
            texts += 1
        else:
            tasks[tag.task] += 1
            by[tag.by] += 1
    unknown = tasks.pop(UNKNOWN, 0)
    grouped = Counter[str]()
    for task, count in tasks.items():
        grouped[family_of[task]] += count
    return Coverage(
        rows=rows, texts=texts, tasks=_most_first(tasks), families=_most_first(grouped), unknown=unknown,
        by=_most_first(by), of=rows if of is None else of,
    )  # fmt: skip


def coverage_reason(found: Coverage, *, must: Mapping[str, int], unknown: float = 1.0) -> Reason:
    """What gate G1 says: are the tasks that must be there covered by enough rows, and is the rest known?

    Failed: a type or family of `must` has fewer rows, or more than the share `unknown` of the rows are unknown. With
    nothing asked for it passes and tells the counts. Unknown: something is asked for, and no row is a task.

    Args:
        found: the counts.
        must: task type or family -> fewest rows.
        unknown: largest share of unknown rows.
    """
    lacking = {name: {"rows": found.rows_of(name), "wanted": n} for name, n in must.items() if found.rows_of(name) < n}
    verdict: VerdictName = "failed" if lacking or found.unknown_share > unknown else "passed"
    if must and not found.tagged:
        verdict = "unknown"
    return Reason(code=CODE, message=_message(found, lacking, unknown), verdict=verdict, evidence=told(found, must))


def told(found: Coverage, must: Mapping[str, int]) -> dict[str, Any]:
    """The counts as JSON values, with what is asked for and what is not there at all."""
    absent = [family.id for family in families() if family.id not in found.families]
    asked = {name: {"rows": found.rows_of(name), "wanted": wanted} for name, wanted in must.items()}
    share = round(found.unknown_share, 4)
    return {**found.model_dump(), "unknown_share": share, "families_without_rows": absent, "asked": asked}


def _message(found: Coverage, lacking: Mapping[str, Mapping[str, int]], unknown: float) -> str:
    message = (
        f"{len(found.tasks)} of {len(task_types())} task types in {found.tagged:,} rows, "
        f"{found.unknown:,} unknown ({found.unknown_share:.1%})"
    )
    if lacking:
        few = [f"{name} {counts['rows']:,} of {counts['wanted']:,}" for name, counts in lacking.items()]
        message += f"; too few rows: {', '.join(few[:5])}" + (f" and {len(few) - 5} more" if len(few) > 5 else "")
    if found.unknown_share > unknown:
        message += f"; at most {unknown:.1%} may be unknown"
    return message


def _spread(rows: Iterable[Example], at_most: int, of: int) -> Iterator[Example]:
    """`at_most` rows, evenly spread: row n is taken where n x at_most / of passes a whole number."""
    for number, row in enumerate(rows):
        if of <= at_most or (number + 1) * at_most // of > number * at_most // of:
            yield row


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
