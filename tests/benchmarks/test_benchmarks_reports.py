"""The rows and project files of `./dev bench reports`."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / ".." / "shared" / "data"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of `bench` that need no training."""
    monkeypatch.syspath_prepend(ROOT)
    return SimpleNamespace(raw=importlib.import_module("bench._raw"), reports=importlib.import_module("bench.reports"))


def test_codes_become_words_that_mean_the_same(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A11 is an overdrawn account, A92 a woman, 22 years are young, 2 is a bad risk (UCI's documentation)."""
    line = "A11 48 A32 A43 5951 A61 A73 2 A92 A101 2 A121 22 A143 A152 1 A173 1 A191 A201 2"
    (tmp_path / "german_credit").mkdir()
    (tmp_path / "german_credit" / "german.data").write_text(f"{line}\n", encoding="utf-8")
    monkeypatch.setattr(bench.raw, "DATA", tmp_path)
    (row,) = bench.raw.credit()
    assert (row["account"], row["months"], row["purpose"]) == ("overdrawn", "48", "radio or television")
    assert (row["sex"], row["person"], row["age_group"], row["risk"]) == ("female", "woman", "younger", "bad")


def test_an_answer_is_of_the_kind_that_it_speaks_of_first(bench: Any) -> None:
    assert bench.raw.kind_of("应该去骨科或外科就诊。") == "科室"
    assert bench.raw.kind_of("该患者可能患有新生儿低血糖症。") == "诊断"
    assert bench.raw.kind_of("可能患有腺病，建议进行检查。") == "诊断"
    assert bench.raw.kind_of("先做检查，再考虑治疗。") == "检查"
    assert bench.raw.kind_of("不清楚。") is None


def test_figures_and_verdicts_are_read_from_what_show_tells(bench: Any) -> None:
    """Measures over all rows of the asked model only; reasons that passed are not told."""
    measure = {"name": "f1", "model": "expert", "slice": "all", "value": 0.5}
    others = [{**measure, "model": "base"}, {**measure, "slice": "sex=male"}, {**measure, "name": "bleu"}]
    reasons = [{"verdict": "passed", "message": "fine"}, {"verdict": "failed", "message": "f1 0.5"}]
    shown = {"measures": [measure, *others], "gates": [{"gate": "G3", "verdict": "failed", "reasons": reasons}]}
    assert bench.reports.figures(shown, "expert") == {"f1": 0.5}
    assert list(bench.reports.verdicts(shown)) == ["  G3 failed", "    failed: f1 0.5"]


@pytest.mark.skipif(not DATA.is_dir(), reason="the raw data of ../shared/data are not here")
@pytest.mark.parametrize("name", ["credit", "pubmedqa", "chinese"])
def test_every_project_is_one_that_the_program_takes(bench: Any, tmp_path: Path, name: str) -> None:
    """Made from the raw data: no problem in the file, and attacks, memory and canaries are asked for."""
    from tunesmith.project.file import load

    bench.reports.make(name, tmp_path / name)
    (tmp_path / name / "start.yaml").rename(tmp_path / name / "tunesmith.yaml")
    project = load(tmp_path / name)
    assert project.spec.evaluate.safety.attacks.use and project.spec.evaluate.safety.memory.rows
    assert any(source.use == "canaries" for source in project.spec.data.sources)
    capped = project.spec.data.model_fields_set & {"at_most_rows"}
    assert not capped or len(bench.reports.KNOWN[name].seeds) == 1, "which rows are left out depends on the seed"
