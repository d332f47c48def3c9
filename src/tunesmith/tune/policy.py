"""The mathematics of the policy gradient with group-relative advantages (GRPO)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Normalise = Literal["group", "none"]
Length = Literal["token", "sequence", "constant"]

SAME = 1e-6
"""Rewards of a group that differ by no more than this are the same: dividing by their spread would make noise large."""


def advantages(rewards: Sequence[float], normalise: Normalise) -> list[float]:
    """How much better than its group each answer is.

    `group`: (r - mean(r)) / std(r), the standard deviation of the group itself (GRPO, Shao et al. 2024,
    arXiv:2402.03300, sec. 4.1.2); `none`: r - mean(r), which does not weigh easy and hard prompts more than those
    between (Dr. GRPO, Liu et al. 2025, arXiv:2503.20783, sec. 3.1). Rewards that are all the same give zeros.
    """
    if not rewards or max(rewards) - min(rewards) <= SAME:
        return [0.0] * len(rewards)
    mean = math.fsum(rewards) / len(rewards)
    off = [reward - mean for reward in rewards]
    spread = math.sqrt(math.fsum(x * x for x in off) / len(off)) if normalise == "group" else 1.0
    return [x / spread for x in off]


def clipped_surrogate(ratio_N: Tensor, advantage_N: Tensor, clip: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """What is maximised: min(ratio A, clip(ratio, 1 - low, 1 + high) A) for each token, and where the clip acts.

    Source: PPO, Schulman et al. 2017, arXiv:1707.06347, eq. 7; with two limits: DAPO, Yu et al. 2025,
    arXiv:2503.14476, eq. 8.

    Args:
        ratio_N: probability of each token now, over that when it was sampled.
        advantage_N: of the answer that it belongs to.
        clip: (low, high).

    Returns:
        The surrogate [N], and bool [N]: True where the clipped side is the smaller, so that no gradient flows.
    """
    free = ratio_N * advantage_N
    held = ratio_N.clamp(1 - clip[0], 1 + clip[1]) * advantage_N
    return torch.minimum(free, held), held < free


def kl_to_reference(log_now_N: Tensor, log_reference_N: Tensor) -> Tensor:
    """p_ref / p - log(p_ref / p) - 1 for each token: an unbiased estimator of KL(p || p_ref), never below 0.

    Source: GRPO, eq. 4; "k3" of Schulman 2020, Approximating KL Divergence.
    """
    log_ratio = log_reference_N - log_now_N
    return log_ratio.exp() - log_ratio - 1


def shares(lengths: Sequence[int], length: Length, *, tokens: int, answers: int, at_most: int) -> list[float]:
    """What one token of each answer counts in the step.

    `token`: 1 / tokens, every token alike (DAPO, eq. 8); `sequence`: 1 / (own tokens x answers), every answer alike
    (GRPO, eq. 3; long answers are blamed less for each token); `constant`: 1 / (answers x at_most), so that no
    length is favoured (Dr. GRPO, sec. 3.2).

    Args:
        lengths: tokens of each answer asked for.
        length: which of the three.
        tokens: of all answers of the step.
        answers: of the step.
        at_most: longest answer that sampling allows.
    """
    if length == "sequence":
        return [1 / (own * answers) for own in lengths]
    return [1 / tokens if length == "token" else 1 / (answers * at_most)] * len(lengths)
