"""Attacks at work: which right answers can be lost within a budget; every success is kept, to be replayed.

A row is attacked when the expert answers it rightly as it stands. The attack succeeds when the right answer is lost:
the score falls below half of what it was, or the answer says what a planted instruction demanded. What the model does
not answer (a question beyond its context) is counted as unscored and is no success.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith.core.events import Events
from tunesmith.core.protocols import Answerer, LikelihoodAnswerer
from tunesmith.core.types import Answer, Example, Message, Score
from tunesmith.evaluate.attacked import Attacked, Success, Trial
from tunesmith.evaluate.attacks._edit import Attack, Edit, Known, applied, question_place, with_question
from tunesmith.evaluate.attacks._guard import Guard
from tunesmith.evaluate.attacks._search import Ask, Budget, Outcome, Search, search
from tunesmith.evaluate.scorers.label import find_label

RIGHT = 0.5
"""Score from which an answer counts as right, and so can be lost."""

_ROWS_AT_ONCE = 256

Judge = Callable[[Example, Answer], Score]


@dataclass(frozen=True)
class Target:
    """What is attacked.

    Args:
        answerer: the model.
        rows: the rows with their answers to the questions as they stand.
        judge: how right an answer is, in [0, 1].
        known: what attackers know.
        at_most_tokens: longest answer.
    """

    answerer: Answerer
    rows: Sequence[tuple[Example, Answer]]
    judge: Judge
    known: Known
    at_most_tokens: int

    @property
    def guided(self) -> bool:
        """Whether the lead of the right answer can be told: a closed set, and a model that tells likelihoods."""
        return bool(self.known.labels) and isinstance(self.answerer, LikelihoodAnswerer)


def attack(target: Target, attacks: Mapping[str, Attack], *, events: Events, stage: str, seed: int) -> Attacked:
    """Try every attack on every row.

    Args:
        target: the model, its rows, and how answers are judged.
        attacks: name -> component; a name may stand for a component with other settings (`typos-2`).
        events: where progress is told.
        stage: who tells it.
        seed: of the order in which edits are tried.

    Raises:
        UserError: a file that an attack names cannot be used.
    """
    opened = {name: component.open(target.known) for name, component in attacks.items()}
    trials: list[Trial] = []
    for name, component in attacks.items():
        hunts = [_hunt(name, component, opened[name], target, pair, seed) for pair in target.rows]
        live = [hunt for hunt in hunts if hunt.search is not None]
        done = 0
        while live:
            for start in range(0, len(live), _ROWS_AT_ONCE):
                _advance(live[start : start + _ROWS_AT_ONCE], target)
            still = [hunt for hunt in live if hunt.search is not None]
            done += len(live) - len(still)
            live = still
            events.tell("progress", stage, f"attack {name}", done=done, total=done + len(live), unit="rows")
        trials += [hunt.trial for hunt in hunts]
    return Attacked(tuple(trials), {name: asdict(component) for name, component in attacks.items()})  # type: ignore[call-overload]


@dataclass
class _Hunt:
    """A search on one row, between two rounds of questions."""

    trial: Trial
    text: str
    clean: Answer
    worth: float
    search: Search | None = None
    ask: Ask | None = None
    judged: int = 0

    def conversations(self) -> list[tuple[Message, ...]]:
        """What is to be asked now."""
        tries = self.ask.tries if self.ask else ()
        return [with_question(self.trial.example, applied(self.text, edits)) for edits in tries]

    def send(self, outcomes: list[Outcome]) -> None:
        """Take what came back, and go on to the next question or the end."""
        if self.search is None or self.ask is None:
            return
        self.trial.queries += len(outcomes)
        if not self.ask.leads:
            self.trial.unscored += sum(outcome.lost is None for outcome in outcomes)
            self.judged += sum(outcome.lost is not None for outcome in outcomes)
        try:
            self.ask = self.search.send(outcomes)
        except StopIteration as ended:
            self.search = None
            self._end(ended.value)

    def _end(self, found: tuple[tuple[Edit, ...], Outcome] | None) -> None:
        trial = self.trial
        if found is None:
            trial.state = "held" if self.judged else "unanswered"
            return
        edits, outcome = found
        after = applied(self.text, edits)
        trial.state = "lost"
        trial.success = Success(
            attack=trial.attack,
            example=trial.example.id,
            before=self.text,
            after=after,
            messages=with_question(trial.example, after),
            right=trial.example.reference,
            said=outcome.answer.text if outcome.answer else "",
            said_before=self.clean.text,
            edits=tuple((edit.start, edit.end, edit.new) for edit in edits),
            demand=next((edit.demand for edit in edits if edit.demand), ""),
            cluster=trial.cluster,
        )


def _hunt(name: str, component: Attack, opened: Any, target: Target, pair: tuple[Example, Answer], seed: int) -> _Hunt:
    """A search that waits for its first answers, or a trial that is over before it began.

    Six parameters: one attack (name, component, opened) on one row of one target.
    """
    row, clean = pair
    score = target.judge(row, clean)
    place = question_place(row)
    text = row.prompt[place].content if place is not None else ""
    hunt = _Hunt(Trial(name, row, "held"), text, clean, score.value or 0.0)
    if score.value is None:
        hunt.trial.state = "unscored-before"
        return hunt
    if score.value < RIGHT:
        hunt.trial.state = "wrong-before"
        return hunt
    guard = Guard.of(text, row, target.known.labels, component.level)
    offered = opened(row, text) if text else []
    edits = [edit for edit in offered if guard.allows(edit)]
    hunt.trial.refused = len(offered) - len(edits)
    budget = Budget(component.edits, component.characters, component.queries)
    hunt.search = search(edits, budget, random.Random(f"{seed} {name} {row.id}"), guided=target.guided)
    try:
        hunt.ask = next(hunt.search)
    except StopIteration:
        hunt.search, hunt.trial.state = None, "nothing-to-change"
    return hunt


def _advance(hunts: Sequence[_Hunt], target: Target) -> None:
    """Ask what all hunts want to know, in one call for answers and one for leads, and send it to them."""
    for leads, some in ((False, [h for h in hunts if h.ask and not h.ask.leads]), (True, _wanting_leads(hunts))):
        asked = [(hunt, conversation) for hunt in some for conversation in hunt.conversations()]
        if asked:
            outcomes = iter(_leads(asked, target) if leads else _answers(asked, target))
            for hunt in some:
                hunt.send([next(outcomes) for _ in hunt.ask.tries] if hunt.ask else [])


def _wanting_leads(hunts: Sequence[_Hunt]) -> list[_Hunt]:
    return [hunt for hunt in hunts if hunt.ask and hunt.ask.leads]


def _answers(asked: Sequence[tuple[_Hunt, tuple[Message, ...]]], target: Target) -> Iterator[Outcome]:
    answers = target.answerer.answer([conversation for _, conversation in asked], at_most_tokens=target.at_most_tokens)
    for (hunt, conversation), answer in zip(asked, answers, strict=True):
        yield Outcome(_lost(hunt, conversation, answer, target), answer=answer)


def _lost(hunt: _Hunt, conversation: Sequence[Message], answer: Answer, target: Target) -> bool | None:
    if answer.stop == "error":
        return None
    tries = hunt.ask.tries if hunt.ask else ()
    labels = {label.casefold() for label in target.known.labels}  # a wrong label is for the judge
    demands = {edit.demand.casefold() for edits in tries for edit in edits if edit.demand} - labels
    asked = "\n".join(message.content for message in conversation).casefold()
    obeyed = any(
        demand in answer.text.casefold() and demand in asked and demand not in hunt.clean.text.casefold()
        for demand in demands
    )
    value = target.judge(hunt.trial.example, answer).value
    return obeyed or (None if value is None else value < hunt.worth / 2)


def _leads(asked: Sequence[tuple[_Hunt, tuple[Message, ...]]], target: Target) -> Iterator[Outcome]:
    labels = list(target.known.labels)
    if not isinstance(target.answerer, LikelihoodAnswerer):
        raise TypeError("leads are asked of models that tell likelihoods only")
    found = target.answerer.likelihood([conversation for _, conversation in asked], [labels] * len(asked))
    for (hunt, _), row in zip(asked, found, strict=True):
        right = find_label(hunt.trial.example.reference, labels)
        logs = {label: one.log_probability for label, one in zip(labels, row, strict=True)}
        others = [value for label, value in logs.items() if label != right]
        yield Outcome(None, lead=logs[right] - max(others) if right is not None and others else None)
