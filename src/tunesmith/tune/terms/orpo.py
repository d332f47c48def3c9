"""Odds-ratio preference optimisation: the better answer learnt, the worse one made less likely, no reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from tunesmith.tune.gathered import Gathered
from tunesmith.tune.objective import Job, Predictions, Running

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.batches import Step


@dataclass(frozen=True)
class Orpo:
    """Odds-ratio preference optimisation on pairs; mean over pairs (Hong et al. 2024, arXiv:2403.07691, eq. 6).

    The loss as a whole, its supervised part on the better answer included: no cross_entropy beside it, no reference
    model. Log-probabilities are per token, as in the paper. Reads `rows: pairs`. The curve has `accuracy` (share of
    pairs whose chosen answer has the larger odds) and `margin` (mean log odds ratio).

    Args:
        penalty: weight of the odds-ratio part, the paper's lambda.
        chunk_tokens: positions whose logits are in memory at a time.
    """

    penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    chunk_tokens: Annotated[int, Field(ge=1)] = 1024
    reads: ClassVar[tuple[str, ...]] = ("pairs",)

    def bind(self, job: Job) -> Running:
        """See `Term`."""
        from tunesmith.tune.preference import need_pairs

        need_pairs(job, "orpo")
        return _Orpo(self)


@dataclass
class _Orpo(Running):
    settings: Orpo
    seen: Gathered = field(default_factory=Gathered)

    def begin(self, step: Step) -> None:
        self.seen.clear()

    def value(self, predictions: Predictions, step: Step) -> Tensor | None:
        from tunesmith.tune.preference import PARTS, WORSE, lengths_of, log_odds, orpo_loss, pairs_in
        from tunesmith.tune.sequence import answer_sums

        items, own = predictions.batch.items, self.settings
        better, worse = pairs_in(items)
        if not worse:
            return None
        sums = answer_sums(predictions, PARTS, chunk_tokens=own.chunk_tokens)
        means = sums / lengths_of(items, sums.device)
        ratio = (log_odds(means[better]) - log_odds(means[worse])).detach()
        self.seen.add(pairs=len(worse), right=(ratio > 0).sum(), margin=ratio.sum())
        return orpo_loss(means[better], means[worse], penalty=own.penalty).sum() / step.rows((WORSE,))

    def told(self) -> dict[str, float]:
        return self.seen.means(of="pairs", accuracy="right", margin="margin")
