"""From what the user named to a safe local folder, and from that folder to tokeniser and weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.core.errors import Problem, UserError, did_you_mean, shorten
from tunesmith.core.events import Events
from tunesmith.core.files import read_json
from tunesmith.models import catalog, hub, unpack
from tunesmith.models.catalog import Entry
from tunesmith.models.digests import MANIFEST, intact, remembered
from tunesmith.models.fetch import asset_path, cache_folder, fetch_asset
from tunesmith.models.hardware import settle_threads
from tunesmith.models.quiet import quiet
from tunesmith.models.safety import safety_problems
from tunesmith.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch


AUTO = "auto"


@dataclass(frozen=True)
class ResolvedModel:
    """A base model on this disk.

    Args:
        name: what the user wrote.
        path: absolute folder with config.json, tokeniser and safetensors; passed `safety_problems`.
        revision: commit of the hub, or SHA-256 of the GGUF file; empty for a folder.
        source: where it comes from.
        entry: what the catalog knows of it, if it does.
    """

    name: str
    path: Path
    revision: str
    source: Literal["package", "hub", "folder", "gguf"]
    entry: Entry | None = None


Named = Entry | Path | str
"""What a spec names: a catalog entry, an existing folder or GGUF file, or a hub id."""


def settle(spec: ModelSpec, events: Events) -> ModelSpec:
    """`spec` with `auto` replaced by a catalog name; the choice and its reason are told.

    The largest catalog model is taken that is on this disk and whose training as an adapter fits the memory of
    the largest GPU, or of the machine where there is none.

    Raises:
        UserError: no catalog model is on this disk, or none that is there fits.
    """
    if spec.use != AUTO:
        return spec
    full = (entry for entry in catalog.entries() if quantised_problem(entry.name, entry.weights) is None)
    here = [entry for entry in full if at_hand(entry)]
    if not here:
        hint = "tunesmith fetch smollm2-135m-instruct, or name a model, a folder or a file"
        raise UserError(Problem("no-model", "auto: no catalog model is on this machine", hint, "model.use"))
    need, memory_gb = {entry.name: _need_gb(entry) for entry in here}, _memory_gb()
    fitting = [entry for entry in here if need[entry.name] <= memory_gb]
    if not fitting:
        message = f"auto: the smallest model here, {here[0].name}, needs {need[here[0].name]:.1f} GB to train"
        raise UserError(Problem("too-big", f"{message}, there are {memory_gb:.1f} GB", "free memory", "model.use"))
    best = fitting[-1]
    reason = f"the largest of {len(here)} models on this disk that trains within {memory_gb:.0f} GB"
    events.tell("note", "model", f"auto: {best.name} ({reason}; it needs about {need[best.name]:.1f} GB)")
    return ModelSpec(use=best.name)


def named(spec: ModelSpec, root: Path) -> Named:
    """What `spec.use` names. A catalog name wins; then what exists on this disk; then a hub id. No network.

    `auto` names what `settle` chooses.

    Raises:
        UserError: it names nothing; the nearest catalog names are told.
    """
    spec = settle(spec, Events())
    if entry := catalog.find(spec.use):
        return entry
    path = (root / Path(spec.use).expanduser()).absolute()
    if path.is_dir() or (path.suffix.lower() == ".gguf" and path.is_file()):
        return path
    if path.exists():
        hint = "name the model's folder, or a .gguf file"
        raise UserError(Problem("no-model", f"'{spec.use}' is neither a folder nor a GGUF file", hint, "model.use"))
    if hub.HUB_ID.match(spec.use) and not spec.use.lower().endswith(".gguf"):
        return spec.use
    hint = did_you_mean(spec.use, catalog.names()) + " Or name a folder, a .gguf file or a hub id (organisation/name)"
    message = f"'{shorten(spec.use)}' is no model of the catalog, and there is no such folder or file under {root}"
    raise UserError(Problem("unknown-model", message, hint, "model.use", value=shorten(spec.use)))


def locate(spec: ModelSpec, root: Path) -> ResolvedModel | None:
    """The model if it is on this disk, ready to load; None if it must first be fetched or unpacked. No network."""
    what, cache = named(spec, root), cache_folder()
    if isinstance(what, Path):
        if what.is_dir():
            return ResolvedModel(spec.use, what, "", "folder")
        digest = remembered([what], what, cache)[what]
        folder = unpack.unpacked_path(digest, cache)
        return ResolvedModel(spec.use, folder, digest, "gguf") if intact(folder, cache) else None
    entry, hub_id = (what, what.hub) if isinstance(what, Entry) else (None, what)
    if entry and entry.asset and spec.revision is None:
        folder = unpack.unpacked_path(entry.asset.sha256, cache)
        if intact(folder, cache):
            return ResolvedModel(spec.use, folder, entry.asset.sha256, "package", entry)
        if asset_path(entry.asset, cache).is_file():
            return None
    found = hub.cached(hub_id, spec.revision)
    if found is None:
        return None
    return ResolvedModel(spec.use, _hub_folder(found, entry, Events()), found.commit, "hub", entry)


def at_hand(entry: Entry) -> bool:
    """Whether a catalog model can be loaded without a network: unpacked, fetched, or in the hub's cache."""
    if entry.asset and asset_path(entry.asset, cache_folder()).is_file():
        return True
    return locate(ModelSpec(use=entry.name), Path()) is not None


def resolve(spec: ModelSpec, root: Path, events: Events) -> ResolvedModel:
    """The model as a safe local folder; fetched and unpacked if need be.

    A package or the hub is asked only for a model that the spec names, and only if it is not on this disk.

    Raises:
        UserError: it cannot be found or brought, or the folder is unsafe or incomplete - all problems at once.
    """
    what = named(spec, root)
    if isinstance(what, Entry) and (problem := quantised_problem(what.name, what.weights)):
        raise UserError(problem)
    found = locate(spec, root) or _bring(spec, root, events)
    if problems := folder_problems(found.path):
        raise UserError(problems)
    quantised = read_json(found.path / "config.json").get("quantization_config")
    method = quantised.get("quant_method", "unknown") if isinstance(quantised, dict) else ""
    if problem := quantised_problem(spec.use, str(method)):
        raise UserError(problem)
    return found


def quantised_problem(name: str, weights: str) -> Problem | None:
    """Why a model whose weights are published in the format `weights` cannot be tuned; None where they can.

    Quantised weights carry no gradient. They are not unpacked in passing: an adapter that was learnt on them and
    merged into other weights would be another model than the one that was measured.
    """
    if weights in ("", "bfloat16", "float16", "float32"):
        return None
    hint = "convert it to bfloat16 and name that folder, or choose a version with full weights"
    return Problem(
        "quantised-weights", f"'{name}' has quantised weights ({weights}), which cannot be tuned", hint, "model.use"
    )


def folder_problems(folder: Path) -> list[Problem]:
    """`safety_problems`, and for folders in our own cache: whether they are still what was unpacked.

    Links may lead into the hub's cache from folders that lie in it or in our cache.
    """
    stores = (hub.hub_cache(), cache_folder())
    ours = [store.resolve() in folder.resolve().parents for store in stores]
    if ours[1] and not folder.is_dir():
        hint = "tunesmith fetch NAME brings it back (NAME as in model.use)"
        return [Problem("missing-model", "the model was removed from the cache", hint, str(folder))]
    if ours[1] and (folder / MANIFEST).exists() and not intact(folder, cache_folder()):
        hint = "tunesmith fetch NAME unpacks it again (NAME as in model.use)"
        return [Problem("changed-model", "the model was changed since it was unpacked", hint, str(folder))]
    return safety_problems(folder, links_to=stores if any(ours) else ())


def load_tokenizer(folder: Path) -> Any:
    """The tokeniser of a model folder (a transformers `PreTrainedTokenizerFast`); no network, no code from the folder.

    Raises:
        UserError: the folder is unsafe or incomplete, or its tokeniser cannot be read.
    """
    from transformers import AutoTokenizer

    _refuse_unsafe(folder)
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # a damaged tokenizer.json raises errors of several libraries
        message = f"the tokeniser cannot be read: {type(error).__name__}: {shorten(error, width=200)}"
        raise UserError(Problem("broken-tokenizer", message, "fetch the model again", str(folder))) from None


def load_model(
    folder: Path, *, dtype: torch.dtype | None = None, device: str = "cpu", weights: Literal["plain", "nf4"] = "plain"
) -> Any:
    """The causal language model of a folder, in evaluation mode, its attention left at transformers' choice (sdpa).

    On the processor torch gets as many threads as cores are free, see `hardware.settle_threads`.

    Args:
        folder: a model folder that passes `folder_problems`.
        dtype: number format of the weights in memory; float32 by default.
        device: `cpu`, `cuda`, `cuda:1`.
        weights: `nf4`: the linear layers in 4 bits, see `models.nf4`.

    Returns:
        A transformers `PreTrainedModel`.

    Raises:
        UserError: the folder is unsafe or incomplete, transformers has no class for its architecture, or a library
            for 4-bit weights is missing.
    """
    import torch
    from transformers import AutoModelForCausalLM

    _refuse_unsafe(folder)
    settle_threads()
    try:
        with quiet():
            if weights == "nf4":
                from tunesmith.models.nf4 import load_packed

                return load_packed(folder, dtype=dtype or torch.float32, device=device).eval()
            model = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=dtype or torch.float32, local_files_only=True, use_safetensors=True
            )
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        message = f"the model cannot be loaded: {type(error).__name__}: {shorten(error, width=300)}"
        hint = "transformers must know its architecture, and config.json must fit the weights"
        raise UserError(Problem("cannot-load", message, hint, str(folder))) from None
    return model.to(device).eval()


def _refuse_unsafe(folder: Path) -> None:
    if problems := folder_problems(folder):
        raise UserError(problems)


def _bring(spec: ModelSpec, root: Path, events: Events) -> ResolvedModel:
    what, cache = named(spec, root), cache_folder()
    if isinstance(what, Path):
        digest = remembered([what], what, cache)[what]
        folder = unpack.unpack(what, unpack.unpacked_path(digest, cache), loss_below=None, events=events)
        return ResolvedModel(spec.use, folder, digest, "gguf")
    if isinstance(what, str):
        return _from_hub(spec, what, None, events)
    if what.asset is None or spec.revision is not None:
        return _from_hub(spec, what.hub, what, events)
    try:
        file = fetch_asset(what.asset, cache, events=events)
    except UserError as error:
        other = f"; or take it from the hub: {{use: {what.name}, revision: main}}"
        raise UserError(replace(problem, hint=problem.hint + other) for problem in error.problems) from None
    target = unpack.unpacked_path(what.asset.sha256, cache)
    folder = unpack.unpack(file, target, loss_below=unpack.GUARD_LOSS, events=events)
    return ResolvedModel(spec.use, folder, what.asset.sha256, "package", what)


def _from_hub(spec: ModelSpec, hub_id: str, entry: Entry | None, events: Events) -> ResolvedModel:
    found = hub.download(hub_id, spec.revision, events=events)
    return ResolvedModel(spec.use, _hub_folder(found, entry, events), found.commit, "hub", entry)


def _hub_folder(found: hub.HubModel, entry: Entry | None, events: Events) -> Path:
    """The folder to load: for catalog models, whose classes transformers has, without the request for remote code."""
    if entry is None:
        return found.folder
    target = cache_folder() / "models" / f"{entry.name}-{found.commit[:12]}"
    return hub.without_code(found, target, events=events)


def _need_gb(entry: Entry) -> float:
    from tunesmith.models.estimate import adapter_memory_gb

    return adapter_memory_gb(entry)


def _memory_gb() -> float:
    """Memory to train in: all of it, not only what is free now, so that the choice does not change from run to run."""
    from tunesmith.models.hardware import look

    hardware = look()
    return max((gpu.memory_gb for gpu in hardware.gpus), default=hardware.memory_gb)
