"""Models of the Hugging Face hub: found in the local hub cache, or downloaded because the user named them.

A revision is pinned to the commit it names. Only data files are ever asked for (no pickle, no Python).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.events import Events
from tunesmith.core.files import atomic_folder, write_json
from tunesmith.models.fetch import free_bytes
from tunesmith.models.safety import INDEX, SINGLE, weight_files

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_WANTED = ("*.json", "model*.safetensors", "*.jinja", "tokenizer.model", "merges.txt", "LICENSE*")
_TRUE = {"1", "on", "yes", "true"}


@dataclass(frozen=True)
class HubModel:
    """A model of the hub on this disk: folder with its files, and the commit they are of."""

    folder: Path
    commit: str


def hub_cache() -> Path:
    """Where huggingface_hub keeps models: HF_HUB_CACHE, HF_HOME/hub, or ~/.cache/huggingface/hub."""
    if given := os.environ.get("HF_HUB_CACHE"):
        return Path(given).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def offline() -> bool:
    """Whether the user has forbidden calls to the hub (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE)."""
    return any(os.environ.get(name, "").lower() in _TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def cached(hub_id: str, revision: str | None) -> HubModel | None:
    """The model in the local hub cache, weights included, or None; no network, no library."""
    store = hub_cache() / f"models--{hub_id.replace('/', '--')}"
    commit = revision or "main"
    if not _COMMIT.match(commit):
        reference = store / "refs" / commit
        if ".." in commit or not reference.is_file():
            return None
        commit = reference.read_text(encoding="utf-8").strip()
    folder = store / "snapshots" / commit
    return HubModel(folder, commit) if _has_weights(folder) else None


def download(hub_id: str, revision: str | None, *, events: Events) -> HubModel:
    """Bring the data files of a model from the hub into its cache, at the commit that `revision` names now.

    Raises:
        UserError: calls to the hub are forbidden, the hub cannot be reached, there is no such model or
            revision, or it has no safetensors.
    """
    if offline():
        hint = "unset HF_HUB_OFFLINE to allow the download, or name a local folder"
        raise UserError(
            Problem("offline", f"'{hub_id}' is not in the local hub cache {hub_cache()}", hint, "model.use")
        )
    from huggingface_hub import HfApi, snapshot_download

    events.tell("note", "model", f"asking the hub for {hub_id} (you named it; set HF_HUB_OFFLINE=1 to forbid this)")
    try:
        found = HfApi().model_info(hub_id, revision=revision, timeout=30, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in found.siblings or []}
        if problem := _unwanted(hub_id, sizes):
            raise UserError(problem)
        folder = snapshot_download(
            hub_id,
            revision=found.sha,
            cache_dir=hub_cache(),
            allow_patterns=list(_WANTED),
            ignore_patterns=["*/*"],
        )
    except UserError:
        raise
    except Exception as error:  # the hub's client raises errors of several libraries; all mean the same to the user
        message = f"'{hub_id}' could not be brought from the hub: {shorten(error, width=200)}"
        hint = "check name and network, or copy the model's folder here and name it in model.use"
        raise UserError(Problem("cannot-fetch", message, hint, "model.use", value=hub_id)) from None
    return HubModel(Path(folder), str(found.sha))


def _unwanted(hub_id: str, sizes: Mapping[str, int]) -> Problem | None:
    """Why a model with these files (name -> bytes) is not downloaded; None if it is."""
    if SINGLE not in sizes and INDEX not in sizes:
        hint = "choose a version of this model with safetensors"
        return Problem("missing-weights", f"'{hub_id}' has no safetensors", hint, "model.use")
    wanted = sum(size for name, size in sizes.items() if "/" not in name and any(fnmatch(name, w) for w in _WANTED))
    if wanted > free_bytes(hub_cache()):
        message = f"'{hub_id}' takes {wanted / 1e9:.1f} GB, {free_bytes(hub_cache()) / 1e9:.1f} GB are free"
        return Problem(
            "disk-full", message, f"free space on the disk of {hub_cache()}, or set HF_HUB_CACHE", "model.use"
        )
    return None


def without_code(model: HubModel, target: Path, *, events: Events) -> Path:
    """A folder of links to the model's files whose JSON files no longer ask for remote code.

    Many catalog models were published before transformers had their class, and still carry `auto_map`; their
    own files stay untouched. Returns `model.folder` itself where there is nothing to remove.
    """
    edited = {path.name: value for path in model.folder.glob("*.json") if (value := _stripped(path)) is not None}
    if not edited:
        return model.folder
    if not target.is_dir():
        with atomic_folder(target) as folder:
            for path in model.folder.iterdir():
                if path.is_file() and path.name not in edited and path.suffix != ".py":
                    (folder / path.name).symlink_to(path.resolve())
            for name, value in edited.items():
                write_json(folder / name, value)
        told = ", ".join(sorted(edited))
        events.tell("note", "model", f"removed the request for remote code from a copy of {told}; weights are linked")
    return target


def _stripped(path: Path) -> object | None:
    """The JSON object without its `auto_map`; None where it has none or is no configuration."""
    if path.name in {"tokenizer.json", "vocab.json", INDEX}:
        return None
    try:
        value = json.loads(path.read_bytes())
    except ValueError:
        return None
    if not isinstance(value, dict) or "auto_map" not in value:
        return None
    return {key: item for key, item in value.items() if key != "auto_map"}


def _has_weights(folder: Path) -> bool:
    try:
        files = weight_files(folder)
    except ValueError:
        return True  # a broken index is told by the safety check, not hidden here
    return bool(files) and all(path.is_file() for path in files)
