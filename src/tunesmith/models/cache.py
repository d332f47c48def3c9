"""A cache of keys and values that has room for the next tokens, so that a token is written and nothing is copied.

Transformers' own cache is put together anew for every token: its copying grows with the square of an answer's length,
which chains of thought feel.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_LEAST_ROOM = 64


class _Roomy(DynamicLayer):  # type: ignore[misc]
    """A layer's keys and values as views of tensors that are longer; outgrown, they move to one twice as long."""

    keys: torch.Tensor
    values: torch.Tensor
    _rooms: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the next tokens behind those that are there.

        Args:
            key_states: [B, key heads, T, D].
            value_states: likewise.
            args: not used.
            kwargs: not used.

        Returns:
            Keys and values of all tokens so far.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length, more = self.get_seq_length(), key_states.shape[-2]
        if self._rooms is None or not self._fits(length + more):
            self._rooms = (self._moved(self.keys, key_states, length), self._moved(self.values, value_states, length))
        views = []
        for room, states in zip(self._rooms, (key_states, value_states), strict=True):
            room[:, :, length : length + more] = states
            views.append(room[:, :, : length + more])
        self.keys, self.values = views
        return self.keys, self.values

    def _fits(self, length: int) -> bool:
        """Whether keys and values still lie in the room that was made for them, and there is enough of it."""
        rooms = self._rooms or ()
        return all(
            room.data_ptr() == held.data_ptr() and room.shape[0] == held.shape[0] and room.shape[2] >= length
            for room, held in zip(rooms, (self.keys, self.values), strict=True)
        )

    def _moved(self, held: torch.Tensor, new: torch.Tensor, length: int) -> torch.Tensor:
        B, heads, more, D = new.shape
        room = new.new_empty(B, heads, max(_LEAST_ROOM + length + more, 2 * length), D)
        if length:
            room[:, :, :length] = held
        return room


def roomy_cache(config: Any) -> DynamicCache:
    """A cache for a model's generation; layers that keep something else than all tokens are transformers' own."""
    cache = DynamicCache(config=config)
    cache.layers = [_Roomy() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
