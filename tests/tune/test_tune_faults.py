"""Every call by which a checkpoint reaches the disk fails once, or is the last before the power goes off."""

from __future__ import annotations

import contextlib
import errno
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tune_disk import Act, Call, Memory, fail, short, watched

from tunesmith.tune.checkpoint import Keeper, Saved

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, which only Linux has")


def saved(step: int) -> Saved:
    """A few tensors of several types, one of them larger than a buffer, so that it takes writes of its own."""
    tensors = {
        "weight/a": torch.arange(6.0).view(2, 3) * step,
        "exp_avg/a": torch.full((100, 100), 1.5 * step),
        "step/a": torch.tensor(float(step)),
        "random/cpu": torch.tensor([step, 7], dtype=torch.uint8),
    }
    return Saved(tensors, {"points": [{"loss": 1 / (k + 3)} for k in range(step)], "seconds": 0.5})


def keeper(folder: Path) -> tuple[Keeper, list[str]]:
    told: list[str] = []
    return Keeper(folder, told.append), told


def step_of(loaded: Saved | None) -> int:
    """The step of a checkpoint that is bit for bit what was saved after it; anything else fails the test."""
    assert loaded is not None
    step = len(loaded.state["points"])
    meant = saved(step)
    assert loaded.state == meant.state and loaded.tensors.keys() == meant.tensors.keys()
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in meant.tensors.items())
    return step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with the checkpoints of steps 1 and 2: writing a third one also removes the first."""
    folder = tmp_path / "two"
    kept, _ = keeper(folder)
    kept.save(1, saved(1))
    kept.save(2, saved(2))
    return folder


def calls_of_a_save(two: Path) -> list[Call]:
    """What one save does: the record of the third one, made in a copy."""
    copy = two.with_name("counted")
    shutil.copytree(two, copy)
    with watched() as calls:
        keeper(copy)[0].save(3, saved(3))
    kinds = [call.kind for call in calls]
    # Its folder; 3 files; fsync of each, of the tensors twice, of 2 folders.
    assert {kind: kinds.count(kind) for kind in ("mkdir", "open", "fsync", "rename")} == {
        "mkdir": 1, "open": 3, "fsync": 6, "rename": 1,
    }  # fmt: skip
    assert kinds.count("write") >= 4, "the large tensor is written apart from the header"
    assert (kinds.count("unlink"), kinds.count("rmdir")) == (3, 1), "the oldest checkpoint goes"
    return calls


def all_faults(calls: list[Call]) -> Iterator[tuple[str, int, Act]]:
    for number, call in enumerate(calls, 1):
        for code in (errno.ENOSPC, errno.EIO):
            yield f"{call.kind} {number} fails with {errno.errorcode[code]}", number, fail(number, code)
        if call.kind == "write":
            yield f"write {number} is torn", number, fail(number, errno.EIO, half=True)
            yield f"write {number} is short", number, short(number)


def test_one_failing_call_never_costs_a_checkpoint_and_leaves_nothing_half_written(two: Path) -> None:
    """Every position, every fault: what loads next is step 2 or 3, whole, unasked-for files are gone, and the next
    save succeeds. A failure before the rename leaves step 2; once the new one stands, the failure costs nothing."""
    calls, raised, tried = calls_of_a_save(two), 0, 0
    renamed = [call.kind for call in calls].index("rename") + 1
    for what, number, act in all_faults(calls):
        folder = two.with_name(f"fault-{tried}")
        shutil.copytree(two, folder)
        kept, told = keeper(folder)
        tried += 1
        try:
            with watched(act) as made:
                kept.save(3, saved(3))
        except OSError:
            raised += 1
            if number <= renamed:
                assert names(folder) == ["step-00000001", "step-00000002"], what
        assert len(made) >= number, f"{what}: the call was never reached"
        assert all(name.startswith("step-") for name in names(folder)), what
        assert step_of(kept.load()) == (2 if number <= renamed else 3), what
        kept.save(4, saved(4))
        assert step_of(kept.load()) == 4 and len(names(folder)) == 2 and not told, what
    assert tried > 2 * len(calls) > 30
    assert raised == tried - 2 * 4, "only removing the oldest checkpoint, 3 files and a folder, fails without a word"


def test_a_disk_that_fails_from_some_call_on_leaves_the_last_good_checkpoint(two: Path) -> None:
    """Cleaning up fails as well, so half-written files stay, until the next load or save sweeps them away."""
    calls, left = calls_of_a_save(two), 0
    for number in range(1, len(calls) + 1):
        folder = two.with_name(f"dead-{number}")
        shutil.copytree(two, folder)
        kept, told = keeper(folder)
        with watched(fail(number, errno.EIO, on=True)), contextlib.suppress(OSError):
            kept.save(3, saved(3))
        left += any(name.startswith(".") for name in names(folder))
        mended, more = keeper(folder)
        if number % 2:
            assert step_of(mended.load()) in (2, 3), number
            assert all(name.startswith("step-") for name in names(folder)), number
        mended.save(4, saved(4))
        assert len(names(folder)) == 2 and all(name.startswith("step-") for name in names(folder)), number
        assert step_of(mended.load()) == 4 and not told + more, number
    assert left > 5


def test_a_file_cut_off_by_the_system_at_any_byte_is_never_taken_for_a_checkpoint(tmp_path: Path) -> None:
    """The system itself refuses to write files beyond a size, for every 16th size up to that of the largest file."""
    import resource

    kept, told = keeper(tmp_path)
    small = Saved({"a": torch.arange(100.0)}, {"points": [1]})
    kept.save(1, small)
    largest = (tmp_path / "step-00000001" / "tensors.safetensors").stat().st_size
    assert largest > 400
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in range(0, largest, 16):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                kept.save(2, small)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert names(tmp_path) == ["step-00000001"], size
    loaded = kept.load()
    assert loaded is not None and torch.equal(loaded.tensors["a"], small.tensors["a"]) and not told


def crash_everywhere(disk: Memory, calls: list[Call], target: Path) -> Iterator[tuple[bool, str, int]]:
    """The power goes off after each call of a save into the folder `steps` of the disk.

    Yields:
        Whether the save had returned by then, the name of the state, and the step that loads: whole, or 0 for none.
    """
    for number, call in enumerate(calls, 1):
        disk.apply(call)
        for name, root in disk.after_a_crash(target / str(number)):
            loaded = keeper(root / "steps")[0].load()
            if loaded:
                assert all(found.startswith("step-") for found in names(root / "steps")), (number, name)
            yield number == len(calls), name, step_of(loaded) if loaded else 0


def recorded(tmp_path: Path, *, before: int) -> tuple[Memory, list[Call]]:
    """A disk with `before` checkpoints in `steps`, and the calls of the next save there."""
    folder = tmp_path / "disk" / "steps"
    folder.parent.mkdir()
    kept, _ = keeper(folder)
    for step in range(1, before + 1):
        kept.save(step, saved(step))
    disk = Memory(folder.parent)
    with watched() as calls:
        kept.save(before + 1, saved(before + 1))
    return disk, calls


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_power_cut_after_any_call_leaves_a_whole_checkpoint(tmp_path: Path, before: int) -> None:
    """Unsynced bytes lost, torn, zeroed or kept, unsynced names lost or kept: eight states after each call. The older
    checkpoint or the new one loads, the new one always once it was saved; also the first one of a new folder."""
    disk, calls = recorded(tmp_path, before=before)
    found = list(crash_everywhere(disk, calls, tmp_path / "crash"))
    assert len(found) == 8 * len(calls) > 100
    assert {step for _, _, step in found} == {before, before + 1}
    assert {step for returned, _, step in found if returned} == {before + 1}


@pytest.mark.parametrize("forgotten", ["tensors.safetensors", "state.json", "digests.json", "steps", "disk"])
def test_without_one_of_the_syncs_a_power_cut_could_cost_a_checkpoint(tmp_path: Path, forgotten: str) -> None:
    """The test above can fail: were a file, or a folder that holds a new name, never synced, the first checkpoint
    could be lost after it was saved; it would be noticed."""
    disk, calls = recorded(tmp_path, before=0)
    kept = [call for call in calls if call.kind != "fsync" or call.path.name != forgotten]
    assert len(kept) == len(calls) - (2 if forgotten == "tensors.safetensors" else 1)
    found = list(crash_everywhere(disk, kept, tmp_path / "crash"))
    assert {step for returned, _, step in found if returned} == {0, 1}


# -- flipped bits ---------------------------------------------------------------------------------------


def flip_bits(two: Path, count: int) -> dict[str, int]:
    """Flip `count` random bits, one at a time, each noticed and step 1 used; number of them in each part of step 2."""
    kept, told = keeper(two)
    chance, parts = random.Random(count), parts_of(two / "step-00000002")
    done = dict.fromkeys(parts, 0)
    for number in range(count):
        part = [*parts][number % len(parts)]
        path, begin, end = parts[part]
        place, bit = chance.randrange(begin, end), 1 << chance.randrange(8)
        _flip(path, place, bit)
        told.clear()
        assert step_of(kept.load()) == 1, (part, place, bit)
        (text,) = told
        assert text.startswith("checkpoint step-00000002 is ") and text.endswith(
            "the training goes on from step-00000001"
        )
        _flip(path, place, bit)
        done[part] += 1
    assert step_of(kept.load()) == 2
    return done


def parts_of(folder: Path) -> dict[str, tuple[Path, int, int]]:
    """Name -> file, first and last byte: the JSON files, and length, header and body of the tensors."""
    tensors = folder / "tensors.safetensors"
    data = tensors.read_bytes()
    body = 8 + int.from_bytes(data[:8], "little")
    parts = {"length": (tensors, 0, 8), "header": (tensors, 8, body), "body": (tensors, body, len(data))}
    return parts | {name: (folder / name, 0, (folder / name).stat().st_size) for name in ("state.json", "digests.json")}


def _flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ bit]))


def test_a_flipped_bit_is_noticed(two: Path) -> None:
    assert set(flip_bits(two, 400).values()) == {80}


@pytest.mark.slow
def test_ten_thousand_flipped_bits_are_noticed(two: Path) -> None:
    assert set(flip_bits(two, 10_000).values()) == {2000}


def test_a_bit_of_every_byte_of_the_digests_is_noticed(two: Path) -> None:
    """The one file that has no digest of its own; of byte n bit n modulo 8."""
    kept, told = keeper(two)
    path = two / "step-00000002" / "digests.json"
    places = range(path.stat().st_size)
    for place in places:
        _flip(path, place, 1 << place % 8)
        assert step_of(kept.load()) == 1, place
        _flip(path, place, 1 << place % 8)
    assert len(told) == len(places) > 200


def test_digests_that_say_the_same_in_other_bytes_are_noticed(two: Path) -> None:
    """Nobody but the writer makes digests.json, so even a changed space is a sign that something was there."""
    kept, told = keeper(two)
    path = two / "step-00000002" / "digests.json"
    value = json.loads(path.read_bytes())
    for text in (json.dumps(value), json.dumps({**value, "format": 1.0}, indent=2) + "\n", json.dumps(value, indent=2)):
        path.write_text(text)
        assert step_of(kept.load()) == 1
    damaged = "is damaged (digests.json differs from its digest)"
    assert told == [f"checkpoint step-00000002 {damaged}; the training goes on from step-00000001"] * 3
