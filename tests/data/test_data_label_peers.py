"""What is written for Label Studio and Argilla, read by their own client libraries; and what theirs write, by us.

pip install --no-deps --target FOLDER label-studio-sdk argilla (and what they import), and FOLDER in PYTHONPATH
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from label_desks import labelled, queue
from test_data_label_exchange import SAID, TEXTS, bring, votes

from tunesmith.data.label import argilla, label_studio
from tunesmith.data.label.desk import Desk
from tunesmith.records.labels import Draft

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Four rows, labelled by three; rules have said something of the first."""
    made = labelled(queue(tmp_path / "first", TEXTS), SAID)
    body = {"label": "yes", "probability": 0.75, "sure": False, "threshold": 0.9, "votes": {}}
    made.write(lambda board: [Draft("rule", board.rows[0], body)])
    return made


@pytest.fixture
def empty(tmp_path: Path) -> Desk:
    """The same rows, with an open round and nobody's labels."""
    other = queue(tmp_path / "second", TEXTS, people=[])
    other.open_round()
    return other


def test_label_studio_takes_our_tasks(desk: Desk, empty: Desk) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(label_studio.config(desk))
    interface.validate()
    tasks = json.loads(json.dumps(label_studio.written(desk, with_labels=True)))
    regions = 0
    for task in tasks:
        assert interface.validate_task({"data": task["data"]})
        for annotation in task["annotations"]:
            assert interface.validate_annotation(annotation)
            regions += len(annotation["result"])
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []
    assert regions == 10 and sum(len(task["predictions"]) for task in tasks) == 1
    wrong = json.loads(json.dumps(tasks[0]["annotations"][0]))
    wrong["result"][0]["value"]["choices"] = ["perhaps"]
    assert not interface.validate_annotation(wrong)  # it does look at labels


def test_we_take_what_label_studio_makes(empty: Desk) -> None:
    """An annotation by their own builder, in the form in which they export it."""
    objects = pytest.importorskip("label_studio_sdk.label_interface.objects")
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(label_studio.config(empty))
    region = interface.get_control("label").label(label=["maybe"])
    made = objects.AnnotationValue(completed_by=7, result=[region]).model_dump(mode="json", by_alias=True)
    task = {"data": label_studio.written(empty, with_labels=False)[1]["data"], "annotations": [made]}
    told = bring(empty, json.loads(json.dumps([task])), "label-studio")
    assert (told["labels"], told["people"]) == (1, 1)


def test_argilla_takes_our_records_and_we_take_theirs(desk: Desk, empty: Desk, tmp_path: Path) -> None:
    """Read and written again by their own code, every row still has the same labels."""
    theirs: Any = pytest.importorskip("argilla.records._io._json").JsonIO
    ours, back = tmp_path / "ours.json", tmp_path / "back.json"
    ours.write_text(json.dumps(argilla.written(desk, with_labels=True)), encoding="utf-8")
    records = theirs._records_from_json(ours)
    assert [record.id for record in records] == list(desk.board.rows)
    assert [record.fields["text"] for record in records] == TEXTS
    assert sum(len(list(record.responses)) for record in records) == 10
    (suggestion,) = records[0].suggestions
    assert (suggestion.question_name, suggestion.value, suggestion.score) == ("label", "yes", 0.75)
    assert {response.status.value for record in records for response in record.responses} == {"submitted"}
    theirs.to_json(records, back)
    told = bring(empty, json.loads(back.read_text(encoding="utf-8")), "argilla")
    assert (told["labels"], told["people"]) == (10, 3)
    empty.close_round(anyway="some are missing")
    assert votes(empty) == votes(desk)
