"""Files that are whole or absent: atomic writes, and paths that cannot leave their root."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tunesmith.core.errors import Problem, UserError

_LEFT = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{12}\.(?P<kind>tmp|old)")


def fsync_path(path: Path) -> None:
    """Force a file's or a folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, and force the name of each one made to the disk."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)  # somebody else may have made it meanwhile
        fsync_path(place.parent)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that replaces `path` in one step when the block ends well: old content or new, at any instant.

    Written beside the target, flushed, synced and renamed; the folder is synced last, so the
    rename survives a power cut. Parent folders are made as needed.
    """
    make_folder(path.parent)
    temporary = _beside(path, "tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_path(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step, see `atomic_file`."""
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of the UTF-8 form of `text`."""
    write_bytes(path, text.encode("utf-8"))


def json_bytes(value: Any) -> bytes:
    """`value` as indented JSON in UTF-8 with a line end; NaN and infinity are refused (ValueError)."""
    return (json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode("utf-8")


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of the `json_bytes` of `value`."""
    write_bytes(path, json_bytes(value))


def read_json(path: Path) -> Any:
    """The JSON value in `path` (UTF-8).

    Raises:
        UserError: the file is missing, unreadable or not JSON; names file and line.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(Problem("missing-file", "the file does not exist", path=str(path))) from None
    except OSError as error:
        raise UserError(Problem("unreadable-file", error.strerror or str(error), path=str(path))) from None
    except RecursionError:
        raise UserError(Problem("broken-json", "not usable as JSON: nested too deeply", path=str(path))) from None
    except ValueError as error:  # not JSON, not UTF-8, or a number with thousands of digits
        line = getattr(error, "lineno", None)
        raise UserError(Problem("broken-json", f"not JSON: {error}", path=str(path), line=line)) from None


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes `target` when the block ends well, and vanishes otherwise.

    Every file is synced before the rename. An older `target` is moved aside first and removed after the new
    one stands; a kill in the moment between leaves it aside, and `sweep_temporary` puts it back.

    Example:
        with atomic_folder(root / "snap-01") as folder:
            write_json(folder / "artifact.json", {...})
    """
    make_folder(target.parent)
    temporary, old = _beside(target, "tmp"), _beside(target, "old")
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.rglob("*"):
            fsync_path(path)
        fsync_path(temporary)
        if target.exists():
            target.rename(old)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    fsync_path(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def sweep_temporary(folder: Path, *, of: str | None = None) -> list[Path]:
    """Clear what killed writers left in `folder`; returns what was removed.

    An older folder that was moved aside is put back where its successor never arrived. Only safe while no
    writer is at work there.

    Args:
        folder: where the targets of `atomic_file` and `atomic_folder` lie.
        of: only what was left of the target with this name; None: of any.
    """
    if not folder.is_dir():
        return []
    removed = []
    for path in sorted(folder.iterdir()):
        match = _LEFT.fullmatch(path.name)
        if match is None or of not in (None, match["target"]):
            continue
        target = folder / match["target"]
        if match["kind"] == "old" and not target.exists():
            path.rename(target)
            continue
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        removed.append(path)
    return removed


def _beside(target: Path, kind: str) -> Path:
    """A name beside `target` that nobody else uses; made plainly, so that the user's umask holds for it."""
    return target.with_name(f".{target.name}.{secrets.token_hex(6)}.{kind}")


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
