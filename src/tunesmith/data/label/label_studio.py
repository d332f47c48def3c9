"""Label Studio's JSON: a list of tasks with `data`, `annotations` and `predictions`.

The format: https://labelstud.io/guide/task_format. One `Choices` tag named `label` over one `Text` tag named `text`.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

from tunesmith.core.errors import shorten
from tunesmith.data.label.desk import Desk
from tunesmith.data.label.exchange import ROW_KEY, Answered, Brought, records_of
from tunesmith.data.label.rows import shown
from tunesmith.records.labels import LabelEvent

FROM, TO = "label", "text"
_HOST = "labels.invalid"


def config(desk: Desk) -> str:
    """The labelling interface that fits the tasks, to paste into a Label Studio project."""
    choices = "\n".join(f"    <Choice value={quoteattr(label)}/>" for label in desk.board.asked.labels)
    header = f"  <Header value={quoteattr(desk.board.asked.question)}/>\n" if desk.board.asked.question else ""
    return (
        f'<View>\n{header}  <Text name="{TO}" value="${TO}"/>\n'
        f'  <Choices name="{FROM}" toName="{TO}" choice="single">\n{choices}\n  </Choices>\n</View>\n'
    )


def written(desk: Desk, *, with_labels: bool) -> list[dict[str, Any]]:
    """Every row as a task; labels of closed rounds as annotations and rules as predictions, if they are asked for.

    People are numbered in the order of their ids; `email` carries the id.
    """
    board = desk.board
    people = sorted({person for r in board.rounds for person in r.said})
    number = {person: n for n, person in enumerate(people, start=1)}
    tasks = []
    for place, (row, example) in enumerate(desk.examples.items(), start=1):
        task: dict[str, Any] = {"id": place, "data": {TO: shown(example), ROW_KEY: row}}
        counted = board.settled_round(row) if with_labels else None
        answers = counted.answers[row] if counted else {}
        task["annotations"] = [_annotation(event, number[person]) for person, event in sorted(answers.items())]
        rule = board.rules.get(row) if with_labels else None
        task["predictions"] = [_prediction(rule)] if rule is not None and rule.body["label"] is not None else []
        tasks.append(task)
    return tasks


def parsed(value: Any, where: str) -> Brought:
    """The answers in a list of tasks.

    Drafts and predictions are left out and counted; a cancelled annotation is a row that somebody skipped.
    """
    brought = Brought()
    for n, task in enumerate(records_of(value, where)):
        place = f"{where}: [{n}]"
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            brought.wrong("a task with an object 'data' is expected", place, "export it as JSON, not JSON-MIN or CSV")
            continue
        brought.left_out["predictions"] += _length(task.get("predictions"))
        brought.left_out["drafts"] += _length(task.get("drafts"))
        annotations = task.get("annotations", [])
        if not isinstance(annotations, list):
            brought.wrong("'annotations' is no list", place)
            continue
        for m, annotation in enumerate(annotations):
            _take(task["data"], annotation, f"{place}.annotations[{m}]", brought)
    return brought


def _take(data: dict[str, Any], annotation: Any, where: str, brought: Brought) -> None:
    if not isinstance(annotation, dict):
        brought.wrong("an annotation is an object", where)
        return
    person = _person(annotation.get("completed_by"))
    if person is None:
        brought.wrong("'completed_by' does not say who labelled", where, "a number, or an object with 'email'")
        return
    label = None if annotation.get("was_cancelled") else _choice(annotation.get("result"), where, brought)
    if label is None and not annotation.get("was_cancelled"):
        return
    row, text = data.get(ROW_KEY), data.get(TO)
    own = row if isinstance(row, str) else None
    brought.answers.append(Answered(own, text if isinstance(text, str) else None, person, label, where))


def _choice(result: Any, where: str, brought: Brought) -> str | None:
    """The one choice of an annotation; a problem is noted where there is not exactly one."""
    items = [item for item in result if isinstance(item, dict)] if isinstance(result, list) else []
    choices = [item for item in items if item.get("type") == "choices"]
    if len(choices) > 1:
        choices = [item for item in choices if item.get("from_name") == FROM]
    value = choices[0].get("value") if len(choices) == 1 else None
    chosen = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(chosen, list) or len(chosen) != 1 or not isinstance(chosen[0], str):
        hint = "one result of type 'choices' with one choice is understood"
        brought.wrong(f"no single choice in {shorten(result, width=50)}", where, hint)
        return None
    return chosen[0]


def _person(by: Any) -> str | None:
    """A number becomes `label-studio:NUMBER`; an address that we wrote becomes our id again."""
    if isinstance(by, dict):
        email = by.get("email")
        if isinstance(email, str) and email.strip():
            return email.removesuffix(f"@{_HOST}")
        by = by.get("id")
    return f"label-studio:{by}" if isinstance(by, int) and not isinstance(by, bool) else None


def _annotation(event: LabelEvent, number: int) -> dict[str, Any]:
    said = event.kind == "label"
    return {
        "id": event.seq,
        "completed_by": {"id": number, "email": f"{event.person}@{_HOST}"},
        "result": [_result(event.body["label"], event.seq)] if said else [],
        "was_cancelled": not said,
        "ground_truth": False,
        "created_at": event.at,
        "updated_at": event.at,
    }


def _prediction(rule: LabelEvent) -> dict[str, Any]:
    return {
        "model_version": "tunesmith rules",
        "score": rule.body["probability"],
        "result": [_result(rule.body["label"], rule.seq)],
    }


def _result(label: str, number: int) -> dict[str, Any]:
    value = {"choices": [label]}
    return {"id": f"r{number}", "from_name": FROM, "to_name": TO, "type": "choices", "value": value}


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0
