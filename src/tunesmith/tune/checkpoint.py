"""Step checkpoints that survive `kill -9` at any instant, and tell a torn or altered file from a whole one.

One checkpoint is a folder `step-00000042` with `tensors.safetensors`, `state.json` and `digests.json`, which holds
the format's number and the SHA-256 of the other two. It is written beside its place, synced, and renamed; the two
newest are kept. Reading starts at the newest and goes back to the one before where a single bit does not fit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core import files, ids

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
"""Raised whenever what a checkpoint holds, or what the loop makes of it, changes: another format is never read."""

KEPT = 2
_TENSORS, _STATE, _DIGESTS = "tensors.safetensors", "state.json", "digests.json"


@dataclass(frozen=True)
class Saved:
    """What one checkpoint holds.

    Args:
        tensors: name -> tensor: trained weights, optimiser state, random state.
        state: JSON values: step, curve so far, seconds spent.
    """

    tensors: dict[str, Tensor]
    state: dict[str, Any]


@dataclass(frozen=True)
class Keeper:
    """Keeps the checkpoints of one run in `folder`; one process at a time may write there.

    Args:
        folder: where they lie; made when the first one is written.
        warn: told of every checkpoint that could not be used.
    """

    folder: Path
    warn: Callable[[str], None]

    def save(self, step: int, saved: Saved) -> None:
        """Write the state after `step` steps.

        When it stands, the older ones beyond two are removed, and those of later steps, which `load` refused.

        Raises:
            OSError: the disk is full or fails; what was saved before stays whole, and nothing half-written is left.
        """
        from tunesmith.tune.tensor_file import write_tensors

        files.sweep_temporary(self.folder)
        with files.atomic_folder(self.folder / f"step-{step:08d}") as folder:
            state = files.json_bytes(saved.state)
            (folder / _STATE).write_bytes(state)
            digests = {_STATE: ids.digest_bytes(state), _TENSORS: write_tensors(folder / _TENSORS, saved.tensors)}
            (folder / _DIGESTS).write_bytes(_seal(digests))
        self.forget(after=step)
        self._remove(self._found()[KEPT:])

    def load(self, *, at_most: int | None = None) -> Saved | None:
        """The newest checkpoint that is whole and of this format, of `at_most` steps where that is given, or None.

        Every newer one is told to `warn` with what is wrong with it and what happens instead. Older ones beyond two,
        which a run that was killed did not come to remove, are removed.
        """
        files.sweep_temporary(self.folder)
        saved, outcome, refused, stale = None, "the training starts anew", [], list[Path]()
        found = [folder for folder in self._found() if at_most is None or _step(folder) <= at_most]
        for number, folder in enumerate(found):
            try:
                saved, outcome = _read(folder), f"the training goes on from {folder.name}"
                stale = found[number + KEPT :]
                break
            except _Unusable as reason:
                refused.append(f"checkpoint {folder.name} {reason}")
        self._remove(stale)
        for text in refused:
            self.warn(f"{text}; {outcome}")
        return saved

    def forget(self, *, after: int) -> None:
        """Remove the checkpoints of more than `after` steps: the run has gone back."""
        self._remove([folder for folder in self._found() if _step(folder) > after])

    def _remove(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _found(self) -> list[Path]:
        """Checkpoint folders, newest first."""
        return sorted(self.folder.glob("step-*"), reverse=True) if self.folder.is_dir() else []


class _Unusable(Exception):
    """Why a checkpoint is not read, as the end of a sentence that begins with its name."""


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _seal(digests: dict[str, str]) -> bytes:
    """The content of digests.json: it follows from the files, so any other byte in it is damage."""
    return files.json_bytes({"format": FORMAT, "sha256": dict(sorted(digests.items()))})


def _read(folder: Path) -> Saved:
    """The checkpoint in `folder`, every byte of it checked; raises `_Unusable`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        _check(folder)
        return Saved(load_file(folder / _TENSORS), json.loads((folder / _STATE).read_bytes()))
    except (OSError, SafetensorError) as error:
        raise _Unusable(f"is damaged ({error})") from None


def _check(folder: Path) -> None:
    """Compare every file with its digest; raises `_Unusable` or, where the disk cannot read, OSError."""
    written = (folder / _DIGESTS).read_bytes()
    try:
        told = json.loads(written)
        version, digests = told.get("format"), dict(told.get("sha256", told))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise _Unusable(f"is damaged ({_DIGESTS} is not a list of digests)") from None
    if version != FORMAT:
        raise _Unusable(
            f"is of format {version or 0} and this tunesmith reads format {FORMAT} (to go on from it, stop and run the "
            "version that wrote it, before this one writes its own)"
        )
    found = ids.digest_folder(folder, skip=[_DIGESTS])
    wrong = [name for name in sorted({*digests, *found, _STATE, _TENSORS}) if digests.get(name) != found.get(name)]
    if wrong or written != _seal(found):
        raise _Unusable(f"is damaged ({', '.join(wrong) or _DIGESTS} differs from its digest)")
