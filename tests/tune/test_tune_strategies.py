"""What single strategies promise beyond the laws of all: bands by hand, blocks, rank that moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fakes import tiny_model_folder
from tunesmith.models.adapters import merged, open_trained, save_trained
from tunesmith.models.load import load_model
from tunesmith.tune import rules
from tunesmith.tune.bands import Bands, Moving
from tunesmith.tune.rules import STRATEGIES
from tunesmith.tune.spec import TuneSpec

IDS = torch.tensor([[5, 9, 3, 17, 40, 2, 100, 33]])


def adapted(tmp_path: Path, architecture: str = "llama", *, layers: int = 2, **use: Any) -> Any:
    path = tmp_path / f"tiny-{architecture.replace('_', '-')}"
    if not path.exists():
        tiny_model_folder(tmp_path, architecture, num_hidden_layers=layers)
    strategy = STRATEGIES.build(use)
    return strategy.apply(load_model(path, weights=strategy.weight_format).requires_grad_(False), seed=0)


def trained(model: Any) -> dict[str, Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        out: Tensor = model.eval()(input_ids=IDS).logits
    return out


# -- bands ------------------------------------------------------------------------------------------


def test_bands_by_hand() -> None:
    """30 layers: 70 % are 21, the next 20 % 6, the rest 3. 4 layers: 2.8 and 3.6 are cut to 2 and 3. Half of 3: 2."""
    assert Bands.of_shares(30, frozen=0.7, adapted=0.2) == Bands(30, 21, 6)
    assert list(Bands(30, 21, 6).adapted_layers) == [21, 22, 23, 24, 25, 26]
    assert list(Bands(30, 21, 6).whole_layers) == [27, 28, 29]
    assert Bands.of_shares(4, frozen=0.7, adapted=0.2) == Bands(4, 2, 1)
    assert Bands.of_shares(10, frozen=0.5, adapted=0.9) == Bands(10, 5, 5)
    assert Bands.of_shares(1, frozen=0.9, adapted=0.1) == Bands(1, 0, 1)
    assert Bands.upper(3, 0.5) == Bands(3, 1, 2)
    assert Bands.upper(30, 0.001) == Bands(30, 29, 1)


def test_layered_adapts_query_and_key_and_trains_the_top_whole(tmp_path: Path) -> None:
    model = adapted(tmp_path, layers=4, use="layered", rank=2, alpha=4)
    assert {name.split("layers.")[1].split(".lora")[0] for name in trained(model) if "lora" in name} == {
        "2.self_attn.q_proj",
        "2.self_attn.k_proj",
    }
    whole = [name for name in trained(model) if "lora" not in name]
    assert len(whole) == 7 and all("layers.3." in name for name in whole)


@pytest.mark.parametrize(("adapted_share", "layers"), [(0.0, {3}), (0.5, {2, 3})])
def test_a_band_may_be_empty(tmp_path: Path, adapted_share: float, layers: set[int]) -> None:
    """Of 4 layers, half frozen: with nothing adapted two are trained whole, with half adapted none is."""
    model = adapted(tmp_path, layers=4, use="layered", rank=2, alpha=4, frozen=0.5, adapted=adapted_share)
    assert any("modules_to_save" in name for name in trained(model)) == (adapted_share == 0.0)
    assert any("lora_A" in name for name in trained(model)) == (adapted_share == 0.5)
    assert {int(name.split("layers.")[1][0]) for name in trained(model)} == {2, 3} >= layers


def test_a_tied_head_stays_frozen_unless_asked(tmp_path: Path) -> None:
    """Full tuning trains the one matrix that both are; layered gives the head a matrix of its own."""
    path = tiny_model_folder(tmp_path, num_hidden_layers=2, tie_word_embeddings=True)

    def ends(**use: Any) -> set[str]:
        model = STRATEGIES.build(use).apply(load_model(path).requires_grad_(False), seed=0)
        return {name for name in trained(model) if "embed" in name or "lm_head" in name}

    assert ends(use="full") == ends(use="layered", rank=2, alpha=4) == set()
    assert ends(use="full", head="trained") == {"model.embed_tokens.weight"}
    own = "base_model.model.lm_head.modules_to_save.default.weight"
    assert ends(use="layered", rank=2, alpha=4, head="trained") == {own}


def test_a_tied_head_that_was_trained_is_a_matrix_of_its_own_in_the_merged_model(tmp_path: Path) -> None:
    path = tiny_model_folder(tmp_path, num_hidden_layers=2, tie_word_embeddings=True)
    model = adapted(tmp_path, use="layered", rank=2, alpha=4, head="trained")
    for weight in trained(model).values():
        torch.nn.init.normal_(weight, std=0.1)
    wanted = logits(model)
    merged(model).save_pretrained(tmp_path / "tiny-merged")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "tiny-merged" / name).write_bytes((path / name).read_bytes())
    torch.testing.assert_close(logits(load_model(tmp_path / "tiny-merged")), wanted, rtol=0, atol=1e-5)


# -- what LoRA brings along -------------------------------------------------------------------------


def test_attention_is_query_key_and_value(tmp_path: Path) -> None:
    model = adapted(tmp_path, use="lora", rank=2, alpha=4, roles="attention")
    adapted_modules = {name.split(".lora_")[0].rpartition(".")[2] for name in trained(model)}
    assert adapted_modules == {"q_proj", "k_proj", "v_proj"}


def test_rslora_scales_by_the_root_of_the_rank_and_has_a_rule_of_its_own(tmp_path: Path) -> None:
    """alpha 8 at rank 16: 8 / sqrt(16) = 2 with rsLoRA; the table's 32 / 16 = 2 without."""
    size = type("Size", (), {"parameters": 50_000, "context": 512})()
    for rslora in (True, False):
        use = {"use": "lora", "rslora": rslora}
        filled = rules.resolve(TuneSpec.model_validate({"strategy": use}), size, 100)[0].strategy
        model = adapted(tmp_path, **filled.model_dump())
        assert model.base_model.model.model.layers[1].mlp.up_proj.scaling["default"] == 2.0


def test_lora_plus_is_a_rate_for_b(tmp_path: Path) -> None:
    strategy = STRATEGIES.build({"use": "lora", "rank": 2, "alpha": 4, "lora_plus": 16})
    rates = {strategy.rate_factor(name) for name in trained(adapted(tmp_path, use="lora", rank=2, alpha=4))}
    assert rates == {1.0, 16.0}
    assert strategy.rate_factor("base_model.model.model.layers.1.mlp.up_proj.lora_B.default.weight") == 16.0


def test_the_middle_of_layered_learns_ten_times_as_fast_as_its_top() -> None:
    strategy = STRATEGIES.build("layered")
    assert strategy.rate_factor("base_model.model.model.layers.2.self_attn.q_proj.lora_A.default.weight") == 10.0
    assert strategy.rate_factor("base_model.model.model.layers.3.mlp.up_proj.modules_to_save.default.weight") == 1.0


def test_dora_on_fused_experts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dora"):
        adapted(tmp_path, "deepseek_v3", use="lora", rank=2, alpha=4, dora=True)


# -- blocks -----------------------------------------------------------------------------------------


def test_every_block_has_an_update_of_its_own_of_its_rank(tmp_path: Path) -> None:
    """Inner width 64 in 2 blocks of rank 1: halves of each matrix by neurons have rank 1, the whole has 2."""
    model = adapted(tmp_path, use="blockwise", blocks=2, rank=1, alpha=2)
    before = {name: weight.clone() for name, weight in load_model(tmp_path / "tiny-llama").named_parameters()}
    for weight in trained(model).values():
        torch.nn.init.normal_(weight, std=1.0)
    after = dict(merged(model).named_parameters())
    for name in ("gate_proj", "up_proj", "down_proj"):
        key = f"model.layers.1.mlp.{name}.weight"
        update = (after[key] - before[key]).detach()
        by_neuron = update.T if name == "down_proj" else update
        ranks = [int(torch.linalg.matrix_rank(part, atol=1e-3)) for part in (by_neuron, by_neuron[:32], by_neuron[32:])]
        assert ranks == [2, 1, 1], name
    assert torch.equal(
        after["model.layers.1.self_attn.q_proj.weight"], before["model.layers.1.self_attn.q_proj.weight"]
    )


def test_matrices_that_cannot_be_cut_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"64 outputs, no multiple of 3; change tune\.strategy\.blocks"):
        adapted(tmp_path, use="blockwise", blocks=3, rank=1, alpha=2)


# -- rank that moves --------------------------------------------------------------------------------

ADAPTIVE: dict[str, Any] = {"use": "adaptive", "rank": 2, "alpha": 4, "roles": "attention", "upper": 1.0}
"""Query, key and value of 2 layers: 6 matrices that begin with rank 3 and end with a mean of 2."""


def moving(tmp_path: Path, *, steps: int) -> tuple[Any, Any, Any]:
    model, strategy = adapted(tmp_path, **ADAPTIVE), STRATEGIES.build(ADAPTIVE)
    assert isinstance(strategy, Moving)
    return model, strategy.running(model, steps=steps), torch.optim.AdamW(trained(model).values(), lr=0.01)


def steps(moved: tuple[Any, Any, Any], numbers: range) -> None:
    model, running, optimiser = moved
    for step in numbers:
        optimiser.zero_grad()
        ids = torch.randint(4, 300, (1, 12), generator=torch.Generator().manual_seed(step))
        (model(input_ids=ids, labels=ids).loss * 0 + model(input_ids=ids).logits.var() + running.penalty()).backward()
        optimiser.step()
        running.after_step(step)


def ranks(model: Any) -> list[int]:
    return [int(weight.count_nonzero()) for name, weight in trained(model).items() if ".lora_E." in name]


def test_rank_ends_at_its_budget_and_only_what_is_left_is_saved(tmp_path: Path) -> None:
    """18 triplets at the start, 12 at the end, not the same number everywhere; the file has just those."""
    moved = moving(tmp_path, steps=10)
    steps(moved, range(1))
    assert sum(ranks(moved[0])) == 18
    steps(moved, range(1, 10))
    assert sum(ranks(moved[0])) == 12 and len(set(ranks(moved[0]))) > 1
    wanted = logits(moved[0])
    save_trained(moved[0], tmp_path, base_path=str(tmp_path / "tiny-llama"))
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert sum(len(value) for name, value in saved.items() if name.endswith("lora_E")) == 12
    opened = open_trained(tmp_path, base_path=tmp_path / "tiny-llama", dtype=torch.float32)
    torch.testing.assert_close(logits(opened), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cut", [3, 8])
def test_a_resumed_training_moves_rank_bitwise_as_the_one_that_was_not_stopped(tmp_path: Path, cut: int) -> None:
    """Stopped while the budget shrinks (after step 3 of 10), and after it has settled (step 7)."""
    whole, first = moving(tmp_path, steps=10), moving(tmp_path, steps=10)
    steps(whole, range(10))
    steps(first, range(cut))
    second = moving(tmp_path, steps=10)
    with torch.no_grad():
        for weight, kept in zip(trained(second[0]).values(), trained(first[0]).values(), strict=True):
            weight.copy_(kept)
    second[2].load_state_dict(first[2].state_dict())
    second[1].restore(first[1].tensors())
    steps(second, range(cut, 10))
    assert all(torch.equal(a, b) for a, b in zip(trained(whole[0]).values(), trained(second[0]).values(), strict=True))
    ends, again = whole[1].tensors(), second[1].tensors()
    assert ends.keys() == again.keys() and all(torch.equal(ends[key], again[key]) for key in ends)


def test_the_penalty_by_hand(tmp_path: Path) -> None:
    """Orthonormal P and Q: 0. One of the 12 doubled: its gram is 4 I, off by 3 I of width 3, norm 3 sqrt(3) = 5.196;
    a twelfth of that, times 0.1, is 0.0433.
    """
    model, running, _ = moving(tmp_path, steps=10)
    with torch.no_grad():
        for name, weight in trained(model).items():
            if ".lora_E." not in name:
                weight.copy_(torch.eye(*weight.shape))
    assert running.penalty().item() == 0.0
    with torch.no_grad():
        next(weight for name, weight in trained(model).items() if ".lora_A." in name).mul_(2)
    assert running.penalty().item() == pytest.approx(0.0433, abs=1e-4)


def test_steps_that_were_set_aside_are_made_up_for(tmp_path: Path) -> None:
    """Of 10 steps the budget settles in step 7: step 8 settles it where steps 4 to 7 are set aside.

    After step 3 it is 12 + (18 - 12) (1 - (3 - 1) / (10 - 3 - 1))^3 = 13.8, cut to 13.
    """
    moved = moving(tmp_path, steps=10)
    steps(moved, range(4))
    assert sum(ranks(moved[0])) == 13
    steps(moved, range(8, 10))
    assert sum(ranks(moved[0])) == 12


def test_a_second_phase_keeps_the_ranks_of_the_first(tmp_path: Path) -> None:
    model, running, optimiser = moving(tmp_path, steps=4)
    steps((model, running, optimiser), range(4))
    settled = ranks(model)
    steps((model, STRATEGIES.build(ADAPTIVE).running(model, steps=4), optimiser), range(4))
    assert ranks(model) == settled and sum(settled) == 12


@pytest.mark.parametrize("number", [1, 2, 3])
def test_short_trainings_do_not_break_it(tmp_path: Path, number: int) -> None:
    """One step moves nothing; from two on the budget is kept."""
    moved = moving(tmp_path, steps=number)
    steps(moved, range(number))
    assert sum(ranks(moved[0])) == (18 if number == 1 else 12)
