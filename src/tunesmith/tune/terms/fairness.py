"""Fairness between protected groups as a constraint: a multiplier rises for as long as a gap is too wide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.tune.gathered import Gathered
from tunesmith.tune.objective import Job, Predictions, Running

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.batches import Row, Step
    from tunesmith.tune.lagrangian import Cells

STAGE = "tune"
PARTS = ("supervised",)


@dataclass(frozen=True)
class Fairness:
    """No group's mean probability of a label may leave that of all by more than `slack`; a Lagrangian with multipliers.

    For classification. The probability of each label is the model's, at the first token in which the labels
    differ, among the labels' tokens there: exact, differentiable, and read where the row is trained anyway. Constraints
    are those of Agarwal et al. 2018 (arXiv:1803.02453), multipliers rise by Cotter et al. 2019 (arXiv:1809.04198). The
    value of a step is 0 until a gap is too wide. The curve has `gap` (the widest, over the last `window` steps),
    `multiplier` (the largest) and `rows` of the step that were read.

    Args:
        attribute: the protected attribute (`data.sources[].attributes`); None: the only one of `profile.protect`.
        kind: `equalized_odds`: among rows with the same true label; `demographic_parity`: among all rows.
        slack: how far a group's mean may lie from that of all; two groups differ by twice that at most.
        temperature: logits of the decision are divided by it. At 1 the constraint is on the model's probabilities; near
            0 on its decisions, which is what gaps between groups are reported of (`equalized_odds_difference`).
        multiplier_rate: how fast multipliers rise with a gap beyond the slack, a step.
        multiplier_at_most: where they end: a constraint that cannot be met must not drown the task.
        window: steps over which the means are smoothed.
    """

    attribute: str | None = None
    kind: Literal["demographic_parity", "equalized_odds"] = "equalized_odds"
    slack: Annotated[float, Field(ge=0, le=1)] = 0.05
    temperature: Annotated[float, Field(gt=0, le=1)] = 1.0
    multiplier_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    multiplier_at_most: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    window: Annotated[int, Field(ge=1)] = 20

    def bind(self, job: Job) -> Running:
        """See `Term`."""
        from tunesmith.models.chat import Chat
        from tunesmith.tune.lagrangian import Cells

        labels = job.profile.labels
        if len(labels) < 2:
            found = "fairness is a constraint on labels, and profile.labels names fewer than two"
            raise UserError(Problem("needs-labels", found, "name the answers in profile.labels", "profile.labels"))
        answers = LabelTokens.of(Chat.of(job.base_path), labels)
        attribute = self._attribute(job)
        read, missing = _cells_of(job, attribute, answers)
        groups = sorted({group for group, _, _ in read.values()})
        if len(groups) < 2:
            found = f"rows with a label are of {len(groups)} group(s) of '{attribute}'; {_told(missing)}"
            hint = "name it in `attributes` of the source, and see `tunesmith data preview`"
            raise UserError(Problem("needs-groups", found, hint, "tune.objective"))
        if missing:
            job.events.tell("note", STAGE, f"fairness leaves rows out: {_told(missing)}", **missing)
        odds = self.kind == "equalized_odds"
        rows = {row: (groups.index(group), label * odds, place) for row, (group, label, place) in read.items()}
        shape = (len(groups), len(labels) if odds else 1)
        cells = Cells.of(
            [group for group, _, _ in rows.values()], [label for _, label, _ in rows.values()], shape=shape
        )
        return _Fairness(self, rows, cells, answers.choices)

    def _attribute(self, job: Job) -> str:
        protected = job.profile.protect
        if self.attribute is None and len(protected) != 1:
            found = f"which of the {len(protected)} protected attributes is meant must be said"
            hint = f"set attribute: one of {', '.join(protected) or 'your attributes'}"
            raise UserError(Problem("which-attribute", found, hint, "tune.objective"))
        return self.attribute if self.attribute is not None else protected[0]


@dataclass(frozen=True)
class LabelTokens:
    """The labels as the model says them.

    Args:
        answers: each label's whole answer in tokens, end of turn included.
        at: place of the first token in which they differ.
        choices: their tokens there, all different.
    """

    answers: tuple[tuple[int, ...], ...]
    at: int
    choices: tuple[int, ...]

    @classmethod
    def of(cls, chat: Any, labels: tuple[str, ...]) -> LabelTokens:
        """The labels in the tokens of `chat`.

        Raises:
            UserError: two labels have the same token where others already differ.
        """
        answers = tuple(tuple(chat.completion(label)) for label in labels)
        at, shortest = 0, min(map(len, answers))
        while at < shortest - 1 and len({answer[at] for answer in answers}) == 1:
            at += 1
        choices = tuple(answer[at] for answer in answers)
        if len(set(choices)) < len(choices):
            twice = [label for label, token in zip(labels, choices, strict=True) if choices.count(token) > 1]
            found = f"the labels {', '.join(twice)} begin with the same token while others differ there already"
            hint = "name the labels so that their first words differ"
            raise UserError(Problem("labels-begin-alike", found, hint, "profile.labels"))
        return cls(answers, at, choices)

    def found_in(self, row: Row) -> tuple[int, int] | None:
        """Number of the label that `row` ends with, and place among its trained tokens where the labels differ."""
        said = tuple(row.ids[place] for place in row.trained)
        for number, answer in enumerate(self.answers):
            if said[-len(answer) :] == answer:
                return number, len(said) - len(answer) + self.at
        return None


def _cells_of(job: Job, attribute: str, answers: LabelTokens) -> tuple[dict[Row, tuple[str, int, int]], Counter[str]]:
    """Row -> (group, label, place of the decision among its trained tokens), and why other rows are not read."""
    examples = job.examples()
    known = {name for example in examples.values() for name in example.attributes}
    if attribute not in known:
        found = f"no row has the attribute '{attribute}'"
        raise UserError(Problem("unknown-attribute", found, did_you_mean(attribute, known), "tune.objective"))
    read, missing = {}, Counter[str]()
    for row in job.rows:
        if row.part not in PARTS:
            continue
        example, found_at = examples.get(row.id), answers.found_in(row)
        group = example.attributes.get(attribute, "") if example else ""
        if not group:
            missing["without_group"] += 1
        elif found_at is None:
            missing["without_label"] += 1
        else:
            read[row] = (group, *found_at)
    return read, missing


def _told(missing: Mapping[str, int]) -> str:
    return (
        ", ".join(f"{count:,} rows {reason.replace('_', ' ')}" for reason, count in missing.items()) or "no row is left"
    )


class _Fairness(Running):
    """At work: `multipliers` [2, G, Y, K] of both sides of each constraint; `sums` [G, Y, K], `counts` [G, Y]."""

    def __init__(
        self, settings: Fairness, rows: Mapping[Row, tuple[int, int, int]], cells: Cells, choices: tuple[int, ...]
    ) -> None:
        import torch

        self.settings, self.rows, self.cells, self.choices = settings, rows, cells, choices
        shape = (*cells.share_GY.shape, len(choices))
        self.multipliers = torch.zeros(2, *shape, dtype=torch.float64)
        self.sums = torch.zeros(shape, dtype=torch.float64)
        self.counts = torch.zeros(cells.share_GY.shape, dtype=torch.float64)
        self.seen: Gathered = Gathered()

    def begin(self, step: Step) -> None:
        self.seen.clear()

    def value(self, predictions: Predictions, step: Step) -> Tensor | None:
        import torch

        mine = [place for place, row in enumerate(predictions.batch.items) if row in self.rows]
        if not mine:
            return None
        probability_BK = self._probabilities(predictions, mine)
        groups, labels = zip(*(self.rows[predictions.batch.items[place]][:2] for place in mine), strict=True)
        weights = self.cells.row_weights(self.multipliers[0] - self.multipliers[1])[list(groups), list(labels)]
        self._see(probability_BK.detach().double().cpu(), groups, labels)
        value = (weights.to(probability_BK) * probability_BK).sum() / sum(row in self.rows for row in step.items)
        return value.to(torch.float32)

    def told(self) -> dict[str, float]:
        from tunesmith.tune.lagrangian import gaps

        widest = gaps(self.sums + self.seen.get("sums"), self.counts + self.seen.get("counts")).abs().max()
        rows = float(self.seen.get("rows"))
        return {"gap": float(widest), "multiplier": float(self.multipliers.max()), "rows": rows}

    def after_step(self, step: int) -> None:
        from tunesmith.tune.lagrangian import gaps, risen

        own, kept = self.settings, 1 - 1 / self.settings.window
        self.sums = kept * self.sums + self.seen.get("sums")
        self.counts = kept * self.counts + self.seen.get("counts")
        gap = gaps(self.sums, self.counts)
        self.multipliers = risen(
            self.multipliers, gap, slack=own.slack, rate=own.multiplier_rate, at_most=own.multiplier_at_most
        )

    def tensors(self) -> dict[str, Tensor]:
        return {name: getattr(self, name).clone() for name in ("multipliers", "sums", "counts")}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            setattr(self, name, tensor.clone())

    def _probabilities(self, predictions: Predictions, mine: list[int]) -> Tensor:
        """The labels' probabilities at each row's decision, among the labels, at the term's temperature, [B, K]."""
        starts, total = [], 0
        for row in predictions.batch.items:
            starts.append(total)
            total += len(row.trained)
        places = [starts[place] + self.rows[predictions.batch.items[place]][2] for place in mine]
        logits = predictions.head(predictions.hidden_ND[places])[:, list(self.choices)]
        return (logits.float() / self.settings.temperature).softmax(-1)

    def _see(self, probability_BK: Tensor, groups: tuple[int, ...], labels: tuple[int, ...]) -> None:
        import torch

        sums, counts = torch.zeros_like(self.sums), torch.zeros_like(self.counts)
        where = torch.tensor(groups), torch.tensor(labels)
        sums.index_put_(where, probability_BK, accumulate=True)
        counts.index_put_(where, torch.ones(len(groups), dtype=counts.dtype), accumulate=True)
        self.seen.add(sums=sums, counts=counts, rows=len(groups))
