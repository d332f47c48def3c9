"""What a queue looks like now: its events, folded in their order, and what may be done next.

Pure: no database, no clock. Rules are kept here so that they hold for every face (terminal, programs, imports).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pydantic import Field

from tunesmith.core.errors import Problem, UserError, did_you_mean, shorten
from tunesmith.core.types import Noun
from tunesmith.data.label.agreement import Scale
from tunesmith.records.labels import LabelEvent

Role = Literal["annotator", "adjudicator", "manager"]
ROLES: tuple[Role, ...] = get_args(Role)


class Queue(Noun):
    """What is asked of annotators.

    Fields:
        labels: the closed set of answers, in their order.
        question: what is asked of every row, shown above it.
        scale: how labels differ, see `Agreement`.
        experts: people who label each row of a round, independently of each other.
        source: where the rows came from, for people.
    """

    labels: tuple[str, ...] = Field(min_length=2)
    question: str = ""
    scale: Scale = "nominal"
    experts: int = Field(3, ge=1)
    source: str = ""


@dataclass
class Round:
    """One pass over some rows: everybody's answers stay hidden from everybody else until it is closed.

    Fields:
        number: 1, 2, ...
        rows: row ids, in order.
        closed: when it was closed; empty while it is open.
        answers: row -> person -> the answer in force (an event `label` or `skip`).
        said: person -> all answers not taken back, oldest first.
    """

    number: int
    rows: tuple[str, ...]
    closed: str = ""
    answers: dict[str, dict[str, LabelEvent]] = field(default_factory=lambda: defaultdict(dict))
    said: dict[str, list[LabelEvent]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.known = frozenset(self.rows)

    def votes(self, row: str) -> dict[str, str]:
        """Person -> label of one row, skips left out."""
        return {p: e.body["label"] for p, e in self.answers.get(row, {}).items() if e.kind == "label"}

    def take_back(self, person: str) -> None:
        """Undo the last answer of a person; the one before it, for the same row, is in force again."""
        event = self.said[person].pop()
        before = [e for e in self.said[person] if e.row == event.row]
        if before:
            self.answers[event.row][person] = before[-1]
        else:
            del self.answers[event.row][person]


class Board:
    """A queue as its events made it.

    Args:
        queue: name of the queue.
        rows: ids of its rows, in order.
        events: all of its events so far; `take` adds later ones.
    """

    def __init__(self, queue: str, rows: Iterable[str], events: Iterable[LabelEvent]) -> None:
        self.name = queue
        self.rows = tuple(rows)
        self.known = frozenset(self.rows)
        self.asked = Queue(labels=("", "-"))
        self.members: dict[str, Role] = {}
        self.rounds: list[Round] = []
        self.decisions: dict[tuple[int, str], LabelEvent] = {}
        self.rules: dict[str, LabelEvent] = {}
        self.models: dict[str, LabelEvent] = {}
        self.flags: dict[str, list[LabelEvent]] = defaultdict(list)
        self.last = 0
        self.take(events)

    def take(self, events: Iterable[LabelEvent]) -> None:
        """Go on with later events."""
        for event in events:
            getattr(self, f"_{event.kind}")(event)
            self.last = event.seq

    # -- what was said ------------------------------------------------------------------------------

    def _queue(self, event: LabelEvent) -> None:
        self.asked = Queue.model_validate(event.body)

    def _member(self, event: LabelEvent) -> None:
        role = event.body["role"]
        self.members.pop(event.body["person"], None)
        if role in ROLES:
            self.members[event.body["person"]] = role

    def _open(self, event: LabelEvent) -> None:
        self.rounds.append(Round(len(self.rounds) + 1, tuple(event.body["rows"])))

    def _close(self, event: LabelEvent) -> None:
        self.rounds[-1].closed = event.at

    def _label(self, event: LabelEvent) -> None:
        current = self.rounds[event.body["round"] - 1]
        current.answers[event.row][event.person] = event
        current.said[event.person].append(event)

    _skip = _label

    def _undo(self, event: LabelEvent) -> None:
        self.rounds[event.body["round"] - 1].take_back(event.person)

    def _decide(self, event: LabelEvent) -> None:
        self.decisions[event.body["round"], event.row] = event

    def _rule(self, event: LabelEvent) -> None:
        self.rules[event.row] = event

    def _model(self, event: LabelEvent) -> None:
        self.models[event.row] = event

    def _flag(self, event: LabelEvent) -> None:
        others = [f for f in self.flags[event.row] if f.body["why"] != event.body["why"]]
        self.flags[event.row] = [*others, event]

    # -- what is the case ---------------------------------------------------------------------------

    @property
    def round(self) -> Round | None:
        """The open round."""
        return self.rounds[-1] if self.rounds and not self.rounds[-1].closed else None

    def settled_round(self, row: str) -> Round | None:
        """The last closed round in which somebody labelled `row`; rounds before it are history."""
        return next((r for r in reversed(self.rounds) if r.closed and r.votes(row)), None)

    def votes(self) -> dict[str, dict[str, str]]:
        """Row -> person -> label over the closed rounds, of each row the last one."""
        found = {row: self.settled_round(row) for row in self.rows}
        return {row: r.votes(row) for row, r in found.items() if r is not None}

    def decision(self, row: str) -> LabelEvent | None:
        """What an adjudicator decided of `row`, in the round that counts."""
        counted = self.settled_round(row)
        return self.decisions.get((counted.number, row)) if counted else None

    def disputed(self) -> list[str]:
        """Rows on which annotators of closed rounds disagree and nobody has decided."""
        return [row for row, given in self.votes().items() if len(set(given.values())) > 1 and not self.decision(row)]

    def waiting(self, person: str) -> list[str]:
        """Rows of the open round that `person` may still label, those that others have begun first."""
        current = self.round
        if current is None:
            return []
        free = [
            row
            for row in current.rows
            if person not in (given := current.answers.get(row, {})) and len(given) < self.asked.experts
        ]
        return sorted(free, key=lambda row: -len(current.answers.get(row, {})))

    def unfinished(self) -> list[str]:
        """Rows of the open round that fewer people than asked have answered."""
        current = self.round
        if current is None:
            return []
        return [row for row in current.rows if len(current.answers.get(row, {})) < self.asked.experts]

    def review(self) -> list[tuple[str, list[LabelEvent]]]:
        """Rows that were flagged since they were last settled, the most suspicious first."""
        found = []
        for row, flags in self.flags.items():
            counted = self.settled_round(row)
            decided = self.decision(row)
            since = max(counted.closed if counted else "", decided.at if decided else "")
            if fresh := [flag for flag in flags if flag.at > since]:
                found.append((row, fresh))
        return sorted(found, key=lambda item: (min(flag.body["rank"] for flag in item[1]), item[0]))

    # -- what may be done ---------------------------------------------------------------------------

    def need(self, person: str, *roles: Role) -> None:
        """UserError unless `person` has one of `roles`."""
        role = self.members.get(person)
        if role not in roles:
            has = f"you are {role} here" if role else "you have no role here"
            hint = f"ask a manager: tunesmith label member PROJECT {self.name} YOUR-NAME --role {roles[0]}"
            message = f"only {' and '.join(f'{r}s' for r in roles)} may do this; {has}"
            raise UserError(Problem("not-your-role", message, hint, self.name))

    def need_row(self, row: str) -> None:
        """UserError unless the queue has `row`."""
        if row not in self.known:
            raise UserError(Problem("unknown-row", f"there is no row '{shorten(row)}'", path=self.name, value=row))

    def need_label(self, label: str) -> None:
        """UserError unless `label` is one of the queue's."""
        if problem := self.label_problem(label, self.name):
            raise UserError(problem)

    def label_problem(self, label: object, where: str) -> Problem | None:
        """What is wrong with a label, if anything is."""
        if isinstance(label, str) and label in self.asked.labels:
            return None
        hint = did_you_mean(label, self.asked.labels) if isinstance(label, str) else ""
        message = f"'{shorten(label, width=40)}' is not one of the labels"
        return Problem("unknown-label", message, hint, where, value=shorten(label))

    def need_open(self) -> Round:
        """The open round; UserError where there is none."""
        if self.round is None:
            hint = f"a manager opens one: tunesmith label open PROJECT {self.name}"
            raise UserError(Problem("no-open-round", "no round is open", hint, self.name))
        return self.round

    def need_closed(self) -> None:
        """UserError where no round has been closed: until then nobody sees what others said."""
        if not any(r.closed for r in self.rounds):
            hint = f"a manager closes one: tunesmith label close PROJECT {self.name}"
            raise UserError(Problem("no-closed-round", "labels are hidden until a round is closed", hint, self.name))

    def may_answer(self, person: str, row: str) -> Round:
        """The open round in which `person` may answer `row`; answering again replaces the answer.

        Raises:
            UserError: no role, no open round, not a row of it, or enough others have answered it.
        """
        self.need(person, "annotator")
        self.need_row(row)
        current = self.need_open()
        given = current.answers.get(row, {})
        if row not in current.known:
            raise UserError(
                Problem("not-in-round", f"row {row} is not asked in round {current.number}", path=self.name)
            )
        if person not in given and len(given) >= self.asked.experts:
            message = f"{self.asked.experts} people have answered row {row} already"
            raise UserError(Problem("row-full", message, "go on with the next row", self.name, value=row))
        return current

    def may_undo(self, person: str) -> LabelEvent:
        """The answer that an undo takes back; UserError where there is none in the open round."""
        self.need(person, "annotator")
        said = self.need_open().said[person]
        if not said:
            raise UserError(Problem("nothing-to-undo", "you have said nothing in this round", path=self.name))
        return said[-1]

    def may_decide(self, person: str, row: str) -> Round:
        """The closed round of which `person` may decide `row`.

        Raises:
            UserError: no adjudicator, no such row or no closed round with it, or their own label is among those.
        """
        self.need(person, "adjudicator")
        self.need_row(row)
        counted = self.settled_round(row)
        if counted is None:
            message = f"row {row} has no label in a closed round"
            raise UserError(Problem("not-labelled", message, path=self.name, value=row))
        if any(person in r.answers.get(row, {}) for r in self.rounds):
            hint = "another adjudicator decides this one"
            raise UserError(Problem("own-row", f"you labelled row {row} yourself", hint, self.name, value=row))
        return counted

    def may_close(self, person: str, *, anyway: str) -> Round:
        """The round that may be closed; UserError where rows lack answers and no reason for closing is given."""
        self.need(person, "manager")
        current = self.need_open()
        if (left := self.unfinished()) and not anyway.strip():
            message = f"{len(left):,} of {len(current.rows):,} rows have fewer than {self.asked.experts} answers"
            hint = 'wait for them, or close it with --anyway "REASON"; what is missing counts as missing'
            raise UserError(Problem("round-unfinished", message, hint, self.name))
        return current

    def may_open(self, person: str, rows: Sequence[str]) -> None:
        """UserError unless a new round over `rows` may be opened."""
        self.need(person, "manager")
        if self.round is not None:
            hint = f"close it first: tunesmith label close PROJECT {self.name}"
            raise UserError(Problem("round-open", f"round {self.round.number} is open", hint, self.name))
        if not rows:
            raise UserError(Problem("no-rows", "there are no such rows to ask about", path=self.name))

    def standing(self) -> dict[str, Any]:
        """Counts that give no label away."""
        current = self.round
        return {
            "queue": self.name,
            "labels": list(self.asked.labels),
            "question": self.asked.question,
            "scale": self.asked.scale,
            "experts": self.asked.experts,
            "rows": len(self.rows),
            "members": {role: sum(r == role for r in self.members.values()) for role in ROLES},
            "round": current.number if current else None,
            "rounds_closed": sum(bool(r.closed) for r in self.rounds),
            "rows_in_round": len(current.rows) if current else 0,
            "rows_finished": len(current.rows) - len(self.unfinished()) if current else 0,
            "disputed": len(self.disputed()),
            "review": len(self.review()),
        }
