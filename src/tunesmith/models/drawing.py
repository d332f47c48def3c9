"""The next token of each row, drawn from the row's own random stream."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from tunesmith.core.ids import canonical_json

_NUCLEUS = 256
"""So many likeliest tokens hold nearly every nucleus; only rows with a larger one sort the whole vocabulary."""


def stream(seed: int, prompt: Sequence[int], number: int) -> torch.Generator:
    """The random stream of draw `number` of a prompt: the same whatever else is drawn."""
    digest = hashlib.sha256(canonical_json([seed, number, list(prompt)])).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def pick(logits: torch.Tensor, temperature: float, top_p: float, draws: Sequence[torch.Generator]) -> list[int]:
    """The next token of each row.

    Args:
        logits: [B, V].
        temperature: 0 takes the likeliest token; otherwise logits are divided by it.
        top_p: what is drawn from: the smallest set of tokens with at least this probability.
        draws: one random stream per row; not read at temperature 0.
    """
    if not temperature:
        greedy: list[int] = logits.argmax(-1).tolist()
        return greedy
    chances = (logits.float() / temperature).softmax(-1)
    at = torch.tensor([[torch.rand(1, generator=draw).item()] for draw in draws])
    if top_p >= 1:
        return _drawn(chances, at)
    width = min(_NUCLEUS, chances.shape[-1])
    kept, order = chances.topk(width, dim=-1)
    wide = (kept.sum(-1) < top_p).nonzero()[:, 0].tolist() if width < chances.shape[-1] else []
    drawn = _from_nucleus(kept, order, top_p, at)
    for row in wide:
        everything, places = chances[row : row + 1].sort(stable=True, dim=-1, descending=True)
        drawn[row] = _from_nucleus(everything, places, top_p, at[row : row + 1])[0]
    return drawn


def log_probabilities(logits: torch.Tensor, tokens: Sequence[int]) -> list[float]:
    """Log-probability of one token per row under the whole distribution at temperature 1, in nats."""
    logits = logits.float()
    chosen = logits.gather(-1, torch.tensor(tokens, device=logits.device)[:, None])[:, 0]
    found: list[float] = (chosen - logits.logsumexp(-1)).tolist()
    return found


def _from_nucleus(falling: torch.Tensor, order: torch.Tensor, top_p: float, at: torch.Tensor) -> list[int]:
    """Draws from the head of probabilities in falling order [B, K]; `order` [B, K] names their tokens."""
    kept = falling.masked_fill(falling.cumsum(-1) - falling >= top_p, 0.0)
    places = torch.tensor(_drawn(kept, at))[:, None]
    named: list[int] = order.cpu().gather(-1, places)[:, 0].tolist()
    return named


def _drawn(weights: torch.Tensor, at: torch.Tensor) -> list[int]:
    """The place in each row [B, K] at which its share `at` [B, 1] of the row's whole weight is reached."""
    upto = weights.cpu().double().cumsum(-1)  # on a GPU sums like this are not the same twice
    places = torch.searchsorted(upto, at * upto[:, -1:], right=True).clamp(max=weights.shape[-1] - 1)
    found: list[int] = places[:, 0].tolist()
    return found
