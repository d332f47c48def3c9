"""From easy to hard, and from being shown answers to being rewarded for one's own."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.errors import Problem, UserError

if TYPE_CHECKING:
    from tunesmith.tune.batches import Plan, Step
    from tunesmith.tune.objective import Job, Part

FEW_ANSWERS = 0.2
"""Up to this share of different answers they are labels: rows are ranked among those with the same one."""


@dataclass(frozen=True)
class Shares:
    """How the weights of supervised terms move against those of rewarded ones.

    Args:
        supervised: share in each of equal parts of the training, (0.9, 0.8, 0.7); (): weights stay.
    """

    supervised: tuple[float, ...] = ()

    def factors(self, parts: Iterable[Part], step: Step) -> dict[str, float]:
        """Name -> factor on the weight in `step`: the share, 1 - share, or 1 for terms that are neither."""
        if not self.supervised:
            return {}
        share = self.supervised[step.number * len(self.supervised) // step.steps]
        return {
            part.name: share if part.term.supervised else 1 - share
            for part in parts
            if part.term.supervised or part.term.rewarded
        }

    def check(self, parts: Iterable[Part]) -> None:
        """Hold the terms to what the shares are divided between.

        Raises:
            UserError: nothing is rewarded, or nothing is supervised, so there is nothing to divide.
        """
        terms = [part.term for part in parts]
        if self.supervised and not (any(t.supervised for t in terms) and any(t.rewarded for t in terms)):
            found = "curriculum.supervised divides weight between supervised and rewarded terms; one kind is missing"
            hint = "add policy_gradient and cross_entropy to the objective, or leave the shares out"
            raise UserError(Problem("nothing-to-divide", found, hint, "tune.curriculum.supervised"))


def difficulty(plan: Plan, job: Job) -> list[float]:
    """How hard every unit of `plan` is, by the model's loss on it under the weights that the phase begins with.

    The loss is the mean in nats per trained token, of a pair that of the better answer; see `among_equals` for answers
    from a small set. Computed once without gradient, kept in the phase's folder.
    """
    from tunesmith.tune.sequence import start_sums

    losses = (-start_sums(job)).tolist()
    units = plan.units if plan.units is not None else [(number,) for number in range(len(plan.rows))]
    found, answers = [], []
    for unit in units:
        read = [number for number in unit if plan.rows[number].part != "rejected"] or list(unit)
        found.append(sum(losses[n] for n in read) / sum(len(plan.rows[n].trained) for n in read))
        answers.append(tuple(plan.rows[read[0]].ids[place] for place in plan.rows[read[0]].trained))
    return among_equals(found, answers)


def among_equals(losses: Sequence[float], answers: Sequence[Hashable]) -> list[float]:
    """`losses`, or where few different answers are given, each unit's rank among those with its answer, in [0, 1).

    By loss alone the easy rows of a classification are those of the label that the model says anyway: whole levels
    would hold one label, and the last ones would unlearn it.
    """
    if len(set(answers)) > max(2, FEW_ANSWERS * len(answers)):
        return list(losses)
    same: dict[Hashable, list[int]] = {}
    for number in sorted(range(len(losses)), key=lambda number: (losses[number], number)):
        same.setdefault(answers[number], []).append(number)
    ranks = {number: place / len(numbers) for numbers in same.values() for place, number in enumerate(numbers)}
    return [ranks[number] for number in range(len(losses))]
