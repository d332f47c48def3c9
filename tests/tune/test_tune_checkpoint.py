"""Checkpoints: two are kept, every altered bit is noticed, what could not be used is told."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tunesmith.core import files
from tunesmith.tune.checkpoint import Keeper, Saved


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


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "digests.json"])
def test_a_flipped_bit_anywhere_is_noticed_and_the_one_before_is_used(tmp_path: Path, name: str) -> None:
    """Every 7th byte of each file and 20 random ones, one random bit each."""
    kept, told = keeper(tmp_path)
    kept.save(1, saved(1))
    kept.save(2, saved(2))
    file, chance = tmp_path / "step-00000002" / name, random.Random(0)
    good = file.read_bytes()
    places = [*range(0, len(good), 7), *(chance.randrange(len(good)) for _ in range(20))]
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << chance.randrange(8)
        file.write_bytes(bytes(bad))
        loaded = kept.load()
        assert loaded is not None
        assert len(loaded.state["points"]) == 1 or _same_json(good, bytes(bad)), place
    assert any("step-00000002 is damaged" in text for text in told)


def _same_json(one: bytes, other: bytes) -> bool:
    """Whether both are the same JSON value: a space that became another kind of space says nothing wrong."""
    import json

    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


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
        "checkpoint step-00000002 is damaged (tensors.safetensors differs from its digest); the one before it is used"
    ]


def test_a_missing_file_is_noticed(tmp_path: Path) -> None:
    kept, told = keeper(tmp_path)
    kept.save(1, saved(1))
    for name in ("state.json", "digests.json"):
        (tmp_path / "step-00000001" / name).unlink()
        assert kept.load() is None
    assert len(told) == 2


def test_a_failure_at_any_single_call_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write, sync and rename of one checkpoint fails in turn; what is loaded then is step 1 or step 2, whole."""
    calls, failing = 0, 0

    def counted(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == failing:
                raise OSError(5, "Input/output error")
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr("safetensors.torch.save_file", counted(safetensors.torch.save_file))
    monkeypatch.setattr("tunesmith.core.files.write_bytes", counted(files.write_bytes))
    monkeypatch.setattr("tunesmith.core.files.fsync_path", counted(files.fsync_path))
    monkeypatch.setattr(Path, "rename", counted(Path.rename))
    failed = 0
    for position in range(1, 100):
        kept, told = keeper(tmp_path / str(position))
        failing = 0
        kept.save(1, saved(1))
        calls, failing = 0, position
        try:
            kept.save(2, saved(2))
        except OSError:
            failed += 1
        failing = 0
        loaded = kept.load()
        assert loaded is not None and not told, position
        step = len(loaded.state["points"])
        assert step in (1, 2) and torch.equal(loaded.tensors["weight/a"], saved(step).tensors["weight/a"]), position
        if calls < position:
            break
    assert failed == position - 1 >= 8


def test_a_failing_disk_leaves_the_older_checkpoint_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, told = keeper(tmp_path)
    kept.save(1, saved(1))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space"):
        kept.save(2, saved(2))
    loaded = kept.load()
    assert loaded is not None and len(loaded.state["points"]) == 1 and not told
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-00000001"]
