"""The catalog: known base models as a data file, loaded and validated."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.core.types import Noun
from tunesmith.models.fetch import Asset


class Entry(Noun):
    """One known base model. A field that nobody could confirm is None, and `notes` says so.

    Fields:
        name: what a project file calls it.
        hub: id on the Hugging Face hub.
        asset: the same model inside a Python package, for machines without a hub.
        architecture: transformers class; `model_type` its name in config.json.
        parameters: number of weights; `active_parameters`: those used for one token.
        layers, hidden, intermediate, heads, kv_heads, head_dim, vocabulary: shape. In a mixture of experts
            `intermediate` is the width of a dense layer.
        tied: whether input embedding and head are one matrix.
        context: longest input in tokens.
        weights: number format of the published weights (`bfloat16`, `float8`, ...).
        licence: SPDX id, or the name of the maker's own licence.
        sampling: settings that the maker recommends (`temperature`, `top_p`).
        system_prompt: False: the maker advises against one; None: nothing is said.
        reasoning: writes its chain of thought between `<think>` and `</think>`.
        template: what one must know of its chat template.
        sources: where the facts come from.
        notes: limits, and what could not be confirmed.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    hub: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    asset: Asset | None = None
    architecture: str
    model_type: str
    parameters: int = Field(gt=0)
    active_parameters: int = Field(gt=0)
    layers: int | None = None
    hidden: int | None = None
    intermediate: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    vocabulary: int | None = None
    tied: bool | None = None
    context: int | None = None
    weights: str = "bfloat16"
    licence: str
    sampling: dict[str, float] = Field(default_factory=dict)
    system_prompt: bool | None = None
    reasoning: bool = False
    template: str = ""
    sources: tuple[str, ...] = ()
    notes: str = ""


class Encoder(Noun):
    """One known model that turns texts into vectors.

    Fields:
        name, hub, licence, sources, notes: see `Entry`.
        assets: its files (config.json, model.safetensors, tokenizer.json) inside one Python package.
        languages: what it was trained on.
        hidden: length of a vector.
        context: longest input in tokens; what is longer is cut.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    hub: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    assets: tuple[Asset, ...] = Field(min_length=1)
    languages: tuple[str, ...]
    hidden: int
    context: int
    licence: str
    sources: tuple[str, ...] = ()
    notes: str = ""


@cache
def entries() -> tuple[Entry, ...]:
    """Every known model, smallest first."""
    found = [Entry.model_validate(item) for item in _file()["models"]]
    return tuple(sorted(found, key=lambda entry: entry.parameters))


@cache
def encoders() -> tuple[Encoder, ...]:
    """Every known encoder."""
    return tuple(Encoder.model_validate(item) for item in _file()["encoders"])


def _file() -> Any:
    return json.loads((Path(__file__).parent / "catalog.json").read_text(encoding="utf-8"))


def names() -> list[str]:
    """The names of all entries, smallest model first."""
    return [entry.name for entry in entries()]


def lookup(name: str) -> Entry:
    """The entry called `name`, or the one with that hub id.

    Raises:
        UserError: there is none; names the nearest ones.
    """
    if entry := find(name):
        return entry
    message = f"there is no model '{name}' in the catalog"
    raise UserError(Problem("unknown-model", message, did_you_mean(name, names()), "model.use", value=name))


def find(name: str) -> Entry | None:
    """Like `lookup`, but None where there is no such entry; upper and lower case are alike."""
    wanted = name.lower()
    return next((entry for entry in entries() if wanted in (entry.name, entry.hub.lower())), None)
