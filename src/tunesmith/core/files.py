"""Files that are whole or absent: atomic writes, and paths that cannot leave their root."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError


def fsync_path(path: Path) -> None:
    """Force a file's or a folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step: old content or new, at any instant.

    Written beside the target, flushed, synced and renamed; the folder is synced last, so the
    rename survives a power cut. Parent folders are made as needed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_path(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of the UTF-8 form of `text`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """`write_text` of `value` as indented JSON; NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON value in `path` (UTF-8).

    Raises:
        UserError: the file is missing or is not JSON; names file and line.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(Problem("missing-file", "the file does not exist", path=str(path))) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", None)
        raise UserError(Problem("broken-json", f"not JSON: {error}", path=str(path), line=line)) from None


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes `target` when the block ends well, and vanishes otherwise.

    `target` must not exist when the block ends, except as an older complete folder, which is then
    moved aside and removed after the new one stands. Every file is synced before the rename.

    Example:
        with atomic_folder(root / "snap-01") as folder:
            write_json(folder / "artifact.json", {...})
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        yield temporary
        for path in temporary.rglob("*"):
            fsync_path(path)
        fsync_path(temporary)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
            target.rename(old / "old")
            temporary.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_path(target.parent)


def sweep_temporary(folder: Path) -> list[Path]:
    """Remove what a killed writer left in `folder` (`.*.tmp`, `.*.old`); returns what was removed."""
    if not folder.is_dir():
        return []
    left = [p for p in folder.iterdir() if p.name.startswith(".") and p.suffix in {".tmp", ".old"}]
    for path in left:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return left


def resolve_under(root: Path, path: str | Path) -> Path:
    """`path` made absolute against `root`, links followed, and held inside `root`.

    Raises:
        UserError: the resolved path lies outside `root`.
    """
    base = root.resolve()
    full = (base / path).resolve()
    if full != base and base not in full.parents:
        problem = Problem(
            "path-outside", f"'{path}' leads out of {base}", hint="use a path inside the project folder", path=str(path)
        )
        raise UserError(problem)
    return full
