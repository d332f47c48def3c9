"""The snapshot's files: rows, drops, and the datasheet that says what this data is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.examples import read_examples
from tunesmith.core.files import write_json, write_text
from tunesmith.core.types import CANARY, Example, Snapshot, Split
from tunesmith.data.index import SPLITS
from tunesmith.data.leak import KINDS
from tunesmith.data.spec import DataSpec
from tunesmith.data.texts import GENERAL

_MOST_VALUES = 100


class _Values:
    """Split -> value -> rows; gives up where there are more than a hundred values (free text, numbers)."""

    def __init__(self) -> None:
        self._count: dict[str, Counter[str]] = defaultdict(Counter)
        self._values: set[str] = set()

    def add(self, split: Split | None, value: str) -> None:
        """One more row."""
        if len(self._values) <= _MOST_VALUES:
            self._values.add(value)
            self._count[split or ""][value] += 1

    def told(self) -> dict[str, dict[str, int]]:
        """The counts; empty where there are too many values."""
        if len(self._values) > _MOST_VALUES:
            return {}
        return {split: dict(sorted(self._count[split].items())) for split in SPLITS if split in self._count}


class Description:
    """What a datasheet tells of rows, gathered row by row; of general rows only their number and kind.

    Planted secrets are counted (`planted`: secret -> rows) and not described: they are no rows of the domain.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.kinds: Counter[str] = Counter()
        self.planted: Counter[str] = Counter()
        self._labels = _Values()
        self._attributes: dict[str, _Values] = defaultdict(_Values)
        self._without_group = self._own = 0

    def add(self, example: Example) -> None:
        """One more row that was kept."""
        self.rows += 1
        self.kinds[example.kind] += 1
        planted = example.split == "train" and CANARY in example.attributes
        if planted:
            self.planted[example.attributes[CANARY]] += 1
        if planted or example.split == GENERAL:
            return
        self._own += 1
        self._without_group += example.group is None
        if example.text is None:
            self._labels.add(example.split, example.reference)
        for name, value in example.attributes.items():
            self._attributes[name].add(example.split, value)

    @property
    def ungrouped(self) -> bool:
        """Whether no row of the domain has a group."""
        return self._without_group == self._own

    @property
    def labels(self) -> dict[str, dict[str, int]]:
        """Split -> answer -> rows of the domain that have an answer."""
        return self._labels.told()

    @property
    def attributes(self) -> dict[str, dict[str, dict[str, int]]]:
        """Attribute -> split -> value -> rows of the domain."""
        return {name: self._attributes[name].told() for name in sorted(self._attributes)}


def write_datasheet(folder: Path, sheet: dict[str, Any]) -> None:
    """Write `datasheet.json` and `datasheet.md`; nothing in them depends on when or where they were made."""
    write_json(folder / "datasheet.json", sheet)
    write_text(folder / "datasheet.md", as_markdown(sheet))


def snapshot_examples(snapshot: Snapshot, split: Split | None = None) -> list[Example]:
    """The rows of a snapshot that was opened from the run store; of one split if asked."""
    return read_examples(snapshot.file("examples.parquet"), split)


def datasheet(
    snapshot: Snapshot,
    told: Description,
    *,
    spec: DataSpec,
    sources: Sequence[dict[str, Any]],
    shares: dict[str, Any],
) -> dict[str, Any]:
    """What a reader must know before using this data, as JSON values (after Gebru et al. 2021, arXiv:1803.09010).

    Args:
        snapshot: the counts.
        told: of the rows that were kept.
        spec: the section that made them.
        sources: per source use, path, licence, kind, rows, digest, notes.
        shares: per split `asked` and `reached`.
    """
    general = snapshot.splits.get(GENERAL, 0)
    rows: dict[str, Any] = {split: {"rows": snapshot.splits.get(split, 0), **shares[split]} for split in SPLITS}
    return {
        "rows_in": snapshot.rows_in,
        "made": snapshot.made,
        "kept": snapshot.kept,
        "dropped": dict(snapshot.dropped),
        "changed": dict(snapshot.changed),
        "operations": [tally.model_dump() for tally in snapshot.tallies],
        "sources": list(sources),
        "kinds": dict(sorted(told.kinds.items())),
        "splits": rows | ({GENERAL: {"rows": general, "asked": None, "reached": None}} if general else {}),
        "groups": snapshot.groups,
        "labels": told.labels,
        "attributes": told.attributes,
        "personal_data": _personal(sources),
        "leakage": snapshot.leakage,
        "known_gaps": _known_gaps(snapshot, told, spec, sources),
    }


def _personal(sources: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Class -> pieces of personal data that cleaners found in all sources."""
    found = Counter[str]()
    for source in sources:
        found.update(source["found"])
    return dict(sorted(found.items()))


def _known_gaps(snapshot: Snapshot, told: Description, spec: DataSpec, sources: Sequence[dict[str, Any]]) -> list[str]:
    gaps = list(spec.gaps)
    unlicensed = [s["path"] or s["use"] for s in sources if not s["licence"]]
    if unlicensed:
        gaps.append(f"no licence is stated for {', '.join(unlicensed)} (set `licence:` on the source)")
    without = [s["path"] or s["use"] for s in sources if not s["consent"]]
    if without:
        gaps.append(f"nothing is said of consent for {', '.join(without)} (set `consent:` on the source)")
    if not spec.public_tests:
        gaps.append("no public test set was looked for in the training rows (data.public_tests)")
    if snapshot.leakage.get("threshold") is None:
        gaps.append("near-duplicates were not looked for (data.duplicates.near is null)")
    silent = sum(snapshot.leakage.get(split, {}).get("without_vector", 0) for split in ("valid", "test"))
    if silent:
        gaps.append(f"{silent:,} held-out questions are in a language that the encoder of data.leaks does not know")
    if told.rows and told.ungrouped:
        gaps.append("no groups are given: rows about one person or case may stand in several splits")
    if not any(use.use.startswith("personal") for use in (*spec.clean, *spec.filter)):
        gaps.append("nobody looked for personal data")
    return gaps


def as_markdown(sheet: dict[str, Any]) -> str:
    """The datasheet for people."""
    lines = [
        "# Datasheet",
        "",
        f"{sheet['rows_in']:,} rows in, {sheet['made']:,} made, {sheet['kept']:,} kept, {sheet['groups']:,} groups.",
        "",
    ]
    sources = ["source", "rows", "licence", "consent", "read as", "SHA-256"]
    lines += _table("Sources", sources, _source_cells(sheet["sources"]))
    splits = [[s, v["rows"], v["asked"], v["reached"]] for s, v in sheet["splits"].items()]
    lines += _table("Splits", ["split", "rows", "share asked", "share reached"], splits)
    operations = ["operation", "rows in", "made", "kept", "dropped", "merged"]
    lines += _table("Operations", operations, _operation_cells(sheet))
    lines += _table("Dropped", ["reason", "rows"], [[k, v] for k, v in sheet["dropped"].items()])
    lines += _table("Changed", ["operation", "rows"], [[k, v] for k, v in sheet["changed"].items()])
    lines += _table("Answers", ["answer", *SPLITS], _value_cells(sheet["labels"]))
    for name, values in sheet["attributes"].items():
        lines += _table(f"Attribute {name}", [name, *SPLITS], _value_cells(values))
    lines += _table("Personal data found", ["class", "pieces"], [[k, v] for k, v in sheet["personal_data"].items()])
    lines += _table("Held-out questions that stand in training", ["of", "rows", *KINDS], _leak_cells(sheet["leakage"]))
    planted = sheet.get("planted", {})
    lines += _table("Planted to test what is memorised", ["what", "number"], [[k, v] for k, v in planted.items()])
    mix = [[name, *(v[k] for k in ("rows", "asked", "before", "reached"))] for name, v in sheet.get("mix", {}).items()]
    lines += _table("Mix of the training rows", ["share of", "rows", "asked", "before", "reached"], mix)
    spent = [[step, ", ".join(f"{k} {v}" for k, v in told.items())] for step, told in sheet.get("yields", {}).items()]
    lines += _table("What makers asked for, spent and kept", ["operation", "told"], spent)
    tasks = sheet.get("tasks", {}).get("tasks", {})
    lines += _table("Tasks of the training rows", ["task type", "rows"], [[k, v] for k, v in tasks.items()])
    facts = {name: value for name, value in sheet.get("facts", {}).items() if isinstance(value, int | float)}
    lines += _table("Facts read out of the training rows", ["what", "number"], [[k, v] for k, v in facts.items()])
    lines += [f"Questions with more than one target: {sheet['contradictions']:,}.", "", "## Known gaps", ""]
    lines += [f"- {gap}" for gap in sheet["known_gaps"]]
    return "\n".join(lines) + "\n"


def _operation_cells(sheet: dict[str, Any]) -> list[list[Any]]:
    return [
        [o["step"], o["rows_in"], o["made"], o["kept"], sum(o["dropped"].values()), sum(o["merged"].values())]
        for o in sheet["operations"]
    ]


def _source_cells(sources: Sequence[dict[str, Any]]) -> list[list[Any]]:
    read_as = [", ".join(f"{name} ({n:,})" for name, n in s["notes"].items()) for s in sources]
    cells = []
    for source, how in zip(sources, read_as, strict=True):
        stated = [source[name] or "not stated" for name in ("licence", "consent")]
        digests = ", ".join(source["digests"].values())
        cells.append([source["path"] or source["use"], source["rows"], *stated, how, digests])
    return cells


def _leak_cells(leakage: dict[str, Any]) -> list[list[Any]]:
    """A line for each held-out split and public test set; a dash where a kind was not looked for."""
    held = {split: leakage[split] for split in ("valid", "test")} | leakage.get("public", {})
    return [
        [name, found["rows"], *("-" if found["kinds"][kind] is None else found["kinds"][kind] for kind in KINDS)]
        for name, found in held.items()
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
