"""Digests of big files, computed once: a file whose size and time of change are as before keeps its digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tunesmith.core.files import write_json
from tunesmith.core.ids import digest_file

MANIFEST = "unpacked.json"
"""The digests that unpacking wrote down; no file of the model itself."""

_READ = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that loading can read, sorted: config, tokeniser, template, weights."""
    return sorted(
        {path for pattern in _READ for path in folder.glob(pattern) if path.is_file() and path.name != MANIFEST}
    )


def model_digests(folder: Path, cache: Path) -> dict[str, str]:
    """File name -> SHA-256 for the `model_files` of `folder`; remembered in `cache`."""
    return {path.name: digest for path, digest in remembered(model_files(folder), folder, cache).items()}


def intact(folder: Path, cache: Path) -> bool:
    """Whether `folder` holds exactly the files that unpacking wrote down in its manifest."""
    try:
        written = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return bool(written == model_digests(folder, cache))


def remembered(files: list[Path], key: Path, cache: Path) -> dict[Path, str]:
    """The SHA-256 of each file, from memory where size and time of change (ns) and inode are as they were.

    Args:
        files: existing files.
        key: path that names this set of files; one memory file is kept for it.
        cache: root of the cache folder.
    """
    memory = cache / "digests" / f"{hashlib.sha256(str(key.absolute()).encode()).hexdigest()[:32]}.json"
    known = _load(memory)
    digests, seen = {}, {}
    for path in files:
        stat = path.stat()
        mark = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        old = known.get(str(path))
        digest = old[1] if old and old[0] == mark else digest_file(path)
        digests[path], seen[str(path)] = digest, [mark, digest]
    if seen != known:
        write_json(memory, seen)
    return digests


def _load(memory: Path) -> dict[str, list]:  # type: ignore[type-arg]
    """What is remembered; nothing if the memory is missing or damaged (digests are then computed again)."""
    try:
        value = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
