"""The worst edits within a budget, by asking a model.

A search is a generator: it yields what to ask and is sent what came back, so that the searches of all rows run side by
side and their questions go to the model in one batch. Edits are first tried in groups as large as the budget allows
(group testing: each edit is covered once in the fewest questions), then in other groups. Where the model can tell
likelihoods, two thirds of the budget first rank places by how far an edit there lowers the right answer's lead, and the
best are tried together (as TextFooler, Jin et al. 2020, ranks words). What works is made as small as possible.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from tunesmith.core.types import Answer
from tunesmith.evaluate.attacks._edit import Edit

Edits = tuple[Edit, ...]

_AT_ONCE = 8
_KEPT = 3
_ROUNDS = 50


@dataclass(frozen=True)
class Budget:
    """What may be spent on one row; see `Attack`."""

    edits: int
    characters: int
    queries: int


@dataclass(frozen=True)
class Ask:
    """What to ask next: answers to the edited questions, or how far the right answer is ahead there."""

    tries: tuple[Edits, ...]
    leads: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came back for one try.

    Args:
        lost: the right answer was lost; None: the model gave no answer that could be judged.
        lead: nats that the right answer is ahead of the next one; None where nobody can tell.
        answer: what the model said.
    """

    lost: bool | None
    lead: float | None = None
    answer: Answer | None = None


Search = Generator[Ask, list[Outcome], tuple[Edits, Outcome] | None]


def search(edits: Sequence[Edit], budget: Budget, dice: random.Random, *, guided: bool) -> Search:
    """Look for edits that lose the right answer; returns them with the outcome, or None where none was found.

    Questions that make a found attack smaller are not counted in the budget: at most a few, and worth their price.

    Args:
        edits: what may be changed, each alone or several that do not meet.
        budget: most edits, characters and questions.
        dice: order of trying; the same dice find the same.
        guided: whether leads can be asked for.
    """
    affordable = [edit for edit in edits if edit.size <= budget.characters]
    dice.shuffle(affordable)
    left = budget.queries
    seen: set[frozenset[Edit]] = set()
    for round_ in range(_ROUNDS):
        tries = [t for t in groups(affordable, budget, dice, fresh=round_ > 0) if frozenset(t) not in seen]
        if guided and round_ == 0 and budget.edits > 1 and tries:
            places = {(edit.start, edit.end): edit for edit in affordable}
            probes = list(places.values())[: left * 2 // 3]
            ranked = yield from _ranked(probes)
            left -= len(probes)
            tries = [*_grown(ranked, budget), *tries]
        if not tries or left <= 0:
            return None
        while tries and left > 0:
            some, tries = tuple(tries[: min(_AT_ONCE, left)]), tries[min(_AT_ONCE, left) :]
            seen.update(map(frozenset, some))
            left -= len(some)
            outcomes = yield Ask(some)
            found = _first_lost(some, outcomes)
            if found is not None:
                return (yield from _smallest(*found))
            tries += _apart(some, outcomes)
        if budget.edits == 1:
            return None
    return None


def groups(edits: Sequence[Edit], budget: Budget, dice: random.Random, *, fresh: bool) -> list[Edits]:
    """Every edit in one group; groups hold as many edits as fit together into the budget.

    Args:
        edits: in the order in which they are placed.
        budget: most edits and characters of a group.
        dice: order, where it is to be another one.
        fresh: shuffle first.
    """
    order = dice.sample(list(edits), len(edits)) if fresh else edits
    made: list[list[Edit]] = []
    open_groups: list[list[Edit]] = []
    for edit in order:
        home = next((group for group in open_groups if _fits(group, edit, budget)), None)
        if home is None:
            home = []
            made.append(home)
            open_groups.append(home)
        home.append(edit)
        if len(home) == budget.edits:
            open_groups.remove(home)
    return [tuple(group) for group in made]


def _fits(group: Sequence[Edit], edit: Edit, budget: Budget) -> bool:
    if len(group) >= budget.edits or sum(e.size for e in group) + edit.size > budget.characters:
        return False
    return not any(edit.meets(other) for other in group)


def _ranked(edits: Sequence[Edit]) -> Generator[Ask, list[Outcome], list[Edit]]:
    """The edits in the order of the lead that they leave, the smallest first; those without a lead at the end."""
    outcomes = yield Ask(tuple((edit,) for edit in edits), leads=True)
    leads = [outcome.lead if outcome.lead is not None else float("inf") for outcome in outcomes]
    return [edits[place] for place in sorted(range(len(edits)), key=lambda place: (leads[place], place))]


def _grown(ranked: Sequence[Edit], budget: Budget) -> list[Edits]:
    """Greedy combinations: from each of the best edits on, the next ones that fit, as many as the budget allows."""
    found: list[Edits] = []
    for start in range(min(_KEPT, len(ranked))):
        group: list[Edit] = []
        for edit in [*ranked[start:], *ranked[:start]]:
            if _fits(group, edit, budget):
                group.append(edit)
        found.append(tuple(group))
    return list(dict.fromkeys(found))


def _apart(tries: Sequence[Edits], outcomes: Sequence[Outcome]) -> list[Edits]:
    """The edits of groups that got no answer, each alone: together they may have been too long."""
    silent = [t for t, outcome in zip(tries, outcomes, strict=True) if outcome.lost is None and len(t) > 1]
    return [(edit,) for group in silent for edit in group]


def _first_lost(tries: Sequence[Edits], outcomes: Sequence[Outcome]) -> tuple[Edits, Outcome] | None:
    return next(((t, outcome) for t, outcome in zip(tries, outcomes, strict=True) if outcome.lost), None)


def _smallest(edits: Edits, outcome: Outcome) -> Generator[Ask, list[Outcome], tuple[Edits, Outcome]]:
    """The edits without those that are not needed: one after the other is left out as long as the answer stays lost."""
    while len(edits) > 1:
        tries = tuple(edits[:place] + edits[place + 1 :] for place in range(len(edits)))
        found = _first_lost(tries, (yield Ask(tries)))
        if found is None:
            break
        edits, outcome = found
    return edits, outcome
