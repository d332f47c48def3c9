"""Out of memory as a GPU tells it: what the failed pass held is free before anything is tried again."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_tune_loop import Memory, adapted, plan_of, seams_of
from tune_fakes import some_rows

from tunesmith.core.errors import UserError
from tunesmith.tune.loop import train
from tunesmith.tune.objective import Predictions
from tunesmith.tune.optimise import random_state, trained_weights


class Crowded:
    """A forward whose second micro-batch finds no room, `times` times; it draws random numbers as dropout does."""

    name = "crowded"

    def __init__(self, forward: Any, times: int) -> None:
        self.forward, self.times, self.calls = forward, times, 0
        self.held: list[weakref.ref[torch.Tensor]] = []
        self.drawn: list[float] = []

    def predictions(self, batch: Any) -> Predictions:
        self.calls += 1
        made: Predictions = self.forward.predictions(batch)
        self.drawn.append(float(torch.rand(())))
        if self.times and self.calls == 2:
            self.times, self.calls = self.times - 1, 0
            activations = torch.zeros(1000)
            self.held += [weakref.ref(activations), weakref.ref(made.states_TD)]
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return made


def test_before_the_cache_is_emptied_gradients_activations_and_the_error_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, plan = adapted(tmp_path), plan_of(some_rows(8), epochs=1, micro_tokens=30)
    assert len(plan.work(0)[1]) > 1
    seams = seams_of(model, plan, tmp_path)
    crowded = Crowded(seams.forward, times=1)
    emptied: list[tuple[list[bool], list[torch.Tensor | None], torch.Tensor]] = []

    def empty_cache() -> None:
        free = [held() is None for held in crowded.held]
        emptied.append((free, [weight.grad for weight in trained_weights(model).values()], random_state()["cpu"]))

    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "get_rng_state", lambda: torch.zeros(1))
        patch.setattr(torch.cuda, "set_rng_state", lambda state: None)
        patch.setattr(torch.cuda, "empty_cache", empty_cache)
        outcome = train(model, replace(seams, forward=crowded))
    [(free, gradients, state)] = emptied
    assert free == [True, True]
    assert gradients == [None] * len(gradients)
    assert len(outcome.points) == 2
    torch.manual_seed(plan.seed)
    assert torch.equal(state, torch.get_rng_state())
    assert crowded.drawn[0] == crowded.drawn[2], "the step begins again with the random numbers that it began with"


def test_a_row_that_does_not_fit_alone_is_told_with_what_to_do(tmp_path: Path) -> None:
    model, plan = adapted(tmp_path), plan_of(some_rows(8), epochs=1)
    seams = seams_of(model, plan, tmp_path)
    with pytest.raises(UserError, match="activation_checkpointing") as caught:
        train(model, replace(seams, forward=Memory(seams.forward, 3)))
    assert caught.value.problems[0].code == "no-memory"
