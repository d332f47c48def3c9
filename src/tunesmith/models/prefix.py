"""A prompt prefix that all rows share: computed once, kept once, attended to by every row.

Rows of one task begin with the same system prompt. Its keys and values are computed once and never copied over the
rows: each layer's attention takes them beside the row's own cache and weighs both under one softmax, which is the
attention over the whole row, exactly. It hangs in transformers' attention interface, so the model code is
transformers' own. Models whose attention looks different (sliding windows, sparse indexers, recurrent layers) are
told apart by their config and by a trial; for them nothing is shared and every row is computed in full.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

NAME = "tunesmith_shared_prefix"
_SHORTEST = 4
_TRIAL_TOKENS = 24
_SCORES = 1 << 25
"""Most attention scores (float32, 128 MiB) that one step may hold; longer queries go in parts."""

_SHARES: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class SharedPrefix:
    """Keys and values of the tokens that all rows begin with.

    Args:
        length: number of tokens.
        layers: for each layer its keys [1, heads, length, D] and values [1, heads, length, D].
    """

    length: int
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]


@dataclass
class PrefixMemory:
    """The last prefix that a model computed, for the next call with the same system prompt.

    Only for a model whose weights do not change any more: keys and values would be those of the old weights.
    """

    tokens: tuple[int, ...] = ()
    shared: SharedPrefix | None = None

    def find(self, prefix: Sequence[int]) -> SharedPrefix | None:
        """Keys and values of at least nine tenths of `prefix`, if they are here."""
        same = _same(self.tokens, prefix)
        if self.shared is None or same < max(_SHORTEST, 0.9 * len(prefix)):
            return None
        return SharedPrefix(
            same, tuple((keys[:, :, :same], values[:, :, :same]) for keys, values in self.shared.layers)
        )


class _Recording(dict[int, tuple[torch.Tensor, torch.Tensor]]):
    """Layer -> keys and values that its attention was called with."""


def common_prefix(rows: Sequence[Sequence[int]]) -> list[int]:
    """The longest beginning that all rows have in common, at least one token short of the shortest row."""
    if len(rows) < 2:
        return []
    first, last = min(map(list, rows)), max(map(list, rows))
    limit = min(len(row) for row in rows) - 1
    return first[: min(_same(first, last), limit)]


def _same(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two rows have in common at their start."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


@torch.inference_mode()
def can_share(model: Any, tokens: Sequence[int]) -> bool:
    """Whether every layer is plain causal attention that takes a shared prefix and any mask of ours.

    Asked of the config, and once for each model of a trial on (at most 24 of) `tokens`.
    """
    if model not in _SHARES:
        if not _is_plain(model):
            _SHARES[model] = False
        elif len(tokens) < _SHORTEST:
            return False
        else:
            with _implementation(model):
                _SHARES[model] = _trial(model, tokens)
    return _SHARES[model]


@contextlib.contextmanager
def sharing(model: Any, prefix: Sequence[int], memory: PrefixMemory | None = None) -> Iterator[SharedPrefix | None]:
    """The prefix's keys and values, for calls of `model(..., shared_prefix=it)` inside the block.

    Args:
        model: a transformers causal language model in evaluation mode.
        prefix: the tokens that all rows begin with.
        memory: where an earlier call left its prefix, and this one leaves its own.

    Yields:
        The prefix or a little less of it: `length` tells where rows go on. None where the prefix is shorter than 4
        tokens or the model's attention cannot share: then rows are to be given in full. The model's attention
        implementation is put back when the block ends.
    """
    if len(prefix) < _SHORTEST or not can_share(model, prefix):
        yield None
        return
    with _implementation(model):
        shared = memory.find(prefix) if memory else None
        if shared is None:
            shared = _compute(model, prefix)
            if memory:
                memory.tokens, memory.shared = tuple(prefix), shared
        yield shared


@contextlib.contextmanager
def _implementation(model: Any) -> Iterator[None]:
    before = model.config._attn_implementation
    _register()
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def visible(own: torch.Tensor, queries: int) -> torch.Tensor:
    """Which own tokens each of the last `queries` tokens sees, for left-padded rows.

    Args:
        own: True at real tokens [B, S].
        queries: number of query tokens T, the last T of S.

    Returns:
        bool [B, 1, T, S]: causal, without padding; padding sees itself, so that no softmax is empty.
    """
    size = own.shape[1]
    causal = torch.ones(size, size, dtype=torch.bool, device=own.device).tril()[size - queries :]
    itself = torch.eye(size, dtype=torch.bool, device=own.device)[size - queries :]
    return ((causal & own[:, None, :]) | itself)[:, None]


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, prefix: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    """Attention over the shared prefix and the row's own tokens under one softmax.

    Axes besides those of `core.types`: K key heads, G query heads per key head, S own tokens, P prefix tokens.

    Args:
        query: [B, heads, T, D], scaled.
        key: of the row's own tokens [B, key heads, S, D]; heads is a multiple of key heads.
        value: of the row's own tokens, likewise.
        mask: bool [B, 1, T, S], True where own tokens are seen; the prefix is always seen.
        prefix: keys and values [1, key heads, prefix, D].

    Returns:
        [B, T, heads, D of value].
    """
    B, heads, T, D = query.shape
    K, S, P = key.shape[1], key.shape[2], prefix[0].shape[2]
    G = heads // K
    query = query.reshape(B, K, G * T, D)
    # Heads first: against the prefix all rows are one matrix product per key head. Own tokens stay rows first, where
    # they lie: turning them round would copy every key and value for each new token.
    asked = query.transpose(0, 1).reshape(K, B * G * T, D)
    shared = (asked @ prefix[0][0].transpose(1, 2)).float().view(K, B, G, T, P)
    # Keys from the left: oneDNN copies a bfloat16 matrix that comes turned round from the right.
    own = (key @ query.transpose(2, 3)).float().transpose(2, 3).reshape(B, K, G, T, S)
    own = own.masked_fill(~mask[:, :, None], float("-inf"))
    top = torch.maximum(shared.amax(-1, keepdim=True).transpose(0, 1), own.amax(-1, keepdim=True))
    shared, own = shared.sub_(top.transpose(0, 1)).exp_(), own.sub_(top).exp_()
    total = shared.sum(-1).transpose(0, 1) + own.sum(-1)
    said = (shared.to(value.dtype).view(K, B * G * T, P) @ prefix[1][0]).view(K, B, G, T, -1).transpose(0, 1)
    said = said + (own.to(value.dtype).view(B, K, G * T, S) @ value).view(B, K, G, T, -1)
    said = said / total[..., None].to(value.dtype)
    return said.permute(0, 3, 1, 2, 4).reshape(B, T, heads, -1)


def _forward(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **options: Any
) -> tuple[torch.Tensor, None]:
    """The attention interface of transformers: with a `shared_prefix` ours, without one its scaled dot product."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    prefix: SharedPrefix | _Recording | None = options.pop("shared_prefix", None)
    if not isinstance(prefix, SharedPrefix):
        if prefix is not None:
            prefix[module.layer_idx] = (key, value)
        result: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return result
    query = query * (options.get("scaling") or query.shape[-1] ** -0.5)
    layer = prefix.layers[module.layer_idx]
    step = max(1, _SCORES // (query.shape[0] * query.shape[1] * (prefix.length + key.shape[2])))
    parts = [
        attention(query[:, :, a : a + step], key, value, attention_mask[:, :, a : a + step], layer)
        for a in range(0, query.shape[2], step)
    ]
    return (parts[0] if len(parts) == 1 else torch.cat(parts, 1)), None


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _forward)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _is_plain(model: Any) -> bool:
    """Whether the config promises plain causal attention in every layer."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    odd = ["index_topk", "attn_logit_softcapping", "attention_chunk_size"]
    # Mistral and Phi-3 name no kinds of layers: their window, where set, is every layer's.
    odd += [] if kinds else ["sliding_window"]
    return set(kinds or ["full_attention"]) == {"full_attention"} and not any(getattr(config, o, None) for o in odd)


def _compute(model: Any, prefix: Sequence[int]) -> SharedPrefix:
    """The prefix's keys and values as the attention sees them; a cache may hold them compressed (DeepSeek's MLA)."""
    ids, seen = torch.tensor([list(prefix)], device=model.device), _Recording()
    model(input_ids=ids, use_cache=False, logits_to_keep=1, shared_prefix=seen)
    return SharedPrefix(len(prefix), tuple(seen[layer] for layer in sorted(seen)))


def _trial(model: Any, prefix: Sequence[int]) -> bool:
    """Whether the model gives the same logits with a part of the prefix shared as without."""
    tokens = list(prefix[:_TRIAL_TOKENS])
    cut = len(tokens) // 2
    whole = model(input_ids=torch.tensor([tokens], device=model.device), logits_to_keep=1).logits
    try:
        shared = _compute(model, tokens[:cut])
        rest = torch.tensor([tokens[cut:]], device=model.device)
        positions = torch.arange(cut, len(tokens), device=model.device)[None]
        mask = visible(torch.ones_like(rest, dtype=torch.bool), rest.shape[1])
        out = model(input_ids=rest, attention_mask=mask, position_ids=positions, shared_prefix=shared, logits_to_keep=1)
    except (AttributeError, IndexError, TypeError, RuntimeError):
        return False
    tolerance = 1e-3 if whole.dtype == torch.float32 else 5e-2
    return bool((whole - out.logits).abs().max() <= tolerance * whole.abs().max().clamp(min=1.0))
