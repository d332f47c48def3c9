"""Content ids: the same content has the same id on every machine.

An id is the first 16 hexadecimal digits (64 bits) of a SHA-256 over canonical JSON, with a
short prefix that tells what it names (`run-`, `snap-`, ...). 64 bits keep the chance of a
collision among a million artifacts under 1e-7 [birthday bound].
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> bytes:
    """`value` as JSON bytes: keys sorted, no spaces, UTF-8; NaN and infinity are refused.

    Pydantic models are written field by field, sets sorted, paths with slashes. Raises TypeError for
    anything else that JSON cannot say.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
    ).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump()  # not mode="json", which turns NaN into null and leaves sets in any order
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def content_id(prefix: str, value: Any) -> str:
    """`prefix-` and 16 hexadecimal digits over the canonical JSON of `value`."""
    return f"{prefix}-{hashlib.sha256(canonical_json(value)).hexdigest()[:16]}"


def digest_bytes(data: bytes) -> str:
    """Full SHA-256 of `data`, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Full SHA-256 of a file's bytes, hexadecimal, read in chunks of 1 MiB."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha.update(chunk)
    return sha.hexdigest()


def digest_folder(folder: Path, *, skip: Iterable[str] = ()) -> dict[str, str]:
    """Relative POSIX path -> SHA-256 for every file below `folder`, sorted by path.

    Args:
        folder: an existing folder.
        skip: relative paths that are left out (a manifest cannot hold its own digest).
    """
    left_out = set(skip)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    names = [(p.relative_to(folder).as_posix(), p) for p in files]
    return {name: digest_file(path) for name, path in names if name not in left_out}
