"""Labels from and for other labelling programs: what the formats share.

A format turns a queue into a JSON value and a JSON value into `Brought` answers; who may bring what is decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.types import Example
from tunesmith.data.label.board import Board
from tunesmith.data.label.desk import Desk, person_name
from tunesmith.data.label.rows import shown
from tunesmith.data.read._json import BrokenJson, parse_json
from tunesmith.records.labels import Draft

Format = Literal["label-studio", "argilla"]
ROW_KEY = "tunesmith_row"
"""Where our row ids stand in files of others."""

_MOST_BYTES = 500_000_000
_MOST_TOLD = 30


@dataclass(frozen=True)
class Answered:
    """One person's answer to one row, as a file has it.

    Fields:
        row: our id of the row, where the file kept it.
        text: what was shown, to find the row by where it did not.
        person: who answered, as that program calls them.
        label: None: they left it out.
        where: its place in the file.
    """

    row: str | None
    text: str | None
    person: str
    label: str | None
    where: str


@dataclass
class Brought:
    """What a file holds: answers, what is wrong with it, and what was left out on purpose (reason -> count)."""

    answers: list[Answered] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def wrong(self, message: str, where: str, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem("wrong-format", message, hint, where))


def read_foreign(path: Path) -> Any:
    """The JSON value in a file of another program, strictly; UserError where it is none."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            hint = "export it in parts"
            raise UserError(Problem("too-large", f"larger than {_MOST_BYTES // 1_000_000} MB", hint, str(path)))
        return parse_json(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise UserError(Problem("missing-file", "the file does not exist", path=str(path))) from None
    except OSError as error:
        raise UserError(Problem("unreadable-file", error.strerror or str(error), path=str(path))) from None
    except UnicodeDecodeError:
        raise UserError(Problem("not-utf8", "not UTF-8 text", "save it as UTF-8", str(path))) from None
    except BrokenJson as error:
        hint = "export it again as JSON"
        raise UserError(Problem("broken-json", f"not JSON: {error}", hint, str(path))) from None


def records_of(value: Any, where: str) -> list[Any]:
    """The list that both formats are; UserError where it is none or empty."""
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else shorten(value, width=40)
        raise UserError(Problem("wrong-format", f"a list of records is expected, found {found}", path=where))
    return value


def bring(desk: Desk, brought: Brought, where: str) -> dict[str, Any]:
    """Write what a file holds into the open round: all of it, or nothing where anything is wrong with it.

    People of the file become annotators of the queue. What stands there already is left as it is.

    Raises:
        UserError: every problem of the file (the first 30 are told).
    """
    desk.refresh().need(desk.person, "manager")
    desk.board.need_open()
    rows = _Rows(desk.examples)
    placed = [(answer, rows.find(answer, brought)) for answer in brought.answers]
    found = {(answer.person, row): answer for answer, row in placed if row is not None}
    people = _people(desk, {name for name, _ in found})
    brought.left_out["answered twice"] += sum(row is not None for _, row in placed) - len(found)
    unchanged = 0

    def decide(board: Board) -> Sequence[Draft]:
        nonlocal unchanged
        problems, drafts = list(brought.problems), list[Draft]()
        current = board.need_open()
        given = {row: set(answers) for row, answers in current.answers.items()}
        for person in people.values():
            role = board.members.get(person)
            if role is None:
                drafts.append(Draft("member", body={"person": person, "role": "annotator"}))
            elif role != "annotator":
                message = f"{person} is {role} here and cannot bring labels"
                problems.append(Problem("not-your-role", message, path=where))
        unchanged = 0
        for (name, row), answer in found.items():
            person = people[name]
            before = current.answers.get(row, {}).get(person)
            if before is not None and before.body.get("label") == answer.label:
                unchanged += 1
                continue
            problem = _refused(board, row, person, answer, given)
            if problem is not None:
                problems.append(problem)
                continue
            given.setdefault(row, set()).add(person)
            drafts.append(_draft(row, person, answer, current.number))
        if problems:
            raise UserError(_shortened(problems, where))
        return drafts

    written = desk.write(decide)
    kinds = Counter(event.kind for event in written)
    return {
        "file": where,
        "labels": kinds["label"],
        "skips": kinds["skip"],
        "people": len(people),
        "unchanged": unchanged,
        "left_out": dict(sorted((+brought.left_out).items())),
    }


def _people(desk: Desk, names: set[str]) -> dict[str, str]:
    """Name in the file -> person id; who stands there under an id of ours keeps it."""
    known = desk.labels.names(desk.queue)
    plain = {name: person_name(name) for name in sorted(names)}
    return {name: name if name in known else desk.labels.person(desk.queue, clean) for name, clean in plain.items()}


def _draft(row: str, person: str, answer: Answered, number: int) -> Draft:
    if answer.label is None:
        return Draft("skip", row, {"reason": "left out", "round": number, "from": answer.where}, person)
    return Draft("label", row, {"label": answer.label, "round": number, "from": answer.where}, person)


def _refused(board: Board, row: str, person: str, answer: Answered, given: Mapping[str, set[str]]) -> Problem | None:
    if answer.label is not None and (problem := board.label_problem(answer.label, answer.where)):
        return problem
    current = board.need_open()
    if row not in current.known:
        return Problem("not-in-round", f"row {row} is not asked in round {current.number}", path=answer.where)
    others = given.get(row, set()) - {person}
    if len(others) >= board.asked.experts:
        message = f"{board.asked.experts} people have answered row {row} already"
        return Problem("row-full", message, "make the queue with more --experts", answer.where)
    return None


def _shortened(problems: list[Problem], where: str) -> list[Problem]:
    more = len(problems) - _MOST_TOLD
    if more <= 0:
        return problems
    return [*problems[:_MOST_TOLD], Problem("and-more", f"{more:,} more problems of this kind", path=where)]


class _Rows:
    """Our rows, found by id or by the text that was shown."""

    def __init__(self, examples: Mapping[str, Example]) -> None:
        self.examples = examples
        self.by_text = {_folded(shown(example)): row for row, example in examples.items()}

    def find(self, answer: Answered, brought: Brought) -> str | None:
        """The row that an answer is about; a problem is noted where there is none."""
        if answer.row in self.examples:
            return answer.row
        found = self.by_text.get(_folded(answer.text)) if answer.row is None and answer.text is not None else None
        if found is None:
            shown_as = answer.row or answer.text or ""
            message = f"no row of this queue is '{shorten(shown_as, width=60)}'"
            brought.problems.append(Problem("unknown-row", message, path=answer.where))
        return found


def _folded(text: str) -> str:
    return " ".join(text.split())
