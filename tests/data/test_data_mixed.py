"""Plain text beside labelled rows in one snapshot: it is trained on and judges nothing."""

from __future__ import annotations

from pathlib import Path

from test_data_stage import TABLE, labelled, reason, run, texts, write

from tunesmith.core.examples import read_examples
from tunesmith.core.files import read_json
from tunesmith.core.types import Example, Snapshot
from tunesmith.evaluate.asking import held_out, is_question
from tunesmith.evaluate.spec import EvaluateSpec


def snapshot(root: Path) -> Snapshot:
    """600 labelled rows; a folder with two texts of one name."""
    write(root, "rows.jsonl", labelled(texts(600)))
    for number, name in enumerate(("book/notes.txt", "book/two/notes.txt")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{number} " + " ".join(texts(20, seed=number + 5)), encoding="utf-8")
    return run(root, {"sources": [{**TABLE, "path": "rows.jsonl"}, {"use": "text", "path": "book"}]})


def test_text_passes_g1_goes_into_training_and_is_no_answer_in_the_datasheet(tmp_path: Path) -> None:
    """602 rows; the two texts are training rows: 480 and 2, 60, 60."""
    made = snapshot(tmp_path)
    assert made.gates[0].verdict == "passed" and made.splits == {"train": 482, "valid": 60, "test": 60}
    assert reason(made, "label-coverage").verdict == "passed"
    sheet = read_json(made.file("datasheet.json"))
    assert {label for counts in sheet["labels"].values() for label in counts} == {"good", "bad"}
    assert sheet["sources"][1]["digests"].keys() == {"book/notes.txt", "book/two/notes.txt"}
    kept = [example for example in read_examples(made.file("examples.parquet")) if example.text is not None]
    assert [example.place for example in kept] == ["book/notes.txt", "book/two/notes.txt"]


def test_only_rows_with_a_good_answer_are_questions(tmp_path: Path) -> None:
    made = snapshot(tmp_path)
    asked, left_out = held_out(made, EvaluateSpec(), seed=0)
    assert (len(asked), left_out) == (60, 0)
    assert not is_question(asked[0].model_copy(update={"desirable": False}))
    assert not is_question(Example(id="ex", messages=asked[0].messages[:1]))
