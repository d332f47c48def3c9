"""The catalog: facts that can be worked out are worked out, names are found, mistakes are answered."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tunesmith.core.errors import UserError
from tunesmith.models import catalog
from tunesmith.models.catalog import Entry

DENSE = [entry for entry in catalog.entries() if entry.model_type in ("llama", "qwen2", "qwen3")]


@pytest.mark.parametrize("entry", DENSE, ids=lambda entry: entry.name)
def test_parameters_follow_from_the_shape(entry: Entry) -> None:
    """For SmolLM2: head and embedding are one matrix of 49,152 x 576 = 28,311,552; a layer has query and output
    of 576 x 576, key and value of 576 x 192, three feed-forward matrices of 576 x 1,536 and two norms of 576:
    3,540,096; 30 of them and the last norm of 576 make 106,203,456; together 134,515,008.
    """
    assert entry.layers and entry.hidden and entry.intermediate and entry.heads and entry.kv_heads
    assert entry.head_dim and entry.vocabulary
    query, key = entry.heads * entry.head_dim, entry.kv_heads * entry.head_dim
    layer = entry.hidden * (2 * query + 2 * key + 3 * entry.intermediate + 2)
    layer += {"llama": 0, "qwen2": query + 2 * key, "qwen3": 2 * entry.head_dim}[entry.model_type]
    tables = entry.vocabulary * entry.hidden * (1 if entry.tied else 2)
    assert tables + entry.layers * layer + entry.hidden == entry.parameters == entry.active_parameters


def test_the_family_is_complete_and_sorted_by_size() -> None:
    names = catalog.names()
    assert names[0] == "smollm2-135m-instruct"
    assert len(names) == len(set(names)) == 14
    sizes = [entry.parameters for entry in catalog.entries()]
    assert sizes == sorted(sizes)


def test_every_entry_says_licence_and_source_and_explains_what_is_unknown() -> None:
    for entry in catalog.entries():
        assert entry.licence and entry.sources and entry.template, entry.name
        assert entry.active_parameters <= entry.parameters
        if None in (entry.layers, entry.hidden, entry.vocabulary, entry.context):
            assert "could not be confirmed" in entry.notes, entry.name


def test_the_distilled_models_carry_their_makers_advice() -> None:
    """Temperature 0.6, top-p 0.95, no system prompt (DeepSeek-R1's README); the template deletes reasoning."""
    for entry in catalog.entries():
        if "r1-distill" in entry.name:
            assert entry.sampling == {"temperature": 0.6, "top_p": 0.95}
            assert entry.system_prompt is False
            assert entry.reasoning and "deletes the reasoning" in entry.template


def test_a_model_is_found_by_name_and_by_hub_id_in_any_case() -> None:
    entry = catalog.lookup("deepseek-r1-distill-qwen-7b")
    assert catalog.lookup("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B") is entry
    assert catalog.lookup("DeepSeek-R1-Distill-Qwen-7B") is entry
    assert catalog.find("deepseek") is None


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        catalog.lookup("smolm2-135m-instruct")
    (problem,) = caught.value.problems
    assert problem.code == "unknown-model" and problem.path == "model.use"
    assert "'smollm2-135m-instruct'" in problem.hint


def test_the_catalog_is_read_without_torch_or_transformers() -> None:
    code = "import sys; from tunesmith.models import catalog; catalog.entries(); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_path())
    assert not {"torch", "transformers", "peft"} & set(done.stdout.split())


def _path() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
