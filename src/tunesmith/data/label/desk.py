"""Where people label: a queue opened for one person, who sees and does what their role allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from tunesmith.core.errors import Problem, UserError, did_you_mean, shorten
from tunesmith.core.types import Example
from tunesmith.data.label.board import ROLES, Board, Queue
from tunesmith.data.label.merge import merge
from tunesmith.data.label.rows import shown
from tunesmith.records.labels import Draft, LabelEvent, Labels

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_LONGEST_NAME = 200
_LONGEST_REASON = 2000


class Desk:
    """A queue as one person sees it. Every method returns plain JSON values and raises UserError.

    Roles are kept by this program, for colleagues who share a database; whoever can write to the database by other
    means is not held back by them.

    Args:
        labels: the store.
        queue: name of an existing queue, see `Desk.create`.
        name: who is at the desk.
    """

    def __init__(self, labels: Labels, queue: str, *, name: str) -> None:
        known = labels.queues()
        if queue not in known:
            hint = did_you_mean(queue, known) if known else f"make it: tunesmith label new PROJECT {shorten(queue)}"
            raise UserError(Problem("unknown-queue", f"there is no queue '{shorten(queue)}'", hint))
        self.labels = labels
        self.queue = queue
        self.person = labels.person(queue, person_name(name))
        self.examples = {row: Example.model_validate(body) for row, body in labels.rows(queue).items()}
        self.board = Board(queue, self.examples, labels.events(queue))

    @classmethod
    def create(cls, labels: Labels, queue: str, *, name: str, asked: Queue, rows: Mapping[str, Example]) -> Self:
        """Make a queue over `rows`; whoever makes it is its manager.

        Raises:
            UserError: the name is not plain or taken, labels stand twice or are empty, or there are no rows.
        """
        problems = list(_queue_problems(queue, asked, rows))
        if problems:
            raise UserError(problems)
        person = labels.person(queue, person_name(name))

        def decide(after: Callable[[int], list[LabelEvent]]) -> Sequence[Draft]:
            if after(0):
                raise UserError(Problem("queue-exists", f"there is a queue '{queue}' already", "choose another name"))
            member = {"person": person, "role": "manager"}
            return [Draft("queue", body=asked.model_dump(mode="json")), Draft("member", body=member)]

        bodies = {row: example.model_dump(mode="json") for row, example in rows.items()}
        labels.write(queue, person, decide, rows=bodies)
        return cls(labels, queue, name=name)

    def write(self, decide: Callable[[Board], Sequence[Draft]]) -> list[LabelEvent]:
        """Write what `decide` makes of the board as it is under the write lock; see `Labels.write`."""

        def fresh(after: Callable[[int], list[LabelEvent]]) -> Sequence[Draft]:
            self.board.take(after(self.board.last))
            return decide(self.board)

        written = self.labels.write(self.queue, self.person, fresh)
        self.board.take(written)
        return written

    def refresh(self) -> Board:
        """The board with what others have done meanwhile."""
        self.board.take(self.labels.events(self.queue, after=self.board.last))
        return self.board

    # -- managers -------------------------------------------------------------------------------------

    def member(self, name: str, role: str) -> dict[str, Any]:
        """Give a person their one role in this queue; `none` takes it away."""
        if role not in (*ROLES, "none"):
            hint = did_you_mean(role, [*ROLES, "none"])
            raise UserError(Problem("unknown-role", f"there is no role '{shorten(role)}'", hint, "--role"))
        self.refresh().need(self.person, "manager")
        person = self.labels.person(self.queue, person_name(name))

        def decide(board: Board) -> Sequence[Draft]:
            board.need(self.person, "manager")
            managers = [p for p, r in board.members.items() if r == "manager"]
            if managers == [person] and role != "manager":
                hint = "make somebody else a manager first"
                raise UserError(Problem("last-manager", "a queue needs a manager", hint, self.queue))
            current = board.round
            if current is not None and current.said[person] and role != "annotator":
                hint = f"close the round first: tunesmith label close PROJECT {self.queue}"
                message = f"{name} has labelled in the open round and must not see what others said"
                raise UserError(Problem("still-blind", message, hint, self.queue))
            return [Draft("member", body={"person": person, "role": role})]

        self.write(decide)
        return {"queue": self.queue, "person": person, "role": role}

    def open_round(self, which: str = "all") -> dict[str, Any]:
        """Begin a round over `all` rows, those that no rule was sure of (`unsure`), or those under `review`."""

        def decide(board: Board) -> Sequence[Draft]:
            rows = _chosen(board, which)
            board.may_open(self.person, rows)
            return [Draft("open", body={"rows": rows, "which": which})]

        self.write(decide)
        return self.status()

    def close_round(self, *, anyway: str = "") -> dict[str, Any]:
        """End the open round: from now on managers and adjudicators see what was said."""

        def decide(board: Board) -> Sequence[Draft]:
            number = board.may_close(self.person, anyway=anyway).number
            return [Draft("close", body={"round": number, "anyway": _reason(anyway) if anyway else ""})]

        self.write(decide)
        return self.status()

    # -- annotators -----------------------------------------------------------------------------------

    def next(self) -> dict[str, Any] | None:
        """The next row to label; None when there is nothing left for this person."""
        board = self.refresh()
        board.need(self.person, "annotator")
        board.need_open()
        waiting = board.waiting(self.person)
        return self._shown(waiting[0], left=len(waiting)) if waiting else None

    def label(self, row: str, label: str) -> dict[str, Any]:
        """Label a row; a second label replaces the first, which stays in the record."""

        def decide(board: Board) -> Sequence[Draft]:
            number = board.may_answer(self.person, row).number
            board.need_label(label)
            return [Draft("label", row, {"label": label, "round": number})]

        self.write(decide)
        return {"row": row, "label": label}

    def skip(self, row: str, reason: str) -> dict[str, Any]:
        """Say why a row cannot be labelled; counts as an answer without a label."""
        why = _reason(reason)

        def decide(board: Board) -> Sequence[Draft]:
            return [Draft("skip", row, {"reason": why, "round": board.may_answer(self.person, row).number})]

        self.write(decide)
        return {"row": row, "skipped": why}

    def undo(self) -> dict[str, Any]:
        """Take one's own last answer back; the row comes again."""

        def decide(board: Board) -> Sequence[Draft]:
            last = board.may_undo(self.person)
            return [Draft("undo", last.row, {"round": last.body["round"], "of": last.seq})]

        written = self.write(decide)
        return {"row": written[0].row}

    # -- adjudicators ---------------------------------------------------------------------------------

    def disputes(self) -> list[dict[str, Any]]:
        """Rows on which closed rounds disagree, the least clear first; people are A, B, C, in a new order each row."""
        board = self.refresh()
        board.need(self.person, "adjudicator")
        board.need_closed()
        disputed = [row for row in board.disputed() if self.person not in board.votes()[row]]
        merged = merge(board.votes(), board.asked.labels)
        ordered = sorted(disputed, key=lambda row: merged[row].probability)
        return [self._dispute(row, merged[row].label, merged[row].probability) for row in ordered]

    def decide(self, row: str, label: str, reason: str) -> dict[str, Any]:
        """Settle a row, with the reason."""
        why = _reason(reason)

        def decide(board: Board) -> Sequence[Draft]:
            number = board.may_decide(self.person, row).number
            board.need_label(label)
            return [Draft("decide", row, {"label": label, "reason": why, "round": number})]

        self.write(decide)
        return {"row": row, "label": label, "reason": why}

    # -- everybody ------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """How far the queue is; no label is given away."""
        board = self.refresh()
        mine = board.round.said[self.person] if board.round else []
        return {
            **board.standing(),
            "you": board.members.get(self.person, "none"),
            "answered_by_you": len({event.row for event in mine}),
            "left_for_you": len(board.waiting(self.person)) if board.members.get(self.person) == "annotator" else 0,
        }

    def _shown(self, row: str, **more: Any) -> dict[str, Any]:
        asked = self.board.asked
        return {
            "row": row,
            "question": asked.question,
            "text": shown(self.examples[row]),
            "labels": list(asked.labels),
            **more,
        }

    def _dispute(self, row: str, label: str | None, probability: float) -> dict[str, Any]:
        """Sorted by label, so that a letter does not follow a person from row to row."""
        counted = self.board.settled_round(row)
        answers = counted.answers[row].values() if counted else []
        said = sorted(event.body.get("label", f"skipped: {event.body.get('reason')}") for event in answers)
        letters = {chr(ord("A") + i): word for i, word in enumerate(said)}
        return self._shown(row, said=letters, likely=label, probability=round(probability, 4))


def _chosen(board: Board, which: str) -> list[str]:
    if which == "all":
        return list(board.rows)
    if which == "unsure":
        return [row for row in board.rows if row not in board.rules or not board.rules[row].body["sure"]]
    if which == "review":
        return [row for row, _ in board.review()]
    hint = did_you_mean(which, ["all", "unsure", "review"])
    raise UserError(Problem("unknown-rows", f"'{shorten(which)}' is no choice of rows", hint, "--rows"))


def _queue_problems(queue: str, asked: Queue, rows: Mapping[str, Example]) -> Sequence[Problem]:
    problems = []
    if not _NAME.fullmatch(queue):
        hint = "letters, digits, '.', '_' and '-', at most 80"
        problems.append(Problem("bad-name", "this is no name for a queue", hint, "QUEUE", value=shorten(queue)))
    twice = sorted({label for label in asked.labels if asked.labels.count(label) > 1})
    if twice or not all(label.strip() for label in asked.labels):
        message = f"labels stand twice: {', '.join(twice)}" if twice else "a label is empty"
        problems.append(Problem("bad-labels", message, path="--labels"))
    if not rows:
        problems.append(Problem("no-rows", "there are no rows to label", path=asked.source))
    return problems


def person_name(name: str) -> str:
    """The name as it is kept: one printable line; UserError where it is none."""
    clean = name.strip()
    if not clean or not clean.isprintable() or len(clean) > _LONGEST_NAME:
        hint = "one line of at most 200 characters"
        raise UserError(Problem("bad-name", "this is no name for a person", hint, "--as", value=shorten(name)))
    return clean


def _reason(text: str) -> str:
    if not text.strip():
        raise UserError(Problem("no-reason", "a reason is needed", "say it in a few words", "--reason"))
    return text.strip()[:_LONGEST_REASON]
