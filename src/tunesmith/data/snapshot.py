"""The snapshot's files: rows, drops, and the datasheet that says what this data is."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.examples import read_examples, write_examples
from tunesmith.core.files import write_json, write_text
from tunesmith.core.types import Drop, Example, Snapshot, Split
from tunesmith.data.similarity import normalised
from tunesmith.data.split import SPLITS
from tunesmith.data.texts import GENERAL, questions

_MOST_VALUES = 100


def write_snapshot(folder: Path, examples: Sequence[Example], drops: Sequence[Drop], sheet: dict[str, Any]) -> None:
    """Write `examples.parquet`, `drops.jsonl`, `datasheet.json` and `datasheet.md` into `folder`.

    The same arguments give the same bytes; nothing in these files depends on when or where they were made.
    """
    write_examples(folder / "examples.parquet", examples)
    lines = [json.dumps(drop.model_dump(), ensure_ascii=False) for drop in drops]
    write_text(folder / "drops.jsonl", "".join(line + "\n" for line in lines))
    write_json(folder / "datasheet.json", sheet)
    write_text(folder / "datasheet.md", as_markdown(sheet))


def snapshot_examples(snapshot: Snapshot, split: Split | None = None) -> list[Example]:
    """The rows of a snapshot that was opened from the run store; of one split if asked."""
    return read_examples(snapshot.file("examples.parquet"), split)


def datasheet(
    snapshot: Snapshot, examples: Sequence[Example], *, sources: Sequence[dict[str, Any]], shares: dict[str, Any]
) -> dict[str, Any]:
    """What a reader must know before using this data, as JSON values (after Gebru et al. 2021, arXiv:1803.09010).

    Args:
        snapshot: the counts.
        examples: the rows that were kept.
        sources: per source use, path, licence, rows, digest, notes.
        shares: per split `asked` and `reached`.

    Answers and attributes are those of the domain; of general rows only their number is told.
    """
    own = [example for example in examples if example.split != GENERAL]
    general = snapshot.splits.get(GENERAL, 0)
    rows: dict[str, Any] = {split: {"rows": snapshot.splits.get(split, 0), **shares[split]} for split in SPLITS}
    return {
        "rows_in": snapshot.rows_in,
        "kept": snapshot.kept,
        "dropped": dict(snapshot.dropped),
        "changed": dict(snapshot.changed),
        "sources": list(sources),
        "splits": rows | ({GENERAL: {"rows": general, "asked": None, "reached": None}} if general else {}),
        "groups": snapshot.groups,
        "labels": _by_split([(e.split, e.reference) for e in own if e.text is None]),
        "attributes": {
            name: _by_split([(e.split, e.attributes[name]) for e in own if name in e.attributes])
            for name in sorted({name for e in own for name in e.attributes})
        },
        "contradictions": _contradictions(examples),
        "leakage": snapshot.leakage,
        "known_gaps": _known_gaps(snapshot, examples, sources),
    }


def _by_split(values: list[tuple[Split | None, str]]) -> dict[str, dict[str, int]]:
    """Split -> value -> rows; empty where there are more than a hundred values (free text, numbers)."""
    if len({value for _, value in values}) > _MOST_VALUES:
        return {}
    count: dict[str, Counter[str]] = defaultdict(Counter)
    for split, value in values:
        count[split or ""][value] += 1
    return {split: dict(sorted(count[split].items())) for split in SPLITS if split in count}


def _contradictions(examples: Sequence[Example]) -> int:
    """Questions that were given more than one target."""
    said: dict[str, set[str]] = defaultdict(set)
    for example, question in zip(examples, questions(examples), strict=True):
        if example.target is not None:
            said[question].add(normalised(example.target))
    return sum(len(targets) > 1 for targets in said.values())


def _known_gaps(snapshot: Snapshot, examples: Sequence[Example], sources: Sequence[dict[str, Any]]) -> list[str]:
    gaps = []
    unlicensed = [s["path"] or s["use"] for s in sources if not s["licence"]]
    if unlicensed:
        gaps.append(f"no licence is stated for {', '.join(unlicensed)} (set `licence:` on the source)")
    if snapshot.leakage.get("threshold") is None:
        gaps.append("near-duplicates were not looked for (data.duplicates.near is null)")
    if examples and all(e.group is None for e in examples if e.split != GENERAL):
        gaps.append("no groups are given: rows about one person or case may stand in several splits")
    gaps.append("nobody looked for personal data")
    return gaps


def as_markdown(sheet: dict[str, Any]) -> str:
    """The datasheet for people."""
    lines = [
        "# Datasheet",
        "",
        f"{sheet['rows_in']:,} rows in, {sheet['kept']:,} kept, {sheet['groups']:,} groups.",
        "",
    ]
    lines += _table("Sources", ["source", "rows", "licence", "read as", "SHA-256"], _source_cells(sheet["sources"]))
    splits = [[s, v["rows"], v["asked"], v["reached"]] for s, v in sheet["splits"].items()]
    lines += _table("Splits", ["split", "rows", "share asked", "share reached"], splits)
    lines += _table("Dropped", ["reason", "rows"], [[k, v] for k, v in sheet["dropped"].items()])
    lines += _table("Changed", ["operation", "rows"], [[k, v] for k, v in sheet["changed"].items()])
    lines += _table("Answers", ["answer", *SPLITS], _value_cells(sheet["labels"]))
    for name, values in sheet["attributes"].items():
        lines += _table(f"Attribute {name}", [name, *SPLITS], _value_cells(values))
    held = [[s, *(sheet["leakage"][s][k] for k in ("rows", "exact", "near"))] for s in ("valid", "test")]
    lines += _table("Held-out questions that stand in training", ["split", "rows", "exact", "near"], held)
    lines += [f"Questions with more than one target: {sheet['contradictions']:,}.", "", "## Known gaps", ""]
    lines += [f"- {gap}" for gap in sheet["known_gaps"]]
    return "\n".join(lines) + "\n"


def _source_cells(sources: Sequence[dict[str, Any]]) -> list[list[Any]]:
    read_as = [", ".join(f"{name} ({n:,})" for name, n in s["notes"].items()) for s in sources]
    return [
        [s["path"] or s["use"], s["rows"], s["licence"] or "not stated", how, ", ".join(s["digests"].values())]
        for s, how in zip(sources, read_as, strict=True)
    ]


def _value_cells(by_split: dict[str, dict[str, int]]) -> list[list[Any]]:
    values = sorted({value for counts in by_split.values() for value in counts})
    return [[value, *(by_split.get(split, {}).get(value, 0) for split in SPLITS)] for value in values]


def _table(title: str, head: list[str], rows: list[list[Any]]) -> list[str]:
    if not rows:
        return []
    text = [[" ".join(str("" if cell is None else cell).replace("|", "\\|").split()) for cell in row] for row in rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *text]]
    return [f"## {title}", "", *lines, ""]
