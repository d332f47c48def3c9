"""SmolLM2 from a project file to shipped forms, and what it loses under attack: the whole way on real weights."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from project_fakes import settings, table_rows, write_csv, write_settings
from tunesmith.app.workshop import Workshop
from tunesmith.core.events import Events
from tunesmith.models import catalog
from tunesmith.models.load import at_hand, resolve
from tunesmith.models.spec import ModelSpec

pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.filterwarnings("ignore")]

MODEL = "smollm2-135m-instruct"
ATTACKS = ("typos", "letter_case", "distraction")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Ten steps of training on 24 rows and two canaries, then the evaluation with attacks and memory on ten rows."""
    if not at_hand(catalog.lookup(MODEL)):
        pytest.skip(f"needs SmolLM2-135M-Instruct on this disk: tunesmith fetch {MODEL}")
    whole = settings(model={"use": MODEL})
    whole["data"]["sources"].append({"use": "canaries", "number": 2, "seed": 1})
    whole["data"]["limits"] = {"test_rows": 10}
    whole["tune"] |= {"learning_rate": 2e-3, "epochs": 5, "rows_per_step": 13, "strategy": {"use": "lora", "rank": 4}}
    attacks = {"use": [{"use": name, "queries": 6} for name in ATTACKS], "rows": 10}
    safety = {"attacks": attacks, "memory": {"rows": 10, "extract": 3}}
    whole["evaluate"] |= {"likelihood_rows": 10, "retention": {"items": 0, "passages": 0}, "safety": safety}
    whole["profile"]["targets"] = whole["profile"]["targets"][:2]
    folder = tmp_path_factory.mktemp("real") / "colours"
    write_csv(folder / "rows.csv", table_rows(40))
    write_settings(folder, whole)
    return Workshop().run(folder, keep_going=True)


def test_a_gguf_of_the_real_model_is_the_measured_expert(told: dict[str, Any], tmp_path: Path) -> None:
    """Merged and quantised by likelihoods, and where its binding is installed in llama.cpp by answers: G5 passes.

    The file names the split of the tokeniser that was trained with. transformers unpacks a GGUF of SmolLM2 without the
    step that splits digits (its vocabulary has no token of two, so the ids are the same): then that is GPT-2's.
    """
    import gguf

    folder = Workshop().export(Path(told["folder"]), tmp_path / "out", form="gguf-q8_0")
    verdict = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
    forms = {"merged", "quantised"}
    if importlib.util.find_spec("xllamacpp") is not None:
        forms.add("quantised, in llama.cpp")
    weights = {r["evidence"]["form"]: r for r in verdict["reasons"] if r["code"] == "parity-weights"}
    assert verdict["verdict"] == "passed" and set(weights) == forms
    assert weights["merged"]["evidence"]["nats"] < 1e-3 and weights["quantised"]["evidence"]["nats"] < 0.05
    field = gguf.GGUFReader(str(folder / "model.gguf")).fields["tokenizer.ggml.pre"]
    base = resolve(ModelSpec(use=MODEL), tmp_path, Events()).path
    split = json.loads((base / "tokenizer.json").read_text("utf-8"))["pre_tokenizer"]["type"]
    assert bytes(field.parts[field.data[0]]).decode() == {"Sequence": "smollm", "ByteLevel": "gpt-2"}[split]


def test_attacks_and_memory_on_the_real_model_are_measured(told: dict[str, Any]) -> None:
    """Every named attack has its figure, or says that no row was right; what the figures are is for docs/lab.md."""
    measures = {(m["name"], m["slice"]): m for m in told["measures"] if m["model"] == "expert"}
    for key, measure in measures.items():
        if key[0] in ("attack_success", "robust_accuracy", "membership_auc", "canaries_memorised", "rows_extracted"):
            print(key, measure["value"], measure["low"], measure["high"], measure["n"], measure["unscored"])
    for name in ATTACKS:
        robust = measures["robust_accuracy", f"attack={name}"]
        assert robust["n"] + robust["unscored"] == 10
    assert measures["membership_auc", "all"]["n"] == 20
    assert measures["canaries_memorised", "all"]["n"] == 2
    assert any("of 2 canaries memorised" in note for note in told["notes"])
