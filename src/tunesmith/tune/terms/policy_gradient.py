"""Policy gradient with group-relative advantages on answers that the model gives while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from tunesmith.core.spec import Use
from tunesmith.tune.objective import Job, Predictions, Running
from tunesmith.tune.policy import Length, Normalise
from tunesmith.tune.rewards import SAMPLING

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.batches import Step

PARTS = ("sampled",)
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Reward(Use):
    """A scorer by name, with its settings and its weight in the sum."""

    weight: Weight = 1.0


@dataclass(frozen=True)
class PolicyGradient:
    """Answers that were better than others to the same prompt become likelier, worse ones less likely (GRPO).

    Reads `rows: prompts` or `supervised_and_prompts` (GRPO, Shao et al. 2024, arXiv:2402.03300, eq. 3). The curve has
    the mean `reward`, the share of `dead_groups` (all answers got the same reward: nothing to learn), the shares of
    answers that `ended` by themselves and that are `unscored` (they take no part), the mean of `answer_tokens`, with
    `kl` the mean divergence per token in nats, and with several updates the share of `clipped` tokens.

    Args:
        reward: the scorers that judge an answer, `[{use: exact_match, weight: 1.0}]`; their weighted sum is its reward.
        samples: answers to each prompt: the group whose mean an answer is compared with.
        at_most_tokens: longest answer; a longer one is cut there and judged as it is.
        temperature: of sampling.
        prompts_per_step: prompts of one sampling; empty: `rows_per_step`.
        updates: optimiser steps on the same answers; with more than 1 the clipped ratio to the sampling policy counts.
        clip: how far below and above 1 that ratio still moves the weights.
        kl: weight of the divergence from the model as it was when the phase began; 0: off, nothing is computed for it.
        normalise: `group` divides advantages by the standard deviation in the group, `none` does not.
        length: `token`: each token counts alike; `sequence`: each answer; `constant`: sums over at_most_tokens.
    """

    reward: Annotated[tuple[Reward, ...], Field(min_length=1)]
    samples: Annotated[int, Field(ge=2)] = 8
    at_most_tokens: Annotated[int, Field(ge=1)] = 256
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    prompts_per_step: Annotated[int, Field(ge=1)] | None = None
    updates: Annotated[int, Field(ge=1)] = 1
    clip: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, allow_inf_nan=False)]] = (0.2, 0.2)
    kl: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    normalise: Normalise = "group"
    length: Length = "token"
    reads: ClassVar[tuple[str, ...]] = SAMPLING

    def bind(self, job: Job) -> Running:
        """See `Term`."""
        return _PolicyGradient(self)


@dataclass
class _PolicyGradient(Running):
    settings: PolicyGradient
    rewarded: ClassVar[bool] = True
    step: Step | None = None
    divergence: float = 0.0
    clipped: int = 0

    def begin(self, step: Step) -> None:
        self.step, self.divergence, self.clipped = step, 0.0, 0

    def value(self, predictions: Predictions, step: Step) -> Tensor | None:
        import torch

        from tunesmith.tune.policy import clipped_surrogate, kl_to_reference, shares
        from tunesmith.tune.tokens_likelihood import token_log_probabilities

        hidden, targets, _ = predictions.of(PARTS)
        if not len(targets):
            return None
        rows = [row for row in predictions.batch.items if row.part in PARTS]
        lengths = [len(row.trained) for row in rows]
        now = token_log_probabilities(hidden, targets, predictions.head, temperature=self.settings.temperature)

        def each_token(values: Sequence[float]) -> Tensor:
            return now.new_tensor(values).repeat_interleave(torch.tensor(lengths, device=now.device))

        def told_of(name: str) -> Tensor:
            return now.new_tensor([number for row in rows for number in getattr(row.about, name)])

        counted = {"tokens": step.tokens(PARTS), "answers": step.rows(PARTS), "at_most": self.settings.at_most_tokens}
        share = each_token(shares(lengths, self.settings.length, **counted))
        before = told_of("old") if rows[0].about.old is not None else now.detach()
        gain, held = clipped_surrogate(
            (now - before).exp(), each_token([row.about.advantage for row in rows]), self.settings.clip
        )
        loss = -gain
        if self.settings.kl:
            off = kl_to_reference(now, told_of("reference"))
            loss = loss + self.settings.kl * off
            self.divergence += float(off.detach().sum())
        self.clipped += int(held.sum())
        return (share * loss).sum()

    def told(self) -> dict[str, float]:
        from tunesmith.tune.rollouts import figures

        if self.step is None:
            return {}
        found, tokens = figures(self.step.items), max(1, self.step.tokens(PARTS))
        if self.settings.kl:
            found["kl"] = self.divergence / tokens
        if self.settings.updates > 1:
            found["clipped"] = self.clipped / tokens
        return found
