"""The stage as a whole: it learns, it is repeatable, and what it writes loads elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from tune_fakes import context_of, profile, snapshot_of, some_rows, spec, tiny_base, tokens_of

from tunesmith.core.errors import UserError
from tunesmith.core.ids import digest_file
from tunesmith.core.types import Base, Checkpoint
from tunesmith.models.adapters import load_adapter
from tunesmith.tune import stage
from tunesmith.tune.export import merge


def trained(tmp_path: Path, base: Base, name: str = "a", **settings: Any) -> Checkpoint:
    tokens = tokens_of(tmp_path / "tokens", some_rows(10), some_rows(3, seed=1))
    context = context_of(tmp_path / name)
    made = stage.run(
        spec(**settings), base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=context
    )
    return made.model_copy(update={"folder": context.out})


def curve(checkpoint: Checkpoint) -> list[dict[str, float]]:
    points = [json.loads(line) for line in checkpoint.file("curves.jsonl").read_text().splitlines()]
    return [{key: value for key, value in point.items() if key != "tokens_per_second"} for point in points]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = model.eval()(input_ids=torch.tensor([[5, 9, 3, 17, 40, 2, 100, 33]])).logits
    return out


def test_training_lowers_the_loss_and_tells_every_step(tmp_path: Path) -> None:
    """10 rows in steps of 4 are 3 steps an epoch; 8 epochs are 24."""
    made = trained(tmp_path, tiny_base(tmp_path), epochs=8, learning_rate=0.03)
    points = curve(made)
    assert made.steps == len(points) == 24
    assert made.loss_last < made.loss_first - 0.1
    assert points[0]["loss"] == points[0]["cross_entropy"]
    assert [number for number, point in enumerate(points) if "valid_loss" in point] == list(range(2, 24, 3))
    assert made.valid_loss == points[-1]["valid_loss"]
    assert made.strategy["rank"] == 4


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    tokens = tokens_of(tmp_path / "tokens", some_rows(10))
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        context = context_of(tmp_path / name, seed=seed)
        stage.run(spec(), base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=context)
        adapter = context.out / "adapter"
        files.append({f.name: digest_file(f) for f in sorted(adapter.iterdir())})
    assert files[0].keys() == {"adapter_config.json", "adapter_model.safetensors"}
    assert files[0] == files[1]
    assert files[0]["adapter_model.safetensors"] != files[2]["adapter_model.safetensors"]


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "deepseek_v2", "deepseek_v3"])
def test_the_adapter_loads_in_plain_peft_and_the_merged_model_answers_alike(tmp_path: Path, architecture: str) -> None:
    base = tiny_base(tmp_path, architecture)
    made = trained(tmp_path, base)
    plain = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    before = logits(plain)
    adapted = load_adapter(plain, made.file("adapter"))
    wanted = logits(adapted)
    assert float((wanted - before).abs().max()) > 1e-3
    out = tmp_path / "merged"
    out.mkdir()
    merge(made, out)
    merged = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    torch.testing.assert_close(logits(merged), wanted, rtol=1e-4, atol=1e-5)
    assert AutoTokenizer.from_pretrained(out).chat_template == AutoTokenizer.from_pretrained(base.path).chat_template


def test_activation_checkpointing_changes_nothing_but_memory(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    plain, forgetful = trained(tmp_path, base, "a"), trained(tmp_path, base, "b", activation_checkpointing=True)
    assert curve(plain) == curve(forgetful)
    name = "adapter/adapter_model.safetensors"
    assert digest_file(plain.file(name)) == digest_file(forgetful.file(name))


def test_no_trained_row_is_told_as_the_users_to_mend(tmp_path: Path) -> None:
    tokens = tokens_of(tmp_path / "tokens", [])
    with pytest.raises(UserError, match="nothing-to-train"):
        stage.run(
            spec(),
            base=tiny_base(tmp_path),
            profile=profile(),
            snapshot=snapshot_of(),
            tokens=tokens,
            context=context_of(tmp_path),
        )
