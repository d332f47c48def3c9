"""The stage `model`: from the section of the project file to the artifact Base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events
from tunesmith.core.files import read_json
from tunesmith.core.ids import content_id
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base
from tunesmith.models import hub
from tunesmith.models.catalog import Entry
from tunesmith.models.digests import model_digests, remembered
from tunesmith.models.fetch import cache_folder
from tunesmith.models.load import ResolvedModel, folder_problems, locate, named, quantised_problem, resolve, settle
from tunesmith.models.spec import ModelSpec

NAME = "model"
VERSION = "1"

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def check(spec: ModelSpec, root: Path) -> list[Problem]:
    """Everything that is wrong with the section, without network and without loading anything heavy."""
    try:
        spec = settle(spec, Events())
        found = locate(spec, root)
        what = named(spec, root)
    except UserError as error:
        return list(error.problems)
    if isinstance(what, Entry) and (problem := quantised_problem(what.name, what.weights)):
        return [problem]
    if found is not None:
        return folder_problems(found.path)
    if isinstance(what, Entry) and what.asset and spec.revision is None:
        return []
    if hub.offline() and not isinstance(what, Path):
        hint = "unset HF_HUB_OFFLINE to allow the download, or name a local folder"
        return [Problem("offline", f"'{spec.use}' is not on this disk, and the hub is forbidden", hint, "model.use")]
    return []


def outside(spec: ModelSpec, root: Path) -> dict[str, str]:
    """Digests of the files that the stage reads from outside the run store.

    A package's file is known by its digest before it is fetched. A model of the hub that is not on this disk yet
    has only its name; once it is there, its commit counts, so its first two runs make the (small, equal) artifact
    twice. Files whose size and time have not changed are not read again.
    """
    spec = settle(spec, Events())
    what, cache = named(spec, root), cache_folder()
    if isinstance(what, Path) and what.is_file():
        return {"gguf": remembered([what], what, cache)[what]}
    found = locate(spec, root)
    if found is not None and found.source == "package":
        return {"package": found.revision}
    if isinstance(what, Entry) and what.asset and spec.revision is None and found is None:
        return {"package": what.asset.sha256}
    if found is None:
        return {"hub": str(what.hub if isinstance(what, Entry) else what)}
    return {found.source: content_id("files", model_digests(found.path, cache)), "revision": found.revision}


def run(spec: ModelSpec, *, context: Context) -> Base:
    """Resolve the model, check it, and describe it; its files stay where they are (`Base.path`)."""
    from tunesmith.models.load import load_tokenizer
    from tunesmith.models.template import ChatTemplate

    settled = settle(spec, context.events)
    found = resolve(settled, context.root, context.events)
    template = ChatTemplate(load_tokenizer(found.path))
    for problem in template.warnings:
        context.events.tell("warning", NAME, str(problem))
    return describe(found, template_hash=template.hash)


def describe(found: ResolvedModel, *, template_hash: str) -> Base:
    """The artifact for a resolved model, from its config, the headers of its weights and the catalog."""
    from tunesmith.models.shape import shape_of_folder

    shape = shape_of_folder(found.path)
    digest = content_id("files", model_digests(found.path, cache_folder()))
    entry = found.entry
    contexts = [length for length in (shape.context, entry.context if entry else None) if length]
    return Base(
        name=found.name,
        revision=found.revision or digest,
        digest=digest,
        architecture=shape.architecture,
        parameters=entry.parameters if entry else shape.parameters,
        active_parameters=entry.active_parameters if entry else shape.active_parameters,
        layers=shape.layers,
        hidden=shape.hidden,
        vocabulary=shape.vocabulary,
        context=min(contexts, default=0),
        licence=entry.licence if entry else "",
        path=str(found.path),
        chat_template_hash=template_hash,
        sampling=entry.sampling if entry and entry.sampling else _own_sampling(found.path),
    )


def _own_sampling(folder: Path) -> dict[str, float]:
    """The sampling settings of generation_config.json, where there are any."""
    path = folder / "generation_config.json"
    given: Any = read_json(path) if path.is_file() else {}
    return {key: float(given[key]) for key in _SAMPLING if isinstance(given.get(key), int | float)}
