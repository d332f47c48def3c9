"""The data benchmark: its texts, what takes part, and that our driver does what it says."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH = [f"The number {n} of this list is a sentence of its own, and says so." for n in range(60)]
CHINESE = [f"第{n}句话是为这个测试写的，没有别的意思，也不会再出现一次。" for n in range(20)]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The benchmark's modules, with sources of this test's own."""
    monkeypatch.syspath_prepend(ROOT)
    found = SimpleNamespace(
        **{name.strip("_"): importlib.import_module(f"bench.{name}") for name in ("_texts", "data")}
    )
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"x": s}) + "\n" for s in ENGLISH), encoding="utf-8")
    (tmp_path / "b.json").write_text(json.dumps([{"y": [CHINESE]}], ensure_ascii=False), encoding="utf-8")
    monkeypatch.setattr(found.texts, "SHARED", tmp_path)
    monkeypatch.setattr(found.texts, "FILES", ("a.jsonl", "b.json", "absent.json"))
    return found


def test_texts_are_the_same_every_time_and_of_the_size_asked_for(bench: Any, tmp_path: Path) -> None:
    """0.05 MB: the last document may go beyond it, by its own length at most."""
    told = bench.texts.write(tmp_path / "one", 0.05)
    bench.texts.write(tmp_path / "two", 0.05)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    rows = [json.loads(line) for line in (tmp_path / "one").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == list(range(len(rows)))
    size = sum(len(row["text"].encode()) for row in rows)
    assert 50_000 <= size < 54_000
    assert told == f"0.05 MB: {len(rows)} documents of sentences of 2 files of ../shared/data"
    assert 0.02 < sum("第" in row["text"] for row in rows) / len(rows) < 0.25


def test_what_takes_part(bench: Any) -> None:
    known = {"read": {"tunesmith": 1, "datatrove": 2, "data-juicer": 3}, "poisoned": {"tunesmith": 4}}
    assert bench.data.chosen_work(known, ()) == known
    assert bench.data.chosen_work(known, ("pois",)) == {"poisoned": {"tunesmith": 4}}
    trove = {"read": {"tunesmith": 1, "datatrove": 2}, "poisoned": {"tunesmith": 4}}
    assert bench.data.chosen_work(known, ("trove",)) == trove
    with pytest.raises(SystemExit, match="there are read, poisoned"):
        bench.data.chosen_work(known, ("nobody",))


def test_every_work_is_known_to_the_peers_that_it_names(bench: Any) -> None:
    told = json.loads(bench.data.WORK.read_text(encoding="utf-8"))
    assert all("tunesmith" in work and set(work) <= set(told["peers"]) for work in told["work"].values())
    drivers = {peer["driver"] for peer in told["peers"].values()}
    assert all((ROOT / "bench" / "drivers" / f"{driver}.py").is_file() for driver in drivers)


def test_our_driver_reads_merges_copies_and_writes(bench: Any, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    bench.texts.write(work / "texts.jsonl", 0.02)
    line = json.loads(bench.data.WORK.read_text(encoding="utf-8"))["work"]["near copies"]["tunesmith"]
    job = {"texts": str(work / "texts.jsonl"), "folder": str(work), "settings": line}
    (tmp_path / "job").write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-m", "bench.drivers.texts_ours", str(tmp_path / "job"), str(tmp_path / "result")]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, check=True, timeout=300)
    result = json.loads((tmp_path / "result").read_text(encoding="utf-8"))
    documents = len((work / "texts.jsonl").read_text(encoding="utf-8").splitlines())
    assert 0 < result["left"] < documents
    assert result["peak_mb"] > 50 and result["cpu_s"] > 0
