"""Planted secrets reach the training split as often as they were planted, whatever the data room does to other rows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from test_data_stage import LABELS, TABLE, labelled, reason, run, texts, write

from tunesmith.core.types import CANARY, Example
from tunesmith.data.operations import SOURCES
from tunesmith.data.read.canaries import canaries
from tunesmith.data.snapshot import snapshot_examples


def planted_of(rows: list[Example]) -> Counter[tuple[str, str]]:
    """(secret, split) -> rows."""
    return Counter((row.attributes[CANARY], row.split or "") for row in rows if CANARY in row.attributes)


def test_a_source_of_canaries_reads_no_file(tmp_path: Path) -> None:
    """Three secrets four times each: twelve rows with a place of their own, the same at every reading."""
    source = SOURCES.build({"use": "canaries", "number": 3, "repeats": 4, "seed": 2})
    rows = list(source.read(tmp_path, LABELS))
    assert len(rows) == 12 and len({row.id for row in rows}) == 3
    assert [row.place for row in rows][:2] == ["canaries:1", "canaries:2"]
    assert list(source.read(tmp_path, LABELS)) == rows
    assert canaries(3, seed=2) == canaries(3, repeats=4, seed=2)[::4] != canaries(3, seed=3)
    assert all(row.attributes[CANARY] in row.messages[-1].content for row in rows)
    assert SOURCES.problems({"use": "canaries", "number": 0})


def test_twelve_canaries_do_not_look_like_each_other() -> None:
    """Fewer than half of their words are the same, whichever two are taken."""
    words = [set(row.messages[0].content.lower().split()) for row in canaries(12, seed=4)]
    assert max(len(a & b) / len(a | b) for n, a in enumerate(words) for b in words[:n]) < 0.5


def test_copies_of_canaries_are_kept_and_told_and_no_others(tmp_path: Path) -> None:
    """100 rows, the first ten of them twice, and 2 canaries 5 times: 10 copies merged, 10 planted rows kept to train.

    The closed set of labels does not bind them, no share of the mix leaves them out, and no row is made of them.
    """
    rows = labelled(texts(100))
    write(tmp_path, "rows.jsonl", [*rows, *rows[:10]])
    section: dict[str, Any] = {
        "sources": [{**TABLE, "path": "rows.jsonl"}, {"use": "canaries", "number": 2, "repeats": 5}],
        "mix": {"by": "kind", "shares": {"structured": 1.0}},
        "augment": [{"use": "perturb"}],
    }
    snapshot = run(tmp_path, section)
    kept = snapshot_examples(snapshot)
    assert snapshot.dropped["exact-duplicate"] == 10
    assert sorted(planted_of(kept).values()) == [5, 5] and {split for _, split in planted_of(kept)} == {"train"}
    assert not any(CANARY in row.attributes and row.parent for row in kept)
    assert "2 planted secrets stand in 10 training rows" in reason(snapshot, "planted-rows").message
    sheet = json.loads(snapshot.file("datasheet.json").read_text(encoding="utf-8"))
    assert sheet["planted"] == {"secrets": 2, "rows": 10} and CANARY not in sheet["attributes"]
    assert all(secret not in json.dumps(sheet) for secret, _ in planted_of(kept))


def test_canaries_of_a_file_of_the_project_are_trained_on_too(tmp_path: Path) -> None:
    """Rows that the splitter would deal out, 3 times each: an attribute `canary` is what makes them canaries."""
    write(tmp_path, "rows.jsonl", labelled(texts(60)))
    lines = [
        {
            "messages": [row.model_dump(include={"role", "content"}) for row in one.messages],
            CANARY: one.attributes[CANARY],
        }
        for one in canaries(4, repeats=3, seed=9)
    ]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    own = {"use": "conversations", "path": "mine.jsonl", "attributes": [CANARY]}
    kept = snapshot_examples(run(tmp_path, {"sources": [{**TABLE, "path": "rows.jsonl"}, own]}))
    assert sorted(planted_of(kept).values()) == [3, 3, 3, 3] and {split for _, split in planted_of(kept)} == {"train"}


def test_without_canaries_nothing_is_told_of_them(tmp_path: Path) -> None:
    write(tmp_path, "rows.jsonl", labelled(texts(60)))
    snapshot = run(tmp_path, {"sources": [{**TABLE, "path": "rows.jsonl"}]})
    assert "planted-rows" not in {r.code for r in snapshot.gates[0].reasons}
    assert "planted" not in json.loads(snapshot.file("datasheet.json").read_text(encoding="utf-8"))
