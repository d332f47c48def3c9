"""What is exported is the measured expert, with its evidence, or nothing is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from project_fakes import settings, write_settings
from tunesmith.app.workshop import Workshop
from tunesmith.core.errors import GateStopped
from tunesmith.core.events import Events
from tunesmith.project import export as exporting

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' GGUF reader warns of its own future


def test_an_export_carries_its_verdict_and_its_card(finished: Path, tmp_path: Path) -> None:
    """Safetensors and GGUF from one run: G5 of both passed, the card tells base, verdicts and limits."""
    folder = Workshop(Events()).export(finished, tmp_path / "out", form="gguf-f16")
    told = json.loads((folder / exporting.PARITY).read_text(encoding="utf-8"))
    assert (told["gate"], told["verdict"]) == ("G5", "passed")
    assert {reason["evidence"]["form"] for reason in told["reasons"]} >= {"merged", "quantised"}
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nbase_model: ") and "**G5: passed**" in card and "## Limits" in card
    assert (folder / "Modelfile").read_text(encoding="utf-8").startswith("FROM ./model.gguf\n")


def test_the_engine_that_the_project_answers_in_is_judged_too(finished: Path, tmp_path: Path) -> None:
    """The project answers in 8-bit integers: what is exported is compared with the measured expert in them as well.

    And with a calculator, which no file of an export holds: the card says so.
    """
    write_settings(finished, settings(reason={"engine": "int8", "calculator": True}))
    folder = Workshop(Events()).export(finished, tmp_path / "out")
    told = json.loads((folder / exporting.PARITY).read_text(encoding="utf-8"))
    weights = {r["evidence"]["form"]: r["verdict"] for r in told["reasons"] if r["code"] == "parity-weights"}
    assert weights == {"merged": "passed", "quantised, int8": "passed"}
    limits = (folder / "README.md").read_text(encoding="utf-8").partition("## Limits")[2]
    assert "the model alone; the expert that was judged answers with a calculator." in limits


def test_an_export_that_is_another_model_leaves_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The merge loses the adapter: the base is written, G5 says so, and the folder is not there."""
    import torch

    from tunesmith.models.load import load_model
    from tunesmith.tune import export as tuned

    def without(checkpoint: object, folder: Path) -> None:
        from tunesmith.models.adapters import save_model

        base = Path(checkpoint.base_path)  # type: ignore[attr-defined]
        save_model(load_model(base, dtype=torch.float32), folder, base_path=base)

    monkeypatch.setattr(tuned, "merge", without)
    with pytest.raises(GateStopped) as caught:
        Workshop(Events()).export(finished, tmp_path / "out")
    causes = [r.evidence["cause"] for v in caught.value.verdicts for r in v.reasons if r.verdict == "failed"]
    assert "adapter-not-applied" in causes
    assert not (tmp_path / "out").exists()
