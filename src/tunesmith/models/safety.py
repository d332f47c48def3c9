"""Is a model folder safe and whole? Formats by allow-list, no code, no pickle, sound safetensors.

Torch and transformers are not imported: the check reads names, JSON and the headers of safetensors files.
Pickled weights run code when they are loaded (CVE-2025-32434: even with `weights_only`), `auto_map` has run
code although remote code was switched off (CVE-2026-22807), and a deny-list has been passed with `.pkl.gz`;
so what is not known to be data is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, shorten

ALLOWED = frozenset(
    {".json", ".safetensors", ".jinja", ".model", ".spm", ".txt", ".md", ".png", ".jpg", ".svg", ".pdf"}
)
"""Suffixes of files that are data; a file without a suffix (LICENSE, NOTICE) is text that nobody loads."""

PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".dill"})
"""Suffixes of files that can run code when they are loaded, named for a clearer message."""

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

_CODE_KEYS = ("auto_map", "trust_remote_code", "custom_pipelines")
_VOCABULARIES = frozenset({"tokenizer.json", "vocab.json", "added_tokens.json"})
_MAX_JSON_BYTES = 64 << 20


def safety_problems(folder: Path, *, links_to: tuple[Path, ...] = ()) -> list[Problem]:
    """Everything that speaks against loading the model in `folder`; empty if it can be loaded.

    Args:
        folder: a model folder in Hugging Face's layout. Hidden files and folders are never read, and not judged.
        links_to: folders that symbolic links may lead into, besides `folder` itself (a hub cache).
    """
    if not folder.is_dir():
        return [Problem("missing-model", "there is no such folder", "check model.use", str(folder))]
    files = _files(folder)
    problems = [problem for path in files for problem in _file_problems(path)]
    problems += _links_out(folder, files, links_to)
    problems += _missing(folder)
    problems += _weight_problems(folder)
    return problems


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold the weights: those of the index, or the single file; empty if there are none."""
    if (folder / INDEX).is_file():
        return [folder / name for name in _indexed(folder / INDEX)]
    return [folder / SINGLE] if (folder / SINGLE).is_file() else []


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape, from the headers of the weight files; nothing of the weights is read."""
    from safetensors import safe_open

    shapes = {}
    for path in weight_files(folder):
        with safe_open(path, framework="np") as file:
            shapes.update({name: tuple(file.get_slice(name).get_shape()) for name in file.keys()})  # noqa: SIM118
    return shapes


def _files(folder: Path) -> list[Path]:
    visible = (p for p in folder.rglob("*") if not any(s.startswith(".") for s in p.relative_to(folder).parts))
    return sorted(p for p in visible if p.is_symlink() or not p.is_dir())


def _file_problems(path: Path) -> Iterator[Problem]:
    suffixes = {suffix.lower() for suffix in path.suffixes}
    suffix = path.suffix.lower()
    if suffix in PICKLED or (suffix not in ALLOWED and suffixes & PICKLED):
        hint = "use a safetensors version of this model, or delete the file if the model has safetensors beside it"
        yield Problem("pickled-file", "a pickled file can run code when it is loaded; it is refused", hint, str(path))
    elif suffix in {".py", ".pyc", ".so", ".dll", ".pyd"}:
        hint = "delete the file; transformers has its own classes for the known architectures"
        yield Problem("remote-code", "a model folder must not bring code; it is refused", hint, str(path))
    elif suffix and suffix not in ALLOWED and not path.name.upper().startswith(("LICENSE", "NOTICE")):
        hint = "delete the file or move it out of the folder; known: " + " ".join(sorted(ALLOWED))
        yield Problem("unknown-format", f"'{suffix}' is no format of a model folder", hint, str(path))
    elif suffix == ".json":
        yield from _json_problems(path)


def _json_problems(path: Path) -> Iterator[Problem]:
    if path.name in _VOCABULARIES or path.name == INDEX:
        return
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError("larger than any configuration file")
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        yield Problem("broken-json", f"not readable as JSON: {shorten(error)}", "fetch the file again", str(path))
        return
    if path.name == "config.json" and not isinstance(value, dict):
        yield Problem("broken-json", "the configuration is not a JSON object", "fetch the file again", str(path))
    for key in sorted(_code_keys(value)):
        hint = f"remove '{key}' from the file (transformers has its own classes for the known architectures)"
        yield Problem("remote-code", f"'{key}' asks for code from outside; it is refused", hint, str(path))


def _code_keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        here = {key for key in _CODE_KEYS if value.get(key)}
        return here.union(*(_code_keys(item) for item in value.values()))
    return set().union(*(_code_keys(item) for item in value)) if isinstance(value, list) else set()


def _links_out(folder: Path, files: list[Path], links_to: tuple[Path, ...]) -> list[Problem]:
    homes = [home.resolve() for home in (folder, *links_to)]
    problems = []
    for path in files:
        target = path.resolve()
        if not any(home in target.parents for home in homes):
            hint = "copy the file into the folder"
            problems.append(Problem("link-outside", f"the link leads out of the folder, to {target}", hint, str(path)))
        elif not target.exists():
            problems.append(Problem("missing-file", "the link leads nowhere", "fetch the model again", str(path)))
    return problems


def _missing(folder: Path) -> Iterator[Problem]:
    if not (folder / "config.json").is_file():
        yield Problem("missing-config", "there is no config.json", "is this a model folder?", str(folder))
    tokenizers = [("tokenizer.json",), ("tokenizer.model",), ("vocab.json", "merges.txt")]
    if not any(all((folder / name).is_file() for name in names) for names in tokenizers):
        hint = "copy tokenizer.json from the place where the model comes from"
        yield Problem("missing-tokenizer", "there is no tokeniser (tokenizer.json)", hint, str(folder))
    if not (folder / INDEX).is_file() and not (folder / SINGLE).is_file():
        hint = "an adapter is not a model: name its base" if (folder / "adapter_config.json").is_file() else ""
        hint = hint or "use a version of this model with safetensors"
        yield Problem("missing-weights", f"there is neither {SINGLE} nor {INDEX}", hint, str(folder))


def _weight_problems(folder: Path) -> Iterator[Problem]:
    if (folder / INDEX).is_file():
        try:
            names = _indexed(folder / INDEX)
        except (ValueError, RecursionError) as error:
            yield Problem("broken-index", shorten(error), "fetch the file again", str(folder / INDEX))
            return
        for name in names:
            if not (folder / name).is_file():
                yield Problem("missing-weights", f"the index names '{name}', which is not there", "", str(folder))
    for path in weight_files(folder):
        if path.is_file():
            yield from _header_problems(path)


def _indexed(index: Path) -> list[str]:
    """The files that an index names, each once; ValueError if one is not a plain safetensors file beside it."""
    value = json.loads(index.read_bytes())
    weights = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(weights, dict) or not weights:
        raise ValueError("the index has no weight_map")
    names = sorted({str(name) for name in weights.values()})
    for name in names:
        if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise ValueError(f"the index names '{shorten(name)}', which is not a safetensors file beside it")
    return names


def _header_problems(path: Path) -> Iterator[Problem]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            empty = not file.keys()
    except (SafetensorError, OSError, ValueError) as error:
        hint = "the file is cut or damaged: fetch it again"
        yield Problem("broken-weights", f"not a sound safetensors file: {shorten(error)}", hint, str(path))
        return
    if empty:
        yield Problem("broken-weights", "the file holds no tensor", "fetch it again", str(path))
