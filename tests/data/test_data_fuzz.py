"""Valid files of every format with a few bytes changed: whatever comes of them, their neighbours are read as ever."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import pytest
from document_fakes import mutated, valid_files

from tunesmith.core.types import Drop, Example
from tunesmith.data.read.documents import Documents

FILES = valid_files()
BATCH = 100


def read_mutants(root: Path, *, seed: int, files: int) -> int:
    """Read so many mutants, in folders of a hundred with a good file after every tenth; the number of rows dropped."""
    draw = random.Random(seed)
    names = sorted(FILES)
    dropped = 0
    for batch in range(0, files, BATCH):
        folder = root / f"in-{batch}"
        folder.mkdir()
        for i in range(batch, min(files, batch + BATCH)):
            name = names[i % len(names)]
            suffix = name.partition(".")[2]
            (folder / f"{i:06d}.{suffix}").write_bytes(mutated(FILES[name], draw))
            if i % 10 == 9:
                (folder / f"{i:06d}.txt.good.txt").write_text(f"good words {i}", encoding="utf-8")
        items = list(Documents(folder.name).read(root, ()))
        assert all(isinstance(item, Example | Drop) for item in items)
        good = [item for item in items if item.place.endswith("good.txt")]
        told = [item.text for item in good if isinstance(item, Example)]
        assert told == [f"good words {i}" for i in range(batch, min(files, batch + BATCH)) if i % 10 == 9]
        dropped += sum(isinstance(item, Drop) for item in items)
        for item in items:
            item.model_dump_json().encode("utf-8")
        for path in folder.iterdir():
            path.unlink()
    return dropped


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_valid(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    items = list(Documents(name).read(tmp_path, ()))
    assert items and all(isinstance(item, Example) for item in items), items


def test_three_hundred_mutants(tmp_path: Path) -> None:
    """A third and more of them must have been hurt by it, else this test looks at nothing."""
    assert read_mutants(tmp_path, seed=1, files=300) > 60


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_a_hundred_thousand_mutants(seed: int, tmp_path: Path) -> None:
    assert read_mutants(tmp_path, seed=100 + seed, files=1000) > 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2_000_000  # kB, of the whole test process
