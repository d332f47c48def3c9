"""Checkpoints: two are kept, every altered bit is noticed, what could not be used is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tunesmith.core import files, ids
from tunesmith.tune.checkpoint import FORMAT, Keeper, Saved
from tunesmith.tune.tensor_file import write_tensors

TYPES = (
    *(torch.float64, torch.float32, torch.bfloat16, torch.float16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)


def saved(step: int) -> Saved:
    tensors = {"weight/a": torch.arange(6.0).view(2, 3) * step, "random/cpu": torch.tensor([step], dtype=torch.uint8)}
    return Saved(tensors, {"points": [{"loss": 1 / (k + 3)} for k in range(step)], "seconds": 0.5})


def keeper(folder: Path) -> tuple[Keeper, list[str]]:
    told: list[str] = []
    return Keeper(folder, told.append), told


def test_what_is_loaded_is_what_was_saved_bit_for_bit(tmp_path: Path) -> None:
    kept, told = keeper(tmp_path)
    assert kept.load() is None
    kept.save(3, saved(3))
    loaded = kept.load()
    assert loaded is not None and not told
    assert loaded.state == saved(3).state
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in saved(3).tensors.items())


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    kept, _ = keeper(tmp_path)
    for step in (9, 10, 11):
        kept.save(step, saved(step))
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["step-00000010", "step-00000011"]


def test_what_a_killed_run_did_not_come_to_remove_is_removed_by_the_next(tmp_path: Path) -> None:
    """Killed between the writing of step 11 and the removal of step 9; one that is damaged does not count as kept."""
    kept, told = keeper(tmp_path)
    for step in (8, 9, 10, 11):
        kept.save(step, saved(step))
        (tmp_path / f"step-{step:08d}").rename(tmp_path / f"kept-{step}")
    for step in (8, 9, 10, 11):
        (tmp_path / f"kept-{step}").rename(tmp_path / f"step-{step:08d}")
    (tmp_path / "step-00000011" / "state.json").write_text("{}")
    loaded = kept.load()
    assert loaded is not None and len(loaded.state["points"]) == 10 and len(told) == 1
    assert sorted(folder.name[-2:] for folder in tmp_path.iterdir()) == ["09", "10", "11"]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_torn_file_is_noticed(tmp_path: Path, share: float) -> None:
    kept, told = keeper(tmp_path)
    kept.save(1, saved(1))
    kept.save(2, saved(2))
    file = tmp_path / "step-00000002" / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    loaded = kept.load()
    assert loaded is not None and len(loaded.state["points"]) == 1
    assert told == [
        "checkpoint step-00000002 is damaged (tensors.safetensors differs from its digest); "
        "the training goes on from step-00000001"
    ]


def test_a_missing_file_is_noticed(tmp_path: Path) -> None:
    kept, told = keeper(tmp_path)
    kept.save(1, saved(1))
    for name in ("state.json", "digests.json"):
        (tmp_path / "step-00000001" / name).unlink()
        assert kept.load() is None
    assert len(told) == 2


def test_the_library_reads_the_tensors_and_their_digest_is_that_of_the_file(tmp_path: Path) -> None:
    """One tensor of every type, one without axes, one that lies across memory, one that is empty, names in Unicode."""
    tensors = {f"{kind}/weight": torch.tensor([0, 1, 0, 1]).to(kind) for kind in TYPES}
    tensors |= {'é中"/scalar': torch.tensor(2.5), "across": torch.arange(6.0).view(2, 3).T, "empty": torch.zeros(0, 4)}
    path = tmp_path / "tensors.safetensors"
    assert write_tensors(path, tensors) == ids.digest_file(path)
    read = safetensors.torch.load_file(path)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in tensors.items())
    with pytest.raises(ValueError, match=r"no type of safetensors: torch\.complex128"):
        write_tensors(tmp_path / "other", {"a": torch.zeros(1, dtype=torch.complex128)})


def test_where_every_checkpoint_is_damaged_the_training_starts_anew_and_its_own_are_kept(tmp_path: Path) -> None:
    """Both of steps 8 and 9 are told; the new checkpoint of step 1 takes their place."""
    kept, told = keeper(tmp_path)
    for step in (8, 9):
        kept.save(step, saved(step))
        (tmp_path / f"step-{step:08d}" / "state.json").write_bytes(b"{}")
    assert kept.load() is None
    damaged = "is damaged (state.json differs from its digest); the training starts anew"
    assert told == [f"checkpoint step-00000009 {damaged}", f"checkpoint step-00000008 {damaged}"]
    kept.save(1, saved(1))
    loaded = kept.load()
    assert loaded is not None and len(loaded.state["points"]) == 1 and len(told) == 2
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-00000001"]


def test_a_training_that_went_back_leaves_nothing_of_what_it_gave_up(tmp_path: Path) -> None:
    kept, _ = keeper(tmp_path)
    for step in (10, 20, 15):
        kept.save(step, saved(step))
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["step-00000010", "step-00000015"]


@pytest.mark.parametrize("number", [None, 0, 2, "1"])
def test_a_checkpoint_of_another_format_is_refused_and_not_read(tmp_path: Path, number: object) -> None:
    """None: digests.json as it was before formats had numbers, a plain list of digests."""
    kept, told = keeper(tmp_path)
    kept.save(3, saved(3))
    path = tmp_path / "step-00000003" / "digests.json"
    digests = json.loads(path.read_bytes())
    assert digests["format"] == FORMAT == 1
    path.write_bytes(files.json_bytes(digests["sha256"] if number is None else {**digests, "format": number}))
    assert kept.load() is None
    assert told == [
        f"checkpoint step-00000003 is of format {number or 0} and this tunesmith reads format 1 (to go on from it, "
        "stop and run the version that wrote it, before this one writes its own); the training starts anew"
    ]


@pytest.mark.parametrize("text", ["", "[]", "7", '{"sha256": 3}', "[" * 100_000, "\x00"])
def test_digests_that_are_none_are_damage(tmp_path: Path, text: str) -> None:
    kept, told = keeper(tmp_path)
    kept.save(3, saved(3))
    (tmp_path / "step-00000003" / "digests.json").write_text(text)
    assert kept.load() is None
    assert told == [
        "checkpoint step-00000003 is damaged (digests.json is not a list of digests); the training starts anew"
    ]
