"""Packed rows give what each row gives alone: the packing law, over the five architectures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tunesmith.models.packing import Layout, pack, packed_attention
from tunesmith.models.trunk import Trunk

SMALL: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
EXPERTS: dict[str, Any] = {
    **SMALL,
    "num_key_value_heads": 4,
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
    "head_dim": 8,
}
MODELS: dict[str, Any] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SMALL)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SMALL)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SMALL, head_dim=8)),
    "deepseek_v2": lambda: DeepseekV2ForCausalLM(DeepseekV2Config(**EXPERTS)),
    "deepseek_v3": lambda: DeepseekV3ForCausalLM(DeepseekV3Config(**EXPERTS)),
}

PREFIX = [5, 9, 3, 17, 40, 2, 8]
ROWS = [[11, 12, 13], [21], [31, 32, 33, 34, 35, 36, 37, 38, 39], [41, 42, 43, 44], [7, 7, 7]]


def tiny(name: str) -> Any:
    torch.manual_seed(0)
    model = MODELS[name]()
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.2)
    return model.eval()


def loss_of(logits: Tensor, row: list[int], prefix: int) -> Tensor:
    """Next-token loss of the row's own tokens: `logits` [T, V] start at the prefix's last token, or the row's first."""
    targets = torch.tensor(row if prefix else row[1:], dtype=torch.long)
    return nn.functional.cross_entropy(logits[: len(targets)], targets, reduction="sum")


def one_at_a_time(model: Any, prefix: list[int]) -> Tensor:
    model.set_attn_implementation("eager")
    total = torch.zeros(())
    for row in ROWS:
        logits = model(input_ids=torch.tensor([prefix + row]), use_cache=False).logits[0]
        total = total + loss_of(logits[max(len(prefix) - 1, 0) :], row, len(prefix))
    return total


def packed(model: Any, prefix: list[int]) -> Tensor:
    trunk = Trunk(model)
    ids, layout = pack(prefix, ROWS)
    hidden = trunk.whole(ids, layout)[0]
    total = torch.zeros(())
    for start, row in zip(layout.starts, ROWS, strict=True):
        places = ([layout.prefix - 1] if prefix else []) + list(range(start, start + len(row)))
        total = total + loss_of(trunk.head(hidden[places]), row, len(prefix))
    return total


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("prefix", [[], PREFIX], ids=["no prefix", "prefix"])
def test_packed_rows_have_the_loss_and_gradients_of_rows_run_one_at_a_time(name: str, prefix: list[int]) -> None:
    model = tiny(name)
    alone = one_at_a_time(model, prefix)
    torch.autograd.backward(alone)
    wanted = {n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None}
    model.zero_grad()
    together = packed(model, prefix)
    torch.autograd.backward(together)
    assert together.item() == pytest.approx(alone.item(), rel=1e-5)
    scale = max(float(g.abs().max()) for g in wanted.values())
    for weight_name, weight in model.named_parameters():
        if weight_name in wanted:
            assert weight.grad is not None, weight_name
            assert float((weight.grad - wanted[weight_name]).abs().max()) <= 1e-5 * scale, weight_name


@pytest.mark.parametrize("name", MODELS)
def test_bottom_and_top_make_the_whole(name: str) -> None:
    model = tiny(name).requires_grad_(False)
    model.model.layers[2].requires_grad_(True)
    trunk = Trunk(model)
    ids, layout = pack(PREFIX, ROWS)
    states = trunk.bottom(ids, layout)
    assert trunk.border == 2
    assert not states.requires_grad
    torch.testing.assert_close(trunk.top(states, layout), trunk.whole(ids, layout), rtol=0, atol=1e-6)
    assert len(model.model.layers) == 3


def test_border_states_of_a_row_do_not_depend_on_what_it_is_packed_with() -> None:
    model = tiny("llama").requires_grad_(False)
    model.model.layers[2].requires_grad_(True)
    trunk = Trunk(model)
    ids, layout = pack(PREFIX, ROWS)
    together = trunk.bottom(ids, layout)[0]
    for start, row in zip(layout.starts, ROWS, strict=True):
        alone = trunk.bottom(*pack(PREFIX, [row]))[0]
        torch.testing.assert_close(together[start : start + len(row)], alone[len(PREFIX) :], rtol=0, atol=1e-6)
        torch.testing.assert_close(together[: len(PREFIX)], alone[: len(PREFIX)], rtol=0, atol=1e-6)


def test_positions_go_on_after_the_prefix_in_every_row() -> None:
    """Prefix of 2, rows of 3 and 1: 0 1 | 2 3 4 | 2."""
    assert Layout(2, (3, 1)).positions().tolist() == [[0, 1, 2, 3, 4, 2]]
    assert Layout(2, (3, 1)).starts == (2, 5)


def states(heads: int, tokens: int, width: int) -> Tensor:
    return torch.randn(1, heads, tokens, width, generator=torch.Generator().manual_seed(heads * tokens + width))


@pytest.mark.parametrize("prefix", [0, 4])
@pytest.mark.parametrize("window", [None, 3])
def test_attention_equals_softmax_over_the_tokens_that_each_token_may_see(prefix: int, window: int | None) -> None:
    layout = Layout(prefix, (3, 5, 1))
    query, key, value = states(4, layout.tokens, 6), states(2, layout.tokens, 6), states(2, layout.tokens, 5)
    got, _ = packed_attention(None, query, key, value, None, layout=layout, scaling=0.3, sliding_window=window)
    row = torch.tensor([-1] * prefix + [0] * 3 + [1] * 5 + [2])
    at = layout.positions()[0]
    seen = ((row[None] == row[:, None]) | (row[None] == -1)) & (at[None] <= at[:, None])
    if window is not None:
        seen &= at[None] > at[:, None] - window
    keys, values = key.repeat_interleave(2, 1), value.repeat_interleave(2, 1)
    scores = (query @ keys.transpose(2, 3) * 0.3).masked_fill(~seen, float("-inf"))
    torch.testing.assert_close(got, (scores.softmax(-1) @ values).transpose(1, 2))


def test_what_would_change_scores_is_refused() -> None:
    layout, one = Layout(0, (3,)), states(2, 3, 4)
    with pytest.raises(ValueError, match="softcap"):
        packed_attention(None, one, one, one, None, layout=layout, softcap=30.0)
    with pytest.raises(ValueError, match="a mask"):
        packed_attention(None, one, one, one, torch.ones(1), layout=layout)
    with pytest.raises(ValueError, match="at least one token"):
        pack([1, 2], [[3], []])


@pytest.mark.parametrize("prefix", [0, 4])
def test_gradients_of_attention_in_bfloat16_are_those_in_float32_rounded_once(prefix: int) -> None:
    """Added up in float32: off by the roundings of what is given, of the output and of the gradient itself (2^-9)."""
    layout = Layout(prefix, (3, 50, 1))
    given = [states(heads, layout.tokens, 8).bfloat16() for heads in (4, 2, 2)]
    weight = torch.randn(layout.tokens, 4, 8, generator=torch.Generator().manual_seed(7)).bfloat16()

    def gradients(dtype: torch.dtype) -> list[Tensor]:
        inputs = [part.to(dtype).requires_grad_() for part in given]
        query, key, value = inputs
        out, _ = packed_attention(None, query, key, value, None, layout=layout)
        return list(torch.autograd.grad(out, inputs, weight[None].to(dtype)))

    for got, wanted in zip(gradients(torch.bfloat16), gradients(torch.float32), strict=True):
        assert got.dtype == torch.bfloat16
        torch.testing.assert_close(got.float(), wanted, rtol=2**-7, atol=0.02)
