"""The states at the border of the frozen bottom: computed once a run, read from disk from then on."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith.core import files, ids
from tunesmith.models.trunk import Trunk
from tunesmith.tune.batches import Batch, Row, make_batch, micro_batch_numbers

BATCH_TOKENS = 8192
DISK_SHARE = 0.5
"""States may take at most this share of the disk's free space; else the bottom is run in every step."""


class BorderStates:
    """States [token, D] above the frozen bottom: the shared prefix once, then each row's own tokens.

    They are made in batches that follow from the rows alone, never from the training's steps, so a run that was killed
    finds or makes exactly the same numbers. The file is memory-mapped: what fits stays in memory, the rest on disk.

    Args:
        path: the file of states, complete and checked.
        rows: the rows they belong to, in order.
        prefix: tokens of the shared prefix.
        shape: hidden size, and the type of the numbers.
        compute: the type in which they are wanted.
    """

    def __init__(
        self, path: Path, rows: Sequence[Row], prefix: int, shape: tuple[int, torch.dtype], compute: torch.dtype
    ) -> None:
        self.prefix = prefix
        self._ends = _ends(rows, prefix)
        hidden, dtype = shape
        flat = torch.from_file(str(path), shared=False, size=self._ends[-1] * hidden, dtype=dtype)
        self._states = flat.view(-1, hidden)
        self._type = compute

    def __call__(self, batch: Batch) -> Tensor:
        """The border states [1, T, D] of a packed batch of these rows."""
        own = [self._states[self._ends[number] : self._ends[number + 1]] for number in batch.rows]
        return torch.cat([self._states[: self.prefix], *own])[None].to(self._type)


def border_states(
    trunk: Trunk,
    rows: Sequence[Row],
    *,
    prefix: int,
    folder: Path,
    progress: Any,
    exact: bool = True,
    digests: Mapping[str, str] | None = None,
) -> tuple[BorderStates | None, str]:
    """Make the states of `rows`, or take those that an interrupted run left whole in `folder`.

    Args:
        trunk: the model, cut at its lowest trained layer.
        rows: all rows that training and validation will read.
        prefix: tokens that all of them share at their start.
        folder: scratch folder that survives a kill.
        progress: called as `progress(batches, total=...)`, yields the batches (an `Events.track` with its words).
        exact: in the type of the model's weights; else in bfloat16, half the room for float32 weights.
        digests: of the model and the tokeniser; states that were made with others are made anew.

    Returns:
        The states and "", or None and the reason in words why they are not kept.
    """
    if trunk.border == 0:
        return None, "no layer below the trained ones is frozen"
    weight = next(trunk.model.parameters())
    shape = int(trunk.model.config.get_text_config().hidden_size), weight.dtype if exact else torch.bfloat16
    need = _ends(rows, prefix)[-1] * shape[0] * shape[1].itemsize
    folder.mkdir(parents=True, exist_ok=True)
    path, seal = folder / "states.bin", folder / "states.json"
    about = {
        "bytes": need,
        "border": trunk.border,
        "prefix": prefix,
        "rows": ids.content_id("rows", [[row.id, row.part, row.read] for row in rows]),
        **(digests or {}),
    }
    if not _whole(path, seal, about):
        free = shutil.disk_usage(folder).free
        if need > DISK_SHARE * free:
            return None, f"the states take {need / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free"
        seal.unlink(missing_ok=True)
        _write(path, _batches(trunk, rows, prefix, progress, shape[1]), rows, prefix)
        files.write_json(seal, {**about, "sha256": ids.digest_file(path)})
    return BorderStates(path, rows, prefix, shape, weight.dtype), ""


def _whole(path: Path, seal: Path, about: dict[str, Any]) -> bool:
    """Whether `path` holds exactly the states that were sealed, for these rows and this border."""
    if not path.is_file() or not seal.is_file():
        return False
    try:
        sealed = files.read_json(seal)
    except Exception:
        return False
    return bool(sealed == {**about, "sha256": ids.digest_file(path)})


def _batches(
    trunk: Trunk, rows: Sequence[Row], prefix: int, progress: Any, dtype: torch.dtype
) -> Iterator[tuple[Batch, Tensor]]:
    cut = micro_batch_numbers(rows, range(len(rows)), prefix, BATCH_TOKENS)
    device = next(trunk.model.parameters()).device
    for numbers in progress(cut, total=len(cut)):
        batch = make_batch(rows, numbers, prefix)
        yield batch, trunk.bottom(batch.ids.to(device), batch.layout)[0].to("cpu", dtype)


def _write(path: Path, batches: Iterator[tuple[Batch, Tensor]], rows: Sequence[Row], prefix: int) -> None:
    ends = _ends(rows, prefix)
    with path.open("wb") as file:
        for position, (batch, states) in enumerate(batches):
            width = states.shape[1] * states.element_size()
            if position == 0:
                file.write(_bytes(states[:prefix]))
            for number, start, length in zip(batch.rows, batch.layout.starts, batch.layout.lengths, strict=True):
                file.seek(ends[number] * width)
                file.write(_bytes(states[start : start + length]))
    files.fsync_path(path)


def _ends(rows: Sequence[Row], prefix: int) -> list[int]:
    """Number of states before each row's own, and after the last."""
    return list(itertools.accumulate((len(row.read) - prefix for row in rows), initial=prefix))


def _bytes(states: Tensor) -> bytes:
    return bytes(states.contiguous().view(torch.uint8).numpy().tobytes())
