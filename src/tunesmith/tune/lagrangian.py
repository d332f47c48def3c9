"""Constraints between groups as a Lagrangian: multipliers, gaps, and what each row counts in them.

Agarwal et al. 2018, arXiv:1803.02453, write fairness as linear constraints on means of groups: for every group g, label
k and, for equalised odds, true label y, |mean of p_k over g (and y) - mean of p_k over all (with y)| <= slack. Cotter
et al. 2019, arXiv:1809.04198, play them as a game: the model lowers the Lagrangian, the multipliers rise on it. A cell
is a pair (g, y); without true labels y is always 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cells:
    """Which rows are where, over all rows of the phase.

    Args:
        share_GY: share of the rows that lie in cell (g, y); a cell without rows bounds nothing.
    """

    share_GY: Tensor

    @classmethod
    def of(cls, groups: list[int], labels: list[int], *, shape: tuple[int, int]) -> Cells:
        """The cells of rows with these groups and true labels."""
        counts = torch.zeros(shape, dtype=torch.float64)
        for group, label in zip(groups, labels, strict=True):
            counts[group, label] += 1
        return cls(counts / counts.sum())

    def row_weights(self, multiplier_GYK: Tensor) -> Tensor:
        """What p_k of a row in cell (g, y) counts in the Lagrangian, [G, Y, K].

        With m the net multipliers, sum over g, y, k of m_gyk (mean_gy p_k - mean_y p_k) is the mean over all rows of
        sum over k of (m_gyk / share_gy - sum over g' of m_g'yk / share_y) p_k: linear in the rows, so that the mean
        over the rows of a step is an unbiased estimate, whatever groups happen to be in it.
        """
        share = self.share_GY[..., None]
        held = torch.where(share > 0, multiplier_GYK, 0.0)
        of_all = held.sum(0, keepdim=True) / share.sum(0, keepdim=True).clamp_min(1e-12)
        return torch.where(share > 0, held / share.clamp_min(1e-12) - of_all, 0.0)


def gaps(sums_GYK: Tensor, counts_GY: Tensor) -> Tensor:
    """mean_gy p_k - mean_y p_k, [G, Y, K]; 0 where a cell has no row.

    Args:
        sums_GYK: sum of p_k over the rows of each cell.
        counts_GY: rows of each cell.
    """
    counts = counts_GY[..., None]
    of_group = sums_GYK / counts.clamp_min(1e-12)
    of_all = sums_GYK.sum(0, keepdim=True) / counts.sum(0, keepdim=True).clamp_min(1e-12)
    return torch.where(counts > 0, of_group - of_all, 0.0)


def risen(multipliers: Tensor, gap_GYK: Tensor, *, slack: float, rate: float, at_most: float) -> Tensor:
    """The multipliers [2, G, Y, K] of `gap <= slack` and `-gap <= slack` after one step of ascent, in [0, at_most]."""
    violated = torch.stack([gap_GYK, -gap_GYK]) - slack
    return (multipliers + rate * violated).clamp(0.0, at_most)
