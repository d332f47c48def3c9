"""The attention of a packed sequence in one call of a flash kernel for sequences of unequal length, on CUDA.

Such a kernel takes all queries end to end, all keys end to end, and where each sequence begins in both. A causal mask
is aligned to the end: the last query of a sequence sees all of its keys. So a row whose keys are `[prefix | own]` and
whose queries are `own` alone is computed exactly as packing means it, windows included. The prefix's keys are copied
once per row; the prefix itself is one more sequence.

PyTorch brings the kernel (`torch.nn.attention.varlen`); the package flash_attn has the same one for older versions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from tunesmith.models.packing import Layout

WIDEST = 256
"""Widest head of flash attention 2; a head's width must be a multiple of 8."""

WIDEST_ANYWHERE = 192
"""Wider heads have a backward kernel only where shared memory is large enough for it: A100, H100, their successors."""

ROOMY = ((8, 0), (9, 0), (10, 0))
AMPERE = (8, 0)


class Options(NamedTuple):
    """How to attend: factor on the scores, and how many tokens before itself a token sees (-1: all)."""

    scale: float
    before: int = -1


@dataclass(frozen=True, eq=False)
class Spans:
    """The sequences of a layout as the kernel wants them: the prefix, if there is one, then every row.

    Args:
        queries: int32 [sequences + 1], where each one's queries begin, and the end.
        keys: the same of keys.
        longest_query: of one sequence.
        longest_key: the same of keys.
        taken: [keys], the place in the packed sequence of each key; None: there is no prefix, and keys lie as queries.
        own: [tokens - prefix], where among the keys the rows' own tokens are.
        copies: [sequences, prefix], where among the keys the copies of the prefix are.
    """

    queries: Tensor
    keys: Tensor
    longest_query: int
    longest_key: int
    taken: Tensor | None = None
    own: Tensor | None = None
    copies: Tensor | None = None


Kernel = Callable[[Tensor, Tensor, Tensor, Spans, Options], Tensor]
"""Queries [T, H, D], keys and values [S, K, D], with H a multiple of K -> [T, H, D]."""


@lru_cache(maxsize=4)
def spans_of(layout: Layout, device: torch.device) -> Spans:
    """The sequences of `layout`, on `device`; all layers of a pass share them."""
    prefix, lengths = layout.prefix, layout.lengths
    queries = [prefix, *lengths] if prefix else [*lengths]
    keys = [prefix, *(prefix + length for length in lengths)] if prefix else queries

    def starts(sizes: list[int]) -> Tensor:
        return torch.tensor([0, *accumulate(sizes)], dtype=torch.int32, device=device)

    made = starts(queries), starts(keys), max(queries), max(keys)
    if not prefix:
        return Spans(*made)
    begins = [0, *accumulate(keys)][:-1]
    head = torch.arange(prefix)
    parts = [torch.arange(start, start + length) for start, length in zip(layout.starts, lengths, strict=True)]
    taken = torch.cat([head, *(torch.cat([head, part]) for part in parts)])
    own = [torch.arange(begin + prefix, begin + size) for begin, size in zip(begins[1:], keys[1:], strict=True)]
    copies = torch.tensor(begins)[:, None] + head
    return Spans(*made, taken.to(device), torch.cat(own).to(device), copies.to(device))


def attend(query: Tensor, key: Tensor, value: Tensor, layout: Layout, *, options: Options, kernel: Kernel) -> Tensor:
    """Attention inside each row of `layout`: [H, T, D], [K, T, D] and [K, T, value D] -> [H, T, value D].

    Args:
        query: of the packed sequence.
        key: likewise; H is a multiple of K.
        value: likewise; at most as wide as the keys.
        layout: borders of the rows.
        options: how to attend.
        kernel: what computes it.
    """
    spans, narrow = spans_of(layout, query.device), value.shape[-1]
    wide = functional.pad(value, (0, query.shape[-1] - narrow)) if narrow < query.shape[-1] else value
    queries, keys, values = (states.transpose(0, 1).contiguous() for states in (query, key, wide))
    if spans.taken is not None:
        # torch's own stubs leave `apply` untyped
        keys, values = (_Taken.apply(states, spans) for states in (keys, values))  # type: ignore[no-untyped-call]
    return kernel(queries, keys, values, spans, options).transpose(0, 1)[..., :narrow]


class _Taken(torch.autograd.Function):
    """States [T, K, D] of the packed sequence laid out as keys, the prefix copied.

    The gradients of the copies are added up in float32 and always in the same order, which indexing would not do.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, spans: Spans) -> Tensor:
        ctx.spans = spans
        return states[spans.taken]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,), spans = grads, ctx.spans
        prefix = grad[spans.copies].float().sum(0).to(grad.dtype)
        return torch.cat([prefix, grad[spans.own]]), None


def unfit(query: Tensor, key: Tensor, value: Tensor, *, dropout: float) -> str:
    """Why these states, [H, T, D] each, cannot be given to the kernel, in words; "" where they can."""
    if query.device.type != "cuda":
        return "it needs a GPU"
    if dropout:
        return "attention has dropout"
    capability = torch.cuda.get_device_capability(query.device)
    return misfit(query.dtype, (query.shape[-1], value.shape[-1]), capability) or missing()


def misfit(dtype: torch.dtype, widths: tuple[int, int], capability: tuple[int, int]) -> str:
    """What the kernel does not do, in words; "" for what it does.

    Args:
        dtype: of queries, keys and values.
        widths: of a head's keys, and of its values.
        capability: of the GPU.
    """
    width, value_width = widths
    if capability < AMPERE:
        return "the GPU is older than Ampere"
    if dtype not in (torch.bfloat16, torch.float16):
        return f"it takes 16-bit numbers, not {str(dtype).removeprefix('torch.')}"
    if value_width > width or width % 8 or width > WIDEST:
        return f"heads are {width} wide and their values {value_width}; it takes multiples of 8 up to {WIDEST}"
    if width > WIDEST_ANYWHERE and capability not in ROOMY:
        return f"heads are {width} wide, which this GPU has no backward kernel for"
    return ""


def missing() -> str:
    """What is not installed, in words; "" where a kernel is there."""
    return "" if kernel() else "neither this version of torch nor the package flash_attn has it"


@cache
def kernel() -> Kernel | None:
    """The kernel of PyTorch, or of the package flash_attn, or None."""
    return _of_torch() or _of_flash_attn()


def _of_torch() -> Kernel | None:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    if not {"scale", "window_size", "enable_gqa"} <= inspect.signature(varlen_attn).parameters.keys():
        return None  # before 2.12

    def attended(query: Tensor, key: Tensor, value: Tensor, spans: Spans, options: Options) -> Tensor:
        made = varlen_attn(
            query,
            key,
            value,
            spans.queries,
            spans.keys,
            spans.longest_query,
            spans.longest_key,
            scale=options.scale,
            window_size=(options.before, 0),
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return cast(Tensor, made)  # a pair only where the normalisers are asked for

    return attended


def _of_flash_attn() -> Kernel | None:
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return None

    def attended(query: Tensor, key: Tensor, value: Tensor, spans: Spans, options: Options) -> Tensor:
        made: Tensor = flash_attn_varlen_func(
            query,
            key,
            value,
            cu_seqlens_q=spans.queries,
            cu_seqlens_k=spans.keys,
            max_seqlen_q=spans.longest_query,
            max_seqlen_k=spans.longest_key,
            softmax_scale=options.scale,
            causal=True,
            window_size=(options.before, 0),
        )
        return made

    return attended
