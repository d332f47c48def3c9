"""Decoder layers compiled by torch.compile: norms, rotations, activations and adapters fused with what is around them.

Layers are compiled one by one and share their code, so the first step waits for a few kinds of layer, not for the whole
model; shapes are dynamic, because every packed batch has a length of its own. Attention stays as it is (opaque to the
compiler). Whatever cannot be compiled runs as before: a failure is told, never the end of a run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from tunesmith.models import packing
from tunesmith.models.trunk import base_model
from tunesmith.tune.batches import Batch
from tunesmith.tune.forward import TOLERANCE, Forward, PackedForward, at_rest
from tunesmith.tune.optimise import random_state, restore_random, trained_weights

PAYS_FROM_MINUTES = 10.0
"""Compiling takes one or two minutes and saves 30 % of a step on a CPU [measured, docs/lab.md], 10 to 30 % on a GPU
[torchtune and torchtitan; not measured here]: below ten minutes it would cost more than it saves."""

TIME_LEFT = 0.72
"""Of a step's time on a CPU [measured: 0.70 of the processor seconds of LoRA on all layers of SmolLM2-135M]."""

STARTING_MINUTES = 1.5
"""[measured on the same: half a minute where compiled code is found in torch's cache, two where it is not]."""

KINDS = 64
"""So many versions of a layer's code are kept: frozen or trained, with or without adapter, with gradient or without,
training or at rest. What comes beyond them runs uncompiled."""


def pays(setting: Literal["auto", "on", "off"], *, minutes: float, fp8: bool) -> bool:
    """Whether layers are compiled.

    Args:
        setting: `tune.speed.compile`.
        minutes: the predicted time of the training.
        fp8: products are in 8 bits; uncompiled, rounding to them takes longer than they save (torchao's advice).
    """
    if setting == "auto":
        return fp8 or minutes >= PAYS_FROM_MINUTES
    return setting == "on"


def compile_layers(
    forward: Forward, model: Any, batch: Batch, *, backend: str | Callable[..., Any] = "inductor"
) -> str:
    """Compile the decoder layers of `model`, if they give the same results on `batch`; else leave them as they were.

    Args:
        forward: how the model is run.
        model: a causal LM of Transformers, with or without a PEFT adapter in it; changed in place.
        batch: a few rows to try it with, forward and backward.
        backend: of torch.compile.

    Returns:
        In words why the layers are not compiled ("" where they are).
    """
    if not isinstance(forward, PackedForward):
        return "rows are run one at a time"
    layers = base_model(model).get_decoder().layers
    if all(layer._compiled_call_impl is not None for layer in layers):
        return ""  # by the phase before
    with at_rest(model), torch.no_grad():
        wanted = forward.predictions(batch).hidden_ND
    state = random_state()
    try:
        with _strict():
            _compile(layers, backend)
            with at_rest(model), torch.no_grad():
                got = forward.predictions(batch).hidden_ND
            _backward(forward, model, batch)
    except Exception as error:  # of the compiler, of a C compiler, of Triton, of memory: all of them end here
        _release(layers)
        cause = getattr(error, "inner_exception", error)  # dynamo wraps what a backend raises
        return f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"
    finally:
        restore_random(state)
    off = _difference(got, wanted)
    if not off <= TOLERANCE.get(wanted.dtype, 0.1):
        _release(layers)
        return f"compiled layers differ from plain ones by {off:.1%}"
    return ""


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """What cannot be compiled is an error inside the block.

    After it, such code runs as before: a batch of a new kind may fail to compile hours later.
    """
    import torch._dynamo

    settings: Any = torch._dynamo.config
    settings.suppress_errors = False
    try:
        yield
    finally:
        settings.suppress_errors = True


def _compile(layers: Any, backend: str | Callable[..., Any]) -> None:
    import torch._dynamo

    packing.register(opaque=True)
    settings: Any = torch._dynamo.config
    settings.recompile_limit = max(settings.recompile_limit, KINDS)
    for layer in layers:
        layer.compile(dynamic=True, backend=backend)


def _release(layers: Any) -> None:
    for layer in layers:
        layer._compiled_call_impl = None


def _backward(forward: PackedForward, model: Any, batch: Batch) -> None:
    """A backward pass that leaves no gradient behind."""
    states = forward.predictions(batch).states_TD
    if states.requires_grad:
        torch.autograd.grad(states.float().square().mean(), [*trained_weights(model).values()], allow_unused=True)


def _difference(got: Tensor, wanted: Tensor) -> float:
    return float((got.float() - wanted.float()).abs().max() / wanted.float().abs().max().clamp_min(1e-6))
