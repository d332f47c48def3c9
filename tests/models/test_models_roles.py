"""Roles find the right weights in every architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from fakes import tiny_model_folder
from tunesmith.models.roles import DENSE_ROLES, ROLES, layer_of, names_for, targets, weights_of


def model(tmp_path: Path, architecture: str, **size: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model_folder(tmp_path, architecture, **size))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_the_seven_dense_roles_are_the_seven_linear_layers(tmp_path: Path, architecture: str) -> None:
    found = targets(model(tmp_path, architecture), DENSE_ROLES, [1])
    assert [name.rpartition(".")[2] for name in found.modules] == [
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    ]
    assert all(layer_of(name) == 1 for name in found.modules)
    assert not found.parameters and not found.generic


@pytest.mark.parametrize("architecture", ["deepseek_v2", "deepseek_v3"])
def test_latent_attention_has_two_matrices_for_queries_and_two_for_keys_with_values(
    tmp_path: Path, architecture: str
) -> None:
    deepseek = model(tmp_path, architecture)
    query = targets(deepseek, ["query"], [0]).modules
    assert query == ("model.layers.0.self_attn.q_a_proj", "model.layers.0.self_attn.q_b_proj")
    both = ("model.layers.0.self_attn.kv_a_proj_with_mqa", "model.layers.0.self_attn.kv_b_proj")
    assert targets(deepseek, ["key"], [0]).modules == targets(deepseek, ["value"], [0]).modules == both


@pytest.mark.parametrize("architecture", ["deepseek_v2", "deepseek_v3"])
def test_routed_experts_are_a_role_of_their_own(tmp_path: Path, architecture: str) -> None:
    """Layer 0 is dense, layer 1 has experts: shared and routed ones. PEFT must be given the names of the weights."""
    deepseek = model(tmp_path, architecture)
    assert targets(deepseek, ["down"], [0, 1]).modules == ()
    assert targets(deepseek, ["down"], [0, 1]).parameters == (
        "model.layers.0.mlp.down_proj.weight",
        "model.layers.1.mlp.shared_experts.down_proj.weight",
    )
    fused = ("model.layers.1.mlp.experts.gate_up_proj", "model.layers.1.mlp.experts.down_proj")
    assert targets(deepseek, ["experts"], [0, 1]).parameters == fused


def test_gpt2_keeps_its_layers_turned_and_its_two_c_proj_apart(tmp_path: Path) -> None:
    gpt2 = model(tmp_path, "gpt2")
    assert targets(gpt2, ["output"], [1]).linear == ("transformer.h.1.attn.c_proj",)
    assert targets(gpt2, ["down"], [1]).linear == ("transformer.h.1.mlp.c_proj",)
    assert targets(gpt2, ["down"], [1]).turned


def test_deepseek_v4_is_adapted_where_a_gradient_comes(tmp_path: Path) -> None:
    """Not its compressor, its grouped output, nor the indexer that chooses by a top-k."""
    found = targets(model(tmp_path, "deepseek_v4"), DENSE_ROLES, [1])
    assert {name.removeprefix("model.layers.1.") for name in found.modules} == {
        *(f"self_attn.{name}" for name in ("q_a_proj", "q_b_proj", "kv_proj", "o_b_proj")),
        *(f"mlp.shared_experts.{name}" for name in ("gate_proj", "up_proj", "down_proj")),
    }
    deep = model(tmp_path, "deepseek_v4", num_hidden_layers=4)
    assert any(weight.kind == "selector" and ".indexer." in weight.name for weight in weights_of(deep))


def test_an_unknown_architecture_gives_all_linear_layers_but_the_head(tmp_path: Path) -> None:
    found = targets(model(tmp_path, "opt"), ["query"], [1])
    assert names_for("opt", ["query"]) is None
    assert found.generic
    assert {name.rpartition(".")[2] for name in found.modules} == {
        *("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
    }


def test_every_weight_is_told_once_with_what_it_is(tmp_path: Path) -> None:
    """A tied head is the embedding; a head of its own is no linear layer that an adapter would take."""
    tied = weights_of(model(tmp_path, "llama", tie_word_embeddings=True))
    assert [weight.kind for weight in tied if weight.size == 400 * 32] == ["embedding"]
    apart = weights_of(model(tmp_path, "llama"))
    assert [weight.kind for weight in apart if weight.size == 400 * 32] == ["embedding", "head"]
    assert sum(weight.kind == "linear" for weight in apart) == 2 * 7


def test_roles_that_match_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="experts"):
        targets(model(tmp_path, "llama"), ["experts"], [0])


def test_every_architecture_in_the_table_knows_every_role() -> None:
    for model_type in ("llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v3", "phi3", "gpt_neox"):
        assert names_for(model_type, ROLES), model_type
