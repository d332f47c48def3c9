"""Strategies on the line: trained by the stage, saved, merged, served, and estimated before (G0)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from tune_fakes import context_of, profile, snapshot_of, some_rows, spec, tiny_base, tokens_of

from fakes import tiny_model_folder
from tunesmith.core.errors import MissingLibrary, UserError
from tunesmith.core.examples import write_examples
from tunesmith.core.types import Base, Checkpoint, Message
from tunesmith.models.adapters import load_adapter, merged, open_trained
from tunesmith.models.chat import Chat
from tunesmith.models.load import load_model
from tunesmith.reason import stage as reason
from tunesmith.reason.answerer import open_answerer
from tunesmith.reason.spec import ReasonSpec
from tunesmith.tune import rules, stage
from tunesmith.tune.export import merge
from tunesmith.tune.feasible import choose_checkpointing, judge_feasible
from tunesmith.tune.method import Machine
from tunesmith.tune.predict import predict
from tunesmith.tune.rules import STRATEGIES
from tunesmith.tune.spec import TuneSpec

MACHINE = Machine(100.0, "cpu", 100.0)
IDS = torch.tensor([[5, 9, 3, 17, 40, 2, 100, 33]])


def needs_bitsandbytes() -> None:
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes: pip install 'tunesmith[qlora]'")


def trained(model: Any) -> dict[str, Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        out: Tensor = model.eval()(input_ids=IDS).logits
    return out


def run_stage(tmp_path: Path, base: Base, use: dict[str, Any]) -> Checkpoint:
    context = context_of(tmp_path / "run")
    tokens = tokens_of(tmp_path / "tokens", some_rows(10)).model_copy(
        update={"chat_template_hash": Chat.of(base.path).hash}
    )
    section = spec(strategy=use, epochs=4, learning_rate=0.02)
    made = stage.run(section, base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=context)
    return made.model_copy(update={"folder": context.out})


def expert_of(made: Checkpoint, base: Base, tmp_path: Path) -> Any:
    snapshot = snapshot_of().model_copy(update={"folder": tmp_path})
    write_examples(tmp_path / "examples.parquet", [])
    context = context_of(tmp_path / "reason")
    return reason.run(ReasonSpec(), base=base, profile=profile(), snapshot=snapshot, checkpoint=made, context=context)


USES: dict[str, dict[str, Any]] = {
    "full": {"use": "full"},
    "layered": {"use": "layered", "rank": 4, "alpha": 8},
    "layered with head": {"use": "layered", "rank": 4, "alpha": 8, "head": "trained"},
    "blockwise": {"use": "blockwise", "rank": 1, "alpha": 2},
    "adaptive": {"use": "adaptive", "rank": 4, "alpha": 8},
}


@pytest.mark.parametrize("name", USES)
def test_it_learns_is_merged_and_answers_as_an_expert(name: str, tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    made = run_stage(tmp_path, base, USES[name])
    assert made.loss_last < made.loss_first
    expert = expert_of(made, base, tmp_path)
    assert (expert.adapter_path is None) == (name == "full")
    with open_answerer(expert) as answerer:
        answers = answerer.answer([[Message(role="user", content="The capital?")]], at_most_tokens=4)
        served = logits(answerer.model.model)  # type: ignore[attr-defined]
    assert answers[0].stop in ("end", "length")
    torch.testing.assert_close(
        served, logits(open_trained(made.file("adapter").parent, base_path=Path(base.path), dtype=torch.float32)),
        rtol=0, atol=1e-5,
    )  # fmt: skip
    out = tmp_path / "out"
    out.mkdir()
    merge(made, out)
    torch.testing.assert_close(logits(load_model(out)), served, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["deepseek_v4", "gpt2"])
def test_what_cannot_run_packed_is_trained_all_the_same(architecture: str, tmp_path: Path) -> None:
    """DeepSeek-V4 has sinks in its attention, GPT-2 no list of `layers`: row by row, and the same files."""
    made = run_stage(tmp_path, tiny_base(tmp_path, architecture), {"use": "lora", "rank": 4, "alpha": 8})
    assert made.loss_last < made.loss_first
    assert made.file("adapter/adapter_model.safetensors").is_file()


def test_a_checkpoint_without_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no-weights"):
        open_trained(tmp_path, base_path=tmp_path, dtype=torch.float32)


# -- four bits --------------------------------------------------------------------------------------


def test_pains_6_what_is_merged_and_served_is_what_was_trained(tmp_path: Path) -> None:
    """The adapter mends the error of the 4 bits: on the base's own weights it is another model."""
    needs_bitsandbytes()
    base = tiny_base(tmp_path)
    made = run_stage(tmp_path, base, {"use": "qlora", "rank": 4, "alpha": 8})
    as_trained = load_adapter(load_model(Path(base.path), weights="nf4"), made.file("adapter"))
    wanted = logits(as_trained)
    out = tmp_path / "merged"
    out.mkdir()
    merge(made, out)
    torch.testing.assert_close(logits(load_model(out)), wanted, rtol=0, atol=1e-5)
    with open_answerer(expert_of(made, base, tmp_path)) as served:
        torch.testing.assert_close(logits(served.model.model), wanted, rtol=0, atol=1e-5)  # type: ignore[attr-defined]
    wrong = merged(load_adapter(load_model(Path(base.path)), made.file("adapter")))
    assert float((logits(wrong) - wanted).abs().max()) > 1e-3


def test_looking_at_it_does_not_change_a_packed_model(tmp_path: Path) -> None:
    """bitsandbytes repacks a layer with coarser scales when it first runs in evaluation mode on some CPUs."""
    needs_bitsandbytes()
    model = load_model(tiny_model_folder(tmp_path), weights="nf4").requires_grad_(False)
    model = STRATEGIES.build({"use": "qlora", "rank": 2, "alpha": 4}).apply(model, seed=0)
    first = logits(model)
    with torch.enable_grad():
        again = model(input_ids=IDS).logits
        again.sum().backward()
    assert torch.equal(first, again)
    assert all(weight.grad is not None for weight in trained(model).values())


def test_the_missing_library_is_told_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.models.nf4.find_spec", lambda _: None)
    found = rules.problems(TuneSpec.model_validate({"strategy": {"use": "qlora"}}))
    assert [(p.code, p.path, p.hint) for p in found] == [
        ("needs-library", "tune.strategy", "pip install 'tunesmith[qlora]'")
    ]
    assert rules.problems(TuneSpec.model_validate({"strategy": {"use": "lora"}})) == []
    with pytest.raises(MissingLibrary, match=r"tunesmith\[qlora\]"):
        load_model(tiny_model_folder(tmp_path), weights="nf4")


# -- G0 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_g0_knows_every_strategy(name: str, tmp_path: Path) -> None:
    """The number of trained weights is exact; 4-bit weights take less memory, and their price is told beforehand."""
    base = tiny_base(tmp_path, hidden_size=64, intermediate_size=256)
    section, _ = rules.resolve(spec(strategy={"use": name}), base, 10)
    rows = tokens_of(tmp_path / "tokens", some_rows(10)).file("rows.parquet")
    predicted = choose_checkpointing(section, None, lambda _: predict(section, base=base, rows=rows, machine=MACHINE))
    assert sum(predicted["parts_gb"].values()) == pytest.approx(predicted["memory_gb"])
    plain = load_model(Path(base.path)).requires_grad_(False)
    weights = sum(weight.numel() for weight in plain.parameters()) * 4 / 1e9
    if name != "qlora":
        model = STRATEGIES.build(section.strategy).apply(plain, seed=0)
        assert predicted["trainable"] == sum(weight.numel() for weight in trained(model).values())
    assert (predicted["parts_gb"]["weights"] < weights) == (name == "qlora")
    verdict = judge_feasible(predicted, base=base, profile=profile(), context_tokens=64)
    time = next(reason for reason in verdict.reasons if reason.code == "time")
    assert ("4-bit weights are unpacked for every product, 1.2 times the time" in time.message) == (name == "qlora")


def test_g0_refuses_what_training_would(tmp_path: Path) -> None:
    base = tiny_base(tmp_path, "deepseek_v3")
    section, _ = rules.resolve(spec(strategy={"use": "qlora"}), base, 10)
    with pytest.raises(UserError, match="routed experts") as caught:
        predict(section, base=base, rows=tokens_of(tmp_path, []).file("rows.parquet"), machine=MACHINE)
    assert [(p.code, p.path) for p in caught.value.problems] == [("strategy-does-not-fit", "tune.strategy")]
