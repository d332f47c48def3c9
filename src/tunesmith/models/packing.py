"""Many rows in one forward pass, without padding, without cross-talk, the prompt that they share computed once.

A packed batch is one sequence: `[prefix | own part of row 1 | own part of row 2 | ...]`. Everything in a transformer
but attention works on single tokens, so only attention must know the borders: it is registered with Transformers'
attention interface as `tunesmith_packed`, and the `Layout` reaches it through the model's keyword arguments. The prefix
attends to itself, the own part of a row to the prefix and to itself, causally; positions of every row go on after the
prefix. So any Hugging Face causal LM whose layers pass keyword arguments on computes for every row what it would
compute alone.

How rows attend to the prefix without a copy of its keys per row: attention over a union of key sets is the sum of the
attentions over each set, weighted by their softmax normalisers (online softmax, Milakov & Gimelshein 2018,
arXiv:1805.02867; used between blocks by Liu et al. 2023, arXiv:2310.01889). Forward and backward call PyTorch's CPU
flash kernel per set. On CUDA one call of a kernel for sequences of unequal length does it all (`models.varlen`). Where
neither fits, one masked call per group of rows takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tunesmith.models import varlen

NAME = "tunesmith_packed"

LONG_ROW = 48
"""Own tokens from which a row has an attention call of its own: a call costs less than padding and copying do."""

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True)
class Group:
    """Rows of similar length that share one attention call, padded inside that call only.

    Args:
        index: [rows, longest] place of each token in the packed sequence; padding repeats the row's last token.
        real: [rows, longest] False where it is padding; None: there is none.
        span: places of the only row of the group, whose states are then read and written without a copy; None: there
            are several rows.
    """

    index: Tensor
    real: Tensor | None
    span: slice | None = None


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the rows of a packed sequence begin and end.

    Args:
        prefix: number of tokens at the start that all rows share; 0: none.
        lengths: number of own tokens of each row, in order; each at least 1.
        slow: filled while it is attended to on a GPU: why the fast kernel was not used.
    """

    prefix: int
    lengths: tuple[int, ...]
    slow: set[str] = field(default_factory=set)

    @property
    def tokens(self) -> int:
        """Length of the packed sequence."""
        return self.prefix + sum(self.lengths)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Place of each row's first own token in the packed sequence."""
        starts, place = [], self.prefix
        for length in self.lengths:
            starts.append(place)
            place += length
        return tuple(starts)

    def positions(self, device: torch.device | str = "cpu") -> Tensor:
        """[1, tokens] position of every token in its own row, the prefix counted."""
        parts = [torch.arange(self.prefix)]
        parts += [torch.arange(self.prefix, self.prefix + length) for length in self.lengths]
        return torch.cat(parts)[None].to(device)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Long rows alone, short ones by the power of two that their length fits into: padding at most doubles one."""
        by_size: dict[tuple[int, int], list[int]] = {}
        for row, length in enumerate(self.lengths):
            key = (0, row) if length >= LONG_ROW else (1, (length - 1).bit_length())
            by_size.setdefault(key, []).append(row)
        return tuple(self._group(rows) for _, rows in sorted(by_size.items()))

    def _group(self, rows: list[int]) -> Group:
        starts = torch.tensor([self.starts[row] for row in rows])[:, None]
        lengths = torch.tensor([self.lengths[row] for row in rows])[:, None]
        steps = torch.arange(int(lengths.max()))[None]
        real = steps < lengths
        span = slice(int(starts[0]), int(starts[0] + lengths[0])) if len(rows) == 1 else None
        return Group(starts + torch.minimum(steps, lengths - 1), None if bool(real.all()) else real, span)


def pack(prefix: Sequence[int], rows: Sequence[Sequence[int]]) -> tuple[Tensor, Layout]:
    """The packed sequence [1, T] of `prefix` and the rows' own tokens, and its layout.

    Raises:
        ValueError: a row has no own token.
    """
    if not rows or any(len(row) == 0 for row in rows):
        raise ValueError("every packed row needs at least one token after the prefix")
    ids = torch.tensor([*prefix, *(token for row in rows for token in row)], dtype=torch.long)[None]
    return ids, Layout(len(prefix), tuple(len(row) for row in rows))


def register(*, opaque: bool = False) -> None:
    """Make `tunesmith_packed` known to Transformers; doing it twice changes nothing.

    Args:
        opaque: torch.compile leaves it alone from now on: what it does follows from the layout, new in every batch.
    """
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    if opaque:
        # torch's own stubs leave `disable` untyped
        AttentionInterface.register(NAME, torch.compiler.disable(packed_attention))  # type: ignore[no-untyped-call]
    elif NAME not in AttentionInterface():
        AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)


def _no_mask(*_: Any, **__: Any) -> None:
    """The layout says who attends to whom; a dense mask would cost what packing saves."""


def packed_attention(  # noqa: PLR0913 - the signature is Transformers' attention interface
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: Layout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention inside each row of `layout`, in the form that Transformers' attention interface asks for.

    Args:
        module: the attention layer; not used.
        query: [1, heads, T, width].
        key: [1, key heads, T, width]; heads are a multiple of key heads.
        value: [1, key heads, T, value width].
        attention_mask: must be None.
        layout: borders of the rows; None: all T tokens are one row.
        scaling: factor on the scores; None: width ** -0.5.
        dropout: probability of dropping an attention weight.
        sliding_window: a token sees itself and the `sliding_window - 1` before it; None: all before it.
        others: what else the layer passes on.

    Returns:
        [1, T, heads, value width], and None for the weights, which are never made.

    Raises:
        ValueError: a batch of several sequences, a mask, or an option that changes scores and is not known here.
    """
    layout = layout or Layout(0, (query.shape[2],))
    changing = [name for name in ("softcap", "s_aux", "position_bias") if others.get(name) is not None]
    if attention_mask is not None or query.shape[0] != 1 or changing:
        found = ", ".join(changing) or ("a mask" if attention_mask is not None else f"a batch of {query.shape[0]}")
        raise ValueError(f"packed attention takes one packed sequence without extras, found {found}")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    window = None if sliding_window is None or sliding_window >= layout.prefix + max(layout.lengths) else sliding_window
    # A norm that is trained in float32 may have made queries and keys wider than values are.
    queries, keys, values = query[0].to(value.dtype), key[0].to(value.dtype), value[0]
    fast = _fast(queries, keys, values, layout, dropout)
    if fast is not None:
        options = varlen.Options(scale, -1 if window is None else window - 1)
        out = varlen.attend(queries, keys, values, layout, options=options, kernel=fast)
    elif query.device.type == "cpu" and dropout == 0.0 and window is None:
        width = queries.shape[-1]
        wide = functional.pad(values, (0, width - values.shape[-1])) if values.shape[-1] < width else values
        # torch's own stubs leave `apply` untyped
        mixed: Tensor = _PackedFlash.apply(queries, keys, wide, layout, scale)  # type: ignore[no-untyped-call]
        out = mixed[..., : values.shape[-1]]
    else:
        out = _masked(queries, keys, values, layout, _Options(scale, dropout, window))
    return out.transpose(0, 1)[None], None


def _fast(query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float) -> varlen.Kernel | None:
    """The kernel for all rows at once; None on a CPU, and where it cannot be used, the reason noted in the layout."""
    if query.device.type == "cpu":
        return None
    if why := varlen.unfit(query, key, value, dropout=dropout):
        layout.slow.add(why)
        return None
    return varlen.kernel()


class _PackedFlash(torch.autograd.Function):
    """The attention of a layout by flash kernels: query [H, T, D], key and value [K, T, D] -> [H, T, D]."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float) -> Tensor:
        out, normaliser = torch.empty_like(query), query.new_empty(query.shape[:2], dtype=torch.float32)
        repeats, prefix = query.shape[0] // key.shape[0], layout.prefix
        for group in layout.groups:
            part, weight = _flash(*_own(group, repeats, query, key, value), 0.0, True, scale=scale)
            _scatter(group, out, part)
            _scatter(group, normaliser[..., None], weight[..., None])
        if prefix:
            part, weight = _flash(*_prefix(prefix, repeats, query, key, value), 0.0, True, scale=scale)
            out[:, :prefix], normaliser[:, :prefix] = part[0], weight[0]
            folded = _folded(prefix, key, query), key[None, :, :prefix], value[None, :, :prefix]
            part, weight = _flash(*folded, 0.0, False, scale=scale)
            part, weight = part.reshape(out[:, prefix:].shape), weight.reshape(normaliser[:, prefix:].shape)
            both = torch.logaddexp(normaliser[:, prefix:], weight)
            own_share = torch.exp(normaliser[:, prefix:] - both)[..., None]
            mixed = out[:, prefix:] * own_share + part * torch.exp(weight - both)[..., None]
            out[:, prefix:], normaliser[:, prefix:] = mixed.to(out.dtype), both
        ctx.save_for_backward(query, key, value, out, normaliser)
        ctx.layout, ctx.scale = layout, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        # With the normaliser of the whole row, each set's kernel gives exactly that set's share of the gradient.
        # The kernel's backward pass takes three times as long in bfloat16 as in float32 (docs/lab.md).
        query, key, value, out, normaliser, grad = (_wide(states) for states in (*ctx.saved_tensors, grads[0]))
        layout, scale, prefix = ctx.layout, ctx.scale, ctx.layout.prefix
        grad, repeats = grad.contiguous(), query.shape[0] // key.shape[0]
        grad_query, grad_key, grad_value = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for group in layout.groups:
            given = _gather(group, grad)
            if group.real is not None:
                given = given * group.real[:, None, :, None]
            own = _own(group, repeats, query, key, value)
            kept = _gather(group, out), _gather(group, normaliser[..., None])[..., 0]
            parts = _flash_backward(given, *own, *kept, 0.0, True, scale=scale)
            _scatter(group, grad_query, parts[0])
            _scatter(group, grad_key, _summed(parts[1], repeats))
            _scatter(group, grad_value, _summed(parts[2], repeats))
        if prefix:
            own = _prefix(prefix, repeats, query, key, value)
            kept = out[None, :, :prefix], normaliser[None, :, :prefix]
            parts = _flash_backward(grad[None, :, :prefix], *own, *kept, 0.0, True, scale=scale)
            grad_query[:, :prefix] = parts[0][0]
            grad_key[:, :prefix] = _summed(parts[1], repeats)[0]
            grad_value[:, :prefix] = _summed(parts[2], repeats)[0]
            folded = _folded(prefix, key, query), key[None, :, :prefix], value[None, :, :prefix]
            kept = _folded(prefix, key, out), _folded(prefix, key, normaliser[..., None])[..., 0]
            parts = _flash_backward(_folded(prefix, key, grad), *folded, *kept, 0.0, False, scale=scale)
            grad_query[:, prefix:] += parts[0].reshape(grad_query[:, prefix:].shape)
            grad_key[:, :prefix] += parts[1][0]
            grad_value[:, :prefix] += parts[2][0]
        return *(part.to(grads[0].dtype) for part in (grad_query, grad_key, grad_value)), None, None


def _wide(states: Tensor) -> Tensor:
    """In float32 what has half its width."""
    return states.float() if states.dtype in (torch.bfloat16, torch.float16) else states


def _gather(group: Group, states: Tensor) -> Tensor:
    """[heads, T, D] -> [rows, heads, longest, D]."""
    if group.span is not None:
        return states[None, :, group.span]
    return states[:, group.index].transpose(0, 1)


def _scatter(group: Group, states: Tensor, part: Tensor) -> None:
    """Write [rows, heads, longest, D] back to its places in [heads, T, D], padding left out."""
    if group.span is not None:
        states[:, group.span] = part[0]
        return
    part = part.transpose(0, 1)
    if group.real is None:
        states[:, group.index] = part
    else:
        states[:, group.index[group.real]] = part[:, group.real]


def _own(group: Group, repeats: int, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The group's own queries, keys and values with the key heads repeated: three [rows, heads, longest, D]."""
    keys = _gather(group, key).repeat_interleave(repeats, dim=1)
    return _gather(group, query), keys, _gather(group, value).repeat_interleave(repeats, dim=1)


def _prefix(prefix: int, repeats: int, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The prefix's queries, keys and values with the key heads repeated: three [1, heads, prefix, D]."""
    keys, values = key[None, :, :prefix], value[None, :, :prefix]
    return query[None, :, :prefix], keys.repeat_interleave(repeats, 1), values.repeat_interleave(repeats, 1)


def _folded(prefix: int, key: Tensor, states: Tensor) -> Tensor:
    """The rows' part of [H, T, D], heads that share a key head laid end to end: [1, K, H/K * (T - prefix), D]."""
    return states[:, prefix:].reshape(key.shape[0], -1, states.shape[-1])[None]


def _summed(grad: Tensor, repeats: int) -> Tensor:
    """The gradient of a key head from those of its copies: [B, H, T, D] -> [B, H/repeats, T, D]."""
    rows, heads, tokens, width = grad.shape
    return grad.view(rows, heads // repeats, repeats, tokens, width).sum(2)


@dataclass(frozen=True)
class _Options:
    scale: float
    dropout: float
    window: int | None


def _masked(query: Tensor, key: Tensor, value: Tensor, layout: Layout, options: _Options) -> Tensor:
    """The same attention by one masked call per group of rows, for any device: [H, T, D] -> [H, T, value D]."""
    prefix, parts, places = layout.prefix, [], []
    if prefix:
        group = Group(torch.arange(prefix)[None], None)
        parts.append(_attend(group, (query, key, value), 0, options)[0])
        places.append(torch.arange(prefix))
    for group in layout.groups:
        part = _attend(group, (query, key, value), prefix, options).transpose(0, 1)
        real = torch.ones_like(group.index, dtype=torch.bool) if group.real is None else group.real
        parts.append(part[:, real])
        places.append(group.index[real])
    order = torch.argsort(torch.cat(places)).to(query.device)
    return torch.cat(parts, dim=1)[:, order]


def _attend(group: Group, states: tuple[Tensor, Tensor, Tensor], prefix: int, options: _Options) -> Tensor:
    """Rows of one group over prefix and own keys: [rows, H, longest, value D]."""
    query = states[0]
    group = Group(group.index.to(query.device), group.real)
    rows, longest = group.index.shape
    repeats = query.shape[0] // states[1].shape[0]
    joined = [torch.cat([s[None, :, :prefix].expand(rows, -1, -1, -1), _gather(group, s)], 2) for s in states[1:]]
    keys, values = (s.repeat_interleave(repeats, dim=1) for s in joined)
    at = torch.arange(prefix, prefix + longest, device=query.device)[:, None]
    seen = torch.arange(prefix + longest, device=query.device)[None]
    mask = seen <= at
    if options.window is not None:
        mask &= seen > at - options.window
    return functional.scaled_dot_product_attention(
        _gather(group, query), keys, values, attn_mask=mask, dropout_p=options.dropout, scale=options.scale
    )
