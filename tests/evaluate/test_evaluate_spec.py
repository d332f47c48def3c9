"""The section of the project file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from evaluate_fakes import profile_of

from tunesmith.core.spec import Use
from tunesmith.evaluate.asking import token_limit
from tunesmith.evaluate.spec import (
    MEASURES,
    EvaluateSpec,
    FairnessSpec,
    PowerSpec,
    RetentionSpec,
    check,
    measures,
    outside,
)


def test_all_wrong_components_are_told_at_once() -> None:
    spec = EvaluateSpec(metrics=[Use(use="acuracy"), Use(use="f1", off="x")], scorers=[Use(use="ruge")])
    found = check(spec, Path())
    assert [(p.code, p.path) for p in found] == [
        ("unknown-component", "evaluate.metrics[0]"),
        ("unknown-key", "evaluate.metrics[1].off"),
        ("unknown-component", "evaluate.scorers[0]"),
    ]
    assert "accuracy" in found[0].hint


def test_files_that_are_not_there_are_told_with_their_place(tmp_path: Path) -> None:
    """And their digests are part of what a run rests on."""
    (tmp_path / "age.jsonl").write_text("{}")
    spec = EvaluateSpec(
        fairness=FairnessSpec(bbq=["age.jsonl", "race.jsonl"], swaps="../own.json"), other_seeds=["run-1"]
    )
    found = check(spec, tmp_path)
    assert [(p.code, p.path) for p in found] == [
        ("missing-file", "evaluate.fairness.bbq[1]"),
        ("missing-file", "evaluate.other_seeds[0]"),
        ("path-outside", "evaluate.fairness.swaps"),
    ]
    digests = outside(EvaluateSpec(fairness=FairnessSpec(bbq=["age.jsonl", "race.jsonl"])), tmp_path)
    assert len(digests["age.jsonl"]) == 64 and digests["race.jsonl"] == ""


def test_every_field_is_explained_and_what_belongs_together_is_a_section_of_its_own() -> None:
    assert len(EvaluateSpec.model_fields) <= 18
    sections = (EvaluateSpec, PowerSpec, FairnessSpec, RetentionSpec)
    assert all(field.description for section in sections for field in section.model_fields.values())


def test_measures_follow_task_and_settings() -> None:
    """Without labels nothing that needs them; without the suite no retention; without terms no terminology."""
    none = EvaluateSpec(retention={"items": 0, "passages": 0}, latency_rows=0)
    assert set(measures(none, "generation")) == {"rouge_l", "bleu", "exact_match", "valid_output", "tokens_per_second"}
    full = measures(EvaluateSpec(), "classification", ["a", "b"], terms=["t"])
    assert {"accuracy", "f1", "retention", "latency_p95_ms", "calibration_error", "terminology"} <= set(full)
    assert full["latency_p95_ms"].higher_is_better is False
    assert set(full) <= set(MEASURES)


def test_asking_for_the_measures_takes_no_heavy_library() -> None:
    """The project file is checked without numpy, scipy, scikit-learn, plotly or torch."""
    code = (
        "import sys; from tunesmith.evaluate.spec import EvaluateSpec, measures;"
        "measures(EvaluateSpec(), 'generation');"
        "print([m for m in ('numpy', 'scipy', 'sklearn', 'plotly', 'torch', 'pyarrow') if m in sys.modules])"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(source)})
    assert ran.stdout.strip() == "[]", ran.stderr


def test_no_label_is_cut_by_the_default_length() -> None:
    """Forty letters at two letters a token need 20 tokens and an end; Chinese characters may take two tokens each."""
    assert token_limit(EvaluateSpec(), profile_of(labels=("x" * 40, "y"))) == 28
    assert token_limit(EvaluateSpec(), profile_of(labels=("肺炎",))) == 12
    assert token_limit(EvaluateSpec(), profile_of(labels=())) == 256
    assert token_limit(EvaluateSpec(at_most_tokens=5), profile_of()) == 5
