"""Step checkpoints that survive `kill -9` at any instant, and tell a torn or altered file from a whole one.

One checkpoint is a folder `step-00000042` with `tensors.safetensors`, `state.json` and `digests.json`, which holds
the SHA-256 of the other two. It is written beside its place, synced, and renamed; the two newest are kept. Reading
starts at the newest and goes back to the one before where a digest does not fit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core import files, ids

if TYPE_CHECKING:
    from torch import Tensor

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
    """Keeps the checkpoints of one run in `folder`; `warn` is told of every one that could not be used."""

    folder: Path
    warn: Callable[[str], None]

    def save(self, step: int, saved: Saved) -> None:
        """Write the state after `step` steps; the older ones beyond two are removed when it stands.

        Raises:
            OSError: the disk is full or fails; what was saved before stays whole.
        """
        from safetensors.torch import save_file

        with files.atomic_folder(self.folder / f"step-{step:08d}") as folder:
            save_file({name: tensor.contiguous() for name, tensor in saved.tensors.items()}, folder / _TENSORS)
            files.write_json(folder / _STATE, saved.state)
            files.write_json(folder / _DIGESTS, ids.digest_folder(folder))
        for old in self._found()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def load(self, *, at_most: int | None = None) -> Saved | None:
        """The newest checkpoint that is whole, of `at_most` steps where that is given; None where there is none."""
        files.sweep_temporary(self.folder)
        for folder in self._found():
            if at_most is not None and int(folder.name.removeprefix("step-")) > at_most:
                continue
            damage = _damage(folder)
            if damage is None:
                return _read(folder)
            self.warn(f"checkpoint {folder.name} is damaged ({damage}); the one before it is used")
        return None

    def forget(self, *, after: int) -> None:
        """Remove the checkpoints of more than `after` steps: the run has gone back."""
        for folder in self._found():
            if int(folder.name.removeprefix("step-")) > after:
                shutil.rmtree(folder, ignore_errors=True)

    def _found(self) -> list[Path]:
        """Checkpoint folders, newest first."""
        return sorted(self.folder.glob("step-*"), reverse=True) if self.folder.is_dir() else []


def _damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint, or None."""
    try:
        written = json.loads((folder / _DIGESTS).read_bytes())
        found = ids.digest_folder(folder, skip=[_DIGESTS])
    except (OSError, ValueError) as error:
        return f"{_DIGESTS} cannot be read: {type(error).__name__}"
    if not isinstance(written, dict):
        return f"{_DIGESTS} is not a list of digests"
    wrong = sorted(name for name in {*written, *found, _TENSORS, _STATE} if written.get(name) != found.get(name))
    wrong += [name for name in (_TENSORS, _STATE) if name not in found and name not in wrong]
    return f"{', '.join(wrong)} differs from its digest" if wrong else None


def _read(folder: Path) -> Saved:
    from safetensors.torch import load_file

    return Saved(load_file(folder / _TENSORS), json.loads((folder / _STATE).read_bytes()))
