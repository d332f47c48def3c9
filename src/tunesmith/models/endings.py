"""How likely a model finds the ends of texts, and whether each of their tokens is the likeliest there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tunesmith.models.generate import batches, pad_left, positions_of

_LOGITS = 1 << 25
"""Most logits (float32, 128 MiB) that one call may make."""
_TOKENS = 8_192


@torch.inference_mode()
def ends_told(model: Any, rows: Sequence[Sequence[int]], ends: Sequence[int]) -> list[tuple[float, bool]]:
    """For each row: log-probability of its last tokens in nats, and whether greedy decoding would say them.

    Args:
        model: a transformers causal language model in evaluation mode.
        rows: token ids, within the model's context.
        ends: how many of each row's tokens are asked about; fewer than the row has. None at all: (0, True).
    """
    found: list[tuple[float, bool]] = [(0.0, True)] * len(rows)
    asked = [n for n, end in enumerate(ends) if end > 0]
    width = model.config.get_text_config().vocab_size
    at_once = max(1, _LOGITS // (width * (max(ends, default=0) + 1)))
    for group in batches([len(rows[n]) for n in asked], _TOKENS, at_once):
        chosen = [asked[k] for k in group]
        told = _told(model, [rows[n] for n in chosen], [ends[n] for n in chosen])
        for n, one in zip(chosen, told, strict=True):
            found[n] = one
    return found


def _told(model: Any, rows: Sequence[Sequence[int]], ends: Sequence[int]) -> list[tuple[float, bool]]:
    ids, real = pad_left(rows, model.device)
    keep = max(ends) + 1
    places = positions_of(real, 0)
    out = model(input_ids=ids, attention_mask=real.long(), position_ids=places, use_cache=False, logits_to_keep=keep)
    told = []
    for logits_TV, row, end in zip(out.logits, rows, ends, strict=True):
        logs_TV = logits_TV[-end - 1 : -1].float().log_softmax(-1)
        said_T = torch.tensor(list(row[-end:]), device=logs_TV.device)
        greedy = bool((logs_TV.argmax(-1) == said_T).all())
        told.append((float(logs_TV.gather(-1, said_T[:, None]).double().sum()), greedy))
    return told
