"""Direct preference optimisation: the better answer of a pair likelier, against the model that the phase began with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from tunesmith.core.errors import Problem, UserError
from tunesmith.tune.gathered import Gathered
from tunesmith.tune.objective import Job, Predictions, Running

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.tune.batches import Step


@dataclass(frozen=True)
class Dpo:
    """Direct preference optimisation on pairs; mean over pairs (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).

    The reference is the model as the phase begins: its log-probabilities are computed once and kept, no second model is
    in memory. Reads `rows: pairs`. The curve has `accuracy` (share of pairs whose chosen answer has the larger reward
    beta * log pi / ref), `margin` (mean difference of the rewards) and `chosen` (mean reward of the chosen answers:
    where it falls, the model unlearns both).

    Args:
        beta: how dear it is to leave the reference; the paper's 0.1 to 0.5.
        label_smoothing: the chance that a pair's labels are the wrong way round; `sigmoid` only.
        loss: `sigmoid` (DPO), or `ipo` (Azar et al. 2023, arXiv:2310.12036), which does not run off on certain pairs.
        length_normalised: log-probabilities per token instead of per answer (Lambert et al. 2024, arXiv:2411.15124).
        chunk_tokens: positions whose logits are in memory at a time.
    """

    beta: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    loss: Literal["sigmoid", "ipo"] = "sigmoid"
    length_normalised: bool = False
    chunk_tokens: Annotated[int, Field(ge=1)] = 1024
    reads: ClassVar[tuple[str, ...]] = ("pairs",)

    def bind(self, job: Job) -> Running:
        """See `Term`."""
        from tunesmith.tune.preference import need_pairs
        from tunesmith.tune.sequence import start_sums

        if self.loss == "ipo" and self.label_smoothing:
            found = "label_smoothing belongs to `loss: sigmoid`; ipo has no such number"
            raise UserError(Problem("wrong-value", found, "set label_smoothing: 0", "tune.objective"))
        need_pairs(job, "dpo")
        return _Dpo(self, start_sums(job))


@dataclass
class _Dpo(Running):
    settings: Dpo
    reference: Tensor
    seen: Gathered = field(default_factory=Gathered)

    def begin(self, step: Step) -> None:
        self.seen.clear()

    def value(self, predictions: Predictions, step: Step) -> Tensor | None:
        from tunesmith.tune.preference import PARTS, WORSE, dpo_loss, ipo_loss, lengths_of, pairs_in
        from tunesmith.tune.sequence import answer_sums

        items, own = predictions.batch.items, self.settings
        better, worse = pairs_in(items)
        if not worse:
            return None
        sums = answer_sums(predictions, PARTS, chunk_tokens=own.chunk_tokens)
        ratio = sums - self.reference[list(predictions.batch.rows)].to(sums.device)
        if own.length_normalised:
            ratio = ratio / lengths_of(items, sums.device)
        margin = ratio[better] - ratio[worse]
        rewards = own.beta * margin.detach()
        chosen = own.beta * ratio[better].detach()
        self.seen.add(pairs=len(worse), right=(rewards > 0).sum(), margin=rewards.sum(), chosen=chosen.sum())
        if own.loss == "ipo":
            losses = ipo_loss(margin, beta=own.beta)
        else:
            losses = dpo_loss(margin, beta=own.beta, label_smoothing=own.label_smoothing)
        return losses.sum() / step.rows((WORSE,))

    def told(self) -> dict[str, float]:
        return self.seen.means(of="pairs", accuracy="right", margin="margin", chosen="chosen")
