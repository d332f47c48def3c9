"""The mathematics of preferences, on the log-probabilities of whole answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from tunesmith.core.errors import Problem, UserError
from tunesmith.tune.batches import Row
from tunesmith.tune.objective import Job

BETTER, WORSE = "supervised", "rejected"
PARTS = (BETTER, WORSE)
_CERTAIN = -1e-6
"""Log-probabilities per token nearer to 0 are taken as this: the odds of certainty are infinite."""


def dpo_loss(margin_P: Tensor, *, beta: float, label_smoothing: float) -> Tensor:
    """-(1 - e) log sigmoid(beta m) - e log sigmoid(-beta m) for each pair.

    Rafailov et al. 2023, arXiv:2305.18290, eq. 7; label smoothing e (the chance that a label is wrong) after Mitchell
    2023, "A note on DPO with noisy preferences".

    Args:
        margin_P: log pi(chosen) / ref(chosen) - log pi(rejected) / ref(rejected), [pairs].
        beta: how dear it is to leave the reference.
        label_smoothing: e, in [0, 0.5).
    """
    scaled = beta * margin_P
    return -(1 - label_smoothing) * logsigmoid(scaled) - label_smoothing * logsigmoid(-scaled)


def ipo_loss(margin_P: Tensor, *, beta: float) -> Tensor:
    """(m - 1 / (2 beta))^2 for each pair: Azar et al. 2023, arXiv:2310.12036, eq. 17, with tau = beta."""
    return (margin_P - 1 / (2 * beta)).square()


def kto_loss(ratio_B: Tensor, desirable_B: Tensor, *, reference_point: float, beta: float) -> Tensor:
    """1 - sigmoid(beta (r - z)) where the answer is desirable, 1 - sigmoid(beta (z - r)) where it is not.

    Ethayarajh et al. 2024, arXiv:2402.01306, eq. 7 and 8, without the weights lambda.

    Args:
        ratio_B: r = log pi(answer) / ref(answer), [rows].
        desirable_B: the verdicts, bool [rows].
        reference_point: z; no gradient goes through it.
        beta: how risk-averse the value function is.
    """
    signs = torch.where(desirable_B, 1.0, -1.0)
    return 1 - torch.sigmoid(beta * signs * (ratio_B - reference_point))


def log_odds(mean_P: Tensor) -> Tensor:
    """log(p / (1 - p)) of p = exp(mean log-probability per token): Hong et al. 2024, arXiv:2403.07691, eq. 3 and 4."""
    held = mean_P.clamp(max=_CERTAIN)
    return held - torch.log(-torch.expm1(held))


def orpo_loss(chosen_P: Tensor, rejected_P: Tensor, *, penalty: float) -> Tensor:
    """-log p(chosen) - penalty * log sigmoid(log odds(chosen) - log odds(rejected)) for each pair.

    Hong et al. 2024, eq. 6 and 7, with log p as eq. 3 has it: the mean log-probability per token.

    Args:
        chosen_P: mean log-probability per token of the better answers, [pairs].
        rejected_P: of the worse ones.
        penalty: the paper's lambda.
    """
    return -chosen_P - penalty * logsigmoid(log_odds(chosen_P) - log_odds(rejected_P))


def pairs_in(items: Sequence[Row]) -> tuple[list[int], list[int]]:
    """Places of the better and of the worse answers of the pairs in `items`; the two of a pair stand side by side."""
    worse = [place for place, row in enumerate(items) if row.part == WORSE]
    return [place - 1 for place in worse], worse


def lengths_of(items: Sequence[Row], device: torch.device) -> Tensor:
    """Trained tokens of each row, float32 [B]."""
    return torch.tensor([len(row.trained) for row in items], dtype=torch.float32, device=device)


def need_pairs(job: Job, term: str) -> None:
    """Hold a phase to what a term of pairs reads.

    Raises:
        UserError: some rows are not pairs, or none is.
    """
    rows = [row for row in job.rows if row.part in PARTS]
    better, worse = pairs_in(rows)
    if (
        not worse
        or 2 * len(worse) != len(rows)
        or any(rows[a].id != rows[b].id for a, b in zip(better, worse, strict=True))
    ):
        found = f"{term} compares the two answers of a pair, and this phase reads other rows"
        raise UserError(Problem("needs-pairs", found, "tune.phases: [{rows: pairs, objective: [...]}]", "tune.phases"))
