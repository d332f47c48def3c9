"""A cache with room holds what transformers' own holds, and writes instead of copying."""

from __future__ import annotations

import torch
from transformers import DynamicCache, LlamaConfig, Qwen2Config
from transformers.cache_utils import DynamicLayer

from tunesmith.models.cache import roomy_cache

CONFIG = LlamaConfig(num_hidden_layers=1, hidden_size=8, num_attention_heads=2)


def states(rows: int, tokens: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 2, tokens, 4, generator=torch.Generator().manual_seed(seed))


def test_it_holds_what_the_plain_cache_holds() -> None:
    """A prompt, 200 tokens (beyond the first room), rows leave, more tokens, rows double, more tokens."""
    ours, theirs = roomy_cache(CONFIG), DynamicCache(config=CONFIG)
    seed, rows = 0, 3

    def grow(tokens: int, count: int) -> None:
        nonlocal seed
        for _ in range(count):
            seed += 1
            new = states(rows, tokens, seed), states(rows, tokens, -seed)
            for one, other in zip(ours.update(*new, 0), theirs.update(*new, 0), strict=True):
                assert torch.equal(one, other)
            assert ours.get_seq_length() == theirs.get_seq_length()

    grow(7, 1)
    grow(1, 200)
    for indices in ([0, 2], [0, 0, 1, 1]):
        for cache in (ours, theirs):
            cache.batch_select_indices(torch.tensor(indices))
        rows = len(indices)
        grow(1, 3)


def test_a_token_is_written_where_there_is_room() -> None:
    cache = roomy_cache(CONFIG)
    first, _ = cache.update(states(2, 5, 1), states(2, 5, 2), 0)
    after, _ = cache.update(states(2, 1, 3), states(2, 1, 4), 0)
    assert first.data_ptr() == after.data_ptr() and after.shape[2] == 6


def test_layers_with_windows_are_left_alone() -> None:
    config = Qwen2Config(
        num_hidden_layers=2, use_sliding_window=True, sliding_window=8, max_window_layers=1, layer_types=None
    )
    kinds = [type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers]
    ours = [type(layer).__name__ == "_Roomy" for layer in roomy_cache(config).layers]
    assert kinds == ours == [True, False]
