"""Packed attention as a GPU computes it, with a slow kernel of the same signature in place of the fast one."""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from test_models_packing import PREFIX, ROWS, loss_of, tiny
from torch import Tensor
from torch.nn.attention import varlen as of_torch

from tunesmith.models import packing, varlen
from tunesmith.models.packing import Layout, pack, packed_attention
from tunesmith.models.trunk import Trunk


def slow_kernel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
) -> Tensor:
    """What PyTorch's documentation says of `varlen_attn`, its causal mask aligned to the end as its kernel has it."""
    assert enable_gqa == (query.shape[1] != key.shape[1])
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    parts = []
    for row in range(len(cu_seq_q) - 1):
        own = query[cu_seq_q[row] : cu_seq_q[row + 1]]
        keys, values = (s[cu_seq_k[row] : cu_seq_k[row + 1]] for s in (key, value))
        assert 1 <= len(own) <= max_q and len(keys) <= max_k
        repeats = query.shape[1] // key.shape[1]
        keys, values = (s.repeat_interleave(repeats, 1) for s in (keys, values))
        at = torch.arange(len(own))[:, None] + len(keys) - len(own)
        place, (left, right) = torch.arange(len(keys))[None], window_size
        seen = (place <= at + right) if right >= 0 else torch.ones(len(own), len(keys), dtype=torch.bool)
        if left >= 0:
            seen = seen & (place >= at - left)
        scores = torch.einsum("thd,shd->hts", own, keys) * (own.shape[-1] ** -0.5 if scale is None else scale)
        parts.append(torch.einsum("hts,shd->thd", scores.masked_fill(~seen, -torch.inf).softmax(-1), values))
    return torch.cat(parts)


def as_flash_attn(query: Tensor, key: Tensor, value: Tensor, **named: Any) -> Tensor:
    """The same in the words of the package flash_attn."""
    assert named["causal"] is True
    return slow_kernel(
        query,
        key,
        value,
        named["cu_seqlens_q"],
        named["cu_seqlens_k"],
        named["max_seqlen_q"],
        named["max_seqlen_k"],
        scale=named["softmax_scale"],
        window_size=(named["window_size"][0], 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )


@pytest.fixture(params=["torch", "flash_attn"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The adapter to each library, the library's own function replaced."""
    if request.param == "torch":
        monkeypatch.setattr(of_torch, "varlen_attn", slow_kernel)
        return varlen._of_torch()
    package = ModuleType("flash_attn")
    package.flash_attn_varlen_func = as_flash_attn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    return varlen._of_flash_attn()


def test_the_stand_in_is_called_as_the_real_one_can_be() -> None:
    real, ours = (inspect.signature(function).parameters for function in (of_torch.varlen_attn, slow_kernel))
    assert [*real][:7] == [*ours][:7]
    assert {name: real[name].default for name in [*ours][7:]} == {name: p.default for name, p in [*ours.items()][7:]}


@pytest.mark.parametrize("prefix", [0, 4])
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize(("heads", "width", "value_width"), [(4, 8, 8), (2, 16, 10)])
def test_one_call_for_all_rows_equals_attention_row_by_row(
    kernel: Any, prefix: int, window: int | None, heads: int, width: int, value_width: int
) -> None:
    """Values and gradients of queries, keys and values; two key heads, so one case shares them among queries."""
    chance = torch.Generator().manual_seed(0)
    layout = Layout(prefix, (3, 5, 1))

    def states(count: int, wide: int) -> Tensor:
        return torch.randn(count, layout.tokens, wide, generator=chance).requires_grad_()

    query, key, value = states(heads, width), states(2, width), states(2, value_width)
    given = torch.randn(heads, layout.tokens, value_width, generator=chance)
    options = varlen.Options(0.3, -1 if window is None else window - 1)
    got = varlen.attend(query, key, value, layout, options=options, kernel=kernel)
    inputs = (query[None], key[None], value[None])
    wanted, _ = packed_attention(None, *inputs, None, layout=layout, scaling=0.3, sliding_window=window)
    wanted = wanted[0].transpose(0, 1)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
    for ours, theirs in zip(
        torch.autograd.grad(got, (query, key, value), given),
        torch.autograd.grad(wanted, (query, key, value), given),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "qwen3", "deepseek_v3"])
def test_a_model_runs_packed_rows_alike_with_either(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way through the attention interface; DeepSeek's values are narrower than its keys."""
    monkeypatch.setattr(of_torch, "varlen_attn", slow_kernel)
    trunk = Trunk(tiny(name))
    ids, layout = pack(PREFIX, ROWS)
    results = []
    for fast in (None, varlen._of_torch()):
        monkeypatch.setattr(packing, "_fast", lambda *_, kernel=fast: kernel)
        trunk.model.zero_grad()
        hidden = trunk.whole(ids, layout)[0]
        loss = loss_of(trunk.head(hidden[layout.starts[2] - 1 :]), ROWS[2], 0)
        torch.autograd.backward(loss)
        gradients = {n: w.grad.clone() for n, w in trunk.model.named_parameters() if w.grad is not None}
        results.append((hidden.detach(), gradients))
    torch.testing.assert_close(results[1][0], results[0][0], rtol=0, atol=1e-4)
    for weight, gradient in results[0][1].items():
        torch.testing.assert_close(results[1][1][weight], gradient, rtol=1e-3, atol=1e-4)


def test_the_sequences_of_a_layout_by_hand() -> None:
    """Prefix of 2, rows of 3 and 1: queries 2, 3, 1; keys 2, 2 + 3, 2 + 1. Without a prefix both are the rows."""
    spans = varlen.spans_of(Layout(2, (3, 1)), torch.device("cpu"))
    assert spans.queries.tolist() == [0, 2, 5, 6]
    assert spans.keys.tolist() == [0, 2, 7, 10]
    assert (spans.longest_query, spans.longest_key) == (3, 5)
    assert spans.taken is not None and spans.taken.tolist() == [0, 1, 0, 1, 2, 3, 4, 0, 1, 5]
    assert spans.own is not None and spans.own.tolist() == [4, 5, 6, 9]
    assert spans.copies is not None and spans.copies.tolist() == [[0, 1], [2, 3], [7, 8]]
    plain = varlen.spans_of(Layout(0, (3, 1)), torch.device("cpu"))
    assert plain.queries.tolist() == plain.keys.tolist() == [0, 3, 4] and plain.taken is None


@pytest.mark.parametrize(
    ("dtype", "widths", "capability", "told"),
    [
        (torch.bfloat16, (64, 64), (8, 0), ""),
        (torch.bfloat16, (192, 128), (8, 9), ""),
        (torch.bfloat16, (256, 256), (9, 0), ""),
        (torch.bfloat16, (256, 256), (8, 6), "no backward kernel"),
        (torch.float32, (64, 64), (9, 0), "not float32"),
        (torch.bfloat16, (60, 60), (9, 0), "multiples of 8"),
        (torch.bfloat16, (288, 288), (9, 0), "up to 256"),
        (torch.bfloat16, (64, 128), (9, 0), "64 wide and their values 128"),
        (torch.float16, (64, 64), (7, 5), "older than Ampere"),
    ],
)
def test_what_the_kernel_does_not_do_is_told(
    dtype: torch.dtype, widths: tuple[int, int], capability: tuple[int, int], told: str
) -> None:
    why = varlen.misfit(dtype, widths, capability)
    assert told in why and bool(why) == bool(told)


def test_states_off_the_gpu_and_dropout_are_not_given_to_it() -> None:
    states = torch.zeros(2, 3, 8)
    assert varlen.unfit(states, states, states, dropout=0.0) == "it needs a GPU"


def test_a_torch_without_shared_key_heads_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch 2.10's function: `is_causal` instead of a window, and as many key heads as query heads."""
    monkeypatch.setattr(of_torch, "varlen_attn", lambda query, key, value, *, is_causal=False: None)
    assert varlen._of_torch() is None
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    assert varlen._of_flash_attn() is None
