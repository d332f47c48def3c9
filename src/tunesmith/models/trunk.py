"""The decoder of a causal LM in two halves: a bottom that is frozen and a top that is trained.

`Trunk.bottom` runs the layers below the border without gradient, `Trunk.top` the rest from their states, so that no
backward pass is spent below the lowest trained layer and the states at the border can be kept. Both run the model's own
forward with the other half's layers replaced by ones that pass the states through: layer numbers, rotary positions and
masks stay the model's own business. Whether a model can be cut like that is not assumed: the caller compares the
result with the whole forward once (`tune.forward`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.models import packing
from tunesmith.models.packing import Layout


class PassThrough(nn.Module):
    """Stands where a layer of the other half would: gives back the states it is given."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """`hidden_states`, unchanged."""
        return hidden_states


class Trunk:
    """A causal LM that runs packed rows, cut at its lowest trained layer.

    Args:
        model: a causal LM of Transformers, with or without a PEFT adapter in it. Its attention is `tunesmith_packed`
            from now on (activation checkpointing runs layers again long after the call); `release` puts it back.
        cut: False: the border is 0, wherever the lowest trained layer is.

    Raises:
        ValueError: the decoder has no list of layers called `layers`, or no final `norm`.
    """

    def __init__(self, model: Any, *, cut: bool = True) -> None:
        packing.register()
        self.model = base_model(model)
        self.decoder: Any = self.model.get_decoder()
        if not isinstance(getattr(self.decoder, "layers", None), nn.ModuleList) or not hasattr(self.decoder, "norm"):
            raise ValueError(f"{type(self.model).__name__} has no `layers` and `norm` that could be cut in two")
        self.border = lowest_trained_layer(self.decoder) if cut else 0
        self._attention = self.model.config._attn_implementation
        self.model.set_attn_implementation(packing.NAME)
        self.head: Callable[[Tensor], Tensor] = self.model.get_output_embeddings()
        self.slow: set[str] = set()
        """Why attention was not run by the fast kernel of a GPU, in words; empty where it was."""

    def bottom(self, ids: Tensor, layout: Layout) -> Tensor:
        """States [1, T, D] above layer `border - 1` of the packed sequence `ids` [1, T]; no gradient."""
        with torch.no_grad(), self._only(range(self.border), norm=False):
            return self._run(layout, input_ids=ids)

    def top(self, states: Tensor, layout: Layout) -> Tensor:
        """Normed last states [1, T, D] from the states at the border; gradients go down to the border only."""
        with self._only(range(self.border, len(self.decoder.layers)), norm=True):
            return self._run(layout, inputs_embeds=states)

    def whole(self, ids: Tensor, layout: Layout) -> Tensor:
        """Normed last states [1, T, D] of the packed sequence `ids` [1, T], by all layers in one go."""
        return self._run(layout, input_ids=ids)

    def release(self) -> None:
        """Give the model the attention back that it had."""
        self.model.set_attn_implementation(self._attention)

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """The model with the attention that it had, uncompiled, inside the block: to let it answer."""
        self.release()
        compiled = any(layer._compiled_call_impl is not None for layer in self.decoder.layers)
        try:
            with torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext():
                yield
        finally:
            self.model.set_attn_implementation(packing.NAME)

    def _run(self, layout: Layout, **inputs: Tensor) -> Tensor:
        device = next(iter(inputs.values())).device
        output = self.decoder(**inputs, position_ids=layout.positions(device), use_cache=False, layout=layout)
        self.slow |= layout.slow
        states: Tensor = output.last_hidden_state
        return states

    @contextlib.contextmanager
    def _only(self, kept: range, *, norm: bool) -> Iterator[None]:
        layers, final = self.decoder.layers, self.decoder.norm
        self.decoder.layers = nn.ModuleList(
            layer if number in kept else PassThrough() for number, layer in enumerate(layers)
        )
        self.decoder.norm = final if norm else nn.Identity()
        try:
            yield
        finally:
            self.decoder.layers, self.decoder.norm = layers, final


def base_model(model: Any) -> Any:
    """The Transformers model inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def lowest_trained_layer(decoder: Any) -> int:
    """Number of the lowest layer that has to be run with gradient.

    0 where something below the layers (the embedding) is trained; the number of layers where no layer is.
    """
    numbers = []
    for name, weight in decoder.named_parameters():
        if weight.requires_grad:
            found = re.match(r"layers\.(\d+)\.", name)
            if found or not name.startswith("norm."):
                numbers.append(int(found.group(1)) if found else 0)
    return min(numbers, default=len(decoder.layers))
