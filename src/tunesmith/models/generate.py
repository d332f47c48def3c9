"""Batched generation on plain transformers modules: the shared prompt once, finished rows leave, no row waits long.

Greedy text equals `transformers.generate` on each row alone, up to ties of floating point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from tunesmith.models.prefix import PrefixMemory, SharedPrefix, common_prefix, sharing, visible

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Generation:
    """How to generate.

    Args:
        at_most_tokens: longest answer; longer ones stop with `length`.
        stop_ids: tokens that end an answer; not part of it.
        temperature: 0 takes the likeliest token; otherwise logits are divided by it and a token is drawn.
        top_p: draw from the smallest set of tokens with at least this probability (Holtzman et al., 2020).
        seed: of the draws; each row has its own stream, so an answer does not depend on its batch.
        token_budget: most tokens (prompt beyond the shared prefix, and answer) that a batch holds in its cache.
        rows_at_once: most rows of a batch.
    """

    at_most_tokens: int
    stop_ids: frozenset[int] = frozenset()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    token_budget: int = 16_384
    rows_at_once: int = 64


@dataclass
class Generated:
    """One answer: its tokens without the stop token, why it ended, and the stop token if one ended it."""

    ids: list[int] = field(default_factory=list)
    stop: Literal["end", "length"] = "length"
    stop_id: int | None = None


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    how: Generation,
    *,
    on_progress: Progress | None = None,
    memory: PrefixMemory | None = None,
) -> list[Generated]:
    """One answer per prompt, in order.

    Args:
        model: a transformers causal language model in evaluation mode.
        prompts: token ids, none empty; together with the answer no longer than the model's context. Prompts that are
            the same (several draws of one question) are computed once in a batch.
        how: limits, stop tokens, sampling.
        on_progress: called with (answers done, answers wanted) after each batch.
        memory: keeps the shared prefix for the next call; only for a model that is not trained meanwhile.

    Raises:
        ValueError: a prompt is empty.
    """
    if any(not prompt for prompt in prompts):
        raise ValueError("a prompt has no tokens")
    answers = [Generated() for _ in prompts]
    if how.at_most_tokens < 1:
        return answers
    done = 0
    with sharing(model, common_prefix(prompts), memory) as prefix:
        start = prefix.length if prefix else 0
        for rows in batches([len(p) - start + how.at_most_tokens for p in prompts], how.token_budget, how.rows_at_once):
            _answer(model, [prompts[row][start:] for row in rows], [answers[row] for row in rows], rows, how, prefix)
            done += len(rows)
            if on_progress:
                on_progress(done, len(prompts))
    return answers


def stop_ids_of(model: Any, turn_ends: frozenset[int]) -> frozenset[int]:
    """The tokens that end an answer: those of the chat template, and what the model's generation config says."""
    told = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return turn_ends | frozenset([told] if isinstance(told, int) else told or ())


def batches(lengths: Sequence[int], token_budget: int, rows_at_once: int) -> Iterator[list[int]]:
    """Row numbers in groups of like length, longest first: rows times longest row stays within the budget."""
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    while order:
        size = max(1, min(rows_at_once, token_budget // max(1, lengths[order[0]])))
        yield order[:size]
        order = order[size:]


def pad_left(rows: Sequence[Sequence[int]], device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids [B, T] with zeros before shorter rows, and True at real tokens [B, T]."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=device)
    real = torch.tensor([[False] * (width - len(row)) + [True] * len(row) for row in rows], device=device)
    return ids, real


def positions_of(real: torch.Tensor, start: int) -> torch.Tensor:
    """Position of each token [B, T]: counted over real tokens, from `start`; `start` at padding."""
    return (real.long().cumsum(-1) - 1).clamp(min=0) + start


def _answer(
    model: Any,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Generated],
    rows: Sequence[int],
    how: Generation,
    prefix: SharedPrefix | None,
) -> None:
    """Fill `answers` for one batch: all prompts in one call, then a token a row and call until all have ended.

    Six parameters: what a batch is (prompts, answers, row numbers) and what it is computed with.
    """
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config.get_text_config())
    distinct = list(dict.fromkeys(map(tuple, prompts)))
    ids, real = pad_left(distinct, model.device)
    positions = positions_of(real, prefix.length if prefix else 0)
    draws = [torch.Generator().manual_seed(how.seed * 1_000_003 + row) for row in rows] if how.temperature else []
    alive = list(range(len(prompts)))
    for place_in_answer in range(how.at_most_tokens):
        logits = model(
            input_ids=ids,
            attention_mask=visible(real, ids.shape[1]) if prefix else real.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **({"shared_prefix": prefix} if prefix else {}),
        ).logits[:, -1]
        if place_in_answer == 0 and len(distinct) < len(prompts):
            number = {prompt: place for place, prompt in enumerate(distinct)}
            asked = torch.tensor([number[tuple(prompt)] for prompt in prompts], device=model.device)
            cache.batch_select_indices(asked)
            logits, real, positions = logits[asked], real[asked], positions[asked]
        tokens = pick(logits, how, [draws[row] for row in alive] if draws else [])
        keep = []
        for place, token in enumerate(tokens):
            answer = answers[alive[place]]
            if token in how.stop_ids:
                answer.stop, answer.stop_id = "end", token
            else:
                answer.ids.append(token)
                keep.append(place)
        if not keep:
            return
        if len(keep) < len(alive):
            chosen = torch.tensor(keep, device=model.device)
            cache.batch_select_indices(chosen)
            real, positions = real[chosen], positions[chosen]
            alive = [alive[place] for place in keep]
        ids = torch.tensor([[tokens[place]] for place in keep], device=model.device)
        real = torch.cat([real, torch.ones_like(real[:, :1])], 1)
        positions = positions[:, -1:] + 1


def pick(logits: torch.Tensor, how: Generation, draws: Sequence[torch.Generator]) -> list[int]:
    """The next token of each row.

    Args:
        logits: [B, V].
        how: temperature and top_p.
        draws: one random stream per row; not read at temperature 0.
    """
    if not how.temperature:
        greedy: list[int] = logits.argmax(-1).tolist()
        return greedy
    chances, order = (logits.float() / how.temperature).softmax(-1), None
    if how.top_p < 1:
        chances, order = chances.sort(stable=True, dim=-1, descending=True)
        chances = chances.masked_fill(chances.cumsum(-1) - chances >= how.top_p, 0.0)
    upto = chances.cpu().double().cumsum(-1)  # on a GPU sums like this are not the same twice
    at = torch.tensor([[torch.rand(1, generator=draw).item()] for draw in draws]) * upto[:, -1:]
    place = torch.searchsorted(upto, at, right=True).clamp(max=chances.shape[-1] - 1)
    drawn: list[int] = (place if order is None else order.cpu().gather(-1, place))[:, 0].tolist()
    return drawn
