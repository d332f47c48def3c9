"""Label Studio's and Argilla's JSON: their keys, round trips, and files that were made to hurt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from label_desks import labelled, queue

from tunesmith.core.errors import UserError
from tunesmith.data.label import argilla, exchange, label_studio
from tunesmith.data.label.desk import Desk

TEXTS = ["one <b>&</b>", "two\nlines", "三", "four"]
SAID = {"ann": "ynmy", "bob": "nn-y", "cyd": "yyy."}


def bring(desk: Desk, value: Any, form: str) -> dict[str, Any]:
    people = {argilla.user_id(person): person for person in desk.labels.names(desk.queue)}
    parsed = argilla.parsed(value, "f", people) if form == "argilla" else label_studio.parsed(value, "f")
    return exchange.bring(desk, parsed, "f")


def votes(desk: Desk) -> dict[str, list[str]]:
    """Text -> the labels that were given, sorted: what does not depend on ids."""
    return {desk.examples[row].messages[0].content: sorted(said.values()) for row, said in desk.board.votes().items()}


def test_a_task_of_label_studio_has_the_keys_of_its_documentation(tmp_path: Path) -> None:
    desk = labelled(queue(tmp_path, TEXTS), SAID)
    task = label_studio.written(desk, with_labels=True)[0]
    assert task["data"] == {"text": TEXTS[0], "tunesmith_row": desk.board.rows[0]}
    annotation = task["annotations"][0]
    assert {"id", "completed_by", "result", "was_cancelled", "ground_truth", "created_at"} <= set(annotation)
    (result,) = annotation["result"]
    assert {k: result[k] for k in ("from_name", "to_name", "type")} == {
        "from_name": "label",
        "to_name": "text",
        "type": "choices",
    }
    assert result["value"]["choices"][0] in ("yes", "no")
    view = ElementTree.fromstring(label_studio.config(desk))
    assert [c.get("value") for c in view.iter("Choice")] == ["yes", "no", "maybe"]
    (text,) = view.iter("Text")
    assert (text.get("name"), text.get("value")) == ("text", "$text")


def test_a_record_of_argilla_has_the_keys_of_to_json(tmp_path: Path) -> None:
    desk = labelled(queue(tmp_path, TEXTS), SAID)
    record = argilla.written(desk, with_labels=True)[0]
    assert list(record) == ["id", "fields", "metadata", "suggestions", "responses", "vectors", "status", "_server_id"]
    assert record["fields"] == {"text": TEXTS[0]}
    assert {"value", "user_id", "status"} == set(record["responses"]["label"][0])
    assert record["responses"]["label"][0]["status"] == "submitted"
    assert len({r["user_id"] for r in record["responses"]["label"]}) == 3


@pytest.mark.parametrize("form", ["label-studio", "argilla"])
def test_what_is_written_comes_back_the_same(tmp_path: Path, form: str) -> None:
    """Through JSON text into a queue of the same rows: every row the same labels, every person one person."""
    first = labelled(queue(tmp_path / "a", TEXTS), SAID)
    module: Any = argilla if form == "argilla" else label_studio
    value = json.loads(json.dumps(module.written(first, with_labels=True)))
    second = queue(tmp_path / "b", TEXTS, people=[])
    second.open_round()
    told = bring(second, value, form)
    assert (told["labels"], told["people"]) == (10, 3)
    assert told["skips"] == (1 if form == "label-studio" else 0)  # Argilla's files know no skipped rows
    again = bring(second, value, form)
    assert (again["labels"], again["unchanged"]) == (0, 10 + told["skips"])
    second.close_round(anyway="some are missing")
    assert votes(second) == votes(first)


@pytest.mark.parametrize("form", ["label-studio", "argilla"])
def test_people_who_are_known_here_keep_their_id(tmp_path: Path, form: str) -> None:
    desk = labelled(queue(tmp_path, TEXTS), SAID)
    module: Any = argilla if form == "argilla" else label_studio
    value = module.written(desk, with_labels=True)
    desk.open_round()
    before = set(desk.labels.names("q"))
    bring(desk, value, form)
    assert set(desk.labels.names("q")) == before


def test_without_labels_nothing_gives_them_away(tmp_path: Path) -> None:
    desk = labelled(queue(tmp_path, TEXTS), SAID)
    for module in (argilla, label_studio):
        assert not any(word in json.dumps(module.written(desk, with_labels=False)) for word in ("yes", "SECRET", "p-"))


def test_rows_are_found_by_their_text_where_the_id_was_lost(tmp_path: Path) -> None:
    desk = queue(tmp_path, TEXTS)
    desk.open_round()
    choice = {"type": "choices", "from_name": "x", "to_name": "y", "value": {"choices": ["no"]}}
    task = {"data": {"text": " two lines "}, "annotations": [{"completed_by": 7, "result": [choice]}]}
    assert bring(desk, [task], "label-studio")["labels"] == 1
    assert "label-studio:7" in desk.labels.names("q").values()


def task(**changed: Any) -> Callable[[Desk], Any]:
    def made(desk: Desk) -> Any:
        choice = {"type": "choices", "from_name": "label", "to_name": "text", "value": {"choices": ["no"]}}
        annotation = {"completed_by": 7, "result": [choice]} | changed
        return [{"data": {"text": TEXTS[0]}, "annotations": [annotation]}]

    return made


def record(**changed: Any) -> Callable[[Desk], Any]:
    def made(desk: Desk) -> Any:
        return [{"fields": {"text": TEXTS[0]}, "responses": {"label": [{"value": "no", "user_id": "u"} | changed]}}]

    return made


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A queue with an open round into which nothing ever comes."""
    desk = queue(tmp_path_factory.mktemp("empty"), TEXTS)
    desk.open_round()
    return desk


@pytest.mark.parametrize(
    ("form", "value", "code"),
    [
        ("label-studio", lambda d: {}, "wrong-format"),
        ("label-studio", lambda d: [], "wrong-format"),
        ("label-studio", lambda d: "text", "wrong-format"),
        ("label-studio", lambda d: [7, None, [[]]], "wrong-format"),
        ("label-studio", lambda d: [{"text": "JSON-MIN", "label": "no"}], "wrong-format"),
        ("label-studio", lambda d: [{"data": {"text": TEXTS[0]}, "annotations": {"a": 1}}], "wrong-format"),
        ("label-studio", lambda d: [{"data": {"text": TEXTS[0]}, "annotations": [None]}], "wrong-format"),
        ("label-studio", task(completed_by=None), "wrong-format"),
        ("label-studio", task(completed_by=True), "wrong-format"),
        ("label-studio", task(completed_by={"first_name": "A"}), "wrong-format"),
        ("label-studio", task(completed_by={"email": "a\x00b@c"}), "bad-name"),
        ("label-studio", task(completed_by={"email": "x" * 300}), "bad-name"),
        ("label-studio", task(result=[]), "wrong-format"),
        ("label-studio", task(result={"a": 1}), "wrong-format"),
        ("label-studio", task(result=[{"type": "choices", "value": {"choices": ["yes", "no"]}}]), "wrong-format"),
        ("label-studio", task(result=[{"type": "choices", "value": {"choices": [1]}}]), "wrong-format"),
        ("label-studio", task(result=[{"type": "rectanglelabels", "value": {}}]), "wrong-format"),
        ("label-studio", task(result=[{"type": "choices", "value": {"choices": ["NO"]}}]), "unknown-label"),
        ("label-studio", lambda d: [{**task()(d)[0], "data": {"text": "other"}}], "unknown-row"),
        ("label-studio", lambda d: [{**task()(d)[0], "data": {"tunesmith_row": "ex-0"}}], "unknown-row"),
        ("label-studio", lambda d: [{**task()(d)[0], "data": {"tunesmith_row": {}, "text": []}}], "unknown-row"),
        ("argilla", lambda d: {"records": []}, "wrong-format"),
        ("argilla", lambda d: [{"fields": "text"}], "wrong-format"),
        ("argilla", lambda d: [{"fields": {"text": TEXTS[0]}, "responses": [1]}], "wrong-format"),
        ("argilla", lambda d: [{"fields": {"text": TEXTS[0]}, "responses": {"label": 1}}], "wrong-format"),
        ("argilla", lambda d: [{"fields": {}, "responses": {"a": [], "b": []}}], "wrong-format"),
        ("argilla", record(user_id=None), "wrong-format"),
        ("argilla", record(user_id=" "), "wrong-format"),
        ("argilla", record(value=["yes"]), "wrong-format"),
        ("argilla", record(value={"a": 1}), "wrong-format"),
        ("argilla", record(value="NO"), "unknown-label"),
        ("argilla", lambda d: [{**record()(d)[0], "metadata": {"tunesmith_row": "ex-0"}}], "unknown-row"),
        ("argilla", lambda d: [{**record()(d)[0], "metadata": [1], "fields": {"text": 7}}], "unknown-row"),
    ],
)
def test_wrong_files_are_told_and_leave_nothing(
    empty: Desk, form: str, value: Callable[[Desk], Any], code: str
) -> None:
    desk = empty
    before = len(desk.labels.events("q"))
    with pytest.raises(UserError) as told:
        bring(desk, value(desk), form)
    assert code in [problem.code for problem in told.value.problems]
    assert len(desk.labels.events("q")) == before


def test_one_wrong_label_keeps_all_others_out_too(tmp_path: Path) -> None:
    """A file is taken whole or not at all; each thing that is wrong with it is told, the first thirty of them."""
    desk = queue(tmp_path, TEXTS)
    desk.open_round()
    good = task()(desk)[0]
    bad = task(result=[{"type": "choices", "value": {"choices": ["NO"]}}])(desk)[0]
    with pytest.raises(UserError) as told:
        bring(desk, [good, *[{**bad, "data": {"text": "nowhere"}} for _ in range(50)]], "label-studio")
    assert len(told.value.problems) == 31 and "20 more" in told.value.problems[-1].message
    assert desk.refresh().rounds[0].answers == {}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "broken-json"),
        (b"{", "broken-json"),
        (b"[" * 100_000, "broken-json"),
        (b'[{"data": 1, "data": 2}]', "broken-json"),
        (b"[NaN]", "broken-json"),
        (b'["\\ud800"]', "broken-json"),
        (b"[" + b"9" * 10_000 + b"]", "broken-json"),
        (b"\xff\xfe[\x00]\x00", "not-utf8"),
        (b'\x00["a"]', "broken-json"),
    ],
)
def test_files_that_are_no_json_are_told(tmp_path: Path, content: bytes, code: str) -> None:
    file = tmp_path / "f.json"
    file.write_bytes(content)
    with pytest.raises(UserError) as told:
        exchange.read_foreign(file)
    assert [p.code for p in told.value.problems] == [code]
    with pytest.raises(UserError):
        exchange.read_foreign(tmp_path / "nowhere.json")
    with pytest.raises(UserError):
        exchange.read_foreign(tmp_path)
