"""Argilla's JSON (2.x, `dataset.records.to_json`): a list of records with `fields`, `responses` and `suggestions`.

The format: https://docs.argilla.io/latest/how_to_guides/import_export/. One text field
`text`, one label question `label`.
"""

from __future__ import annotations

import uuid
from typing import Any

from tunesmith.core.errors import shorten
from tunesmith.data.label.desk import Desk
from tunesmith.data.label.exchange import ROW_KEY, Answered, Brought, records_of
from tunesmith.data.label.rows import shown

FIELD, QUESTION = "text", "label"
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "tunesmith:people")


def user_id(person: str) -> str:
    """Argilla names people by UUIDs: that of a person's id, the same every time."""
    return str(uuid.uuid5(_SPACE, person))


def written(desk: Desk, *, with_labels: bool) -> list[dict[str, Any]]:
    """Every row as a record; labels of closed rounds as responses and rules as suggestions, if they are asked for."""
    board = desk.board
    records = []
    for row, example in desk.examples.items():
        counted = board.settled_round(row) if with_labels else None
        votes = counted.votes(row) if counted else {}
        rule = board.rules.get(row) if with_labels else None
        suggested = {}
        if rule is not None and rule.body["label"] is not None:
            body = rule.body
            suggested = {QUESTION: {"value": body["label"], "score": body["probability"], "agent": "tunesmith rules"}}
        given = [
            {"value": label, "user_id": user_id(person), "status": "submitted"}  # without a status it is a draft there
            for person, label in sorted(votes.items())
        ]
        records.append(
            {
                "id": row,
                "fields": {FIELD: shown(example)},
                "metadata": {ROW_KEY: row},
                "suggestions": suggested,
                "responses": {QUESTION: given} if given else {},
                "vectors": {},
                "status": "completed" if given else "pending",
                "_server_id": None,
            }
        )
    return records


def parsed(value: Any, where: str, people: dict[str, str]) -> Brought:
    """The answers in a list of records.

    Args:
        value: the content of the file.
        where: its name.
        people: UUID -> person id, for those whom we know; others become `argilla:UUID`.
    """
    brought = Brought()
    for n, record in enumerate(records_of(value, where)):
        place = f"{where}: [{n}]"
        if not isinstance(record, dict) or not isinstance(record.get("fields"), dict):
            brought.wrong("a record with an object 'fields' is expected", place, "write it with records.to_json")
            continue
        responses = record.get("responses") or {}
        if not isinstance(responses, dict):
            brought.wrong("'responses' is no object of question -> list", place)
            continue
        brought.left_out["suggestions"] += len(record.get("suggestions") or {})
        given = responses.get(QUESTION, responses[next(iter(responses))] if len(responses) == 1 else [])
        if len(responses) > 1 and QUESTION not in responses:
            brought.wrong(f"none of the questions {shorten(', '.join(responses))} is '{QUESTION}'", place)
        if not isinstance(given, list):
            brought.wrong("a question's responses are a list", place)
            continue
        for m, response in enumerate(given):
            _take(record, response, f"{place}.responses[{m}]", brought, people)
    return brought


def _take(record: dict[str, Any], response: Any, where: str, brought: Brought, people: dict[str, str]) -> None:
    by = response.get("user_id") if isinstance(response, dict) else None
    if not isinstance(by, str) or not by.strip():
        brought.wrong("a response has 'value' and 'user_id'", where)
        return
    label = response.get("value")
    if response.get("status") == "draft":
        brought.left_out["drafts"] += 1
        return
    if label is not None and not isinstance(label, str):
        brought.wrong(f"a label is a text, found {shorten(label, width=40)}", where)
        return
    kept = (record.get("metadata") or {}).get(ROW_KEY) if isinstance(record.get("metadata") or {}, dict) else None
    text = record["fields"].get(FIELD)
    own = kept if isinstance(kept, str) else None
    shown_text = text if isinstance(text, str) else None
    brought.answers.append(Answered(own, shown_text, people.get(by, f"argilla:{by}"), label, where))
